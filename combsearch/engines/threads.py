"""Shards in a few threads of this process, for a trainer that leaves the core to others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from combsearch.engines.attempts import Lost, Queue, attempt, drain
from combsearch.search.running import Failure
from combsearch.search.sharing import share
from combsearch.store import Shard

T = TypeVar("T")


@dataclass(frozen=True)
class ThreadEngine:
    """So many shards at a time: while a GPU trains one, others are prepared and saved.

    Attributes:
        threads: how many; Python runs one at a time, the GPU all.
    """

    threads: int

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        """See ``Engine.run``.

        On closing it waits for the threads: these end where they call ``give_way``.
        """
        stop = threading.Event()
        pool = ThreadPoolExecutor(self.threads, "shard", share, (self.threads, stop))

        def submit(shard: Shard, failures: int) -> Future[T | Lost]:
            return pool.submit(attempt, work, shard, failures)

        try:
            yield from drain(Queue(iter(shards)), submit, lambda: self.threads)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
