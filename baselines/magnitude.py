"""Magnitude pruning at initialisation: the largest weights stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from combsearch.baselines.thresholds import above
from combsearch.nets import NetBatch
from combsearch.pruning import Budget, Integers, flatten, keep_top, masked


@dataclass(frozen=True)
class Magnitude:
    """Keeps the weights that are largest in size, once, before training.

    In ``paper`` mode strictly above the budget's threshold, so one fewer.
    """

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return by_magnitude(nets, budget, budget.weight_nonzeros)


def by_magnitude(nets: NetBatch, budget: Budget, keep: Integers) -> NetBatch:
    """``nets`` with the ``keep`` [net] weights of largest size, in ``paper`` mode one fewer."""
    scores = {name: np.abs(nets.params[name]) for name in nets.network.prunable}
    if budget.exact:
        # A masked weight is 0 and does not come back, not even among others that are 0:
        # only where too few have a size that is a number, since NaN counts as -inf too.
        kept = {n: np.where(nets.masks[n] != 0, s, -np.inf) for n, s in scores.items()}
        return keep_top(nets, kept, budget, keep)
    return masked(nets, above(flatten(nets, scores), keep))
