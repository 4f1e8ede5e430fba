"""The rows of some masks of a job: which runs go to the trainer together, what is kept of them.

A trainer is given the networks of one shape and one block of restarts, as many as there are:
a run's outcome depends on its key alone. Needs PyTorch and numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from job import Job, Ranks

from combsearch.config import Recipe
from combsearch.mask import MaskBatch
from combsearch.nets import MLP, NetBatch, flat_arrays
from combsearch.rng import RunKeys
from combsearch.search.racing import Race, is_control
from combsearch.trainers import Trainer

OK, DIVERGED, SPARED = range(3)
STATUSES = ("ok", "diverged", "spared")
_FLOATS = 2**26  # parameters of one call of the trainer

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Rows:
    """Training runs, by rank, then cell, then restart. Arrays [row] unless said otherwise.

    Attributes:
        rank: int64.
        cell: uint8, the number of the cell.
        restart: int32.
        correct: int32, points classified right.
        status: uint8, an index of ``STATUSES``.
        kept: int64 [k], ascending, the rows whose parameters are there.
        parameters: those, float32 [parameter] each.
    """

    rank: Ranks
    cell: npt.NDArray[np.uint8]
    restart: npt.NDArray[np.int32]
    correct: npt.NDArray[np.int32]
    status: npt.NDArray[np.uint8]
    kept: Ints
    parameters: list[Floats]

    def __len__(self) -> int:
        return len(self.rank)

    @classmethod
    def of(cls, columns: Iterable[npt.NDArray[Any]], kept: Ints, parameters: list[Floats]) -> Rows:
        """From the arrays of ``columns``, in its order."""
        rank, cell, restart, correct, status = columns
        return cls(rank, cell, restart, correct, status, kept, parameters)

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """All arrays [row]."""
        return self.rank, self.cell, self.restart, self.correct, self.status

    @staticmethod
    def concat(parts: list[Rows]) -> Rows:
        """All rows of ``parts``, in their order."""
        starts = np.cumsum([0, *(len(part) for part in parts)])
        kept = [part.kept + start for part, start in zip(parts, starts[:-1], strict=True)]
        joined = map(np.concatenate, zip(*(part.columns() for part in parts), strict=True))
        parameters = [own for part in parts for own in part.parameters]
        return Rows.of(joined, np.concatenate(kept), parameters)

    def take(self, order: Ints) -> Rows:
        """The rows at these places."""
        place = np.full(len(self), -1)
        place[order] = np.arange(len(order))
        kept = place[self.kept]
        sort = np.argsort(kept)
        sort = sort[kept[sort] >= 0]
        parameters = [self.parameters[k] for k in sort]
        return Rows.of([column[order] for column in self.columns()], kept[sort], parameters)

    def ordered(self) -> Rows:
        """In order of rank, cell and restart."""
        return self.take(np.lexsort((self.restart, self.cell, self.rank)))

    def with_kept(self, kept: Ints, parameters: list[Floats]) -> Rows:
        """The same rows with these parameters."""
        return Rows.of(self.columns(), kept, parameters)


def train(job: Job, trainer: Trainer, first: int, last: int) -> Rows:
    """The rows of the masks at these places, which are cuts of the job."""
    parts = []
    for nonzeros, ranks, masks in job.read(first, last):
        restarts = range(job.first_restart, job.first_restart + job.restarts[nonzeros])
        step = max(1, _FLOATS // (len(restarts) * len(job.cells) * masks.shape.parameters))
        for start in range(0, len(ranks), step):
            own = slice(start, start + step)
            parts.append(_launch(job, trainer, ranks[own], masks[own], restarts))
    rows = Rows.concat(parts).ordered()
    best = np.flatnonzero(_best(job, rows, rows.kept))
    return rows.with_kept(rows.kept[best], [rows.parameters[k] for k in best])


def _launch(job: Job, trainer: Trainer, ranks: Ranks, masks: MaskBatch, restarts: range) -> Rows:
    """Rows of these restarts in all cells; parameters of those that may be kept."""
    cells = len(job.cells)
    place = np.repeat(np.arange(len(masks)), cells * len(restarts))
    cell = np.tile(np.repeat(np.arange(cells), len(restarts)), len(masks))
    restart = np.tile(np.array(restarts, np.int64), len(masks) * cells)
    nets, recipes, keys = at_start(job, masks[place], cell, restart)
    left, spared = np.arange(len(place)), np.zeros(len(place), np.bool_)
    if job.raced:
        race = Race(trainer, job.task, recipes[0])
        pool = restart // job.block - restarts.start // job.block
        group = (place * cells + cell) * (int(pool[-1]) + 1) + pool
        control = is_control(keys.mask, cell, keys.blocks(), job.config.controls)
        nets, left, spared = race.run(nets, recipes, keys, group, control)
    else:
        nets = trainer.fit(nets, job.task, recipes, keys)
    correct, diverged = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    if len(left):
        scores = trainer.score(nets, job.task)
        correct, diverged = scores.correct, scores.diverged
    status = np.where(diverged, DIVERGED, np.where(spared, SPARED, OK)).astype(np.uint8)
    rows = Rows(
        ranks[place[left]], cell[left].astype(np.uint8), restart[left].astype(np.int32),
        correct.astype(np.int32), status, np.zeros(0, np.int64), [],
    )  # fmt: skip
    best = np.flatnonzero(_best(job, rows, np.arange(len(rows))))
    # Networks may be on a GPU: few of them come from there.
    return rows.with_kept(best, list(flat_arrays(nets[best].numpy().params))) if len(best) else rows


def at_start(
    job: Job, masks: MaskBatch, cell: Ints, restart: Ints
) -> tuple[NetBatch, list[Recipe], RunKeys]:
    """Networks as training starts, one a mask, its recipe and key; cells by number."""
    keys = RunKeys(job.config.seed, masks.keys(), job.cells[cell], restart, job.block)
    own = job.recipes()
    nets = NetBatch.create(MLP(masks.shape, job.config.width), keys, masks)
    return nets, [own[c] for c in cell.tolist()], keys


def _best(job: Job, rows: Rows, among: Ints) -> npt.NDArray[np.bool_]:
    """bool [among]: the best run of a mask that reached the target, the best between two cuts.

    The first of equals by cell, restart and rank; one that diverged is nobody's best.
    """
    points = job.task.points
    rank, cell, restart = rows.rank[among], rows.cell[among], rows.restart[among]
    wrong, sound = points - rows.correct[among], rows.status[among] != DIVERGED
    place = rank if job.picked is None else np.searchsorted(job.picked, rank)
    cut = np.searchsorted(job.cuts, place, side="right")
    order = np.lexsort((rank, restart, cell, wrong, ~sound))
    found = np.zeros(len(among), np.bool_)
    good = sound & ((points - wrong) / points >= job.config.target)
    for group, chosen in ((rank, good), (cut, sound)):
        _, firsts = np.unique(group[order], return_index=True)
        best = order[firsts]
        found[best[chosen[best]]] = True
    return found
