"""How often a shape reaches the target: shares with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from combsearch.frontier import success_interval
from combsearch.numerals import count, percent, plain_percent
from combsearch.plots.runs import Runs, hidden, read_runs
from combsearch.plots.style import BLUE, COLUMN, FAINT, GREY, INK, new_figure, styled

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_TICKS = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
_ROW = 0.145  # inches a shape
_HEADS = ("nonzeros", "shape", "successes", "best")
_LETTER, _GAP = 0.061, 0.11  # inches: a character, and between columns


@dataclass(frozen=True)
class Shares:
    """Runs, successes and best accuracy (-1: all diverged) of each shape."""

    labels: tuple[str, ...]
    nonzeros: I64
    runs: I64
    successes: I64
    best: F64

    @property
    def share(self) -> F64:
        """Successes over runs, float64 [shape]."""
        return self.successes / self.runs

    def interval(self) -> tuple[F64, F64]:
        """Low and high end of each share's 95% Clopper-Pearson interval, float64 [shape] each."""
        ends = [
            success_interval(int(hits), int(runs))
            for hits, runs in zip(self.successes, self.runs, strict=True)
        ]
        low, high = np.array(ends).T
        return low, high

    def take(self, keep: I64) -> Shares:
        """The shapes with these indices, in their order."""
        labels = tuple(self.labels[i] for i in keep)
        return Shares(
            labels, self.nonzeros[keep], self.runs[keep], self.successes[keep], self.best[keep]
        )


def shares(runs: Runs, target: float) -> Shares:
    """Runs and successes of every shape, by rising nonzeros, then shape."""
    group = np.stack([runs.nonzeros, runs.shape], axis=1)
    keys, member = np.unique(group, axis=0, return_inverse=True)
    member = member.reshape(-1)  # numpy 2.0 returned a column here
    best = np.full(len(keys), -1.0)
    np.maximum.at(best, member, runs.score)
    return Shares(
        labels=tuple(hidden(runs.shapes[shape]) for shape in keys[:, 1]),
        nonzeros=keys[:, 0],
        runs=np.bincount(member),
        successes=np.bincount(member, weights=runs.score >= target).astype(np.int64),
        best=best,
    )


def telling(found: Shares, limit: int) -> Shares:
    """At most ``limit`` shapes around the first success.

    Up to two thirds are the sparsest shapes with a success, the rest the nearest misses
    (by best accuracy) among shapes no larger than those.
    """
    hits = np.flatnonzero(found.successes > 0)[: limit - limit // 3]
    largest = found.nonzeros[hits].max() if len(hits) else found.nonzeros.max()
    misses = np.flatnonzero((found.successes == 0) & (found.nonzeros <= largest))
    nearest = misses[np.argsort(-found.best[misses], kind="stable")][: limit - len(hits)]
    return found.take(np.sort(np.concatenate([hits, nearest])))


@styled()
def success(rows: pa.Table, target: float, *, cell: str | None = None, limit: int = 30) -> Figure:
    """Share of runs that reach ``target``, a line a shape, with exact 95% intervals.

    Shapes run down by rising nonzeros; right of each stand its successes, its runs and
    its best accuracy. The axis is a square root, so that shares of 0, 0.1% and 20% can
    be read in one figure.

    Args:
        rows: saved rows, schema ``store.ROWS``.
        target: accuracy that counts as success.
        cell: only runs of this cell (``"0.05:cosine"``); None: of all cells together.
        limit: shapes drawn: those around the first success.

    Raises:
        UsageError: when there are no rows, or none of ``cell``.
    """
    every = shares(read_runs(rows, cell), target)
    shown = telling(every, limit)
    cells = [_HEADS, *_cells(shown)]
    widths = [max(map(len, column)) * _LETTER + _GAP for column in zip(*cells, strict=True)]
    lines = len(shown.labels)
    left, right, height = sum(widths[:2]), sum(widths[2:]), 0.8 + _ROW * lines
    width = max(COLUMN, left + right + 1.2)
    figure = new_figure(width, height)
    axes = figure.add_axes(
        (left / width, 0.4 / height, 1 - (left + right + _GAP) / width, _ROW * lines / height)
    )
    _share_axis(axes, float(shown.interval()[1].max()), target)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_color(GREY)
    _draw_shares(axes, shown)
    at = [widths[0] - _GAP, left - _GAP, width - widths[3], width - _GAP / 2]
    _write_columns(figure, axes, cells, at, shown.successes > 0)
    where = "all cells" if cell is None else f"cell {cell}"
    note = f"{count(int(every.runs.sum()), 'run')} of {count(len(every.labels), 'shape')}, {where}"
    if lines < len(every.labels):
        note += f"; {lines} shown"
    if not every.successes.any():
        note = f"no run reached {plain_percent(target)}: {note}"
    figure.text(0.02, 1 - 0.06 / height, note, va="top")
    return figure


def _share_axis(axes: Axes, reach: float, target: float) -> None:
    reach = min(1.0, reach * 1.06)
    axes.set_xscale("function", functions=(_root, np.square))
    axes.set_xlim(0, reach)
    ticks: list[float] = []
    for tick in _TICKS:
        if tick <= reach and (not ticks or _root(tick) - _root(ticks[-1]) > 0.2 * _root(reach)):
            ticks.append(tick)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([plain_percent(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"share of runs that reach {plain_percent(target)}", labelpad=2)


def _root(share: npt.ArrayLike) -> F64:
    return np.sqrt(np.maximum(np.asarray(share, np.float64), 0))


def _draw_shares(axes: Axes, shown: Shares) -> None:
    """An interval and a dot a shape; an open grey dot where no run succeeded."""
    low, high = shown.interval()
    line = np.arange(len(shown.labels))
    for mask, colour, face in (
        (shown.successes > 0, BLUE, BLUE),
        (shown.successes == 0, GREY, "white"),
    ):
        axes.hlines(
            line[mask],
            low[mask],
            high[mask],
            color=colour,
            lw=1.4 if face == BLUE else 0.9,
            zorder=2,
            gid="intervals",
        )
        axes.plot(
            shown.share[mask],
            line[mask],
            ls="",
            marker="o",
            ms=3.6,
            mfc=face,
            mec=colour,
            mew=0.9,
            gid="successes" if face == BLUE else "misses",
            clip_on=False,  # a share of 0 lies on the frame
            zorder=3,
        )


def _cells(shown: Shares) -> list[tuple[str, str, str, str]]:
    """The texts of each line: nonzeros (once a level), shape, successes of runs, best accuracy."""
    levels = ["", *map(str, shown.nonzeros)]
    return [
        (
            level if level != before else "",
            label,
            f"{shown.successes[line]:,}/{shown.runs[line]:,}",
            percent(shown.best[line]) if shown.best[line] >= 0 else "diverged",
        )
        for line, (before, level, label) in enumerate(
            zip(levels[:-1], levels[1:], shown.labels, strict=True)
        )
    ]


def _write_columns(
    figure: Figure,
    axes: Axes,
    cells: Sequence[Sequence[str]],
    at: Sequence[float],
    hit: npt.NDArray[np.bool_],
) -> None:
    """Columns that end ``at`` these inches: nonzeros and shape left of the axes, the rest right."""
    where = blended_transform_factory(figure.dpi_scale_trans, axes.transData)
    for line, texts in enumerate(cells, start=-1):
        colour = INK if line >= 0 and hit[line] else GREY
        # The heads stand a little off the first line.
        y = line - 0.2 if line < 0 else line
        for x, text in zip(at, texts, strict=True):
            axes.text(x, y, text, ha="right", va="center", color=colour, transform=where)
