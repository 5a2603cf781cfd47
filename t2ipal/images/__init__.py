"""Captions to pixels, and pixels to encoded bytes and back."""
