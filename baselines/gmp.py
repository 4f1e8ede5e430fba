"""GMP: gradual magnitude pruning during training (Zhu and Gupta 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from combsearch.baselines.magnitude import by_magnitude
from combsearch.baselines.steps import cubic
from combsearch.nets import NetBatch
from combsearch.pruning import Budget, Integers, weights_of


@dataclass(frozen=True)
class Gmp:
    """Prunes the smallest weights ``times`` times during training, on a cubic schedule.

    Of 19,500 steps the paper prunes every 97th (a 200th of the run), the last time at
    step 199 x 97. In ``paper`` mode one more pruning follows at step 200 x 97, and
    thresholds are strict, so that two weights fewer than the budget are left.
    """

    times: int = 200

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        total = budget.total_steps
        interval = max(1, total // self.times)
        end = interval * max(1, min(self.times, -(-total // interval)) - 1)
        last = end if budget.exact else total - 1
        for step in range(0, last + 1, interval):
            nets = by_magnitude(nets, budget, _left(nets, budget, step / end))
            nets = budget.fit(nets, slice(step, min(step + interval, total)))
        return nets


def _left(nets: NetBatch, budget: Budget, share: float) -> Integers:
    weights, goal = weights_of(nets), budget.weight_nonzeros
    if budget.exact:
        return cubic(weights, goal, share)
    return np.asarray((goal + (weights - goal) * (1 - share) ** 3).astype(np.int64))
