"""Progress of long commands: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any

_PLAIN_SECONDS = 10.0


def duration(seconds: float) -> str:
    """``"4 s"``, ``"2 min 05 s"``, ``"3 h 07 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass(eq=False)
class Progress:
    """Counts work done against work planned; use as a context manager.

    Attributes:
        title: what is being done.
        total: planned work, in any unit (multiply-adds, say).
        done: work that was finished before.
        quiet: show nothing.
    """

    title: str
    total: float
    done: float = 0.0
    quiet: bool = False
    _started: float = field(default_factory=time.monotonic)
    _before: float = 0.0
    _shown: float = 0.0
    _live: Any = None
    _task: Any = None

    def __enter__(self) -> Progress:
        self._started = self._shown = time.monotonic()
        self._before = self.done
        if not self.quiet and sys.stderr.isatty():
            self._live = _live_bar()
            self._live.start()
            self._task = self._live.add_task(self.title, total=self.total, completed=self.done, note="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line of its own."""
        if self.quiet:
            return
        if self._live is not None:
            self._live.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def advance(self, work: float, note: str) -> None:
        """``work`` more is done; ``note`` is what there is to tell."""
        self.done += work
        if self.quiet:
            return
        if self._live is not None:
            self._live.update(self._task, completed=self.done, note=note)
        elif time.monotonic() - self._shown >= _PLAIN_SECONDS:
            self._shown = time.monotonic()
            share = self.done / self.total if self.total else 1.0
            self.say(f"{self.title}: {share:.0%}, at most {duration(self.left())} left; {note}")

    def left(self) -> float:
        """Seconds left at the rate so far."""
        fresh = self.done - self._before
        elapsed = time.monotonic() - self._started
        return (self.total - self.done) * elapsed / fresh if fresh else 0.0


def _live_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Rich

    return Rich(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
