"""The figures of a sweep: accuracy by budget, all methods together and each by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from combsearch import plots

_TARGETS = (0.95, 0.995)  # of the paper


def draw_sweep(rows: pa.Table, folder: Path, suffix: str = "png") -> list[Path]:
    """Write the figures of the rows of a sweep (one at least) to ``folder``; their paths."""
    methods = pc.unique(rows["method"]).to_pylist()
    figures = {f"accuracy-{_plain(name)}": _of_method(rows, name) for name in methods}
    if len(methods) > 1:
        figures["accuracy"] = rows
    files = []
    for name, own in figures.items():
        files.append(folder / f"{name}.{suffix}")
        plots.save(plots.accuracy_by_budget(own, _TARGETS), files[-1])
    return files


def _of_method(rows: pa.Table, method: str) -> pa.Table:
    return rows.filter(pc.equal(rows["method"], method))


def _plain(method: str) -> str:
    """A method's name as part of a file's: ``my.module:Mine`` -> ``my.module-Mine``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", method)
