"""What the figures of the dimensionality study share: colours, names, and their axes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from combsearch.errors import UsageError
from combsearch.numerals import plain_percent
from combsearch.plots.methods import Look
from combsearch.plots.pqi_panels import ROW
from combsearch.plots.scales import inches
from combsearch.plots.style import COLUMN, FAINT, PAGE

F64 = npt.NDArray[np.float64]

_MARKS = "osD^vPX"
_LETTER, _SMALL = 0.063, 0.058  # inches: a character of the heading, of a tick
_WIDE = 8  # ratio of numbers from which 1, 2 and 5 are ticks enough
_LINE = 0.13  # inches of a tick's text from one to the next
# Where there is no room for all, those further left stay.
_ACCURACIES = (
    *(0.5, 0.9, 0.99, 0.999, 0.9999), *(0.8, 0.95, 0.98, 0.995, 0.998),
    *(0.1, 0.7, 0.85, 0.6, 0.97, 0.75, 0.3, 0.92, 0.94, 0.88, 0.96, 0.65, 0.93, 0.91, 0.86, 0.82),
    *(0.997, 0.996, 0.994, 0.9995, 0.9998, 0.993, 0.985, 0.87, 0.89, 0.84, 0.78, 0.72, 0.992),
    *(0.9997, 0.9985, 0.2, 0.4, 0.55),
)  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """How figures call an experiment, what its dimension is, and its sign in the key."""

    title: str
    dimension: str
    sign: str


EXPERIMENTS = {
    "extrinsic": Experiment("Extrinsic dimension", "image side (pixels)", "side"),
    "intrinsic": Experiment("Intrinsic dimension", "latent coordinates d", "d ="),
    "task": Experiment("Task dimension", "coordinates of the task t", "t ="),
    "spiral": Experiment("Embedded spirals", "number of inputs n", "n ="),
}


def experiment_named(name: str) -> Experiment:
    """One of ``EXPERIMENTS``.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise UsageError(f"no experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def width_label(width: str) -> str:
    """``"16"`` -> ``"width 16"``; ``"256x128"`` -> ``"hidden widths 256, 128"``."""
    parts = width.split("x")
    return f"width {width}" if len(parts) == 1 else f"hidden widths {', '.join(parts)}"


def points(tolerance: float) -> str:
    """A difference of accuracies as text: ``"0.5 points"``."""
    number = round(100 * tolerance, 6)
    return f"{number:g} point{'' if number == 1 else 's'}"


def sequence_looks(count: int, colours: str = "viridis") -> list[Look]:
    """Looks from light (the first) to dark, with a mark each."""
    shares = np.arange(count)[::-1] / max(count - 1, 1)  # the last, or only one, is darkest
    shades = matplotlib.colormaps[colours](0.02 + 0.8 * shares)
    return [Look(to_hex(shade), _MARKS[place % len(_MARKS)]) for place, shade in enumerate(shades)]


def figure_width(frames: int) -> float:
    """Inches of a figure with so many frames side by side."""
    return COLUMN if frames == 1 else PAGE


# ------------------------------------------------------------------ heading


def heading_lines(text: str, width: float) -> list[str]:
    """``text`` in lines that fit into a figure of ``width`` inches."""
    return textwrap.wrap(text, int((width - 0.2) / _LETTER))


def write_lines(figure: Figure, lines: Sequence[str], top: float | None = None) -> None:
    """At the left, ``top`` inches up (default: on top), a line every ``ROW`` inches."""
    top = figure.get_figheight() - 0.06 if top is None else top
    for place, line in enumerate(lines):
        figure.text(
            0.1, top - place * ROW, line, va="top", size=7.5, transform=figure.dpi_scale_trans
        )


# ------------------------------------------------------------------ axes


def error_axis(frames: Sequence[Axes], accuracies: F64, label: str) -> float:
    """Make the vertical axes of ``frames`` one scale of accuracy, logarithmic in the error.

    What they draw is the error, 1 - accuracy, not below the one returned; it falls upwards.

    Args:
        frames: side by side; the first has numbers and the name.
        accuracies: those drawn, in [0, 1], any shape; NaN does not count; one at least is not.
        label: the axis' name.

    Returns:
        The smallest error that the axis has, where an error of 0 is to be drawn.
    """
    errors = 1 - accuracies[np.isfinite(accuracies)]
    least = float(errors[errors > 0].min(initial=0.5)) / 2
    low = float(errors.min())
    low = low if low > 0 else least
    high = min(max(float(errors.max()), 2 * low), 1.0)
    pad = (high / low) ** 0.05
    ticks = {1 - tick: plain_percent(tick) for tick in _ACCURACIES}
    if (errors <= 0).any():
        ticks = {least: "100%"} | {e: text for e, text in ticks.items() if e > 1.3 * least}
    for place, axes in enumerate(frames):
        axes.set_yscale("log")
        axes.set_ylim(high * pad, low / pad)
        inch = inches(axes)[1] / math.log10(high / low * pad**2)
        _set_ticks(axes.yaxis, ticks, (low / pad, high * pad), lambda _: _LINE, inch)
        axes.grid(axis="y", color=FAINT, lw=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(labelleft=place == 0)
    frames[0].set_ylabel(label, labelpad=3)
    return least


def doubling_axis(axes: Axes, numbers: Sequence[float], label: str) -> None:
    """Make the horizontal axis logarithmic, with a tick at each of ``numbers`` that has room."""
    low, high = min(numbers), max(numbers)
    pad = max((high / low) ** 0.07, 1.12)
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / pad, high * pad)
    inch = inches(axes)[0] / math.log10(high / low * pad**2)
    # Ends first, then powers of two: they stay where there is no room for all.
    order = sorted(set(numbers), key=lambda n: (n not in (low, high), math.log2(n) % 1 != 0, n))
    ticks = {number: f"{number:g}" for number in order}
    _set_ticks(axes.xaxis, ticks, (low, high), lambda text: len(text) * _SMALL + 0.06, inch)
    axes.set_xlabel(label, labelpad=2)


def count_axis(
    frames: Sequence[Axes], low: float, high: float, label: str, text: Callable[[float], str]
) -> None:
    """Make the vertical axes of ``frames`` one logarithmic scale; the first has numbers and name.

    Args:
        frames: side by side.
        low, high: the smallest and largest number drawn, above 0.
        label: the axis' name.
        text: how a tick is written.
    """
    high = max(high, 1.5 * low)
    pad = (high / low) ** 0.06
    steps = (1, 2, 5) if high > _WIDE * low else (1, 2, 5, 3, 1.5, 4, 7, 2.5, 6, 8, 1.2)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    numbers = [step * 10.0**decade for step in steps for decade in decades]
    ticks = {number: text(number) for number in numbers}
    for place, axes in enumerate(frames):
        axes.set_yscale("log")
        axes.set_ylim(low / pad, high * pad)
        inch = inches(axes)[1] / math.log10(high / low * pad**2)
        _set_ticks(axes.yaxis, ticks, (low / pad, high * pad), lambda _: 1.3 * _LINE, inch)
        axes.grid(axis="y", color=FAINT, lw=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(labelleft=place == 0)
    frames[0].set_ylabel(label, labelpad=3)


def _set_ticks(
    axis: Axis,
    ticks: dict[float, str],
    ends: tuple[float, float],
    room: Callable[[str], float],
    inch: float,
) -> None:
    """Set those of ``ticks`` within ``ends`` that keep clear of all that stand before them.

    Args:
        axis: logarithmic.
        ticks: number -> text; the first have precedence.
        ends: lowest and highest number.
        room: inches that a text takes along the axis.
        inch: inches a decade.
    """
    chosen: dict[float, str] = {}
    for number, text in ticks.items():
        if not ends[0] / 1.0001 <= number <= ends[1] * 1.0001:
            continue
        gaps = [
            (abs(math.log10(number / other)) * inch, (room(text) + room(beside)) / 2)
            for other, beside in chosen.items()
        ]
        if all(gap >= needed for gap, needed in gaps):
            chosen[number] = text
    axis.set_major_locator(FixedLocator(list(chosen)))
    axis.set_major_formatter(FixedFormatter(list(chosen.values())))
    axis.set_minor_locator(NullLocator())
