"""The course of a search: what is done, what comes next, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.search.grid import Floats, Integers
from combsearch.shards import merged, touches, uncovered
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
        self._done = self._covered(done)
        self._own: npt.NDArray[np.bool_] = np.ones(len(shards), np.bool_)
        self.found = found

    def __len__(self) -> int:
        """All shards there are."""
        return len(self._shards)

    def keep_to(self, ranks: Iterable[Shard]) -> None:
        """Train only the shards that lie inside of these ranges: others are another job's.

        Raises:
            UsageError: none does, or one lies inside in part: no job would train that one.
        """
        spans = merged(sorted(ranks))
        self._own = self._covered(spans)
        some = ", ".join(f"{shard.first}:{shard.last}" for shard in self._shards[:3])
        for place in np.flatnonzero(~self._own).tolist():
            shard = self._shards[place]
            if touches(shard, spans):
                raise UsageError(
                    f"these ranks cut through {shard.first}:{shard.last}, a shard, which is trained"
                    f" as a whole; shards are {some} and so on (another --trainer or a GPU may"
                    " have others)"
                )
        if not self._own.any():
            raise UsageError(f"no shard lies inside of these ranks; shards are {some} and so on")

    def hear(self, found: int | None) -> None:
        """Of the fewest nonzeros of a success, maybe of another process; None of none."""
        if found is not None and self._stops and (self.found is None or found < self.found):
            self.found = found

    def todo(self) -> Iterator[Shard]:
        """The shards that are to be trained, in order; known as late as possible."""
        for place, shard in enumerate(self._shards):
            if place >= self._end:
                return
            if self._own[place] and not self._done[place]:
                yield shard

    def missing(self) -> list[list[Shard]]:
        """What is to be trained, in order; shards of one list wait for each other."""
        return [[shard] for shard in self.todo()]

    def note(self, shard: Shard, successes: int) -> None:
        """A shard is saved."""
        place = self._place[shard.first]
        self._done[place] = True
        if successes:
            self.hear(int(self._nonzeros[place]))

    def level_of(self, shard: Shard) -> int:
        """Nonzeros of the level of a shard."""
        return int(self._nonzeros[self._place[shard.first]])

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
        return self._shards[self._end - 1].last if self._end else 0

    def complete(self) -> bool:
        """Whether all that counts, and is to be trained here, is saved."""
        return not self._left[: self._end].any()

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

    @property
    def _left(self) -> npt.NDArray[np.bool_]:
        """bool [shard]: what is to be trained, whether or not it counts."""
        return self._own & ~self._done

    def _covered(self, ranks: Iterable[Shard]) -> npt.NDArray[np.bool_]:
        """bool [shard]: those that ``ranks`` cover wholly."""
        covered = np.ones(len(self._shards), np.bool_)
        for shard in uncovered(self._shards, sorted(ranks, key=lambda s: (s.first, -s.last))):
            covered[self._place[shard.first]] = False
        return covered

    def _first_open(self) -> int:
        left = self._left[: self._end]
        place = int(np.argmax(left)) if len(left) else 0
        return place if left[place : place + 1].any() else max(len(left) - 1, 0)

    def _sums(self, first: int, last: int) -> tuple[float, float]:
        own, work = self._own[first:last], self._work[first:last]
        return float(work[own].sum()), float(work[self._left[first:last]].sum())
