"""The runs of pruning sweeps as arrays: pooled, none counted twice, and picks from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch.errors import CorruptDataError
from combsearch.prune_rows import BUDGET_COLUMNS, OK, PRUNE_ROWS, within_budget

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

_TEXTS = ("method", "cell", "status")
_INTEGERS = ("width", "budget", "restart", "weight_nonzeros", "nonzeros", "effective_nonzeros")
_FLOATS = ("accuracy", "flops")
COLUMNS = (*_TEXTS, *_INTEGERS, *_FLOATS, "shape", "parameters")


@dataclass(frozen=True)
class PruneRun:
    """A sweep of ``combsearch prune``, as far as a comparison needs it.

    Attributes:
        name: its folder, or another text to find it by.
        rows: schema ``prune_rows.COLUMNS``.
        seed: of its keys; runs of one seed are the same runs wherever else they agree.
        start: ``""`` for random weights, else the digest of the initialisation.
        conditions: settings that change what a run is (compat, epochs, ...), those that are
            not at their default: runs that differ here are never pooled.
        sources: name of a user's own pruner -> digest of its source.
        task_digest: of the task.
        trainer, numerics: what trained them; another one makes other runs of the same keys.
    """

    name: str
    rows: pa.Table
    seed: int = 0
    start: str = ""
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    task_digest: str = ""
    trainer: str = ""
    numerics: int = 0

    @property
    def group(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Runs of one group are pooled."""
        return self.start, tuple(sorted((k, str(v)) for k, v in self.conditions.items()))


@dataclass(frozen=True, eq=False)
class Tries:
    """Training runs of pruned networks, one entry each, as arrays [run].

    Attributes:
        method, cell, status: text.
        width, budget, restart: int64.
        weight_nonzeros, nonzeros, effective_nonzeros: int64, as the masks count them.
        accuracy, flops: float64.
        within: bool, it keeps to its budget (``prune_rows.within_budget``).
        saved: bool, the sweep kept this network's parameters.
        source: int64, place of its ``PruneRun`` in ``names``.
        row: int64, place in the rows of that.
        names: of the sweeps, in order.
    """

    method: Texts
    cell: Texts
    status: Texts
    width: Integers
    budget: Integers
    restart: Integers
    weight_nonzeros: Integers
    nonzeros: Integers
    effective_nonzeros: Integers
    accuracy: npt.NDArray[np.float64]
    flops: npt.NDArray[np.float64]
    within: Bools
    saved: Bools
    source: Integers
    row: Integers
    names: tuple[str, ...]

    @classmethod
    def of(cls, runs: Sequence[PruneRun]) -> Tries:
        """All rows of ``runs`` (one at least); what two of them both hold counts once.

        That is one key under one seed, trainer and numerics. Of such rows the one whose
        network was saved is taken, then that of the run first by name.

        Raises:
            CorruptDataError: rows that no sweep can have made.
        """
        parts = [_columns(run, place) for place, run in enumerate(runs)]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        kept = _once(runs, joined)
        columns = {name: column[kept] for name, column in joined.items()}
        return cls(**columns, names=tuple(run.name for run in runs))

    def __len__(self) -> int:
        return len(self.width)

    def __getitem__(self, index: npt.NDArray[Any]) -> Tries:
        columns = {
            field.name: getattr(self, field.name)[index]
            for field in dataclasses.fields(self)
            if field.name != "names"
        }
        return Tries(**columns, names=self.names)

    @property
    def ok(self) -> Tries:
        """Those that count: neither diverged nor collapsed."""
        return self[self.status == OK]

    @property
    def to_budget(self) -> Tries:
        """Those that views by budget show: they keep to it, whatever became of them."""
        return self[self.within]

    def of_method(self, method: str, width: int | None = None) -> Tries:
        """Those of a method, at one width or at all."""
        own = self.method == method
        return self[own if width is None else own & (self.width == width)]

    def reaching(self, target: float) -> Tries:
        """Those that count and reach ``target``."""
        return self[(self.status == OK) & (self.accuracy >= target)]

    def first(self, by: str) -> int | None:
        """The one that is smallest in column ``by``; None without any.

        Of equals the most accurate, then the fewest effective nonzeros, then nonzeros, width,
        budget, cell, restart and name of the sweep: the order of the runs does not matter.
        """
        if not len(self):
            return None
        names = np.array(self.names)[self.source]
        ties = (
            self.effective_nonzeros, self.nonzeros, self.width, self.budget, self.cell,
            self.restart, names,
        )  # fmt: skip
        return int(np.lexsort((*reversed(ties), -self.accuracy, getattr(self, by)))[0])

    def most_accurate(self) -> int | None:
        """The best that counts; of equals the fewest nonzeros, then as in ``first``."""
        own = np.flatnonzero(self.status == OK)
        if not len(own):
            return None
        top = own[self.accuracy[own] == self.accuracy[own].max()]
        place = self[top].first("nonzeros")
        return None if place is None else int(top[place])

    def facts(self, place: int | None) -> dict[str, Any] | None:
        """One of them as JSON values; None of None."""
        if place is None:
            return None
        nonzeros, effective = int(self.nonzeros[place]), int(self.effective_nonzeros[place])
        return {
            "nonzeros": nonzeros,
            "effective_nonzeros": effective,
            "disconnected": nonzeros - effective,
            "weight_nonzeros": int(self.weight_nonzeros[place]),
            "accuracy": float(self.accuracy[place]),
            "width": int(self.width[place]),
            "budget": int(self.budget[place]),
            "cell": str(self.cell[place]),
            "restart": int(self.restart[place]),
            "run": self.names[self.source[place]],
        }


