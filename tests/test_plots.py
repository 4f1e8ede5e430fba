"""Figures: what they show against plain loops over the rows, and that they read well anywhere."""

from __future__ import annotations

import io
import itertools
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import matplotlib
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.stats import binomtest

from combsearch import plots
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.numerals import percent
from combsearch.plots import draw_success, forward, runs
from combsearch.rng import RunKeys
from combsearch.rows import rows_table
from combsearch.tasks import Task

F32: TypeAlias = npt.NDArray[np.float32]
CELLS = tuple(f"{lr}:{name}" for lr in ("0.05", "0.1") for name in ("constant", "cosine", "step"))
POINTS = 49_982


def synthetic(
    width: int, restarts: int, *, most: int = 10**9, diverged: float = 0.002, seed: int = 0
) -> pa.Table:
    """Rows like a phase one's: shapes to ``width``, six cells, wider shapes more accurate."""
    random = np.random.default_rng(seed)
    shapes = [
        NetShape.from_hidden(hidden) for hidden in itertools.product(range(1, width + 1), repeat=3)
    ]
    shapes = [shape for shape in shapes if shape.dense_nonzeros <= most]
    shapes.sort(key=lambda shape: (shape.dense_nonzeros, shape.widths))
    size = (len(shapes), len(CELLS) * restarts)
    # The best a shape can do, as -log10 of the error; bottlenecks bound it.
    room = np.array([min(sum(map(math.log2, s.hidden)), 1.6 * min(s.hidden)) for s in shapes])
    best = 0.3 + 0.45 * room[:, None]
    height = 0.3 + (best - 0.3) * random.beta(1.5, 2.5, size) + random.normal(0, 0.02, size)
    accuracy = 1 - 10 ** -np.maximum(height, 0.3)
    accuracy[random.random(size) < 0.5 * np.exp(-room / 3)[:, None]] = 0.5
    lost = random.random(size) < diverged
    return rows_table(
        rank=np.repeat(np.arange(size[0]), size[1]),
        shape=np.repeat([",".join(map(str, shape.widths)) for shape in shapes], size[1]),
        mask=np.uint64(0),
        nonzeros=np.repeat([shape.dense_nonzeros for shape in shapes], size[1]),
        cell=np.tile(np.repeat(CELLS, restarts), size[0]),
        restart=np.tile(np.arange(restarts), size[0] * len(CELLS)),
        accuracy=np.round(accuracy.ravel() * POINTS) / POINTS,
        status=np.where(lost.ravel(), "diverged", "ok"),
    )


def few(*entries: tuple[str, int, float, str]) -> pa.Table:
    """Rows from (widths, nonzeros, accuracy, status)."""
    shape, nonzeros, accuracy, status = zip(*entries, strict=True)
    count = np.arange(len(entries))
    return rows_table(
        rank=count, shape=shape, mask=np.uint64(0), nonzeros=nonzeros, cell="0.05:cosine",
        restart=count, accuracy=accuracy, status=status,
    )  # fmt: skip


def draw(widths: Sequence[int], seed: int = 0) -> F32:
    """Flat parameters of a random network."""
    size = sum(a * b + b for a, b in itertools.pairwise(widths))
    return np.random.default_rng(seed).normal(0, 1, size).astype(np.float32)


