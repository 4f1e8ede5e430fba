"""The axes that several figures share: accuracy by its error, and nonzeros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from combsearch.numerals import plain_percent
from combsearch.plots.style import ACCENT, INK

F64 = npt.NDArray[np.float64]

# Where there is no room for all, those of the upper lines stay.
_TICKS = (
    *(0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999),
    *(0.0, 0.8, 0.95, 0.98, 0.995, 0.998, 0.9995, 0.9998, 0.99995, 0.99998),
    *(0.2, 0.7, 0.85, 0.97, 0.997, 0.9997),
)
_LOG_TICKS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000)
_LOG_FROM = 150  # nonzeros: above, small networks would be squeezed into the left edge
_WIDE = 1000  # ratio of nonzeros from which powers of ten are enough
_APART = 0.13  # inches from label to label
_FOOT = 0.07  # inches below the lowest accuracy


def accuracy_axis(
    axes: Axes, seen: npt.ArrayLike, targets: Sequence[float], *, floor: float, head: float
) -> float:
    """Make the vertical axis logarithmic in the error, with at least 50% to 90% on it.

    The error is 1 - accuracy. One of zero has no logarithm: 100% stands at half the
    smallest other error. What has an error below ``floor`` stands there. So draw
    ``np.minimum(accuracy, ceiling)``.

    Args:
        axes: at its place in the figure, since labels need inches.
        seen: accuracies to be drawn, in [0, 1].
        targets: accuracies with a tick of their own, in the colour of targets.
        floor: smallest error of the axis.
        head: inches that stay free on top.

    Returns:
        The ceiling: accuracy at which the axis ends.
    """
    drawn = np.append(np.asarray(seen, np.float64), targets)
    errors = 1 - drawn
    ceiling = 1 - max(float(min(errors[errors > 0], default=1e-2)) / 2, floor)
    axes.set_yscale("function", functions=(_height, _accuracy))
    tops = _height(np.minimum(drawn, ceiling))
    low, high = float(min(tops.min(), _height(0.5))), float(max(tops.max(), _height(0.9)))
    inch = (high - low) / (inches(axes)[1] - _FOOT - head)
    ends = _accuracy([low - _FOOT * inch, high + head * inch])
    axes.set_ylim(float(ends[0]), float(ends[1]))
    _accuracy_ticks(axes, drawn, targets, ceiling, _APART * inch)
    axes.set_ylabel("accuracy (log scale of the error)", labelpad=2)
    return ceiling


def _height(accuracy: npt.ArrayLike) -> F64:
    # Limits and ticks may sit at an error of zero while matplotlib sets up the axis.
    return -np.log10(np.maximum(1 - np.asarray(accuracy, np.float64), 1e-12))


def _accuracy(height: npt.ArrayLike) -> F64:
    return 1 - np.power(10.0, -np.asarray(height, np.float64))


def _accuracy_ticks(
    axes: Axes, drawn: F64, targets: Sequence[float], ceiling: float, apart: float
) -> None:
    """Targets, the ceiling where something lies on it, and round numbers that leave room."""
    named = {min(target, ceiling): plain_percent(target) for target in targets}
    clipped = bool((drawn > ceiling).any())
    if clipped:
        between = bool(((drawn > ceiling) & (drawn < 1)).any())
        named[ceiling] = f"≥{plain_percent(ceiling)}" if between else "100%"
        if not between:
            _break(axes, float(_accuracy(_height(ceiling) - math.log10(2) / 2)))
    lowest, highest = axes.get_ylim()
    for tick in _TICKS:
        clear = all(abs(_height(tick) - _height(other)) > apart for other in named)
        if clear and lowest <= tick <= highest and (tick < ceiling or not clipped):
            named[tick] = plain_percent(tick)
    axes.yaxis.set_major_locator(FixedLocator(list(named)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FixedFormatter(list(named.values())))
    for place, label in zip(named, axes.get_yticklabels(), strict=True):
        if place in [min(target, ceiling) for target in targets]:
            label.set_color(ACCENT)


def _break(axes: Axes, accuracy: float) -> None:
    """Two strokes through the axis: 100% is infinitely far up."""
    where = blended_transform_factory(axes.transAxes, axes.transData)
    for x, y, colour, size in ((0, 0, "white", 3.2), (0, 1, INK, 4), (0, -1, INK, 4)):
        shift = ScaledTranslation(0, y * 1.1 / 72, axes.figure.dpi_scale_trans)
        slope: Any = [(-1, -0.35), (1, 0.35)]
        axes.plot(
            [x], [accuracy], marker="s" if colour == "white" else slope, ms=size, mew=0.6,
            color=colour, transform=where + shift, clip_on=False, zorder=7, gid="break",
        )  # fmt: skip


def nonzeros_axis(axes: Axes, low: int, high: int) -> None:
    """Make the horizontal axis that of ``low`` to ``high`` nonzeros; logarithmic beyond 150."""
    if high > _LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.12, high * 1.12)
        few = high < _WIDE * low
        ticks = [tick for tick in _LOG_TICKS if few or math.log10(tick).is_integer()]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FixedFormatter([_short(tick) for tick in ticks]))
    else:
        pad = max(0.03 * (high - low), 1.5)
        axes.set_xlim(low - pad, high + pad)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("nonzeros (weights and biases)", labelpad=2)


def _short(tick: int) -> str:
    return (
        f"{tick // 10**6}M" if tick >= 10**6 else f"{tick // 1000}k" if tick >= 10**4 else f"{tick}"
    )


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of the frame."""
    figure, box = axes.figure, axes.get_position()
    return box.width * figure.bbox.width / figure.dpi, box.height * figure.bbox.height / figure.dpi
