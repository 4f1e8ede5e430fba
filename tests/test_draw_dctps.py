"""Figures of the study of DCT plus sparse: what they show against plain loops, and readability."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from draw_dctps_rows import DENSITIES, METHODS, Row, some_rows, table
from matplotlib.axes import Axes
from test_plots import assert_readable, found, texts

from combsearch.errors import UsageError
from combsearch.plots.dctps_figures import accuracy, alphas, beside
from combsearch.plots.dctps_lines import Study, read_study
from combsearch.plots.dctps_looks import look_of, name_of, order
from combsearch.plots.draw_dctps import draw_dctps
from combsearch.plots.draw_dctps_allocation import by_method, by_network, draw_allocations
from combsearch.plots.draw_dctps_bench import dctps_bench, draw_dctps_bench
from combsearch.studies.dctps.allocate import Allocation
from combsearch.studies.dctps.methods import all_names, parse_method

ALL = (
    *("dctps+epl", "dctps+epf", "dctps+erk", "dctps+uniform", "dctps+rigl"),
    *("dctps_fixed+epl", "dctps_fixed+erk", "epl", "epf", "erk", "uniform"),
    *("snip", "iter_snip", "force", "synflow", "rigl"),
)
PAIR = {"with": ("dctps+epl", "dctps+epf"), "without": ("epl", "epf")}


def study_of(rows: Sequence[Row]) -> Study:
    return read_study(table(rows))


def naive(rows: Sequence[Row], method: str) -> list[tuple[float, float, float | None]]:
    """(density, mean, deviation) of a method, falling."""
    points = []
    for density in sorted({row["density"] for row in rows}, reverse=True):
        own = [r["accuracy"] for r in rows if (r["method"], r["density"]) == (method, density)]
        own = [value for value in own if math.isfinite(value)]
        if own:
            spread = statistics.stdev(own) if len(own) > 1 else None
            points.append((density, statistics.fmean(own), spread))
    return points


def drawn(axes: Axes, method: str) -> Any:
    """The line of ``method``, found by its colour."""
    colour = look_of(method).colour
    [line] = [li for li in axes.lines if li.get_gid() == "mean" and li.get_color() == colour]
    return line


def assert_means(axes: Axes, rows: Sequence[Row], methods: Sequence[str]) -> None:
    for method in methods:
        line, expected = drawn(axes, method), naive(rows, method)
        np.testing.assert_allclose(line.get_ydata(), [mean for _, mean, _ in expected])
        # Beside the density, by so little that it is not taken for another.
        np.testing.assert_allclose(line.get_xdata(), [d for d, _, _ in expected], rtol=0.07)


# ------------------------------------------------------------------ accuracy


def test_accuracy_shows_the_means_over_seeds() -> None:
    rows = some_rows()
    [axes] = accuracy(study_of(rows)).axes
    assert_means(axes, rows, METHODS)
    dense: Any
    [dense] = [line for line in axes.lines if line.get_gid() == "dense"]
    own = [row["accuracy"] for row in rows if row["method"] == "dense"]
    assert dense.get_ydata()[0] == pytest.approx(statistics.fmean(own))
    left, right = axes.get_xlim()
    assert left > 5 and right < 0.1 and axes.get_xscale() == "log"


def test_bars_are_one_standard_deviation() -> None:
    rows = some_rows(("epl",))
    figure = accuracy(study_of(rows))
    [bars] = found(figure, "bar")
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    expected = [[m - s, m + s] for _, m, s in naive(rows, "epl") if s is not None]
    np.testing.assert_allclose(ends, expected)


def test_lost_networks_are_ringed_and_counted() -> None:
    rows = some_rows()
    rows[0] |= {"status": "diverged"}
    figure = accuracy(study_of(rows))
    heading = "mean ± standard deviation of 5 seeds; 1 diverged, 10 collapsed"
    assert any(text.endswith(heading) for text in texts(figure))
    assert any("in a ring: networks collapsed or diverged" in text for text in texts(figure))
    rings = [x for artist in found(figure, "lost") for x in artist.get_xdata()]
    assert len(rings) == 1 + 2
    clean = accuracy(study_of(some_rows(("epl", "erk"))))
    assert not any("ring" in text for text in texts(clean))


def test_rows_that_are_not_there_yet() -> None:
    rows = [r for r in some_rows(("epl", "dctps+epl")) if r["restart"] < 2 or r["density"] > 0.3]
    rows = [r for r in rows if (r["method"], r["density"]) != ("epl", 5.0)]
    rows[3]["accuracy"] = math.nan
    figure = accuracy(study_of(rows))
    assert_readable(figure)
    assert_means(figure.axes[0], rows, ("epl", "dctps+epl"))
    assert any("of 2 to 5 seeds" in text for text in texts(figure))


@pytest.mark.parametrize("methods", [METHODS, ALL, ("epl",), ()])
@pytest.mark.parametrize("seeds", [1, 5])
def test_figures_are_readable(methods: Sequence[str], seeds: int) -> None:
    study = study_of(some_rows(methods, seeds=seeds))
    figure = accuracy(study)
    assert_readable(figure)
    segments = [len(bars.get_segments()) for bars in found(figure, "bar")]
    assert segments == [len(DENSITIES) * (seeds > 1)] * len(methods)
    if methods == ALL:
        assert_readable(beside(study, PAIR, "two"))
    if study.with_alphas:
        assert_readable(alphas(study))


def test_many_densities_have_room_for_their_names() -> None:
    figure = accuracy(study_of(some_rows(("epl", "erk"), (50, 40, 30, 20, 10, 9, 8, 7, 1, 0.01))))
    assert_readable(figure)


def test_a_method_at_two_rates_has_two_lines() -> None:
    rows = some_rows(("epl", "erk")) + some_rows(("epl",), dense=False, cell="0.1:step", seed=5)
    study = study_of(rows)
    names = [study.name(line) for line in study.sparse]
    assert names == ["EPL (0.001:constant)", "EPL (0.1:step)", "ERK"]
    figure = accuracy(study)
    assert_readable(figure)
    lines = found(figure, "mean")
    assert len({(str(line.get_linestyle()), line.get_linewidth()) for line in lines[:2]}) == 2


# ------------------------------------------------------------------ comparisons, factors


def test_frames_hold_their_methods_on_one_scale() -> None:
    rows = some_rows(ALL)
    figure = beside(study_of(rows), PAIR, "two")
    for axes, methods in zip(figure.axes, PAIR.values(), strict=True):
        assert_means(axes, rows, methods)
        assert axes.get_ylim() == figure.axes[0].get_ylim()
        assert len([line for line in axes.lines if line.get_gid() == "mean"]) == 2
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(PAIR)
    assert not any("collapsed" in text for text in texts(figure))


def test_factors_are_the_means_of_the_rows() -> None:
    rows = some_rows(("dctps+epl", "dctps_fixed+epl", "epl", "dctps+erk"), layers=4)
    figure = alphas(study_of(rows))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["DCTpS, EPL", "DCTpS, ERK"]
    lines: Any = [line for line in figure.axes[0].lines if line.get_gid() == "mean"]
    for line, density in zip(lines, DENSITIES, strict=True):
        own = [r["alphas"] for r in rows if (r["method"], r["density"]) == ("dctps+epl", density)]
        np.testing.assert_allclose(line.get_ydata(), np.mean(own, axis=0))


def test_no_rows() -> None:
    with pytest.raises(UsageError, match="no rows to draw"):
        study_of([])
    study = study_of(some_rows(("epl", "dctps_fixed+epl")))
    with pytest.raises(UsageError, match="no factors to draw"):
        alphas(study)
    with pytest.raises(UsageError, match="no frame has rows of two methods"):
        beside(study, PAIR, "two")


def names_of(files: Sequence[Path]) -> set[str]:
    return {file.name for file in files}


def test_all_figures_that_the_rows_allow(tmp_path: Path) -> None:
    files = draw_dctps(table(some_rows(ALL, seeds=2)), tmp_path)
    every = {"accuracy.png", "epl-epf.png", "alpha.png", "supports.png", "alphas.png"}
    assert names_of(files) == every
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)
    few = {
        ("epl", "erk"): {"accuracy.pdf"},
        ("epl", "epf"): {"accuracy.pdf", "epl-epf.pdf"},
        ("dctps+epl", "dctps_fixed+epl"): {"accuracy.pdf", "alpha.pdf", "alphas.pdf"},
        ("dctps+uniform", "dctps+erk"): {"accuracy.pdf", "supports.pdf", "alphas.pdf"},
    }
    for methods, expected in few.items():
        rows = table(some_rows(methods, (1.0, 0.1), seeds=1))
        assert names_of(draw_dctps(rows, tmp_path, "pdf")) == expected


def test_figures_are_the_same_bytes_in_whatever_order_rows_come(tmp_path: Path) -> None:
    rows = some_rows(("epl", "dctps+epl", "epf"), seeds=2)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    first = draw_dctps(table(rows), tmp_path / "a")
    second = draw_dctps(table(shuffled), tmp_path / "b")
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]


def test_every_method_has_a_look_of_its_own() -> None:
    methods = {parse_method(name).text for name in all_names()}
    looks = [(look_of(m).colour, look_of(m).marker, look_of(m).dashes) for m in methods]
    assert len(set(looks)) == len(methods) == len({name_of(m) for m in methods})
    assert order(["rigl", "epl", "dctps+rigl", "dctps_fixed+epl", "dctps+epl", "epl"]) == [
        "dctps+epl", "dctps+rigl", "dctps_fixed+epl", "epl", "rigl"
    ]  # fmt: skip


# ------------------------------------------------------------------ allocations


def allocation(method: str = "epl", network: str = "vgg19", **changes: Any) -> Allocation:
    layers = tuple(f"conv{i}.weight" for i in range(1, 18))
    sizes = tuple(1728 * min(i, 9) ** 2 for i in range(1, 18))
    kept = tuple(size // 100 for size in sizes)
    one = Allocation(network, method, 1.0, sum(kept), layers, sizes, kept)
    return dataclasses.replace(one, **changes)


def test_layers_show_what_is_kept_and_what_is_empty() -> None:
    kept = (0, *range(2, 18))
    both = [allocation(), allocation("epf", kept=kept)]
    figure = by_method([*both, allocation(density=0.1)])
    assert_readable(figure)
    lines: Any = [line for line in figure.axes[0].lines if line.get_gid() == "kept"]
    assert [line.get_ydata().tolist()[1:] for line in lines] == [
        [float(k) for k in one.kept[1:]] for one in both
    ]
    assert math.isnan(lines[1].get_ydata()[0])
    crosses = [line.get_xdata().tolist() for line in found(figure, "empty")]
    assert crosses == [[], [1], []]
    assert "no weight left" in texts(figure)
    assert "no weight left" not in texts(by_method([allocation()]))


def test_networks_whose_scores_are_0_are_named() -> None:
    few = [allocation("synflow", name) for name in ("a", "b", "resnet50", "fixup_resnet110")]
    few[3] = dataclasses.replace(few[3], zero_scores=True)
    figure = by_network(few)
    assert_readable(figure)
    assert "fixup_resnet110: all scores 0" in texts(figure) and "resnet50" in texts(figure)
    with pytest.raises(UsageError, match=r"one method can be drawn at a time \(there: synflow, e"):
        by_network([few[0], allocation()])
    with pytest.raises(UsageError, match="one network can be drawn at a time"):
        by_method(few)


def test_files_of_allocations(tmp_path: Path) -> None:
    few = [allocation(m, n) for n in ("vgg19", "300,100") for m in ("epl", "synflow")]
    files = draw_allocations(few, tmp_path)
    assert names_of(files) == {"layers-vgg19.png", "layers-300-100.png", "synflow.png"}
    assert names_of(draw_allocations(few[:2], tmp_path, "pdf")) == {"layers-vgg19.pdf"}


# ------------------------------------------------------------------ benchmark


def report() -> dict[str, Any]:
    sizes = [64, 256, 1024, 4096]
    transform = [
        {"inputs": n, "outputs": n, "matrix_ms": n**2 / 1e5, "fast_ms": n / 500, "ratio": 200 / n}
        for n in sizes
    ]
    transform.append({**transform[1], "inputs": 784, "outputs": 300})
    densities = [0.001, 0.01, 0.1, 0.5]
    sparse = [
        {"inputs": n, "outputs": n, "density": d, "nonzeros": 1, "dense_ms": 1.0,
         "index_ms": d * 8, "ratio": d * 8}
        for n in (300, 1024) for d in densities
    ]  # fmt: skip
    steps = [
        {"density": d, "dense_ms": 4.0, "index_ms": 1 + 9 * d, "ratio": 1.0} for d in densities
    ]
    memory = [
        {"inputs": 1024, "outputs": 1024, "density": d, "bytes": 4e6 * d, "dense_bytes": 4e6,
         "index_bytes": 3e7 * d}
        for d in densities
    ]  # fmt: skip
    crossovers = {"transform": 200.0, "sparse": {"300 x 300": 0.125}, "steps": 0.33}
    device = {"transform": transform, "sparse": sparse, "steps": steps, "crossovers": crossovers}
    return {"batch": 128, "devices": {"cpu, 1 thread": device}, "memory": memory}


def test_the_benchmark_draws_both_crossovers() -> None:
    figure = dctps_bench(report(), "cpu, 1 thread")
    assert_readable(figure)
    marks = [line.get_xdata()[0] for line in found(figure, "crossover")]
    assert marks == [200.0, 0.125, 0.33]
    assert {"fast from 200", "by index to 33%"} <= set(texts(figure))


def test_a_benchmark_without_crossovers_or_steps(tmp_path: Path) -> None:
    bare = report()
    device = {**bare["devices"]["cpu, 1 thread"], "steps": []}
    device["crossovers"] = {"transform": None, "sparse": {"300 x 300": None}, "steps": None}
    bare["devices"] = {"cpu, 1 thread": device, "GPU": device}
    assert_readable(dctps_bench(bare, "GPU"))
    assert found(dctps_bench(bare, "GPU"), "crossover") == []
    assert names_of(draw_dctps_bench(bare, tmp_path)) == {"bench.png", "bench-2.png"}
