"""Losses and the training loop, written once for every method."""
