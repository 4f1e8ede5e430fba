"""Whole runs of many small ReLU networks inside one compiled call (numba, one CPU core).

Networks of one restart block see the same minibatches and are trained side by side,
one a vector lane; see ``kernels`` for how. Results are bitwise the same whatever else
is in the batch. For one output, 1 to 5 hidden layers and up to 16 inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import NetBatch, Scores, flat_arrays
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Plan
from combsearch.trainers.kernel_data import (
    Floats,
    Layout,
    Order,
    fit_by_block,
    samples_of,
    segments,
    served_shape,
)

try:
    from combsearch.kernels import cpu
except ValueError as error:  # of COMBSEARCH_LANES
    raise UsageError(str(error)) from error


def _room(epochs: int, steps: int, columns: int, batch: int) -> Floats:
    return np.empty((epochs, steps * cpu.padded(batch), columns), np.float32)


def _fill(epoch: Floats, samples: Floats, order: Order, batch: int) -> None:
    epoch[:] = cpu.gather(samples, order[None], batch)[0]


LAYOUT = Layout(cpu.padded, np.ascontiguousarray, _room, _fill)


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
        return fit_by_block(self.name, _fit_block, nets, task, recipe, keys, steps, on_step)

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``; the sums are those of training, bit for bit."""
        shape = served_shape(self.name, nets, task, None)
        w = grouped(flat_arrays(nets.numpy().params))
        correct, finite = cpu.score(w, samples_of(task), shape.widths)
        n = len(nets)
        return Scores(correct.reshape(-1)[:n], task.points, ~finite.reshape(-1)[:n])


def _fit_block(
    w: Floats, v: Floats, m: Floats, lanes: npt.NDArray[np.intp], block: int, task: Task,
    plan: Plan, widths: tuple[int, ...],
) -> None:  # fmt: skip
    """Train the networks ``lanes``, all of one restart block, in place."""
    gw, gv, gm = (grouped(a[lanes]) for a in (w, v, m))
    rates = grouped(plan.rates[lanes].astype(np.float32))
    for first, last, batches in segments(task, plan, block, LAYOUT):
        cpu.train(
            gw, gv, gm, rates, batches, widths, batch=plan.recipe.batch_size, first=first,
            last=last, momentum=plan.recipe.momentum, decay=plan.recipe.weight_decay,
        )  # fmt: skip
    w[lanes], v[lanes] = ungrouped(gw, len(lanes)), ungrouped(gv, len(lanes))


def grouped(flat: Floats) -> Floats:
    """[n, k] as [group, k, lane]; lanes without a network hold zeros."""
    groups = -(-len(flat) // cpu.LANES)
    padded = np.zeros((groups * cpu.LANES, flat.shape[1]), np.float32)
    padded[: len(flat)] = flat
    found = cpu.aligned(groups, flat.shape[1], cpu.LANES)
    found[:] = padded.reshape(groups, cpu.LANES, flat.shape[1]).transpose(0, 2, 1)
    return found


def ungrouped(lanes: Floats, count: int) -> Floats:
    """The inverse of ``grouped`` for ``count`` networks."""
    groups, size, width = lanes.shape
    return np.asarray(lanes.transpose(0, 2, 1).reshape(groups * width, size)[:count])
