"""The report of ``bench --gpu``, and that it is made whatever becomes of the workers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from gpu_checking import new_report

from combsearch.commands.gpu_check import (
    supervise,
)
from combsearch.commands.gpu_check.pieces import PARTS, deadlines, pieces
from combsearch.commands.gpu_check.report import BARS, Report, summary


def dying(report: Report, codes: dict[str, int]) -> Callable[[Sequence[str]], int]:
    """A worker that dies at some pieces, by exit code or, if there is none, silently."""

    def start(names: Sequence[str]) -> int:
        own = Report.read(report.path)
        for name in names:
            own.running = name
            own.write()
            if name in codes:
                return codes[name]
            own.pieces[name] = {"equal": True}
            own.running = None
            own.write()
        return 0

    return start


def test_a_worker_that_dies_costs_one_piece(tmp_path: Path) -> None:
    report = new_report(tmp_path / "report.json")
    report.pieces = {"b": {"equal": True}, "of before": {"equal": True}}
    codes = {"b": -signal.SIGALRM, "d": -signal.SIGSEGV, "e": 1}
    found = supervise.supervise(report, list("abcdef"), dying(report, codes))
    errors = {name: piece.get("error") for name, piece in found.pieces.items()}
    assert errors == {
        "of before": None, "a": None, "b": "it did not end in time", "c": None,
        "d": "the process was ended by SIGSEGV", "e": "the process ended with exit code 1",
        "f": None,
    }  # fmt: skip
    assert Report.read(report.path).running is None


def test_a_worker_that_never_starts_ends_in_errors(tmp_path: Path) -> None:
    report = new_report(tmp_path / "report.json")
    found = supervise.supervise(report, ["a", "b"], lambda names: 1)
    assert all("exit code 1" in piece["error"] for piece in found.pieces.values())


def test_a_real_worker_without_a_gpu(tmp_path: Path) -> None:
    """The process is started, and why it can do nothing stands in the report."""
    report = new_report(tmp_path / "report.json")
    start = supervise.worker(report, pieces(), "cuda:0", quick=True)
    found = supervise.supervise(report, ["search"], start)
    assert list(found.pieces) == ["search"]
    assert "the GPU cannot be used" in found.pieces["search"]["error"]


def test_earlier_pieces_stay_with_the_same_code_only(tmp_path: Path) -> None:
    report = new_report(tmp_path / "report.json")
    report.pieces["speed 7,3,3"] = {"models_per_second": 31_000.0}
    report.write()
    assert Report.open(report.path, dict(report.facts)).pieces == report.pieces
    assert Report.open(report.path, {**report.facts, "commit": "another"}).pieces == {}
    report.path.write_text("{")
    assert Report.open(report.path, report.facts).pieces == {}


def test_bars() -> None:
    found = summary(
        {
            "speed 7,3,3": {"models_per_second": 30_000.0},
            "speed 3,3,3": {"models_per_second": 44_999.0},
            "search": {"models_per_second": 27_000.0},
        }
    )["bars"]
    assert found["7,3,3"] == {"least": BARS["7,3,3"], "found": 30_000.0, "reached": True}
    assert found["3,3,3"]["reached"] is False
    assert found["end_to_end"]["found"] == 0.9 and found["end_to_end"]["reached"]
    assert summary({})["bars"]["end_to_end"] == {"least": 0.85, "found": None, "reached": None}


def test_deadlines_leave_time_over_to_what_follows() -> None:
    assert deadlines({"a": 10, "b": 5}, 100) == {"a": 110, "b": 115}
    assert sum(PARTS.values()) < 8 * 60
