"""Data dimensionality and prunability: how far networks prune as data gain dimensions.

"The Effect of Data Dimensionality on Neural Network Prunability" (Ankner et al., 2022).
"""
