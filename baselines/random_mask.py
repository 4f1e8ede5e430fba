"""Random masks: the floor that every method should clear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.baselines.layer_budgets import (
    ALLOCATIONS,
    layer_shapes,
    spent_exactly,
    truncated,
)
from combsearch.nets import NetBatch
from combsearch.pruning import Bits, Budget, masked, top
from combsearch.registry import lookup
from combsearch.rng import uniform

_STREAM = 2  # of ``rng.uniform``: 0 and 1 are initial weights and biases, 3 Xavier's


@dataclass(frozen=True)
class RandomMask:
    """Keeps weights drawn at random, layer by layer.

    Attributes:
        allocation: how layers share the budget: ``uniform``, ``epl`` (equal per layer),
            ``epf`` (equal per filter) or ``erk``.
    """

    allocation: str = "erk"

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return masked(nets, random_kept(nets, budget, layer_counts(nets, budget, self.allocation)))


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


def layer_counts(nets: NetBatch, budget: Budget, allocation: str) -> npt.NDArray[np.int64]:
    """Weights to keep in each layer, int64 [net, layer]; they add up to the budget.

    In ``paper`` mode each layer is rounded by itself, as rigl-torch does.
    """
    densities = lookup("allocation", allocation, ALLOCATIONS)
    shapes = layer_shapes(nets)
    known = {}
    for k in {int(k) for k in budget.weight_nonzeros}:
        found = densities(shapes, k)
        known[k] = spent_exactly(found, shapes, k) if budget.exact else truncated(found, shapes)
    return np.stack([known[int(k)] for k in budget.weight_nonzeros])


def random_kept(nets: NetBatch, budget: Budget, counts: npt.NDArray[np.int64]) -> Bits:
    """bool [net, weight]: ``counts`` [net, layer] weights of each layer, drawn by run key."""
    keys = budget.keys.philox_keys()
    parts = []
    for layer, shape in enumerate(layer_shapes(nets)):
        draws = uniform(keys, layer, shape[0], int(np.prod(shape[1:])), _STREAM)
        parts.append(top(draws.reshape(len(nets), -1), counts[:, layer]))
    return np.concatenate(parts, axis=1)
