"""Figures of the PQ-index study: what they show against plain loops, and that they read well."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from draw_pqi_rows import GRID, LAYERS, SETTINGS, SIZES, Row, some_rows, table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from test_plots import assert_readable, found, texts

from combsearch.errors import UsageError
from combsearch.plots.draw_pqi import draw_pqi
from combsearch.plots.draw_pqi_ablation import ablations, pqi_ablation
from combsearch.plots.draw_pqi_grid import pqi_grid
from combsearch.plots.draw_pqi_layers import pqi_layers
from combsearch.plots.draw_pqi_methods import pqi_gini, pqi_pruned, pqi_retrained, pqi_scopes
from combsearch.plots.pqi_curves import PAPER, Study, Variant, read_study
from combsearch.plots.pqi_panels import variant_looks
from combsearch.studies.pqi.table import over_seeds

ABLATED = (
    *(Variant("sap", p, 1.0, 0.0, 1.0) for p in (0.1, 0.3, 0.7)),
    *(Variant("sap", 0.5, q, 0.0, 1.0) for q in (1.5, 2.0)),
    *(Variant("sap", 0.5, 1.0, eta, 1.0) for eta in (0.1, 1.0)),
    *(Variant("sap", 0.5, 1.0, 0.0, gamma) for gamma in (0.5, 4.0)),
)
SMALL: dict[str, Any] = {"scopes": ("global",), "seeds": 3, "rounds": 6}
Value = Callable[[Row], float]


def study_of(rows: Sequence[Row], grid: Sequence[str] = GRID) -> Study:
    return read_study(table(rows), grid, LAYERS)


def variant_of(row: Row) -> Variant:
    given = {key: None if math.isnan(row[key]) else row[key] for key in SETTINGS}
    return Variant(row["method"], **given)


def naive(
    rows: Sequence[Row], variant: Variant, y: Value, x: Value | None = None, scope: str = "global"
) -> list[tuple[float, float, float | None]]:
    """(x, mean, deviation) by round, over the seeds with a row that did not diverge."""
    line = []
    for turn in range(max(row["round"] for row in rows) + 1):
        own = [
            row for row in rows
            if variant_of(row) == variant and row["scope"] == scope
            and row["round"] == turn and row["status"] == "ok"
        ]  # fmt: skip
        own = [row for row in own if math.isfinite(y(row))]
        if own:
            values = [y(row) for row in own]
            spread = statistics.stdev(values) if len(own) > 1 else None
            across = turn if x is None else statistics.fmean(x(row) for row in own)
            line.append((across, statistics.fmean(values), spread))
    return line


def dense(rows: Sequence[Row], row: Row) -> float:
    """Accuracy of the dense network of the row's chain; NaN where there is none."""
    for other in rows:
        same = all(other[k] == row[k] for k in ("scope", "restart"))
        if same and variant_of(other) == variant_of(row) and other["round"] == 0:
            return float(other["accuracy"]) if other["status"] == "ok" else math.nan
    return math.nan


def frames(figure: Figure) -> list[Axes]:
    return figure.axes


def drawn(axes: Axes, variant: Variant, gid: str = "mean") -> list[tuple[float, float]]:
    """Points of the line of ``variant``, found by its colour."""
    colour = variant_looks([variant])[variant].colour
    [line] = [li for li in axes.lines if li.get_gid() == gid and li.get_color() == colour]
    return points(line)


def points(line: Any) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def same(axes: Axes, variant: Variant, expected: Sequence[tuple[Any, ...]]) -> None:
    np.testing.assert_allclose(drawn(axes, variant), [e[:2] for e in expected], rtol=1e-12)


def item(column: str, place: int, over: float = 1.0) -> Value:
    """An entry of a list column."""
    return lambda row: float(row[column][place] / over)


def kept(row: Row) -> float:
    return float(row["kept"] / row["weights"])


def left(row: Row) -> float:
    return float(row["left"] / row["weights"])


def uneven() -> list[Row]:
    """Rows of which some diverged and one seed's run is not finished."""
    rows = some_rows(**SMALL)
    rows = [row for row in rows if not (row["restart"] == 2 and row["round"] > 3)]
    for place, row in enumerate(rows):
        if place % 17 == 5:
            row |= {"status": "diverged", "accuracy": math.nan, "pqi": [math.nan] * 2}
    return rows


# ------------------------------------------------------------------ curves


