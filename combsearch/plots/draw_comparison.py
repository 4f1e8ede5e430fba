"""Pruning methods beside the bound: accuracy against nonzeros (the paper's figures 8, 11, 17)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from combsearch.errors import UsageError
from combsearch.frontier import frontier
from combsearch.numerals import plain_percent
from combsearch.plots.methods import SEARCH, Look, looks, method_name
from combsearch.plots.scales import accuracy_axis, inches, nonzeros_axis
from combsearch.plots.style import ACCENT, FAINT, GREY, INK, PAGE, new_figure, styled

F64 = npt.NDArray[np.float64]
Runs = tuple[npt.ArrayLike, npt.ArrayLike]
"""Nonzeros and accuracy, [run] each, in any order."""

_FLOOR = 1e-5  # smallest error of the axis
_LEFT, _TOP, _FOOT = 0.72, 0.1, 0.4  # inches: around the frame
_ROW, _TITLE = 0.155, 0.2  # inches: a line of the table, the title
_HEIGHT = 2.5  # inches: the frame at least
_LETTER, _SWATCH, _COLUMN, _FAN = 0.061, 0.3, 0.42, 0.3  # inches: see _write_table
_PANEL, _APART, _HEAD = 1.15, 0.1, 0.2  # inches: a panel's height, between panels, its title
_ACROSS = 4  # panels a row
_BUDGET_TICKS = 8  # at most, in a panel


@dataclass(frozen=True)
class _Line:
    """One line: ``nonzeros`` and ``accuracy`` both ascend, [step]."""

    label: str
    nonzeros: npt.NDArray[np.int64]
    accuracy: F64
    look: Look
    search: bool

    @property
    def end(self) -> float:
        """The accuracy at its right end; -1 of an empty line."""
        return float(self.accuracy[-1]) if len(self.accuracy) else -1.0

    def lowest(self, target: float) -> int | None:
        """Fewest nonzeros that reach ``target``."""
        place = int(np.searchsorted(self.accuracy, target))
        return int(self.nonzeros[place]) if place < len(self.nonzeros) else None


@styled()
def pareto(
    methods: Mapping[str, Runs],
    targets: Sequence[float],
    searches: Mapping[str, Runs] | None = None,
    title: str = "",
) -> Figure:
    """Best accuracy of each method with at most so many nonzeros, the search's bound drawn in.

    A mark where a line rises, a larger one where it first reaches a target; those numbers
    stand beside the lines' names. A search's line goes on thin beyond its last step, where
    it was not looked further. The accuracy axis is logarithmic in the error and ends a little
    above the most accurate method.

    Args:
        methods: name -> (nonzeros, accuracy), [run] each: runs that count. One that has none
            is named and has no line.
        targets: accuracies in (0, 1].
        searches: label -> (nonzeros, accuracy), [network] each: the trained bound, then what
            exists; black.
        title: a line on top.

    Raises:
        UsageError: when there is nothing to draw, arrays differ in length, or an accuracy is
            not in [0, 1].
    """
    targets = sorted(targets)
    lines = _lines(methods, searches)
    shown = _spread_over(lines)
    rows = len(lines) + 1
    height = max(_HEIGHT, rows * _ROW)
    top = _TOP + (_TITLE if title else 0)
    longest = max(len(line.label) for line in lines)
    table = _FAN + _SWATCH + longest * _LETTER + len(targets) * _COLUMN + 0.12
    figure = new_figure(PAGE, _FOOT + height + top)
    total = figure.get_size_inches()[1]
    place = (_LEFT / PAGE, _FOOT / total, (PAGE - _LEFT - table) / PAGE, height / total)
    axes = figure.add_axes(place)
    ceiling = accuracy_axis(axes, shown[1], targets, floor=_floor(lines, targets), head=0.06)
    axes.yaxis.set_label_coords(-(_LEFT - 0.15) / inches(axes)[0], 0.5)
    nonzeros_axis(axes, int(shown[0].min()), int(shown[0].max()))
    _draw_lines(axes, lines, targets, ceiling, marks=3.6)
    _write_table(axes, lines, targets, ceiling)
    if title:
        figure.text(0.1 / PAGE, 1 - 0.07 / total, title, va="top", size=7.5)
    return figure


@styled()
def pareto_grid(
    panels: Mapping[str, Mapping[str, Runs]],
    targets: Sequence[float],
    searches: Mapping[str, Runs] | None = None,
) -> Figure:
    """``pareto`` of several sets of runs, such as one a width, as small multiples.

    Args:
        panels: title -> methods as ``pareto`` takes them; all on the same axes.
        targets, searches: as in ``pareto``.

    Raises:
        UsageError: as ``pareto``.
    """
    targets = sorted(targets)
    names = [method for methods in panels.values() for method in methods]
    styles = looks(names)
    drawn = {
        title: _lines(methods, searches, styles, empty=True) for title, methods in panels.items()
    }
    every = [line for lines in drawn.values() for line in lines]
    shown, floor = _spread_over(every), _floor(every, targets)
    figure, frames = _grid(len(panels), _key_entries(styles, searches))
    for place, (axes, (title, lines)) in enumerate(zip(frames, drawn.items(), strict=True)):
        ceiling = accuracy_axis(axes, shown[1], targets, floor=floor, head=0.05)
        nonzeros_axis(axes, int(shown[0].min()), int(shown[0].max()))
        axes.set_xlabel("nonzeros", labelpad=2)
        axes.set_title(title, loc="left", pad=2, size=7)
        _draw_lines(axes, lines, targets, ceiling, marks=2.0)
        _outer_labels(axes, place, len(panels), "accuracy")
    return figure


@styled()
def disconnected(panels: Mapping[str, Mapping[str, Runs]]) -> Figure:
    """Share of the kept parameters that is disconnected, by budget: a panel a width, say.

    Args:
        panels: title -> method -> (weight budget, mean share of its runs), [budget] each.

    Raises:
        UsageError: when there is nothing to draw.
    """
    styles = looks([method for methods in panels.values() for method in methods])
    every = [np.asarray(x) for methods in panels.values() for x, _ in methods.values()]
    budgets = np.unique(np.concatenate([np.zeros(0, np.int64), *every]))
    if not len(budgets):
        raise UsageError("no runs to draw: none of them counts")
    shares = [np.asarray(y) for methods in panels.values() for _, y in methods.values()]
    highest = float(np.concatenate(shares).max())
    figure, frames = _grid(len(panels), _key_entries(styles, None))
    for place, (axes, (title, methods)) in enumerate(zip(frames, panels.items(), strict=True)):
        _share_axes(axes, budgets, highest)
        axes.set_title(title, loc="left", pad=2, size=7)
        for method, (x, y) in methods.items():
            look = styles[method]
            at = np.searchsorted(budgets, np.asarray(x))
            axes.plot(at, y, gid="share", **look.line, zorder=3)
            axes.plot(at, y, gid="share marks", **look.mark(2.4), zorder=3.1)
        _outer_labels(axes, place, len(panels), "disconnected share")
    return figure


def _share_axes(axes: Axes, budgets: npt.NDArray[Any], highest: float) -> None:
    """A place for every budget, since they stand close at first and far apart then."""
    axes.set_xlim(-0.6, len(budgets) - 0.4)
    every = -(-len(budgets) // _BUDGET_TICKS)
    axes.xaxis.set_major_locator(FixedLocator(range(0, len(budgets), every)))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{b}" for b in budgets[::every].tolist()]))
    axes.set_ylim(-0.03 * highest, max(1.05 * highest, 0.01))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.grid(axis="y", color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("weight budget", labelpad=2)


# ------------------------------------------------------------------ lines


def _lines(
    methods: Mapping[str, Runs],
    searches: Mapping[str, Runs] | None,
    styles: Mapping[str, Look] | None = None,
    empty: bool = False,
) -> list[_Line]:
    """The searches' lines, then those of the methods.

    Raises:
        UsageError: there is no run at all (unless ``empty``), or ``Runs`` are not such.
    """
    styles = looks(list(methods)) if styles is None else styles
    found = [
        _line(label, runs, SEARCH[min(place, len(SEARCH) - 1)], search=True)
        for place, (label, runs) in enumerate((searches or {}).items())
    ]
    found += [_line(method_name(name), runs, styles[name]) for name, runs in methods.items()]
    if not empty and not any(len(line.nonzeros) for line in found):
        raise UsageError("no runs to draw: all of them diverged or collapsed")
    return found


def _line(label: str, runs: Runs, look: Look, search: bool = False) -> _Line:
    x, y = np.asarray(runs[0]), np.asarray(runs[1], np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise UsageError(f"{label!r}: {x.shape} nonzeros and {y.shape} accuracies, not one each")
    if not ((y >= 0) & (y <= 1)).all():
        raise UsageError(f"{label!r}: accuracies must be in [0, 1]")
    return _Line(label, *frontier(x.astype(np.int64), y), look, search)


def _spread_over(lines: Sequence[_Line]) -> tuple[npt.NDArray[np.int64], F64]:
    """Nonzeros and accuracies that the axes must hold: the searches reach no further down."""
    own = [line for line in lines if not line.search and len(line.nonzeros)] or lines
    x = np.concatenate([line.nonzeros for line in own])
    searches = [line for line in lines if line.search and len(line.nonzeros)]
    low = [int(line.nonzeros[0]) for line in searches]
    y = np.concatenate([line.accuracy for line in (*own, *searches)])
    if not len(x):
        raise UsageError("no runs to draw: all of them diverged or collapsed")
    return np.append(x, max([*low, 0]) or x[:0]).astype(np.int64), y


def _floor(lines: Sequence[_Line], targets: Sequence[float]) -> float:
    """Smallest error of the axis: what exists at 100% must not take the methods' room."""
    ends = [line.end for line in lines if not line.search and line.end >= 0]
    errors = [1 - end for end in (*ends, *targets) if end < 1]
    return max(float(f"{min(errors, default=_FLOOR) / 2.5:.0e}"), _FLOOR)


