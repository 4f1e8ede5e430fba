"""Train what a file of ``masks.py`` holds, on a machine that has only PyTorch and numpy.

    PYTHONPATH=. python3 results/gpu/search.py runs/7x3x3.masks --out runs/7x3x3 --minutes 9

Stops in time and goes on where it stopped when it is run again, also on another machine, which
needs the file of masks and ``done.json`` of earlier folders (--done) alone. The masks whose
networks did best then get more restarts, in rounds:

    PYTHONPATH=. python3 results/gpu/search.py runs/7x3x3.masks --out runs/7x3x3 \
        --done runs/earlier --rounds 0.05x16,0.05x112,0.05x2048

for which all rows of the rounds before must be in --out and --done. ``collect.py`` makes a run
folder of all that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from job import Job, open_job
from pieces import DONE, Done, Folder, of_job, read_list
from rounds import Round, parse_rounds, round_job
from stream import Clock, Stream, compile_kernels

from combsearch.errors import CombsearchError, UsageError
from combsearch.progress import duration
from combsearch.trainers import get_trainer

_RATE = 30_000.0  # training runs a second of an H200, for --dry-run
_RACED = 0.19  # epochs that a race takes, as a share
_RESUMABLE = 75
_TRAINERS = ("cuda", "fused")  # the rows of others are not those of the command


def main(arguments: Sequence[str]) -> int:
    """Run the script; its exit code: 0 all done, 75 run it again to go on."""
    given = _parser().parse_args(arguments)
    try:
        job = open_job(given.masks)
        rounds = parse_rounds(given.rounds)
        if given.dry_run:
            print(_estimate(job, rounds, given))
            return 0
        return _run(job, rounds, given)
    except CombsearchError as error:
        print(f"search: {error}", file=sys.stderr)
        return error.exit_code


def _run(job: Job, rounds: list[Round], given: argparse.Namespace) -> int:
    trainer = get_trainer(given.trainer, **({"stay": True} if given.trainer == "cuda" else {}))
    others = [done for path in given.done for done in _listed(path)]
    folder = Folder(given.out, room=round(given.room * 1e6))
    clock = Clock(60 * given.minutes)
    stream = Stream(trainer, folder, clock, given.runs, given.workers, given.save)
    with _signals(clock):
        compile_kernels(trainer, job)
        complete, search, number = stream.run(job, others), job, 1
        while complete and number <= len(rounds):
            job = round_job(search, rounds, number, [given.out, *given.done])
            complete, number = stream.run(job, others), number + 1
    print(json.dumps(summary(job, [*folder.done, *others], complete)))
    return 0 if complete else _RESUMABLE


def _listed(folder: Path) -> list[Done]:
    """What an earlier folder lists; one that lists nothing was not meant."""
    if not (folder / DONE).exists():
        raise UsageError(f"--done: {folder} has no {DONE}; name folders that were --out before")
    return read_list(folder)


@contextlib.contextmanager
def _signals(clock: Clock) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the clock; whoever repeats them has no patience and loses rows."""

    def stop(number: int, _frame: object) -> None:
        clock.stop()
        signal.signal(number, signal.SIG_DFL)
        os.write(2, b"search: stops when what is being trained is saved; once more: at once\n")

    before = {sign: signal.signal(sign, stop) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def summary(job: Job, done: list[Done], complete: bool) -> dict[str, Any]:
    """What of the last job is done and was found, as JSON."""
    own = of_job(done, job)
    at = 0
    for one in own:
        at = max(at, one.last) if one.first <= at else at
    levels: dict[int, int] = {}
    for one in own:
        for level, count in one.successes.items():
            levels[int(level)] = levels.get(int(level), 0) + count
    good = [level for level, count in levels.items() if count]
    open_level = job.level(at) if at < len(job) else None
    closed = [n for n in job.restarts if open_level is None or n < open_level]
    closed = [n for n in closed if not good or n < min(good)]
    return {
        "job": job.name,
        "complete": complete,
        "masks": len(job),
        "masks_done": sum(d.last - d.first for d in own),
        "runs_done": sum(d.runs for d in own),
        "seconds": round(sum(d.seconds for d in own), 1),
        "highest_closed_level": max(closed, default=None),
        "lowest_success": min(good, default=None),
        "best_accuracy": max((max(d.best.values(), default=0) for d in own), default=0)
        / job.task.points,
    }


def _estimate(job: Job, rounds: list[Round], given: argparse.Namespace) -> str:
    lines, total, of_level = [], 0.0, []
    at = 0
    share = _RACED if job.raced else 1.0
    for level, restarts in sorted(job.restarts.items()):
        masks = sum(s.masks for s in job.masks.stretches if s.nonzeros == level)
        runs = job.runs(at, at + masks)
        at, total = at + masks, total + runs * share / _RATE
        of_level.append(masks)
        lines.append(f"{level:>8} {masks:>12,} {restarts:>9,} {runs:>14,} {duration(total):>12}")
    for number, one in enumerate(rounds):
        of_level = [max(1, round(masks * one.share)) for masks in of_level]
        masks = sum(of_level)
        runs = masks * one.restarts * len(job.cells)
        total += runs / _RATE
        name = f"round {number + 1}"
        lines.append(f"{name:>8} {masks:>12,} {one.restarts:>9,} {runs:>14,} {duration(total):>12}")
    raced, count = ", raced" if job.raced else "", math.ceil(total / (60 * given.minutes))
    return "\n".join(
        [
            f"{job.masks.path} ({job.masks.path.stat().st_size / 1e6:.1f} MB) at {_RATE:,.0f} runs"
            f" a second{raced}: about {count} pieces of {given.minutes:g} minutes",
            f"{'nonzeros':>8} {'masks':>12} {'restarts':>9} {'runs':>14} {'time so far':>12}",
            *lines,
        ]
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("masks", type=Path, help="file of masks.py")
    add("--out", type=Path, default=Path("out"), help="folder that the rows go to")
    add("--done", type=Path, action="append", default=[], help="folder of earlier rows")
    add("--rounds", default="", help="further restarts of the best masks: SHARExRESTARTS,...")
    add("--minutes", type=float, default=9.0, help="time after which to stop")
    text = "cuda, or fused, which gives the same rows on a CPU"
    add("--trainer", default="cuda", choices=_TRAINERS, help=text)
    add("--runs", type=_count, default=2**17, help="training runs given out at once")
    add("--workers", type=_count, default=4, help="threads that prepare them and wait for them")
    add("--save", type=float, default=20.0, help="seconds between two writes")
    add("--room", type=float, default=60.0, help="MB of rows in --out after which to stop")
    add("--dry-run", action="store_true", help="how much there is to do; trains nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
