"""The page of a comparison: pruners beside the bounds of the searches."""

from __future__ import annotations

from pathlib import Path

from combsearch.comparison.saved import read_comparison
from combsearch.report.comparison.data import comparison_data
from combsearch.report.comparison.runs import open_runs
from combsearch.report.network.page import NETWORK_SCRIPTS, NETWORK_STYLES
from combsearch.report.page import page

COMPARISON_SCRIPTS = (
    "axes.js",
    "table.js",
    "comparison/lines.js",
    "comparison/marks.js",
    "comparison/chart.js",
    "comparison/table.js",
    "comparison/shares.js",
    "comparison/comparison.js",
)
MOST_BYTES = 4_800_000
"""Of a page: what is larger is hard to send."""


def comparison_page(path: Path, runs: str = "runs") -> bytes:
    """The page of the comparison in ``path``, which ``combsearch compare -o`` wrote.

    Networks come from the runs that it names, where they are to be found: as named, below
    ``runs``, or in the folders above the comparison. The page says what is missing.

    Raises:
        CorruptDataError: the comparison or a run of it is damaged.
        UsageError: it cannot be read.
    """
    report = read_comparison(path)
    name = path.absolute().parent.name
    room = MOST_BYTES - len(_page(name, {}))
    return _page(name, comparison_data(report, open_runs(path, report, runs), name, room))


def _page(name: str, data: object) -> bytes:
    title = f"{name}: pruners beside the bounds"
    scripts = (*NETWORK_SCRIPTS, *COMPARISON_SCRIPTS)
    return page(title, data, scripts, (*NETWORK_STYLES, "comparison/comparison.css"))