def _draw_lines(
    axes: Axes, lines: Sequence[_Line], targets: Sequence[float], ceiling: float, marks: float
) -> None:
    for target in targets:
        axes.axhline(
            min(target, ceiling), color=ACCENT, lw=0.6, dashes=(5, 2.5), gid="target", zorder=1
        )
    for depth, line in enumerate(reversed(lines)):
        if len(line.nonzeros):
            _draw_line(axes, line, targets, ceiling, marks, 2 + depth / len(lines))


def _draw_line(
    axes: Axes, line: _Line, targets: Sequence[float], ceiling: float, marks: float, depth: float
) -> None:
    x, y = line.nonzeros, np.minimum(line.accuracy, ceiling)
    right = axes.get_xlim()[1]
    if line.search:
        axes.step(x, y, where="post", gid="search", zorder=depth, **line.look.line)
        beyond = {**line.look.line, "lw": 0.5}
        axes.plot([x[-1], right], [y[-1], y[-1]], gid="beyond", zorder=depth, **beyond)
    else:
        axes.step(
            np.append(x, right), np.append(y, y[-1]), where="post", gid="method", zorder=depth,
            **line.look.line,
        )  # fmt: skip
        axes.plot(x, y, gid="steps", zorder=depth, **line.look.mark(marks))
    reached = [target for target in targets if target <= line.end]
    axes.plot(
        [line.lowest(target) or 0 for target in reached],
        [min(target, ceiling) for target in reached],
        gid="first", zorder=3 + depth, **line.look.mark(marks * 1.5),
    )  # fmt: skip


