"""Shards in a few threads of this process, for a trainer that leaves the core to others."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from combsearch.engines.inline import outcome
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
        """See ``Engine.run``; a shard that runs out of memory is given up at once.

        On closing it waits for the threads: these end where they call ``give_way``.
        """
        fresh, flight = iter(shards), dict[Future[T | Failure], Shard]()
        stop = threading.Event()
        pool = ThreadPoolExecutor(self.threads, "shard", share, (self.threads, stop))
        try:
            while True:
                for shard in itertools.islice(fresh, self.threads - len(flight)):
                    flight[pool.submit(outcome, work, shard)] = shard
                if not flight:
                    return
                done, _ = wait(flight, return_when=FIRST_COMPLETED)
                # One that failed raises here: those that finished beside it come first.
                for future in sorted(done, key=lambda one: one.exception() is not None):
                    yield flight.pop(future), future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
