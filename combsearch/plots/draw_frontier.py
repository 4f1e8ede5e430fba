"""Frontiers of several methods in one figure: best accuracy with at most so many nonzeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from combsearch.errors import UsageError
from combsearch.frontier import frontier
from combsearch.numerals import plain_percent
from combsearch.plots.scales import accuracy_axis, inches, nonzeros_axis
from combsearch.plots.style import ACCENT, BLUE, COLUMN, GREY, INK, new_figure, styled
from combsearch.prune_config import PAPER_TARGETS

F64 = npt.NDArray[np.float64]
Published = tuple[str, int, float]  # label, nonzeros, accuracy

# Apart from each other under the common colour-vision deficiencies; neither orange, which is
# class 0 elsewhere, nor the colour of targets. Further lines repeat them with other dashes.
_COLOURS = (INK, BLUE, "#17835b", "#b8860b", "#7a4fb0", "#5bb0e3", "#8c4a1f")
_DASHES = ((), (4, 1.5), (1.2, 1.2))
_MARKERS = "Ds^vPXph"
_FLOOR = 1e-6  # smallest error of the axis
_LEFT, _RIGHT, _TOP, _HEIGHT = 0.7, 0.14, 0.1, 2.4  # inches: around the frame, and its height
_FOOT = 0.38  # inches for the axis below the frame
_ROW = 0.15  # inches a line of the table
_LETTER, _SWATCH, _COLUMN = 0.057, 0.36, 0.45  # inches: a character, a sample, a column of numbers


@dataclass(frozen=True)
class _Entry:
    """A method's frontier or a published network: its arrays, and how it is drawn.

    ``nonzeros`` and ``accuracy`` both ascend, [step].
    """

    label: str
    nonzeros: npt.NDArray[np.int64]
    accuracy: F64
    look: Mapping[str, Any]

    @property
    def single(self) -> bool:
        """Whether it is one network, with a mark and no line."""
        return "marker" in self.look

    def lowest(self, target: float) -> int | None:
        """Fewest nonzeros that reach ``target``."""
        place = int(np.searchsorted(self.accuracy, target))
        return int(self.nonzeros[place]) if place < len(self.nonzeros) else None


@styled()
def frontiers(
    lines: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    targets: Sequence[float] = (*PAPER_TARGETS, 1.0),
    published: Sequence[Published] = (),
) -> Figure:
    """Frontiers as steps, a dot where each first reaches a target, and a table of those.

    The accuracy axis is logarithmic in the error; nonzeros are where they reach beyond 150.

    Args:
        lines: label -> (nonzeros, accuracy), [network] each and in any order: networks that a
            method found, of which only the best with at most so many nonzeros are drawn.
        targets: accuracies in (0, 1] that the table states the lowest nonzeros of.
        published: label, nonzeros and accuracy of single networks, a mark each.

    Raises:
        UsageError: when there is nothing to draw, arrays differ in length, or an accuracy
            is not in [0, 1].
    """
    targets = sorted(targets)
    entries = [
        _entry(label, nonzeros, accuracy, _line(place))
        for place, (label, (nonzeros, accuracy)) in enumerate(lines.items())
    ] + [
        _entry(label, [nonzeros], [accuracy], _mark(place))
        for place, (label, nonzeros, accuracy) in enumerate(published)
    ]
    x = np.concatenate([np.zeros(0, np.int64), *(entry.nonzeros for entry in entries)])
    y = np.concatenate([np.zeros(0), *(entry.accuracy for entry in entries)])
    if not len(x):
        raise UsageError("no frontier to draw: neither a line nor a published network was given")
    figure, axes = _frame(entries, len(targets))
    ceiling = accuracy_axis(axes, y, targets, floor=_FLOOR, head=0.08)
    axes.yaxis.set_label_coords(-(_LEFT - 0.16) / inches(axes)[0], 0.5)
    nonzeros_axis(axes, int(x.min()), int(x.max()))
    for target in targets:
        axes.axhline(
            min(target, ceiling), color=ACCENT, lw=0.6, dashes=(5, 2.5), gid="target", zorder=1
        )
    # The first line is the one that others are compared with: on top.
    for depth, entry in enumerate(reversed(entries)):
        _draw(axes, entry, targets, ceiling, 2 + depth / len(entries))
    _write_table(figure, entries, targets)
    return figure


def _entry(
    label: str, nonzeros: npt.ArrayLike, accuracy: npt.ArrayLike, look: Mapping[str, Any]
) -> _Entry:
    x, y = np.asarray(nonzeros), np.asarray(accuracy, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise UsageError(f"{label!r}: {x.shape} nonzeros and {y.shape} accuracies, not one each")
    if not ((y >= 0) & (y <= 1)).all():
        raise UsageError(f"{label!r}: accuracies must be in [0, 1]")
    steps = frontier(x.astype(np.int64), y)
    return _Entry(label, *steps, look)


def _line(place: int) -> dict[str, Any]:
    """How the line at ``place`` looks, as arguments of ``Line2D``."""
    dashes = _DASHES[place // len(_COLOURS) % len(_DASHES)]
    colour = _COLOURS[place % len(_COLOURS)]
    return {"color": colour, "lw": 1.5 if place == 0 else 1.1, "ls": (0, dashes) if dashes else "-"}


def _mark(place: int) -> dict[str, Any]:
    marker = _MARKERS[place % len(_MARKERS)]
    return {"ls": "", "marker": marker, "ms": 4.6, "mew": 0.9, "mec": INK, "mfc": "white"}


def _frame(entries: Sequence[_Entry], columns: int) -> tuple[Figure, Axes]:
    """The figure, as wide and high as the table below the frame needs, and its axes."""
    longest = max(len(entry.label) for entry in entries)
    width = max(COLUMN, _SWATCH + longest * _LETTER + columns * _COLUMN + 0.2)
    foot = _FOOT + (len(entries) + 1) * _ROW + 0.04
    figure = new_figure(width, foot + _HEIGHT + _TOP)
    width, height = figure.get_size_inches()
    place = (_LEFT / width, foot / height, 1 - (_LEFT + _RIGHT) / width, _HEIGHT / height)
    return figure, figure.add_axes(place)


def _draw(
    axes: Axes, entry: _Entry, targets: Sequence[float], ceiling: float, depth: float
) -> None:
    x, y = entry.nonzeros, np.minimum(entry.accuracy, ceiling)
    if entry.single:
        axes.plot(x, y, gid="published", zorder=4 + depth, **entry.look)
        return
    if not len(x):
        return
    axes.step(
        np.append(x, axes.get_xlim()[1]),
        np.append(y, y[-1]),
        where="post",
        gid="frontier",
        zorder=depth,
        **entry.look,
    )
    reached = [target for target in targets if target <= entry.accuracy[-1]]
    axes.plot(
        [entry.lowest(target) or 0 for target in reached],
        [min(target, ceiling) for target in reached],
        ls="", marker="o", ms=4.2,
        mew=0.6, mec="white", color=entry.look["color"], gid="lowest", zorder=2 + depth,
    )  # fmt: skip


def _write_table(figure: Figure, entries: Sequence[_Entry], targets: Sequence[float]) -> None:
    """Sample, label and the lowest nonzeros at each target, a line an entry; inches."""
    width = figure.get_size_inches()[0]
    ends = [width - _RIGHT - _COLUMN * place for place in reversed(range(len(targets)))]
    where = figure.dpi_scale_trans
    y = (len(entries) + 0.5) * _ROW + 0.02
    style: dict[str, Any] = {"va": "center", "transform": where}
    if targets:
        figure.text(ends[0] - 0.4, y, "lowest nonzeros at", ha="right", color=ACCENT, **style)
    for end, target in zip(ends, targets, strict=True):
        figure.text(end, y, plain_percent(target), ha="right", color=ACCENT, **style)
    for entry in entries:
        y -= _ROW
        ends_of_sample = [0.08, _SWATCH - 0.08] if not entry.single else [_SWATCH / 2]
        sample = Line2D(ends_of_sample, [y] * len(ends_of_sample), transform=where, **entry.look)
        figure.add_artist(sample)
        figure.text(_SWATCH, y, entry.label, ha="left", **style)
        for end, target in zip(ends, targets, strict=True):
            lowest = entry.lowest(target)
            text, colour = ("–", GREY) if lowest is None else (f"{lowest:,}", INK)
            figure.text(end, y, text, ha="right", color=colour, **style)
