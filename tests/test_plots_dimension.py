"""Figures of the dimensionality study: what they show against plain loops, and readability."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from test_plots import assert_readable, found, texts

from combsearch.errors import UsageError
from combsearch.plots.dimension_axes import sequence_looks
from combsearch.plots.dimension_curves import dimension_curves
from combsearch.plots.dimension_prunability import dimension_prunability
from combsearch.plots.dimension_sizes import true_sizes
from combsearch.plots.draw_dimension import draw_curves, draw_prunability, draw_true_size
from combsearch.studies.dimensionality.matching import table_records

Row = dict[str, Any]


def columns(rows: Sequence[Row]) -> dict[str, Any]:
    return {name: np.array([one[name] for one in rows]) for name in rows[0]}


def some_rows(
    widths: Sequence[str] = ("16", "32", "64"),
    dimensions: Sequence[int] = (16, 32, 64, 128),
    seeds: int = 3,
    rounds: int = 25,
    error: float = 0.12,
    chance: float = 0.1,
    slope: float = 0.5,
    seed: int = 0,
) -> list[Row]:
    """Accuracy rises a little with the first rounds, then falls to chance.

    ``slope`` is by how many times more weights a doubled dimension needs, as a power of two.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for (size, width), (place, dimension), restart in itertools.product(
        enumerate(widths), enumerate(dimensions), range(seeds)
    ):
        weights = 270_000 * 4**size
        needed = 0.03 * 2 ** (slope * place - 0.7 * size) * math.exp(draw.normal(0, 0.15))
        base = error * 0.8**size * 1.25**place
        for turn in range(rounds + 1):
            kept = round(weights * 0.8**turn)
            fall = 1 / (1 + (kept / weights / needed) ** 2.5)
            wrong = base * (1 - 0.04 * min(turn, 6) / 6) + (1 - chance - base) * fall**1.3
            accuracy = round((1 - wrong + draw.normal(0, 0.004 * base**0.5)) * 20_000) / 20_000
            rows.append(
                {
                    "width": width, "dimension": dimension, "rewind": 0, "cell": "0.1:cosine",
                    "restart": restart, "round": turn, "accuracy": min(accuracy, 1.0),
                    "status": "ok", "weights": weights, "kept": kept,
                    "left": round(kept * 0.8),
                }
            )  # fmt: skip
    return rows


def some_sizes(
    embeddings: Sequence[str] = ("linear", "distractors", "both"),
    inputs: Sequence[int] = (2, 3, 4, 6, 8),
    targets: Sequence[float] = (0.95,),
) -> list[Row]:
    """Sparsest sizes by input dimension: bounds end early, and the last ones are open."""
    lines = (
        ("bound", "search, trained", 25, 0.9, 4), ("exists", "search, exists", 22, 0.8, 6),
        ("phase1", "phase one, dense", 34, 1.0, 99), ("imp", "IMP, best seed", 44, 1.1, 99),
        ("imp", "IMP, median", 63, 1.2, 99),
    )  # fmt: skip
    return [
        {
            "embedding": embedding, "inputs": number, "target": target, "kind": kind, "line": line,
            "nonzeros": round(size * (number / 2) ** (grow * (0.2 + 0.3 * place)) * (1 + row)),
            "open": kind in ("bound", "exists") and number == last,
        }
        for place, embedding in enumerate(embeddings)
        for row, target in enumerate(targets)
        for kind, line, size, grow, last in lines
        for number in inputs
        if number <= last and not (kind == "imp" and number == 4 and embedding == "both")
    ]  # fmt: skip


SMALL: dict[str, Any] = {"widths": ("16", "32"), "dimensions": (16, 64), "rounds": 8}
MLPS = ("256x128", "512x256", "1024x512")


def uneven() -> list[Row]:
    """Rows of which some diverged and one seed's run is not finished."""
    rows = some_rows(**SMALL)
    rows = [row for row in rows if not (row["restart"] == 2 and row["round"] > 3)]
    for place, row in enumerate(rows):
        if place % 17 == 5:
            row |= {"status": "diverged", "accuracy": math.nan}
    return rows


