"""The figures of a sweep: accuracy by budget, all methods together and each by itself."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from combsearch import plots
from combsearch.commands.output import file_name
from combsearch.prune_config import PAPER_TARGETS
from combsearch.prune_rows import BUDGET_COLUMNS

COLUMNS = ("method", "width", "cell", "accuracy", "status", *BUDGET_COLUMNS)
"""What the figures read."""


def draw_sweep(rows: pa.Table, folder: Path, suffix: str = "png") -> list[Path]:
    """Write the figures of the rows of a sweep (one at least) to ``folder``; their paths."""
    methods = pc.unique(rows["method"]).to_pylist()
    figures = {f"accuracy-{file_name(name)}": _of_method(rows, name) for name in methods}
    if len(methods) > 1:
        figures["accuracy"] = rows
    files = []
    for name, own in figures.items():
        files.append(folder / f"{name}.{suffix}")
        plots.save(plots.accuracy_by_budget(own, PAPER_TARGETS), files[-1])
    return files


def _of_method(rows: pa.Table, method: str) -> pa.Table:
    return rows.filter(pc.equal(rows["method"], method))
