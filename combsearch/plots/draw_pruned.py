"""Pruned networks with what is disconnected in them: the paper's figures 9, 10, 14, 18 and 19.

Each is drawn as ``draw_network`` does, in a panel of its own; lengths are inches. A panel::

    title: name, nonzeros, effective nonzeros, accuracy
    connected neurons, as pictures, above; disconnected ones, dashed, below them
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from combsearch.connectivity import connected, disconnected, effective_nonzeros, nonzeros
from combsearch.errors import UsageError
from combsearch.nets import MLP, NetBatch
from combsearch.numerals import count, percent
from combsearch.plots.draw_network import (
    dead_neurons,
    draw_bias,
    draw_dead_key,
    draw_edges,
    draw_key,
    draw_neurons,
    weight_norm,
)
from combsearch.plots.forward import F32, check_plane, logits, reach_of, unpack
from combsearch.plots.layout import FOOT, MARGIN, TOP, Box, Column, edge_path, lay_out
from combsearch.plots.runs import hidden
from combsearch.plots.style import ACCENT, PAGE, new_figure, styled

if TYPE_CHECKING:
    from combsearch.tasks import Task

Bits = npt.NDArray[np.bool_]

_ACROSS = 2  # panels in a row, when there are several
_TITLE = 0.42  # two lines above a panel's pictures
_KEYS = 0.78  # the two rows at the foot of the figure
_PALE = "#f3e6ee"  # inside of a disconnected neuron
_DASHES = (0, (2.6, 1.8))


@dataclass(frozen=True, eq=False)
class Pruned:
    """One network of a figure.

    Attributes:
        name: first words of its title, such as the method.
        nets: a batch of one MLP, of its dense shape, with its masks.
        accuracy: as saved; None: of the task's points in numpy.
    """

    name: str
    nets: NetBatch
    accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class _Parts:
    """One network taken apart.

    Attributes:
        weights, biases: all that is kept, as ``unpack`` gives them.
        counting, counting_biases: the same without what is disconnected.
        lost: bool [out, in] a layer, kept weights that are disconnected.
        joined: bool [neuron] a column, neurons with a weight that counts; inputs, outputs.
        loose: bool [neuron] a column, the other neurons that keep a parameter.
    """

    weights: list[F32]
    biases: list[F32]
    counting: list[F32]
    counting_biases: list[F32]
    lost: list[Bits]
    joined: list[Bits]
    loose: list[Bits]


def pruned_network(
    nets: NetBatch, task: Task, name: str = "pruned", accuracy: float | None = None
) -> Figure:
    """A pruned network, page wide, with its disconnected weights and neurons (``pruned_beside``).

    Raises:
        UsageError: see ``pruned_beside``.
    """
    return pruned_beside([Pruned(name, nets, accuracy)], task)


@styled()
def pruned_beside(networks: Sequence[Pruned], task: Task) -> Figure:
    """Pruned networks side by side, two in a row; put the one that a search found first.

    Connected neurons are pictures of their activation and connected weights coloured lines,
    as in ``network``. Weights on no path from an input to an output, and neurons that only
    have such, are dashed; neurons without any kept parameter are left out. Titles count the
    nonzeros (weights and biases), the effective ones and the disconnected ones, as
    ``connectivity`` does: the bias of a dashed neuron may count, its square is then drawn.

    Raises:
        UsageError: unless each is one MLP of two inputs and one output, finite everywhere;
            or when there is none.
    """
    if not networks:
        raise UsageError("no networks to draw")
    parts = [_take_apart(one.nets) for one in networks]
    check_plane(parts[0].weights, task)
    across = min(_ACROSS, len(networks))
    panels = [_panel(part, PAGE / across) for part in parts]
    places, height = _arrange(panels, across)
    figure = new_figure(PAGE, height)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, PAGE), ylim=(0, height))
    axes.set_axis_off()
    norm = weight_norm([w for p in parts for w in p.weights], [b for p in parts for b in p.biases])
    sized = [
        _of(column, joined)
        for part, panel in zip(parts, panels, strict=True)
        for column, joined in zip(panel.boxes, part.joined, strict=True)
    ]
    for one, part, panel, (x, top) in zip(networks, parts, panels, places, strict=True):
        boxes = [_moved(column, x, top - _TITLE - panel.height) for column in panel.boxes]
        _draw(axes, part, boxes, norm, task, sized)
        _write_title(axes, one, part, task, (x + MARGIN / across, top - 0.06))
    _draw_keys(axes, parts, norm, task, sized)
    return figure


@dataclass(frozen=True)
class _Panel:
    """Where one network's neurons lie, from the panel's lower left, and how high it is."""

    boxes: list[Column]
    height: float


def _arrange(panels: Sequence[_Panel], across: int) -> tuple[list[tuple[float, float]], float]:
    """The upper left corner of each panel, rows from the top, and the figure's height."""
    rows = [panels[first : first + across] for first in range(0, len(panels), across)]
    heights = [_TITLE + max(panel.height for panel in row) for row in rows]
    corners = [
        (place * PAGE / across, _KEYS + sum(heights[below:]))
        for below, row in enumerate(rows)
        for place in range(len(row))
    ]
    return corners, _KEYS + sum(heights)


