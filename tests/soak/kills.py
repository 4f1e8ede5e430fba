"""kill -9 of coordinators, workers and whole groups of processes, at any time.

A run is killed again and again, while it starts, trains, writes a shard or merges, and its
command is repeated until it ends. Then every shard must be there, none that was committed may
be lost or damaged, and the rows must have the digest of the undisturbed run.

    python tests/soak/kills.py [--count 200] [-o FILE.json]
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from searching import alive, finish, gone, workers
from soaking import (
    SEARCHES,
    Call,
    as_process,
    check_sound,
    half_written,
    rows_digest,
    shard_names,
    soak,
    started,
)

VICTIMS = ("coordinator", "coordinator", "worker", "worker", "all")
MOMENTS = ("start", "train", "write", "merge")
_MOST_KILLS = 10  # of one run: then it may end
_PATIENCE_S = 120.0


@dataclass
class Books:
    """What was done so far."""

    victims: collections.Counter[str] = field(default_factory=collections.Counter)
    moments: collections.Counter[str] = field(default_factory=collections.Counter)
    committed: int = 0
    half_written: int = 0
    runs: int = 0
    sessions: int = 0
    slowest_end: float = 0.0

    @property
    def kills(self) -> int:
        return sum(self.victims.values())


@dataclass(frozen=True)
class Expected:
    """Of the undisturbed run."""

    digest: str
    shards: int


def undisturbed(
    folder: Path, searches: Mapping[str, Sequence[str]], call: Call
) -> dict[str, Expected]:
    """The same searches, left alone."""
    found = {}
    for name, words in searches.items():
        report = call(*words, f"--run=whole-{name}", "--jobs=1", cwd=folder).report
        run = folder / "runs" / f"whole-{name}"
        assert report["digest"] == rows_digest(run)
        found[name] = Expected(report["digest"], len(shard_names(run)))
    return found


def kill_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    searches: Mapping[str, Sequence[str]] = SEARCHES,
    seed: int = 0,
    call: Call = as_process,
) -> dict[str, Any]:
    """``count`` kills spread over as many runs as they take; the figures.

    ``call`` runs what is left alone.
    """
    rng, books, expected = random.Random(seed), Books(), undisturbed(folder, searches, call)
    names = list(searches)
    while books.kills < count:
        name = names[books.runs % len(names)]
        run = folder / "runs" / f"{name}-{books.runs}"
        _survive(searches[name], run, expected[name], count, rng, books)
        books.runs += 1
        say(f"{books.kills} of {count} kills, {books.runs} runs: every digest as undisturbed")
    return {
        "kills": books.kills,
        "killed": dict(books.victims),
        "while": dict(books.moments),
        "runs_completed": books.runs,
        "commands": books.sessions,
        "shards_committed_before_kills": books.committed,
        "committed_shards_lost": 0,  # each is asserted below
        "kills_that_left_a_half_written_file": books.half_written,
        "slowest_end_of_all_processes_s": round(books.slowest_end, 2),
        "digests_equal_to_the_undisturbed_run": books.runs,
        "digests_that_differ": 0,
    }


def _survive(
    words: Sequence[str], run: Path, expected: Expected, count: int, rng: Any, books: Books
) -> None:
    """Kill one run until it has had enough, then let it end, and judge it."""
    most = books.kills + _MOST_KILLS
    while True:
        left = min(count, most) - books.kills
        code, out, err = _session(words, run, expected, rng, min(3, left), books)
        assert "Traceback" not in err, err
        if code == 0:
            break
    assert expected.digest in out and rows_digest(run) == expected.digest
    assert len(shard_names(run)) == check_sound(run) == expected.shards
    assert not (run / "quarantine").exists()


def _session(
    words: Sequence[str], run: Path, expected: Expected, rng: Any, kills: int, books: Books
) -> tuple[int, str, str]:
    """The command once, with at most so many kills."""
    books.sessions += 1
    jobs = rng.choice((1, 2, 2, 3)) if kills else 1
    process = started(*words, f"--run={run.name}", f"--jobs={jobs}", cwd=run.parents[1])
    before, last = shard_names(run), time.monotonic()
    for _ in range(kills):
        victim, moment = rng.choice(VICTIMS), rng.choice(MOMENTS)
        if victim == "worker" and jobs == 1:
            victim = "coordinator"
        if not _wait(moment, process, run, expected, rng) or not _kill(victim, process, rng):
            break
        before |= shard_names(run)
        books.victims[victim] += 1
        books.moments[moment] += 1
        books.committed += len(before)
        last = time.monotonic()
        if process.poll() is not None or victim in ("coordinator", "all"):
            break
    ended = finish(process, timeout=_PATIENCE_S)
    assert gone(process.pid, within=15), alive(process.pid)
    if ended[0] == -signal.SIGKILL:
        books.slowest_end = max(books.slowest_end, time.monotonic() - last)
    books.half_written += half_written(run) > 0
    assert before <= shard_names(run), "a committed shard is lost"
    check_sound(run)
    return ended


def _wait(
    moment: str, process: subprocess.Popen[str], run: Path, expected: Expected, rng: Any
) -> bool:
    """Wait for a moment to kill at; whether the process still runs then."""
    saved = len(shard_names(run))
    conditions: dict[str, Callable[[], bool]] = {
        "start": lambda: True,
        "train": lambda: len(shard_names(run)) > saved,
        "write": lambda: half_written(run) > 0,
        "merge": lambda: len(shard_names(run)) >= expected.shards,
    }
    after = {"start": 2.5, "train": 0.5, "write": 0.0, "merge": 0.4}
    end = time.monotonic() + _PATIENCE_S
    while not conditions[moment]() and process.poll() is None:
        assert time.monotonic() < end, f"no {moment} within {_PATIENCE_S} s"
        time.sleep(0.0005 if moment == "write" else 0.005)
    time.sleep(rng.uniform(0, after[moment]))
    return process.poll() is None


def _kill(victim: str, process: subprocess.Popen[str], rng: Any) -> bool:
    """Kill one process of the command, or all; whether there was one to kill."""
    if victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
        return True
    if victim == "coordinator":
        process.kill()
        return True
    end = time.monotonic() + _PATIENCE_S
    while not (found := workers(process.pid)) and process.poll() is None:
        assert time.monotonic() < end, "no worker"
        time.sleep(0.005)
    try:
        os.kill(rng.choice(found), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


if __name__ == "__main__":
    soak(__file__, 200, kill_soak)
