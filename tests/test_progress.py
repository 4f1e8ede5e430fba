"""Progress: what it prints, where, how often, and the rates behind it."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time

import pytest

from combsearch import progress
from combsearch.progress import Progress, Rate, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (3.6, "4 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (11_220, "3 h 07 min"),
        (7199, "2 h 00 min"),
        (47 * 3600, "47 h 00 min"),
        (48 * 3600, "2 d 00 h"),
        (50.6 * 3600, "2 d 03 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Clock:
    """Stands in for ``time`` in the module under test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_rate_leaves_out_the_start_and_the_first_piece(clock: Clock) -> None:
    rate = Rate()
    assert rate.per_second() is None
    clock.now += 100  # workers start
    rate.add(1000)
    assert rate.per_second() is None
    clock.now += 0.5
    rate.add(10)
    assert rate.per_second() is None  # too early to say
    clock.now += 1.5
    rate.add(30)
    assert rate.per_second() == 20


def test_plain_lines_come_every_ten_seconds_at_most(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("phase1") as shown:
        for second in range(31):
            clock.now += 1
            shown.show(second / 30, f"note {second}")
        shown.say("something [happened]")
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.splitlines() == [
        "phase1: note 9",
        "phase1: note 19",
        "phase1: note 29",
        "something [happened]",
    ]


def test_nothing_is_shown_where_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("phase1") as shown:
        shown.say("unheard")


def test_a_dumb_terminal_gets_plain_lines(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "dumb")
    with Progress("phase1") as shown:
        clock.now += 11
        shown.show(0.5, "half")
    assert stream.getvalue() == "phase1: half\n"


LIVE = """
import sys, time
from combsearch.progress import Progress
with Progress("phase1") as shown:
    shown.show(0.25, "47 nonzeros (level 30 of 528), best 0.9871")
    time.sleep(0.15)
    shown.say("a shape with [bold] nonzeros reached 0.995")
    shown.show(0.5, "48 nonzeros")
    if "stop" in sys.argv:
        raise KeyboardInterrupt
print("the result")
"""


def on_terminal(*arguments: str, columns: int = 100) -> tuple[str, str]:
    """(what a terminal on standard error got, standard output) of LIVE."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"}
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, *arguments],
        stdout=subprocess.PIPE, stderr=theirs, stdin=theirs, env=environment, text=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen, stop = b"", time.monotonic() + 20
        while time.monotonic() < stop:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        os.close(ours)
        assert process.stdout is not None
        return seen.decode(), process.stdout.read()


def plain(text: str) -> list[str]:
    """What was written, line by line, without control sequences."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*\w", "", text))]


def test_a_terminal_gets_a_live_line_and_keeps_what_is_said() -> None:
    seen, out = on_terminal()
    assert out == "the result\n"
    lines = plain(seen)
    assert "a shape with [bold] nonzeros reached 0.995" in lines
    assert any(re.fullmatch(r"phase1 \S+ +25% 47 nonzeros \(level 30 .*", line) for line in lines)
    assert any(re.fullmatch(r"phase1 \S+ +50% 48 nonzeros", line) for line in lines)
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") == 1  # the cursor is back


def test_a_narrow_terminal_shortens_the_note_and_keeps_one_line() -> None:
    lines = plain(on_terminal(columns=40)[0])
    shown = [line for line in lines if line.startswith("phase1")]
    assert shown and all(len(line) <= 40 for line in shown)
    assert any(re.match(r"phase1 +25% 47 nonzeros \(level", line) for line in shown)


def test_an_interruption_gives_the_cursor_back() -> None:
    seen, out = on_terminal("stop")
    assert out == ""
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
