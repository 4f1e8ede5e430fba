"""How many weights each layer keeps: the paper's figures A.2 (EPL, EPF) and C.10 (SynFlow)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from combsearch.errors import UsageError
from combsearch.plots.dctps_looks import look_of, name_of, order
from combsearch.plots.methods import Look
from combsearch.plots.pqi_axes import log_ticks, name_axis
from combsearch.plots.pqi_panels import ROW, Frames, key_rows, write_heading, write_key
from combsearch.plots.scales import inches
from combsearch.plots.style import ACCENT, FAINT, GREY, INK, PAGE, save, styled
from combsearch.studies.dctps.allocate import Allocation

_ALL = Look(GREY, "", (), 0.8)
_EMPTY = ("no weight left", Look(ACCENT, "X", (), 0.0))
_TINTS = ("#063f73", "#2f86c6", "#17a8a8", "#d9a400", "#e6550d", "#a3195b")
_MARKED = 60  # layers up to which each has a mark


def draw_allocations(found: Sequence[Allocation], folder: Path, suffix: str = "png") -> list[Path]:
    """Write the figures of ``found`` to ``folder``.

    ``layers-NETWORK`` for each network: all methods, a frame a density. Of several networks
    ``METHOD`` too for each method that follows the weights (SynFlow): a frame a network.

    Args:
        found: one at least.
        folder: made if missing.
        suffix: png, pdf or svg.

    Returns:
        The files written.
    """
    figures = {}
    networks = list(dict.fromkeys(one.network for one in found))
    for name in networks:
        own = [one for one in found if one.network == name]
        figures[f"layers-{_file_part(name)}"] = by_method(own)
    scored = [one for one in found if one.method == "synflow"]
    if len({one.network for one in scored}) > 1:
        figures["synflow"] = by_network(scored)
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.{suffix}")
        save(figure, files[-1])
    return files


def _file_part(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", name)


@styled()
def by_method(found: Sequence[Allocation]) -> Figure:
    """A frame a density with a line a method, of one network; its layers' sizes in grey.

    Raises:
        UsageError: allocations of several networks, or none.
    """
    _check_one("network", [one.network for one in found])
    methods = order([one.method for one in found])
    densities = sorted({one.density for one in found}, reverse=True)
    # Lines go up and down from layer to layer, which dashes would tear apart.
    looks = {method: replace(look_of(method), dashes=()) for method in methods}
    frames, panels = [], len(densities)
    figure, axes = _open(_key(looks, found), panels, 2 if panels > 1 else 1)
    for frame, density in zip(axes, densities, strict=False):
        own = {one.method: one for one in found if one.density == density}
        first = next(iter(own.values()))
        _sizes(frame, first)
        for place, method in enumerate(methods):
            if method in own:
                _kept(frame, own[method], looks[method], place)
        title = f"{density:g}% of {sum(first.sizes):,} weights"
        frame.set_title(title, loc="left", pad=3)
        frames.append(frame)
    _finish(frames, found)
    write_heading(figure, f"Weights kept in each layer: {found[0].network}")
    return figure


@styled()
def by_network(found: Sequence[Allocation]) -> Figure:
    """A frame a network with a line a density, of one method; layers' sizes in grey.

    Raises:
        UsageError: allocations of several methods, or none.
    """
    _check_one("method", [one.method for one in found])
    densities = sorted({one.density for one in found}, reverse=True)
    looks = {
        density: Look(_TINTS[i % len(_TINTS)], "os^Dv<"[i % 6])
        for i, density in enumerate(densities)
    }
    networks = list(dict.fromkeys(one.network for one in found))
    figure, axes = _open(_key(looks, found), len(networks), min(len(networks), 3))
    for frame, name in zip(axes, networks, strict=False):
        own = [one for one in found if one.network == name]
        _sizes(frame, own[0])
        for place, one in enumerate(own):
            _kept(frame, one, looks[one.density], place)
        zeros = any(one.zero_scores for one in own)
        title = f"{name}: all scores 0" if zeros else name
        frame.set_title(title, loc="left", pad=3, color=ACCENT if zeros else INK)
    _finish(axes[: len(networks)], found)
    what = name_of(found[0].method)
    write_heading(figure, f"Weights kept in each layer by {what}, by share of all weights kept")
    return figure


def _check_one(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != 1:
        there = ", ".join(dict.fromkeys(names)) or "none"
        raise UsageError(f"one {what} can be drawn at a time (there: {there})")


def _key(
    looks: Mapping[str, Look] | Mapping[float, Look], found: Sequence[Allocation]
) -> list[tuple[str, Look]]:
    """Names and looks of the lines, of the layers' sizes and of layers that are empty."""
    names = [
        (name_of(what) if isinstance(what, str) else f"{what:g}%", look)
        for what, look in looks.items()
    ]
    empty = [_EMPTY] if any(one.emptied for one in found) else []
    return [*names, ("all weights", _ALL), *empty]