def naive(rows: Sequence[Row], width: str, dimension: int) -> list[tuple[float, float, Any]]:
    """(share, mean error, deviation) by round, over the seeds whose row did not diverge."""
    line: list[tuple[float, float, Any]] = []
    for turn in range(max(row["round"] for row in rows) + 1):
        own = [
            row for row in rows
            if (row["width"], row["dimension"], row["round"]) == (width, dimension, turn)
            and row["status"] == "ok"
        ]  # fmt: skip
        if own:
            errors = [1 - row["accuracy"] for row in own]
            share = statistics.fmean(row["kept"] / row["weights"] for row in own)
            spread = statistics.stdev(errors) if len(own) > 1 else None
            line.append((share, statistics.fmean(errors), spread))
    return line


def points(line: Any) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def own_lines(axes: Axes, gid: str) -> list[Any]:
    return [line for line in axes.lines if line.get_gid() == gid]


def named(figure: Figure, text: str) -> Axes:
    """The frame with that title."""
    [axes] = [axes for axes in figure.axes if axes.get_title(loc="left") == text]
    return axes


# ------------------------------------------------------------------ curves


def test_curves_are_means_over_seeds() -> None:
    rows = uneven()
    figure = dimension_curves(columns(rows), "extrinsic")
    for width in SMALL["widths"]:
        drawn = own_lines(named(figure, f"width {width}"), "mean")
        for line, dimension, look in zip(drawn, (16, 64), sequence_looks(2), strict=True):
            expected = [point[:2] for point in naive(rows, width, dimension)]
            np.testing.assert_allclose(points(line), expected, rtol=1e-12)
            assert line.get_color() == look.colour


def test_the_band_is_one_standard_deviation() -> None:
    rows = uneven()
    axes = named(dimension_curves(columns(rows), "extrinsic"), "width 32")
    bands = [c for c in axes.collections if c.get_gid() == "band"]
    for band, dimension in zip(bands, (16, 64), strict=True):
        corners = {
            (round(float(x), 12), round(float(y), 12))
            for path in band.get_paths()
            for x, y in np.asarray(path.vertices)
        }
        for x, mean, spread in naive(rows, "32", dimension):
            if spread is not None:
                ends = {round(mean - spread, 12), round(mean + spread, 12)}
                assert {(round(x, 12), end) for end in ends} <= corners


def test_marks_stand_on_their_lines_at_the_mean_share_that_matches() -> None:
    rows = some_rows(**SMALL)
    figure = dimension_curves(columns(rows), "task", 0.02)
    for gid, tolerance in (("strict", 0.0), ("tolerant", 0.02)):
        table = {
            (one["group"], one["dimension"]): one["mean"] / 100
            for one in table_records(columns(rows), tolerance)
        }
        for width in SMALL["widths"]:
            axes = named(figure, f"width {width}")
            marks = own_lines(axes, gid)
            for mark, line, dimension in zip(marks, own_lines(axes, "mean"), (16, 64), strict=True):
                [(share, error)] = points(mark)
                assert share == pytest.approx(table[width, dimension], rel=1e-12)
                steps = sorted(points(line))
                below = max(p for p in steps if p[0] <= share * (1 + 1e-9))
                above = min(p for p in steps if p[0] >= share * (1 - 1e-9))
                assert min(below[1], above[1]) <= error * (1 + 1e-9)
                assert error <= max(below[1], above[1]) * (1 + 1e-9)
                hollow = mark.get_markerfacecolor() == "white"
                assert hollow == (gid == "tolerant")


def test_without_a_tolerance_there_are_no_hollow_marks() -> None:
    figure = dimension_curves(columns(some_rows(**SMALL)), "extrinsic")
    assert found(figure, "tolerant") == [] and len(found(figure, "strict")) == 4
    assert not any("hollow" in text for text in texts(figure))


def test_a_run_whose_dense_network_diverged_has_no_mark() -> None:
    rows = some_rows(widths=("8",), dimensions=(16, 32), seeds=1, rounds=3)
    for row in rows:
        if row["dimension"] == 32 and row["round"] == 0:
            row |= {"status": "diverged", "accuracy": math.nan}
    figure = dimension_curves(columns(rows), "extrinsic", 0.01)
    assert len(found(figure, "strict")) == len(found(figure, "tolerant")) == 1
    assert len(found(figure, "mean")) == 2 and found(figure, "band") == []
    assert "1 seed, 1 diverged round left out" in " ".join(texts(figure))


