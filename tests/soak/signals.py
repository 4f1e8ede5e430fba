"""Ctrl-C, SIGTERM and SIGUSR1 at any time: out within 10 s, and the same command goes on.

The signal goes to the process alone, as a batch system sends it, or to its whole group, as a
terminal does. Ctrl-C is pressed once or twice. A run is stopped again and again until it ends,
with the digest of the undisturbed run.

    python tests/soak/signals.py [--count 60] [-o FILE.json]
"""

from __future__ import annotations

import collections
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from searching import alive, finish, gone
from soaking import SEARCHES, Call, as_process, check_sound, rows_digest, shard_names, soak, started

WITHIN_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75, signal.SIGUSR1: 75}
_MOST_SIGNALS = 8  # of one run: then it may end


@dataclass
class Books:
    """What was done so far; seconds from the signal to the end of all processes."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    codes: collections.Counter[int] = field(default_factory=collections.Counter)
    before_the_program: int = 0
    runs: int = 0

    @property
    def signals(self) -> int:
        return sum(map(len, self.seconds.values()))


def signals_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    searches: Mapping[str, Sequence[str]] = SEARCHES,
    latest: float = 3.0,
    call: Call = as_process,
) -> dict[str, Any]:
    """``count`` signals, over as many runs as they take; the figures.

    Signals come ``latest`` seconds after the start at the latest; ``call`` runs what is left alone.
    """
    rng, books, names = random.Random(0), Books(), list(searches)
    expected = {
        name: call(*words, f"--run=whole-{name}", "--jobs=1", cwd=folder).report["digest"]
        for name, words in searches.items()
    }
    while books.signals < count:
        name = names[books.runs % len(names)]
        run = folder / "runs" / f"{name}-{books.runs}"
        most = min(count, books.signals + _MOST_SIGNALS)
        while _session(searches[name], run, rng if books.signals < most else None, books, latest):
            check_sound(run)
        assert rows_digest(run) == expected[name] and not (run / "quarantine").exists()
        books.runs += 1
        say(f"{books.signals} of {count} signals, {books.runs} runs: every digest as undisturbed")
    return {
        "signals": books.signals,
        "exit_codes": {str(code): times for code, times in sorted(books.codes.items())},
        "before_python_had_begun_the_program": books.before_the_program,
        "slowest_end_s": {name: round(max(s), 2) for name, s in sorted(books.seconds.items())},
        "mean_s_to_end": {name: round(sum(s) / len(s), 2) for name, s in books.seconds.items()},
        "runs_continued_to_the_digest_of_the_undisturbed_run": books.runs,
        "digests_that_differ": 0,  # each is asserted above
    }


def _session(
    words: Sequence[str], run: Path, rng: random.Random | None, books: Books, latest: float
) -> bool:
    """The command once; whether it was stopped before its end."""
    jobs = f"--jobs={1 if rng is None else rng.choice((1, 2))}"
    process = started(*words, f"--run={run.name}", jobs, cwd=run.parents[1])
    before = shard_names(run)
    if rng is None:
        code, _, err = finish(process, 300)
        assert code == 0, err
        return False
    number, twice = rng.choice(_SIGNALS), rng.random() < 0.5
    send = rng.choice((os.kill, os.killpg))
    time.sleep(rng.uniform(0.3, latest))
    sent = process.poll() is None
    begun = time.monotonic()
    if sent:
        send(process.pid, number)
        if number == signal.SIGINT and twice:
            time.sleep(rng.uniform(0, 1.5))
            if process.poll() is None:
                begun = time.monotonic()
                send(process.pid, number)
    code, _, err = finish(process, 300)
    assert gone(process.pid, within=15), alive(process.pid)
    seconds = time.monotonic() - begun
    assert before <= shard_names(run), "a committed shard is lost"
    if sent:
        _note(books, number, twice, code, err, seconds)
    else:
        assert code == 0, err
    return code != 0


def _note(
    books: Books, number: signal.Signals, twice: bool, code: int, err: str, seconds: float
) -> None:
    """Judge the end of a command that was sent a signal."""
    assert seconds < WITHIN_S, (number, seconds, err)
    name = f"{number.name} twice" if number == signal.SIGINT and twice else number.name
    books.seconds.setdefault(name, []).append(seconds)
    books.codes[code] += 1
    if code == -number:  # before a handler was there
        books.before_the_program += 1
        return
    assert code in (0, _CODES[number]), (number, code, err)
    assert "Traceback" not in err, err
    if code:
        assert err.splitlines()[-1].endswith("repeat the command to continue"), err


if __name__ == "__main__":
    soak(__file__, 60, signals_soak)
