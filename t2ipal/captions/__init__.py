"""Which captions to ask for, how to ask, and which answers to take."""
