"""A network drawn with its weights: the paper's figure 1.

Lengths below are inches, which are also the data units of the one axes that fills the
figure; ``layout`` draws where things lie.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.path import Path

from combsearch.errors import UsageError
from combsearch.numerals import count, percent
from combsearch.plots.draw_regions import draw_plane
from combsearch.plots.forward import (
    F32,
    Shape,
    activations,
    check_plane,
    logits,
    nonzeros,
    plane,
    reach_of,
    unpack,
    widths_of,
)
from combsearch.plots.layout import MARGIN, TOP, Box, Column, edge_path, lay_out
from combsearch.plots.runs import hidden
from combsearch.plots.style import ACTIVE, GREY, INK, PLANE, SIGNED, new_figure, styled

if TYPE_CHECKING:
    from combsearch.tasks import Task

_SIDE = 120  # pixels of a neuron's picture
_KEY = 0.3  # height of the key's middle


@styled()
def network(
    shape: Shape,
    weights: Sequence[npt.ArrayLike],
    biases: Sequence[npt.ArrayLike],
    masks: Sequence[npt.ArrayLike] | None = None,
    *,
    task: Task | None = None,
    accuracy: float | None = None,
    size: int | None = None,
) -> Figure:
    """Neurons as pictures of their activation over the plane, weights as coloured lines.

    Inputs show their coordinate, hidden neurons their activation after ReLU (white:
    zero; each neuron its own scale), the output its class regions. A line's colour and
    width are the weight, the square at a picture's corner is the bias. Masked weights
    are absent, as are hidden neurons without any line (the title counts them). A neuron
    that is never active, on the task's points or else anywhere on the plane, is crossed
    out, and its lines are faint.

    Args:
        shape: two inputs, one output; any number of hidden layers.
        weights: float [out, in] a layer; biases: float [out] a layer (see ``unpack``).
        masks: 0/1 [out, in] a layer; None: what is exactly zero is masked.
        task: its points decide which neurons are dead, and give the accuracy.
        accuracy: as saved, for the title.
        size: nonzeros, for the title; None counts the weights and all live biases.

    Raises:
        UsageError: for another number of inputs or outputs, sizes that do not fit, or
            parameters that are not finite.
    """
    w, b = _masked(shape, weights, biases, masks)
    check_plane(w, task)
    widths, reach = widths_of(shape), reach_of(task)
    alive = _connected(w)
    boxes, width, height = lay_out([np.flatnonzero(kept) for kept in alive])
    figure = new_figure(width, height)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    norm = weight_norm(w, b)
    dead = dead_neurons(w, b, plane(_SIDE, reach) if task is None else task.x)
    draw_edges(axes, w, boxes, norm, dead)
    draw_neurons(axes, w, b, boxes, norm, dead, reach)
    _draw_heads(axes, boxes, height)
    if accuracy is None and task is not None:
        accuracy = float(((logits(w, b, task.x) > 0) == (task.y == 1)).mean())
    absent = sum(int((~kept).sum()) for kept in alive)
    title = f"{hidden(widths)}: {nonzeros(w) if size is None else size} nonzeros"
    title += f", {percent(accuracy)}" if accuracy is not None else ""
    title += f" ({count(absent, 'neuron')} without connections not drawn)" if absent else ""
    axes.text(MARGIN, height - 0.08, title, va="top", fontsize=8.5)
    beyond = any(bool((np.abs(bias) > norm.vmax).any()) for bias in b)
    draw_key(axes, norm, boxes, beyond)
    if any(dead[layer][neuron] for layer, column in enumerate(boxes) for neuron in column):
        draw_dead_key(axes, "by no point" if task is not None else "nowhere")
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure


def _masked(
    shape: Shape,
    weights: Sequence[npt.ArrayLike],
    biases: Sequence[npt.ArrayLike],
    masks: Sequence[npt.ArrayLike] | None,
) -> tuple[list[F32], list[F32]]:
    named = {f"weight{layer}": value for layer, value in enumerate(weights)}
    named |= {f"bias{layer}": value for layer, value in enumerate(biases)}
    w, b = unpack(shape, named)
    if masks is None:
        return w, b
    if [np.shape(mask) for mask in masks] != [weight.shape for weight in w]:
        raise UsageError(
            f"masks have shapes {[np.shape(mask) for mask in masks]}, "
            f"the weights {[weight.shape for weight in w]}"
        )
    return [weight * (np.asarray(mask) != 0) for weight, mask in zip(w, masks, strict=True)], b


def _connected(weights: Sequence[F32]) -> list[npt.NDArray[np.bool_]]:
    """Neurons that are drawn, bool [neuron] a column.

    All inputs, the output, and hidden neurons with a line in or out.
    """
    inner = [
        (into != 0).any(axis=1) | (out != 0).any(axis=0)
        for into, out in itertools.pairwise(weights)
    ]
    return [np.ones(weights[0].shape[1], bool), *inner, np.ones(1, bool)]


def dead_neurons(
    weights: Sequence[F32], biases: Sequence[F32], x: F32
) -> list[npt.NDArray[np.bool_]]:
    """Neurons that no row of ``x`` activates, bool [neuron] a column."""
    inner: list[npt.NDArray[np.bool_]] = [
        np.asarray((layer <= 0).all(axis=0)) for layer in activations(weights, biases, x)[:-1]
    ]
    return [np.zeros(weights[0].shape[1], bool), *inner, np.zeros(1, bool)]


def weight_norm(weights: Sequence[F32], biases: Sequence[F32]) -> Normalize:
    """The scale of colours and widths: symmetric, to the largest weight or bias."""
    largest = max(1e-6, *(float(np.abs(weight).max()) for weight in weights))
    bias = max(float(np.abs(bias).max()) for bias in biases)
    # One huge bias would fade all lines: it is drawn at the end of the scale, and the key
    # says so.
    largest = max(largest, bias) if bias < 1.5 * largest else largest
    return Normalize(-largest, largest, clip=True)


def draw_edges(
    axes: Axes,
    weights: Sequence[F32],
    boxes: Sequence[Column],
    norm: Normalize,
    dead: Sequence[npt.NDArray[np.bool_]],
    sized: Sequence[Column] | None = None,
) -> None:
    """All lines, the weak ones below the strong ones; as wide as suits ``sized``, or ``boxes``."""
    edges = []
    for layer, weight in enumerate(weights):
        for out, into in zip(*np.nonzero(weight), strict=True):
            lost = bool(dead[layer][into] or dead[layer + 1][out])
            path = edge_path(boxes[layer], int(into), boxes[layer + 1], int(out))
            edges.append((float(weight[out, into]), lost, path))
    edges.sort(key=lambda edge: (not edge[1], abs(edge[0])))
    colours = np.asarray(SIGNED(norm([value for value, _, _ in edges])))
    colours[:, 3] = [0.25 if lost else 0.92 for _, lost, _ in edges]
    axes.add_collection(
        PathCollection(
            [path for _, _, path in edges],
            facecolors="none",
            edgecolors=colours,
            linewidths=[_line_width(value, norm, sized or boxes) for value, _, _ in edges],
            capstyle="butt",
            zorder=1,
            gid="edges",
        ),
        autolim=False,
    )


def _line_width(value: float, norm: Normalize, boxes: Sequence[Column]) -> float:
    """Points: proportional to the weight; thinner where pictures are small and lines many."""
    smallest = min(box.side for column in boxes for box in column.values())
    return 0.35 + min(max(7.5 * smallest, 1.6), 4.2) * abs(value) / float(norm.vmax or 1)


def draw_neurons(
    axes: Axes,
    weights: Sequence[F32],
    biases: Sequence[F32],
    boxes: Sequence[Column],
    norm: Normalize,
    dead: Sequence[npt.NDArray[np.bool_]],
    reach: float,
) -> None:
    """Pictures of the neurons in ``boxes``, with their biases; dead ones crossed out."""
    grid = plane(_SIDE, reach)
    layers = [grid, *activations(weights, biases, grid)]
    for layer, column in enumerate(boxes):
        for neuron, box in column.items():
            if layer == 0:
                _picture(axes, layers[0][:, neuron] / (2 * reach) + 0.5, box, PLANE)
                axes.text(box.x - box.side / 2 - 0.06, box.y, f"$x_{neuron + 1}$", ha="right",
                          va="center", fontsize=9)  # fmt: skip
            elif layer == len(boxes) - 1:
                draw_plane(axes, (list(weights), list(biases)), reach, box.extent)
                _frame(axes, box, INK)
            else:
                value = layers[layer][:, neuron]
                active = np.where(value > 0, value / max(float(value.max()), 1e-12), np.nan)
                _picture(axes, active, box, ACTIVE)
            if layer > 0 and biases[layer - 1][neuron] != 0:
                draw_bias(axes, float(biases[layer - 1][neuron]), box, norm)
            if dead[layer][neuron]:
                _cross_out(axes, box)


def _picture(axes: Axes, value: npt.NDArray[np.float32], box: Box, colours: Colormap) -> None:
    """One neuron's map, values in [0, 1]; NaN stays white."""
    axes.imshow(value.reshape(_SIDE, _SIDE), origin="lower", extent=box.extent, cmap=colours,
                vmin=0, vmax=1, aspect="auto", zorder=2)  # fmt: skip
    _frame(axes, box, INK)


