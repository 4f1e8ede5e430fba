"""Matching subnetworks: how few weights are enough to do as well as the dense network.

From the rows of iterative magnitude pruning alone. A round of a run *matches* when its test
accuracy is at least that of the run's own dense network (round 0), or, with a declared tolerance
t, at least that less t. The sparsest matching subnetwork is the one with the smallest share of
weights left over all rounds, not only those before the first that fails; prunability is 1 less
that share ("The Effect of Data Dimensionality on Neural Network Prunability", section 2).

    runs_of(rows)           a run: one width, dimension, rewind, cell and seed, round by round
    matched(rows, (t, …))   its sparsest matching subnetwork, strictly and with each tolerance
    over_seeds(records)     mean and standard deviation over the seeds
    table_records(rows, t)  the same as a table of the paper states it, in percent

Rows that diverged never match. A run that is not finished counts as far as it went.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Rows: TypeAlias = "pa.Table | Mapping[str, npt.ArrayLike]"
"""A table of the study's rows, or its columns by name, [row] each."""
F64 = npt.NDArray[np.float64]

_Setting = tuple[str, int, int, str, float]  # width, dimension, rewind, cell, tolerance
_COLUMNS = ("width", "dimension", "rewind", "cell", "restart", "round", "accuracy", "status",
            "weights", "kept")  # fmt: skip
# Accuracies are counts over at most 10^8 points: nearer ones differ by the rounding of
# "dense - t" alone (0.503 - 0.0025 is more than 0.5005).
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Run:
    """One network pruned round by round.

    Attributes:
        width: of the network, ``"16"`` or ``"256x128"``.
        dimension: of the data.
        rewind: step whose weights each round starts from.
        cell: learning rate and schedule.
        seed: its number.
        rounds: int64 [round], those that are there, from 0, rising.
        shares: float64 [round], weights trained in a round as a share of all.
        accuracy: float64 [round], on test points; NaN where the training diverged.
    """

    width: str
    dimension: int
    rewind: int
    cell: str
    seed: int
    rounds: npt.NDArray[np.int64]
    shares: F64
    accuracy: F64

    @property
    def dense(self) -> float:
        """Accuracy of round 0; NaN if that diverged."""
        return float(self.accuracy[0])

    def sparsest(self, tolerance: float) -> int | None:
        """Place in the arrays of the sparsest matching round; None if the dense one diverged."""
        matching = self.accuracy >= self.dense - tolerance - _ROUNDING
        return int(np.where(matching, self.shares, np.inf).argmin()) if matching.any() else None


@dataclass(frozen=True)
class Matched:
    """The sparsest matching subnetwork of a run.

    Attributes:
        width, dimension, rewind, cell, seed: of the run.
        tolerance: in accuracy; 0 is the strict criterion.
        dense: accuracy of the dense network; NaN if it diverged, then nothing matches.
        share: weights left, as a share of all; NaN if nothing matches.
        round, accuracy: of that subnetwork; -1 and NaN if nothing matches.
        rounds: how many rounds of the run there are, the dense one included.
        diverged: how many of them diverged.
    """

    width: str
    dimension: int
    rewind: int
    cell: str
    seed: int
    tolerance: float
    dense: float
    share: float
    round: int
    accuracy: float
    rounds: int
    diverged: int

    @property
    def prunability(self) -> float:
        """Share of the weights that can go."""
        return 1 - self.share


@dataclass(frozen=True)
class Summary:
    """Shares of weights left by the sparsest matching subnetworks, over seeds.

    Attributes:
        width, dimension, rewind, cell, tolerance: of the runs.
        mean: over the seeds that have one; NaN if none has.
        spread: standard deviation of a sample (ddof 1); NaN for fewer than two seeds, of which
            nothing is known about the spread, least of all that it is 0.
        seeds: how many have one.
        rounds: the fewest rounds that a seed has.
    """

    width: str
    dimension: int
    rewind: int
    cell: str
    tolerance: float
    mean: float
    spread: float
    seeds: int
    rounds: int


