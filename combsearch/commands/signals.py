"""Signals that ask a command to stop: Ctrl-C, and what batch systems send before the end.

The first one unwinds the command. Where that takes too long, or Ctrl-C is pressed once more, the
process ends at once: what is saved is whole at any time, and workers end with their coordinator.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from combsearch.errors import InterruptedRunError

CTRL_C = 130
"""Exit code after Ctrl-C; other signals end a command with that of ``InterruptedRunError``."""
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_PATIENCE_SECONDS = 5.0
_AGAIN_SECONDS = 0.05
_ECHO_SECONDS = 0.2  # a signal that comes twice, from a terminal and from make, is one
_LONGEST_SECONDS = 8.0  # of unwinding: who asked to stop may kill after ten


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
    Where the process is the command's own, a second Ctrl-C ends it at once.
    A signal that was ignored from the start (as ``nohup`` does, or a shell for its
    background jobs) stays so.

    Attributes:
        forever: the process ends with the command. On leaving, signals are ignored rather than
            given back to whom they were.
        say: says that the command was stopped by this signal.
        number: the signal that came, or None. Whatever is raised after it may be its doing:
            a library whose work is broken off can answer with any error.
    """

    def __init__(self, forever: bool, say: Callable[[int], object] = int) -> None:
        self.forever, self.say = forever, say
        self.number: int | None = None
        self._first: tuple[float, int] | None = None  # when the first signal came, and which
        self._left = False
        self._before: dict[int, Any] = {}
        self._raised = float("-inf")
        self._held: list[int] | None = None
        self._unraisable = sys.unraisablehook

    def __enter__(self) -> Stops:
        sys.unraisablehook = self._swallowed
        if self.forever:  # Python gives its handlers up last of all: Ctrl-C would kill it there
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        if threading.current_thread() is threading.main_thread():
            for number in _STOPS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._unraisable
        self._left = True
        for number, handler in self._before.items():
            # What runs at the end of a process may take long too: a second Ctrl-C still ends it.
            # Others are ignored: Python gives its own handlers up there, and they would kill.
            if not (self.forever and self._first is not None and number == signal.SIGINT):
                signal.signal(number, signal.SIG_IGN if self.forever else handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now, number
            self._end_late(number)
        elif self.forever and number == signal.SIGINT and now - self._first[0] > _ECHO_SECONDS:
            self._end(number)
        if self._left:
            return
        if self._held is not None:
            self._held.append(number)
        elif now - self._raised > _PATIENCE_SECONDS:
            self._raised, self.number = now, number
            raise Stopped(number)

    def _end_late(self, number: int) -> None:
        """End the process, if it is the command's own, should it not end by itself."""
        if self.forever and hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, lambda *_: self._end(number))
            signal.setitimer(signal.ITIMER_REAL, _LONGEST_SECONDS)

    def _end(self, number: int) -> None:
        """End the process now; nothing of it is cleaned up."""
        asked = self._first[1] if self._first else number
        code = CTRL_C if asked == signal.SIGINT else InterruptedRunError.exit_code
        if not self._left:  # else it is said
            with contextlib.suppress(Exception):  # it may be in the midst of printing
                self.say(asked)
        os._exit(code)

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
