"""Matching subnetworks from rows, against plain loops over them."""

from __future__ import annotations

import itertools
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from combsearch.errors import UsageError
from combsearch.studies.dimensionality.matching import (
    matched,
    over_seeds,
    runs_of,
    table_records,
)

Row = dict[str, Any]
POINTS = 2000  # of the test set: accuracies are counts over it
RUN = ("width", "dimension", "rewind", "cell", "restart")


def row(turn: int, right: int, kept: int = 0, **more: Any) -> Row:
    """One round; ``right`` of 2,000 test points are classified correctly."""
    kept = kept or round(1000 * 0.8**turn)
    own = {"width": "16", "dimension": 32, "rewind": 0, "cell": "0.1:cosine", "restart": 0}
    found: Row = {"round": turn, "accuracy": right / POINTS, "status": "ok", "weights": 1000}
    return own | found | {"kept": kept, "left": 0} | more


def columns(rows: Sequence[Row]) -> dict[str, Any]:
    return {name: np.array([one[name] for one in rows]) for name in rows[0]}


def some_rows(seed: int = 0, rounds: int = 12) -> list[Row]:
    """Shuffled rows of noisy runs, some diverged, one of them not finished."""
    draw = random.Random(seed)
    rows = []
    for width, dimension, rewind, restart in itertools.product(
        ("8", "16", "128"), (16, 128), (0, 50), range(3)
    ):
        last = 4 if (width, restart) == ("8", 1) else rounds
        for turn in range(last + 1):
            right = 1850 - 5 * max(0, turn - 5) + draw.randrange(-12, 12)
            more: Row = {"width": width, "dimension": dimension, "rewind": rewind}
            if draw.random() < 0.08:
                more |= {"status": "diverged", "accuracy": math.nan}
            rows.append(row(turn, right, **more, restart=restart))
    draw.shuffle(rows)
    return rows


def naive(rows: Sequence[Row], tolerance: float) -> dict[tuple[Any, ...], float | None]:
    """Smallest share that matches, by run, in exact arithmetic; None where the dense diverged."""
    found: dict[tuple[Any, ...], float | None] = {}
    allowed = Fraction(str(tolerance))
    for dense in rows:
        if dense["round"] != 0:
            continue
        key = tuple(dense[name] for name in RUN)
        found[key] = None
        if dense["status"] != "ok":
            continue
        for other in rows:
            if tuple(other[name] for name in RUN) != key or other["status"] != "ok":
                continue
            right, base = (round(one["accuracy"] * POINTS) for one in (other, dense))
            if Fraction(right, POINTS) >= Fraction(base, POINTS) - allowed:
                share = other["kept"] / other["weights"]
                best = found[key]
                found[key] = share if best is None else min(share, best)
    return found


# ------------------------------------------------------------------ matching


@pytest.mark.parametrize("seed", range(4))
def test_the_sparsest_matching_subnetwork_is_that_of_plain_loops(seed: int) -> None:
    rows = some_rows(seed)
    tolerances = (0.002, 0.005)
    records = matched(columns(rows), tolerances)
    assert len(records) == 3 * 36
    for tolerance in (0.0, *tolerances):
        expected = naive(rows, tolerance)
        own = [one for one in records if one.tolerance == tolerance]
        assert len(own) == len(expected)
        for one in own:
            share = expected[one.width, one.dimension, one.rewind, one.cell, one.seed]
            if share is None:
                assert math.isnan(one.share) and math.isnan(one.dense) and one.round == -1
                assert math.isnan(one.prunability) and math.isnan(one.accuracy)
            else:
                assert one.share == share and one.prunability == 1 - share


def test_a_table_is_read_as_its_columns_are() -> None:
    rows = [one for one in some_rows() if one["restart"]]
    known = [one for one in matched(columns(rows), (0.005,)) if not math.isnan(one.dense)]
    table = matched(pa.Table.from_pylist(rows), (0.005,))
    assert [one for one in table if not math.isnan(one.dense)] == known and known


def test_rounds_after_a_failure_count_and_diverged_ones_do_not() -> None:
    rows = [
        row(0, 1800), row(1, 1700), row(2, 1800), row(3, 1799), row(4, 1790),
        row(5, 0, status="diverged", accuracy=1.0), row(6, 0, accuracy=math.nan),
    ]  # fmt: skip
    strict, some, more = matched(columns(rows), [0.005, 0.0005])
    assert (strict.round, strict.share, strict.accuracy) == (2, 0.64, 0.9)
    assert (strict.rounds, strict.diverged, strict.dense) == (7, 2, 0.9)
    assert (some.tolerance, some.round) == (0.0005, 3)
    assert (more.tolerance, more.round) == (0.005, 4)


def test_the_dense_network_matches_itself() -> None:
    [one] = matched(columns([row(0, 1800), row(1, 1799)]))
    assert (one.round, one.share, one.prunability, one.rounds) == (0, 1.0, 0.0, 2)


def test_a_tolerance_is_not_lost_to_rounding() -> None:
    assert 0.503 - 0.0025 > 0.5005  # as floats
    assert matched(columns([row(0, 1006), row(1, 1001)]), [0.0025])[1].round == 1
    for dense in range(1, POINTS):
        records = matched(columns([row(0, dense), row(1, dense - 1)]), [1 / POINTS, 0.9 / POINTS])
        assert [one.round for one in records] == [0, 0, 1], dense


