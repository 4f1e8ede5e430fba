"""Very sparse networks, one at a time: only kept weights are touched (numba, one CPU core).

A run costs what its kept weights and live neurons cost, whatever the width of the network. The
result is bitwise the same whatever else is in the batch, and in however many segments it is
trained. For one output, 1 to 5 hidden layers and up to 16 inputs.

What is kept is trained as ``trainers.base`` says. The momenta of masked parameters are left
as they are; other trainers go on adding gradients to them. Nobody reads them unless a mask
brings a parameter back: whoever does that says what its momentum shall be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch, Scores, flat_arrays
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import (
    ALL_STEPS,
    OnStep,
    Plan,
    epoch_orders,
    fused_obstacle,
    plan_fit,
)

try:
    from combsearch.kernels import sparse
except ValueError as error:  # of COMBSEARCH_LANES
    raise UsageError(str(error)) from error

Floats = npt.NDArray[np.float32]
_MINIBATCH_BYTES = 2**26  # minibatches held at once: the 50 epochs of the spiral take 30 MB
_CALL_WORK = 2 * 10**8  # steps x kept parameters of a call, two seconds: no signal interrupts it
_KEPT = 2  # sets of minibatches that are kept between calls


@dataclass(frozen=True)
class SparseTrainer:
    """Trains MLPs weight by weight, a minibatch point a vector lane."""

    @property
    def name(self) -> str:
        """``"sparse"``."""
        return "sparse"

    def prepare(self) -> None:
        """Compile the kernels, or load them from the disk, before anything waits for them."""
        widths, samples = (2, 1, 1), np.zeros((1, 3), np.float32)
        w, v, m, rates = (np.zeros(size, np.float32) for size in (5, 5, 5, 1))
        batches = sparse.gather(samples, np.zeros((1, 1), np.int32), 1)
        sparse.train(w, v, m, rates, batches, widths, batch=1, first=0, last=1, momentum=0, decay=0)
        sparse.score(w, m, sparse.scored(samples), widths)

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; ``on_step`` is not possible. Momenta of masked parameters stay."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        widths = _shape(nets, task, on_step).widths
        nets = nets.numpy()
        w, v, m = (flat_arrays(kind) for kind in (nets.params, nets.momenta, nets.masks))
        for block in np.unique(plan.blocks):
            own = np.flatnonzero(plan.blocks == block)
            _fit_block(w, v, m, own, int(block), task, plan, widths)
        return NetBatch(
            nets.network, _named(w, nets.params), nets.masks, _named(v, nets.params), nets.state
        )

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``; the sums are those of training, bit for bit."""
        widths = _shape(nets, task, None).widths
        nets = nets.numpy()
        w, m = flat_arrays(nets.params), flat_arrays(nets.masks)
        points = sparse.scored(_samples(task))
        found = [sparse.score(*net, points, widths) for net in zip(w, m, strict=True)]
        correct = np.array([right for right, _ in found], np.int64)
        return Scores(correct, task.points, np.array([not finite for _, finite in found], np.bool_))


def _shape(nets: NetBatch, task: Task, on_step: OnStep | None) -> NetShape:
    obstacle = fused_obstacle(nets, task, on_step)
    if obstacle is not None:
        raise UsageError(f"trainer 'sparse' cannot do this: {obstacle}; 'vmap' and 'loop' can")
    assert isinstance(nets.network, MLP)
    return nets.network.shape


