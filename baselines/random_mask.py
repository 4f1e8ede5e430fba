"""Random masks: the floor that every method should clear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.baselines.layer_budgets import (
    counts_of,
    layer_shapes,
)
from combsearch.nets import NetBatch
from combsearch.pruning import Bits, Budget, masked, top
from combsearch.rng import uniform

_STREAM = 2  # of ``rng.uniform``: 0 and 1 are initial weights and biases, 3 Xavier's


@dataclass(frozen=True)
class RandomMask:
    """Keeps weights drawn at random, layer by layer.

    Attributes:
        allocation: how layers share the budget: ``uniform``, ``epl`` (equal per layer),
            ``epf`` (equal per filter) or ``erk``.
        rounding: see ``layer_counts``.
    """

    allocation: str = "erk"
    rounding: str = "exact"

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        counts = layer_counts(nets, budget, self.allocation, self.rounding)
        return masked(nets, random_kept(nets, budget, counts))


def uniform_mask() -> RandomMask:
    """Random masks, the same density in every layer."""
    return RandomMask("uniform")


def epl_mask() -> RandomMask:
    """Random masks, the same number of weights in every layer."""
    return RandomMask("epl")


def epf_mask() -> RandomMask:
    """Random masks, the same number of weights for every neuron."""
    return RandomMask("epf")


def erk_mask() -> RandomMask:
    """Random masks, layer densities of Erdos-Renyi-Kernel."""
    return RandomMask("erk")


def layer_counts(
    nets: NetBatch, budget: Budget, allocation: str, rounding: str = "exact"
) -> npt.NDArray[np.int64]:
    """Weights to keep in each layer, int64 [net, layer]; see ``counts_of``.

    In ``paper`` mode, where ``exact`` stands for nothing else, each layer is rounded by itself
    as rigl-torch does.
    """
    shapes = layer_shapes(nets)
    if rounding == "exact" and not budget.exact:
        rounding = "truncated"
    goals = [int(k) for k in budget.weight_nonzeros]
    known = {k: counts_of(shapes, k, allocation, rounding) for k in set(goals)}
    return np.stack([known[k] for k in goals])


def random_kept(nets: NetBatch, budget: Budget, counts: npt.NDArray[np.int64]) -> Bits:
    """bool [net, weight]: ``counts`` [net, layer] weights of each layer, drawn by run key."""
    keys = budget.keys.philox_keys()
    parts = []
    for layer, shape in enumerate(layer_shapes(nets)):
        draws = uniform(keys, layer, shape[0], int(np.prod(shape[1:])), _STREAM)
        parts.append(top(draws.reshape(len(nets), -1), counts[:, layer]))
    return np.concatenate(parts, axis=1)
