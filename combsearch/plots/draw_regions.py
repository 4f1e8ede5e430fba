"""Decision regions of networks over the points of their task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.special import expit

from combsearch.errors import UsageError
from combsearch.numerals import count, percent
from combsearch.plots.forward import (
    Layers,
    Parameters,
    Shape,
    check_plane,
    logits,
    nonzeros,
    plane,
    reach_of,
    unpack,
    widths_of,
)
from combsearch.plots.runs import Runs, frontier_runs, hidden, read_runs
from combsearch.plots.style import BLUE, COLUMN, INK, LINE, ORANGE, PAGE, PLANE, new_figure, styled

if TYPE_CHECKING:
    import pyarrow as pa

    from combsearch.tasks import Task

_SIDE = 300  # pixels of a shaded plane
_PANELS = 8  # networks in a grid by default: two rows of four


@styled()
def regions(
    shape: Shape,
    parameters: Parameters,
    task: Task,
    *,
    accuracy: float | None = None,
    size: int | None = None,
) -> Figure:
    """The plane shaded by the probability of class 1, the decision boundary, and the points.

    Of the points the network classifies rightly about 3,000 are drawn, of the wrong
    ones up to 2,000, on top and in black.

    Args:
        shape: two inputs, one output.
        parameters: flat vector, or mapping weight0, bias0, ... (see ``forward.unpack``).
        task: its training points, x float32 [n, 2], y uint8 [n] in {0, 1}.
        accuracy: as saved; None: of these points in numpy.
        size: nonzeros, for the title; None counts the weights and all live biases.

    Raises:
        UsageError: for another number of inputs or outputs, sizes that do not fit, or
            parameters that are not finite.
    """
    net = unpack(shape, parameters)
    check_plane(net[0], task)
    height = 0.875 * COLUMN + 0.7
    figure = new_figure(COLUMN, height)
    axes = figure.add_axes((0.11, 0.47 / height, 0.875, 0.875 * COLUMN / height))
    right = _draw_panel(axes, net, task, points=3000, size=1.6)
    accuracy = float(right.mean()) if accuracy is None else accuracy
    size = nonzeros(net[0]) if size is None else size
    title = f"{hidden(widths_of(shape))}: {size} nonzeros, {percent(accuracy)}"
    axes.set_title(title, loc="left", pad=3)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel("$x_1$", labelpad=0)
    axes.set_ylabel("$x_2$", labelpad=0)
    _key(figure, count(int((~right).sum()), "wrong point"), y=0.0)
    return figure


@styled()
def levels_grid(rows: pa.Table, task: Task, levels: Sequence[int] | None = None) -> Figure:
    """Small multiples: the best saved network of each of several levels, with its regions.

    Args:
        rows: saved rows, schema ``store.ROWS``; networks are those with ``parameters``.
        task: as in ``regions``.
        levels: nonzeros of the panels; None: up to 8 of the levels that raised the frontier.

    Raises:
        UsageError: when a level has no saved network (names those that have), or there is none.
    """
    finished = rows.column("status").to_numpy() != "diverged"
    saved = rows.filter(finished & rows.column("parameters").is_valid().to_numpy())
    if len(saved) == 0:
        raise UsageError("no networks to draw: no finished run's row holds parameters")
    runs = read_runs(saved)
    picked = _pick(runs, levels)
    across = min(4, len(picked))
    down = -(-len(picked) // across)
    side = PAGE / 4 - 0.06
    width, height = (side + 0.06) * across, (side + 0.34) * down + 0.26
    figure = new_figure(max(width, COLUMN), height)
    left = (figure.get_figwidth() - width) / 2
    for panel, run in enumerate(picked):
        x = left + (side + 0.06) * (panel % across) + 0.03
        y = height - (side + 0.34) * (panel // across + 1)
        axes = figure.add_axes(
            (x / figure.get_figwidth(), y / height, side / figure.get_figwidth(), side / height)
        )
        shape = runs.shapes[runs.shape[run]]
        net = unpack(shape, saved.column("parameters")[int(run)].values.to_numpy())
        check_plane(net[0], task)
        _draw_panel(axes, net, task, points=1500, size=1.0)
        axes.set_xticks([])
        axes.set_yticks([])
        accuracy = percent(runs.accuracy[run])
        axes.set_title(
            f"{runs.nonzeros[run]} nonzeros\n{runs.label(run)}  {accuracy}",
            pad=2.5,
            linespacing=1.15,
        )
    _key(figure, "wrong point", y=0.0)
    return figure


def _pick(runs: Runs, levels: Sequence[int] | None) -> npt.NDArray[np.int64]:
    """Best run of each level asked for, or of levels spread evenly over the frontier's steps."""
    if levels is None:
        steps = frontier_runs(runs)
        at = np.linspace(0, len(steps) - 1, min(_PANELS, len(steps))).round().astype(np.int64)
        return steps[at]
    order = np.lexsort((-runs.score, runs.nonzeros))
    known, first = np.unique(runs.nonzeros[order], return_index=True)
    absent = [level for level in levels if level not in known]
    if absent or len(levels) == 0:
        raise UsageError(
            f"no saved network with {', '.join(map(str, absent)) or 'any level asked for'} "
            f"nonzeros (levels with one: {', '.join(map(str, known))})"
        )
    return order[first[np.searchsorted(known, np.asarray(levels))]]


