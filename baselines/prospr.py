"""ProsPr: the effect of the mask on the loss after some steps (Alizadeh et al. 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.baselines.gradients import Named, floats_of, lifted
from combsearch.nets import Arrays, NetBatch, mean_loss
from combsearch.pruning import Budget, flatten, masked, note_collapse, top, weights_of


@dataclass(frozen=True)
class ProsPr:
    """Keeps the weights whose mask has the largest meta-gradient through ``steps`` SGD steps.

    The steps take the run's first minibatches, rate and momentum, the loss the next
    minibatch. In ``paper`` mode the first momentum buffer is a constant, as torch's SGD made
    it, and the budget is rounded up from a share of the weights, which may be one more.
    """

    steps: int = 3

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        scores = np.abs(flatten(nets, self._meta_gradients(nets, budget)))
        note_collapse(scores, budget)
        keep = budget.weight_nonzeros
        if not budget.exact:
            weights = weights_of(nets)
            keep = np.array([math.ceil(weights * (int(k) / weights)) for k in keep], np.int64)
        return masked(nets, top(scores, keep))

    def _meta_gradients(self, nets: NetBatch, budget: Budget) -> dict[str, npt.NDArray[Any]]:
        batches = [budget.minibatch(step) for step in range(self.steps + 1)]
        x, y = (np.stack(arrays, axis=1) for arrays in zip(*batches, strict=True))
        rates = np.array([recipe.rates()[0] for recipe in budget.recipes], np.float32)
        momentum, names = budget.recipes[0].momentum, nets.network.prunable

        def after(
            masks: Named, params: Named, state: Arrays, x: torch.Tensor, y: torch.Tensor, rate: Any
        ) -> torch.Tensor:
            """Loss on the last minibatch after a step on each of the others."""

            def loss(params: Named, number: int) -> torch.Tensor:
                return mean_loss(nets.network.apply(params, state, x[number])[0], y[number])

            params = {**params, **{name: params[name] * masks[name] for name in names}}
            velocity: Named | None = None
            for number in range(self.steps):
                gradient: Named = torch.func.grad(loss)(params, number)
                if velocity is None:
                    velocity = gradient
                    if not budget.exact:
                        velocity = {name: g.detach() for name, g in gradient.items()}
                else:
                    velocity = {n: momentum * velocity[n] + g for n, g in gradient.items()}
                params = {name: p - rate * velocity[name] for name, p in params.items()}
            return loss(params, self.steps)

        def meta(params: Named, state: Arrays, x: Any, y: Any, rate: Any) -> Named:
            masks = {name: torch.ones_like(params[name]) for name in names}
            found: Named = torch.func.grad(after)(masks, params, state, x, y, rate)
            return found

        points = x.shape[1] * x.shape[2]
        budget.charge(nets, points)
        one = floats_of(nets, x[0].reshape(points, -1), y[0].reshape(points))
        return lifted(meta, nets, x, y, rates, floats=4 * one, device=budget.device)