def _of(column: Column, which: Bits) -> Column:
    return {neuron: box for neuron, box in column.items() if which[neuron]}


def _take_apart(nets: NetBatch) -> _Parts:
    if not isinstance(nets.network, MLP) or len(nets) != 1:
        raise UsageError(f"can draw one MLP, not {len(nets)} of {nets.network}")
    one = nets.numpy()
    shape = nets.network.shape
    weights, biases = unpack(
        shape, {name: p[0] * one.masks[name][0] for name, p in one.params.items()}
    )
    check_plane(weights, None)
    counting = connected(one.masks)
    depth = range(len(weights))
    kept = [one.masks[f"weight{layer}"][0] != 0 for layer in depth]
    counts = [counting[f"weight{layer}"][0] for layer in depth]
    joined = _touched(counts, [np.zeros_like(bias, bool) for bias in biases])
    present = _touched(kept, [one.masks[f"bias{layer}"][0] != 0 for layer in depth])
    joined[0][:] = joined[-1][:] = True  # inputs and outputs are always there
    return _Parts(
        weights=weights,
        biases=biases,
        counting=[w * c for w, c in zip(weights, counts, strict=True)],
        counting_biases=[b * counting[f"bias{layer}"][0] for layer, b in enumerate(biases)],
        lost=[k & ~c for k, c in zip(kept, counts, strict=True)],
        joined=joined,
        loose=[p & ~j for p, j in zip(present, joined, strict=True)],
    )


def _touched(weights: Sequence[Bits], biases: Sequence[Bits]) -> list[Bits]:
    """Neurons with some of these parameters, bool [neuron] a column."""
    found = [np.asarray(weights[0].any(axis=0))]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        touched = weight.any(axis=1) | bias
        if layer + 1 < len(weights):
            touched = touched | weights[layer + 1].any(axis=0)
        found.append(np.asarray(touched))
    return found


def _panel(parts: _Parts, room: float) -> _Panel:
    order = [
        np.concatenate([np.flatnonzero(joined), np.flatnonzero(loose)])
        for joined, loose in zip(parts.joined, parts.loose, strict=True)
    ]
    columns, width, height = lay_out(order)
    scale = room / width
    columns = [
        {
            neuron: Box(
                box.x * scale,
                (box.y - FOOT) * scale,
                box.side * scale * (0.6 if loose[neuron] else 1),
            )
            for neuron, box in column.items()
        }
        for column, loose in zip(columns, parts.loose, strict=True)
    ]
    return _Panel(columns, (height - FOOT - TOP) * scale + 0.06)


def _moved(column: Column, x: float, y: float) -> Column:
    return {
        neuron: dataclasses.replace(box, x=box.x + x, y=box.y + y) for neuron, box in column.items()
    }