def test_a_dimension_that_all_diverged_has_no_line() -> None:
    rows = some_rows(widths=("8",), dimensions=(16, 32), rounds=3)
    for row in rows:
        if row["dimension"] == 32:
            row |= {"status": "diverged", "accuracy": math.nan}
    figure = dimension_curves(columns(rows), "extrinsic", 0.01)
    assert len(found(figure, "mean")) == len(found(figure, "strict")) == 1
    assert_readable(figure)


def test_an_error_of_zero_is_drawn_as_100_percent() -> None:
    rows = some_rows(widths=("8",), dimensions=(16,), seeds=1, rounds=3)
    rows[0]["accuracy"], rows[1]["accuracy"] = 1.0, 0.999
    figure = dimension_curves(columns(rows), "task")
    for gid in ("mean", "strict"):
        assert points(found(figure, gid)[0])[0] == pytest.approx((1.0, 0.0005))
    assert "100%" in [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_what_is_left_out_is_said() -> None:
    rows = uneven()
    lost = sum(row["status"] == "diverged" for row in rows)
    shown = " ".join(texts(dimension_curves(columns(rows), "intrinsic")))
    assert f"of 1 to 3 seeds, {lost} diverged rounds left out" in shown


@pytest.mark.parametrize(
    ("name", "widths", "dimensions", "error"),
    [
        ("extrinsic", ("16", "32", "64"), (16, 32, 64, 128), 0.12),
        ("extrinsic", ("8",), (2, 16, 32, 64, 128), 0.3),
        ("intrinsic", ("8", "16"), (16, 128), 0.12),
        ("task", MLPS, (16, 32, 64, 128, 256), 0.004),
        ("task", MLPS[:1], (16, 32, 64, 128), 0.0005),
        ("spiral", ("16x16x16",), (2, 4), 0.04),
    ],
)
def test_curves_are_readable(
    name: str, widths: tuple[str, ...], dimensions: tuple[int, ...], error: float
) -> None:
    chance = 0.5 if "x" in widths[0] else 0.1
    rows = columns(some_rows(widths, dimensions, error=error, chance=chance))
    assert_readable(dimension_curves(rows, name, 0.005))


def test_a_run_that_just_started_is_readable() -> None:
    assert_readable(dimension_curves(columns(some_rows(seeds=1, rounds=0)), "extrinsic", 0.005))
    flat = some_rows(("16",), (16,), seeds=2, rounds=1)
    for row in flat:
        row["accuracy"] = 1.0
    assert_readable(dimension_curves(columns(flat), "extrinsic", 0.005))


def test_curves_that_cannot_be_drawn() -> None:
    rows = some_rows(**SMALL)
    with pytest.raises(UsageError, match="no experiment 'width': choose from extrinsic, intrinsic"):
        dimension_curves(columns(rows), "width")
    with pytest.raises(UsageError, match=r"tolerance 5 is not in \[0, 1\)"):
        dimension_curves(columns(rows), "task", 5)
    twice = columns(rows + [row | {"rewind": 9} for row in rows])
    with pytest.raises(UsageError, match="choose one rewind"):
        dimension_curves(twice, "task")
    assert len(found(dimension_curves(twice, "task", rewind=9), "mean")) == 4
    lost = columns([row | {"status": "diverged"} for row in rows])
    with pytest.raises(UsageError, match="no rows to draw: all diverged"):
        dimension_curves(lost, "task")


# ------------------------------------------------------------------ prunability


def tables(widths: Sequence[str], tolerances: Sequence[float], seed: int = 0) -> dict[float, Any]:
    rows = columns(some_rows(widths, seed=seed))
    return {tolerance: table_records(rows, tolerance) for tolerance in tolerances}


def paper_like(widths: Sequence[str]) -> list[Row]:
    return [
        {"group": width, "dimension": dimension, "mean": 4.0 + place, "spread": 0.5}
        for width in widths
        for place, dimension in enumerate((16, 32, 64, 128))
    ]


def test_prunability_shows_the_records() -> None:
    own, paper = tables(("8", "16"), (0.0, 0.005)), paper_like(("16", "64"))
    figure = dimension_prunability({"extrinsic": own}, {"extrinsic": paper, "task": paper})
    for axes, tolerance in zip(figure.axes, (0.0, 0.005), strict=True):
        for width in ("8", "16"):
            mine = [one for one in own[tolerance] if one["group"] == width]
            [line] = own_lines(axes, f"ours {width}")
            np.testing.assert_allclose(line.get_ydata(), [one["mean"] for one in mine])
            across = np.log2(np.array(line.get_xdata(), float) / [16, 32, 64, 128])
            assert np.abs(across).max() < 0.2
            bars: Any = next(c for c in axes.collections if c.get_gid() == f"ours {width} bars")
            ends = [(path[0][1], path[1][1]) for path in bars.get_segments()]
            known = [one for one in mine if one["spread"] < one["mean"]]
            expected = [(o["mean"] - o["spread"], o["mean"] + o["spread"]) for o in known]
            np.testing.assert_allclose(ends, expected)
        theirs = [own_lines(axes, f"paper {width}") for width in ("16", "64")]
        assert [len(lines) for lines in theirs] == ([1, 1] if tolerance == 0 else [0, 0])
    shown = texts(figure)
    assert "width 16" in shown and "width 64, paper" in shown and "width 64" not in shown
    assert any(text.endswith("pale and dashed: the paper's") for text in shown)


def test_a_width_keeps_its_colour_beside_the_papers() -> None:
    figure = dimension_prunability(
        {"task": tables(("256x128",), (0.0,))}, {"task": paper_like(("256x128",))}
    )
    [ours], [paper] = found(figure, "ours 256x128"), found(figure, "paper 256x128")
    assert ours.get_color() == paper.get_color() and paper.get_alpha() < 0.5


def test_one_seed_has_no_bar_and_a_wide_one_leaves_the_frame() -> None:
    records = [
        {"group": "8", "dimension": 16, "mean": 10.0, "spread": math.nan, "seeds": 1},
        {"group": "8", "dimension": 32, "mean": 10.0, "spread": 12.0, "seeds": 2},
    ]
    figure = dimension_prunability({"intrinsic": {0.0: records}})
    [bars] = found(figure, "ours 8 bars")
    [[(_, low), (_, high)]] = bars.get_segments()
    assert 0 < low < figure.axes[0].get_ylim()[0] and high == 22
    assert "of 1 to 2 seeds" in " ".join(texts(figure))
    assert_readable(figure)


@pytest.mark.parametrize("tolerances", [(0.0,), (0.0, 0.005), (0.0, 0.002, 0.01), (0.01,)])
def test_prunability_is_readable(tolerances: tuple[float, ...]) -> None:
    for names, widths in ((("task",), MLPS), (("extrinsic", "intrinsic", "task"), ("8", "16"))):
        records = {name: tables(widths, tolerances, seed=place) for place, name in enumerate(names)}
        assert_readable(dimension_prunability(records, {name: paper_like(MLPS) for name in names}))
    single = {0.0: tables(("64",), (0.0,))[0.0][:1]}
    assert_readable(dimension_prunability({"task": single}))


def test_prunability_that_cannot_be_drawn() -> None:
    empty: list[dict[str, dict[float, Any]]] = [{}, {"task": {}}, {"task": {0.0: []}}]
    for nothing in empty:
        with pytest.raises(UsageError, match="no records to draw"):
            dimension_prunability(nothing)
    with pytest.raises(UsageError, match="no experiment 'tasks'"):
        dimension_prunability({"tasks": tables(("8",), (0.0,))})
    bad = [{"group": "8", "dimension": 16, "mean": 0.0, "spread": 1.0, "seeds": 3}]
    with pytest.raises(UsageError, match=r"task, width 8, dimension 16: mean 0.0 is no share"):
        dimension_prunability({"task": {0.0: bad}})


# ------------------------------------------------------------------ true sizes


def test_sizes_stand_where_they_are_given() -> None:
    records = some_sizes(targets=(0.95, 0.995))
    figure = true_sizes(records)
    assert len(figure.axes) == 6
    for target, embedding in itertools.product((0.95, 0.995), ("linear", "distractors", "both")):
        axes = named(figure, f"{embedding}, {100 * target:g}%")
        for kind, name in dict.fromkeys((one["kind"], one["line"]) for one in records):
            own = [
                one for one in records
                if (one["kind"], one["line"], one["embedding"], one["target"])
                == (kind, name, embedding, target)
            ]  # fmt: skip
            expected = {one["inputs"]: one["nonzeros"] for one in own}
            [line] = own_lines(axes, f"{kind} {name}")
            there = {int(x): y for x, y in points(line) if not math.isnan(y)}
            assert there == expected and len(points(line)) == 5
            for state, hollow in (("open", True), ("closed", False)):
                marks = own_lines(axes, f"{kind} {name} {state}")
                at = {int(x) for mark in marks for x, _ in points(mark)}
                assert at == {one["inputs"] for one in own if one["open"] == hollow}
                assert all((mark.get_markerfacecolor() == "white") == hollow for mark in marks)


def test_powers_of_two_keep_their_ticks() -> None:
    inputs = (2, 3, 4, 5, 6, 7, 8, 16, 64)
    figure = true_sizes(some_sizes(("linear", "both", "distractors"), inputs))
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"2", "4", "8", "16", "64"} <= set(shown) and "7" not in shown


