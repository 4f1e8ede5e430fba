"""Figures of the comparison: what they show against plain loops, and that they read well."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.colors import to_rgb
from test_plots import assert_readable, found, texts

from combsearch import plots
from combsearch.baselines import METHODS
from combsearch.errors import UsageError
from combsearch.flops import BY_ROUNDS
from combsearch.plots import methods as styles
from combsearch.plots.scales import _accuracy, _height
from combsearch.plots.style import ACCENT
from combsearch.prune_config import NINE, PAPER_BUDGETS, PAPER_CELLS, PAPER_WIDTHS, RANDOM
from combsearch.prune_rows import prune_table, within_budget

ALL = (*NINE, *RANDOM)
TARGETS = (0.95, 0.995)
Runs = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def some_runs(skill: float, seed: int, count: int = 60) -> Runs:
    """Runs whose accuracy grows with nonzeros and skill."""
    random = np.random.default_rng(seed)
    nonzeros = random.integers(20, 95, count)
    height = 0.3 + skill * (nonzeros / 40) * random.beta(2, 2, count)
    return nonzeros, 1 - 10**-height


def methods_of(names: tuple[str, ...] = ALL) -> dict[str, Runs]:
    return {name: some_runs(2 - 0.12 * place, place) for place, name in enumerate(names)}


SEARCHES = {
    "search, trained": (np.array([18, 25, 36]), np.array([0.8, 0.96, 0.997])),
    "search, exists": (np.array([17, 22, 30, 35]), np.array([0.8, 0.964, 0.996, 1.0])),
}


def sweep(
    names: tuple[str, ...] = ALL,
    widths: tuple[int, ...] = PAPER_WIDTHS,
    cells: tuple[str, ...] = PAPER_CELLS,
    budgets: tuple[int, ...] = PAPER_BUDGETS,
    seed: int = 0,
) -> pa.Table:
    """Rows of a sweep; a fifteenth of them collapsed or diverged."""
    random = np.random.default_rng(seed)
    keys = list(itertools.product(names, widths, budgets, cells))
    method, width, budget, cell = map(list, zip(*keys, strict=True))
    kept = np.array(budget)
    height = 0.3 + kept / 30 * random.beta(2, 3, len(keys))
    status = random.choice(["ok"] * 28 + ["collapsed", "diverged"], len(keys))
    columns = {
        "rank": np.arange(len(keys)), "method": method, "width": width, "budget": budget,
        "shape": [f"2,{w},{w},{w},1" for w in width], "cell": cell, "restart": 0,
        "accuracy": 1 - 10**-height, "status": status, "weight_nonzeros": kept,
        "nonzeros": kept + 6, "effective_nonzeros": kept + 2, "flops": 1e8,
        "prune_seconds": 0.1, "seconds": 0.1,
    }  # fmt: skip
    return prune_table(columns, [None] * len(keys))


def best_by(nonzeros: np.ndarray[Any, Any], accuracy: np.ndarray[Any, Any]) -> list[Any]:
    """(nonzeros, accuracy) where the best with at most so many rises, by a plain loop."""
    steps: list[tuple[int, float]] = []
    for n in sorted(set(nonzeros.tolist())):
        best = max(a for m, a in zip(nonzeros.tolist(), accuracy.tolist(), strict=True) if m <= n)
        if not steps or best > steps[-1][1]:
            steps.append((n, best))
    return steps


# ------------------------------------------------------------------ Pareto


def test_pareto_draws_the_best_with_at_most_so_many_nonzeros() -> None:
    runs = methods_of(("gmp", "snip"))
    figure = plots.pareto(runs, TARGETS)
    lines = {line.get_color(): line for line in found(figure, "method")}
    for name, (nonzeros, accuracy) in runs.items():
        x, y = lines[styles.looks([name])[name].colour].get_data()
        steps = best_by(nonzeros, accuracy)
        assert list(x[:-1]) == [n for n, _ in steps]
        ceiling = max(y)
        np.testing.assert_allclose(y[:-1], [min(a, ceiling) for _, a in steps])


def test_pareto_names_the_first_nonzeros_at_each_target() -> None:
    runs = {
        "gmp": (np.array([30, 41, 35]), np.array([0.94, 0.999, 0.96])),
        "lth": (np.array([52]), np.array([0.95])),
        "snip": (np.array([33]), np.array([0.9])),
    }
    shown = texts(plots.pareto(runs, TARGETS, SEARCHES))
    for text in ("35", "41", "52", "25", "36", "22", "30", "GMP", "LTH", "SNIP", "95%", "99.5%"):
        assert text in shown, text
    assert shown.count("–") == 3  # LTH at 99.5%, SNIP at both


@pytest.mark.parametrize("searches", [None, SEARCHES])
def test_thirteen_methods_are_readable(searches: dict[str, Runs] | None) -> None:
    figure = plots.pareto(methods_of(), TARGETS, searches, "width 16, from random weights")
    assert_readable(figure)
    assert len(found(figure, "method")) == 13
    assert len(found(figure, "search")) == len(searches or {})


def test_three_methods_beside_all_scopes_of_rounds_are_readable() -> None:
    runs = methods_of(("gmp", "lth", "snip", *BY_ROUNDS))
    assert_readable(plots.pareto(runs, TARGETS, SEARCHES, "width 16, from random weights"))
    panels = {f"width {width}": runs for width in (3, 4, 5, 6, 7, 8, 16)}
    assert_readable(plots.pareto_grid(panels, TARGETS, SEARCHES))


def test_a_method_without_a_run_that_counts_is_named() -> None:
    runs = {**methods_of(("gmp",)), "grasp": (np.zeros(0, int), np.zeros(0))}
    figure = plots.pareto(runs, [0.95])
    assert "GraSP" in texts(figure)
    assert len(found(figure, "method")) == 1
    assert_readable(figure)


@pytest.mark.parametrize(
    "runs",
    [
        {"gmp": (np.array([30]), np.array([1.0]))},
        {"gmp": (np.array([30]), np.array([0.5]))},
        {"my.long.package:AVeryLongPrunerName": (np.array([30, 40]), np.array([0.5, 0.96]))},
        {name: (np.array([30, 400]), np.array([0.5, 1.0])) for name in ALL},
    ],
)
def test_extremes_are_readable(runs: dict[str, Runs]) -> None:
    for searches in (None, SEARCHES):
        assert_readable(plots.pareto(runs, TARGETS, searches))
    assert_readable(plots.pareto(runs, [1.0], title="all"))


def test_the_best_of_equal_ends_comes_first_in_the_table() -> None:
    runs = {
        "snip": (np.array([60]), np.array([1.0])),
        "gmp": (np.array([50]), np.array([1.0])),
        "lth": (np.array([40]), np.array([0.99])),
    }
    figure = plots.pareto(runs, [0.995])
    height = {text.get_text(): text.get_position()[1] for text in figure.texts if text.get_text()}
    assert height["GMP"] > height["SNIP"] > height["LTH"]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ({}, "no runs to draw"),
        ({"gmp": (np.zeros(0, int), np.zeros(0))}, "no runs to draw"),
        ({"gmp": (np.array([1, 2]), np.array([0.5]))}, "not one each"),
        ({"gmp": (np.array([1]), np.array([1.5]))}, r"in \[0, 1\]"),
        ({"gmp": (np.array([1]), np.array([np.nan]))}, r"in \[0, 1\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(runs: dict[str, Runs], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plots.pareto(runs, TARGETS)


def test_all_widths_are_readable() -> None:
    panels = {f"width {width}": methods_of() for width in PAPER_WIDTHS}
    figure = plots.pareto_grid(panels, TARGETS, SEARCHES)
    assert_readable(figure)
    assert len(figure.axes) == 11
    for limits in ("get_xlim", "get_ylim"):
        ends = [getattr(axes, limits)() for axes in figure.axes]
        np.testing.assert_allclose(ends, ends[:1] * 11)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_fewer_panels_are_readable(count: int) -> None:
    panels = {f"width {width}": methods_of(NINE[:3]) for width in PAPER_WIDTHS[:count]}
    assert_readable(plots.pareto_grid(panels, TARGETS))
    shares = {
        title: {name: (np.array([15, 20, 65]), np.array([0.1, 0.4, 0.05])) for name in methods}
        for title, methods in panels.items()
    }
    assert_readable(plots.disconnected(shares))


def test_disconnected_draws_the_shares() -> None:
    shares = {"width 16": {"gmp": (np.array([15, 26, 65]), np.array([0.0, 0.25, 0.5]))}}
    figure = plots.disconnected(shares)
    (line,) = found(figure, "share")
    np.testing.assert_array_equal(line.get_ydata(), [0.0, 0.25, 0.5])
    assert {"GMP", "15", "65"} <= set(texts(figure))
    nothing = plots.disconnected({"w": {"gmp": (np.array([15]), np.array([0.0]))}})
    assert_readable(nothing)
    with pytest.raises(UsageError, match="no runs"):
        plots.disconnected({"width 16": {}})


# ------------------------------------------------------------------ accuracy by budget


def test_every_run_that_counts_is_drawn_once_in_each_panel() -> None:
    rows = sweep(("gmp",), (3, 16), PAPER_CELLS[:3])
    figure = plots.accuracy_by_budget(rows, TARGETS)
    ok = rows["status"].to_numpy() == "ok"
    accuracy, budget = rows["accuracy"].to_numpy()[ok], rows["budget"].to_numpy()[ok]
    assert len(figure.axes) == 2
    for axes, kinds in zip(figure.axes, (2, 3), strict=True):
        marks = [line for line in axes.lines if line.get_gid() == "runs"]
        assert len(marks) == kinds
        y = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in marks])
        np.testing.assert_allclose(np.sort(y), np.sort(accuracy))
        x = np.concatenate([np.asarray(line.get_xdata(), np.float64) for line in marks])
        assert (np.abs(x - np.round(x)) < 0.4).all()  # side by side inside their budget's place
        (best,) = [line for line in axes.lines if line.get_gid() == "best"]
        wanted = [max(accuracy[budget == b]) for b in sorted(set(budget.tolist()))]
        np.testing.assert_allclose(np.asarray(best.get_ydata(), np.float64), wanted)


def test_lost_runs_are_counted() -> None:
    rows = sweep(("gmp",), (16,))
    status = rows["status"].to_pylist()
    (heading,) = [text for text in texts(plots.accuracy_by_budget(rows, 0.95)) if "GMP" in text]
    numbers = [status.count(name) for name in ("ok", "collapsed", "diverged")]
    assert heading == "GMP: {} runs, {} collapsed, {} diverged".format(*numbers)


@pytest.mark.parametrize("names", [("gmp",), ("gmp", "rigl")])
def test_runs_above_their_budget_are_counted_and_not_drawn(names: tuple[str, ...]) -> None:
    """Of the authors' code: one weight a layer is rounding, more is not the budget."""
    rows = sweep(names, (4,), PAPER_CELLS[:2], (20, 25), seed=4)
    ok = rows["status"].to_numpy() == "ok"
    above = np.arange(len(rows)) % 3 == 0
    kept = rows["budget"].to_numpy() + np.where(above, 5, 4)
    place = rows.schema.get_field_index("weight_nonzeros")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(kept, pa.int32()))
    np.testing.assert_array_equal(within_budget(rows), ~above)
    figure = plots.accuracy_by_budget(rows, 0.95)
    drawn = sum(len(line.get_xdata()) for line in found(figure, "runs"))
    assert drawn == (ok & ~above).sum() * (2 if len(names) == 1 else 1)
    words = "above budget" if len(names) == 1 else "above"
    headings = [text for text in texts(figure) if text.endswith(words)]
    assert sum(int(text.split(", ")[-1].split()[0]) for text in headings) == (ok & above).sum()
    assert_readable(figure)


