"""Accuracy against nonzeros over all runs: the paper's figure 5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from combsearch.numerals import count, percent, plain_percent
from combsearch.plots.runs import (
    Runs,
    best_of_each,
    best_run,
    first_success,
    frontier_runs,
    read_runs,
)
from combsearch.plots.style import ACCENT, BLUE, COLUMN, GREY, INK, leader, new_figure, styled

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]

_TICKS = (0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
_LOG_TICKS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_LOG_FROM = 150  # nonzeros: above, the small shapes would be squeezed into the left edge


@styled()
def scatter(rows: pa.Table, target: float, *, log: bool | None = None) -> Figure:
    """Every run, the best of each shape, and the frontier, against nonzeros.

    The accuracy axis is logarithmic in the error (1 - accuracy), so that 50% and 99.9%
    can be read in one figure; it ends where the error is a 25th of the target's, and
    better runs are drawn on that line. Diverged runs are counted in the key, not drawn.

    Args:
        rows: saved rows, schema ``store.ROWS``.
        target: accuracy in (0, 1] that counts as success.
        log: logarithmic nonzeros axis; None: when nonzeros reach beyond 150 (``--full``).

    Raises:
        UsageError: when there are no rows.
    """
    runs = read_runs(rows)
    ceiling = _ceiling(runs, target)
    figure = new_figure(COLUMN, 2.9)
    axes = figure.add_axes((0.2, 0.125, 0.785, 0.755))
    strip = _accuracy_axis(axes, runs, target, ceiling)
    log = bool(runs.nonzeros.max() > _LOG_FROM) if log is None else log
    _nonzeros_axis(axes, runs, log)
    _draw_target(axes, runs, target, ceiling)
    _draw_runs(axes, runs, np.minimum(runs.accuracy, ceiling))
    _mark(axes, runs, target, ceiling, strip)
    _draw_key(axes, runs)
    return figure


def _forward(accuracy: npt.ArrayLike) -> F64:
    # Limits and ticks may sit at an error of zero while matplotlib sets up the axis.
    return -np.log10(np.maximum(1 - np.asarray(accuracy, np.float64), 1e-12))


def _inverse(height: npt.ArrayLike) -> F64:
    return 1 - np.power(10.0, -np.asarray(height, np.float64))


def _seen(runs: Runs, target: float) -> F64:
    return np.append(runs.accuracy[~runs.diverged], target)


def _ceiling(runs: Runs, target: float) -> float:
    """Accuracy at which the axis ends.

    An error of zero has no logarithm, and few points near zero would take most of the height.
    """
    errors = 1 - _seen(runs, target)
    smallest = float(min(errors[errors > 0], default=1e-3)) / 2
    return 1 - max(smallest, float(f"{(1 - target) / 25:.0e}"), 1e-6)


def _accuracy_axis(axes: Axes, runs: Runs, target: float, ceiling: float) -> float:
    """Set the axis up; returns the accuracy at the middle of the free strip on top."""
    axes.set_yscale("function", functions=(_forward, _inverse))
    seen = _seen(runs, target)
    heights = _forward(np.minimum(seen, ceiling))
    low, high = min(float(heights.min()), float(_forward(0.5))), float(heights.max())
    span = max(high - low, 0.3)
    axes.set_ylim(float(_inverse(low - 0.04 * span)), float(_inverse(high + 0.19 * span)))
    clipped = bool((seen > ceiling).any())
    end = _forward(ceiling) - 0.04 * span if clipped else high + 0.09 * span
    ticks = [tick for tick in _TICKS if low - 0.04 * span <= _forward(tick) <= end]
    labels = [plain_percent(tick) for tick in ticks]
    if clipped:
        ticks.append(ceiling)
        between = bool(((seen > ceiling) & (seen < 1)).any())
        labels.append(f"≥{plain_percent(ceiling)}" if between else "100%")
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FixedFormatter(labels))
    axes.set_ylabel("accuracy (log scale of the error)", labelpad=2)
    left = 0.09 + 0.0165 * max(len(label) for label in labels)  # the widest label fits
    axes.set_position((left, 0.125, 0.985 - left, 0.755))
    return float(_inverse(high + 0.13 * span))


def _nonzeros_axis(axes: Axes, runs: Runs, log: bool) -> None:
    low, high = int(runs.nonzeros.min()), int(runs.nonzeros.max())
    if log:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.12, high * 1.12)
        axes.xaxis.set_major_locator(FixedLocator(_LOG_TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        pad = max(0.03 * (high - low), 1.5)
        axes.set_xlim(low - pad, high + pad)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("nonzeros (weights and biases)", labelpad=2)


def _draw_target(axes: Axes, runs: Runs, target: float, ceiling: float) -> None:
    """The target as a line, named where runs are few: on the left, unless they succeed there."""
    height = min(target, ceiling)
    axes.axhline(height, color=ACCENT, lw=0.7, dashes=(5, 2.5), gid="target", zorder=1.5)
    success = first_success(runs, target)
    left = success is None or _across(axes, runs.nonzeros[success], height)[0] > 0.4
    below = _across(axes, runs.nonzeros[0], height)[1] > 0.12
    axes.annotate(
        f"target {plain_percent(target)}",
        (0.0 if left else 1.0, height),
        xycoords=("axes fraction", "data"),
        xytext=(4 if left else -4, -2 if below else 2),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top" if below else "bottom",
        color=ACCENT,
        bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        zorder=4,
    )


def _across(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Data coordinates as fractions of the axes."""
    at = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
    return float(at[0]), float(at[1])