# ------------------------------------------------------------------ runs


def runs_of(rows: Rows, *, rewind: int | None = None, cell: str | None = None) -> list[Run]:
    """All runs in ``rows``, by width, dimension, rewind, cell and seed.

    Args:
        rows: in any order; columns other than those of a ``Run`` are not read.
        rewind, cell: only runs with these.

    Raises:
        UsageError: there are no such rows, a column is missing, a run has no round 0, or has
            a round twice.
    """
    columns = _read(rows)
    keys = list(zip(*(columns[name].tolist() for name in _COLUMNS[:5]), strict=True))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(keys):
        if rewind in (None, key[2]) and cell in (None, key[3]):
            groups.setdefault(key, []).append(place)
    if not groups:
        raise UsageError(_nothing(keys, rewind, cell))
    return [_run(key, groups[key], columns) for key in sorted(groups, key=_order)]


def single_setting(runs: Sequence[Run]) -> Sequence[Run]:
    """``runs``, in which every width and dimension has one rewind and cell.

    Raises:
        UsageError: one has several, of which tables and figures cannot be.
    """
    settings: dict[tuple[str, int], set[str]] = {}
    for run in runs:
        own = settings.setdefault((run.width, run.dimension), set())
        own.add(f"rewind {run.rewind}, cell {run.cell}")
    for (width, dimension), found in settings.items():
        if len(found) > 1:
            raise UsageError(
                f"width {width}, dimension {dimension} has runs of {len(found)} settings "
                f"({'; '.join(sorted(found))}): choose one rewind and one cell"
            )
    return runs


def width_order(width: str) -> tuple[Any, ...]:
    """Sorts widths as numbers, ``"8"`` before ``"16"``; what is no number comes last."""
    parts = width.split("x")
    plain = all(part.isdecimal() for part in parts)
    return (0, *map(int, parts)) if plain else (1, width)


def _read(rows: Rows) -> dict[str, npt.NDArray[Any]]:
    there = list(rows) if isinstance(rows, Mapping) else rows.column_names
    missing = [name for name in _COLUMNS if name not in there]
    if missing:
        raise UsageError(
            f"no column {missing[0]!r}: these are no rows of the dimensionality study "
            f"(there: {', '.join(there) or 'none'})"
        )
    return {name: np.asarray(rows[name]) for name in _COLUMNS}


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return width_order(key[0]), *key[1:]


def _nothing(keys: Sequence[tuple[Any, ...]], rewind: int | None, cell: str | None) -> str:
    """What to say when no row is left."""
    if not keys:
        return "no rows of the dimensionality study: the run has no finished round yet"
    wanted = [f"{name} {value}" for name, value in (("rewind", rewind), ("cell", cell))
              if value is not None]  # fmt: skip
    there = sorted({f"rewind {key[2]}, cell {key[3]}" for key in keys})
    return f"no rows with {', '.join(wanted)} (there: {'; '.join(there)})"


def _run(
    key: tuple[Any, ...], places: Sequence[int], columns: Mapping[str, npt.NDArray[Any]]
) -> Run:
    own = np.array(places)[np.argsort(columns["round"][places], kind="stable")]
    rounds = columns["round"][own].astype(np.int64)
    width, dimension, rewind, cell, seed = key
    name = f"width {width}, dimension {dimension}, rewind {rewind}, cell {cell}, seed {seed}"
    if rounds[0] != 0:
        raise UsageError(
            f"{name}: no round 0, whose accuracy decides what matches; the first is {rounds[0]}"
        )
    if (np.diff(rounds) == 0).any():
        twice = int(rounds[1:][np.diff(rounds) == 0][0])
        raise UsageError(f"{name}: round {twice} is there twice; give the rows of one run only")
    shares = columns["kept"][own].astype(np.float64) / columns["weights"][own]
    accuracy = columns["accuracy"][own].astype(np.float64)
    accuracy = np.where(columns["status"][own] == "ok", accuracy, np.nan)
    return Run(str(width), int(dimension), int(rewind), str(cell), int(seed),
               rounds, shares, accuracy)  # fmt: skip


