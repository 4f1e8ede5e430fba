"""Progress of long commands: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

_PLAIN_SECONDS = 10.0
_RATE_SECONDS = 1.0  # how long to look before a rate means anything


def duration(seconds: float) -> str:
    """``"4 s"``, ``"2 min 05 s"``, ``"3 h 07 min"``, ``"12 d 04 h"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


class Rate:
    """Work a second, from the first piece of work on: what starts up before does not count."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._done = 0.0

    def add(self, work: float) -> None:
        """So much more, in any unit, is done now."""
        if self._began is None:
            self._began = time.monotonic()
        else:
            self._done += work

    def per_second(self) -> float | None:
        """The rate so far; None while it is too early to say."""
        elapsed = 0.0 if self._began is None else time.monotonic() - self._began
        return self._done / elapsed if elapsed >= _RATE_SECONDS and self._done else None


class Progress:
    """Shows on standard error how far something is; use as a context manager.

    Args:
        title: what is being done.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = time.monotonic()
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._live = _live_line(len(self._title))
            self._live.start()
            self._task = self._live.add_task(self._title, total=1.0, note="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)
        elif sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)

    def show(self, share: float, note: str) -> None:
        """How much is done, 0 to 1, and what there is to tell; a line that is overwritten.

        Where there is no terminal, a line of its own, but one every 10 seconds at most.
        """
        if self._live is not None:
            self._live.update(self._task, completed=share, note=note)
        elif time.monotonic() - self._shown >= _PLAIN_SECONDS:
            self._shown = time.monotonic()
            self.say(f"{self._title}: {note}")


def _live_line(title: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Rich
    from rich.table import Column

    def text(format: str, least: int) -> TextColumn:
        # On a narrow terminal the bar and the note give way, so that one line stays one.
        column = Column(no_wrap=True, overflow="ellipsis", min_width=least)
        return TextColumn(format, markup=False, table_column=column)

    return Rich(
        text("{task.description}", title),
        BarColumn(bar_width=20),
        text("{task.percentage:>3.0f}%", 4),
        text("{task.fields[note]}", 1),
        console=Console(stderr=True),
    )
