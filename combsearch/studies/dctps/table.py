"""Means over seeds: what a method comes to at a density."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

MEANS = ("accuracy", "valid_accuracy", "last_accuracy", "best_epoch", "kept")
"""Columns of which there are a mean and a standard deviation."""

_COUNTED = ("diverged", "collapsed")


def summaries(rows: pa.Table) -> list[dict[str, Any]]:
    """A record a method and density, in the order of the run.

    All seeds count, those too whose network diverged or collapsed: the epoch with the best
    validation accuracy gives them an accuracy like any other, and their number stands beside.

    Returns:
        ``method``, ``density``, ``weights``, ``budget``, ``other``, ``seeds``, ``diverged``,
        ``collapsed``, and of each column of ``MEANS`` its mean and, as ``<column> sd``, its
        sample standard deviation, None for a single seed.
    """
    groups: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for row in rows.sort_by("rank").to_pylist():
        groups.setdefault((row["method"], row["density"]), []).append(row)
    return [_summary(group) for group in groups.values()]


def _summary(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    found = {name: first[name] for name in ("method", "density", "weights", "budget", "other")}
    found["seeds"] = len(rows)
    for status in _COUNTED:
        found[status] = sum(row["status"] == status for row in rows)
    for name in MEANS:
        found[name], found[f"{name} sd"] = _moments(row[name] for row in rows)
    return found


def _moments(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation."""
    numbers = np.array(list(values), np.float64)
    return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else None


def csv_table(rows: pa.Table) -> str:
    """All summaries as CSV, with mean and standard deviation (sd)."""
    found = summaries(rows)
    lines = [",".join(found[0])] if found else []
    lines += [",".join(map(_cell, one.values())) for one in found]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
