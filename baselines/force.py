"""FORCE: Iterative SNIP whose pruned weights may come back (de Jorge et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from combsearch.baselines.iter_snip import prune_in_steps
from combsearch.nets import NetBatch
from combsearch.pruning import Budget


@dataclass(frozen=True)
class Force:
    """Iterative SNIP with scores of the weights as they were before any was cut.

    In ``paper`` mode weights strictly above the threshold stay: one or two fewer than the
    budget.
    """

    steps: int = 10

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return prune_in_steps(nets, budget, self.steps, returning=True)
