"""How likely random masks cut two layers off from each other, beside its bounds (theorem L.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, PercentFormatter

from combsearch.errors import UsageError
from combsearch.plots.style import ACCENT, INK, PAGE, new_figure, styled

CurveJson = Mapping[str, Any]

_SIZES = (0.52, 0.95, 0.30, 0.42)  # inches left, right, on top, below the panels
_TALL, _GAP = 2.3, 0.22  # inches: a panel, between both
_PANELS = {"bound": "lower bound", "printed": "the bound as the paper prints it"}
_TICKS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@styled()
def two_layers(curves: Sequence[CurveJson]) -> Figure:
    """Two panels over the width: the exact chance with the bound, and with the printed one.

    A colour a number of weights kept of each layer; line: exact, dots: simulated with their 95%
    interval, dashes: the bound. Where dashes lie above their line they are no bound: crosses.

    Args:
        curves: each with ``each``, and of its widths the lists ``width``, ``exact``, ``bound``,
            ``printed`` and ``simulated`` (``apart``, ``samples``, ``interval``).

    Raises:
        UsageError: when there is no curve with a width.
    """
    curves = [curve for curve in curves if curve["width"]]
    if not curves:
        raise UsageError("no curves to draw: no width was computed")
    left, right, top, foot = _SIZES
    height = top + _TALL + foot
    figure = new_figure(PAGE, height)
    wide = (PAGE - left - right - _GAP) / 2
    for column, (key, title) in enumerate(_PANELS.items()):
        x = left + column * (wide + _GAP)
        axes = figure.add_axes((x / PAGE, foot / height, wide / PAGE, _TALL / height))
        for place, curve in enumerate(curves):
            _draw(axes, curve, key, _colour(place, len(curves)))
        _finish(axes, curves, title, first=column == 0)
    _legend(figure, [curve["each"] for curve in curves])
    return figure


def _colour(place: int, of: int) -> str:
    """Dark for few weights, light for many: an order that every eye sees."""
    return to_hex(matplotlib.colormaps["viridis"](0.88 * place / max(of - 1, 1)))


def _draw(axes: Axes, curve: CurveJson, key: str, colour: str) -> None:
    width, exact, bound = (np.array(curve[name], np.float64) for name in ("width", "exact", key))
    axes.plot(width, exact, color=colour, lw=1.2, gid="exact", zorder=3)
    axes.plot(width, bound, color=colour, lw=0.8, dashes=(3, 1.8), gid="bound", zorder=2)
    wrong = bound > exact
    axes.plot(width[wrong], bound[wrong], ls="", marker="x", ms=3.4, mew=0.9, color=ACCENT,
              clip_on=False, gid="no bound", zorder=6)  # fmt: skip
    for x, found in zip(width, curve["simulated"], strict=True):
        axes.plot([x, x], found["interval"], color=colour, lw=0.9, zorder=4)
        axes.plot([x], [found["apart"] / found["samples"]], ls="", marker="o", ms=3.0, mew=0.5,
                  mec="white", mfc=colour, clip_on=False, gid="simulated", zorder=5)  # fmt: skip


def _finish(axes: Axes, curves: Sequence[CurveJson], title: str, *, first: bool) -> None:
    widths = [width for curve in curves for width in curve["width"]]
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(widths) / 1.15, max(widths) * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("width of the layer between", labelpad=2)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(title, loc="left", pad=4)
    axes.grid(axis="y", color="#ececec", lw=0.5)
    axes.set_axisbelow(True)
    if first:
        axes.set_ylabel("chance of no path between two layers", labelpad=2)
    else:
        axes.tick_params(axis="y", labelleft=False)


def _legend(figure: Figure, each: Sequence[int]) -> None:
    """Weights kept on the right, kinds of marks below them."""
    wide, tall = figure.get_size_inches()
    x, top = 1 - (_SIZES[1] - 0.1) / wide, 1 - _SIZES[2] / tall
    place: dict[str, Any] = {
        "loc": "upper left",
        "borderaxespad": 0.0,
        "handlelength": 1.3,
        "labelspacing": 0.35,
    }
    lines = [Line2D([], [], color=_colour(k, len(each)), lw=1.6) for k in range(len(each))]
    title = "weights kept\nof each layer"
    figure.legend(lines, list(map(str, each)), title=title, bbox_to_anchor=(x, top), **place)
    kinds = {
        "exact": Line2D([], [], color=INK, lw=1.2),
        "simulated": Line2D([], [], ls="", marker="o", ms=3.0, color=INK),
        "bound": Line2D([], [], color=INK, lw=0.8, dashes=(3, 1.8)),
        "no bound": Line2D([], [], ls="", marker="x", ms=3.4, mew=0.9, color=ACCENT),
    }
    lower = (_SIZES[3] + 0.75) / tall
    figure.legend(kinds.values(), kinds.keys(), bbox_to_anchor=(x, lower), **place)
