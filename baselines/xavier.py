"""New initial weights, as the authors' code draws them before SNIP and GraSP."""

from __future__ import annotations

import dataclasses

import numpy as np

from combsearch.nets import NetBatch
from combsearch.pruning import Budget
from combsearch.rng import uniform

_STREAM = 3  # of ``rng.uniform``: 0 and 1 are initial weights and biases, 2 random masks


def reinitialised(nets: NetBatch, budget: Budget) -> NetBatch:
    """``nets`` with Xavier-normal weights (Glorot and Bengio 2010) where ``budget`` asks for it.

    The standard deviation is sqrt(2 / (fan in + fan out)); biases stay.
    """
    if not budget.reinitialise:
        return nets
    from scipy.special import ndtri

    keys = budget.keys.philox_keys()
    params = dict(nets.params)
    for layer, name in enumerate(nets.network.prunable):
        rows, cols = params[name].shape[1:]
        # 24 bits and half a step: never 0 or 1, whose normal quantile is infinite.
        draw = uniform(keys, layer, rows, cols, _STREAM).astype(np.float64) + 2**-25
        params[name] = (ndtri(draw) * np.sqrt(2 / (rows + cols))).astype(np.float32)
    return dataclasses.replace(nets, params=params)
