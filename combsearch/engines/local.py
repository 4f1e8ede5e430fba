"""Shards in several processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from joblib import cpu_count

from combsearch.engines.inline import ran_out
from combsearch.engines.pool import signals_held, worker_pool
from combsearch.errors import CombsearchError
from combsearch.search.running import Failure
from combsearch.store import Shard

T = TypeVar("T")

_TRIES = 4  # of one shard: the first and three more
_ALONE = 2  # tries after which a shard runs alone, so that no other one can be to blame
_POOL_DEATHS = 8  # in a row without a finished shard: the fault is not the shards'


def cores() -> int:
    """Cores that this process may use (affinity, container limits)."""
    return int(cpu_count())


@dataclass(frozen=True)
class LocalEngine:
    """``jobs`` worker processes; when one is killed, its shard is tried again.

    Attributes:
        jobs: number of processes.
        say: told in a line what went wrong and is being mended.
        gpus: to spread the processes over, if any.
    """

    jobs: int
    say: Callable[[str], None] = lambda text: None
    gpus: int = 0

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        """See ``Engine.run``.

        Raises:
            CombsearchError: workers die again and again, whatever they work on.
        """
        queue = _Queue(iter(shards))
        deaths = 0
        while deaths < _POOL_DEATHS:
            with worker_pool(self.jobs, self.gpus) as pool:
                try:
                    for finished in self._finish(pool, work, queue):
                        deaths = 0
                        yield finished
                    return
                except BrokenProcessPool:
                    deaths += 1
            yield from queue.all_failed("a worker process was killed, maybe for memory")
            self.say("a worker process was killed; what it worked on is computed again")
        raise CombsearchError(
            f"worker processes were killed {deaths} times in a row: look for what kills them"
            " (memory?), then repeat the command to continue, maybe with fewer --jobs"
        )

    def _finish(
        self, pool: Any, work: Callable[[Shard], T], queue: _Queue
    ) -> Iterator[tuple[Shard, T | Failure]]:
        """Keep ``jobs`` shards in work until the queue is empty."""
        flight: dict[Future[T], Shard] = {}
        while True:
            while len(flight) < self.jobs and (shard := queue.take()) is not None:
                with signals_held():
                    flight[pool.submit(work, shard)] = shard
            if not flight:
                return
            done, _ = wait(flight, return_when=FIRST_COMPLETED)
            # When the pool breaks, all that is in flight fails: first what was finished.
            for future in sorted(done, key=lambda f: f.exception() is not None):
                try:
                    result = future.result()
                except BrokenProcessPool:
                    raise
                except (MemoryError, RuntimeError) as error:
                    if not ran_out(error):
                        raise
                    yield from queue.failed(flight.pop(future), "it ran out of memory")
                else:
                    queue.finished(shard := flight.pop(future))
                    yield shard, result


class _Queue:
    """Shards to give out; those that failed come again, in the end alone, then no more."""

    def __init__(self, fresh: Iterator[Shard]) -> None:
        self._fresh = fresh
        self._back: list[Shard] = []
        self._open: list[Shard] = []
        self._tries: dict[Shard, int] = {}  # of those that have failed

    def take(self) -> Shard | None:
        """A shard to start now, or None: there is no more, or what runs must run alone."""
        if any(self._is_suspect(shard) for shard in self._open):
            return None
        if self._back and self._is_suspect(self._back[0]) and self._open:
            return None
        shard = self._back.pop(0) if self._back else next(self._fresh, None)
        if shard is not None:
            self._open.append(shard)
        return shard

    def finished(self, shard: Shard) -> None:
        self._open.remove(shard)

    def failed(self, shard: Shard, reason: str) -> Iterator[tuple[Shard, Failure]]:
        """Put a shard back, or give it up."""
        self._open.remove(shard)
        self._tries[shard] = self._tries.get(shard, 0) + 1
        if self._tries[shard] >= _TRIES:
            yield shard, Failure(f"in each of {_TRIES} tries {reason}")
            return
        self._back.append(shard)
        self._back.sort(key=lambda s: (-self._tries[s], s))

    def all_failed(self, reason: str) -> Iterator[tuple[Shard, Failure]]:
        """As ``failed``, of all that are in work."""
        for shard in list(self._open):
            yield from self.failed(shard, reason)

    def _is_suspect(self, shard: Shard) -> bool:
        return self._tries.get(shard, 0) >= _ALONE
