"""Starts workers until every piece has a result, or an error that says why it has none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from combsearch.commands.gpu_check.pieces import PARTS, Piece, deadlines
from combsearch.commands.gpu_check.report import Report

Start = Callable[[Sequence[str]], int]
"""Runs a worker over these pieces: its exit code, negative for a signal."""


def supervise(report: Report, names: Sequence[str], start: Start) -> Report:
    """Give every piece in ``names`` a result; the report as it then is.

    A worker that dies costs the piece that it was at, and nothing else.
    """
    for name in names:
        report.pieces.pop(name, None)
    report.running = None
    report.write()
    left = list(names)
    while left:
        code = start(left)
        report = Report.read(report.path)
        still = [name for name in left if name not in report.pieces]
        if still and (report.running in still or len(still) == len(left)):
            lost = report.running if report.running in still else still[0]
            report.pieces[str(lost)] = {"error": died(code)}
            still.remove(str(lost))
        report.running = None
        report.write()
        left = still
    return report


def died(code: int) -> str:
    """What became of a process with this exit code."""
    if code == -signal.SIGALRM:
        return "it did not end in time"
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with exit code {code}"


def worker(report: Report, known: dict[str, Piece], device: str, quick: bool) -> Start:
    """Starts workers in processes of their own; the parts that they have pieces of share the time.

    Args:
        report: whose file the workers write.
        known: all pieces.
        device: such as ``cuda:0``.
        quick: shorter measurements.
    """
    ends: dict[str, float] = {}

    def start(names: Sequence[str]) -> int:
        if not ends:
            asked = {known[name].part for name in names}
            shares = {part: seconds for part, seconds in PARTS.items() if part in asked}
            ends.update(deadlines(shares, time.time()))
        order = {
            "path": str(report.path), "names": list(names), "device": device, "quick": quick,
            "ends": ends,
        }  # fmt: skip
        module = "combsearch.commands.gpu_check.worker"
        command = [sys.executable, "-m", module, json.dumps(order)]
        done = subprocess.run(command, env=_environment(), stdout=sys.stderr, check=False)
        return done.returncode

    return start


def _environment() -> dict[str, str]:
    """That of this process, where the package can be imported from whatever folder."""
    here = str(Path(__file__).resolve().parents[3])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
