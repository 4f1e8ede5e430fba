"""Shards in several processes of this machine, by the process pool of joblib (loky)."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from joblib import cpu_count
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import resource_tracker

from combsearch.errors import CombsearchError
from combsearch.search.phase1 import Failure
from combsearch.store import Shard

T = TypeVar("T")

_TRIES = 4  # of one shard: the first and three more
_ALONE = 2  # tries after which a shard runs alone, so that no other one can be to blame
_POOL_DEATHS = 8  # in a row without a finished shard: the fault is not the shards'
_WATCH_SECONDS = 0.5
# A worker is one core: what it calls must not start threads of its own.
_ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def cores() -> int:
    """Cores that this process may use (affinity, container limits)."""
    return int(cpu_count())


@dataclass(frozen=True)
class LocalEngine:
    """``jobs`` worker processes; when one is killed, its shard is tried again.

    Attributes:
        jobs: number of processes.
        say: told in a line what went wrong and is being mended.
    """

    jobs: int
    say: Callable[[str], None] = lambda text: None

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
            with _pool(self.jobs) as pool:
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
                with _signals_held():
                    flight[pool.submit(work, shard)] = shard
            if not flight:
                return
            done, _ = wait(flight, return_when=FIRST_COMPLETED)
            # When the pool breaks, all that is in flight fails: first what was finished.
            for future in sorted(done, key=lambda f: f.exception() is not None):
                try:
                    result = future.result()
                except MemoryError:
                    yield from queue.failed(flight.pop(future), "out of memory")
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
            yield shard, Failure(f"{reason} in each of {_TRIES} tries")
            return
        self._back.append(shard)
        self._back.sort(key=lambda s: (-self._tries[s], s))

    def all_failed(self, reason: str) -> Iterator[tuple[Shard, Failure]]:
        """As ``failed``, of all that are in work."""
        for shard in list(self._open):
            yield from self.failed(shard, reason)

    def _is_suspect(self, shard: Shard) -> bool:
        return self._tries.get(shard, 0) >= _ALONE


@contextlib.contextmanager
def _pool(jobs: int) -> Iterator[Any]:
    """A pool of worker processes; on leaving, they are killed whatever they do."""
    for message in ("A worker stopped while", "Failed to kill subprocesses"):
        warnings.filterwarnings("ignore", message)  # both are seen to here
    _start_trackers()
    pool = ProcessPoolExecutor(
        jobs, initializer=_start_worker, initargs=(os.getpid(),), env=_ENVIRONMENT
    )
    try:
        yield pool
    finally:
        with _signals_held():
            for pid in list(pool._processes):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            pool.shutdown(wait=True, kill_workers=True)


def _start_trackers() -> None:
    """Start the processes that remove semaphores after a crash; they need not announce it."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    try:
        with _signals_held():
            resource_tracker.ensure_running()
            multiprocessing.resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """What happens in here is not interrupted: a signal that stops a run waits for the end.

    Processes that are started in here never see such a signal: a terminal sends Ctrl-C
    to all processes, and the coordinator alone answers it.
    """
    arrived: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    handlers = {}
    # The mask is of this thread; another one may still take a signal for the process.
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                handlers[number] = signal.signal(number, lambda n, _: arrived.append(n))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in arrived[:1]:
            signal.raise_signal(number)


def _start_worker(parent: int) -> None:
    """Runs first in a worker: it shall not outlive its coordinator, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it has died before this was set up
        os._exit(1)


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
