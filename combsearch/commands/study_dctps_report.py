"""What a run of ``combsearch study dctps`` reports: accuracy by method and density."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from combsearch.studies.dctps.config import DctpsConfig, all_rows
from combsearch.studies.dctps.table import summaries


def make_report(config: DctpsConfig, rows: pa.Table, folder: Path | str) -> dict[str, Any]:
    """The report of a run, finished or not."""
    whole, status = all_rows(config), rows["status"].to_pylist()
    return {
        "command": "study dctps",
        "run_folder": str(folder),
        "config": config.to_json(),
        "weights": int(rows["weights"][0].as_py()) if len(rows) else None,
        "finished": len(rows) == whole,
        "rows": len(rows),
        "rows_left": whole - len(rows),
        "diverged": status.count("diverged"),
        "collapsed": status.count("collapsed"),
        "settings": [_rounded(one) for one in summaries(rows)],
    }


def _rounded(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        name.replace(" ", "_"): round(value, 6) if isinstance(value, float) else value
        for name, value in summary.items()
    }


def report_text(report: dict[str, Any]) -> str:
    """The report for a reader."""
    config = report["config"]
    state = "" if report["finished"] else f", {report['rows_left']} left"
    lines = [
        f"{config['network']} on {config['task']}: {report['rows']} networks{state},"
        f" {config['seeds']} seeds, in {report['run_folder']}",
        "share of test points classified right, in percent, at the epoch with the best validation"
        " accuracy and after the last (mean, standard deviation over all seeds)",
    ]
    if report["diverged"] or report["collapsed"]:
        lines.append(
            f"{report['diverged']} networks diverged and {report['collapsed']} collapsed; they"
            " count like all others"
        )
    lines.append(_line("method", "density", "kept", "best", "last", "seeds", ""))
    lines += [_setting(one) for one in report["settings"]]
    return "\n".join(lines)


def _setting(one: dict[str, Any]) -> str:
    notes = [f"{one[name]} {name}" for name in ("diverged", "collapsed") if one[name]]
    best, last = (_percent(one[name], one[f"{name}_sd"]) for name in ("accuracy", "last_accuracy"))
    return _line(
        one["method"], f"{one['density']:g}%", f"{one['kept']:,.0f}", best, last,
        str(one["seeds"]), ", ".join(notes),
    )  # fmt: skip


def _line(method: str, density: str, *cells: str) -> str:
    kept, best, last, seeds, note = cells
    found = f"{method:<18} {density:>8}{kept:>12}{best:>15}{last:>15}{seeds:>7}  {note}"
    return found.rstrip()


def _percent(mean: float, spread: float | None) -> str:
    return f"{100 * mean:.2f}" + (
        "" if spread is None else f" \N{PLUS-MINUS SIGN} {100 * spread:.2f}"
    )