# ------------------------------------------------------------------ names


def _write_table(
    axes: Axes, lines: Sequence[_Line], targets: Sequence[float], ceiling: float
) -> None:
    """Right of the frame, in the order of the lines' ends: sample, name, first nonzeros.

    A thin line leads from each line's end to its name.
    """
    figure = axes.figure
    box, dots = axes.get_window_extent(), figure.dpi
    right, top = box.x1 / dots, box.y1 / dots
    order = sorted(lines, key=lambda line: (-min(line.end, ceiling), _firsts(line, targets)))
    columns = [PAGE - 0.1 - _COLUMN * place for place in reversed(range(len(targets)))]
    style: dict[str, Any] = {"va": "center", "transform": figure.dpi_scale_trans}
    step = (top - box.y0 / dots) / (len(lines) + 1)
    y = top - step / 2
    if targets:
        figure.text(columns[0] - 0.36, y, "first nonzeros at", ha="right", color=ACCENT, **style)
    for x, target in zip(columns, targets, strict=True):
        figure.text(x, y, plain_percent(target), ha="right", color=ACCENT, **style)
    for line in order:
        y -= step
        _write_name(axes, line, (right, y), ceiling)
        for x, target in zip(columns, targets, strict=True):
            lowest = line.lowest(target)
            text, colour = ("–", GREY) if lowest is None else (f"{lowest:,}", INK)
            figure.text(x, y, text, ha="right", color=colour, **style)