def rings(n: int = 400) -> Task:
    """Two rings: the inner one class 1."""
    angle = np.linspace(0, 2 * np.pi, n // 2, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.concatenate([ring * 1.6, ring * 0.7]).astype(np.float32)
    return Task("rings", x, np.repeat([0, 1], n // 2).astype(np.uint8))


def with_networks(*entries: tuple[tuple[int, ...], float]) -> pa.Table:
    """Rows that hold random parameters, from (widths, accuracy)."""
    count = np.arange(len(entries))
    return rows_table(
        rank=count,
        shape=[",".join(map(str, widths)) for widths, _ in entries],
        mask=np.uint64(0),
        nonzeros=[NetShape(widths).dense_nonzeros for widths, _ in entries],
        cell="0.05:cosine",
        restart=count,
        accuracy=[accuracy for _, accuracy in entries],
        parameters=[draw(widths, seed) for seed, (widths, _) in enumerate(entries)],
    )


def found(figure: Figure, gid: str) -> list[Any]:
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def only(figure: Figure, gid: str) -> Any:
    (artist,) = found(figure, gid)
    return artist


def drawn(figure: Figure) -> list[Text]:
    """Every text that a rendering of ``figure`` really draws."""
    seen: list[Text] = []
    plain = Text.draw

    def record(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text():
            seen.append(self)
        plain(self, renderer)

    with mock.patch.object(Text, "draw", record):
        figure.canvas.draw()
    return seen


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in drawn(figure)]


def assert_readable(figure: Figure) -> None:
    """Every text lies within the figure, and no two overlap by more than a pixel."""
    # Of an annotation the text alone, not its line.
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in drawn(figure)]
    for text, box in boxes:
        inside = min(box.x0, box.y0) >= -1
        assert inside and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
    for (text, box), (other, beside) in itertools.combinations(boxes, 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        along = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert min(across, along) <= 1, f"{text!r} overlaps {other!r}"


# ------------------------------------------------------------------ saved rows


def naive_best(rows: pa.Table) -> dict[tuple[int, str], float]:
    """Best accuracy of each (nonzeros, shape), diverged runs left out."""
    best: dict[tuple[int, str], float] = {}
    for row in rows.select(["nonzeros", "shape", "accuracy", "status"]).to_pylist():
        key = (row["nonzeros"], row["shape"])
        if row["status"] == "ok":
            best[key] = max(best.get(key, 0.0), row["accuracy"])
    return best


def test_picks_agree_with_plain_loops() -> None:
    table = synthetic(5, 3, diverged=0.2)
    read, best = runs.read_runs(table), naive_best(table)
    picked = runs.best_of_each(read)
    shown = {
        (int(read.nonzeros[i]), ",".join(map(str, read.shapes[read.shape[i]]))): read.accuracy[i]
        for i in picked
    }
    assert shown == best and (np.diff(read.nonzeros[picked]) >= 0).all()
    steps, top = [], 0.0
    for (nonzeros, _), accuracy in sorted(best.items(), key=lambda item: (item[0][0], -item[1])):
        if accuracy > top:
            steps.append((nonzeros, top := accuracy))
    line = runs.frontier_runs(read)
    assert list(zip(read.nonzeros[line], read.accuracy[line], strict=True)) == steps
    for target in (0.6, 0.9, 0.97):
        first = runs.first_success(read, target)
        level = min(key[0] for key, accuracy in best.items() if accuracy >= target)
        assert first is not None and read.nonzeros[first] == level
        assert read.accuracy[first] == max(a for key, a in best.items() if key[0] == level)
    assert runs.first_success(read, 1.0) is None


def test_a_diverged_run_is_never_a_success_nor_the_best() -> None:
    table = few(("2,1,1,1,1", 9, 0.999, "diverged"), ("2,2,1,1,1", 13, 0.7, "ok"))
    read = runs.read_runs(table)
    assert runs.first_success(read, 0.995) is None
    assert [runs.best_run(read), *runs.frontier_runs(read), *runs.best_of_each(read)] == [1, 1, 1]
    assert found(plots.scatter(table, 0.995), "first success") == []


# ------------------------------------------------------------------ scatter


def test_scatter_marks_the_first_success() -> None:
    table = few(
        ("2,7,3,3,1", 61, 0.9999, "ok"),
        ("2,6,3,2,1", 50, 0.9961, "ok"),
        ("2,5,3,3,1", 50, 0.9956, "ok"),
        ("2,3,3,3,1", 37, 0.9949, "ok"),
        ("2,1,1,1,1", 9, 1.0, "diverged"),
    )
    figure = plots.scatter(table, 0.995)
    ring = only(figure, "first success")
    assert (ring.get_xdata().tolist(), ring.get_ydata().tolist()) == ([50], [0.9961])
    assert "(6,3,2): 50 nonzeros, 99.61%" in texts(figure)
    assert "target 99.5%" in texts(figure)
    assert only(figure, "target").get_ydata() == [0.995, 0.995]
    assert len(only(figure, "runs").get_xdata()) == 4
    assert "4 runs, 1 more diverged" in texts(figure)
    frontier = only(figure, "frontier")
    assert frontier.get_xdata()[:3].tolist() == [37, 50, 61]
    assert frontier.get_ydata()[:2].tolist() == [0.9949, 0.9961]
    assert_readable(figure)


def test_scatter_draws_every_run_of_a_large_search_in_little_time() -> None:
    table = synthetic(16, 5, seed=1)
    assert len(table) > 100_000
    began, image = time.process_time(), io.BytesIO()
    figure = plots.scatter(table, 0.995)
    figure.savefig(image, format="png")
    # A tenth of this is usual: only work that grows with runs and not with pixels fails here.
    assert time.process_time() - began < 10
    cloud = only(figure, "runs")
    ok = sum(status == "ok" for status in table.column("status").to_pylist())
    assert len(cloud.get_xdata()) == ok and cloud.get_rasterized()
    assert len(only(figure, "best").get_xdata()) == len(naive_best(table))
    assert figure.axes[0].get_xscale() == "log"
    assert plots.scatter(table, 0.995, log=False).axes[0].get_xscale() == "linear"
    assert_readable(figure)


@pytest.mark.parametrize("target", [0.5, 0.95, 0.995, 1.0])
@pytest.mark.parametrize("most", [9, 40, 200])
def test_scatter_reads_well_at_any_target(target: float, most: int) -> None:
    table = synthetic(7, 2, most=most)
    figure = plots.scatter(table, target)
    assert_readable(figure)
    best = max(naive_best(table).values())
    assert len(found(figure, "first success")) == (best >= target)
    reached = not any("no run reached" in text for text in texts(figure))
    assert reached == (best >= target)
    axes, shown = figure.axes[0], only(figure, "best").get_ydata()
    assert axes.get_ylim()[0] < shown.min() and shown.max() < axes.get_ylim()[1]


def test_scatter_without_a_finished_run_says_so() -> None:
    figure = plots.scatter(few(("2,1,1,1,1", 9, 0.5, "diverged")), 0.995)
    assert "all 1 run diverged" in texts(figure)
    assert found(figure, "best") == found(figure, "frontier") == []
    assert_readable(figure)


def test_scatter_of_a_single_perfect_run() -> None:
    figure = plots.scatter(few(("2,16,16,16,1", 609, 1.0, "ok")), 0.995)
    assert {"(16,16,16): 609 nonzeros, 100.00%", "100%"} <= set(texts(figure))
    assert_readable(figure)


def test_scatter_of_one_shape_speaks_of_levels() -> None:
    table = few(("2,3,3,3,1", 30, 0.9, "ok"), ("2,3,3,3,1", 31, 0.95, "ok"))
    assert "best run of each level" in texts(plots.scatter(table, 0.995))


def test_no_rows_is_an_error() -> None:
    for figure in (plots.scatter, plots.success):
        with pytest.raises(UsageError, match="no finished shard"):
            figure(synthetic(1, 1).slice(0, 0), 0.995)


# ------------------------------------------------------------------ success


def test_the_lines_are_exact_intervals() -> None:
    table = synthetic(4, 8, diverged=0.1)
    shown = draw_success.telling(draw_success.shares(runs.read_runs(table), 0.9), 30)
    drawn_lines = {}
    for collection in found(plots.success(table, 0.9), "intervals"):
        for (left, y), (right, _) in collection.get_segments():
            drawn_lines[int(y)] = (left, right)
    assert 0 < shown.successes.astype(bool).sum() < len(drawn_lines) == len(shown.labels)
    for line, ends in drawn_lines.items():
        trial = binomtest(int(shown.successes[line]), int(shown.runs[line]))
        exact = trial.proportion_ci(0.95, method="exact")
        assert ends == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("most", "cell"), [(30, None), (55, "0.1:step"), (200, None)])
def test_success_counts_as_a_plain_loop_does(most: int, cell: str | None) -> None:
    table = synthetic(7, 4, most=most, diverged=0.1)
    target, counted = 0.95, dict[tuple[int, str], list[int]]()
    for row in table.to_pylist():
        if cell in (None, row["cell"]):
            hidden = f"({row['shape'][2:-2]})"
            entry = counted.setdefault((row["nonzeros"], hidden), [0, 0])
            entry[0] += row["status"] == "ok" and row["accuracy"] >= target
            entry[1] += 1
    shares = draw_success.shares(runs.read_runs(table, cell), target)
    assert list(zip(shares.nonzeros, shares.labels, strict=True)) == sorted(
        counted, key=lambda key: (key[0], eval_widths(key[1]))
    )
    for i, key in enumerate(zip(shares.nonzeros, shares.labels, strict=True)):
        assert [shares.successes[i], shares.runs[i]] == counted[key]
    figure = plots.success(table, target, cell=cell)
    written = texts(figure)
    shown = draw_success.telling(shares, 30)
    assert len(shown.labels) <= 30 and (np.diff(shown.nonzeros) >= 0).all()
    for i, label in enumerate(shown.labels):
        assert label in written and f"{shown.successes[i]}/{shown.runs[i]}" in written
    if any(hits for hits, _ in counted.values()):
        sparsest = min(key for key, (hits, _) in counted.items() if hits)
        assert sparsest[1] in shown.labels
    assert_readable(figure)


def eval_widths(label: str) -> tuple[int, ...]:
    return tuple(map(int, label.strip("()").split(",")))


def test_success_says_when_nothing_succeeded() -> None:
    figure = plots.success(synthetic(3, 4, most=20), 1.0)
    assert any(text.startswith("no run reached 100%") for text in texts(figure))
    assert len(only(figure, "successes").get_xdata()) == 0
    assert_readable(figure)
    assert any("no run" in text for text in texts(plots.success(synthetic(2, 1, diverged=1), 0.5)))


def test_success_of_few_runs_reads_well() -> None:
    figure = plots.success(few(("2,16,16,16,1", 609, 1.0, "ok")), 0.995)
    assert {"(16,16,16)", "1/1", "100.00%"} <= set(texts(figure))
    assert_readable(figure)
    assert_readable(plots.success(synthetic(1, 1), 0.995))
    deep = few(("2,16,16,16,16,16,1", 1153, 1.0, "ok"), ("2,1,1", 5, 0.5, "diverged"))
    assert_readable(plots.success(deep, 0.995))


def test_success_names_the_cells_it_knows() -> None:
    with pytest.raises(UsageError, match=r"no run in cell '0.3:step' \(cells: 0.05:constant, "):
        plots.success(synthetic(1, 1), 0.9, cell="0.3:step")


# ------------------------------------------------------------------ forward pass


def naive_logit(flat: F32, widths: Sequence[int], point: Sequence[float]) -> float:
    value, at = list(map(float, point)), 0
    for layer, (columns, rows) in enumerate(itertools.pairwise(widths)):
        bias = at + rows * columns
        value = [
            sum(float(flat[at + row * columns + c]) * value[c] for c in range(columns))
            + float(flat[bias + row])
            for row in range(rows)
        ]
        if layer < len(widths) - 2:
            value = [max(v, 0.0) for v in value]
        at = bias + rows
    return value[0]


@pytest.mark.parametrize("widths", [(2, 4, 1), (2, 7, 3, 3, 1), (3, 2, 4, 3, 2, 5, 1)])
def test_forward_agrees_with_plain_loops(widths: tuple[int, ...]) -> None:
    flat, x = draw(widths), np.random.default_rng(1).normal(size=(20, widths[0]))
    net = plots.unpack(widths, flat)
    expected = [naive_logit(flat, widths, point) for point in x.astype(np.float32)]
    assert forward.logits(*net, x.astype(np.float32)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_net_batch_draws_as_it_scores() -> None:
    shape, task = NetShape((2, 5, 3, 3, 1)), rings()
    masks = MaskBatch.dense_of(shape, 4)
    keys = RunKeys.make(3, masks.keys(), ["0.05:cosine"] * 4, np.arange(4))
    nets = NetBatch.create(MLP(shape), keys, masks).map(np.array)
    scores = score(nets, task)
    for i in range(4):
        net = plots.unpack(shape, nets[i : i + 1].params)
        right = (forward.logits(*net, task.x) > 0) == (task.y == 1)
        assert right.sum() == scores.correct[i]


def test_unpack_names_what_does_not_fit() -> None:
    widths = (2, 3, 2, 1)
    with pytest.raises(UsageError, match="has 20 parameters, but 19 were given"):
        plots.unpack(widths, draw(widths)[1:])
    with pytest.raises(UsageError, match="not finite"):
        plots.unpack(widths, np.full(20, np.nan, np.float32))
    w, b = plots.unpack(widths, draw(widths))
    named: dict[str, npt.ArrayLike] = {f"weight{i}": value for i, value in enumerate(w)}
    named |= {f"bias{i}": value for i, value in enumerate(b)}
    again = plots.unpack(widths, named)
    assert all((p == q).all() for p, q in zip([*w, *b], [*again[0], *again[1]], strict=True))
    with pytest.raises(UsageError, match=r"weight1 has shape \(3, 2\), expected \(2, 3\)"):
        plots.unpack(widths, named | {"weight1": w[1].T})
    with pytest.raises(UsageError, match="no 'bias3'"):
        plots.unpack(widths, named | {"bias3": b[2]})
    with pytest.raises(UsageError, match="no 'bias2' among"):
        plots.unpack(widths, {k: v for k, v in named.items() if k != "bias2"})


# ------------------------------------------------------------------ regions


def test_regions_mark_the_wrong_points() -> None:
    widths, task = (2, 6, 3, 1), rings()
    flat = draw(widths, 4)
    figure = plots.regions(widths, flat, task)
    guess = [naive_logit(flat, widths, point) > 0 for point in task.x]
    wrong = task.x[np.array(guess) != (task.y == 1)]
    marks = only(figure, "wrong")
    assert 0 < len(wrong) < task.points
    assert sorted(zip(marks.get_xdata(), marks.get_ydata(), strict=True)) == sorted(
        map(tuple, wrong)
    )
    shown = [len(only(figure, f"class {label}").get_xdata()) for label in (0, 1)]
    assert sum(shown) + len(wrong) == task.points
    share = 1 - len(wrong) / task.points
    title = figure.axes[0].get_title(loc="left")
    assert title == f"(6,3): {18 + 21 + 4} nonzeros, {percent(share)}"
    assert f"{len(wrong)} wrong points" in texts(figure)
    assert_readable(figure)


def test_regions_shade_by_probability() -> None:
    # One hidden neuron, logit 4·relu(x1) - 2: class 1 right of x1 = 0.5.
    figure = plots.regions((2, 1, 1), np.array([1, 0, 0, 4, -2], np.float32), rings())
    shade = only(figure, "regions").get_array()
    side = shade.shape[0]
    x = forward.plane(side)[:, 0].reshape(side, side)
    assert np.allclose(shade, 1 / (1 + np.exp(2 - 4 * np.maximum(x, 0))), atol=1e-5)


def test_regions_of_a_constant_network_have_no_boundary() -> None:
    figure = plots.regions((2, 3, 1), np.zeros(13, np.float32), rings())
    assert "(3): 0 nonzeros, 50.00%" in figure.axes[0].get_title(loc="left")
    assert_readable(figure)


def test_the_plane_grows_with_the_task() -> None:
    near, task = rings(), rings()
    far = Task("far", task.x * 10, task.y)
    flat = draw((2, 3, 1))
    assert plots.regions((2, 3, 1), flat, near).axes[0].get_xlim() == (-2.25, 2.25)
    assert plots.regions((2, 3, 1), flat, far).axes[0].get_xlim()[1] > 16


def test_only_networks_over_a_plane_are_drawn() -> None:
    with pytest.raises(UsageError, match="this one has 3 and 1"):
        plots.regions((3, 2, 1), draw((3, 2, 1)), rings())
    with pytest.raises(UsageError, match="this one has 2 and 2"):
        plots.network((2, 2, 2), *plots.unpack((2, 2, 2), draw((2, 2, 2))))
    solid = Task("solid", np.zeros((4, 3), np.float32), np.zeros(4, np.uint8))
    with pytest.raises(UsageError, match="'solid' has 3 columns"):
        plots.regions((2, 2, 1), draw((2, 2, 1)), solid)


# ------------------------------------------------------------------ levels


def test_levels_show_the_best_network_of_each() -> None:
    table = with_networks(
        ((2, 2, 2, 2, 1), 0.6),
        ((2, 3, 1, 3, 1), 0.65),
        ((2, 2, 2, 2, 1), 0.7),
        ((2, 3, 3, 3, 1), 0.69),
        ((2, 4, 3, 3, 1), 0.8),
    )
    figure = plots.levels_grid(table, rings(), levels=[37, 21])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["37 nonzeros\n(3,3,3)  69.00%", "21 nonzeros\n(2,2,2)  70.00%"]
    shade = figure.axes[1].images[0].get_array()
    own = plots.regions((2, 2, 2, 2, 1), draw((2, 2, 2, 2, 1), 2), rings())
    assert shade is not None and (shade == only(own, "regions").get_array()).all()
    assert_readable(figure)
    raised = [axes.get_title() for axes in plots.levels_grid(table, rings()).axes]
    assert [title.split()[0] for title in raised] == ["21", "43"]


def test_levels_default_to_eight_that_raised_the_frontier() -> None:
    shapes = [(2, d, 2, 2, 1) for d in range(1, 13)]
    table = with_networks(*[(shape, 0.5 + 0.04 * i) for i, shape in enumerate(shapes)])
    figure = plots.levels_grid(table, rings())
    levels = [int(axes.get_title().split()[0]) for axes in figure.axes]
    every = [NetShape(shape).dense_nonzeros for shape in shapes]
    assert len(levels) == 8 and levels == sorted(levels) and set(levels) <= set(every)
    assert (levels[0], levels[-1]) == (every[0], every[-1])
    assert_readable(figure)
    for some in (1, 3, 5):
        assert_readable(plots.levels_grid(table, rings(), levels=every[:some]))


def test_levels_need_saved_networks() -> None:
    with pytest.raises(UsageError, match="row holds parameters"):
        plots.levels_grid(synthetic(2, 1), rings())
    table = with_networks(((2, 1, 1, 1, 1), 0.5), ((2, 3, 3, 3, 1), 0.7))
    with pytest.raises(UsageError, match=r"with 10, 12 nonzeros \(levels with one: 9, 37\)"):
        plots.levels_grid(table, rings(), levels=[9, 10, 12])


# ------------------------------------------------------------------ network


def handmade() -> tuple[list[F32], list[F32]]:
    """Shape (3,2): a first layer whose last neuron is never active near the points."""
    w = [[[1, 0], [0, -2], [1, 1]], [[1, -1, 3], [0.5, 0, 1]], [[2, -4]]]
    b = [[0.5, 0, -99], [0.1, 0.2], [-1]]
    return [np.array(v, np.float32) for v in w], [np.array(v, np.float32) for v in b]


def test_network_draws_a_line_for_every_weight_by_sign_and_size() -> None:
    w, b = handmade()
    figure = plots.network((2, 3, 2, 1), w, b)
    edges = only(figure, "edges")
    values = np.concatenate([v[v != 0] for v in w])
    widths, colours = np.asarray(edges.get_linewidth()), np.asarray(edges.get_edgecolor())
    assert len(edges.get_paths()) == len(values) == len(widths)
    strongest = int(np.argmax(widths))
    assert colours[strongest, 0] > colours[strongest, 2]  # -4: orange, more red than blue
    # Solid lines are those between living neurons; there width rises with the weight.
    solid = sorted(abs(v) for v in [1, -2, 1, -1, 0.5, 2, -4])
    shown = sorted(widths[colours[:, 3] > 0.5])
    assert np.corrcoef(solid, shown)[0, 1] == pytest.approx(1)
    assert len(found(figure, "bias")) == 5  # of six biases one is zero
    assert_readable(figure)


def test_network_crosses_out_dead_neurons() -> None:
    w, b = handmade()
    figure = plots.network((2, 3, 2, 1), w, b)
    assert len(found(figure, "dead")) == 2  # one neuron, one in the key
    assert "activated nowhere" in texts(figure)
    live = plots.network((2, 3, 2, 1), w, [np.abs(b[0]), *b[1:]], task=rings())
    assert found(live, "dead") == []
    # Active on the plane's corner, but at no point of the rings.
    corner = [np.array([0.5, 0, -4.0], np.float32), *b[1:]]
    assert found(plots.network((2, 3, 2, 1), w, corner), "dead") == []
    on_points = plots.network((2, 3, 2, 1), w, corner, task=rings())
    assert "activated by no point" in texts(on_points)
    assert_readable(on_points)


def test_network_leaves_masked_weights_and_lonely_neurons_out() -> None:
    w, b = handmade()
    masks = [np.ones_like(v) for v in w]
    masks[0][2], masks[1][:, 2], masks[1][0, 1] = 0, 0, 0
    figure = plots.network((2, 3, 2, 1), w, b, masks, accuracy=0.9961)
    kept = sum(int(((v * m) != 0).sum()) for v, m in zip(w, masks, strict=True))
    assert len(only(figure, "edges").get_paths()) == kept == 6
    (title,) = [text for text in texts(figure) if text.startswith("(3,2)")]
    assert title == "(3,2): 11 nonzeros, 99.61% (1 neuron without connections not drawn)"
    assert len(figure.axes[0].images) == 2 + 2 + 2 + 1 + 2  # neurons drawn, two scales
    with pytest.raises(UsageError, match="masks have shapes"):
        plots.network((2, 3, 2, 1), w, b, masks[:2])


@pytest.mark.parametrize(
    "widths",
    [(2, 1, 1), (2, 3, 3, 3, 1), (2, 7, 3, 3, 1), (2, 16, 16, 16, 1), (2, 5, 4, 4, 4, 3, 1)],
)
def test_network_reads_well_at_any_shape(widths: tuple[int, ...]) -> None:
    w, b = plots.unpack(widths, draw(widths))
    figure = plots.network(NetShape(widths), w, b, task=rings())
    assert len(only(figure, "edges").get_paths()) == sum(v.size for v in w)
    assert_readable(figure)


def test_network_without_any_weight_is_drawn() -> None:
    w, b = plots.unpack((2, 2, 2, 1), np.zeros(15, np.float32))
    figure = plots.network((2, 2, 2, 1), w, b, task=rings())
    assert any("4 neurons without connections" in text for text in texts(figure))
    assert_readable(figure)


def test_network_keeps_its_scale_when_one_bias_is_huge() -> None:
    w, b = handmade()
    figure = plots.network((2, 3, 2, 1), w, b)
    assert {"−4", "+4", "bias (some beyond)"} <= set(texts(figure))
    figure = plots.network((2, 3, 2, 1), w, [v.clip(-5, 5) for v in b])
    assert {"−5", "+5", "bias, same colours"} <= set(texts(figure))


# ------------------------------------------------------------------ saving


def test_save_writes_png_and_pdf_at_their_size(tmp_path: Path) -> None:
    figure = plots.scatter(synthetic(3, 1), 0.995)
    png, pdf = tmp_path / "new" / "a.png", tmp_path / "new" / "a.pdf"
    plots.save(figure, png, str(pdf))
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    assert size == tuple(round(inches * 200) for inches in figure.get_size_inches())
    assert pdf.read_bytes()[:5] == b"%PDF-"
    assert sorted(path.name for path in png.parent.iterdir()) == ["a.pdf", "a.png"]


def every_figure() -> Iterator[Callable[[], Figure]]:
    table, task = synthetic(4, 1), rings()
    nets = with_networks(((2, 1, 1, 1, 1), 0.5), ((2, 3, 3, 3, 1), 0.7))
    yield lambda: plots.scatter(table, 0.9)
    yield lambda: plots.success(table, 0.9)
    yield lambda: plots.regions((2, 3, 1), draw((2, 3, 1)), task)
    yield lambda: plots.levels_grid(nets, task)
    yield lambda: plots.network((2, 3, 1), *plots.unpack((2, 3, 1), draw((2, 3, 1))))


def test_figures_are_the_same_bytes_whatever_the_users_style(tmp_path: Path) -> None:
    for number, make in enumerate(every_figure()):
        kinds = ("png", "pdf") if number == 0 else ("png",)
        first, second = ([tmp_path / f"{name}.{kind}" for kind in kinds] for name in "ab")
        plots.save(make(), *first)
        with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
            plots.save(make(), *second)
            assert matplotlib.rcParams["font.size"] == 20
        assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_save_refuses_other_suffixes_before_it_writes(tmp_path: Path) -> None:
    figure = plots.scatter(synthetic(1, 1), 0.9)
    with pytest.raises(UsageError, match=r"'b\.eps': its suffix must be \.png, \.pdf or \.svg"):
        plots.save(figure, tmp_path / "a.png", tmp_path / "b.eps")
    assert list(tmp_path.iterdir()) == []


def test_drawing_trains_nothing_and_touches_no_window(root: Path) -> None:
    code = (
        "import sys, combsearch.plots; "
        "print([m for m in ('torch', 'numba', 'matplotlib.pyplot', 'combsearch.trainers') "
        "if m in sys.modules])"
    )
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
