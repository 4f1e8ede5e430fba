"""RigL: sparse from the start, small weights make room for promising ones (Evci et al. 2020)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from combsearch.baselines.gradients import loss_gradients
from combsearch.baselines.random_mask import layer_counts, random_kept
from combsearch.errors import UsageError
from combsearch.nets import Arrays, NetBatch
from combsearch.pruning import Bits, Budget, Floats, flatten, masked, top, unflatten


@dataclass(frozen=True)
class RigL:
    """Random masks that move during training; every layer keeps its number of weights.

    Every ``interval`` steps, in place of an optimiser step, each layer drops a share of its
    weights, the smallest, and grows as many where the loss gradient is largest. The share is
    ``fraction / 2 (1 + cos(pi t / T))`` until step T, ``end`` of the run. Grown weights start
    at 0; the momentum of masked weights is 0, and so are the mean squares that Adam carries for
    them: a weight that was dropped and grows again begins anew, as google-research/rigl sets
    every slot of its optimiser back. Adam's count of steps goes on, so that its first step for
    a grown weight is sqrt(0.1^2 / 0.001), 3.2 times the rate at most. The paper's text says
    every 200 steps, its code 100, as RigL's authors do.

    Networks that a budget has trained already, up to ``budget.spent.position``, go on from there
    with the masks that they have, so that an interrupted training may be taken up again. Where
    the next step is one that moves weights, it is still to come.

    Attributes:
        interval: steps from update to update.
        fraction: share of the weights that moves at first.
        end: share of the run in which weights move.
        allocation: how layers share the budget, see ``RandomMask``; RigL's own is ``erk``.
        rounding: see ``layer_counts``.

    Raises:
        UsageError: an interval below 1.
    """

    interval: int = 100
    fraction: float = 0.3
    end: float = 0.75
    allocation: str = "erk"
    rounding: str = "exact"

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise UsageError(f"interval is {self.interval}, it must be from 1 up")

    def prune(self, nets: NetBatch, budget: Budget) -> NetBatch:
        """See ``Pruner.prune``."""
        stop, taken = int(self.end * budget.total_steps), budget.spent.position
        if not taken:
            counts = layer_counts(nets, budget, self.allocation, self.rounding)
            nets = masked(nets, random_kept(nets, budget, counts))
        for step in range(self.interval, stop, self.interval):
            if step <= taken:
                continue
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
        stays = {name: (moved.masks[name] != 0) & (mask != 0) for name, mask in nets.masks.items()}
        momenta = {
            name: np.where(stays[name], v, np.float32(0)) for name, v in nets.momenta.items()
        }
        # A bias whose neuron leads on again starts at 0, as a grown weight does.
        return dataclasses.replace(moved, momenta=momenta, adam=_of_staying(nets.adam, stays))


def _of_staying(adam: Arrays, stays: Mapping[str, Bits]) -> Arrays:
    """``adam`` with squares of 0 for what does not stay; see ``NetBatch.adam``."""
    if not adam:
        return {}
    flat = np.concatenate([bits.reshape(len(bits), -1) for bits in stays.values()], axis=1)
    return {**adam, "squares": np.where(flat, adam["squares"], np.float32(0))}


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