def _frame(axes: Axes, box: Box, colour: str) -> None:
    left, _, bottom, _ = box.extent
    axes.add_patch(Rectangle((left, bottom), box.side, box.side, fill=False, ec=colour, lw=0.7,
                             zorder=4))  # fmt: skip


def draw_bias(axes: Axes, value: float, box: Box, norm: Normalize) -> None:
    """The square at a picture's corner."""
    size = min(max(0.24 * box.side, 0.07), 0.13, 0.5 * box.side)
    left, _, bottom, _ = box.extent
    axes.add_patch(Rectangle((left, bottom), size, size, fc=SIGNED(norm(value)), ec="white",
                             lw=0.7, zorder=5, gid="bias"))  # fmt: skip


def _cross_out(axes: Axes, box: Box) -> None:
    left, right, bottom, top = box.extent
    axes.plot([left, right, np.nan, left, right], [bottom, top, np.nan, top, bottom], color=GREY,
              lw=0.8, zorder=5, gid="dead")  # fmt: skip


def _draw_heads(axes: Axes, boxes: Sequence[Column], height: float) -> None:
    last = len(boxes) - 1
    for layer, column in enumerate(boxes):
        name = "inputs" if layer == 0 else "output" if layer == last else f"layer {layer}"
        for box in list(column.values())[:1]:
            axes.text(box.x, height - TOP + 0.1, name, ha="center", va="center", color=GREY)


