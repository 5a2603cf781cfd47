"""Class names found in sentences."""
