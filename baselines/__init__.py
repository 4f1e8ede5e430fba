"""Pruning algorithms, one a file; installed as ``combsearch.baselines``."""
