"""The process that does the pieces; ``supervise`` starts another one when this one dies.

An error of a kernel may leave a process without its GPU for good, and a kernel that never ends
would keep it forever: then the process ends, and the pieces that are left have a new one.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from combsearch.commands.gpu_check.correct import alive
from combsearch.commands.gpu_check.machine import Machine
from combsearch.commands.gpu_check.pieces import LIMITS, Piece, pieces
from combsearch.commands.gpu_check.report import Report

LOST = 3
"""Exit code: the GPU no longer answers this process."""


def run(
    machine: Machine,
    known: Mapping[str, Piece],
    names: Sequence[str],
    report: Report,
    ends: Mapping[str, float],
) -> bool:
    """Do the pieces called ``names``; False when the GPU was lost on the way.

    Args:
        machine: what is checked.
        known: pieces by name.
        names: of those to do, in order.
        report: gets the results, one after the other.
        ends: part -> moment of ``time.monotonic`` by which it shall end.
    """  # fmt: skip
    for name in names:
        piece, until = known[name], ends[known[name].part]
        if time.monotonic() > until:
            report.pieces[name] = {"skipped": "time was up"}
            report.write()
            continue
        report.running = name
        report.write()
        report.pieces[name] = found = _result(machine, piece, name, until)
        report.running = None
        report.write()
        if "error" in found and not alive(machine):
            return False
    return True


def _result(machine: Machine, piece: Piece, name: str, until: float) -> dict[str, Any]:
    started = time.monotonic()
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    _alarm(LIMITS[piece.part])
    try:
        found = piece.run(machine, until)
        json.dumps(found, allow_nan=False)  # what the report could not hold is an error, too
    except Exception as error:  # reported; the other pieces go on
        found = {"error": f"{type(error).__name__}: {error}"}
    finally:
        _alarm(0)
    return {**found, "seconds": round(time.monotonic() - started, 2)}


def _alarm(seconds: float) -> None:
    """End this process after ``seconds``, whatever it waits for; 0 calls that off."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def main(order: dict[str, Any]) -> int:
    """Do what ``supervise`` orders; the exit code.

    Args:
        order: ``path``, ``names``, ``device``, ``quick``, and ``ends`` in seconds of ``time.time``.
    """
    report = Report.read(Path(order["path"]))
    offset = time.monotonic() - time.time()
    ends = {part: moment + offset for part, moment in order["ends"].items()}
    try:
        machine = Machine.of(order["device"], order["quick"])
    except Exception as error:  # then nothing can be done at all
        text = f"the GPU cannot be used: {type(error).__name__}: {error}"
        report.pieces.update({name: {"error": text} for name in order["names"]})
        report.write()
        return LOST
    return 0 if run(machine, pieces(), order["names"], report, ends) else LOST


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
