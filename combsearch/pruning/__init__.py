"""What a pruner is, what it is given, and the exact top-k that most of them end with.

A pruner takes networks and gives them back with fewer weights::

    class SmallestGo:
        def prune(self, nets, budget):
            scores = {name: np.abs(nets.params[name]) for name in nets.network.prunable}
            return keep_top(nets, scores, budget)

It is called once for many networks at a time (budgets x cells x restarts). One that prunes
during training calls ``budget.fit`` as often as it likes; whatever steps its last call left
are taken afterwards, all of them for a pruner that never trained.

Two modes. ``exact``: the masks keep exactly the budget. ``paper``: what the authors' code of
"Sparsest Models Elude Pruning" (ICML 2024) does, its off-by-one thresholds included.
"""

from __future__ import annotations

from typing import Protocol

from combsearch.nets import NetBatch
from combsearch.pruning.budget import COMPATS, Bits, Budget, Floats, Integers, Spent
from combsearch.pruning.keeping import (
    as_budgets,
    emptied,
    flatten,
    keep_top,
    kth_largest,
    masked,
    note_collapse,
    rewound,
    top,
    unflatten,
    weights_of,
)

__all__ = [
    "COMPATS",
    "Bits",
    "Budget",
    "Floats",
    "Integers",
    "Pruner",
    "Spent",
    "as_budgets",
    "emptied",
    "flatten",
    "keep_top",
    "kth_largest",
    "masked",
    "note_collapse",
    "rewound",
    "top",
    "unflatten",
    "weights_of",
]


class Pruner(Protocol):
    """A pruning algorithm."""

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """``nets`` (numpy arrays, dense, left as they are) with at most the budget's weights."""
        ...
