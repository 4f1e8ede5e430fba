"""FORCE: Iterative SNIP whose pruned weights may come back (de Jorge et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from combsearch.baselines.iter_snip import check_steps, prune_in_steps
from combsearch.nets import NetBatch
from combsearch.pruning import Budget


@dataclass(frozen=True)
class Force:
    """Iterative SNIP with scores of the weights as they were before any was cut.

    In ``paper`` mode weights strictly above the threshold stay: one or two fewer than the
    budget.

    Attributes:
        steps: exponential ones.
        batches: minibatches a step, whose gradients are averaged.

    Raises:
        UsageError: steps or batches below 1.
    """

    steps: int = 10
    batches: int = 1

    def __post_init__(self) -> None:
        check_steps(self.steps, self.batches)

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return prune_in_steps(nets, budget, self.steps, self.batches, returning=True)
