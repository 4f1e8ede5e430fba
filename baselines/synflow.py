"""SynFlow: the flow through a network of absolute weights, without data (Tanaka et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.baselines.gradients import Named, cut, floats_of, lifted
from combsearch.baselines.steps import geometric
from combsearch.baselines.thresholds import above
from combsearch.nets import Arrays, NetBatch
from combsearch.pruning import Bits, Budget, flatten, masked, note_collapse, top, weights_of


@dataclass(frozen=True)
class SynFlow:
    """Keeps the weights of the largest ``|w dR/dw|`` in ``steps`` exponential steps.

    R is the sum of the outputs for an input of ones, with the absolute values of all weights
    and biases. In ``paper`` mode weights strictly above the threshold stay, so one fewer
    than the budget.
    """

    steps: int = 100

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        kept = np.ones((len(nets), weights_of(nets)), np.bool_)
        for step in range(1, self.steps + 1):
            smaller = cut(nets, kept)
            scores = flatten(nets, _flow(smaller, budget))
            note_collapse(scores, budget)
            kept = _chosen(scores, kept, budget, step / self.steps)
        return masked(nets, kept)


def _flow(nets: NetBatch, budget: Budget) -> dict[str, npt.NDArray[Any]]:
    """``|w dR/dw|`` of every prunable weight: name -> [net, ...]."""
    names, inputs = nets.network.prunable, budget.task.x.shape[1:]

    def flow(weights: Named, sizes: Named, state: Arrays) -> torch.Tensor:
        ones = torch.ones((1, *inputs))
        return nets.network.apply({**sizes, **weights}, state, ones)[0].sum()

    def scores(params: Named, state: Arrays) -> Named:
        sizes = {name: p.abs() for name, p in params.items()}
        weights = {name: sizes[name] for name in names}
        gradients = torch.func.grad(flow)(weights, sizes, state)
        return {name: (gradients[name] * weights[name]).abs() for name in names}

    budget.charge(nets, 1)
    return lifted(scores, nets, floats=floats_of(nets, 1))


def _chosen(scores: npt.NDArray[Any], kept: Bits, budget: Budget, share: float) -> Bits:
    """The weights that stay after ``share`` of the steps."""
    weights, goal = scores.shape[1], budget.weight_nonzeros
    if budget.exact:
        return top(np.where(kept, scores, -np.inf), geometric(weights, goal, share))
    # The authors' code truncates the number that goes, not the one that stays.
    gone = (weights * (1 - (goal / weights) ** share)).astype(np.int64)
    return above(scores, weights - gone) & kept
