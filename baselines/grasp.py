"""GraSP: what keeps the gradient flowing stays (Wang, Zhang, Grosse 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.baselines.gradients import Named, floats_of, lifted
from combsearch.baselines.thresholds import below
from combsearch.baselines.xavier import reinitialised
from combsearch.errors import UsageError
from combsearch.nets import Arrays, NetBatch, mean_loss
from combsearch.pruning import Budget, flatten, masked, note_collapse, top

_MOST_BATCHES = 100_000  # searched for samples of a class


@dataclass(frozen=True)
class Grasp:
    """Prunes the weights of the highest ``-w (H g)``, g and H those of the loss at the start.

    g and H come from ``samples`` points a class, a class at a time, with logits divided by
    ``temperature``. In ``paper`` mode weights are drawn anew first (see
    ``Budget.reinitialise``), scores are divided by the size of their sum, and only those
    strictly below the threshold stay: fewer than the budget where scores tie.
    """

    samples: int = 25
    temperature: float = 200.0

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        nets = reinitialised(nets, budget)
        x, y = class_samples(budget, self.samples)
        flat = flatten(nets, _scores(nets, budget, x, y, self.temperature))
        note_collapse(flat, budget)
        if budget.exact:
            return masked(nets, top(-flat, budget.weight_nonzeros))
        shares = flat / (np.abs(flat.sum(axis=1, keepdims=True)) + np.float32(1e-10))
        return masked(nets, below(shares, budget.weight_nonzeros))


def class_samples(budget: Budget, samples: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """The first ``samples`` points of each class in the order of the minibatches.

    Returns:
        x [net, class, sample, ...] and y uint8 [net, class, sample].

    Raises:
        UsageError: a class has not so many points.
    """
    task, known = budget.task, {}
    rare = [c for c in range(task.classes) if np.count_nonzero(task.y == c) < samples]
    if rare:
        raise UsageError(f"task {task.name!r} has fewer than {samples} points of class {rare[0]}")
    blocks = budget.keys.blocks()
    for place in np.unique(blocks, return_index=True)[1]:
        known[int(blocks[place])] = _first_of_each(budget, int(place), samples)
    rows = np.stack([known[int(block)] for block in blocks])
    return task.x[rows], task.y[rows]


def _first_of_each(budget: Budget, place: int, samples: int) -> npt.NDArray[np.int64]:
    """Rows of the task, int64 [class, sample], for the network at ``place``."""
    found: list[list[int]] = [[] for _ in range(budget.task.classes)]
    for step in range(_MOST_BATCHES):
        for row in budget.rows(step)[place]:
            of_class = found[int(budget.task.y[row])]
            if len(of_class) < samples:
                of_class.append(int(row))
        if all(len(of_class) == samples for of_class in found):
            return np.array(found, np.int64)
    raise UsageError("the minibatches lack points of a class")


def _scores(
    nets: NetBatch,
    budget: Budget,
    x: npt.NDArray[Any],
    y: npt.NDArray[np.uint8],
    temperature: float,
) -> dict[str, npt.NDArray[Any]]:
    """``-w (H g)`` of every prunable weight: name -> [net, ...]."""
    names = nets.network.prunable

    def scores(params: Named, state: Arrays, x: torch.Tensor, y: torch.Tensor) -> Named:
        chosen = {name: params[name] for name in names}

        def gradients(weights: Named) -> Named:
            """Summed over the classes, each the mean over its points."""

            def loss(weights: Named) -> torch.Tensor:
                parts = []
                for of_class in range(x.shape[0]):
                    logits, _ = nets.network.apply({**params, **weights}, state, x[of_class])
                    parts.append(mean_loss(logits / temperature, y[of_class]))
                return torch.stack(parts).sum()

            found: Named = torch.func.grad(loss)(weights)
            return found

        g, products, *_ = torch.func.vjp(gradients, chosen)
        (hg,) = products({name: a.detach() for name, a in g.items()})  # H is symmetric
        return {name: -chosen[name] * hg[name] for name in names}

    points = x.shape[1] * x.shape[2]
    budget.charge(nets, 2 * points)
    one = floats_of(nets, x[0].reshape(points, -1), y[0].reshape(points))
    return lifted(scores, nets, x, y, floats=3 * one, device=budget.device)