def test_runs_are_in_order_and_their_rounds_rise() -> None:
    runs = runs_of(columns(some_rows()))
    assert [(r.width, r.dimension, r.rewind, r.seed) for r in runs] == list(
        itertools.product(("8", "16", "128"), (16, 128), (0, 50), range(3))
    )
    for run in runs:
        last = 4 if (run.width, run.seed) == ("8", 1) else 12
        assert run.rounds.tolist() == list(range(last + 1))
        np.testing.assert_allclose(run.shares, [round(1000 * 0.8**r) / 1000 for r in run.rounds])
    named = [row(0, 1, width=width) for width in ("512x256", "resnet", "64", "256x128", "8")]
    assert [r.width for r in runs_of(columns(named))] == ["8", "64", "256x128", "512x256", "resnet"]
    assert {r.rewind for r in runs_of(columns(some_rows()), rewind=50)} == {50}


# ------------------------------------------------------------------ over seeds


def test_means_and_deviations_over_seeds() -> None:
    rows = some_rows(5)
    for tolerance in (0.0, 0.005):
        expected = naive(rows, tolerance)
        summaries = [s for s in over_seeds(matched(columns(rows), (tolerance,)))
                     if s.tolerance == tolerance]  # fmt: skip
        assert len(summaries) == 12
        for one in summaries:
            key = (one.width, one.dimension, one.rewind, one.cell)
            shares = [s for k, s in expected.items() if k[:4] == key and s is not None]
            assert one.seeds == len(shares) > 1
            assert one.mean == pytest.approx(statistics.fmean(shares), rel=1e-12)
            assert one.spread == pytest.approx(statistics.stdev(shares), rel=1e-12, abs=1e-15)
            assert one.rounds == (5 if one.width == "8" else 13)


def test_one_seed_has_no_deviation_and_none_no_mean() -> None:
    lost: Row = {"dimension": 64, "status": "diverged", "accuracy": math.nan}
    rows = [row(0, 1800), row(1, 1801), row(0, 0, **lost), row(1, 1900, dimension=64)]
    one, none = over_seeds(matched(columns(rows)))
    assert (one.dimension, one.mean, one.seeds) == (32, 0.8, 1) and math.isnan(one.spread)
    assert none.seeds == 0 and math.isnan(none.mean) and math.isnan(none.spread)
    [record] = table_records(columns(rows))
    assert record["dimension"] == 32 and record["mean"] == 80.0 and math.isnan(record["spread"])


def test_a_table_states_percent_of_weights_left() -> None:
    rows = [row(0, 1800, restart=n) for n in range(3)]
    rows += [row(turn, 1800, restart=n) for n, turn in ((0, 1), (1, 2), (2, 2))]
    rows += [row(3, 1795, restart=n) for n in range(3)]
    rows += [row(0, 1800, dimension=16), row(0, 1800, width="8", dimension=128)]
    found = table_records(columns(rows))
    assert [(r["group"], r["dimension"], r["seeds"]) for r in found] == [
        ("8", 128, 1), ("16", 16, 1), ("16", 32, 3),
    ]  # fmt: skip
    assert list(found[2]) == ["group", "dimension", "mean", "spread", "seeds"]
    assert found[2]["mean"] == pytest.approx(statistics.fmean([80, 64, 64]))
    assert found[2]["spread"] == pytest.approx(statistics.stdev([80, 64, 64]))
    assert table_records(columns(rows), 0.0025)[2]["mean"] == pytest.approx(51.2)


# ------------------------------------------------------------------ bad rows


def test_rows_that_decide_nothing() -> None:
    none = {name: np.array([]) for name in row(0, 1)}
    with pytest.raises(UsageError, match="no rows of the dimensionality study"):
        matched(none)
    with pytest.raises(UsageError, match="no rows of the dimensionality study"):
        table_records(pa.Table.from_pydict(none))
    with pytest.raises(UsageError, match=r"width 16, dimension 32, .*seed 0: no round 0.*is 2"):
        matched(columns([row(2, 1800)]))
    with pytest.raises(UsageError, match="seed 0: round 1 is there twice"):
        matched(columns([row(0, 1), row(1, 1), row(2, 1), row(1, 1)]))
    bare = columns([row(0, 1)])
    del bare["dimension"]
    with pytest.raises(UsageError, match="no column 'dimension': these are no rows of the dim"):
        matched(bare)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan, math.inf])
def test_a_tolerance_is_an_accuracy(tolerance: float) -> None:
    with pytest.raises(UsageError, match=r"tolerance .* is not in \[0, 1\)"):
        matched(columns([row(0, 1)]), [tolerance])
    with pytest.raises(UsageError, match=r"tolerance .* is not in \[0, 1\)"):
        table_records(columns([row(0, 1)]), tolerance)


def test_a_table_is_of_one_setting() -> None:
    rows = columns([row(0, 1800), row(0, 1800, rewind=50), row(1, 1800, rewind=50)])
    message = r"width 16, dimension 32 has runs of 2 settings \(rewind 0, cell 0.1:cosine; rew"
    with pytest.raises(UsageError, match=message):
        table_records(rows)
    assert [table_records(rows, rewind=step)[0]["mean"] for step in (0, 50)] == [100.0, 80.0]
    with pytest.raises(UsageError, match=r"no rows with rewind 7 \(there: rewind 0, cell 0.1:c"):
        table_records(rows, rewind=7)
    with pytest.raises(UsageError, match="no rows with rewind 0, cell 1:cosine"):
        table_records(rows, rewind=0, cell="1:cosine")


def test_importing_it_needs_numpy_only() -> None:
    code = (
        "import sys, combsearch.studies.dimensionality.matching\n"
        "print([m for m in ('torch', 'pyarrow', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