def _draw(
    axes: Axes,
    parts: _Parts,
    boxes: Sequence[Column],
    norm: Normalize,
    task: Task,
    sized: Sequence[Column],
) -> None:
    """One network; lines as wide as suits ``sized``."""
    dead = dead_neurons(parts.weights, parts.biases, task.x)
    joined = [_of(column, here) for column, here in zip(boxes, parts.joined, strict=True)]
    draw_edges(axes, parts.counting, boxes, norm, dead, sized)
    _draw_lost(axes, parts.lost, boxes)
    draw_neurons(axes, parts.weights, parts.biases, joined, norm, dead, reach_of(task))
    for layer, (column, loose) in enumerate(zip(boxes, parts.loose, strict=True)):
        for neuron, box in _of(column, loose).items():
            _draw_loose(axes, box)
            if parts.counting_biases[layer - 1][neuron]:
                draw_bias(axes, float(parts.biases[layer - 1][neuron]), box, norm)


def _draw_lost(axes: Axes, lost: Sequence[Bits], boxes: Sequence[Column]) -> None:
    """Disconnected weights: dashed lines of one width, whatever their value."""
    paths = [
        edge_path(boxes[layer], int(into), boxes[layer + 1], int(out))
        for layer, weights in enumerate(lost)
        for out, into in zip(*np.nonzero(weights), strict=True)
    ]
    lines = PathCollection(paths, facecolors="none", edgecolors=ACCENT, linewidths=0.8,
                           linestyles=[_DASHES], zorder=1.5, gid="disconnected")  # fmt: skip
    axes.add_collection(lines, autolim=False)


def _draw_loose(axes: Axes, box: Box) -> None:
    left, _, bottom, _ = box.extent
    axes.add_patch(Rectangle((left, bottom), box.side, box.side, fc=_PALE, ec=ACCENT, lw=0.8,
                             ls=_DASHES, zorder=4, gid="loose"))  # fmt: skip


def _write_title(
    axes: Axes, network: Pruned, parts: _Parts, task: Task, where: tuple[float, float]
) -> None:
    nets, accuracy = network.nets, network.accuracy
    if accuracy is None:
        right = (logits(parts.weights, parts.biases, task.x) > 0) == (task.y == 1)
        accuracy = float(right.mean())
    assert isinstance(nets.network, MLP)
    name = f"{network.name} {hidden(nets.network.shape.widths)}: {percent(accuracy)}"
    if not any(weight.any() for weight in parts.counting):
        name += ", no path"
    kept, effective, loose = (int(f(nets)[0]) for f in (nonzeros, effective_nonzeros, disconnected))
    text = count(kept, "nonzero")
    if loose:
        text += f", {effective} effective, {loose} disconnected"
    axes.text(where[0], where[1], name, va="top", fontsize=8.5, fontweight="bold")
    axes.text(where[0], where[1] - 0.16, text, va="top", fontsize=7.5)


def _draw_keys(
    axes: Axes, parts: Sequence[_Parts], norm: Normalize, task: Task, sized: Sequence[Column]
) -> None:
    """What the marks mean, as far as there are such."""
    largest = max(float(np.abs(bias).max()) for part in parts for bias in part.biases)
    draw_key(axes, norm, sized, largest > float(norm.vmax or 0))
    dead = [dead_neurons(part.weights, part.biases, task.x) for part in parts]
    both = [zip(d, part.joined, strict=True) for d, part in zip(dead, parts, strict=True)]
    if any(bool((column & joined).any()) for pairs in both for column, joined in pairs):
        draw_dead_key(axes, "by no point")
    if any(bool(lost.any()) for part in parts for lost in part.lost):
        _draw_loose_key(axes)


def _draw_loose_key(axes: Axes) -> None:
    """Above the other row of the key: what is dashed."""
    y = 0.60
    axes.plot([MARGIN, MARGIN + 0.42], [y, y], color=ACCENT, lw=0.9, ls=_DASHES)
    axes.text(MARGIN + 0.5, y, "disconnected weight: on no path from input to output", va="center")
    _draw_loose(axes, Box(4.15, y, 0.13))
    axes.text(4.3, y, "neuron with such weights only (its bias may count)", va="center")
