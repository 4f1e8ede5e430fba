"""Shards in several processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from joblib import cpu_count

from combsearch.engines.attempts import Lost, Queue, attempt, drain
from combsearch.engines.pool import signals_held, worker_pool
from combsearch.errors import CombsearchError
from combsearch.search.running import Failure
from combsearch.store import Shard

T = TypeVar("T")

_KILLED = Lost("a worker process was killed, maybe for memory")
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
        queue = Queue(iter(shards))
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
            yield from queue.all_failed(_KILLED)
            self.say("a worker process was killed; what it worked on is computed again")
        raise CombsearchError(
            f"worker processes were killed {deaths} times in a row: look for what kills them"
            " (memory?), then repeat the command to continue, maybe with fewer --jobs"
        )

    def _finish(
        self, pool: Any, work: Callable[[Shard], T], queue: Queue
    ) -> Iterator[tuple[Shard, T | Failure]]:
        """Keep ``jobs`` shards in work until the queue is empty."""

        def submit(shard: Shard, failures: int) -> Future[T | Lost]:
            with signals_held():
                future: Future[T | Lost] = pool.submit(attempt, work, shard, failures)
            return future

        return drain(queue, submit, lambda: self.jobs)
