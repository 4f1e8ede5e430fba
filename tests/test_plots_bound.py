"""Figures of bounds and frontiers: what they show against plain loops, and that they read well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import binomtest
from test_plots import assert_readable, draw, found, only, rings, texts, with_networks

from combsearch import plots
from combsearch.commands.figures import draw_masks
from combsearch.errors import UsageError
from combsearch.frontier import Level, Trial
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.plots import draw_bound
from combsearch.rng import RunKeys
from combsearch.saved_network import load_network, save_network
from combsearch.tasks import Task

LevelJson = dict[str, Any]


def level(
    nonzeros: int, orbits: int, restarts: int, best: float, successes: int = 0, **other: Any
) -> LevelJson:
    """A level as a run's summary.json has it; ``open=n``: only n runs of it were begun."""
    started = other.pop("open", restarts * orbits)
    trial = Trial(
        0 if started < restarts * orbits else restarts,
        started,
        other.pop("finished", started),
        successes,
        best,
        **other,
    )
    return Level(nonzeros, orbits, {"seed 0": trial}).to_json()


def many(count: int, success: int | None, scale: int = 1, first: int = 9) -> list[LevelJson]:
    """Levels like those of a search; from place ``success`` on they reach 95%, ever more often."""
    levels = []
    for place in range(count):
        orbits, hit = scale * (1 + place**3), success is not None and place >= success
        best = 0.96 + 0.039 * place / count if hit else 0.5 + 0.44 * place / count
        hits = (1 + 2 * (place - (success or 0))) * hit
        levels.append(level(first + place, orbits, 16, best, min(hits, 16 * orbits), kept=0.5))
    return levels


FOUR = [
    level(20, 1, 256, 0.80),
    level(21, 40, 256, 0.92, kept=0.5),
    level(23, 300, 64, 0.9612, 7),
    level(24, 12_345, 64, 0.9601, 2_000),
]


def data(figure: Figure, gid: str) -> list[Any]:
    line = only(figure, gid)
    return list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))


# ------------------------------------------------------------------ bound


def test_bound_draws_what_the_levels_say() -> None:
    figure = plots.bound(FOUR, 0.95)
    assert data(figure, "best") == [(20, 0.80), (21, 0.92), (23, 0.9612), (24, 0.9601)]
    assert data(figure, "frontier")[:-1] == [(20, 0.80), (21, 0.92), (23, 0.9612)]
    assert data(figure, "first success") == [(23, 0.9612)]
    assert only(figure, "target").get_ydata() == [0.95, 0.95]
    assert data(figure, "open") == []
    assert "first success: 23 nonzeros, 96.12%" in texts(figure)
    assert_readable(figure)


def test_bound_excludes_as_the_formula_does() -> None:
    figure = plots.bound(FOUR, 0.95)
    each, whole = data(figure, "each"), data(figure, "whole")
    alone = 1 - 0.05 ** (1 / 256)
    raced = (1 - 0.06 ** (1 / 256)) / 0.5  # what a race keeps is itself known with 99%
    assert each == [(20, pytest.approx(alone)), (21, pytest.approx(raced))]
    together = (1 - (0.06 / 40) ** (1 / 256)) / 0.5
    assert whole == [(20, pytest.approx(alone)), (21, pytest.approx(together))]


def test_bound_draws_exact_intervals_of_all_runs() -> None:
    figure = plots.bound(FOUR, 0.95)
    assert data(figure, "shares") == [(23, 7 / (64 * 300)), (24, 2_000 / (64 * 12_345))]
    bottom = figure.axes[1].get_ylim()[0]
    drawn = {
        int(x): (low, high)
        for bars in found(figure, "intervals")
        for (x, low), (_, high) in bars.get_segments()
    }
    assert sorted(drawn) == [20, 21, 23, 24]
    for one in FOUR:
        ends = binomtest(one["successes"], one["started"]).proportion_ci(0.95, method="exact")
        assert drawn[one["nonzeros"]] == pytest.approx((max(ends.low, bottom), ends.high))
    assert data(figure, "none") == [(n, pytest.approx(drawn[n][1])) for n in (20, 21)]


def test_bound_names_masks_and_restarts_of_each_level() -> None:
    written = texts(plots.bound(FOUR, 0.95))
    for text in ("nonzeros", "masks", "restarts", "40", "300", "12.3k", "21", "24"):
        assert text in written
    assert (written.count("256"), written.count("64"), written.count("–")) == (2, 2, 0)


