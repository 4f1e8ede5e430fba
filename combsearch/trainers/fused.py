"""Whole runs of many small ReLU networks inside one compiled call (numba, one CPU core).

Networks of one restart block see the same minibatches and are trained side by side,
one a vector lane; see ``kernels`` for how. Results are bitwise the same whatever else
is in the batch. For one output, 1 to 5 hidden layers and up to 16 inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    from combsearch.kernels import cpu
except ValueError as error:  # of COMBSEARCH_LANES
    raise UsageError(str(error)) from error

Floats = npt.NDArray[np.float32]
_MINIBATCH_BYTES = 2**26  # minibatches held at once: the 50 epochs of the spiral take 30 MB


@dataclass(frozen=True)
class FusedTrainer:
    """Trains MLPs in the fused CPU kernel."""

    @property
    def name(self) -> str:
        """``"fused"``."""
        return "fused"

    def prepare(self) -> None:
        """Compile the kernels, or load them from the disk, before anything waits for them."""
        widths = (2, 1, 1, 1)
        w, v, m, rates = (cpu.aligned(1, size, cpu.LANES) for size in (7, 7, 7, 1))
        samples = np.zeros((1, 3), np.float32)
        batches = cpu.gather(samples, np.zeros((1, 1), np.int32), 1)
        cpu.train(w, v, m, rates, batches, widths, batch=1, first=0, last=1, momentum=0, decay=0)
        cpu.score(w, samples, widths)

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; ``on_step`` is not possible."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        shape = _shape(nets, task, on_step)
        nets = nets.numpy()
        w, v = flat_arrays(nets.params), flat_arrays(nets.momenta)
        m = flat_arrays(nets.masks)
        for block in np.unique(plan.blocks):
            lanes = np.flatnonzero(plan.blocks == block)
            _fit_block(w, v, m, lanes, int(block), task, plan, shape.widths)
        return NetBatch(
            nets.network, _named(w, nets.params), nets.masks, _named(v, nets.params), nets.state
        )

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``; the sums are those of training, bit for bit."""
        shape = _shape(nets, task, None)
        w = _grouped(flat_arrays(nets.numpy().params))
        correct, finite = cpu.score(w, _samples(task), shape.widths)
        n = len(nets)
        return Scores(correct.reshape(-1)[:n], task.points, ~finite.reshape(-1)[:n])


def _shape(nets: NetBatch, task: Task, on_step: OnStep | None) -> NetShape:
    obstacle = fused_obstacle(nets, task, on_step)
    if obstacle is not None:
        raise UsageError(f"trainer 'fused' cannot do this: {obstacle}; 'vmap' and 'loop' can")
    assert isinstance(nets.network, MLP)
    return nets.network.shape


def _fit_block(
    w: Floats, v: Floats, m: Floats, lanes: npt.NDArray[np.intp], block: int, task: Task,
    plan: Plan, widths: tuple[int, ...],
) -> None:  # fmt: skip
    """Train the networks ``lanes``, all of one restart block, in place."""
    gw, gv, gm = (_grouped(a[lanes]) for a in (w, v, m))
    rates = _grouped(plan.rates[lanes].astype(np.float32))
    for first, last, batches in _segments(task, plan, block):
        cpu.train(
            gw, gv, gm, rates, batches, widths, batch=plan.recipe.batch_size, first=first,
            last=last, momentum=plan.recipe.momentum, decay=plan.recipe.weight_decay,
        )  # fmt: skip
    w[lanes], v[lanes] = _ungrouped(gw, len(lanes)), _ungrouped(gv, len(lanes))


def _segments(task: Task, plan: Plan, block: int) -> Iterator[tuple[int, int, Floats]]:
    """(first step, last step, their minibatches) in pieces of bounded memory."""
    per_epoch = plan.steps_per_epoch
    size = per_epoch * cpu.padded(plan.recipe.batch_size) * (task.inputs + 1) * 4
    held = min(plan.recipe.epochs, max(1, _MINIBATCH_BYTES // size))
    epoch = plan.start // per_epoch
    while epoch * per_epoch < plan.stop:
        start = epoch // held * held
        end = min(start + held, -(-plan.stop // per_epoch))
        batches = _minibatches(_Data(task), plan.seed, block, start, held, plan.recipe.batch_size)
        first, last = max(plan.start, epoch * per_epoch), min(plan.stop, end * per_epoch)
        yield first, last, batches.of(epoch, end)
        epoch = end


class _Minibatches:
    """The minibatches of some epochs, gathered for the kernel when they are asked for.

    A run may be trained in pieces, such as a race: they are gathered once.
    """

    def __init__(self, task: Task, seed: int, block: int, start: int, held: int, batch: int):
        self._samples, self._orders = _samples(task), (seed, block)
        self._start, self._batch = start, batch
        rows = task.points // batch * cpu.padded(batch)
        # Memory that is never written is never taken.
        self._epochs = np.empty((held, rows, task.inputs + 1), np.float32)
        self._ready: set[int] = set()

    def of(self, first: int, last: int) -> Floats:
        """float32 [epoch, row, inputs + 1] of the epochs ``first`` to ``last`` - 1."""
        for epoch in {*range(first, last)} - self._ready:
            order = epoch_orders(*self._orders, epoch, len(self._samples))
            self._epochs[epoch - self._start] = cpu.gather(self._samples, order[None], self._batch)[
                0
            ]
            self._ready.add(epoch)
        return self._epochs[first - self._start : last - self._start]


class _Data:
    """A task that compares by content, so that its minibatches can be kept."""

    def __init__(self, task: Task) -> None:
        self.task, self._digest = task, task.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Data) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)


@lru_cache(maxsize=2)
def _minibatches(
    data: _Data, seed: int, block: int, start: int, held: int, batch: int
) -> _Minibatches:
    """The minibatches of ``held`` epochs from ``start`` on; the last few are kept."""
    return _Minibatches(data.task, seed, block, start, held, batch)


def _samples(task: Task) -> Floats:
    """float32 [point, inputs + 1], the label last."""
    return np.concatenate([task.x, task.y[:, None].astype(np.float32)], axis=1)


def _named(flat: Floats, like: Arrays) -> Arrays:
    """The inverse of ``flat_arrays``: views with the names and shapes of ``like``."""
    arrays: Arrays = {}
    start = 0
    for layer in range(len(like) // 2):
        for name in (f"weight{layer}", f"bias{layer}"):
            size = math.prod(like[name].shape[1:])
            arrays[name] = flat[:, start : start + size].reshape(like[name].shape)
            start += size
    return {name: arrays[name] for name in like}


def _grouped(flat: Floats) -> Floats:
    """[n, k] as [group, k, lane]; lanes without a network hold zeros."""
    groups = -(-len(flat) // cpu.LANES)
    padded = np.zeros((groups * cpu.LANES, flat.shape[1]), np.float32)
    padded[: len(flat)] = flat
    grouped = cpu.aligned(groups, flat.shape[1], cpu.LANES)
    grouped[:] = padded.reshape(groups, cpu.LANES, flat.shape[1]).transpose(0, 2, 1)
    return grouped


def _ungrouped(grouped: Floats, count: int) -> Floats:
    """The inverse of ``_grouped`` for ``count`` networks."""
    groups, size, lanes = grouped.shape
    return grouped.transpose(0, 2, 1).reshape(groups * lanes, size)[:count]
