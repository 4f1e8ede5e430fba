"""Pruners beside the bounds of searches."""