@pytest.mark.parametrize("names", [("gmp",), ("my.pruners:Own",), NINE, ALL])
def test_budget_figures_are_readable(names: tuple[str, ...]) -> None:
    widths = PAPER_WIDTHS if len(names) == 1 else (3, 64, 256)
    assert_readable(plots.accuracy_by_budget(sweep(names, widths), TARGETS))
    assert_readable(plots.accuracy_by_budget(sweep(names, (16,), PAPER_CELLS[:1], (20,)), 0.95))
    assert_readable(plots.accuracy_by_budget(sweep(names, (3, 7)), 0.95, "a sweep"))


def test_runs_that_all_collapsed_have_an_empty_figure() -> None:
    rows = sweep(("grasp",), (16,), PAPER_CELLS[:1])
    place = rows.schema.get_field_index("status")
    lost = rows.set_column(place, "status", pa.array(["collapsed"] * len(rows)))
    figure = plots.accuracy_by_budget(lost, 0.95)
    assert "no run counts" in texts(figure)
    assert_readable(figure)
    with pytest.raises(UsageError, match="no rows"):
        plots.accuracy_by_budget(rows.slice(0, 0), 0.95)


# ------------------------------------------------------------------ looks


def test_every_method_has_a_look_of_its_own() -> None:
    found_looks = styles.looks([*METHODS])
    assert set(found_looks) == {*ALL, "magnitude", *BY_ROUNDS}
    every = len(METHODS)
    assert len({(look.colour, look.marker, look.dashes) for look in found_looks.values()}) == every
    assert len({look.colour for look in found_looks.values()}) == every
    assert len({styles.method_name(name) for name in METHODS}) == every
    assert not {look.colour for look in found_looks.values()} & {
        look.colour for look in styles.looks(["a:A", "b:B", "c:C", "d:D"]).values()
    }
    assert len({look.marker for name, look in found_looks.items() if name in NINE}) == 9


# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as dichromats see it.
VISIONS = {
    "all": np.eye(3),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "tritanopia": np.array(
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]
    ),
}


def cielab(colour: str, vision: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """CIE L*a*b* (D65) of a colour as someone sees it."""
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(vision @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_the_colours_of_methods_that_choose_stay_apart_whoever_looks(vision: str) -> None:
    names = (*NINE, "magnitude")
    seen = [cielab(look.colour, VISIONS[vision]) for look in styles.looks(names).values()]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) > 12  # a difference of 2 can just be seen


@pytest.mark.parametrize("vision", VISIONS)
def test_pruning_in_rounds_stands_apart_from_what_it_is_drawn_with(vision: str) -> None:
    """From each other, the methods with dense training, and the lines of the targets."""
    names = (*BY_ROUNDS, "gmp", "lth", "rigl", "snip")
    colours = [*(look.colour for look in styles.looks(names).values()), ACCENT]
    seen = [cielab(colour, VISIONS[vision]) for colour in colours]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) > 7


def test_a_users_pruners_differ_from_ours_and_from_each_other() -> None:
    names = ("a:One", "b:Two", "gmp", "c:Three")
    given = styles.looks(names)
    assert list(given) == list(names)
    assert len({look.colour for look in given.values()}) == 4
    assert given["gmp"] == styles.looks(["gmp"])["gmp"]
    assert styles.method_name("a.b:One") == "One"


def test_the_scale_is_its_own_inverse() -> None:
    np.testing.assert_allclose(_accuracy(_height([0.5, 0.95])), [0.5, 0.95])
