"""LTH: train, prune, rewind, and again (the lottery ticket hypothesis, Frankle, Carbin 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from combsearch.baselines.magnitude import by_magnitude
from combsearch.baselines.steps import geometric
from combsearch.nets import NetBatch
from combsearch.pruning import Budget, Integers, rewound, weights_of


@dataclass(frozen=True)
class Lth:
    """Whole trainings with a magnitude pruning after each but the last.

    After each the weights that stay go back to their initial values, and optimiser and
    schedule start anew. In ``paper`` mode the number left is truncated and the threshold
    strict: one or two weights fewer than the budget are left.
    """

    prunings: int = 4

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        ticket = nets
        for pruning in range(1, self.prunings + 1):
            trained = budget.fit(ticket)
            share = pruning / self.prunings
            keep = left(weights_of(nets), budget.weight_nonzeros, share, budget.exact)
            smaller = by_magnitude(trained, budget, keep)
            ticket = rewound(smaller, nets)
        return budget.fit(ticket)


def left(weights: int, budget: Integers, share: float, exact: bool) -> Integers:
    """Weights left after ``share`` of the prunings: N (K/N)^share, truncated unless ``exact``.

    The product is K itself at the end but for rounding: of 44 weights and a budget of 15 the
    authors' code makes 14.
    """
    if exact:
        return geometric(weights, budget, share)
    return np.asarray((weights * (budget / weights) ** share).astype(np.int64))
