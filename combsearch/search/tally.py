"""What the rows of phase two and exhaust come to, gathered table by table.

All that a report says is in a ``Tally``, whose size depends on the levels and on how many
values an accuracy can have, never on how many rows there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.rows import ROWS, Digest
from combsearch.search.mask_plan import POOL, MaskPlan
from combsearch.search.racing import is_control
from combsearch.search.results import ok_rows, successes
from combsearch.shards import Shard
from combsearch.store import RunStore

Bools = npt.NDArray[np.bool_]


@dataclass
class LevelTally:
    """The runs of a level that were trained to the end.

    Attributes:
        finished: how many.
        successes: how many reached the target.
        masks: that have such a run.
        best: accuracy of the best that did not diverge; 0 when there is none.
    """

    finished: int = 0
    successes: int = 0
    masks: int = 0
    best: float = 0.0


class Controls:
    """Control runs of races by their accuracy, so that any threshold can be put to them.

    Attributes:
        races: that were run in full and have a run that did not diverge.
        accuracy: float64 [value], ascending.
        kept, lost: int64 [value]: runs of that accuracy that a race would have kept, or not.
    """

    def __init__(self) -> None:
        self.races = 0
        self.accuracy = np.zeros(0)
        self.kept, self.lost = np.zeros((2, 0), np.int64)

    def add(self, races: int, accuracy: npt.NDArray[np.float64], spared: Bools) -> None:
        """More control runs: accuracy [run], and whether a race would have given each up."""
        self.races += races
        self.accuracy, place = np.unique(
            np.concatenate([self.accuracy, accuracy]), return_inverse=True
        )
        old, new = place[: len(self.kept)], place[len(self.kept) :]
        kept, lost = np.zeros((2, len(self.accuracy)), np.int64)
        kept[old], lost[old] = self.kept, self.lost
        self.kept = kept + np.bincount(new[~spared], minlength=len(kept))
        self.lost = lost + np.bincount(new[spared], minlength=len(lost))

    def reached_by(self, runs: int) -> float:
        """The highest accuracy that so many runs reach, or all where there are fewer."""
        reaching = np.cumsum((self.kept + self.lost)[::-1])
        place = int(np.searchsorted(reaching, min(runs, int(reaching[-1]))))
        return float(self.accuracy[::-1][place])


class Tally:
    """Everything that a report needs of the rows of a run.

    Args:
        plan: of the run.
        digested: whether ``digest`` shall be known, which takes half of the time.

    Attributes:
        rows: how many.
        levels: nonzeros -> what its runs did; only levels that have rows.
        saved: ranges of the ranks whose rows are all in, ascending.
        best: the rows of the best run of each level, of those that hold parameters and did
            not diverge; ascending in nonzeros. Of equals the first in canonical order.
        controls: of races; empty without.
    """

    def __init__(self, plan: MaskPlan, digested: bool = True) -> None:
        self._config = plan.config
        self._digest = Digest() if digested else None
        self._seconds: list[float] = []
        self.rows = 0
        self.levels: dict[int, LevelTally] = {}
        self.saved: list[Shard] = []
        self.best: pa.Table = ROWS.empty_table()
        self.controls = Controls()

    def add(self, rows: pa.Table) -> None:
        """More rows, canonically after those before; all rows of every rank they are of."""
        good, sound = successes(rows, self._config.target), ok_rows(rows)
        self._count(rows, good, sound)
        held = rows.filter(pc.and_(pc.is_valid(rows["parameters"]), pa.array(sound)))
        self.best = best_of_levels(pa.concat_tables([self.best, held]))
        if self._config.race:
            self._note_controls(rows, sound)
        if self._digest is not None:
            self._digest.update(rows)
        self._seconds.append(float(np.sum(rows["seconds"].to_numpy())))
        self.rows += len(rows)

    @property
    def seconds(self) -> float:
        """Of training, all runs together."""
        return math.fsum(self._seconds)

    def digest(self) -> str:
        """``rows.digest`` of all rows."""
        assert self._digest is not None
        return self._digest.hexdigest()

    def trained(self, first: int, last: int) -> int:
        """How many of the ranks ``first <= rank < last`` are saved."""
        return sum(max(0, min(s.last, last) - max(s.first, first)) for s in self.saved)

    def _count(self, rows: pa.Table, good: Bools, sound: Bools) -> None:
        nonzeros, rank = rows["nonzeros"].to_numpy(), rows["rank"].to_numpy()
        accuracy = np.where(sound, rows["accuracy"].to_numpy(), 0.0)
        ends = [*np.flatnonzero(np.diff(nonzeros, prepend=-1)).tolist(), len(rows)]
        # Rows of a rank follow each other: where the rank changes is another mask.
        masks = np.zeros(len(rows), np.bool_)
        masks[np.flatnonzero(good)[np.diff(rank[good], prepend=-1) != 0]] = True
        for start, stop in itertools.pairwise(ends):
            level = self.levels.setdefault(int(nonzeros[start]), LevelTally())
            level.finished += stop - start
            level.successes += int(good[start:stop].sum())
            level.masks += int(masks[start:stop].sum())
            level.best = max(level.best, float(accuracy[start:stop].max()))

    def _note_controls(self, rows: pa.Table, sound: Bools) -> None:
        cells = pa.array(self._config.cells)
        cell = pc.index_in(rows["cell"], value_set=cells).to_numpy().astype(np.int64)
        pool = rows["restart"].to_numpy() // POOL
        mask = rows["mask"].to_numpy()
        own = np.flatnonzero(is_control(mask, cell, pool, self._config.controls) & sound)
        races = np.stack([mask[own], (pool[own] * len(cells) + cell[own]).astype(np.uint64)])
        spared = pc.equal(rows["status"], "spared").to_numpy()[own]
        found = np.unique(races, axis=1).shape[1]
        self.controls.add(found, rows["accuracy"].to_numpy()[own], spared)


def tally_of(plan: MaskPlan, store: RunStore, end: int, digested: bool = True) -> Tally:
    """What the rows below rank ``end`` come to, read once.

    Raises:
        CorruptDataError: a shard is damaged.
    """
    pieces = store.pieces(last=end)
    return gathered(plan, pieces, pieces.ranges, digested)


def gathered(
    plan: MaskPlan, tables: Iterable[pa.Table], saved: list[Shard], digested: bool = True
) -> Tally:
    """What tables in canonical order come to, which hold all rows of the ranks ``saved``."""
    tally = Tally(plan, digested)
    for table in tables:
        tally.add(table)
    tally.saved = saved
    return tally


def best_of_levels(rows: pa.Table) -> pa.Table:
    """The most accurate row of every number of nonzeros, the first of equals; ascending."""
    nonzeros, accuracy = rows["nonzeros"].to_numpy(), rows["accuracy"].to_numpy()
    order = np.lexsort((-np.nan_to_num(accuracy, nan=-1.0), nonzeros))
    first = np.diff(nonzeros[order], prepend=-1) != 0
    return rows.take(pa.array(order[first]))
