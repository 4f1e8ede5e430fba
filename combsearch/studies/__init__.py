"""Side studies: each takes the question of another paper to the trainers and pruners below.

The formulas that pruners need too are in ``combsearch.sparsity``.
"""
