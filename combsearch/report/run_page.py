"""The page of a run: every accuracy, the frontier, shares of success, what is done and left."""

from __future__ import annotations

from typing import Any

from combsearch.report.network_page import NETWORK_SCRIPTS, NETWORK_STYLES
from combsearch.report.page import page
from combsearch.report.run_data import run_data
from combsearch.store import RunStore

SCRIPTS = (
    "run_scales.js",
    "run_points.js",
    "run_chart.js",
    "run_success.js",
    "run_table.js",
    "run.js",
    "run_main.js",
)
STYLES = ("run.css",)
LIVE_SCRIPTS = ("live.js",)
LIVE_STYLES = ("live.css",)


def run_page(store: RunStore, status: dict[str, Any], live: bool = False) -> bytes:
    """The page of a run.

    Args:
        store: the run.
        status: what ``combsearch status`` says of it, as JSON.
        live: it asks the server that it came from for newer data.

    Raises:
        UsageError: it is a run of a study.
        CorruptDataError: something that it saved is damaged.
    """
    return page_of(run_data(store, status), live)


def page_of(data: dict[str, Any], live: bool = False) -> bytes:
    """The page that shows what ``run_data`` gave."""
    scripts = (*NETWORK_SCRIPTS, *SCRIPTS, *(LIVE_SCRIPTS if live else ()))
    styles = (*NETWORK_STYLES, *STYLES, *(LIVE_STYLES if live else ()))
    return page(f"{data['name']}: {data['command']}", data, scripts, styles, live)
