"""What a run of ``combsearch study pqi`` reports: how far each method prunes, as JSON and text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.studies.pqi.chains import all_rows
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.phases import phases
from combsearch.studies.pqi.table import Curve, curves, method_name

TOLERANCE = 0.01
"""Accuracy below that of the dense network that still counts as kept up."""

LEAST_CHANGE = 0.005
"""Of the PQ index against a phase that ends it; two standard errors of the mean if that is more."""


def make_report(config: PqiConfig, rows: pa.Table, folder: Path | str) -> dict[str, Any]:
    """The report of a run, finished or not."""
    found, whole = curves(rows, config.grid), all_rows(config)
    return {
        "command": "study pqi",
        "run_folder": str(folder),
        "config": config.to_json(),
        "prunable": int(rows["weights"][0].as_py()) if len(rows) else None,
        "finished": len(rows) == whole,
        "rows": len(rows),
        "rows_left": whole - len(rows),
        "diverged": sum(status == "diverged" for status in rows["status"].to_pylist()),
        "tolerance": TOLERANCE,
        "chains": [_chain(curve, config.grid) for curve in found],
    }


def _chain(curve: Curve, grid: tuple[str, ...]) -> dict[str, Any]:
    accuracy, spread = curve.columns["accuracy"]
    share = curve.columns["kept_share"][0]
    good = np.flatnonzero(accuracy >= accuracy[0] - TOLERANCE)
    smallest = good[np.argmin(share[good])] if len(good) else None
    return {
        "method": method_name(curve.who),
        "scope": curve.who["scope"],
        "rounds": int(curve.rounds[-1]),
        "dense_accuracy": _number(accuracy[0]),
        "smallest_share": None if smallest is None else _number(share[smallest]),
        "smallest_round": None if smallest is None else int(curve.rounds[smallest]),
        "last_share": _number(share[-1]),
        "last_accuracy": _number(accuracy[-1]),
        "last_spread": _number(spread[-1]),
        "phases": {pair: _phases(curve, pair) for pair in grid},
    }


def _phases(curve: Curve, pair: str) -> list[list[float]]:
    """[first round, last round, change] of each phase of the mean PQ index."""
    mean, spread = curve.columns[f"pqi {pair}"]
    errors = spread / np.sqrt(np.maximum(curve.seeds, 1))
    known = errors[np.isfinite(errors)]
    noise = 2 * float(np.median(known)) if len(known) else 0.0
    found, rounds = phases(mean, max(LEAST_CHANGE, noise)), curve.rounds
    return [[int(rounds[p.first]), int(rounds[p.last]), round(p.change, 6)] for p in found]


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return round(float(value), 6) if np.isfinite(value) else None


def report_text(report: dict[str, Any]) -> str:
    """The report for a reader."""
    config = report["config"]
    state = "" if report["finished"] else f", {report['rows_left']} left"
    lines = [
        f"{config['network']} on {config['task']}: {report['rows']} rows{state}, {config['seeds']}"
        f" seeds, in {report['run_folder']}",
        "accuracy on held-out points, or all where there are none (mean over seeds); weights left"
        f" where it is within {100 * report['tolerance']:g} point of the dense network's, and after"
        " the last round",
    ]
    if report["diverged"]:
        lines.append(f"{report['diverged']} rows diverged and do not count")
    lines.append(_aligned("method", "scope", "dense", "kept up to", "last", "accuracy"))
    lines += [_line(chain) for chain in report["chains"]]
    return "\n".join(lines)


def _line(chain: dict[str, Any]) -> str:
    names = ("dense_accuracy", "smallest_share", "last_share", "last_accuracy")
    return _aligned(chain["method"], chain["scope"], *(_percent(chain[name]) for name in names))


def _aligned(method: str, scope: str, *cells: str) -> str:
    return f"{method:<22} {scope:<8}" + "".join(f"{cell:>11}" for cell in cells)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.4g}%"