def _firsts(line: _Line, targets: Sequence[float]) -> list[float]:
    """First nonzeros from the highest target down, for the order of equals."""
    return [line.lowest(target) or math.inf for target in reversed(targets)]


def _write_name(axes: Axes, line: _Line, where: tuple[float, float], ceiling: float) -> None:
    """Sample and name at ``where`` (inches: the frame's right side, the row)."""
    figure, (right, y) = axes.figure, where
    start = right + _FAN
    if line.end >= 0:
        end = axes.transData.transform((axes.get_xlim()[1], min(line.end, ceiling)))[1]
        fan = Line2D(
            [right + 0.02, start - 0.02], [end / figure.dpi, y], color=line.look.colour, lw=0.5,
            transform=figure.dpi_scale_trans, gid="leader",
        )  # fmt: skip
        figure.add_artist(fan)
    _sample(figure, line.look, start, y, line.search)
    figure.text(
        start + _SWATCH, y, line.label, ha="left", va="center",
        weight="bold" if line.search else "normal", color=line.look.colour,
        transform=figure.dpi_scale_trans,
    )  # fmt: skip


def _sample(figure: Figure | SubFigure, look: Look, x: float, y: float, search: bool) -> None:
    """A piece of a line with its mark, in inches."""
    ends = [x + 0.02, x + _SWATCH - 0.05]
    where = figure.dpi_scale_trans
    figure.add_artist(Line2D(ends, [y, y], transform=where, **look.line))
    if not search:
        middle = [sum(ends) / 2]
        figure.add_artist(Line2D(middle, [y], transform=where, **look.mark(3.6)))


# ------------------------------------------------------------------ small multiples

_Key = list[tuple[str, Look, bool]]


def _key_entries(styles: Mapping[str, Look], searches: Mapping[str, Runs] | None) -> _Key:
    found = [
        (label, SEARCH[min(place, len(SEARCH) - 1)], True)
        for place, label in enumerate(searches or {})
    ]
    return found + [(method_name(name), look, False) for name, look in styles.items()]


def _grid(count: int, key: _Key) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` equal frames, row by row, and the key below them."""
    across = min(count, _ACROSS)
    down = -(-count // across)
    wide = max(len(label) for label, _, _ in key) * _LETTER + _SWATCH + 0.15
    columns = max(1, min(len(key), int((PAGE - 0.2) // wide)))
    key_rows = -(-len(key) // columns)
    foot = _FOOT + key_rows * _ROW + 0.1
    height = foot + down * (_PANEL + _HEAD) + (down - 1) * _APART + 0.02
    figure = new_figure(PAGE, height)
    width = (PAGE - _LEFT - 0.1 - (across - 1) * 0.12) / across
    frames = []
    for place in range(count):
        row, column = divmod(place, across)
        left = _LEFT + column * (width + 0.12)
        bottom = foot + (down - 1 - row) * (_PANEL + _HEAD + _APART)
        box = (left / PAGE, bottom / height, width / PAGE, _PANEL / height)
        frames.append(figure.add_axes(box))
    for place, (label, look, search) in enumerate(key):
        column, row = divmod(place, key_rows)
        x, y = 0.12 + column * wide, 0.06 + (key_rows - row - 0.5) * _ROW
        _sample(figure, look, x, y, search)
        figure.text(
            x + _SWATCH, y, label, va="center", color=look.colour, transform=figure.dpi_scale_trans
        )
    return figure, frames


def _outer_labels(axes: Axes, place: int, count: int, what: str) -> None:
    """Numbers and names at the left and lowest frames alone; ``what`` is short."""
    across = min(count, _ACROSS)
    if place % across:
        axes.yaxis.set_major_formatter(FixedFormatter([]))
        axes.set_ylabel("")
    else:
        axes.set_ylabel(what, labelpad=2)
        axes.yaxis.set_label_coords(-(_LEFT - 0.15) / inches(axes)[0], 0.5)
    if place + across < count:
        axes.xaxis.set_major_formatter(FixedFormatter([]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("")
