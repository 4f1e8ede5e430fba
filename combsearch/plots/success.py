"""How often a shape reaches the target: shares with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from scipy.special import betaincinv

from combsearch.plots.runs import Runs, hidden, read_runs
from combsearch.plots.style import (
    BLUE,
    COLUMN,
    FAINT,
    GREY,
    INK,
    count,
    new_figure,
    percent,
    plain_percent,
    styled,
)

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_TICKS = (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
_ROW = 0.145  # inches a shape
_COLUMNS = (-0.4, -0.06, 1.41, 1.78)  # right edges of the columns, as fractions of the axes


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

    def interval(self, confidence: float = 0.95) -> tuple[F64, F64]:
        """Low and high end of each share's interval, float64 [shape] each."""
        return clopper_pearson(self.successes, self.runs, confidence)

    def take(self, keep: I64) -> Shares:
        """The shapes with these indices, in their order."""
        labels = tuple(self.labels[i] for i in keep)
        return Shares(
            labels, self.nonzeros[keep], self.runs[keep], self.successes[keep], self.best[keep]
        )


def clopper_pearson(successes: I64, runs: I64, confidence: float = 0.95) -> tuple[F64, F64]:
    """Exact interval of a success probability, float64 [n] each end.

    Source: Clopper and Pearson, Biometrika 26 (1934); as quantiles of beta distributions.
    """
    tail = (1 - confidence) / 2
    failures = runs - successes
    # At 0 or n successes one end is exact; the maximum only keeps betaincinv's argument valid.
    low = betaincinv(np.maximum(successes, 1), failures + 1, tail)
    high = betaincinv(successes + 1, np.maximum(failures, 1), 1 - tail)
    return np.where(successes == 0, 0.0, low), np.where(failures == 0, 1.0, high)


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
    lines = len(shown.labels)
    height = 0.8 + _ROW * lines
    figure = new_figure(COLUMN, height)
    axes = figure.add_axes((0.285, 0.4 / height, 0.39, _ROW * lines / height))
    _share_axis(axes, float(shown.interval()[1].max()), target)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_color(GREY)
    _draw_shares(axes, shown)
    _write_columns(axes, shown)
    where = "all cells" if cell is None else f"cell {cell}"
    note = f"{count(int(every.runs.sum()), 'run')} of {count(len(every.labels), 'shape')}, {where}"
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


def _write_columns(axes: Axes, shown: Shares) -> None:
    """Left nonzeros (once a level) and shape; right successes of runs, and the best accuracy."""
    where = axes.get_yaxis_transform()
    for x, head in zip(_COLUMNS, ("nonzeros", "shape", "successes", "best"), strict=True):
        axes.text(x, -0.8, head, ha="right", va="bottom", transform=where, color=GREY, fontsize=6.5)
    for line, label in enumerate(shown.labels):
        new = line == 0 or shown.nonzeros[line - 1] != shown.nonzeros[line]
        texts = (
            f"{shown.nonzeros[line]}" if new else "",
            label,
            f"{shown.successes[line]:,}/{shown.runs[line]:,}",
            percent(shown.best[line]) if shown.best[line] >= 0 else "diverged",
        )
        colour = INK if shown.successes[line] else GREY
        for x, text in zip(_COLUMNS, texts, strict=True):
            axes.text(x, line, text, ha="right", va="center", color=colour, transform=where)
