"""Accuracy by weight budget over all runs of pruning methods: the paper's figures 20 to 24."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from combsearch.errors import UsageError
from combsearch.numerals import count
from combsearch.plots.methods import method_name
from combsearch.plots.scales import accuracy_axis, inches
from combsearch.plots.style import ACCENT, FAINT, INK, PAGE, new_figure, styled
from combsearch.prune_rows import LOST, OK, within_budget

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]

_FLOOR = 1e-5  # smallest error of the axis
_LEFT, _RIGHT, _FOOT = 0.72, 0.1, 0.4  # inches: around the frames
_TALL, _SMALL = 1.85, 1.3  # inches: a frame of one method, of several
_HEAD, _ROW = 0.2, 0.155  # inches: a frame's title, a line of a key
_LETTER = 0.061  # inches of a character
_ACROSS = 3  # frames a row, of several methods
_SPREAD = 0.72  # of a budget's place that its runs take
# Schedules by mark, rates by colour: orange and blue mean classes elsewhere, these do not.
_RATES = ("#3b528b", "#d9a300", "#a8327d", "#21918c", "#5ec962", "#7a4fb0")
_MARKS = "o^sDvP"


@dataclass(frozen=True)
class _Kind:
    """Runs drawn alike: those of a width, or of a cell."""

    label: str
    own: npt.NDArray[np.bool_]
    colour: str
    marker: str = "o"


@styled()
def accuracy_by_budget(rows: pa.Table, target: float | Sequence[float], title: str = "") -> Figure:
    """Every run against its weight budget, with the best of each budget as a line.

    Of one method there are two frames, coloured by width and by cell; of several one frame
    each, coloured by width. Runs that diverged or collapsed, and those that keep more than
    their budget (``prune_rows.within_budget``), are counted on top, not drawn. A budget's
    runs stand side by side in the order of the key, so that none hides the others.

    Args:
        rows: schema ``prune_rows.COLUMNS``; method, width, budget, cell, accuracy, status,
            weight_nonzeros and shape are enough.
        target: accuracy in (0, 1] that counts as success, or several.
        title: a line on top; by default the method's name and how many runs it has.

    Raises:
        UsageError: when there are no rows.
    """
    if not len(rows):
        raise UsageError("no rows to draw: the run has no finished shard yet")
    targets = sorted([target] if isinstance(target, float | int) else target)
    runs = {name: rows[name].to_numpy() for name in ("method", "width", "budget", "cell", "status")}
    accuracy = rows["accuracy"].to_numpy().astype(np.float64)
    above = ~within_budget(rows)
    runs = {**runs, "accuracy": accuracy, "above": above & (runs["status"] == OK)}
    runs["ok"] = (runs["status"] == OK) & ~above
    methods = list(dict.fromkeys(runs["method"].tolist()))
    if len(methods) == 1:
        return _one_method(runs, methods[0], targets, title)
    return _methods(runs, methods, targets, title)


def _one_method(runs: dict[str, Any], method: str, targets: list[float], title: str) -> Figure:
    everything = np.ones(len(runs["ok"]), np.bool_)
    kinds = [_widths(runs["width"]), _cells(runs["cell"])]
    keys = [_key_rows(found) for found in kinds]
    height = _FOOT + 2 * (_TALL + _HEAD) + sum(keys) * _ROW + 0.12
    figure = new_figure(PAGE, height)
    top = height - _HEAD
    heading = title or _heading(method, runs, everything)
    figure.text(0.1 / PAGE, 1 - 0.07 / height, heading, va="top", size=7.5)
    for name, found, lines in zip(("width", "cell"), kinds, keys, strict=True):
        top -= lines * _ROW + 0.06
        _write_key(figure, name, found, top + 0.06)
        axes = _frame(figure, _LEFT, top - _TALL, PAGE - _LEFT - _RIGHT, _TALL)
        _draw(axes, runs, everything, found, targets)
        top -= _TALL + _HEAD
        if name == "width":
            axes.set_xlabel("")
    return figure


def _methods(
    runs: dict[str, Any], methods: Sequence[str], targets: list[float], title: str
) -> Figure:
    found = _widths(runs["width"])
    across = min(len(methods), _ACROSS)
    down, lines = -(-len(methods) // across), _key_rows(found)
    head = lines * _ROW + (_HEAD if title else 0)
    height = _FOOT + down * (_SMALL + _HEAD + 0.12) + head
    figure = new_figure(PAGE, height)
    if title:
        figure.text(0.1 / PAGE, 1 - 0.07 / height, title, va="top", size=7.5)
    _write_key(figure, "width", found, height - head - 0.06)
    width = (PAGE - _LEFT - _RIGHT - (across - 1) * 0.12) / across
    for place, method in enumerate(methods):
        row, column = divmod(place, across)
        bottom = _FOOT + (down - 1 - row) * (_SMALL + _HEAD + 0.12)
        axes = _frame(figure, _LEFT + column * (width + 0.12), bottom, width, _SMALL)
        own = runs["method"] == method
        _draw(axes, runs, own, found, targets)
        axes.set_title(_short_heading(method, runs, own), loc="left", pad=2, size=7)
        if column:
            axes.yaxis.set_major_formatter(FixedFormatter([]))
            axes.set_ylabel("")
        else:
            axes.set_ylabel("accuracy")
        if place + across < len(methods):
            axes.set_xlabel("")
    return figure


def _frame(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _heading(method: str, runs: dict[str, Any], own: npt.NDArray[np.bool_]) -> str:
    """Name, and how many runs: those that are not drawn apart."""
    parts = [count(int((own & runs["ok"]).sum()), "run")]
    for status in LOST:
        lost = int((own & (runs["status"] == status)).sum())
        parts += [f"{lost:,} {status}"] if lost else []
    above = int((own & runs["above"]).sum())
    parts += [f"{above:,} above budget"] if above else []
    return f"{method_name(method)}: {', '.join(parts)}"


def _short_heading(method: str, runs: dict[str, Any], own: npt.NDArray[np.bool_]) -> str:
    """The same where there is little room: lost are those that collapsed or diverged."""
    drawn, above = int((own & runs["ok"]).sum()), int((own & runs["above"]).sum())
    lost = int((own & ~runs["ok"]).sum()) - above
    parts = [count(drawn, "run")] + [f"{lost:,} lost"] * (lost > 0)
    return f"{method_name(method)}: {', '.join(parts + [f'{above:,} above'] * (above > 0))}"


# ------------------------------------------------------------------ kinds and their key


def _widths(widths: npt.NDArray[Any]) -> list[_Kind]:
    """One a width, the narrowest dark."""
    every = np.unique(widths)
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.93, len(every)))
    return [
        _Kind(f"{width}", widths == width, to_hex(shade))
        for width, shade in zip(every.tolist(), shades, strict=True)
    ]


def _cells(cells: npt.NDArray[Any]) -> list[_Kind]:
    """One a cell: the rate its colour, the schedule its mark."""
    every = sorted(set(cells.tolist()), key=_cell_order)
    rates = list(dict.fromkeys(cell.partition(":")[0] for cell in every))
    schedules = sorted({cell.partition(":")[2] for cell in every})
    return [
        _Kind(
            cell.replace(":", " "),
            cells == cell,
            _RATES[rates.index(cell.partition(":")[0]) % len(_RATES)],
            _MARKS[schedules.index(cell.partition(":")[2]) % len(_MARKS)],
        )
        for cell in every
    ]


def _cell_order(cell: str) -> tuple[float, str]:
    rate, _, schedule = cell.partition(":")
    try:
        return float(rate), schedule
    except ValueError:
        return 0.0, cell


def _pitch(kinds: Sequence[_Kind]) -> float:
    """Inches of one entry of a key."""
    return 0.3 + _LETTER * max(len(kind.label) for kind in kinds)


def _key_rows(kinds: Sequence[_Kind]) -> int:
    return -(-len(kinds) // int((PAGE - _LEFT - _RIGHT) // _pitch(kinds)))


def _write_key(figure: Figure, name: str, kinds: Sequence[_Kind], bottom: float) -> None:
    """Marks and labels in rows, the lowest ``bottom`` inches up."""
    pitch, where = _pitch(kinds), figure.dpi_scale_trans
    columns, rows = int((PAGE - _LEFT - _RIGHT) // pitch), _key_rows(kinds)
    first = bottom + (rows - 0.5) * _ROW
    figure.text(_LEFT - 0.08, first, name, ha="right", va="center", transform=where)
    for place, kind in enumerate(kinds):
        row, column = divmod(place, columns)
        x, y = _LEFT + 0.08 + column * pitch, first - row * _ROW
        mark = Line2D(
            [x], [y], ls="", marker=kind.marker, ms=4, mew=0, color=kind.colour, transform=where
        )
        figure.add_artist(mark)
        figure.text(x + 0.09, y, kind.label, va="center", transform=where)


# ------------------------------------------------------------------ a frame


def _draw(
    axes: Axes,
    runs: dict[str, Any],
    own: npt.NDArray[np.bool_],
    kinds: Sequence[_Kind],
    targets: Sequence[float],
) -> None:
    """Runs ``own`` by kind, and the best of each budget; the axes hold all of ``runs``."""
    budgets = np.unique(runs["budget"])
    accuracy = runs["accuracy"]
    ceiling = accuracy_axis(axes, accuracy[runs["ok"]], targets, floor=_FLOOR, head=0.06)
    axes.yaxis.set_label_coords(-(_LEFT - 0.15) / inches(axes)[0], 0.5)
    _budget_axis(axes, budgets)
    for target in targets:
        axes.axhline(
            min(target, ceiling), color=ACCENT, lw=0.6, dashes=(5, 2.5), gid="target", zorder=1
        )
    place = np.searchsorted(budgets, runs["budget"]).astype(np.float64)
    good = own & runs["ok"]
    if not good.any():
        axes.text(0.5, 0.5, "no run counts", ha="center", transform=axes.transAxes)
        return
    size = float(np.clip(55 / np.sqrt(good.sum()), 1.3, 3.2))
    for number, kind in enumerate(kinds):
        mine = np.flatnonzero(good & kind.own)
        shift = ((number + 0.5) / len(kinds) - 0.5) * _SPREAD
        axes.plot(
            place[mine] + shift, np.minimum(accuracy[mine], ceiling), ls="", marker=kind.marker,
            ms=size, mew=0, color=kind.colour, alpha=0.75, rasterized=True, gid="runs", zorder=2,
        )  # fmt: skip
    best = np.full(len(budgets), -1.0)
    np.maximum.at(best, place[good].astype(np.int64), accuracy[good])
    shown = np.flatnonzero(best >= 0)
    axes.plot(
        shown, np.minimum(best[shown], ceiling), color=INK, lw=0.9, gid="best", zorder=3,
        marker="_", ms=5,
    )  # fmt: skip


def _budget_axis(axes: Axes, budgets: npt.NDArray[Any]) -> None:
    """A place for every budget, all as wide; numbers where there is room."""
    axes.set_xlim(-0.6, len(budgets) - 0.4)
    room = int(inches(axes)[0] / 0.2)
    every = max(1, -(-len(budgets) // room))
    axes.xaxis.set_major_locator(FixedLocator(range(len(budgets))))
    texts = [f"{b}" if place % every == 0 else "" for place, b in enumerate(budgets.tolist())]
    axes.xaxis.set_major_formatter(FixedFormatter(texts))
    axes.xaxis.set_minor_locator(NullLocator())
    for edge in range(len(budgets) - 1):
        axes.axvline(edge + 0.5, color=FAINT, lw=0.4, zorder=0)
    axes.set_xlabel("weight budget", labelpad=2)
