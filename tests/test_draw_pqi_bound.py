"""The PQ index beside the sparsest network known: lines against plain loops, and how it reads."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from draw_pqi_rows import GRID, Row, some_rows, table
from matplotlib.axes import Axes
from test_draw_pqi import variant_of
from test_plots import assert_readable, texts

from combsearch.errors import UsageError
from combsearch.plots.draw_pqi import draw_against_bound
from combsearch.plots.draw_pqi_bound import pqi_against_bound, seeing
from combsearch.plots.pqi_curves import PAPER
from combsearch.plots.pqi_panels import variant_looks

BOUNDS = {"95%": (25, 22), "99.5%": (36, 29)}


def spiral(width: int, seed: int = 0, seeds: int = 3) -> list[Row]:
    """Rows on networks of three hidden layers of ``width``."""
    sizes = (2 * width, width * width, width * width, width)
    rows = some_rows(
        scopes=("global",), sizes=sizes, biases=3 * width + 1, rounds=12, seeds=seeds, seed=seed
    )
    rows[3] |= {"status": "diverged"}
    return rows


def tables(*widths: int) -> dict[str, pa.Table]:
    return {f"width {width}": table(spiral(width, width)) for width in widths}


def lines(axes: Axes, gid: str) -> list[Any]:
    return [line for line in axes.lines if line.get_gid() == gid]


def own(rows: Sequence[Row], variant: object) -> list[Row]:
    return [row for row in rows if variant_of(row) == variant and row["status"] == "ok"]


def test_the_index_that_sees_is_the_one_whose_bound_is_the_sparsest_network() -> None:
    x = np.array([10.0, 36.0, 100.0, 5000.0])
    for p, q in ((0.5, 1.0), (1.0, 2.0), (0.2, 1.4)):
        index = seeing(x, 36.0, f"{p:g}:{q:g}")
        assert index[:2].tolist() == [0.0, 0.0]
        np.testing.assert_allclose(x[2:] * (1 - index[2:]) ** (p * q / (q - p)), 36.0)


@pytest.mark.parametrize("column", ["kept", "nonzeros", "effective"])
def test_lines_of_one_network_are_means_over_seeds(column: str) -> None:
    rows = spiral(16)
    figure = pqi_against_bound({"width 16": table(rows)}, BOUNDS, GRID, column=column)
    index, stay, _ = figure.axes
    for variant in PAPER:
        mine, colour = own(rows, variant), variant_looks([variant])[variant].colour
        turns = sorted({row["round"] for row in mine})
        by_turn = [[row for row in mine if row["round"] == turn] for turn in turns]
        x = [statistics.fmean(row[column] for row in group) for group in by_turn]
        y = [statistics.fmean(row["pqi"][0] for row in group) for group in by_turn]
        r = [
            statistics.fmean(row["retain"][0] / row["kept"] * row[column] for row in group)
            for group in by_turn
        ]
        for axes, gid, expected in ((index, "mean", y), (stay, "stay", r)):
            [line] = [li for li in lines(axes, gid) if li.get_color() == colour]
            np.testing.assert_allclose(line.get_xdata(), x)
            np.testing.assert_allclose(line.get_ydata(), expected)


def test_the_best_accuracy_is_that_of_any_seed_and_round() -> None:
    rows = spiral(16)
    figure = pqi_against_bound({"width 16": table(rows)}, {}, GRID)
    for variant in PAPER:
        mine, colour = own(rows, variant), variant_looks([variant])[variant].colour
        steps: list[tuple[int, float]] = []
        for most in sorted({row["nonzeros"] for row in mine}):
            best = max(row["best_accuracy"] for row in mine if row["nonzeros"] <= most)
            if not steps or best > steps[-1][1]:
                steps.append((most, best))
        [line] = [li for li in lines(figure.axes[2], "best") if li.get_color() == colour]
        x, y = line.get_data()
        assert list(x[:-1]) == [n for n, _ in steps]
        np.testing.assert_allclose(y[:-1], [accuracy for _, accuracy in steps])


def test_bounds_stand_where_they_are_given() -> None:
    figure = pqi_against_bound(tables(16), BOUNDS, GRID)
    assert_readable(figure)
    for axes in figure.axes:
        assert [line.get_xdata()[0] for line in lines(axes, "limit")] == [25, 36]
    assert [line.get_ydata()[0] for line in lines(figure.axes[2], "target")] == [0.95, 0.995]
    spans = [patch.get_extents().intervaly for patch in figure.axes[1].patches]
    inverse = figure.axes[1].transData.inverted()
    ends = [[inverse.transform((0, y))[1] for y in span] for span in spans]
    np.testing.assert_allclose(ends, [(22, 25), (29, 36)])
    shown = texts(figure)
    assert "95%: trained 25, exists 22" in shown and "99.5%: trained 36, exists 29" in shown
    assert "weights and biases left (log scale)" in shown


def test_several_networks_have_a_row_a_method() -> None:
    figure = pqi_against_bound(tables(8, 16, 32), BOUNDS, GRID, column="kept")
    assert_readable(figure)
    assert len(figure.axes) == 12
    assert [axes.get_title(loc="left") for axes in figure.axes[::3]] == [v.name for v in PAPER]
    assert all(len(lines(axes, "mean")) == 3 for axes in figure.axes[::3])
    assert {"width 8", "width 16", "width 32", "weights left, biases not counted (log scale)"} <= {
        *texts(figure)
    }


@pytest.mark.parametrize(
    "bounds", [{}, {"99.5%": (36, 36)}, {f"{t}%": (t, t) for t in (60, 70, 80)}]
)
def test_any_bounds_are_readable(bounds: dict[str, tuple[float, float]]) -> None:
    assert_readable(pqi_against_bound(tables(4), bounds, GRID))
    assert_readable(pqi_against_bound(tables(4, 128), bounds, GRID))


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(UsageError, match="no runs to draw"):
        pqi_against_bound({}, BOUNDS, GRID)
    with pytest.raises(UsageError, match=r"target '0\.95' is no percentage"):
        pqi_against_bound(tables(4), {"0.95": (1, 1)}, GRID)
    with pytest.raises(UsageError, match=r"column 'left' counts nothing: choose from kept, non"):
        pqi_against_bound(tables(4), BOUNDS, GRID, column="left")
    unknown = [row | {"nonzeros": -1} for row in spiral(4)]
    with pytest.raises(UsageError, match="nonzeros of 'a' are not known"):
        pqi_against_bound({"a": table(unknown)}, BOUNDS, GRID)
    with pytest.raises(UsageError, match="4 targets: 3 at most"):
        pqi_against_bound(tables(4), {f"{t}%": (9, 9) for t in (1, 2, 3, 4)}, GRID)


def test_files_are_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ("png", "pdf"):
        [first], [second] = (
            draw_against_bound(tables(8, 16), BOUNDS, tmp_path / name, GRID, suffix=suffix)
            for name in "ab"
        )
        assert first.name == f"against-bound-global.{suffix}"
        assert first.read_bytes() == second.read_bytes()