def _open(key: Sequence[tuple[str, Look]], panels: int, across: int) -> tuple[Figure, list[Axes]]:
    """A figure with its key and as many frames in rows; those that are too many are off."""
    head = 0.06 + ROW * (1 + key_rows([name for name, _ in key])) + 0.26
    down = -(-panels // across)
    figure, rows = Frames(down, across, tall=1.35, below=0.6, apart=0.4).open(head)
    write_key(figure, key, (0.1, figure.get_figheight() - 0.08 - ROW), PAGE - 0.2)
    axes = [frame for row in rows for frame in row]
    for frame in axes[panels:]:
        frame.set_axis_off()
    return figure, axes


def _sizes(axes: Axes, one: Allocation) -> None:
    axes.plot(range(1, len(one.sizes) + 1), one.sizes, color=GREY, lw=0.8, zorder=2, gid="sizes")


def _kept(axes: Axes, one: Allocation, look: Look, place: int) -> None:
    """A line over the layers; those that keep nothing break it and have a cross at the foot."""
    layer = np.arange(1, len(one.kept) + 1)
    kept = np.array(one.kept, np.float64)
    depth = 3 + place / 100
    line = np.where(kept > 0, kept, np.nan)
    axes.plot(layer, line, gid="kept", zorder=depth, **look.line)
    step = max(1, round(len(layer) / _MARKED * 2))
    own = slice(place % step, None, step)
    axes.plot(layer[own], line[own], gid="marks", zorder=depth, **look.mark(2.2))
    gone = layer[kept == 0]
    axes.plot(
        gone, np.full(len(gone), 0.03), zorder=6, transform=axes.get_xaxis_transform(),
        gid="empty", **_EMPTY[1].mark(3.0),
    )  # fmt: skip


def _finish(frames: Sequence[Axes], found: Sequence[Allocation]) -> None:
    """All frames on one logarithmic scale, that of the first of a row named."""
    least = min((k for one in found for k in one.kept if k), default=1)
    low, high = least / 2, max(size for one in found for size in one.sizes) * 1.6
    for frame in frames:
        layers = max(
            len(np.asarray(line.get_xdata())) for line in frame.lines if line.get_gid() == "sizes"
        )
        frame.set_xlim(1 - 0.02 * layers, layers * 1.02)
        frame.set_yscale("log")
        frame.set_ylim(low, high)
        log_ticks(frame.yaxis, low, high, inches(frame)[1], lambda value: f"{value:,.0f}")
        frame.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=2))
        frame.set_xlabel("layer", labelpad=2)
        frame.grid(axis="y", color=FAINT, lw=0.5)
        frame.set_axisbelow(True)
        first = frame.get_position().x0 * PAGE < 1
        frame.tick_params(labelleft=first)
        if first:
            name_axis(frame, "weights kept", 0.16)
