"""The HTTP endpoint of a recognizer, on Ray Serve."""
