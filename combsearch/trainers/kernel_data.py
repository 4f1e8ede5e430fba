"""What the trainers with compiled kernels share: requests, restart blocks, kept minibatches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch, flat_arrays
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import OnStep, Plan, epoch_orders, fused_obstacle, plan_fit

Floats = npt.NDArray[np.float32]
Order = npt.NDArray[np.int32]

_BYTES = 2**26  # minibatches held at once: the 50 epochs of the spiral take 30 MB
_KEPT = 2  # sets of minibatches kept between calls, of all layouts together


def served_shape(
    trainer: str,
    nets: NetBatch,
    task: Task,
    on_step: OnStep | None,
    recipe: Recipe | None = None,
) -> NetShape:
    """The shape of ``nets``, if a compiled kernel can serve the request.

    Raises:
        UsageError: why it cannot.
    """
    obstacle = fused_obstacle(nets, task, on_step, recipe)
    if obstacle is not None:
        raise UsageError(f"trainer {trainer!r} cannot do this: {obstacle}; 'vmap' and 'loop' can")
    assert isinstance(nets.network, MLP)
    return nets.network.shape


def samples_of(task: Task) -> Floats:
    """float32 [point, inputs + 1], the label last."""
    return np.concatenate([task.x, task.y[:, None].astype(np.float32)], axis=1)


def named(flat: Any, like: Arrays) -> Arrays:
    """The inverse of ``nets.flat_arrays``: views with the names and shapes of ``like``.

    Args:
        flat: float32 [net, parameter], numpy or torch.
        like: named arrays.
    """
    arrays: Arrays = {}
    start = 0
    for layer in range(len(like) // 2):
        for name in (f"weight{layer}", f"bias{layer}"):
            size = math.prod(like[name].shape[1:])
            arrays[name] = flat[:, start : start + size].reshape(like[name].shape)
            start += size
    return {name: arrays[name] for name in like}


FitBlock = Callable[
    [Floats, Floats, Floats, npt.NDArray[np.intp], int, Task, Plan, tuple[int, ...]], None
]
"""In place: (w, v, m float32 [net, parameter], which networks, their block, task, plan, widths)."""


def fit_by_block(
    trainer: str,
    fit_block: FitBlock,
    nets: NetBatch,
    task: Task,
    recipe: Recipe | Sequence[Recipe],
    keys: RunKeys,
    steps: slice,
    on_step: OnStep | None,
) -> NetBatch:
    """``Trainer.fit`` of a compiled trainer: ``fit_block`` for each block of restarts."""
    plan = plan_fit(nets, task, recipe, keys, steps)
    widths = served_shape(trainer, nets, task, on_step, plan.recipe).widths
    nets = nets.numpy()
    w, v, m = (flat_arrays(kind) for kind in (nets.params, nets.momenta, nets.masks))
    for block in np.unique(plan.blocks):
        own = np.flatnonzero(plan.blocks == block)
        fit_block(w, v, m, own, int(block), task, plan, widths)
    return NetBatch(
        nets.network, named(w, nets.params), nets.masks, named(v, nets.params), nets.state
    )


@dataclass(frozen=True)
class Layout:
    """How a kernel wants its minibatches.

    Attributes:
        padded: samples of a batch -> samples that it takes up.
        samples: ``samples_of`` -> those as ``fill`` reads them.
        room: (epochs, steps, columns, samples of a batch) -> float32 [epoch, ...], unwritten.
        fill: writes one epoch: (its part of the room, samples, order, samples of a batch).
    """

    padded: Callable[[int], int]
    samples: Callable[[Floats], Floats]
    room: Callable[[int, int, int, int], Floats]
    fill: Callable[[Floats, Floats, Order, int], None]


class Minibatches:
    """The minibatches of some epochs, laid out when they are asked for.

    A run may be trained in pieces, such as a race or between prunings: they are made once.
    """

    def __init__(self, task: Task, plan: Plan, block: int, epochs: range, layout: Layout) -> None:
        self._key = _key(plan, block, epochs, layout)
        self._x, self._y = task.x.copy(), task.y.copy()
        self._layout, self._seed, self._block = layout, plan.seed, block
        self._first, self._batch = epochs.start, plan.recipe.batch_size
        self._samples = layout.samples(samples_of(task))
        shape = (len(epochs), plan.steps_per_epoch, task.inputs + 1, self._batch)
        self.room = layout.room(*shape)  # memory that is never written is never taken
        self._ready: set[int] = set()

    def serves(self, task: Task, plan: Plan, block: int, epochs: range, layout: Layout) -> bool:
        """Whether these are what the arguments ask for, with the points as they are now."""
        # Points are compared, which takes a tenth of what a digest of them does.
        same = self._key == _key(plan, block, epochs, layout) and np.array_equal(task.x, self._x)
        return same and np.array_equal(task.y, self._y)

    def of(self, first: int, last: int) -> Floats:
        """The epochs ``first`` to ``last`` - 1: float32 [epoch, ...]."""
        for epoch in {*range(first, last)} - self._ready:
            order = epoch_orders(self._seed, self._block, epoch, len(self._y))
            self._layout.fill(self.room[epoch - self._first], self._samples, order, self._batch)
            self._ready.add(epoch)
        return self.room[first - self._first : last - self._first]


kept: list[Minibatches] = []
"""The last few, oldest first."""


def segments(
    task: Task, plan: Plan, block: int, layout: Layout
) -> Iterator[tuple[int, int, Floats]]:
    """(first step, last step, their minibatches) in pieces of bounded memory."""
    per_epoch, batch = plan.steps_per_epoch, plan.recipe.batch_size
    size = per_epoch * layout.padded(batch) * (task.inputs + 1) * 4
    held = min(plan.recipe.epochs, max(1, _BYTES // size))
    epoch = plan.start // per_epoch
    while epoch * per_epoch < plan.stop:
        start = epoch // held * held
        end = min(start + held, -(-plan.stop // per_epoch))
        batches = _minibatches(task, plan, block, range(start, start + held), layout)
        first, last = max(plan.start, epoch * per_epoch), min(plan.stop, end * per_epoch)
        yield first, last, batches.of(epoch, end)
        epoch = end


def _minibatches(task: Task, plan: Plan, block: int, epochs: range, layout: Layout) -> Minibatches:
    for batches in kept:
        if batches.serves(task, plan, block, epochs, layout):
            return batches
    kept.append(Minibatches(task, plan, block, epochs, layout))
    del kept[:-_KEPT]
    return kept[-1]


def _key(plan: Plan, block: int, epochs: range, layout: Layout) -> tuple[object, ...]:
    return plan.seed, block, epochs, plan.recipe.batch_size, layout
