"""RigL: sparse from the start, small weights make room for promising ones (Evci et al. 2020)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from combsearch.baselines.gradients import loss_gradients
from combsearch.baselines.random_mask import layer_counts, random_kept
from combsearch.nets import NetBatch
from combsearch.pruning import Bits, Budget, Floats, flatten, masked, top, unflatten


@dataclass(frozen=True)
class RigL:
    """Random ERK masks that move during training; every layer keeps its number of weights.

    Every ``interval`` steps, in place of an optimiser step, each layer drops a share of its
    weights, the smallest, and grows as many where the loss gradient is largest. The share is
    ``fraction / 2 (1 + cos(pi t / T))`` until step T, ``end`` of the run. Grown weights start
    at 0; the momentum of masked weights is 0. The paper's text says every 200 steps, its
    code 100, as RigL's authors do.
    """

    interval: int = 100
    fraction: float = 0.3
    end: float = 0.75

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        counts = layer_counts(nets, budget, "erk")
        nets = masked(nets, random_kept(nets, budget, counts))
        stop, taken = int(self.end * budget.total_steps), 0
        for step in range(self.interval, stop, self.interval):
            # Step numbers count from 1 here: the update takes the place of that step.
            nets = budget.fit(nets, slice(taken, step - 1))
            share = self.fraction / 2 * (1 + math.cos(math.pi * step / stop))
            nets = self._moved(nets, budget, step - 1, share)
            taken = step
        return budget.fit(nets, slice(taken, None))

    def _moved(self, nets: NetBatch, budget: Budget, step: int, share: float) -> NetBatch:
        """``nets`` after an update on the minibatch of ``step``."""
        gradients = loss_gradients(nets, budget, *budget.minibatch(step))
        weights = unflatten(nets, np.abs(flatten(nets, nets.params)))
        parts = [
            _update(weights[name], nets.masks[name] != 0, np.abs(gradients[name]), share)
            for name in nets.network.prunable
        ]
        moved = masked(nets, np.concatenate(parts, axis=1))
        momenta = {
            name: np.where((moved.masks[name] != 0) & (nets.masks[name] != 0), v, np.float32(0))
            for name, v in nets.momenta.items()
        }
        # A bias whose neuron leads on again starts at 0, as a grown weight does.
        return dataclasses.replace(moved, momenta=momenta)


def _update(sizes: Floats, kept: Bits, gradients: Floats, share: float) -> Bits:
    """What one layer keeps after an update: bool [net, weight]; arguments are [net, out, in]."""
    n = len(kept)
    sizes, kept, gradients = sizes.reshape(n, -1), kept.reshape(n, -1), gradients.reshape(n, -1)
    numbers = kept.sum(axis=1)
    moves = (share * numbers).astype(np.int64)
    staying = top(np.where(kept, sizes, -np.inf), numbers - moves)
    # Of the dropped ones those with large gradients come back, as RigL's authors have it.
    grown = top(np.where(staying, -np.inf, gradients), moves)
    return staying | grown
