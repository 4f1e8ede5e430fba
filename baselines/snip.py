"""SNIP: one saliency on one minibatch (Lee, Ajanthan, Torr 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from combsearch.baselines.gradients import loss_gradients
from combsearch.baselines.thresholds import at_least
from combsearch.baselines.xavier import reinitialised
from combsearch.nets import NetBatch
from combsearch.pruning import Budget, flatten, keep_top, masked, note_collapse


@dataclass(frozen=True)
class Snip:
    """Keeps the weights of the largest ``|w dL/dw|`` on one minibatch, before training.

    In ``paper`` mode weights are drawn anew first (see ``Budget.reinitialise``), scores are
    divided by their sum, and what reaches the threshold stays: more than the budget where
    scores tie, nothing where all are 0.
    """

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        nets = reinitialised(nets, budget)
        gradients = loss_gradients(nets, budget, *budget.draw(0))
        scores = {name: np.abs(nets.params[name] * g) for name, g in gradients.items()}
        if budget.exact:
            return keep_top(nets, scores, budget)
        flat = flatten(nets, scores)
        note_collapse(flat, budget)
        with np.errstate(invalid="ignore"):
            shares = flat / flat.sum(axis=1, keepdims=True)
        return masked(nets, at_least(shares, budget.weight_nonzeros))
