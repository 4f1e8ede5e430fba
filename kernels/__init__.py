"""Compiled kernels: arrays in, arrays out, no combsearch types; installed as ``combsearch.kernels``."""
