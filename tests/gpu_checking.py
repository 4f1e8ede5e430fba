"""What the tests of ``bench --gpu`` share."""

from __future__ import annotations

from pathlib import Path

from combsearch.commands.gpu_check.report import Report


def new_report(path: Path) -> Report:
    """The report of a check that has yet to begin."""
    facts = {
        "command": "bench --gpu", "date": "2026-01-01", "device": "a CPU", "driver": None,
        "multiprocessors": 1, "versions": {"torch": "2", "compiler": "c++"}, "commit": None,
    }  # fmt: skip
    return Report(path, facts, {})
