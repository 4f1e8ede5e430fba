"""The PQ index beside the sparsest network known: does it see how far a network is from that?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from combsearch.errors import UsageError
from combsearch.plots.methods import Look
from combsearch.plots.pqi_axes import log_ticks, name_axis, value_axis
from combsearch.plots.pqi_bound_lines import COUNTED, Bound, Row, lay_rows, read_bounds
from combsearch.plots.pqi_curves import (
    index_label,
    powers,
    read_study,
)
from combsearch.plots.pqi_panels import (
    ROW,
    Frames,
    draw_mean,
    heading,
    key_rows,
    some_marks,
    write_heading,
    write_key,
)
from combsearch.plots.scales import accuracy_axis, inches
from combsearch.plots.style import ACCENT, FAINT, GREY, styled

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]

_FLOOR = 1e-5  # smallest error of the accuracy axis
_STAY = "must stay by the index\n(SAP's bound, log scale)"
_BEST = "best accuracy with\nso many or fewer"
_NOTE = (
    "shaded: what an index that sees the distance to these would show; dashed grey: nothing can go"
)


@styled()
def pqi_against_bound(
    runs: Mapping[str, pa.Table],
    bounds: Mapping[str, tuple[float, float]],
    grid: Sequence[str],
    *,
    column: str = "nonzeros",
    scope: str = "global",
    pair: str | None = None,
) -> Figure:
    """PQ index, its bound r and accuracy over the number of weights, with the search's bound.

    Three columns. The PQ index: shaded is ``seeing``, the index of which SAP's bound would be the
    sparsest network that the search found. Then that bound (eta 0), as the share of the weights
    times x, so that weights can be counted with or without biases: dashed is x itself, nothing
    can go. Then the best accuracy of any seed and round with x or fewer. Of one network there is
    a line a method; of several a row a method and a line a network, dark for the first: lines
    that lie apart at the same x show an index that depends on more than the distance to the
    bound.

    Args:
        runs: name of the network, such as ``"width 16"`` -> rows of the study on it.
        bounds: target, such as ``"99.5%"`` -> fewest (trained under a fixed mask, exist), counted
            as ``column`` does.
        grid: the pairs p:q of the rows.
        column: of the rows, what x counts: ``"kept"`` (weights), ``"nonzeros"`` or
            ``"effective"`` (weights and biases).
        scope: which chains.
        pair: p:q of the index and of r; by default ``Study.pair``.

    Raises:
        UsageError: no row counts, the pair is not in the grid, a target is no percentage, or the
            column is none of these or not known of the network.
    """
    if column not in COUNTED:
        raise UsageError(f"column {column!r} counts nothing: choose from {', '.join(COUNTED)}")
    limits = read_bounds(bounds)
    studies = {name: read_study(rows, grid) for name, rows in runs.items()}
    if not studies:
        raise UsageError("no runs to draw: give the rows of one network at least")
    rows, key = lay_rows(studies, scope, column)
    pair = next(iter(studies.values())).checked(pair)
    frames = Frames(len(rows), 3, 1.35, apart=0.86, below=0.3)
    lines = key_rows([label for label, _ in key]) + 2 * (len(limits) > 0)
    figure, axes = frames.open(0.06 + ROW * (1 + lines) + (0.26 if rows[0].name else 0.12))
    span = _span(rows, limits)
    for frame_row, own in zip(axes, rows, strict=True):
        _draw_row(frame_row, own, rows, limits, (pair, span))
    _finish(axes, rows, span, pair, COUNTED[column])
    every = [line.chains for own in rows for line in own.lines]
    what = f"PQ index beside the sparsest network known, scope {scope}"
    write_heading(figure, heading(what, every))
    _write_keys(figure, key, limits)
    return figure


# ------------------------------------------------------------------ what is drawn


def _span(rows: Sequence[Row], limits: Sequence[Bound]) -> tuple[float, float]:
    """Fewest and most weights of the axes."""
    x = np.concatenate([line.x.ravel() for own in rows for line in own.lines])
    ends = [end for bound in limits for end in (bound.exists, bound.trained)]
    return float(min([np.nanmin(x), *ends])) / 1.15, float(max([np.nanmax(x), *ends])) * 1.15


def _draw_row(
    frames: Sequence[Axes],
    own: Row,
    rows: Sequence[Row],
    limits: Sequence[Bound],
    shown: tuple[str, tuple[float, float]],
) -> None:
    """The three frames of ``own``; ``shown`` are the pair and the span of the axes."""
    pair, span = shown
    for frame in frames:
        frame.set_xscale("log")
        frame.set_xlim(*span)
        for bound in limits:
            frame.axvline(bound.trained, gid="limit", **_ink(bound))
    frames[1].set_yscale("log")
    _draw_seeing(frames[0], limits, pair, span)
    for bound in limits:
        ends = bound.exists, bound.trained
        frames[1].axhspan(*ends, color=ACCENT, alpha=bound.shade, lw=0, zorder=1, gid="seeing")
        frames[1].axhline(bound.trained, **_ink(bound))
    frames[1].plot(span, span, color=GREY, lw=0.8, ls=(0, (4, 2)), gid="diagonal", zorder=2)
    for place, line in enumerate(own.lines):
        draw_mean(frames[0], line.x, line.index(pair), line.look, place)
        draw_mean(frames[1], line.x, line.stay(pair), line.look, place, "stay")
    _draw_best(frames[2], own, rows, limits, span)


def _ink(bound: Bound) -> dict[str, Any]:
    """Of the thin line at what was trained."""
    return {"color": ACCENT, "lw": 0.7, "alpha": min(1.0, 2 * bound.shade), "zorder": 1}


def _draw_seeing(
    frame: Axes, limits: Sequence[Bound], pair: str, span: tuple[float, float]
) -> None:
    """The index whose r is the bound, from what exists to what was trained."""
    x = np.geomspace(*span, 200)
    for bound in limits:
        high, low = (seeing(x, fewest, pair) for fewest in (bound.exists, bound.trained))
        frame.fill_between(x, low, high, color=ACCENT, alpha=bound.shade, lw=0, zorder=1)
        frame.plot(x, low, gid="seeing", **_ink(bound))


def seeing(x: F64, fewest: float, pair: str) -> F64:
    """The PQ index of x weights at which SAP's bound r (eta 0) is ``fewest``; 0 from there down.

    SAP's theorem 2 has r = x (1 - I)^(p q / (q - p)); this is I of it.
    """
    p, q = powers(pair)
    return 1 - np.minimum(fewest / x, 1.0) ** (1 / p - 1 / q)


def _draw_best(
    frame: Axes,
    own: Row,
    rows: Sequence[Row],
    limits: Sequence[Bound],
    span: tuple[float, float],
) -> None:
    """Steps of the best accuracy; all rows have one scale."""
    seen = np.concatenate([line.best[1] for row in rows for line in row.lines])
    targets = [bound.target for bound in limits]
    ceiling = accuracy_axis(frame, seen, targets, floor=_FLOOR, head=0.06)
    for bound in limits:
        frame.axhline(min(bound.target, ceiling), color=ACCENT, lw=0.6, dashes=(5, 2.5), zorder=1,
                      gid="target")  # fmt: skip
    for place, line in enumerate(own.lines):
        (x, y), look = line.best, line.look
        up = np.minimum(np.append(y, y[-1:]), ceiling)
        across = np.append(x, [span[1]] * (len(up) - len(x)))
        depth = 3 + place / 100
        frame.step(across, up, where="post", gid="best", zorder=depth, **look.line)
        marks = some_marks(frame, len(x), place)
        shown = x[marks], up[: len(x)][marks]
        frame.plot(*shown, gid="steps", zorder=depth, **look.mark(2.4))


# ------------------------------------------------------------------ axes and keys


def _finish(
    axes: Sequence[Sequence[Axes]],
    rows: Sequence[Row],
    span: tuple[float, float],
    pair: str,
    counted: str,
) -> None:
    """Scales, names and titles."""
    for row, own in zip(axes, rows, strict=True):
        lowest = row is axes[-1]
        for frame in row:
            log_ticks(frame.xaxis, *span, inches(frame)[0], _count)
            frame.tick_params(labelbottom=lowest)
            frame.grid(axis="y", color=FAINT, lw=0.5)
            frame.set_axisbelow(True)
        row[0].set_ylim(0, max(frames[0].get_ylim()[1] for frames in axes))
        value_axis(row[0], index_label(pair))
        row[1].set_ylim(*span)
        log_ticks(row[1].yaxis, *span, inches(row[1])[1], _count)
        name_axis(row[1], _STAY)
        name_axis(row[2], _BEST, 0.09)  # numbers such as 99.98% are long
        if own.name:
            row[0].set_title(own.name, loc="left", pad=3, weight="bold")
    axes[-1][1].set_xlabel(f"{counted} (log scale)", labelpad=2)


def _count(number: float) -> str:
    return (
        f"{number:g}"
        if number < 1e4
        else f"{number / 1000:g}k"
        if number < 1e6
        else (f"{number / 1e6:g}M")
    )


def _write_keys(figure: Figure, key: Sequence[tuple[str, Look]], limits: Sequence[Bound]) -> None:
    """Lines, and below them the search's bounds."""
    width, height = figure.get_size_inches()
    top, where = height - 0.08 - ROW, figure.dpi_scale_trans
    write_key(figure, key, (0.1, top), width - 0.2)
    if not limits:
        return
    y = top - (key_rows([label for label, _ in key]) + 0.55) * ROW
    figure.text(0.1, y, "search, fewest at", va="center", color=ACCENT, transform=where)
    x = 1.25
    for bound in limits:
        box = Rectangle((x, y - 0.045), 0.24, 0.09, color=ACCENT, alpha=bound.shade, lw=0,
                        transform=where)  # fmt: skip
        figure.add_artist(box)
        figure.text(x + 0.3, y, bound.label, va="center", color=ACCENT, transform=where)
        x += 0.45 + 0.061 * len(bound.label)
    figure.text(0.1, y - ROW, _NOTE, va="center", color=GREY, transform=where)
