"""Shards in several processes of this machine, by joblib."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from combsearch.errors import CombsearchError
from combsearch.store import Shard

T = TypeVar("T")
_DEATHS = 3  # pools in a row that die without finishing a single shard
_ALIVE_SECONDS = 1.0  # how often a worker looks whether its coordinator lives


@dataclass(frozen=True)
class LocalEngine:
    """``jobs`` worker processes; a worker that is killed restarts the pool.

    Attributes:
        jobs: number of processes.
    """

    jobs: int

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Iterator[tuple[Shard, T]]:
        """(shard, work(shard)) as they finish.

        Raises:
            CombsearchError: workers were killed again and again.
        """
        source = _Source(shards)
        deaths = 0
        try:
            while deaths < _DEATHS:
                try:
                    for shard, result in self._pool(work, source):
                        deaths = 0
                        source.finished(shard)
                        yield shard, result
                    return
                except TerminatedWorkerError:
                    deaths += 1
                    source.again()
            raise CombsearchError(
                f"worker processes were killed {deaths} times in a row, maybe for memory:"
                " use fewer --jobs and repeat the command to continue"
            )
        finally:
            with contextlib.suppress(Exception):
                get_reusable_executor().shutdown(wait=False, kill_workers=True)

    def _pool(
        self, work: Callable[[Shard], T], source: _Source
    ) -> Iterator[tuple[Shard, T]]:
        pool = Parallel(
            n_jobs=self.jobs,
            backend="loky",
            batch_size=1,
            pre_dispatch=f"{self.jobs}",
            return_as="generator_unordered",
        )
        yield from pool(delayed(_in_worker)(work, shard) for shard in source)


class _Source:
    """Shards to give out; those given out but not finished can be given out again."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._fresh = iter(shards)
        self._open: list[Shard] = []
        self._back: list[Shard] = []
        self._lock = threading.Lock()  # joblib asks from its own thread

    def __iter__(self) -> Iterator[Shard]:
        return self

    def __next__(self) -> Shard:
        with self._lock:
            shard = self._back.pop(0) if self._back else next(self._fresh)
            self._open.append(shard)
            return shard

    def finished(self, shard: Shard) -> None:
        with self._lock:
            self._open.remove(shard)

    def again(self) -> None:
        with self._lock:
            self._back, self._open = sorted(self._open + self._back), []


def _in_worker(work: Callable[[Shard], T], shard: Shard) -> tuple[Shard, T]:
    _prepare_worker()
    return shard, work(shard)


_prepared = False


def _prepare_worker() -> None:
    """Once a worker: leave Ctrl-C to the coordinator, and do not outlive it."""
    global _prepared  # noqa: PLW0603  one flag a process is what is meant
    if _prepared:
        return
    _prepared = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()


def _die_with(parent: int) -> None:
    # A killed coordinator cannot end its workers; they see that they have been adopted.
    while os.getppid() == parent:
        time.sleep(_ALIVE_SECONDS)
    os._exit(1)
