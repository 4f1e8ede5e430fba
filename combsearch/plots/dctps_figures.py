"""Figures of the study of DCT plus sparse: accuracy over the density, and factors by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from combsearch.errors import UsageError
from combsearch.plots.dctps_lines import DENSE, Line, Study
from combsearch.plots.dctps_looks import look_of, name_of
from combsearch.plots.methods import Look
from combsearch.plots.pqi_axes import join_row, value_axis
from combsearch.plots.pqi_panels import ROW, Frames, key_rows, write_heading, write_key
from combsearch.plots.style import ACCENT, GREY, INK, PAGE, styled
from combsearch.studies.pqi.table import over_seeds

_DODGE = 0.05  # of a decade at most: lines beside each other, so that their bars do not hide
_DENSE_LOOK = Look(INK, "", (5, 2), 0.9)
_TINTS = ("#063f73", "#2f86c6", "#17a8a8", "#d9a400", "#e6550d", "#a3195b", "#6e6e6e")
_SECOND = (5, 1.2, 1.2, 1.2)  # dashes of a method's further cells


@styled()
def accuracy(study: Study) -> Figure:
    """Test accuracy of all methods over the density; that of all weights as a dashed line.

    Raises:
        UsageError: there is no row.
    """
    figure, [[frame]] = _open(study, study.lines, 1, 2.9, titles=False)
    _draw(study, frame, study.sparse)
    value_axis(frame, "test accuracy", percent=True)
    write_heading(figure, study.heading("Test accuracy by share of weights kept", study.lines))
    return figure


@styled()
def beside(study: Study, frames: Mapping[str, Sequence[str]], what: str) -> Figure:
    """A frame for each title with the lines of its methods, where two at least have rows.

    Args:
        study: the lines.
        frames: methods by title.
        what: the heading.

    Raises:
        UsageError: no frame has two methods.
    """
    shown = study.some(frames)
    if not shown:
        raise UsageError("nothing to compare: no frame has rows of two methods")
    lines = study.of([method for methods in shown.values() for method in methods])
    figure, rows = _open(study, lines, len(shown), 2.0, titles=len(shown) > 1)
    axes = [frame for row in rows for frame in row]
    for frame in axes[len(shown) :]:
        frame.set_axis_off()
    for frame, (title, methods) in zip(axes, shown.items(), strict=False):
        _draw(study, frame, study.of(methods))
        if len(shown) > 1:
            frame.set_title(title, loc="left", pad=3)
    _join(rows, "test accuracy", percent=True)
    write_heading(figure, study.heading(what, lines))
    return figure


@styled()
def alphas(study: Study) -> Figure:
    """Trained factors of the transforms by layer, a line a density and a frame a method.

    Raises:
        UsageError: no factor was trained.
    """
    lines = study.with_alphas
    if not lines:
        raise UsageError("no factors to draw: no method trained any")
    densities = sorted({float(d) for line in lines for d in line.densities}, reverse=True)
    looks = {
        density: Look(_TINTS[i % len(_TINTS)], "os^Dv<P"[i % 7])
        for i, density in enumerate(densities)
    }
    key = [(f"{_percent(density)} kept", look) for density, look in looks.items()]
    figure, rows = _frames(key, len(lines), 1.7)
    axes = [frame for row in rows for frame in row]
    for frame in axes[len(lines) :]:
        frame.set_axis_off()
    for frame, line in zip(axes, lines, strict=False):
        _draw_alphas(frame, line, looks)
        frame.set_title(study.name(line), loc="left", pad=3)
    _join(rows, "α after training", percent=False)
    write_heading(figure, study.heading("Factor α of each layer's transform", lines))
    return figure


# ------------------------------------------------------------------ frames and key


def _open(
    study: Study, lines: Sequence[Line], panels: int, tall: float, titles: bool
) -> tuple[Figure, list[list[Axes]]]:
    """Figure and frames, with the key of ``lines`` on top."""
    key = [(study.name(line), _look(study, line)) for line in lines if line.method != DENSE]
    if len(study.dense):
        key.append((name_of(DENSE), _DENSE_LOOK))
    return _frames(key, panels, tall, titles)


def _frames(
    key: Sequence[tuple[str, Look]], panels: int, tall: float, titles: bool = True
) -> tuple[Figure, list[list[Axes]]]:
    above = 0.26 if titles else 0.12
    head = 0.06 + ROW * (1 + key_rows([name for name, _ in key])) + above
    across = min(panels, 2)
    frames = Frames(-(-panels // across), across, tall=tall, below=0.6, apart=0.3)
    figure, rows = frames.open(head)
    write_key(figure, key, (0.1, figure.get_figheight() - 0.08 - ROW), PAGE - 0.2)
    return figure, rows


def _join(rows: Sequence[Sequence[Axes]], label: str, percent: bool) -> None:
    """The frames of each row on one scale."""
    for row in rows:
        own = [frame for frame in row if frame.axison]
        if own:
            join_row(own, label, percent=percent)


def _look(study: Study, line: Line) -> Look:
    """Of the method; of its further cells with other dashes."""
    cells = [other.cell for other in study.lines if other.method == line.method]
    look = look_of(line.method)
    return look if line.cell == cells[0] else dataclasses.replace(look, dashes=_SECOND, width=0.8)


# ------------------------------------------------------------------ lines


def _draw(study: Study, axes: Axes, lines: Sequence[Line]) -> None:
    """Means with bars of one standard deviation, lost networks marked, the dense accuracy."""
    for place, line in enumerate(lines):
        _draw_line(axes, line, _look(study, line), place, len(lines))
    if len(study.dense):
        mean = float(study.dense.mean())
        axes.axhline(mean, zorder=1.5, gid="dense", **_DENSE_LOOK.line)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.03 * (high - low))
    _density_axis(axes, lines)


def _draw_line(axes: Axes, line: Line, look: Look, place: int, lines: int) -> None:
    mean, spread = over_seeds(line.accuracy)
    shift = 10 ** (-_DODGE * (place - (lines - 1) / 2) / max(lines - 1, 1))
    x, depth = line.densities * shift, 3 + place / 100
    bars = np.isfinite(spread)
    axes.vlines(
        x[bars], (mean - spread)[bars], (mean + spread)[bars], color=look.colour, lw=0.7,
        alpha=0.75, zorder=depth, gid="bar",
    )  # fmt: skip
    axes.plot(x, mean, gid="mean", zorder=depth, **look.line)
    axes.plot(x, mean, gid="marks", zorder=depth + 0.5, **look.mark(3.4))
    lost = line.lost.any(axis=0) & np.isfinite(mean)
    axes.plot(
        x[lost], mean[lost], "o", ms=6.5, mfc="none", mec=ACCENT, mew=0.8, zorder=depth + 1,
        gid="lost",
    )  # fmt: skip


def _density_axis(axes: Axes, lines: Sequence[Line]) -> None:
    """Share of weights kept, logarithmic, falling; a tick at each density that is drawn."""
    densities = sorted({float(d) for line in lines for d in line.densities}) or [1.0]
    axes.set_xscale("log")
    room = max((densities[-1] / densities[0]) ** 0.04, 1.12)
    axes.set_xlim(densities[-1] * room, densities[0] / room)
    axes.xaxis.set_major_locator(FixedLocator(_apart(densities)))
    axes.xaxis.set_major_formatter(FixedFormatter([_percent(d) for d in _apart(densities)]))
    axes.xaxis.set_minor_locator(NullLocator())
    rings = "; in a ring: networks collapsed or diverged"
    lost = any(line.lost.any() for line in lines)
    axes.set_xlabel(f"weights kept (log scale{rings if lost else ''})", labelpad=2)


def _apart(densities: Sequence[float]) -> list[float]:
    """Densities with room for their texts."""
    found: list[float] = []
    whole = np.log10(densities[-1] / densities[0]) if len(densities) > 1 else 1.0
    for density in reversed(densities):
        if not found or np.log10(found[-1] / density) > 0.09 * whole:
            found.append(density)
    return found


def _draw_alphas(axes: Axes, line: Line, looks: Mapping[float, Look]) -> None:
    layer = np.arange(1, line.alphas.shape[2] + 1)
    axes.axhline(1, color=GREY, lw=0.6, ls=(0, (4, 2)), zorder=1, gid="first")
    for place, density in enumerate(line.densities):
        mean, spread = over_seeds(line.alphas[:, place])
        look = looks[float(density)]
        bars = np.isfinite(spread)
        x = layer + 0.05 * (place - (len(line.densities) - 1) / 2)
        axes.vlines(
            x[bars], (mean - spread)[bars], (mean + spread)[bars], color=look.colour, lw=0.7,
            alpha=0.75, zorder=3, gid="bar",
        )  # fmt: skip
        axes.plot(x, mean, gid="mean", zorder=3, **look.line)
        axes.plot(x, mean, gid="marks", zorder=3.5, **look.mark(3.0))
    axes.set_xlim(0.7, len(layer) + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("layer", labelpad=2)


def _percent(density: float) -> str:
    return f"{density:g}%"
