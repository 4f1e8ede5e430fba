"""Threads that share a process and a device: what they load once, when they end, their time."""

from __future__ import annotations

import threading
import time

LOADING = threading.Lock()
"""Held while a plan is loaded: threads that share a process share it."""

_thread = threading.local()


class AbandonedError(Exception):
    """The engine gives up the work of this thread; nobody is told."""


def share(threads: int, stop: threading.Event) -> None:
    """Say that this thread is one of several; ``give_way`` ends its work once ``stop`` is set."""
    _thread.threads, _thread.stop = threads, stop


def clock() -> float:
    """Seconds since some moment, of which threads that share a device have a part each."""
    return time.perf_counter() / int(getattr(_thread, "threads", 1))


def give_way() -> None:
    """To be called where work can be broken off, every few seconds.

    Raises:
        AbandonedError: the engine that this thread belongs to ends.
    """
    stop = getattr(_thread, "stop", None)
    if stop is not None and stop.is_set():
        raise AbandonedError
