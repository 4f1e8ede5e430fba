"""The page of a run: every accuracy, the frontier, shares of success, what is done and left."""

from __future__ import annotations

from typing import Any

from combsearch.report.network.page import NETWORK_SCRIPTS, NETWORK_STYLES
from combsearch.report.page import page
from combsearch.report.run.data import run_data
from combsearch.store import RunStore

SCRIPTS = (
    "axes.js",
    "table.js",
    "run/scales.js",
    "run/points.js",
    "run/chart.js",
    "run/success.js",
    "run/table.js",
    "run/run.js",
    "run/main.js",
)
STYLES = ("run/run.css",)
LIVE_SCRIPTS = ("live/live.js",)
LIVE_STYLES = ("live/live.css",)


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
