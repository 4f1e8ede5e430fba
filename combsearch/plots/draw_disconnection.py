"""How likely a random mask has no disconnected weight, and how many it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from combsearch.errors import UsageError
from combsearch.plots.style import INK, PAGE, new_figure, styled

CurveJson = Mapping[str, Any]

_LEAST = 1e-40  # probability at the foot of the upper panels
_SIZES = (0.52, 0.82, 0.30, 0.42)  # inches left, right, on top, below the panels
_PANEL = (2.75, 2.1)  # inches
_GAPS = (0.26, 0.16)  # inches between columns and rows


@styled()
def random_disconnection(curves: Sequence[CurveJson]) -> Figure:
    """Two rows of panels, one column for each way to draw masks, a line for each width.

    Upper row: probability that a mask has no disconnected weight (line: exact, dashes: upper
    bound, dots: simulated with their 95% interval, where any mask was whole). Lower row: the
    share of the kept weights that are disconnected, on average (line: exact, dots: simulated).

    Args:
        curves: each with ``drawn`` (title of its column), ``width``, ``kept``, ``whole``,
            ``bound``, ``disconnected`` (lists, one entry a number of kept weights) and
            ``simulated`` (list of ``kept``, ``whole``, ``samples``, ``interval``, ``mean``).

    Raises:
        UsageError: when there is no curve.
    """
    if not curves:
        raise UsageError("no curves to draw: no width was computed")
    columns = list(dict.fromkeys(curve["drawn"] for curve in curves))
    widths = sorted({curve["width"] for curve in curves})
    left, right, top, foot = _SIZES
    width = max(PAGE, left + right + len(columns) * (_PANEL[0] + _GAPS[0]) - _GAPS[0])
    height = top + foot + 2 * _PANEL[1] + _GAPS[1]
    figure = new_figure(width, height)
    span = (width - left - right + _GAPS[0]) / len(columns) - _GAPS[0]
    for column, drawn in enumerate(columns):
        for row in (0, 1):
            x = left + column * (span + _GAPS[0])
            y = foot + (1 - row) * (_PANEL[1] + _GAPS[1])
            axes = figure.add_axes((x / width, y / height, span / width, _PANEL[1] / height))
            draw = _draw_share if row else _draw_probability
            for curve in curves:
                if curve["drawn"] == drawn:
                    draw(axes, curve, _colour(curve["width"], widths))
            _finish(axes, row, first=column == 0, title=drawn)
    _legend(figure, widths)
    return figure


def _colour(width: int, widths: Sequence[int]) -> str:
    """Dark for narrow, light for wide: an order that every eye sees."""
    place = widths.index(width) / max(len(widths) - 1, 1)
    return to_hex(matplotlib.colormaps["viridis"](0.88 * place))


def _draw_probability(axes: Axes, curve: CurveJson, colour: str) -> None:
    whole = np.array(curve["whole"], np.float64)
    shown = np.where(whole > 0, whole, np.nan)  # 0 has no place on a logarithmic axis
    axes.plot(curve["kept"], shown, color=colour, lw=1.2, gid="exact", zorder=3)
    axes.plot(
        curve["kept"], curve["bound"], color=colour, lw=0.8, dashes=(3, 1.8), gid="bound", zorder=2
    )
    for point in curve["simulated"]:
        if point["whole"]:
            axes.plot([point["kept"]] * 2, point["interval"], color=colour, lw=0.9, zorder=4)
            _dot(axes, point["kept"], point["whole"] / point["samples"], colour)


def _draw_share(axes: Axes, curve: CurveJson, colour: str) -> None:
    kept = np.array(curve["kept"], np.float64)
    axes.plot(kept, np.array(curve["disconnected"]) / kept, color=colour, lw=1.2, gid="exact")
    for point in curve["simulated"]:
        _dot(axes, point["kept"], point["mean"] / point["kept"], colour)


def _dot(axes: Axes, x: float, y: float, colour: str) -> None:
    axes.plot([x], [y], ls="", marker="o", ms=3.2, mew=0.5, mec="white", mfc=colour, zorder=5,
              gid="simulated")  # fmt: skip


def _finish(axes: Axes, row: int, *, first: bool, title: str) -> None:
    if row:
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("weights kept in all", labelpad=2)
    else:
        axes.set_yscale("log")
        axes.set_ylim(_LEAST, 6.0)
        axes.yaxis.set_major_locator(FixedLocator([10.0**-power for power in range(0, 41, 10)]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelbottom=False)
        axes.set_title(title, loc="left", pad=4)
    if first:
        text = (
            "kept weights that are disconnected" if row else "chance that no weight is disconnected"
        )
        axes.set_ylabel(text, labelpad=2)
    else:
        axes.tick_params(axis="y", labelleft=False)
    axes.grid(axis="y", color="#ececec", lw=0.5)
    axes.set_axisbelow(True)


def _legend(figure: Figure, widths: Sequence[int]) -> None:
    """Widths on the right, kinds of marks below them."""
    lines = [Line2D([], [], color=_colour(width, widths), lw=1.6) for width in widths]
    place: dict[str, Any] = {
        "loc": "upper left",
        "borderaxespad": 0.0,
        "handlelength": 1.3,
        "labelspacing": 0.35,
    }
    x = 1 - (_SIZES[1] - 0.1) / figure.get_figwidth()
    top = 1 - _SIZES[2] / figure.get_figheight()
    figure.legend(
        lines,
        [str(width) for width in widths],
        title="hidden\nwidths",
        bbox_to_anchor=(x, top),
        **place,
    )
    kinds = [
        Line2D([], [], color=INK, lw=1.2),
        Line2D([], [], color=INK, lw=0.8, dashes=(3, 1.8)),
        Line2D([], [], ls="", marker="o", ms=3.2, color=INK),
    ]
    lower = (_SIZES[3] + _PANEL[1]) / figure.get_figheight()
    figure.legend(kinds, ["exact", "bound", "simulated"], bbox_to_anchor=(x, lower), **place)
