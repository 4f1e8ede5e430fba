"""The bound of a search by levels: what it found, and what its restarts exclude."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from combsearch.errors import UsageError
from combsearch.frontier import frontier, success_interval
from combsearch.numerals import percent, plain_percent
from combsearch.plots.scales import accuracy_axis, inches
from combsearch.plots.style import (
    ACCENT,
    BLUE,
    COLUMN,
    FAINT,
    GREY,
    INK,
    PAGE,
    leader,
    new_figure,
    styled,
)

F64 = npt.NDArray[np.float64]
LevelJson = Mapping[str, Any]

_NARROW = 12  # levels that fit into a column
_LEFT, _RIGHT = 0.68, 0.1  # inches beside the panels
_UPPER, _LOWER = 1.75, 1.35  # inches of the panels
_LINE = 0.15  # inches of a line of text
_DIGIT, _SMALL = 0.054, 6.0  # inches of a digit at so many points
_PARTS = (1, 2, 5)  # of a decade, that get ticks where there are few decades
_FEW, _MOST = 2, 9  # decades: those that get such ticks, and those that all get one
_PERCENT_FROM = 1e-5  # probabilities below are written as powers of ten


@styled()
def bound(levels: Sequence[LevelJson], target: float, title: str = "") -> Figure:
    """Best accuracy of each level, and below it what is known of the success probability.

    A closed level has two upper limits at 95%: for the success probability of each mask by
    itself, and for those of all masks of the level at once. Every level has the exact 95%
    interval of the share of its runs that succeed, all masks together, down to the axis where
    none did; runs that a race gave up count as failures there. Under the axis stand the
    masks of each level and the restarts that every one of them got.

    Args:
        levels: as ``frontier.Level.to_json`` writes them, in any order.
        target: accuracy in (0, 1] that counts as success.
        title: a line on top.

    Raises:
        UsageError: when there is no level.
    """
    if not levels:
        raise UsageError("no levels to draw: no mask was trained yet")
    levels = sorted(levels, key=lambda level: level["nonzeros"])
    width = COLUMN if len(levels) <= _NARROW else PAGE
    pitch = (width - _LEFT - _RIGHT) / (levels[-1]["nonzeros"] - levels[0]["nonzeros"] + 1.4)
    named, rows = _table(levels, pitch)
    marks = _lower_key(levels)
    lines = len(marks) if width == COLUMN else 1
    foot = 0.23 + sum(row.height for row in rows)
    middle = foot + _LOWER + 0.08 + lines * _LINE + 0.1
    height = middle + _UPPER + _LINE + 0.08 + (_LINE + 0.03 if title else 0)
    figure = new_figure(width, height)
    across = (_LEFT / width, 1 - (_LEFT + _RIGHT) / width)
    upper = figure.add_axes((across[0], middle / height, across[1], _UPPER / height))
    lower = figure.add_axes((across[0], foot / height, across[1], _LOWER / height))
    for axes in (upper, lower):
        _nonzeros(axes, levels, named if axes is lower else None)
    _draw_accuracy(upper, levels, target)
    _draw_probability(lower, levels)
    _legend(lower, marks, columns=1 if width == COLUMN else len(marks))
    _write_table(lower, named, rows)
    for axes in (upper, lower):
        axes.yaxis.set_label_coords(-(_LEFT - 0.16) / inches(axes)[0], 0.5)
    if title:
        figure.text(0.1 / width, 1 - 0.06 / height, title, va="top")
    return figure


def _nonzeros(axes: Axes, levels: Sequence[LevelJson], named: Sequence[LevelJson] | None) -> None:
    """The horizontal axis; numbers only at the ``named`` levels."""
    axes.set_xlim(levels[0]["nonzeros"] - 0.7, levels[-1]["nonzeros"] + 0.7)
    every = [level["nonzeros"] for level in levels]
    shown = {level["nonzeros"] for level in named or ()}
    axes.xaxis.set_major_locator(FixedLocator(every))
    axes.xaxis.set_minor_locator(NullLocator())
    texts = [f"{number}" if number in shown else "" for number in every]
    axes.xaxis.set_major_formatter(FixedFormatter(texts))
    axes.tick_params(axis="x", pad=2)


def _first_success(levels: Sequence[LevelJson]) -> LevelJson | None:
    return next((level for level in levels if level["successes"]), None)


# ------------------------------------------------------------------ accuracy


def _draw_accuracy(axes: Axes, levels: Sequence[LevelJson], target: float) -> None:
    tried = [level for level in levels if level["finished"]]
    nonzeros = np.array([level["nonzeros"] for level in tried])
    best = np.array([level["best_accuracy"] for level in tried], np.float64)
    floor = max(float(f"{(1 - target) / 25:.0e}"), 1e-6)
    ceiling = accuracy_axis(axes, best, (target,), floor=floor, head=0.32)
    axes.axhline(
        min(target, ceiling), color=ACCENT, lw=0.7, dashes=(5, 2.5), gid="target", zorder=1.5
    )
    shown = np.minimum(best, ceiling)
    if tried:
        steps = frontier(nonzeros, shown)
        axes.step(
            np.append(steps[0], axes.get_xlim()[1]),
            np.append(steps[1], steps[1][-1]),
            where="post",
            color=INK,
            lw=1.1,
            gid="frontier",
        )
    whole = np.array([bool(level["closed"] or level["successes"]) for level in tried], np.bool_)
    for mask, face, gid in ((whole, BLUE, "best"), (~whole, "white", "open")):
        axes.plot(
            nonzeros[mask], shown[mask], ls="", marker="o", ms=3.8, mew=0.9, mec=BLUE, mfc=face,
            gid=gid, zorder=3,
        )  # fmt: skip
    _name_success(axes, tried, target, ceiling)
    handles = {
        "best of each level": _dot("o", 3.8, BLUE, BLUE),
        "unfinished": _dot("o", 3.8, BLUE, "white"),
        "frontier": Line2D([], [], color=INK, lw=1.1),
        f"target {plain_percent(target)}": Line2D([], [], color=ACCENT, lw=0.7, dashes=(5, 2.5)),
    }
    # In a column there is room for three; the coloured tick says what the line is.
    if whole.all():
        del handles["unfinished"]
    elif axes.figure.bbox.width < PAGE * axes.figure.dpi:
        del handles[f"target {plain_percent(target)}"]
    _legend(axes, handles, columns=len(handles))


def _dot(marker: str, size: float, edge: str, face: str) -> Line2D:
    return Line2D([], [], ls="", marker=marker, ms=size, mew=0.9, mec=edge, mfc=face)


def _name_success(axes: Axes, tried: Sequence[LevelJson], target: float, ceiling: float) -> None:
    """Ring the first success, or the nearest to one, and name it in the strip on top."""
    success = _first_success(tried)
    level = success or max(tried, key=lambda level: level["best_accuracy"], default=None)
    strip = 1 - 0.1 / inches(axes)[1]
    if level is None:
        axes.text(0.01, strip, "no run finished yet", va="center", color=ACCENT,
                  transform=axes.transAxes)  # fmt: skip
        return
    x, y = level["nonzeros"], min(level["best_accuracy"], ceiling)
    text = f"{x} nonzeros, {percent(level['best_accuracy'])}"
    axes.plot(
        [x], [y], ls="", marker="o", ms=8, mfc="none", mec=ACCENT, mew=1.2, zorder=5,
        gid="nearest" if success is None else "first success",
    )  # fmt: skip
    if success is None:
        text = f"no run reached {plain_percent(target)}; best: {text}"
        axes.text(0.01, strip, text, va="center", color=ACCENT, transform=axes.transAxes)
        return
    axes.vlines(x, axes.get_ylim()[0], y, color=ACCENT, lw=0.7, zorder=0)
    low, high = axes.get_xlim()
    at = (x - low) / (high - low)
    start = 0.0 if at < 0.35 else 1.0 if at > 0.65 else 0.5
    axes.annotate(
        f"first success: {text}",
        (x, y),
        xytext=(x, strip),
        textcoords=axes.get_xaxis_transform(),
        ha={0.0: "left", 0.5: "center", 1.0: "right"}[start],
        va="center",
        color=ACCENT,
        arrowprops=leader(start, gap=4.5),
    )


# ------------------------------------------------------------------ success probability


def _lower_key(levels: Sequence[LevelJson]) -> dict[str, Line2D]:
    """What the lower panel draws; marks that it has none of are left out."""
    marks = {}
    if any(level["closed"] for level in levels):
        marks["upper limit (95%), each mask"] = _dot("v", 3.6, INK, INK)
        marks["upper limit (95%), all masks at once"] = _dot("v", 5.2, INK, "white")
    if any(level["started"] for level in levels):
        share = Line2D([], [], lw=1.4, color=BLUE, marker="o", ms=3.6, mew=0)
        marks["share of all runs, 95% interval"] = share
    return marks


def _draw_probability(axes: Axes, levels: Sequence[LevelJson]) -> None:
    closed = [level for level in levels if level["closed"]]
    each = np.array([level["excluded_success_probability"] for level in closed], np.float64)
    whole = np.array([level["excluded_for_the_level"] for level in closed], np.float64)
    tried = [level for level in levels if level["started"]]
    share = np.array([level["successes"] / level["started"] for level in tried], np.float64)
    ends = [success_interval(level["successes"], level["started"]) for level in tried]
    low, high = np.array(ends, np.float64).reshape(-1, 2).T
    # Few successes leave the lower end of an interval decades below: cut that off.
    marks = np.concatenate([each, whole, high, np.maximum(low, share / 8)[share > 0]])
    _probability_axis(axes, min([*marks, 1.0]) / 2, max([*marks, 1e-9]) * 1.6)
    at = [level["nonzeros"] for level in closed]
    for values, size, face, gid in ((whole, 5.2, "white", "whole"), (each, 3.6, INK, "each")):
        axes.plot(
            at, values, ls="", marker="v", ms=size, mew=0.8, mec=INK, mfc=face, gid=gid, zorder=3
        )
    nonzeros = np.array([level["nonzeros"] for level in tried])
    for mask, width in ((share > 0, 1.4), (share == 0, 0.7)):
        start = np.maximum(low[mask], axes.get_ylim()[0])
        axes.vlines(
            nonzeros[mask], start, high[mask], color=BLUE, lw=width, zorder=2, gid="intervals"
        )
    none, some = share == 0, share > 0
    axes.plot(nonzeros[none], high[none], ls="", marker="_", ms=4, mew=0.9, color=BLUE, gid="none")
    axes.plot(
        nonzeros[some], share[some], ls="", marker="o", ms=3.6, mew=0, color=BLUE, gid="shares"
    )


def _probability_axis(axes: Axes, low: float, high: float) -> None:
    """Logarithmic, at least a decade, and no further than a little above 1."""
    high = min(max(high, 1e-8), 1.5)
    low = min(low, high / 15)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = _PARTS if math.log10(high / low) < _FEW else _PARTS[:1]
    every = math.ceil(len(decades) / _MOST)
    ticks = [10.0**decade * part for decade in decades[::every] for part in parts]
    ticks = [tick for tick in ticks if low <= tick <= min(high, 1.0)]
    if low >= _PERCENT_FROM:
        texts = [plain_percent(tick) for tick in ticks]
    else:
        texts = [f"$10^{{{round(math.log10(tick))}}}$" for tick in ticks]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter(texts))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.set_ylabel("success probability", labelpad=2)


def _legend(axes: Axes, handles: Mapping[str, Line2D], columns: int) -> None:
    """Above the axes."""
    if handles:
        axes.legend(
            list(handles.values()),
            list(handles),
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=columns,
            borderaxespad=0.2,
            borderpad=0.1,
            handlelength=1.4,
            handletextpad=0.6,
            columnspacing=1.5,
            labelspacing=0.3,
        )


# ------------------------------------------------------------------ the numbers under the axis


@dataclass(frozen=True)
class _Row:
    """Numbers under the axis; upright where they are too wide. Height in inches."""

    head: str
    texts: tuple[str, ...]
    upright: bool
    height: float


def _table(levels: Sequence[LevelJson], pitch: float) -> tuple[list[LevelJson], list[_Row]]:
    """The levels that are named, and two rows of texts for them.

    Where the ``pitch`` (inches a nonzero) is too narrow for their nonzeros, only every second
    level is named, or every third, ...; the first success always is.
    """
    needed = max(0.1, 0.062 * len(str(levels[-1]["nonzeros"])) + 0.03)
    every = math.ceil(needed / pitch)
    first = _first_success(levels)
    start = levels.index(first) % every if first is not None else (len(levels) - 1) % every
    named = list(levels[start::every])
    columns = {
        "masks": [short(level["orbits"]) for level in named],
        "restarts": [short(level["restarts"]) if level["restarts"] else "–" for level in named],
    }
    rows = []
    for head, texts in columns.items():
        longest = max(map(len, texts)) * _DIGIT
        upright = longest + 0.03 > pitch * every
        rows.append(_Row(head, tuple(texts), upright, longest + 0.06 if upright else _LINE))
    return named, rows


def short(number: int) -> str:
    """At most six characters: ``"9,999"``, ``"12.3k"``, ``"8.34M"``; cut, not rounded."""
    for start, unit, name in ((10**9, 10**9, "G"), (10**6, 10**6, "M"), (10**4, 10**3, "k")):
        if number >= start:
            digits = max(0, 3 - len(str(number // unit)))
            return f"{number * 10**digits // unit / 10**digits:.{digits}f}{name}"
    return f"{number:,}"


def _write_table(axes: Axes, named: Sequence[LevelJson], rows: Sequence[_Row]) -> None:
    """Rows of small numbers under the levels, with their heads left of the axis."""
    inch = axes.figure.dpi_scale_trans
    under = blended_transform_factory(axes.transData, inch)
    top, left = 0.02 + sum(row.height for row in rows), _LEFT - 0.13
    style: dict[str, Any] = {"size": _SMALL, "color": GREY}
    axes.text(left, top + 0.1, "nonzeros", ha="right", va="center", transform=inch)
    for row in rows:
        y = top - 0.02 if row.upright else top - row.height / 2
        axes.text(left, top - _LINE / 2, row.head, ha="right", va="center", transform=inch, **style)
        for level, text in zip(named, row.texts, strict=True):
            axes.text(
                level["nonzeros"], y, text, ha="center", va="top" if row.upright else "center",
                rotation=90 if row.upright else 0, transform=under, **style,
            )  # fmt: skip
        top -= row.height
