"""Very sparse networks, one at a time: only kept weights are touched (numba, one CPU core).

A run costs what its kept weights and live neurons cost, whatever the width of the network. The
result is bitwise the same whatever else is in the batch, and in however many segments it is
trained. For one output, 1 to 5 hidden layers and up to 16 inputs.

What is kept is trained as ``trainers.base`` says. The momenta of masked parameters are left
as they are; other trainers go on adding gradients to them. Nobody reads them unless a mask
brings a parameter back: whoever does that says what its momentum shall be.
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
    fit_by_block,
    samples_of,
    segments,
    served_shape,
)

try:
    from combsearch.kernels import sparse
except ValueError as error:  # of COMBSEARCH_LANES
    raise UsageError(str(error)) from error

_CALL_WORK = 2 * 10**8  # steps x kept parameters of a call, two seconds: no signal interrupts it


def _room(epochs: int, steps: int, columns: int, batch: int) -> Floats:
    return sparse.aligned(epochs, steps, columns, sparse.padded(batch))


LAYOUT = Layout(sparse.padded, sparse.rows, _room, sparse.fill)


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
        return fit_by_block(self.name, _fit_block, nets, task, recipe, keys, steps, on_step)

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``; the sums are those of training, bit for bit."""
        widths = served_shape(self.name, nets, task, None).widths
        nets = nets.numpy()
        w, m = flat_arrays(nets.params), flat_arrays(nets.masks)
        points = sparse.scored(samples_of(task))
        found = [sparse.score(*net, points, widths) for net in zip(w, m, strict=True)]
        correct = np.array([right for right, _ in found], np.int64)
        return Scores(correct, task.points, np.array([not finite for _, finite in found], np.bool_))


def _fit_block(
    w: Floats, v: Floats, m: Floats, own: npt.NDArray[np.intp], block: int, task: Task, plan: Plan,
    widths: tuple[int, ...],
) -> None:  # fmt: skip
    """Train the networks ``own``, all of one restart block, in place."""
    rates, recipe = plan.rates.astype(np.float32), plan.recipe
    for first, last, batches in segments(task, plan, block, LAYOUT):
        for i in own:
            size = max(1, _CALL_WORK // max(1, int(np.count_nonzero(m[i]))))
            for start in range(first, last, size):
                sparse.train(
                    w[i], v[i], m[i], rates[i], batches, widths, batch=recipe.batch_size,
                    first=start, last=min(start + size, last), momentum=recipe.momentum,
                    decay=recipe.weight_decay,
                )  # fmt: skip