def _draw_runs(axes: Axes, runs: Runs, shown: F64) -> None:
    """All runs as one raster image, however many; the best ones and the frontier as lines."""
    alive = np.flatnonzero(~runs.diverged)
    # Levels are integers: spread runs over a level's width, by run number and not by chance.
    spread = ((np.arange(len(runs)) * 0.6180339887498949) % 1 - 0.5) * 0.6
    axes.plot(
        runs.nonzeros[alive] + spread[alive],
        shown[alive],
        ls="",
        marker="o",
        ms=1.8,
        mew=0,
        color=GREY,
        alpha=float(np.clip(20 / np.sqrt(max(len(alive), 1)), 0.06, 0.6)),
        rasterized=True,
        gid="runs",
    )
    best, steps = best_of_each(runs), frontier_runs(runs)
    if len(best) == 0:
        return
    size = float(np.clip(40 / np.sqrt(len(best)), 1.2, 3.2))
    axes.plot(
        runs.nonzeros[best],
        shown[best],
        ls="",
        marker="o",
        ms=size,
        mew=0.25 if len(best) < 500 else 0,
        mec="white",
        color=BLUE,
        alpha=0.9 if len(best) < 500 else 0.5,
        gid="best",
    )
    axes.step(
        np.append(runs.nonzeros[steps], axes.get_xlim()[1]),
        np.append(shown[steps], shown[steps[-1]]),
        where="post",
        color=INK,
        lw=1.1,
        gid="frontier",
    )


def _draw_key(axes: Axes, runs: Runs) -> None:
    """Above the axes; its dots are larger and darker than the ones they stand for."""
    lost = int(runs.diverged.sum())
    texts = (
        f"best run of each {'level' if _is_one_shape(runs) else 'shape'}",
        count(len(runs) - lost, "run") + (f", {lost:,} more diverged" if lost else ""),
        "frontier",
    )
    handles = [
        Line2D([], [], ls="", marker="o", ms=3.2, mew=0, color=BLUE),
        Line2D([], [], ls="", marker="o", ms=2.4, mew=0, color=GREY),
        Line2D([], [], color=INK, lw=1.1),
    ]
    axes.legend(
        handles,
        texts,
        loc="lower left",
        bbox_to_anchor=(-0.03, 1.0),
        ncols=2,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.5,
        labelspacing=0.3,
    )


def _is_one_shape(runs: Runs) -> bool:
    """Masks of one shape, as in phase two: then the levels differ and not the shapes."""
    return len(runs.shapes) == 1 and len(np.unique(runs.nonzeros)) > 1


def _mark(axes: Axes, runs: Runs, target: float, ceiling: float, strip: float) -> None:
    """Ring the first success (or say that there is none) and name it in the strip on top."""
    success, best = first_success(runs, target), best_run(runs)
    run = best if success is None else success
    if run is None:
        axes.text(
            0.5,
            0.5,
            f"all {count(len(runs), 'run')} diverged",
            ha="center",
            transform=axes.transAxes,
        )
        return
    x, y = float(runs.nonzeros[run]), min(float(runs.accuracy[run]), ceiling)
    text = f"{runs.label(run)}: {runs.nonzeros[run]} nonzeros, {percent(runs.accuracy[run])}"
    if success is None:
        text = f"no run reached {plain_percent(target)}\nbest: {text}"
    axes.plot(
        [x],
        [y],
        ls="",
        marker="o",
        ms=7,
        mfc="none",
        mec=ACCENT,
        mew=1.2,
        gid="first success" if success is not None else "nearest",
        zorder=5,
    )
    at, _ = _across(axes, x, y)
    side = "left" if at < 0.3 else "right" if at > 0.7 else "center"
    if success is None:
        axes.text(
            0.99,
            strip,
            text,
            ha="right",
            va="center",
            color=ACCENT,
            transform=axes.get_yaxis_transform(),
        )
        return
    # No run lies straight above the ring, and none in the strip: nothing is covered.
    start = {"left": 0.0, "center": 0.5, "right": 1.0}[side]
    axes.annotate(
        text,
        (x, y),
        xytext=(x, strip),
        ha=side,
        va="center",
        color=ACCENT,
        arrowprops=leader(start, gap=4),
    )