def test_bound_keeps_unfinished_levels_apart() -> None:
    levels = [*FOUR[:2], level(22, 500, 256, 0.94, open=1_000)]
    figure = plots.bound(levels, 0.95)
    assert data(figure, "open") == [(22, 0.94)]
    assert [x for x, _ in data(figure, "each")] == [20, 21]
    assert found(figure, "first success") == [] and data(figure, "nearest") == [(22, 0.94)]
    written = texts(figure)
    assert "no run reached 95%; best: 22 nonzeros, 94.00%" in written
    assert "unfinished" in written and written.count("–") == 1
    assert "unfinished" not in texts(plots.bound(FOUR, 0.95))
    assert_readable(figure)


def test_bound_takes_levels_in_any_order(tmp_path: Path) -> None:
    plots.save(plots.bound(FOUR, 0.95), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        plots.save(plots.bound(FOUR[::-1], 0.95), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("target", [0.95, 1.0])
@pytest.mark.parametrize(
    ("count", "success", "scale", "first"),
    [
        (1, None, 1, 9), (1, 0, 900, 61), (2, 1, 1, 9), (7, 6, 1, 9), (12, 0, 900, 30),
        (13, 12, 1, 9), (17, 16, 5_000, 9), (40, 20, 70_000, 22), (40, 2, 1, 22),
        (100, 31, 1, 90), (200, None, 10**9, 900),
    ],
)  # fmt: skip
def test_bound_reads_well(
    count: int, success: int | None, scale: int, first: int, target: float
) -> None:
    levels = many(count, success, scale, first)
    figure = plots.bound(levels, target, "cubist_spiral: all shapes, 3 hidden layers of up to 16")
    assert_readable(figure)
    hits = [one["nonzeros"] for one in levels if one["successes"]]
    if hits:
        assert only(figure, "first success").get_xdata() == [hits[0]]
        assert f"{hits[0]}" in texts(figure), "the first success is named under the axis"
    for axes, gids in zip(figure.axes, (("best",), ("each", "whole", "shares")), strict=True):
        low, high = axes.get_ylim()
        assert all(low < y < high for gid in gids for _, y in data(figure, gid))
        assert len(axes.get_yticks()) >= 2


def test_bound_cuts_the_interval_of_a_single_success_among_millions() -> None:
    levels = [level(20, 10_000, 400, 0.9), level(21, 10_000, 400, 0.95, 1)]
    figure = plots.bound(levels, 0.95)
    low, _ = figure.axes[1].get_ylim()
    assert 1e-8 < low < 1 / 4e6 and data(figure, "shares") == [(21, 1 / 4e6)]
    assert "$10^{-4}$" in texts(figure)
    assert_readable(figure)


def test_bound_of_levels_without_a_finished_run() -> None:
    lost = level(20, 5, 16, 0.0, finished=0)
    figure = plots.bound([lost, Level(21, 5).to_json()], 0.95)
    assert "no run finished yet" in texts(figure)
    assert data(figure, "best") == [] and [x for x, _ in data(figure, "each")] == [20]
    assert_readable(figure)
    assert_readable(plots.bound([Level(21, 5).to_json()], 0.95))


def test_bound_of_no_level_is_an_error() -> None:
    with pytest.raises(UsageError, match="no mask was trained yet"):
        plots.bound([], 0.95)


def test_short_numbers_are_cut_and_not_rounded() -> None:
    assert [
        draw_bound.short(n)
        for n in (0, 9_999, 10_000, 12_399, 99_999, 999_999, 10**6, 8_338_343, 5 * 10**10)
    ] == ["0", "9,999", "10.0k", "12.3k", "99.9k", "999k", "1.00M", "8.33M", "50.0G"]
    for number in (7**power for power in range(14)):
        text = draw_bound.short(number)
        value = float(text.rstrip("kMG").replace(",", ""))
        value *= {"k": 10**3, "M": 10**6, "G": 10**9}.get(text[-1], 1)
        assert len(text) <= 6 and 0.99 * number < value <= number * (1 + 1e-12)


# ------------------------------------------------------------------ frontiers


def cloud(seed: int, n: int = 200, top: int = 61) -> tuple[list[int], list[float]]:
    """Networks of rising accuracy, in no order, counted in 1,000 points."""
    random = np.random.default_rng(seed)
    nonzeros = random.integers(9, top, n)
    error = 10 ** -np.maximum(0.3, (nonzeros - 9) * 3.5 / top + random.normal(0, 0.3, n))
    accuracy = np.round((1 - error) * 1000) / 1000
    return nonzeros.tolist(), accuracy.tolist()


def naive_steps(nonzeros: Sequence[int], accuracy: Sequence[float]) -> list[tuple[int, float]]:
    steps: list[tuple[int, float]] = []
    for at in sorted(set(nonzeros)):
        best = max(a for n, a in zip(nonzeros, accuracy, strict=True) if n <= at)
        if not steps or best > steps[-1][1]:
            steps.append((at, best))
    return steps


def test_frontiers_agree_with_plain_loops() -> None:
    targets = (0.995, 0.9, 1.0)
    clouds = {"first": cloud(0), "second": cloud(1), "third": cloud(2, top=30)}
    figure = plots.frontiers(clouds, targets)
    # The first line is drawn last: nothing covers it.
    lines = sorted(found(figure, "frontier"), key=lambda line: -float(line.get_zorder()))
    dots = sorted(found(figure, "lowest"), key=lambda line: -float(line.get_zorder()))
    written, reached_all = texts(figure), 0
    for line, dot, (nonzeros, accuracy) in zip(lines, dots, clouds.values(), strict=True):
        steps = naive_steps(nonzeros, accuracy)
        assert list(line.get_xdata()[:-1]) == [n for n, _ in steps]
        shown = line.get_ydata()[:-1]
        assert all(
            a == y if a < 1 else 0.9989 < y < 1 for (_, a), y in zip(steps, shown, strict=True)
        )
        lowest = [
            min(n for n, a in zip(nonzeros, accuracy, strict=True) if a >= target)
            for target in sorted(targets)
            if max(accuracy) >= target
        ]
        assert list(dot.get_xdata()) == lowest and all(str(n) in written for n in lowest)
        reached_all += len(lowest)
    assert written.count("–") == 9 - reached_all > 0
    assert {"first", "second", "third", "90%", "99.5%", "100%", "lowest nonzeros at"} <= set(
        written
    )
    assert_readable(figure)


def test_frontiers_break_the_axis_below_100_percent() -> None:
    figure = plots.frontiers({"a": ([30, 25, 40], [0.96, 0.8, 1.0])}, (0.95, 1.0))
    axes = figure.axes[0]
    places = dict(
        zip((t.get_text() for t in axes.get_yticklabels()), axes.get_yticks(), strict=True)
    )
    assert places["95%"] == 0.95 and places["100%"] == pytest.approx(0.98)
    assert only(figure, "frontier").get_ydata()[-1] == pytest.approx(0.98)
    assert len(found(figure, "break")) == 3
    below = plots.frontiers({"a": ([30, 25], [0.96, 0.8])}, (0.95,))
    assert found(below, "break") == [] and "100%" not in texts(below)


def test_published_networks_are_marks_and_lines_of_the_table() -> None:
    published = [("paper (3,3,3)", 37, 0.9508), ("paper (7,3,3)", 61, 0.9951), ("again", 37, 0.9)]
    figure = plots.frontiers({"ours": cloud(0)}, (0.95, 0.995), published)
    marks = {tuple(m.get_xdata()) + tuple(m.get_ydata()) for m in found(figure, "published")}
    assert marks == {(37, 0.9508), (61, 0.9951), (37, 0.9)}
    written = texts(figure)
    assert {"paper (3,3,3)", "paper (7,3,3)", "again"} <= set(written)
    assert (written.count("61"), written.count("37")) >= (2, 1)
    assert_readable(figure)
    assert_readable(plots.frontiers({}, published=published))


@pytest.mark.parametrize("targets", [(), (0.95,), (0.95, 0.995, 1.0)])
@pytest.mark.parametrize(("lines", "top"), [(1, 12), (3, 61), (12, 130), (23, 100_000)])
def test_frontiers_read_well(lines: int, top: int, targets: tuple[float, ...]) -> None:
    clouds: dict[str, Any] = {f"method {n} of a long name": cloud(n, top=top) for n in range(lines)}
    figure = plots.frontiers({**clouds, "never run": ([], [])}, targets)
    assert_readable(figure)
    assert figure.axes[0].get_xscale() == ("log" if top > 150 else "linear")
    looks = {(line.get_color(), line.get_linestyle()) for line in found(figure, "frontier")}
    assert len(looks) == min(lines, 14)


def test_frontier_of_one_bad_network_reads_well() -> None:
    figure = plots.frontiers({"one": ([30], [0.1])}, ())
    assert "50%" in texts(figure) and "90%" in texts(figure)
    assert_readable(figure)


def test_frontiers_refuse_what_cannot_be_drawn() -> None:
    with pytest.raises(UsageError, match="no frontier to draw"):
        plots.frontiers({"a": ([], [])})
    with pytest.raises(UsageError, match=r"'a'.*not one each"):
        plots.frontiers({"a": ([1, 2], [0.5])})
    for wrong in (1.5, -0.1, math.nan):
        with pytest.raises(UsageError, match=r"'p': accuracies must be in \[0, 1\]"):
            plots.frontiers({}, published=[("p", 30, wrong)])


# ------------------------------------------------------------------ the figures of a run


def run_folder(folder: Path, widths: tuple[int, ...] = (2, 3, 2, 1)) -> dict[str, Any]:
    """A report, and beside it the best network."""
    mask = MaskBatch.dense_of(NetShape(widths))
    keys = RunKeys.make(0, mask.keys(), ["0.05:cosine"], [0])
    save_network(folder / "best.npz", NetBatch.create(MLP(mask.shape), keys, mask))
    best = {"accuracy": 0.9612, "nonzeros": mask.shape.dense_nonzeros, "shape": list(widths)}
    return {"task": "rings", "space": "shape (3,2)", "target": 0.95, "levels": FOUR, "best": best}


def test_a_run_over_masks_gets_all_figures(tmp_path: Path) -> None:
    report, rows = run_folder(tmp_path), with_networks(((2, 1, 1, 1), 0.5), ((2, 3, 2, 1), 0.9612))
    nets = load_network(tmp_path / "best.npz")
    files = draw_masks(rows, rings(), report, nets, tmp_path / "figures")
    names = ["bound", "regions", "network", "levels"]
    assert files == [tmp_path / "figures" / f"{name}.png" for name in names]
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)
    files = draw_masks(rows, rings(), report, nets, tmp_path / "elsewhere", "pdf")
    assert files == [tmp_path / "elsewhere" / f"{name}.pdf" for name in names]
    assert all(file.read_bytes()[:4] == b"%PDF" for file in files)


def test_without_a_plane_or_a_network_there_is_the_bound_alone(tmp_path: Path) -> None:
    report, rows = run_folder(tmp_path), with_networks(((2, 3, 2, 1), 0.9612))
    nets = load_network(tmp_path / "best.npz")
    deep = Task("deep", np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1], np.uint8))
    folder = tmp_path / "figures"
    alone = [folder / "bound.png"]
    assert draw_masks(rows, None, report, nets, folder) == alone
    assert draw_masks(rows, deep, report, nets, folder) == alone
    assert draw_masks(rows, rings(), report | {"best": None}, None, folder) == alone
    assert alone[0].is_file() and len(list(folder.iterdir())) == 1


def test_the_network_drawn_is_the_one_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, rows = run_folder(tmp_path), with_networks(((2, 3, 2, 1), 0.9612))
    saved = np.load(tmp_path / "best.npz")
    shown: dict[str, Any] = {}
    whole = plots.regions

    def watched(shape: Any, named: Any, task: Task, *, accuracy: float, size: int) -> Figure:
        shown.update(named, shape=tuple(shape), accuracy=accuracy, size=size)
        return whole(shape, named, task, accuracy=accuracy, size=size)

    monkeypatch.setattr(plots, "regions", watched)
    draw_masks(rows, rings(), report, load_network(tmp_path / "best.npz"), tmp_path / "figures")
    assert (shown["shape"], shown["accuracy"]) == ((2, 3, 2, 1), 0.9612)
    assert shown["size"] == sum(int(saved[name].sum()) for name in saved.files if "mask" in name)
    assert np.array_equal(shown["weight1"], saved["weight1"])
    assert not np.array_equal(shown["weight0"].ravel(), draw((2, 3, 2, 1))[:6])
