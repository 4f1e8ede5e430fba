"""Iterative SNIP: SNIP in small steps (de Jorge, Sanyal, Behl, Torr, Rogez, Dokania 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from combsearch.baselines.gradients import cut, mean_gradients
from combsearch.baselines.steps import geometric
from combsearch.baselines.thresholds import above
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.pruning import Bits, Budget, Floats, flatten, masked, note_collapse, top, weights_of


@dataclass(frozen=True)
class IterSnip:
    """SNIP in ``steps`` exponential steps, ``batches`` minibatches each; what is pruned stays so.

    In ``paper`` mode weights strictly above the threshold stay: one or two fewer than the
    budget, none on collapse.

    Raises:
        UsageError: steps or batches below 1.
    """

    steps: int = 10
    batches: int = 1

    def __post_init__(self) -> None:
        check_steps(self.steps, self.batches)

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        return prune_in_steps(nets, budget, self.steps, self.batches, returning=False)


def check_steps(steps: int, batches: int = 1) -> None:
    """Raise a UsageError where there is no step, or no minibatch in one."""
    if steps < 1 or batches < 1:
        raise UsageError(f"steps is {steps} and batches {batches}, both must be from 1 up")


def prune_in_steps(
    nets: NetBatch, budget: Budget, steps: int, batches: int, returning: bool
) -> NetBatch:
    """Score, cut, score what is left, and so on.

    Args:
        nets: n networks.
        budget: what to keep in the end.
        steps: of all.
        batches: minibatches that the gradient of a step is the mean over.
        returning: a weight that was cut scores by the value that it had, so that it may
            come back (FORCE); else it is gone (Iterative SNIP).
    """
    weights = flatten(nets, nets.params)
    kept = np.ones(weights.shape, np.bool_)
    for step in range(1, steps + 1):
        smaller = cut(nets, kept)
        draws = range((step - 1) * batches, step * batches)
        gradients = mean_gradients(smaller, budget, draws)
        values = weights if returning else flatten(nets, smaller.params)
        scores = np.abs(flatten(nets, gradients) * values)
        note_collapse(scores, budget)
        kept = _chosen(scores, kept, budget, weights_of(nets), step / steps, returning)
    return masked(nets, kept)


def _chosen(
    scores: Floats, kept: Bits, budget: Budget, weights: int, share: float, returning: bool
) -> Bits:
    """The weights that stay after ``share`` of the steps."""
    if budget.exact:
        candidates = scores if returning else np.where(kept, scores, -np.inf)
        return top(candidates, geometric(weights, budget.weight_nonzeros, share))
    # Truncated as the authors' code does it: 16 of 560 weights for a budget of 17.
    left = (weights * np.exp(share * np.log(budget.weight_nonzeros / weights))).astype(np.int64)
    chosen = above(scores, left)
    return chosen if returning else chosen & kept
