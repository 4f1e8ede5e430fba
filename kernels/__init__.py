"""Compiled kernels: arrays in, arrays out; installed as ``combsearch.kernels``."""
