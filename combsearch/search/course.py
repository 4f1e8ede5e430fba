"""The course of a search: what is done, what comes next, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from combsearch.search.grid import Floats, Integers
from combsearch.shards import uncovered
from combsearch.store import Shard


class Course:
    """Level by level in increasing nonzeros, to the end of the first level with a success.

    A shard of a later level may be given out before the earlier ones are finished, so
    that no core waits; it is kept but does not count.

    Args:
        shards: all there are, ascending; none holds ranks of two levels.
        nonzeros: int64 [shard], ascending: the level of each.
        work: float64 [shard], multiply-adds.
        done: ranges of ranks whose rows are saved.
        found: the fewest nonzeros of a saved success; None if there is none, or if a
            success ends nothing.
        stops: whether a success ends the search.
        beyond: levels to train above the first with a success.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        nonzeros: Integers,
        work: Floats,
        done: Iterable[Shard],
        found: int | None,
        stops: bool = True,
        beyond: int = 0,
    ) -> None:
        self._shards, self._nonzeros, self._work = shards, nonzeros, work
        self._stops, self._beyond = stops, beyond
        self._levels = np.unique(nonzeros)
        self._place = {shard.first: place for place, shard in enumerate(shards)}
        self._done: npt.NDArray[np.bool_] = np.ones(len(shards), np.bool_)
        for shard in uncovered(shards, sorted(done, key=lambda s: (s.first, -s.last))):
            self._done[self._place[shard.first]] = False
        self.found = found

    def todo(self) -> Iterator[Shard]:
        """The shards that are to be trained, in order; known as late as possible."""
        for place, shard in enumerate(self._shards):
            if place >= self._end:
                return
            if not self._done[place]:
                yield shard

    def note(self, shard: Shard, successes: int) -> None:
        """A shard is saved."""
        place = self._place[shard.first]
        self._done[place] = True
        level = int(self._nonzeros[place])
        if successes and self._stops and (self.found is None or level < self.found):
            self.found = level

    @property
    def last(self) -> int:
        """Nonzeros of the last level that counts, as far as is known."""
        if self.found is None:
            return int(self._levels[-1])
        place = int(np.searchsorted(self._levels, self.found))
        return int(self._levels[min(place + self._beyond, len(self._levels) - 1)])

    @property
    def end(self) -> int:
        """The rank after the last that counts, as far as is known."""
        return self._shards[self._end - 1].last

    def complete(self) -> bool:
        """Whether all that counts is saved."""
        return bool(self._done[: self._end].all())

    @property
    def nonzeros(self) -> int:
        """Nonzeros of the first level that is not finished, or of the last that counts."""
        return int(self._nonzeros[self._first_open()])

    @property
    def level(self) -> int:
        """The number of that level, from 1."""
        return int(np.searchsorted(self._levels, self.nonzeros)) + 1

    @property
    def levels(self) -> int:
        """The number of levels there are."""
        return len(self._levels)

    def level_work(self) -> tuple[float, float]:
        """(all, left) multiply-adds of that level."""
        first, last = np.searchsorted(self._nonzeros, [self.nonzeros, self.nonzeros + 1])
        return self._sums(int(first), int(last))

    def whole_work(self) -> tuple[float, float]:
        """(all, left) multiply-adds up to ``end``."""
        return self._sums(0, self._end)

    def work_of(self, shard: Shard) -> float:
        """Multiply-adds of one shard."""
        return float(self._work[self._place[shard.first]])

    @property
    def _end(self) -> int:
        return int(np.searchsorted(self._nonzeros, self.last, side="right"))

    def _first_open(self) -> int:
        done = self._done[: self._end]
        place = int(np.argmin(done))
        return len(done) - 1 if done[place] else place

    def _sums(self, first: int, last: int) -> tuple[float, float]:
        work = self._work[first:last]
        return float(work.sum()), float(work[~self._done[first:last]].sum())