def _fit_block(
    w: Floats, v: Floats, m: Floats, own: npt.NDArray[np.intp], block: int, task: Task, plan: Plan,
    widths: tuple[int, ...],
) -> None:  # fmt: skip
    """Train the networks ``own``, all of one restart block, in place."""
    rates, recipe = plan.rates.astype(np.float32), plan.recipe
    for first, last, batches in _segments(task, plan, block):
        for i in own:
            size = max(1, _CALL_WORK // max(1, np.count_nonzero(m[i])))
            for start in range(first, last, size):
                sparse.train(
                    w[i], v[i], m[i], rates[i], batches, widths, batch=recipe.batch_size,
                    first=start, last=min(start + size, last), momentum=recipe.momentum,
                    decay=recipe.weight_decay,
                )  # fmt: skip


def _segments(task: Task, plan: Plan, block: int) -> Iterator[tuple[int, int, Floats]]:
    """(first step, last step, their minibatches) in pieces of bounded memory."""
    per_epoch, batch = plan.steps_per_epoch, plan.recipe.batch_size
    size = per_epoch * sparse.padded(batch) * (task.inputs + 1) * 4
    held = min(plan.recipe.epochs, max(1, _MINIBATCH_BYTES // size))
    epoch = plan.start // per_epoch
    while epoch * per_epoch < plan.stop:
        start = epoch // held * held
        end = min(start + held, -(-plan.stop // per_epoch))
        batches = _minibatches(task, plan, block, start, held)
        first, last = max(plan.start, epoch * per_epoch), min(plan.stop, end * per_epoch)
        yield first, last, batches.of(epoch, end)
        epoch = end


class _Minibatches:
    """The minibatches of some epochs, gathered for the kernel when they are asked for."""

    def __init__(self, task: Task, plan: Plan, block: int, start: int, held: int) -> None:
        self.key = _key(plan, block, start, held)
        self._x, self._y = task.x.copy(), task.y.copy()
        self._rows, self._order = sparse.rows(_samples(task)), (plan.seed, block)
        self._start, self._batch = start, plan.recipe.batch_size
        shape = plan.steps_per_epoch, task.inputs + 1, sparse.padded(self._batch)
        # Memory that is never written is never taken.
        self._epochs = sparse.aligned(held, *shape)
        self._ready: set[int] = set()

    def serves(self, task: Task, key: tuple[int, ...]) -> bool:
        """Whether these are the minibatches of ``key`` and of the points as they are now."""
        # Points are compared, which takes a tenth of what a digest of them does.
        same = key == self.key and np.array_equal(task.x, self._x)
        return same and np.array_equal(task.y, self._y)

    def of(self, first: int, last: int) -> Floats:
        """float32 [epoch, step, inputs + 1, point] of the epochs ``first`` to ``last`` - 1."""
        for epoch in {*range(first, last)} - self._ready:
            order = epoch_orders(*self._order, epoch, len(self._y))
            sparse.fill(self._epochs[epoch - self._start], self._rows, order, self._batch)
            self._ready.add(epoch)
        return self._epochs[first - self._start : last - self._start]


_minibatches_kept: list[_Minibatches] = []


def _key(plan: Plan, block: int, start: int, held: int) -> tuple[int, ...]:
    return plan.seed, block, start, held, plan.recipe.batch_size


def _minibatches(task: Task, plan: Plan, block: int, start: int, held: int) -> _Minibatches:
    """The minibatches of ``held`` epochs from ``start`` on; the last few are kept."""
    key = _key(plan, block, start, held)
    for kept in _minibatches_kept:
        if kept.serves(task, key):
            return kept
    _minibatches_kept.append(_Minibatches(task, plan, block, start, held))
    del _minibatches_kept[:-_KEPT]
    return _minibatches_kept[-1]


def _samples(task: Task) -> Floats:
    """float32 [point, inputs + 1], the label last."""
    return np.concatenate([task.x, task.y[:, None].astype(np.float32)], axis=1)


def _named(flat: Floats, like: Arrays) -> Arrays:
    """The inverse of ``flat_arrays``: views with the names and shapes of ``like``."""
    named: Arrays = {}
    start = 0
    for layer in range(len(like) // 2):
        for name in (f"weight{layer}", f"bias{layer}"):
            size = math.prod(like[name].shape[1:])
            named[name] = flat[:, start : start + size].reshape(like[name].shape)
            start += size
    return {name: named[name] for name in like}
