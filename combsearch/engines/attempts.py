"""Tries at shards, the same in every engine: which comes next, again, smaller, or not at all.

A shard that ran out of memory or whose process was killed is tried again, each time with half
as many networks side by side; what becomes of a network does not depend on how many.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TypeVar

from combsearch.errors import CombsearchError
from combsearch.search.running import Failure
from combsearch.search.sharing import halved
from combsearch.store import Shard

T = TypeVar("T")

TRIES = 4
"""Of one shard: the first and three more."""

_ALONE = 2  # tries after which a shard runs alone, so that no other one can be to blame


@dataclass(frozen=True)
class Lost:
    """What a try came to that is to be repeated.

    Attributes:
        reason: why, as ``it ran out of memory``.
        tries: as how many it counts.
        shared: whether what ran beside it may be to blame.
    """

    reason: str
    tries: int = 1
    shared: bool = True


def attempt(work: Callable[[Shard], T], shard: Shard, failures: int) -> T | Lost:
    """One try at a shard, after so many that failed.

    What ``work`` raises is raised, except that memory ran out, of the machine or of a GPU.
    """
    try:
        with halved(failures):
            return work(shard)
    except (MemoryError, RuntimeError, CombsearchError) as error:
        if not _ran_out(error):
            raise
        lost = Lost(f"it ran out of memory ({error})" if str(error) else "it ran out of memory")
    _give_back()  # out of the handler, so that the error's frames no longer hold arrays
    return lost


def _ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out; also in an error that names this as its cause."""
    if isinstance(error, CombsearchError):
        return _ran_out(error.__cause__)
    if not isinstance(error, (MemoryError, RuntimeError)):
        return False
    from combsearch.trainers.memory import is_out_of_memory  # takes seconds to import

    return is_out_of_memory(error)


def _give_back() -> None:
    """Give unused memory of a GPU back to the driver: other processes may share it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Queue:
    """Shards to give out; those that failed come again, in the end alone, then no more.

    Args:
        fresh: shards not tried yet; asked for more even after it had none.
    """

    def __init__(self, fresh: Iterator[Shard]) -> None:
        self._fresh = fresh
        self._back: list[Shard] = []
        self._open: list[Shard] = []
        self._tries: dict[Shard, int] = {}  # of those that have failed
        self._suspects: set[Shard] = set()

    def take(self) -> Shard | None:
        """A shard to start now, or None: there is no more, or what runs must run alone."""
        if self._suspects.intersection(self._open):
            return None
        if self._back and self._back[0] in self._suspects and self._open:
            return None
        shard = self._back.pop(0) if self._back else next(self._fresh, None)
        if shard is not None:
            self._open.append(shard)
        return shard

    def failures(self, shard: Shard) -> int:
        """How many tries of a shard have failed."""
        return self._tries.get(shard, 0)

    def finished(self, shard: Shard) -> None:
        """A shard is done."""
        self._open.remove(shard)

    def failed(self, shard: Shard, lost: Lost) -> Iterator[tuple[Shard, Failure]]:
        """Put a shard back, or give it up."""
        self._open.remove(shard)
        self._tries[shard] = self.failures(shard) + lost.tries
        if self._tries[shard] >= TRIES:
            often = f"in each of {TRIES} tries" if lost.tries == 1 else "again and again"
            yield shard, Failure(f"{often} {lost.reason}")
            return
        if lost.shared and self._tries[shard] >= _ALONE:
            self._suspects.add(shard)
        self._back.append(shard)
        self._back.sort(key=lambda s: (-self._tries[s], s))

    def all_failed(self, lost: Lost) -> Iterator[tuple[Shard, Failure]]:
        """As ``failed``, of all that are in work."""
        for shard in list(self._open):
            yield from self.failed(shard, lost)

    def settled(self, shard: Shard, result: T | Lost) -> Iterator[tuple[Shard, T | Failure]]:
        """What an engine reports of a try: nothing yet where the shard is tried again."""
        if isinstance(result, Lost):
            yield from self.failed(shard, result)
        else:
            self.finished(shard)
            yield shard, result


def drain(
    queue: Queue,
    submit: Callable[[Shard, int], Future[T | Lost]],
    room: Callable[[], int],
    patience: float | None = None,
) -> Iterator[tuple[Shard, T | Failure]]:
    """Keep as many shards in work as there is room for, until the queue is empty.

    Args:
        queue: of the shards.
        submit: starts a try at a shard after so many that failed.
        room: shards that may be in work now.
        patience: seconds after which ``room`` is asked again, where no shard has finished.
    """
    flight: dict[Future[T | Lost], Shard] = {}
    while True:
        while len(flight) < room() and (shard := queue.take()) is not None:
            flight[submit(shard, queue.failures(shard))] = shard
        if not flight:
            return
        done, _ = wait(flight, patience, return_when=FIRST_COMPLETED)
        # When a pool breaks, all that is in flight fails: first what was finished.
        for future in sorted(done, key=lambda one: one.exception() is not None):
            result = future.result()
            yield from queue.settled(flight.pop(future), result)
