"""The axes of the figures of the PQ-index study: rounds, share of weights left, values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, YAxis
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
)

from combsearch.numerals import plain_percent
from combsearch.plots.scales import inches
from combsearch.plots.style import FAINT, GREY

_NAME = 0.42  # inches from a frame to the name of its vertical axis


def rounds_axis(axes: Axes, last: int, label: bool = True) -> None:
    """Rounds from 0 (the dense network) to ``last``."""
    pad = max(0.03 * last, 0.3)
    axes.set_xlim(-pad, last + pad)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("round" if label else "", labelpad=2)


def share_axis(axes: Axes, lowest: float, label: bool = True) -> None:
    """Share of weights left, logarithmic, falling from 100% at the left to ``lowest``."""
    axes.set_xscale("log")
    end = min(lowest, 0.5)
    axes.set_xlim(end**-0.03, end**1.03)
    log_ticks(axes.xaxis, end, 1.0, inches(axes)[0], plain_percent)
    axes.set_xlabel("weights left (log scale)" if label else "", labelpad=2)


def log_ticks(
    axis: Axis, low: float, high: float, inch: float, text: Callable[[float], str]
) -> None:
    """Ticks at 1, 2, 5 times powers of ten where there is room for the texts, or fewer."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    choices = [[s * 10.0**d for d in decades for s in steps] for steps in ((1, 2, 5), (1, 3), (1,))]
    choices += [[10.0**d for d in decades if (d - last) % every == 0] for every in (2, 3)]
    scale = inch / max(math.log10(high / low), 1e-9)
    inside: list[float] = []
    vertical = isinstance(axis, YAxis)
    for choice in choices:
        inside = [tick for tick in choice if low / 1.001 <= tick <= high * 1.001]
        widths = [0.14 if vertical else len(text(tick)) * 0.062 + 0.06 for tick in inside]
        gaps = np.diff(np.log10(inside)) * scale
        rooms = [(a + b) / 2 for a, b in itertools.pairwise(widths)]
        if all(gap >= room for gap, room in zip(gaps, rooms, strict=True)):
            break
    axis.set_major_locator(FixedLocator(inside))
    axis.set_major_formatter(FixedFormatter([text(tick) for tick in inside]))
    axis.set_minor_locator(NullLocator())


def value_axis(
    axes: Axes, label: str, *, percent: bool = False, few: bool = False, least: float = 0.02
) -> None:
    """The vertical axis: round numbers (``few`` in a small frame), faint lines, its name.

    It holds ``least`` at least, so that noise does not look like a trend and numbers stay short.
    """
    low, high = axes.get_ylim()
    if high - low < least:
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3 if few else 6, steps=[1, 2, 2.5, 5, 10]))
    text = plain_percent if percent else _plain
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    if label:
        name_axis(axes, label)


def _plain(number: float) -> str:
    return f"{round(number, 9) + 0.0:g}".replace("-", "−")


def name_axis(axes: Axes, label: str, further: float = 0.0) -> None:
    """The vertical axis' name, at one distance from all frames, or so many inches further off."""
    axes.set_ylabel(label, linespacing=1.05, va="bottom")
    axes.yaxis.set_label_coords(-(_NAME + further) / inches(axes)[0], 0.5)


def join_row(
    frames: Sequence[Axes], label: str, *, percent: bool = False, lowest: bool = True
) -> None:
    """A row on one vertical scale, with numbers at its left end; of x if it is the ``lowest``."""
    low = min(frame.get_ylim()[0] for frame in frames)
    high = max(frame.get_ylim()[1] for frame in frames)
    for column, frame in enumerate(frames):
        log = frame.get_yscale() == "log"
        frame.set_ylim(low, high)
        if not log:
            value_axis(frame, "" if column else label, percent=percent)
        elif not column:
            name_axis(frame, label)
        frame.tick_params(labelbottom=lowest, labelleft=column == 0)
        if not lowest:
            frame.set_xlabel("")


def zero_line(axes: Axes) -> None:
    """Where a difference is none."""
    axes.axhline(0, color=GREY, lw=0.6, zorder=1, gid="zero")
