"""A pool of worker processes (joblib's loky) that survives no coordinator and no Ctrl-C."""

from __future__ import annotations

import contextlib
import ctypes
import io
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import popen_loky_posix, resource_tracker

from combsearch.engines.seats import Seats

_WATCH_SECONDS = 0.5
# A worker is one core: what it calls must not start threads of its own.
_ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


# Without pgrep or psutil, as in slim containers, loky asks a process for this and it is
# not there: then the thread that looks after a pool would die with it.
if not hasattr(popen_loky_posix.Popen, "kill"):
    popen_loky_posix.Popen.kill = lambda popen: os.kill(popen.pid, signal.SIGKILL)


@contextlib.contextmanager
def worker_pool(jobs: int, gpus: int = 0) -> Iterator[Any]:
    """A pool of ``jobs`` processes; on leaving, they are killed whatever they do.

    Submit to it inside ``signals_held``, since that is what starts the processes. With
    ``gpus`` each process sees one of them, so that all have as many processes.
    """
    for message in ("A worker stopped while", "Failed to kill subprocesses"):
        warnings.filterwarnings("ignore", message)  # both are seen to here
    _start_trackers()
    seats = Seats.make(jobs, gpus) if gpus else None
    pool = ProcessPoolExecutor(
        jobs, initializer=_start_worker, initargs=(os.getpid(), seats), env=_ENVIRONMENT
    )
    try:
        yield pool
    finally:
        if seats is not None:
            seats.remove()
        with signals_held(), _silent(getattr(pool, "_executor_manager_thread", None)):
            for pid in list(pool._processes):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            pool.shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def _silent(thread: threading.Thread | None) -> Iterator[None]:
    """Nothing is said of an exception that ends ``thread`` in here.

    It is the one that looks after a pool: it may stumble over processes that are killed under
    it, and a user who pressed Ctrl-C would see its traceback.
    """
    before = threading.excepthook

    def tell(args: Any) -> None:
        if thread is None or args.thread is not thread:
            before(args)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


def _start_trackers() -> None:
    """Start the processes that remove semaphores after a crash; they need not announce it."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    try:
        with signals_held():
            resource_tracker.ensure_running()
            multiprocessing.resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
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
        if arrived:
            signal.raise_signal(arrived[0])


def _start_worker(parent: int, seats: Seats | None = None) -> None:
    """Runs first in a worker: it shall not outlive its coordinator, however that ends."""
    os.dup2(2, 1)  # standard output is for the result, whatever a user's task may print
    if isinstance(sys.stdout, io.TextIOWrapper):  # a worker is killed in the end
        sys.stdout.reconfigure(line_buffering=True)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it has died before this was set up
        os._exit(1)
    if seats is not None:
        seats.take()


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
