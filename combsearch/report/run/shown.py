"""What the page of a run shows, whatever command made it, and how runs become numbers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from combsearch.frontier import frontier
from combsearch.prune_rows import COLLAPSED, DIVERGED
from combsearch.report.points import encoded
from combsearch.report.run.networks import MOST_BYTES, Networks, Row
from combsearch.report.run.rows import Best, Group, RunRows
from combsearch.report.run.tables import Table, hidden
from combsearch.store import RunStore

Status = Mapping[str, Any]

MOST_LEVELS = 1_000
"""Numbers of nonzeros that a page names one by one."""

_ROOM = 3_900_000  # bytes of a page that scripts and the task leave, of five million
_LEAST = 300_000  # for networks, whatever the rest takes
_BEST_BYTES = 150  # of one best run, about


@dataclass
class Shown:
    """What differs from command to command.

    Attributes:
        finding: sentences on what the run found.
        points: columns of the points, or None where ``bins`` stand for them.
        best: the best run of each number of nonzeros, ascending.
        tables: to be sorted.
        networks: that rows and points open.
        counts: (what, how many, what becomes of them) of rows.
        bins: see ``RunRows.bins``.
        levels, shares: of the figures of success; empty where nothing succeeds or fails.
        bound: nonzeros, accuracy and name of what the run found, or None.
        runs: points and bins together.
        what: a level is made of.
        finished: whether nothing is left; None: as the status says.
    """

    finding: list[str]
    best: list[Best]
    tables: list[Table]
    networks: Networks = field(default_factory=Networks)
    points: dict[str, Any] | None = None
    bins: dict[str, Any] | None = None
    counts: list[tuple[str, int, str]] = field(default_factory=list)
    levels: list[dict[str, Any]] = field(default_factory=list)
    shares: list[dict[str, Any]] = field(default_factory=list)
    bound: dict[str, Any] | None = None
    runs: int = 0
    what: str = "masks"
    finished: bool | None = None


def unnamed_levels(best: Mapping[int, float]) -> frozenset[int]:
    """Numbers of nonzeros that a page has no room for; none where they are few.

    It names those where the frontier rises, and others at even distances.

    Args:
        best: accuracy by nonzeros, below 0 where no run counts.
    """
    numbers = sorted(best)
    if len(numbers) <= MOST_LEVELS:
        return frozenset()
    steps, _ = frontier(np.array(numbers), np.array([best[number] for number in numbers]))
    others = np.linspace(0, len(numbers) - 1, max(2, MOST_LEVELS - len(steps))).astype(int)
    return frozenset(numbers) - {*steps.tolist(), *(numbers[place] for place in others)}


def unnamed_of(levels: Mapping[int, Group]) -> frozenset[int]:
    """``unnamed_levels`` of groups of runs."""
    return unnamed_levels(
        {number: group.best.accuracy if group.best else -1.0 for number, group in levels.items()}
    )


def unnamed_text(unnamed: Collection[int], every: Collection[Any]) -> list[str]:
    """A sentence about what a page leaves out; no sentence where that is nothing."""
    if not unnamed:
        return []
    return [
        f"Runs have {len(every):,} different numbers of nonzeros: {len(every) - len(unnamed):,} are"
        " named below, those where the frontier rises and others at even distances."
    ]


def room_for_networks(shown: Shown) -> int:
    """Bytes that all else leaves."""
    rows = [table.rows for table in shown.tables]
    parts = [shown.points, shown.bins, shown.levels, shown.shares, rows]
    used = len(json.dumps(parts)) + _BEST_BYTES * len(shown.best)
    return min(MOST_BYTES, max(_LEAST, _ROOM - used))


def run_name(store: RunStore) -> str:
    """The name of a run: that of its folder."""
    return store.root.name or store.root.resolve().name or "run"


def important(best: Sequence[Best | None]) -> list[Best]:
    """The frontier first, from its top, then all by accuracy."""
    runs = sorted((one for one in best if one), key=lambda one: (one.nonzeros, -one.accuracy))
    top, steps = -1.0, []
    for one in runs:
        if one.accuracy > top:
            steps.append(one)
            top = one.accuracy
    return [*reversed(steps), *sorted(runs, key=lambda one: (-one.accuracy, one.nonzeros))]


def bound_json(name: str, best: Best) -> dict[str, Any]:
    """What a run found under a name, marked in the figure."""
    return {"name": name, "nonzeros": best.nonzeros, "accuracy": best.accuracy}


def item_name(run: str, row: Row) -> str:
    """The name of a network that a row of a run holds."""
    return f"{run}, {row['nonzeros']} nonzeros {hidden(row['shape'])}"


def counts_of(rows: RunRows) -> list[tuple[str, int, str]]:
    """What became of rows that are not simply there."""
    spared = "a race would have given them up; they went on as a control, and count"
    collapsed = "nothing to choose by, or no path left; not drawn"
    return [
        ("rows saved", rows.rows, ""),
        ("diverged", rows.statuses.get(DIVERGED, 0), "never count as a success; not drawn"),
        ("collapsed", rows.statuses.get(COLLAPSED, 0), collapsed),
        ("spared", rows.statuses.get("spared", 0), spared),
    ]  # fmt: skip


def drawn_runs(rows: RunRows) -> int:
    """How many runs the figure shows, one by one or in bins."""
    lost = sum(rows.statuses.get(status, 0) for status in (DIVERGED, COLLAPSED))
    return rows.rows - lost


def points_of(table: pa.Table | None) -> dict[str, Any] | None:
    """Runs as columns: little-endian numbers as base64, texts as numbers of their labels."""
    if table is None:
        return None
    labels = {"shape": "shape", "method": "method", "cell": "recipe"}
    numbers = {"budget": "budget", "effective_nonzeros": "effective nonzeros", "restart": "restart"}
    details = []
    for column, name in labels.items():
        if column in table.column_names:
            details.append(coded(name, table[column].to_pylist(), column == "shape"))
    for column, name in numbers.items():
        if column in table.column_names:
            details.append({"name": name, "values": _whole(table[column].to_numpy())})
    return point_columns(table["nonzeros"].to_numpy(), table["accuracy"].to_numpy(), details)


def point_columns(nonzeros: Any, accuracy: Any, details: list[dict[str, Any]]) -> dict[str, Any]:
    """Points of a figure; ``details`` are what is said of each beside nonzeros and accuracy."""
    exact = encoded(np.asarray(accuracy, "<f8"))
    return {"nonzeros": _whole(nonzeros), "accuracy": exact, "details": details}


def coded(name: str, texts: list[str], shapes: bool = False) -> dict[str, Any]:
    """A detail that is a text: with ``shapes`` widths, of which the hidden ones are named."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    values = _whole(np.array([places[text] for text in texts], np.int64))
    return {"name": name, "values": values, "labels": [hidden(t) if shapes else t for t in places]}


def _whole(numbers: Any) -> str:
    return encoded(np.asarray(numbers).astype("<i4"))