# ------------------------------------------------------------------ matching


def matched(rows: Rows, tolerances: Iterable[float] = ()) -> list[Matched]:
    """The sparsest matching subnetwork of each run: strict (tolerance 0) and by tolerance.

    Args:
        rows: as for ``runs_of``.
        tolerances: accuracies in [0, 1) that a subnetwork may fall short by; 0 is always there.

    Returns:
        By width, dimension, rewind, cell, seed, then rising tolerance.

    Raises:
        UsageError: as ``runs_of``, or a tolerance is out of range.
    """
    allowed = sorted({0.0, *map(checked_tolerance, tolerances)})
    return [_matched(run, tolerance) for run in runs_of(rows) for tolerance in allowed]


def checked_tolerance(tolerance: float) -> float:
    """``tolerance``.

    Raises:
        UsageError: it is not in [0, 1).
    """
    if not 0 <= tolerance < 1:
        raise UsageError(
            f"tolerance {tolerance:g} is not in [0, 1): it is an accuracy, 0.005 is half a point"
        )
    return float(tolerance)


def _matched(run: Run, tolerance: float) -> Matched:
    place = run.sparsest(tolerance)
    share, turn, accuracy = math.nan, -1, math.nan
    if place is not None:
        share, turn = float(run.shares[place]), int(run.rounds[place])
        accuracy = float(run.accuracy[place])
    return Matched(
        run.width, run.dimension, run.rewind, run.cell, run.seed, tolerance, run.dense,
        share, turn, accuracy, len(run.rounds), int(np.isnan(run.accuracy).sum()),
    )  # fmt: skip


def over_seeds(records: Iterable[Matched]) -> list[Summary]:
    """Means over seeds, one for each width, dimension, rewind, cell and tolerance.

    Seeds of which nothing matches, since their dense network diverged, do not count.
    """
    groups: dict[_Setting, list[Matched]] = {}
    for one in records:
        key = (one.width, one.dimension, one.rewind, one.cell, one.tolerance)
        groups.setdefault(key, []).append(one)
    return [_summary(key, groups[key]) for key in sorted(groups, key=_order)]


def _summary(key: _Setting, records: Sequence[Matched]) -> Summary:
    shares = np.array([one.share for one in records if not math.isnan(one.share)])
    mean = float(shares.mean()) if len(shares) else math.nan
    spread = float(shares.std(ddof=1)) if len(shares) > 1 else math.nan
    return Summary(*key, mean, spread, len(shares), min(one.rounds for one in records))


def table_records(
    rows: Rows, tolerance: float = 0.0, *, rewind: int | None = None, cell: str | None = None
) -> list[dict[str, Any]]:
    """A table of the paper: weights left by the sparsest matching subnetworks, in percent.

    Args:
        rows: as for ``runs_of``.
        tolerance: in accuracy; 0 is the strict criterion.
        rewind, cell: only runs with these.

    Returns:
        A dict a width and dimension: ``group`` (the width), ``dimension``, ``mean`` and
        ``spread`` (percent, as of ``Summary``), ``seeds``. Where no seed counts there is none.

    Raises:
        UsageError: as ``runs_of`` and ``matched``, or a width and dimension has runs of
            several rewinds or cells.
    """
    tolerance = checked_tolerance(tolerance)
    runs = single_setting(runs_of(rows, rewind=rewind, cell=cell))
    return [
        {"group": one.width, "dimension": one.dimension, "mean": 100 * one.mean,
         "spread": 100 * one.spread, "seeds": one.seeds}
        for one in over_seeds(_matched(run, tolerance) for run in runs)
        if one.seeds
    ]  # fmt: skip
