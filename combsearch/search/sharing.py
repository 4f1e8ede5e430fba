"""What engines tell the work that they run in a thread, through the thread itself.

Threads may share a process and a device: what they load once, when they end, their time. And
where a try ran out of memory, how much less to train at once in the next.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

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


@contextlib.contextmanager
def halved(times: int) -> Iterator[None]:
    """The work that this thread does in here trains 2**times times fewer networks at once."""
    before = halvings()
    _thread.halvings = times
    try:
        yield
    finally:
        _thread.halvings = before


def halvings() -> int:
    """How often to halve the networks that are trained at once: tries that ran out of memory."""
    return int(getattr(_thread, "halvings", 0))


def fewer(networks: int) -> int:
    """``networks`` that would be trained at once, halved as often as ``halvings`` says."""
    return max(1, networks >> halvings())
