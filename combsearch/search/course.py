"""The course of a search: what is done, what comes next, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from combsearch.search.grid import Floats, Integers
from combsearch.store import Shard


class Course:
    """Level by level in increasing nonzeros, to the end of the first level with a success.

    A shard of a later level may be given out before the earlier ones are finished, so
    that no core waits; it is kept but does not count.

    Args:
        nonzeros: int64 [rank], ascending.
        work: float64 [rank], multiply-adds.
        done: ranges of ranks whose rows are saved.
        found: the fewest nonzeros of a saved success; None if there is none, or if a
            success ends nothing.
        stops: whether a success ends the search.
    """

    def __init__(
        self,
        nonzeros: Integers,
        work: Floats,
        done: Iterable[Shard],
        found: int | None,
        stops: bool = True,
    ) -> None:
        self._nonzeros, self._work, self._stops = nonzeros, work, stops
        self._levels = np.unique(nonzeros)
        self._done: npt.NDArray[np.bool_] = np.zeros(len(nonzeros), np.bool_)
        for shard in done:
            self._done[shard.first : shard.last] = True
        self.found = found

    def todo(self, shards: Iterable[Shard]) -> Iterator[Shard]:
        """Those of ``shards``, which ascend, that are to be trained; known as late as possible."""
        for shard in shards:
            if shard.first >= self.end:
                return
            if not self._done[shard.first : shard.last].all():
                yield shard

    def note(self, shard: Shard, successes: int) -> None:
        """A shard is saved."""
        self._done[shard.first : shard.last] = True
        level = int(self._nonzeros[shard.first])
        if successes and self._stops and (self.found is None or level < self.found):
            self.found = level

    @property
    def end(self) -> int:
        """The rank after the last that counts, as far as is known."""
        if self.found is None:
            return len(self._nonzeros)
        return int(np.searchsorted(self._nonzeros, self.found, side="right"))

    def complete(self) -> bool:
        """Whether all that counts is saved."""
        return bool(self._done[: self.end].all())

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
        return self._sums(0, self.end)

    def shapes_done(self) -> int:
        """Shapes up to ``end`` that are saved."""
        return int(self._done[: self.end].sum())

    def _first_open(self) -> int:
        done = self._done[: self.end]
        place = int(np.argmin(done))
        return len(done) - 1 if done[place] else place

    def _sums(self, first: int, last: int) -> tuple[float, float]:
        work = self._work[first:last]
        return float(work.sum()), float(work[~self._done[first:last]].sum())
