"""Which runs of a search over masks keep their parameters, decided while they come in.

The best run of each mask that reached the target keeps them, and the best of each lot of
masks (``MaskPlan.lots``). Of equals the first wins: by cell, by restart, by rank. One that
diverged is nobody's best, whatever it answers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from combsearch.nets import NetBatch, flat_arrays
from combsearch.search.mask_plan import MaskPlan

F32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


class Runs(NamedTuple):
    """Runs that were trained to the end: arrays [run]."""

    rank: Integers
    cell: Integers
    restart: Integers
    correct: Integers
    diverged: npt.NDArray[np.bool_]


class _Run(NamedTuple):
    """Sorts before a worse one."""

    wrong: int
    cell: int
    restart: int
    rank: int


class Kept:
    """The parameters kept so far, of one shard."""

    def __init__(self, plan: MaskPlan) -> None:
        self._points, self._target = plan.task.points, plan.config.target
        self._starts = np.array([lot.first for lot in plan.lots])
        self._of_mask: dict[int, tuple[_Run, F32]] = {}
        self._of_lot: dict[int, tuple[_Run, F32]] = {}

    def note(self, runs: Runs, nets: NetBatch) -> None:
        """More runs, and the networks they ended with."""
        wrong = self._points - runs.correct
        sound = np.flatnonzero(~runs.diverged)
        best = _firsts(sound, runs.rank, wrong, runs.cell, runs.restart)
        good = best[runs.correct[best] / self._points >= self._target]
        self._offer(self._of_mask, runs.rank[good], good, runs, nets)
        lot = np.searchsorted(self._starts, runs.rank, side="right") - 1
        top = _firsts(best, lot, wrong, runs.cell, runs.restart, runs.rank)
        self._offer(self._of_lot, lot[top], top, runs, nets)

    def parameters(self, rank: Integers, cell: Integers, restart: Integers) -> list[F32 | None]:
        """Those of each run, weight0 row-major, bias0, ...; None of one that does not keep them."""
        every = [*self._of_mask.values(), *self._of_lot.values()]
        wanted = {(run.rank, run.cell, run.restart): flat for run, flat in every}
        found: list[F32 | None] = [None] * len(rank)
        # Few runs keep theirs: those that may are looked up, not all.
        places = np.flatnonzero(np.isin(rank, [run.rank for run, _ in every]))
        for place in places.tolist():
            key = (int(rank[place]), int(cell[place]), int(restart[place]))
            found[place] = wanted.get(key)
        return found

    def _offer(
        self,
        table: dict[int, tuple[_Run, F32]],
        names: Integers,
        index: Integers,
        runs: Runs,
        nets: NetBatch,
    ) -> None:
        """Enter the runs at ``index`` under ``names`` where they are better than what is there."""
        columns = (self._points - runs.correct, runs.cell, runs.restart, runs.rank)
        offered = zip(*(column[index].tolist() for column in columns), strict=True)
        better = {}
        for place, (name, values) in enumerate(zip(names.tolist(), offered, strict=True)):
            run = _Run(*values)
            if name not in table or run < table[name][0]:
                better[name] = place, run
        chosen = nets[index[[place for place, _ in better.values()]]]
        flat = flat_arrays(chosen.numpy().params)  # they may be on a GPU
        for row, (name, (_, run)) in zip(flat, better.items(), strict=True):
            table[name] = run, row.copy()


def _firsts(index: npt.NDArray[np.intp], group: Integers, *keys: Integers) -> npt.NDArray[np.intp]:
    """Of each group among ``index`` the one that comes first by ``keys``, groups ascending."""
    order = index[np.lexsort([key[index] for key in (*reversed(keys), group)])]
    _, first = np.unique(group[order], return_index=True)
    return np.asarray(order[first])