def draw_plane(axes: Axes, net: Layers, reach: float, extent: Sequence[float]) -> None:
    """Shade by the probability of class 1, with a line where it is one half.

    ``extent`` is left, right, bottom, top in data units: where the plane is drawn.
    """
    logit = logits(*net, plane(_SIDE, reach)).reshape(_SIDE, _SIDE)
    axes.imshow(
        expit(logit),
        origin="lower",
        extent=(extent[0], extent[1], extent[2], extent[3]),
        cmap=PLANE,
        vmin=0,
        vmax=1,
        aspect="auto",
        zorder=1,
        gid="regions",
    )
    if (logit > 0).any() and (logit <= 0).any():  # contour warns where there is no line
        axes.contour(
            logit,
            levels=[0.0],
            extent=extent,
            colors=LINE,
            linewidths=0.7,
            zorder=3,
        )


def _draw_panel(
    axes: Axes, net: Layers, task: Task, points: int, size: float
) -> npt.NDArray[np.bool_]:
    """Regions and points of one network; returns which points are right, bool [n]."""
    reach = reach_of(task)
    draw_plane(axes, net, reach, (-reach, reach, -reach, reach))
    right: npt.NDArray[np.bool_] = (logits(*net, task.x) > 0) == (task.y == 1)
    for label, colour in ((0, ORANGE), (1, BLUE)):
        own = _thin(np.flatnonzero(right & (task.y == label)), points // 2)
        _dots(axes, task.x[own], colour, size, f"class {label}")
    # A white rim sets black points apart from the boundary, on which most of them lie.
    wrong = task.x[_thin(np.flatnonzero(~right), 2000)]
    _dots(axes, wrong, "white", size * 2.4, "rim")
    _dots(axes, wrong, INK, size * 1.5, "wrong")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.spines[["top", "right"]].set_visible(True)
    return right


def _dots(axes: Axes, x: npt.NDArray[np.float32], colour: str, size: float, gid: str) -> None:
    axes.plot(x[:, 0], x[:, 1], ls="", marker="o", ms=size, mew=0, color=colour, gid=gid,
              rasterized=True, zorder=4 if gid in ("wrong", "rim") else 2)  # fmt: skip


def _thin(index: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Evenly spaced entries of ``index``, ``most`` at the most: no chance, no clumps."""
    if len(index) <= most:
        return index
    return index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def _key(figure: Figure, wrong: str, y: float) -> None:
    marks = [("class 0", ORANGE, 3.5), ("class 1", BLUE, 3.5), (wrong, INK, 3.5)]
    handles = [Line2D([], [], ls="", marker="o", mew=0, ms=s, color=c) for _, c, s in marks]
    line = Line2D([], [], color=LINE, lw=0.7)
    figure.legend(
        [*handles, line],
        [*(label for label, _, _ in marks), "boundary"],
        loc="lower center",
        bbox_to_anchor=(0.5, y),
        ncols=4,
        handletextpad=0.4,
        columnspacing=1.2,
        borderaxespad=0.1,
        handlelength=1.0,
    )