def test_means_and_deviations_are_those_of_the_statistics_module() -> None:
    values = np.array([[1.0, 2.0, np.nan], [4.0, np.nan, np.nan], [2.5, 7.0, np.inf]])
    mean, spread = over_seeds(values)
    assert mean[0] == statistics.fmean([1, 4, 2.5]) and mean[1] == 4.5
    assert spread[0] == pytest.approx(statistics.stdev([1, 4, 2.5]))
    assert spread[1] == pytest.approx(statistics.stdev([2, 7]))
    assert np.isnan([mean[2], spread[2]]).all()
    assert np.isnan(over_seeds(values[:1])[1]).all()


def test_lines_of_the_scope_are_the_papers_where_the_method_has_them() -> None:
    mine = Variant("sap", 0.4, 1.0, 0.0, 1.0)
    study = study_of(some_rows((mine, *reversed(PAPER)), **SMALL))
    assert [chains.variant for chains in study.main("global")] == list(PAPER)
    assert [chains.variant for chains in study.of("global")] == [mine, *PAPER]
    other = study_of(some_rows((mine, PAPER[2]), **SMALL))
    assert [chains.variant for chains in other.main("global")] == [mine, PAPER[2]]
    assert mine.name == "SAP, p = 0.4, q = 1"
    assert Variant("sap", 0.5, 1.0, 0.1, 2.0).name == "SAP, p = 0.5, q = 1, η = 0.1, γ = 2"
    assert [Variant("lt", share=s).name for s in (0.2, 0.3)] == ["LT", "LT, share = 0.3"]


