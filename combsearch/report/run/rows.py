"""What the rows of a run come to on its page, gathered table by table.

What is kept does not grow with the rows: a count for each group, a count for each bin of
accuracy, and single runs only as long as they are few.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.prune_rows import LOST, within_budget

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST_POINTS = 25_000
"""Runs that are drawn one by one; of more a page shows how many lie in each bin."""

MOST_COLUMNS = 240
"""Bins of nonzeros; below so many different numbers each has its own."""

_LOG_FROM = 150  # nonzeros from which the axis, and so the bins, are logarithmic
_DECADES, _A_DECADE = 5, 60  # of the error: bins of accuracy are even in its logarithm
LEVELS: Floats = 1 - 10.0 ** (-np.arange(_DECADES * _A_DECADE + 1) / _A_DECADE)
"""float64 [bin]: the accuracy from which on runs are in a bin; the last one ends with 1."""

COLUMNS = ("rank", "shape", "nonzeros", "cell", "restart", "accuracy", "status", "parameters")
PRUNED = ("method", "budget", "weight_nonzeros", "effective_nonzeros")
"""Columns besides, of a sweep over pruners."""


class Best(NamedTuple):
    """The best run of a group; ``held``: its network is saved."""

    accuracy: float
    nonzeros: int
    held: bool
    shape: str
    cell: str
    restart: int
    rank: int

    @property
    def order(self) -> tuple[float, int, bool]:
        """The larger, the better; of equal ones the first in canonical order is kept."""
        return (self.accuracy, -self.nonzeros, self.held)

    @property
    def key(self) -> tuple[int, str, int]:
        """What tells a run from all others."""
        return (self.rank, self.cell, self.restart)


@dataclass
class Group:
    """Runs of a kind: how many, which reached the target, and the best that counts."""

    runs: int = 0
    successes: int = 0
    best: Best | None = None

    def take(self, other: Group) -> None:
        """Add runs that come after those here."""
        self.runs += other.runs
        self.successes += other.successes
        if other.best and (self.best is None or other.best.order > self.best.order):
            self.best = other.best


@dataclass
class _Table:
    """The columns of one table, and which of its runs count."""

    columns: pa.Table
    counted: Bools
    good: Bools
    held: Bools
    accuracy: Floats = field(init=False)
    nonzeros: Integers = field(init=False)

    def __post_init__(self) -> None:
        accuracy = self.columns["accuracy"].to_numpy()
        self.accuracy = np.where(self.counted, accuracy, -1.0)
        self.nonzeros = self.columns["nonzeros"].to_numpy().astype(np.int64)

    def best(self, row: int) -> Best | None:
        if self.accuracy[row] < 0:
            return None
        names = ("shape", "cell", "restart", "rank")
        shape, cell, restart, rank = (self.columns[name][row].as_py() for name in names)
        return Best(
            float(self.accuracy[row]), int(self.nonzeros[row]), bool(self.held[row]),
            shape, cell, restart, rank,
        )  # fmt: skip


class RunRows:
    """Everything that a page needs of the rows of a run.

    Args:
        target: accuracy of a success; None where a run has no target.

    Attributes:
        rows: how many.
        statuses: how many have each status.
        groups: by (nonzeros, shape).
        ranks: by rank, of a sweep over pruners alone: there the best keeps to its budget.
        above_budget: runs of such a sweep that do not.
    """

    def __init__(self, target: float | None) -> None:
        self._target = target
        self.rows = 0
        self.statuses: dict[str, int] = {}
        self.groups: dict[tuple[int, str], Group] = {}
        self.ranks: dict[int, Group] = {}
        self.above_budget = 0
        self._bins: dict[int, Integers] = {}
        self._points: list[pa.Table] | None = []
        self._shapes: dict[str, int] = {}

    def add(self, table: pa.Table) -> None:
        """More rows, canonically after those before."""
        for one in pc.value_counts(table["status"]).to_pylist():
            self.statuses[one["values"]] = self.statuses.get(one["values"], 0) + one["counts"]
        lost = pc.is_in(table["status"], value_set=pa.array(LOST)).to_numpy()
        accuracy = table["accuracy"].to_numpy()
        counted = ~lost & np.isfinite(accuracy)
        reached = accuracy >= self._target if self._target is not None else np.zeros_like(lost)
        held = counted & pc.is_valid(table["parameters"]).to_numpy()
        rows = _Table(table, counted, counted & reached, held)
        self._group(rows)
        if "budget" in table.column_names:
            self._by_rank(rows)
        self._bin(rows)
        self._keep_points(rows)
        self.rows += len(table)

    def levels(self) -> dict[int, Group]:
        """By nonzeros, ascending."""
        found: dict[int, Group] = {}
        for (nonzeros, _), group in sorted(self.groups.items()):
            found.setdefault(nonzeros, Group()).take(group)
        return found

    def shapes(self) -> dict[str, Group]:
        """By shape, in the order of their fewest nonzeros."""
        found: dict[str, Group] = {}
        for (_, shape), group in sorted(self.groups.items()):
            found.setdefault(shape, Group()).take(group)
        return found

    def points(self) -> pa.Table | None:
        """The runs that count, one by one; None where they are too many."""
        return pa.concat_tables(self._points) if self._points else None

    def bins(self) -> dict[str, Any] | None:
        """How many runs lie where, as JSON; None where runs are drawn one by one.

        Returns:
            ``nonzeros``: edges of the columns, whole numbers, each the first of its column;
            ``accuracy``: edges of the rows; ``column``, ``row``, ``count``: bins with runs.
        """
        if self._points is not None or not self._bins:
            return None
        edges = column_edges(min(self._bins), max(self._bins))
        counts = np.zeros((len(edges) - 1, len(LEVELS)), np.int64)
        for nonzeros, own in self._bins.items():
            counts[np.searchsorted(edges, nonzeros, side="right") - 1] += own
        used = np.flatnonzero(counts.any(axis=0))
        low, high = int(used[0]), int(used[-1])
        column, row = np.nonzero(counts[:, low : high + 1])
        return {
            "nonzeros": edges.tolist(),
            "accuracy": [*LEVELS[low : high + 1].tolist(), [*LEVELS, 1.0][high + 1]],
            "column": column.tolist(),
            "row": row.tolist(),
            "count": counts[column, row + low].tolist(),
        }

    def _group(self, rows: _Table) -> None:
        coded = rows.columns["shape"].combine_chunks().dictionary_encode()
        shapes = coded.dictionary.to_pylist()
        key = rows.nonzeros * len(shapes) + coded.indices.to_numpy().astype(np.int64)
        for code, group in _grouped(rows, key, rows.accuracy):
            nonzeros, shape = divmod(code, len(shapes))
            self.groups.setdefault((nonzeros, shapes[shape]), Group()).take(group)

    def _by_rank(self, rows: _Table) -> None:
        within = within_budget(rows.columns)
        self.above_budget += int((~within).sum())
        score = np.where(within, rows.accuracy, -1.0)
        for rank, group in _grouped(rows, rows.columns["rank"].to_numpy(), score):
            self.ranks.setdefault(rank, Group()).take(group)

    def _bin(self, rows: _Table) -> None:
        nonzeros = rows.nonzeros[rows.counted]
        place = np.searchsorted(LEVELS, rows.accuracy[rows.counted], side="right") - 1
        every, column = np.unique(nonzeros, return_inverse=True)
        cell = column.reshape(-1) * len(LEVELS) + place
        counts = np.bincount(cell, minlength=len(every) * len(LEVELS))
        for number, own in zip(every.tolist(), counts.reshape(-1, len(LEVELS)), strict=True):
            self._bins[number] = self._bins.get(number, 0) + own

    def _keep_points(self, rows: _Table) -> None:
        if self._points is None:
            return
        names = [name for name in rows.columns.column_names if name != "parameters"]
        self._points.append(rows.columns.select(names).filter(pa.array(rows.counted)))
        if sum(map(len, self._points)) > MOST_POINTS:
            self._points = None


def gathered(tables: Iterable[pa.Table], target: float | None) -> RunRows:
    """What tables in canonical order come to."""
    found = RunRows(target)
    for table in tables:
        found.add(table)
    return found


def column_edges(low: int, high: int) -> Integers:
    """First nonzeros of every column, and one more after the last: int64 [column + 1]."""
    if high - low < MOST_COLUMNS:
        return np.arange(low, high + 2)
    if high <= _LOG_FROM:
        edges = np.linspace(low, high + 1, MOST_COLUMNS + 1)
    else:
        edges = np.geomspace(max(low, 1), high + 1, MOST_COLUMNS + 1)
        edges[0] = low  # a network can have lost all
    return np.unique(np.round(edges).astype(np.int64))


def _grouped(rows: _Table, key: Integers, score: Floats) -> Iterable[tuple[int, Group]]:
    """(key, its runs) for every value of ``key``; the best by ``score``, none below 0."""
    order = np.lexsort((~rows.held, rows.nonzeros, -score, key))
    ordered = key[order]
    first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    runs = np.diff(np.append(first, len(order)))
    good = np.add.reduceat(rows.good[order], first, dtype=np.int64) if len(first) else runs
    for start, count, hits in zip(first.tolist(), runs.tolist(), good.tolist(), strict=True):
        row = int(order[start])
        best = rows.best(row) if score[row] >= 0 else None
        yield int(ordered[start]), Group(count, hits, best)
