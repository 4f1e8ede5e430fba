"""Weights left by the sparsest matching subnetwork, by dimension of the data (figure 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from combsearch.errors import UsageError
from combsearch.numerals import count
from combsearch.plots.dimension_axes import (
    count_axis,
    doubling_axis,
    experiment_named,
    figure_width,
    heading_lines,
    points,
    sequence_looks,
    width_label,
    write_lines,
)
from combsearch.plots.methods import Look
from combsearch.plots.pqi_panels import ROW, key_rows, write_key
from combsearch.plots.style import new_figure, styled
from combsearch.studies.dimensionality.matching import width_order

F64 = npt.NDArray[np.float64]
Record = Mapping[str, Any]
Tables = Mapping[float, Sequence[Record]]
"""Records of ``matching.table_records`` by tolerance; 0 is the strict criterion."""

_TALL, _LEFT, _RIGHT, _APART = 1.45, 0.68, 0.1, 0.14  # inches: of a frame, beside and between
_FOOT, _BETWEEN = 0.42, 0.12  # inches under a row's frames; over its heading
_PALE = 0.42  # how opaque the paper's lines are
_DODGE = 0.035  # of a doubling, from width to width, so that error bars do not hide each other


@dataclass(frozen=True, eq=False)
class Panel:
    """Frames of one experiment: ours by tolerance, the paper's beside the strict one.

    Attributes:
        experiment: its name.
        tables: ours by rising tolerance.
        paper: records of the paper, in the strict frame; () for none.
        looks: by width, ours first.
    """

    experiment: str
    tables: Tables
    paper: Sequence[Record]
    looks: Mapping[str, Look]

    @property
    def records(self) -> list[Record]:
        """All that is drawn."""
        return [*(one for table in self.tables.values() for one in table), *self.paper]

    @property
    def key(self) -> list[tuple[str, Look]]:
        """Names and looks; widths that only the paper has are named so."""
        own = {str(one["group"]) for table in self.tables.values() for one in table}
        return [
            (width_label(width), look)
            if width in own
            else (f"{width_label(width)}, paper", paper_look(look))
            for width, look in self.looks.items()
        ]


@styled()
def dimension_prunability(
    records: Mapping[str, Tables], paper: Mapping[str, Sequence[Record]] | None = None
) -> Figure:
    """A row an experiment, a column a criterion, a line a width: mean ± one standard deviation.

    Args:
        records: experiment (``dimension_axes.EXPERIMENTS``) -> tolerance -> records with
            ``group`` (the width), ``dimension``, ``mean`` and ``spread`` (percent; NaN: no bar)
            and ``seeds``. Tolerance 0 is the strict criterion.
        paper: experiment -> the paper's values, as pale lines beside ours where the criterion is
            strict; None for none. Experiments that ``records`` has not are not drawn.

    Raises:
        UsageError: there is nothing to draw, an experiment is not known, or a mean is not
            above 0.
    """
    panels = [_panel(name, tables, (paper or {}).get(name, ())) for name, tables in records.items()]
    if not any(panel.tables for panel in panels):
        raise UsageError("no records to draw: give those of one experiment at least")
    panels = [panel for panel in panels if panel.tables]
    columns = max(len(panel.tables) for panel in panels)
    width = figure_width(columns)
    heads = [_head(panel, width) for panel in panels]
    heights = [
        ROW * (len(lines) + key_rows([label for label, _ in panel.key], width - 0.2) + 1) + 0.12
        for lines, panel in zip(heads, panels, strict=True)
    ]
    total = sum(heights) + len(panels) * (_TALL + _FOOT + _BETWEEN) - _BETWEEN + 0.06
    figure = new_figure(width, total)
    top = total - 0.06
    for panel, lines, height in zip(panels, heads, heights, strict=True):
        write_lines(figure, lines, top)
        write_key(figure, panel.key, (0.1, top - ROW * len(lines)), width - 0.2)
        _draw(_frames(figure, top - height, len(panel.tables), columns), panel)
        top -= height + _TALL + _FOOT + _BETWEEN
    return figure


def paper_look(look: Look) -> Look:
    """How the paper's line of a width is drawn beside ours: thinner and dashed."""
    return dataclasses.replace(look, dashes=(4, 1.6), width=0.8)