def methods_of(tries: Tries) -> list[str]:
    """Names of the methods, in the order in which the sweeps have them."""
    names, first = np.unique(tries.method, return_index=True)
    return [str(name) for name in names[np.argsort(first)]]


def widths_of(tries: Tries) -> list[int]:
    """Widths, ascending."""
    return [int(width) for width in np.unique(tries.width)]


def _once(runs: Sequence[PruneRun], joined: Mapping[str, npt.NDArray[Any]]) -> Integers:
    """Places, ascending, of rows of which none is another's run (see ``Tries.of``)."""
    source = joined["source"]
    made = [(run.seed, run.trainer, run.numerics) for run in runs]
    number = {key: place for place, key in enumerate(sorted(set(made)))}
    by_name = np.argsort(np.argsort(np.array([run.name for run in runs]), kind="stable"))
    key = [joined[name] for name in ("method", "cell", "width", "budget", "restart")]
    key.append(np.array([number[one] for one in made])[source])
    order = np.lexsort((by_name[source], ~joined["saved"]))
    _, first = np.unique(np.rec.fromarrays([k[order] for k in key]), return_index=True)
    return np.asarray(np.sort(order[first]), np.int64)


def _columns(run: PruneRun, place: int) -> dict[str, npt.NDArray[Any]]:
    rows = run.rows
    absent = [name for name in COLUMNS if name not in rows.column_names]
    if absent:
        raise CorruptDataError(f"the rows of {run.name} lack column {absent[0]!r}")
    found: dict[str, npt.NDArray[Any]] = {}
    for name in (*_TEXTS, *_INTEGERS, *_FLOATS):
        kind: Any = str if name in _TEXTS else np.int64 if name in _INTEGERS else np.float64
        found[name] = rows[name].to_numpy().astype(kind)
    _check(run.name, found)
    return {
        **found,
        "within": within_budget(rows.select(BUDGET_COLUMNS)),
        "saved": rows["parameters"].is_valid().to_numpy(),
        "source": np.full(len(rows), place, np.int64),
        "row": np.arange(len(rows), dtype=np.int64),
    }


def _check(name: str, found: Mapping[str, npt.NDArray[Any]]) -> None:
    ok = found["status"] == OK
    accuracy, nonzeros = found["accuracy"], found["nonzeros"]
    effective = found["effective_nonzeros"]
    unknown = set(np.unique(found["status"]).tolist()) - set(PRUNE_ROWS.statuses)
    wrong = {
        f"of status {next(iter(unknown), '')!r}": np.isin(found["status"], list(unknown)),
        "with an accuracy outside of [0, 1]": ok & ~((accuracy >= 0) & (accuracy <= 1)),
        "with more effective nonzeros than nonzeros": (effective < 0) | (effective > nonzeros),
    }
    for what, where in wrong.items():
        if where.any():
            raise CorruptDataError(
                f"{name} has {int(where.sum())} rows {what}, the first at row"
                f" {int(np.flatnonzero(where)[0])}; `combsearch verify` checks its shards"
            )
