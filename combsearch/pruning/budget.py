"""What a pruner is given besides the networks, and what pruning has cost."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, Trainer, minibatch, step_range

COMPATS = ("exact", "paper")
_TWIN_STEPS = 1000  # training so long is worth looking for networks that are the same

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


@dataclass(eq=False)
class Spent:
    """What pruning n networks has cost so far, and on which it failed.

    Attributes:
        position: the step after the last that was trained.
        flops: float64 [net], operations as the paper counts them: one a nonzero parameter
            and sample (its table 1: dense width 16 is 609 x 49,920 x 50 = 1.52e9).
        collapsed: bool [net], the method had nothing to choose by, such as scores all zero.
    """

    position: int
    flops: npt.NDArray[np.float64]
    collapsed: Bits


@dataclass(frozen=True, eq=False)
class Budget:
    """What a pruner is given besides n networks.

    Attributes:
        weight_nonzeros: int64 [net], weights to keep.
        task: what the networks are to learn.
        recipes: how each is trained; they differ in lr and schedule only.
        keys: n run keys; they fix the minibatches and random choices.
        trainer: what ``fit`` trains with.
        compat: ``exact`` or ``paper``.
        reinitialise: in ``paper`` mode SNIP and GraSP draw new initial weights first, as the
            authors' code does unless runs start from given weights.
        batch_index: int [batch, point], rows of ``task.x`` that take the place of the run's
            minibatches; None where the networks are to be trained.
        device: what scores are computed on, ``cpu``, ``cuda``, ``cuda:1`` or ``auto``;
            training is the trainer's.
        spent: what it has cost; ``fit`` and ``charge`` add to it.
    """

    weight_nonzeros: Integers
    task: Task
    recipes: tuple[Recipe, ...]
    keys: RunKeys
    trainer: Trainer
    compat: str = "exact"
    reinitialise: bool = False
    batch_index: npt.NDArray[np.int64] | None = None
    device: str = "cpu"
    spent: Spent = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        n = len(self.weight_nonzeros)
        if not n == len(self.recipes) == len(self.keys):
            raise UsageError(
                f"{n} budgets, {len(self.recipes)} recipes and {len(self.keys)} run keys:"
                " there must be one of each a network"
            )
        if self.compat not in COMPATS:
            raise UsageError(f"compat is {self.compat!r}, it must be one of {', '.join(COMPATS)}")
        if self.device != "cpu":
            object.__setattr__(self, "device", _device(self.device))
        object.__setattr__(self, "spent", Spent(0, np.zeros(n), np.zeros(n, np.bool_)))

    @property
    def exact(self) -> bool:
        """Whether masks keep exactly the budget."""
        return self.compat == "exact"

    @property
    def total_steps(self) -> int:
        """Optimiser steps of a whole training run."""
        return self.recipes[0].total_steps(self.task.points)

    def fit(self, nets: NetBatch, steps: slice = ALL_STEPS) -> NetBatch:
        """Train ``nets`` (all n, in their order) over ``steps``; networks that are equal once."""
        start, stop = step_range(steps, self.total_steps)
        twins = _twins(nets, self) if stop - start >= _TWIN_STEPS else None
        if twins is None:
            trained = self.trainer.fit(nets, self.task, self.recipes, self.keys, slice(start, stop))
        else:
            one, group = twins
            recipes, keys = [self.recipes[i] for i in one], self.keys[one]
            some = self.trainer.fit(nets[one], self.task, recipes, keys, slice(start, stop))
            trained = some[group]
        self.charge(nets, (stop - start) * self.recipes[0].batch_size)
        self.spent.position = stop
        return trained

    def fit_some(self, nets: NetBatch, which: Integers) -> NetBatch:
        """Train ``nets`` whole: those of these numbers only, in this order, as ``fit`` would."""
        some = dataclasses.replace(
            self,
            weight_nonzeros=self.weight_nonzeros[which],
            recipes=tuple(self.recipes[i] for i in which),
            keys=self.keys[which],
        )
        trained = some.fit(nets)
        self.spent.flops[which] += some.spent.flops
        self.spent.position = some.spent.position
        return trained

    def finish(self, nets: NetBatch) -> NetBatch:
        """``nets`` trained over the steps that the pruner's last ``fit`` left, all if none was."""
        if self.spent.position == self.total_steps:
            return nets
        return self.fit(nets, slice(self.spent.position, None))

    def charge(self, nets: NetBatch, samples: int) -> None:
        """Count the operations of passing ``samples`` through each of ``nets``."""
        kept = [np.count_nonzero(m.reshape(len(m), -1), axis=1) for m in nets.masks.values()]
        self.spent.flops += np.sum(kept, axis=0) * float(samples)

    def minibatch(self, step: int) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """What ``step`` trains on: x float32 [net, batch, in], y uint8 [net, batch].

        Images are as they are, also where training augments them.
        """
        rows = self.rows(step)
        return self.task.x[rows], self.task.y[rows]

    def draw(self, number: int) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """The ``number``-th minibatch that scores ask for, as ``minibatch``.

        The authors' code takes the first of a newly shuffled loader each time: here it is
        the run's minibatch of that number, and of ``batch_index`` always the first.
        """
        return self.minibatch(0 if self.batch_index is not None else number)

    def rows(self, step: int) -> npt.NDArray[np.int64]:
        """Rows of ``task.x`` that ``step`` trains on: int [net, batch]."""
        n = len(self.weight_nonzeros)
        if self.batch_index is not None:
            one = self.batch_index[step % len(self.batch_index)]
            return np.broadcast_to(one, (n, len(one)))
        recipe, points, seed = self.recipes[0], self.task.points, self.keys.seed
        blocks, place = np.unique(self.keys.blocks(), return_inverse=True)
        known = [minibatch(recipe, points, step, seed, int(block)) for block in blocks]
        return np.stack(known).astype(np.int64)[place]


def _device(name: str) -> str:
    """``name``, which torch finds, and for ``auto`` what there is."""
    import torch

    from combsearch.trainers.vmap import VmapTrainer

    VmapTrainer(name)  # raises a UsageError where there is no such device
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _twins(
    nets: NetBatch, budget: Budget
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """(one network of each group of equal ones, the group of each network); None if all differ.

    Equal are those with the same arrays, recipe and minibatches: the same becomes of them.
    """
    if len(nets) == 1:
        return None
    seen: dict[Any, int] = {}
    batches = _batches_of(budget)
    groups = [
        seen.setdefault((_content(nets, i), budget.recipes[i], batches[i]), len(seen))
        for i in range(len(nets))
    ]
    if len(seen) == len(nets):
        return None
    group = np.array(groups, np.int64)
    return np.unique(group, return_index=True)[1], group


def _batches_of(budget: Budget) -> list[int | bytes]:
    """For each network what fixes its minibatches: its block, or its key if it has its own."""
    augmentation = budget.task.augmentation
    if augmentation is None or augmentation.shared:
        return [int(block) for block in budget.keys.blocks()]
    return [key.tobytes() for key in budget.keys.philox_keys()]


def _content(nets: NetBatch, index: int) -> bytes:
    whole = hashlib.blake2b(digest_size=16)
    for arrays in (nets.params, nets.masks, nets.momenta, nets.state, nets.adam):
        for array in arrays.values():
            whole.update(np.ascontiguousarray(array[index]).tobytes())
    return whole.digest()