def draw_key(axes: Axes, norm: Normalize, boxes: Sequence[Column], beyond: bool) -> None:
    """Along the foot: colour and width of weights, the bias square, the scale of activations."""
    y, left, length = _KEY, MARGIN + 0.45, 1.5
    largest = float(norm.vmax or 1)
    _wedge(axes, left, y, length, [_line_width(value, norm, boxes) / 72 for value in (0, largest)])
    axes.text(left - 0.1, y, "weight", ha="right", va="center")
    for at, text in ((0.0, f"−{largest:.2g}"), (0.5, "0"), (1.0, f"+{largest:.2g}")):
        axes.text(left + length * at, y - 0.07, text, ha="center", va="top", fontsize=6.5)
    axes.add_patch(Rectangle((2.55, y - 0.055), 0.11, 0.11, fc=SIGNED(0.85), ec="white", lw=0.7))
    axes.text(2.72, y, "bias (some beyond)" if beyond else "bias, same colours", va="center")
    ramp = axes.imshow(np.linspace(0, 1, 256)[None, :], extent=(4.6, 5.0, y - 0.04, y + 0.04),
                       cmap=ACTIVE, aspect="auto")  # fmt: skip
    ramp.set_clip_on(False)
    axes.text(4.54, y, "activation 0", ha="right", va="center")
    axes.text(5.06, y, "max", va="center")


def draw_dead_key(axes: Axes, where: str) -> None:
    """What a crossed-out picture is, right of the other keys."""
    box = Box(5.62, _KEY, 0.18)
    _frame(axes, box, INK)
    _cross_out(axes, box)
    axes.text(box.x + 0.15, _KEY, f"activated {where}", va="center")


def _wedge(axes: Axes, left: float, y: float, length: float, widths: Sequence[float]) -> None:
    """All colours of weights from negative to positive, as high as a line would be wide."""
    thin, thick = widths[0] / 2, widths[1] / 2
    steps = np.linspace(0, 1, 256)[None, :]
    extent = (left, left + length, y - thick, y + thick)
    picture = axes.imshow(
        steps, extent=extent, cmap=SIGNED, aspect="auto", interpolation="bilinear"
    )
    above = [(left, y + thick), (left + length / 2, y + thin), (left + length, y + thick)]
    below = [(x, 2 * y - top) for x, top in reversed(above)]
    picture.set_clip_path(Path([*above, *below, above[0]], closed=True), axes.transData)
