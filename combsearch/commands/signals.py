"""Signals that ask a command to stop: Ctrl-C, and what batch systems send before the end."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_PATIENCE_SECONDS = 5.0
_AGAIN_SECONDS = 0.05


class Stopped(KeyboardInterrupt):
    """Raised where the command is when a signal arrives.

    A kind of KeyboardInterrupt, so that no library takes it for a failure of its own.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stops:
    """While it is entered, signals raise ``Stopped``; use as a context manager.

    The first one unwinds the command; while that goes on, impatient others are ignored.
    A signal that was ignored from the start (as ``nohup`` does, or a shell for its
    background jobs) stays so.

    Attributes:
        forever: on leaving, ignore signals rather than restore what was: the process ends.
        number: the signal that came, or None. Whatever is raised after it may be its doing:
            a library whose work is broken off can answer with any error.
    """

    def __init__(self, forever: bool) -> None:
        self.forever = forever
        self.number: int | None = None
        self._before: dict[int, Any] = {}
        self._raised = float("-inf")
        self._held: list[int] | None = None
        self._unraisable = sys.unraisablehook

    def __enter__(self) -> Stops:
        sys.unraisablehook = self._swallowed
        if threading.current_thread() is threading.main_thread():
            for number in _STOPS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._unraisable
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.forever else handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._held is not None:
            self._held.append(number)
        elif now - self._raised > _PATIENCE_SECONDS:
            self._raised, self.number = now, number
            raise Stopped(number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait for the end of this block: an import broken off raises anything."""
        arrived: list[int] = []
        self._held = arrived
        try:
            yield
        finally:
            self._held = None
        for number in arrived[:1]:
            signal.raise_signal(number)

    def _swallowed(self, lost: sys.UnraisableHookArgs) -> None:
        """Raised in a callback from C, where no exception gets out: raise it again soon."""
        if isinstance(lost.exc_value, Stopped):
            self._raised = float("-inf")
            again = (threading.main_thread().ident, lost.exc_value.number)
            threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, again).start()
        else:
            self._unraisable(lost)