@pytest.mark.parametrize(
    ("change", "grid", "layers", "message"),
    [
        ({}, ("0.5:1",), LAYERS, "column 'pqi' has 2 entries a row, the names given make 1"),
        ({}, GRID, LAYERS[:2], "column 'layer_kept' has 3 entries"),
        ({}, (), LAYERS, "give the grid"),
    ],
)
def test_names_that_do_not_fit_the_rows(
    change: Row, grid: Sequence[str], layers: Sequence[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_study(table(some_rows(**SMALL)), grid, layers)


def test_no_rows() -> None:
    with pytest.raises(UsageError, match="no rows to draw"):
        study_of([])
    rows = [{**row, "status": "diverged"} for row in some_rows(**SMALL)]
    with pytest.raises(UsageError, match="no rows to draw in scope 'global'"):
        pqi_retrained(study_of(rows))
    with pytest.raises(UsageError, match=r"scope 'global' \(there: none\)"):
        pqi_scopes(study_of(rows))
    with pytest.raises(UsageError, match=r"scope 'neuron' \(there: global\)"):
        pqi_gini(study_of(some_rows(**SMALL)), "neuron")
    with pytest.raises(UsageError, match=r"pair '1:3' is not in the grid \(there: 0.5:1, 1:2\)"):
        pqi_retrained(study_of(some_rows(**SMALL)), pair="1:3")


# ------------------------------------------------------------------ retrained, pruned, scopes, Gini


def test_retrained_shows_the_means_over_seeds() -> None:
    rows = uneven()
    axes = frames(pqi_retrained(study_of(rows)))
    quantities: list[Value] = [
        lambda row: row["accuracy"],
        lambda row: 100 * (row["accuracy"] - dense(rows, row)),
        item("pqi", 0),
    ]
    for place, variant in itertools.product(range(3), PAPER):
        same(axes[place], variant, naive(rows, variant, quantities[place]))
        same(axes[3 + place], variant, naive(rows, variant, quantities[place], kept))


def test_pruned_shows_the_means_over_seeds_at_the_weights_that_are_left() -> None:
    rows = uneven()
    axes = frames(pqi_pruned(study_of(rows), pair="1:2"))
    shown: list[tuple[Value, Value]] = [
        (lambda row: row["pruned_accuracy"], left),
        (lambda row: 100 * (row["pruned_accuracy"] - row["accuracy"]), left),
        (item("pqi", 1), kept),
    ]
    for place, variant in itertools.product(range(3), PAPER):
        y, x = shown[place]
        same(axes[place], variant, naive(rows, variant, y))
        same(axes[3 + place], variant, naive(rows, variant, y, x))


def test_the_band_is_one_standard_deviation() -> None:
    rows = uneven()
    axes = frames(pqi_retrained(study_of(rows)))[0]
    bands = [c for c in axes.collections if c.get_gid() == "band"]
    for band, variant in zip(bands, PAPER, strict=True):
        vertices: list[Any] = [v for path in band.get_paths() for v in np.asarray(path.vertices)]
        corners = {(float(x), round(float(y), 12)) for x, y in vertices}
        line = naive(rows, variant, lambda row: row["accuracy"])
        for x, mean, spread in line:
            if spread is not None:
                assert {(x, round(mean - spread, 12)), (x, round(mean + spread, 12))} <= corners


def test_one_seed_has_no_band() -> None:
    figure = pqi_retrained(study_of(some_rows(seeds=1, scopes=("global",), rounds=4)))
    assert found(figure, "band") == []
    assert texts(figure)[-5] == "Retrained networks, scope global: 1 seed"


def test_what_is_left_out_is_said() -> None:
    rows = uneven()
    lost = sum(row["status"] == "diverged" for row in rows)
    figure = pqi_retrained(study_of(rows))
    said = f"of 1 to 3 seeds, {lost} diverged rounds left out"
    assert any(text.endswith(said) for text in texts(figure)), texts(figure)


def test_scopes_share_their_scales() -> None:
    rows = some_rows(seeds=2, rounds=5)
    for by_share in (False, True):
        figure = pqi_scopes(study_of(rows), by_share=by_share)
        axes = frames(figure)
        assert_readable(figure)
        for column, scope in enumerate(("global", "layer", "neuron")):
            x = kept if by_share else None
            for variant in PAPER:
                line = naive(rows, variant, lambda row: row["accuracy"], x, scope)
                same(axes[column], variant, line)
                same(
                    axes[3 + column], variant, naive(rows, variant, lambda r: r["pqi"][0], x, scope)
                )
            assert axes[column].get_ylim() == axes[0].get_ylim()
            assert axes[column].get_xlim() == axes[3].get_xlim()


def test_a_scope_that_all_diverged_is_left_out() -> None:
    rows = some_rows(seeds=2, rounds=2)
    for row in rows:
        row["status"] = "diverged" if row["scope"] == "layer" else "ok"
    titles = [axes.get_title(loc="left") for axes in frames(pqi_scopes(study_of(rows)))]
    assert titles[:2] == ["scope: global", "scope: neuron"]


def test_gini_stands_beside_the_index() -> None:
    rows = uneven()
    axes = frames(pqi_gini(study_of(rows)))
    for variant in PAPER:
        same(axes[0], variant, naive(rows, variant, item("pqi", 0)))
        same(axes[1], variant, naive(rows, variant, lambda row: row["gini"]))


# ------------------------------------------------------------------ grid, layers, ablation


def test_the_grid_has_a_frame_for_each_pair() -> None:
    grid = ("0.5:1", "0.5:2", "1:2", "0.2:1")
    rows = some_rows(grid=grid, **SMALL)
    figure = pqi_grid(study_of(rows, grid))
    assert_readable(figure)
    axes = {frame.get_title(loc="left"): frame for frame in frames(figure)}
    assert len(axes) == 4
    for place, name in enumerate(("p = 0.5, q = 1", "p = 0.5, q = 2", "p = 1, q = 2")):
        for variant in PAPER:
            line = naive(rows, variant, item("pqi", place))
            same(axes[name], variant, line)
    with pytest.raises(UsageError, match="pair 'a:1' is not p:q"):
        pqi_grid(study_of(rows, ("a:1", *grid[1:])))


def test_layers_show_the_index_and_what_is_left() -> None:
    rows = uneven()
    figure = pqi_layers(study_of(rows), pair="1:2", variants=PAPER[:1])
    assert_readable(figure)
    axes = frames(figure)
    for layer in range(3):
        index = naive(rows, PAPER[0], item("layer_pqi", 2 * layer + 1))
        share = naive(rows, PAPER[0], item("layer_kept", layer, SIZES[layer]))
        same(axes[layer], PAPER[0], index)
        same(axes[3 + layer], PAPER[0], share)
        assert len([li for li in axes[layer].lines if li.get_gid() == "mean"]) == 1


def test_pairs_that_make_no_table_stand_side_by_side() -> None:
    axes = frames(pqi_grid(study_of(some_rows(**SMALL))))
    assert [frame.get_title(loc="left") for frame in axes] == ["p = 0.5, q = 1", "p = 1, q = 2"]
    assert axes[0].get_position().y0 == axes[1].get_position().y0


@pytest.mark.parametrize("count", [1, 4, 6])
def test_any_number_of_layers_is_readable(count: int) -> None:
    names = [f"block {n}, convolution 2" for n in range(count)]
    rows = some_rows(sizes=[1000 * (n + 1) for n in range(count)], **SMALL)
    figure = pqi_layers(read_study(table(rows), GRID, names))
    assert_readable(figure)
    axes = frames(figure)
    assert len(axes) == 2 * count
    assert len({frame.get_ylim() for frame in axes if frame.get_yscale() == "linear"}) == 1
    named = [frame for frame in axes if frame.get_xlabel() == "round"]
    assert len(named) == min(count, 4)
    with pytest.raises(UsageError, match="no layers are named"):
        pqi_layers(read_study(table(rows), GRID))


def test_ablations_change_one_setting() -> None:
    study = study_of(some_rows((*PAPER, *ABLATED), **SMALL))
    found_sets = ablations(study, "global")
    values = {k: [getattr(c.variant, k) for c in own] for k, own in found_sets.items()}
    assert values == {
        "p": [0.1, 0.3, 0.5, 0.7], "q": [1.0, 1.5, 2.0], "eta": [0.0, 0.1, 1.0],
        "gamma": [0.5, 1.0, 4.0],
    }  # fmt: skip
    assert ablations(study_of(some_rows(**SMALL)), "global") == {}
    with pytest.raises(UsageError, match="no two SAP variants"):
        pqi_ablation(study_of(some_rows(**SMALL)))


def test_an_ablation_shows_the_means_over_seeds() -> None:
    rows = some_rows((*PAPER, *ABLATED), **SMALL)
    figure = pqi_ablation(study_of(rows))
    assert_readable(figure)
    axes = frames(figure)
    variants = [ABLATED[0], ABLATED[1], PAPER[0], ABLATED[2]]
    pairs: list[tuple[Axes, Value, Value | None]] = [
        (axes[0], lambda row: row["accuracy"], kept),
        (axes[4], item("pqi", 0), None),
    ]
    for frame, y, x in pairs:
        lines = [li for li in frame.lines if li.get_gid() == "mean"]
        for line, variant in zip(lines, variants, strict=True):
            expected = [point[:2] for point in naive(rows, variant, y, x)]
            np.testing.assert_allclose(np.array(points(line)), np.array(expected))


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("figure_of", [pqi_retrained, pqi_pruned, pqi_gini, pqi_layers])
@pytest.mark.parametrize(("rounds", "seeds"), [(0, 1), (1, 4), (30, 2)])
def test_figures_are_readable(
    figure_of: Callable[[Study], Figure], rounds: int, seeds: int
) -> None:
    rows = some_rows(scopes=("global",), seeds=seeds, rounds=rounds)
    assert_readable(figure_of(study_of(rows)))


def names_of(files: Sequence[Path]) -> set[str]:
    return {file.name for file in files}


def test_all_figures_that_the_rows_allow(tmp_path: Path) -> None:
    rows = some_rows(scopes=("global", "neuron"), seeds=2, rounds=4)
    one = {"retrained", "pruned", "gini", "grid", "layers"}
    expected = {f"{name}-{scope}.png" for name in one for scope in ("global", "neuron")}
    files = draw_pqi(table(rows), tmp_path, GRID, LAYERS)
    assert names_of(files) == expected | {"scopes.png", "scopes-weights-left.png"}
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)
    few = [row | {"pqi": row["pqi"][:1], "retain": row["retain"][:1]} for row in rows]
    few = [row for row in few if row["scope"] == "global" and row["method"] == "lt"]
    assert names_of(draw_pqi(table(few), tmp_path, GRID[:1], ())) == {
        "retrained-global.png", "pruned-global.png", "gini-global.png"
    }  # fmt: skip


def test_ablations_and_cells_have_files_of_their_own(tmp_path: Path) -> None:
    rows = some_rows((*PAPER, *ABLATED[:1]), scopes=("global",), seeds=1, rounds=2)
    both = rows + [row | {"cell": "0.05:step"} for row in rows]
    files = names_of(draw_pqi(table(both), tmp_path, GRID, (), "pdf"))
    assert {"ablation-global-0.1-cosine.pdf", "ablation-global-0.05-step.pdf"} <= files


def test_rows_that_all_diverged_have_no_figure(tmp_path: Path) -> None:
    rows = [{**row, "status": "diverged"} for row in some_rows(seeds=1, rounds=1)]
    assert draw_pqi(table(rows), tmp_path, GRID, LAYERS) == []


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_figures_are_the_same_bytes_in_whatever_order_rows_come(
    tmp_path: Path, suffix: str
) -> None:
    rows = some_rows(PAPER[::2], scopes=("global",), seeds=2, rounds=3)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    first = draw_pqi(table(rows), tmp_path / "a", GRID, LAYERS, suffix)
    second = draw_pqi(table(shuffled), tmp_path / "b", GRID, LAYERS, suffix)
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
