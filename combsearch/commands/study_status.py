"""The status of a study's run, and one run of rows to publish: the same for every study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from combsearch.commands.running import seconds_since, state_text
from combsearch.errors import UsageError
from combsearch.progress import duration
from combsearch.store import RunStore


def status(store: RunStore, report: dict[str, Any]) -> dict[str, Any]:
    """``report`` of the run as it is, as ``combsearch status`` gives it."""
    return {**report, "command": "status", "seconds_since_last_shard": seconds_since(store)}


def status_text(report: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> str:
    """The status for a reader; ``text`` is that of the report."""
    state = state_text(report["finished"])
    lines = [f"{report['run_folder']}: {state}"]
    if report["seconds_since_last_shard"] is not None:
        lines.append(f"last saved {duration(report['seconds_since_last_shard'])} ago")
    return "\n".join([*lines, text(report)])


def some_rows(store: RunStore, columns: tuple[str, ...], purpose: str) -> pa.Table:
    """The rows of a run; ``purpose`` is what they are for, such as ``"draw"``.

    Raises:
        UsageError: there are none.
    """
    rows = store.read(columns)
    if not len(rows):
        raise UsageError(f"{store.root} holds no finished shard yet: there is nothing to {purpose}")
    return rows
