"""Trained parameters beside a free dense offset, and what the plain search needs without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from combsearch.errors import UsageError
from combsearch.numerals import plain_percent
from combsearch.plots.methods import Look
from combsearch.plots.pqi_panels import ROW, Frames, key_rows, some_marks, write_heading, write_key
from combsearch.plots.scales import accuracy_axis
from combsearch.plots.style import ACCENT, FAINT, styled

F64 = npt.NDArray[np.float64]
Line = Mapping[str, Any]

_FLOOR = 1e-4  # smallest error of the accuracy axis
_COLOURS = ("#0b62a4", "#c8620a", "#2a9d6f", "#1a1a1a", "#8c4a1f", "#999933")
_MARKS = ("o", "s", "D", "^", "v", "P")
_DASHES = {True: (), False: (3.5, 1.3)}
_HALF = 3.4  # inches: half a page


@dataclass(frozen=True)
class Series:
    """What one run came to.

    Attributes:
        shape: hidden widths, ``"3,3,3"``.
        search: whether supports were searched for; else they were drawn.
        trained: whether the scales of the offset were trained.
        lines: ``parameters``, ``best`` and ``median`` accuracy by budget, and more.
    """

    shape: str
    search: bool
    trained: bool
    lines: Sequence[Line]

    @property
    def name(self) -> str:
        """As the key has it."""
        return f"({self.shape}), α {'trained' if self.trained else 'fixed'}"


@styled()
def spiral_figure(
    series: Sequence[Series],
    bounds: Mapping[float, tuple[float, float]],
    targets: Sequence[float],
) -> Figure:
    """Accuracy over trained parameters: the best by search, best and median of random supports.

    A frame for the searches and one for random supports, if there are any. Every budget has a
    best run and, over its supports, the median of the best run of each.

    Args:
        series: one at least.
        bounds: target -> fewest nonzeros of the plain search (trained, exist).
        targets: accuracies drawn besides those of ``bounds``.

    Raises:
        UsageError: there is nothing to draw, or two series are of the same runs.
    """
    shown = [one for one in series if one.lines]
    if not shown:
        raise UsageError("no rows to draw: give a file with rows at least")
    kinds = [(one.search, one.name) for one in shown]
    if len(set(kinds)) < len(kinds):
        raise UsageError("two runs have the same shape, supports and alpha: give one of each")
    searches = sorted({one.search for one in shown}, reverse=True)
    looks = _looks(shown)
    rows = key_rows(list(looks)) + (1 if bounds else 0)
    frames = Frames(1, len(searches), 2.3, apart=0.3, left=0.62)
    wide = _HALF * len(searches) + 0.2
    figure, [axes] = frames.open(0.3 + ROW * (1 + rows), wide)
    marked = tuple(dict.fromkeys([*targets, *bounds]))
    ceiling = _scale(axes, shown, marked)
    for frame, search in zip(axes, searches, strict=True):
        _draw(frame, [one for one in shown if one.search == search], looks, marked, ceiling)
        _draw_bounds(frame, bounds, ceiling)
        frame.set_xlim(0, _most(shown, search, bounds) * 1.03)
        title = "search: best of the supports tried" if search else "random supports"
        frame.set_title(title, loc="left", pad=3, weight="bold")
    _write_head(figure, looks, bounds)
    return figure


def _looks(shown: Sequence[Series]) -> dict[str, Look]:
    """A colour and mark a shape, dashes where alpha is fixed; by name, in the order of shapes."""
    shapes = sorted({one.shape for one in shown}, key=_widths)
    found = {}
    for place, shape in enumerate(shapes):
        for trained in (False, True):
            for one in shown:
                if (one.shape, one.trained) == (shape, trained):
                    at = place % len(_COLOURS)
                    found[one.name] = Look(_COLOURS[at], _MARKS[at], _DASHES[trained], 1.1)
    return found


def _widths(shape: str) -> tuple[int, ...]:
    return tuple(int(width) for width in shape.replace("x", ",").strip("()").split(","))


def _scale(axes: Sequence[Axes], shown: Sequence[Series], targets: Sequence[float]) -> float:
    """One vertical scale for all frames; the accuracy at which it ends."""
    seen = [line[key] for one in shown for line in one.lines for key in ("best", "median")]
    ceiling = 1.0
    for frame in axes:
        ceiling = accuracy_axis(frame, seen, targets, floor=_FLOOR, head=0.08)
        if frame is not axes[0]:
            frame.set_ylabel("")
            frame.tick_params(labelleft=False)
    return ceiling


def _most(
    shown: Sequence[Series], search: bool, bounds: Mapping[float, tuple[float, float]]
) -> float:
    """The most parameters of a frame."""
    own = [line["parameters"] for one in shown if one.search == search for line in one.lines]
    return float(max([*own, *(end for ends in bounds.values() for end in ends)]))


def _draw(
    frame: Axes,
    shown: Sequence[Series],
    looks: Mapping[str, Look],
    targets: Sequence[float],
    ceiling: float,
) -> None:
    for place, one in enumerate(shown):
        x = np.array([line["parameters"] for line in one.lines], np.float64)
        best, median = (
            np.minimum([line[key] for line in one.lines], ceiling) for key in ("best", "median")
        )
        look, depth = looks[one.name], 4 + place / 100
        frame.plot(x, best, gid="best", zorder=depth, **look.line)
        own = some_marks(frame, len(x), place)
        frame.plot(x[own], best[own], gid="marks", zorder=depth, **look.mark(3))
        if not one.search:
            thin = {**look.line, "lw": 0.7, "alpha": 0.55}
            frame.plot(x, median, gid="median", zorder=3, **thin)
    for target in targets:
        frame.axhline(min(target, ceiling), color=ACCENT, lw=0.6, dashes=(5, 2.5), zorder=1,
                      gid="target")  # fmt: skip
    frame.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    frame.grid(axis="x", color=FAINT, lw=0.5)
    frame.set_axisbelow(True)
    frame.set_xlabel("trained parameters", labelpad=2)


def _draw_bounds(frame: Axes, bounds: Mapping[float, tuple[float, float]], ceiling: float) -> None:
    for target, (trained, exists) in bounds.items():
        for x, filled in ((trained, True), (exists, False)):
            face = ACCENT if filled else "white"
            frame.plot([x], [min(target, ceiling)], marker="D", ms=4.2, mew=0.9, mec=ACCENT,
                       color=face, ls="", zorder=6, gid="bound")  # fmt: skip


def _write_head(
    figure: Figure, looks: Mapping[str, Look], bounds: Mapping[float, tuple[float, float]]
) -> None:
    width, height = figure.get_size_inches()
    what = "DCT plus sparse on the Cubist Spiral: lines are best runs"
    write_heading(figure, f"{what}, thin lines medians over random supports")
    top, where = height - 0.08 - ROW, figure.dpi_scale_trans
    write_key(figure, list(looks.items()), (0.1, top), width - 0.2)
    if not bounds:
        return
    y = top - (key_rows(list(looks)) + 0.55) * ROW
    few = "; ".join(
        f"{plain_percent(target)} {trained:g} and {exists:g}"
        for target, (trained, exists) in bounds.items()
    )
    for x, filled in ((0.16, True), (0.3, False)):
        figure.add_artist(
            Line2D([x], [y], marker="D", ms=4, mew=0.9, mec=ACCENT, ls="", transform=where,
                   color=ACCENT if filled else "white")
        )  # fmt: skip
    text = f"plain search without an offset, nonzeros trained and existing: {few}"
    figure.text(0.1 + 0.34, y, text, va="center", color=ACCENT, transform=where)
