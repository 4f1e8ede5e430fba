"""The benchmark of layers of DCT plus sparse: both crossovers, and what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from combsearch.plots.pqi_axes import log_ticks, name_axis
from combsearch.plots.pqi_panels import Frames, write_heading
from combsearch.plots.scales import inches
from combsearch.plots.style import ACCENT, BLUE, FAINT, GREY, ORANGE, save, styled

Point = Mapping[str, Any]
_SIZES = ("#9ecae1", "#5fa2d2", "#2f86c6", "#0b62a4", "#063f73", "#1a1a1a")
_HEAD = 0.36


def draw_dctps_bench(report: Mapping[str, Any], folder: Path, suffix: str = "png") -> list[Path]:
    """Write ``bench.png``, or a figure for each device where there are several.

    Args:
        report: what ``studies.dctps.bench.bench`` returns.
        folder: made if missing.
        suffix: png, pdf or svg.

    Returns:
        The files written.
    """
    files = []
    for number, name in enumerate(report["devices"], 1):
        end = f"-{number}" if number > 1 else ""
        files.append(folder / f"bench{end}.{suffix}")
        save(dctps_bench(report, name), files[-1])
    return files


@styled()
def dctps_bench(report: Mapping[str, Any], device: str) -> Figure:
    """Transform and S over their sizes, training steps, memory; of one device.

    Args:
        report: as of ``draw_dctps_bench``.
        device: one of its devices.
    """
    found = report["devices"][device]
    figure, axes = Frames(2, 2, tall=1.75, apart=0.85, below=0.72).open(_HEAD)
    _draw_transform(axes[0][0], found)
    _draw_sparse(axes[0][1], found)
    _draw_steps(axes[1][0], found)
    _draw_memory(axes[1][1], report["memory"])
    write_heading(figure, f"One layer, {report['batch']} points, forward and backward: {device}")
    return figure


def _draw_transform(axes: Axes, found: Mapping[str, Any]) -> None:
    """Milliseconds of the transform by both forms over the size."""
    points = [p for p in found["transform"] if p["inputs"] == p["outputs"]]
    sizes = [p["inputs"] for p in points]
    for form, label, colour, mark in (
        ("matrix", "product with the matrix", ORANGE, "s"),
        ("fast", "fast form (Fourier)", BLUE, "o"),
    ):
        _line(axes, sizes, [p[f"{form}_ms"] for p in points], label, colour, mark)
        others = [p for p in found["transform"] if p["inputs"] != p["outputs"]]
        for p in others:
            longest = max(p["inputs"], p["outputs"])
            axes.plot(
                [longest], [p[f"{form}_ms"]], mark, ms=4, mfc="white", mec=colour, mew=0.8,
                zorder=4, gid="other",
            )  # fmt: skip
    _log_axes(axes, "inputs and outputs (hollow: 784 to 300)", "transform (ms)", _short, _short)
    _cross(axes, found["crossovers"]["transform"], lambda size: f"fast from {size:.0f}", 0.04)
    _legend(axes)


def _draw_sparse(axes: Axes, found: Mapping[str, Any]) -> None:
    """How many times as long S by index takes as all weights, over the density."""
    by_size: dict[tuple[int, int], list[Point]] = {}
    for p in found["sparse"]:
        by_size.setdefault((p["inputs"], p["outputs"]), []).append(p)
    for colour, (size, points) in zip(_SIZES, sorted(by_size.items()), strict=False):
        name = f"{size[0]} × {size[1]}"
        density = [p["density"] for p in points]
        _line(axes, density, [p["ratio"] for p in points], name, colour, "o")
        crossing = found["crossovers"]["sparse"].get(f"{size[0]} x {size[1]}")
        if crossing is not None:
            axes.plot([crossing], [1], "D", ms=3.4, color=ACCENT, zorder=6, gid="crossover")
    axes.axhline(1, color=GREY, lw=0.7, ls=(0, (4, 2)), zorder=1)
    _log_axes(axes, "density of S", "time by index / dense", _percent, _short)
    _legend(axes)


def _draw_steps(axes: Axes, found: Mapping[str, Any]) -> None:
    """Milliseconds of a training step of an MLP by all weights and by those kept."""
    points = found["steps"]
    if not points:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "training steps are not measured here", ha="center", color=GREY)
        return
    density = [p["density"] for p in points]
    for form, label, colour, mark in (
        ("dense", "all weights, masked", ORANGE, "s"),
        ("index", "kept weights by index", BLUE, "o"),
    ):
        _line(axes, density, [p[f"{form}_ms"] for p in points], label, colour, mark)
    _log_axes(axes, "density of 784-300-100-10", "training step (ms)", _percent, _short)
    _cross(
        axes, found["crossovers"]["steps"], lambda share: f"by index to {100 * share:.0f}%", 0.68
    )
    _legend(axes)


def _draw_memory(axes: Axes, memory: Sequence[Point]) -> None:
    """Megabytes of one layer over the density: parameters, index arrays, the dense layer."""
    size = max((p["inputs"], p["outputs"]) for p in memory)
    points = [p for p in memory if (p["inputs"], p["outputs"]) == size]
    density = [p["density"] for p in points]
    for label, values, colour, mark in (
        ("dense layer", [p["dense_bytes"] for p in points], ORANGE, "s"),
        ("with its index", [p["bytes"] + p["index_bytes"] for p in points], GREY, "^"),
        ("parameters: nnz + 1 + bias", [p["bytes"] for p in points], BLUE, "o"),
    ):
        _line(axes, density, [value / 1e6 for value in values], label, colour, mark)
    _log_axes(axes, f"density of S, {size[0]} × {size[1]}", "stored (MB)", _percent, _short)
    _legend(axes)


# ------------------------------------------------------------------ pieces


def _line(
    axes: Axes, x: Sequence[float], y: Sequence[float], label: str, colour: str, mark: str
) -> None:
    axes.plot(x, y, marker=mark, ms=2.8, lw=1.1, color=colour, label=label, zorder=3, gid="line")


def _legend(axes: Axes) -> None:
    """Upper left, where ``_log_axes`` leaves room."""
    axes.legend(
        loc="upper left", handlelength=1.6, borderaxespad=0.1, labelspacing=0.25, frameon=True,
        facecolor="white", edgecolor="none", framealpha=1, borderpad=0.2,
    )  # fmt: skip


def _log_axes(axes: Axes, across: str, up: str, x_text: Any, y_text: Any) -> None:
    """Both axes logarithmic, with room for the legend on top."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * max(high / low, 4) ** 0.36)
    wide, tall = inches(axes)
    log_ticks(axes.xaxis, *axes.get_xlim(), wide, x_text)
    log_ticks(axes.yaxis, *axes.get_ylim(), tall, y_text)
    axes.grid(color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(across, labelpad=2)
    name_axis(axes, up)


def _cross(axes: Axes, where: float | None, text: Any, height: float) -> None:
    """A line where the forms take as long as each other, below the legend, and its name."""
    if where is None:
        return
    axes.axvline(where, 0, 0.76, color=ACCENT, lw=0.8, ls=(0, (3, 1.5)), zorder=2, gid="crossover")
    left, right = axes.get_xlim()
    early = where < (left * right) ** 0.5
    axes.annotate(
        text(where), (where, height), xycoords=("data", "axes fraction"),
        textcoords="offset points", xytext=(3 if early else -3, 0),
        ha="left" if early else "right", color=ACCENT, zorder=7,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{round(100 * share, 6):g}%"


def _short(value: float) -> str:
    return f"{round(value, 9):g}"
