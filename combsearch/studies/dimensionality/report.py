"""What a run of the study found: dense networks, weights left, correlation; as JSON and text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.errors import UsageError
from combsearch.studies.dimensionality.config import ImpConfig, SpiralConfig
from combsearch.studies.dimensionality.correlation import monte_carlo_spearman
from combsearch.studies.dimensionality.matching import runs_of, table_records
from combsearch.studies.dimensionality.published import CORRELATIONS
from combsearch.studies.dimensionality.tables import TableRow, table_rows, table_text, trials_of

Tables = dict[str, list[TableRow]]


def tolerance_name(tolerance: float) -> str:
    """``"strict"``, or ``"within 0.5%"``."""
    return f"within {100 * tolerance:g}%" if tolerance else "strict"


def chain_tables(config: ImpConfig, rows: pa.Table, rewind: int) -> Tables:
    """Weights left by the sparsest matching subnetworks, a table a criterion."""
    if not len(rows):
        return {}
    return {
        tolerance_name(tolerance): table_rows(table_records(rows, tolerance, rewind=rewind))
        for tolerance in dict.fromkeys((0.0, *config.tolerances))
    }


def make_report(
    config: ImpConfig, rows: pa.Table, whole: int, folder: Path | str
) -> dict[str, Any]:
    """The report of a run, finished or not; ``whole`` is the rows of a finished one."""
    report: dict[str, Any] = {
        "command": f"study dimensionality {config.experiment}",
        "experiment": config.experiment,
        "run_folder": str(folder),
        "config": config.to_json(),
        "finished": len(rows) == whole,
        "rows": len(rows),
        "rows_left": whole - len(rows),
        "diverged": sum(status == "diverged" for status in rows["status"].to_pylist()),
        "dense": _dense(rows),
        "tables": [
            {
                "rewind": rewind,
                "matching": name,
                "rows": [_json(row) for row in table],
                "correlation": _correlation(table, config.seeds),
            }
            for rewind in config.rewinds
            for name, table in chain_tables(config, rows, rewind).items()
        ],
    }
    if isinstance(config, SpiralConfig):
        report["sparsest"] = sparsest(config, rows)
    else:
        known = CORRELATIONS[config.experiment]
        report["paper_correlation"] = {"mean": known.mean, "std": known.std}
    return report


def sparsest(config: SpiralConfig, rows: pa.Table) -> list[dict[str, Any]]:
    """Fewest nonzeros of a round that reached a target: over all seeds, and the median seed.

    ``nonzeros`` count what lies on a path from an input to the output (``effective``).
    """
    columns = {
        name: np.asarray(rows[name])
        for name in ("width", "dimension", "rewind", "restart", "accuracy", "status", "effective")
    }
    found = []
    for width in config.widths:
        for dimension in config.dimensions:
            for rewind in config.rewinds:
                own = (columns["width"] == width) & (columns["dimension"] == dimension)
                own &= (columns["rewind"] == rewind) & (columns["status"] == "ok")
                for target in config.targets:
                    best = _by_seed(columns, own & (columns["accuracy"] >= target), config.seeds)
                    found.append(
                        {
                            "width": width,
                            "inputs": dimension,
                            "rewind": rewind,
                            "target": target,
                            "seeds": int(np.isfinite(best).sum()),
                            "nonzeros": _whole(best.min()),
                            "median": _finite(float(np.median(best))),
                        }
                    )
    return found


def _by_seed(
    columns: dict[str, np.ndarray[Any, Any]], there: np.ndarray[Any, Any], seeds: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Fewest nonzeros of each seed; infinite where there are none."""
    best = np.full(seeds, np.inf)
    np.minimum.at(best, columns["restart"][there], columns["effective"][there].astype(np.float64))
    return best


def report_text(report: dict[str, Any], paper: Sequence[TableRow] = ()) -> str:
    """The report for a reader; ``paper`` are a table's rows to show beside."""
    config = report["config"]
    state = "" if report["finished"] else f", {report['rows_left']} left"
    lines = [
        f"study dimensionality {report['experiment']}: {_count(report['rows'], 'row')}{state},"
        f" {_count(config['seeds'], 'seed')}, in {report['run_folder']}"
    ]
    if report["diverged"]:
        does = "does" if report["diverged"] == 1 else "do"
        lines.append(f"{_count(report['diverged'], 'row')} diverged and {does} not count")
    for one in report["dense"]:
        lines.append(
            f"width {one['width']}, dimension {one['dimension']}: {one['weights']:,} weights, dense"
            f" accuracy {_percent(one['accuracy'])}, {_count(one['rounds'], 'round')}"
        )
    for rewind in config["rewinds"]:
        own = [table for table in report["tables"] if table["rewind"] == rewind]
        if own:
            lines += ["", f"weights left in percent, rewound to step {rewind}, mean ± deviation"]
            named = {t["matching"]: list(map(_row, t["rows"])) for t in own}
            lines.append(table_text(named, paper))
            lines += [_correlation_line(table) for table in own]
    if known := report.get("paper_correlation"):
        lines.append(f"the paper's rank correlation: {known['mean']:.2f} ± {known['std']:.2f}")
    lines += [_sparsest_line(one) for one in report.get("sparsest", [])]
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}%"


def _correlation_line(table: dict[str, Any]) -> str:
    found = table["correlation"]
    what = f"rank correlation of dimension and weights left, {table['matching']}:"
    return f"{what} {found['mean']:.2f} ± {found['std']:.2f}" if found else f"{what} none defined"


def _sparsest_line(one: dict[str, Any]) -> str:
    best = "none"
    if one["nonzeros"] is not None:
        have = "has" if one["seeds"] == 1 else "have"
        best = f"{one['nonzeros']} nonzeros, {_count(one['seeds'], 'seed')} {have} one"
    return (
        f"{one['inputs']} inputs, target {100 * one['target']:g}%, width {one['width']}: sparsest"
        f" success {best}"
    )


def _dense(rows: pa.Table) -> list[dict[str, Any]]:
    """Of every width and dimension: the mean accuracy of its dense networks, and its rounds."""
    if not len(rows):
        return []
    names = ("width", "dimension", "weights")
    columns = zip(*(rows[name].to_pylist() for name in names), strict=True)
    weights = {(width, dimension): count for width, dimension, count in columns}
    groups: dict[tuple[str, int], list[Any]] = {}
    for run in runs_of(rows):
        groups.setdefault((run.width, run.dimension), []).append(run)
    return [
        {
            "width": width,
            "dimension": dimension,
            "weights": weights[width, dimension],
            "accuracy": _finite(float(np.mean([run.dense for run in runs]))),
            "rounds": min(len(run.rounds) for run in runs) - 1,
        }
        for (width, dimension), runs in groups.items()
    ]


def _correlation(table: list[TableRow], seeds: int) -> dict[str, float] | None:
    """Of a table that is whole; None where none is defined."""
    try:
        found = monte_carlo_spearman(trials_of(table), seeds=seeds)
    except UsageError:
        return None
    return {"mean": round(found.mean, 6), "std": round(found.std, 6)}


def _json(row: TableRow) -> dict[str, Any]:
    return {
        "group": row.group,
        "dimension": row.dimension,
        "mean": round(row.mean, 6),
        "spread": round(row.spread, 6) if math.isfinite(row.spread) else None,
        "seeds": row.seeds,
    }


def _row(row: dict[str, Any]) -> TableRow:
    spread = math.nan if row["spread"] is None else row["spread"]
    return TableRow(**{**row, "spread": spread})


def _finite(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return round(value, 6) if math.isfinite(value) else None


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None