def _panel(name: str, tables: Tables, paper: Sequence[Record]) -> Panel:
    experiment_named(name)
    tables = {tolerance: table for tolerance, table in sorted(tables.items()) if table}
    paper = paper if 0.0 in tables else ()
    found = [*(one for table in tables.values() for one in table), *paper]
    for one in found:
        if not one["mean"] > 0:
            raise UsageError(
                f"{name}, width {one['group']}, dimension {one['dimension']}: mean {one['mean']} "
                "is no share of weights in percent, which is above 0"
            )
    widths = sorted({str(one["group"]) for one in found}, key=width_order)
    return Panel(name, tables, paper, dict(zip(widths, sequence_looks(len(widths)), strict=True)))


def _head(panel: Panel, width: float) -> list[str]:
    named = experiment_named(panel.experiment)
    seeds = [int(one["seeds"]) for table in panel.tables.values() for one in table]
    many = count(max(seeds), "seed")
    if min(seeds) < max(seeds):
        many = f"{min(seeds)} to {many}"
    mean = "mean ± standard deviation of " if max(seeds) > 1 else ""
    paper = "; pale and dashed: the paper's" if panel.paper else ""
    return heading_lines(f"{named.title}: {mean}{many}{paper}", width)


def _frames(figure: Figure, top: float, across: int, columns: int) -> list[Axes]:
    """Frames side by side, their upper edge ``top`` inches over the figure's lower one."""
    width, height = figure.get_size_inches()
    wide = (width - _LEFT - _RIGHT - (columns - 1) * _APART) / columns
    return [
        figure.add_axes(
            (
                (_LEFT + place * (wide + _APART)) / width,
                (top - _TALL) / height,
                wide / width,
                _TALL / height,
            )
        )
        for place in range(across)
    ]


def _draw(frames: Sequence[Axes], panel: Panel) -> None:
    named = experiment_named(panel.experiment)
    low, high = _ends(panel.records)
    count_axis(frames, low, high, "weights left\n(log scale)", lambda number: f"{number:g}%")
    dimensions = sorted({int(one["dimension"]) for one in panel.records})
    for frame, (tolerance, table) in zip(frames, panel.tables.items(), strict=True):
        frame.set_title(_criterion(tolerance), loc="left", pad=3)
        doubling_axis(frame, dimensions, named.dimension)
        if not tolerance:
            for width, look, own, dodge in _lines(panel, panel.paper):
                _line(frame, own, paper_look(look), dodge + _DODGE / 2, f"paper {width}", _PALE)
        for width, look, own, dodge in _lines(panel, table):
            _line(frame, own, look, dodge, f"ours {width}", 1.0)


def _criterion(tolerance: float) -> str:
    """What matches, as the title of a frame."""
    return (
        f"at most {points(tolerance)} below dense" if tolerance else "strict: as accurate as dense"
    )


def _ends(records: Sequence[Record]) -> tuple[float, float]:
    """Smallest and largest percentage to be shown; a bar may go down to a third of its mean."""
    means = np.array([one["mean"] for one in records], np.float64)
    spreads = np.nan_to_num(np.array([one["spread"] for one in records], np.float64))
    low = np.maximum(means - spreads, means / 3).min()
    return float(low), float((means + spreads).max())


def _lines(
    panel: Panel, records: Sequence[Record]
) -> Iterator[tuple[str, Look, list[Record], float]]:
    """Width, look, records by dimension, and how far to the side they are drawn."""
    for place, (width, look) in enumerate(panel.looks.items()):
        own = [one for one in records if str(one["group"]) == width]
        dodge = (place - (len(panel.looks) - 1) / 2) * _DODGE * 2
        if own:
            yield width, look, sorted(own, key=lambda one: int(one["dimension"])), dodge


def _line(
    axes: Axes, records: Sequence[Record], look: Look, dodge: float, gid: str, opaque: float
) -> None:
    x = np.array([one["dimension"] for one in records], np.float64) * 2**dodge
    mean = np.array([one["mean"] for one in records], np.float64)
    spread = np.array([one["spread"] for one in records], np.float64)
    known = np.isfinite(spread)
    # A bar that would reach 0 or below goes off the axis.
    low = np.maximum(mean - spread, axes.get_ylim()[0] / 2)
    axes.vlines(
        x[known], low[known], (mean + spread)[known], color=look.colour, lw=0.8, alpha=opaque,
        zorder=2, gid=f"{gid} bars",
    )  # fmt: skip
    axes.plot(x, mean, gid=gid, alpha=opaque, zorder=3, **look.line)
    axes.plot(x, mean, gid=f"{gid} marks", alpha=opaque, zorder=3.5, **look.mark(4.2))
