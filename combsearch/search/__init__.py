"""Searches: which networks to train, in which order, and when to stop."""