def test_lines_of_sizes_can_be_told_apart() -> None:
    figure = true_sizes(some_sizes(("linear",)))
    drawn = [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == len(drawn) == 5


def test_a_size_that_is_none_is_a_gap() -> None:
    records = [one for one in some_sizes(("linear",)) if one["line"] == "IMP, median"]
    records[2]["nonzeros"] = None
    [line] = found(true_sizes(records), "imp IMP, median")
    assert [math.isnan(y) for _, y in points(line)] == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("embeddings", "inputs", "targets"),
    [
        (("linear",), (2, 3, 4, 5, 6, 7, 8, 16), (0.95, 0.995)),
        (("linear", "both"), (2,), (0.95,)),
        (("other", "both", "linear"), (2, 3, 4, 5, 6, 7, 8, 16, 64), (0.9, 0.95, 0.995)),
    ],
)
def test_sizes_are_readable(
    embeddings: tuple[str, ...], inputs: tuple[int, ...], targets: tuple[float, ...]
) -> None:
    assert_readable(true_sizes(some_sizes(embeddings, inputs, targets)))


def test_sizes_that_cannot_be_drawn() -> None:
    good = some_sizes(("linear",))
    none = [one | {"nonzeros": None} for one in good]
    for nothing in ([], none):
        with pytest.raises(UsageError, match="no sparsest sizes to draw"):
            true_sizes(nothing)
    with pytest.raises(UsageError, match="no kind 'best' of line: choose from bound, exists"):
        true_sizes([good[0] | {"kind": "best"}])
    with pytest.raises(UsageError, match="'search, trained' has two points at 2 inputs"):
        true_sizes([good[0], good[0]])
    with pytest.raises(UsageError, match="has no 'target'"):
        true_sizes([{name: value for name, value in good[0].items() if name != "target"}])
    with pytest.raises(UsageError, match="nonzeros 0 of 'search, trained' is not above 0"):
        true_sizes([good[0] | {"nonzeros": 0}])


# ------------------------------------------------------------------ files


def test_figures_are_written(tmp_path: Path) -> None:
    rows = pa.Table.from_pylist(some_rows(**SMALL))
    own = {0.0: table_records(rows)}
    written = [
        draw_curves(rows, "extrinsic", 0.005, tmp_path / "new" / "extrinsic.png"),
        draw_prunability({"extrinsic": own}, None, tmp_path / "prunability.pdf"),
        draw_true_size(some_sizes(), str(tmp_path / "sizes.png")),
    ]
    assert [path.name for path in written] == ["extrinsic.png", "prunability.pdf", "sizes.png"]
    assert all(path.stat().st_size > 5000 for path in written)
    with pytest.raises(UsageError, match=r"must be \.png, \.pdf or \.svg"):
        draw_true_size(some_sizes(), tmp_path / "sizes.eps")
