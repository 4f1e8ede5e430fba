"""PQ index and share of weights left of each layer over rounds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from combsearch.errors import UsageError
from combsearch.numerals import plain_percent
from combsearch.plots.pqi_axes import join_row, log_ticks
from combsearch.plots.pqi_curves import Chains, Study, Variant, index_label
from combsearch.plots.pqi_panels import Frames, Lines
from combsearch.plots.scales import inches
from combsearch.plots.style import styled

F64 = npt.NDArray[np.float64]

_ACROSS = 4  # layers side by side


@styled()
def pqi_layers(
    study: Study,
    scope: str = "global",
    pair: str | None = None,
    variants: Sequence[Variant] | None = None,
) -> Figure:
    """PQ index above, share of weights left below, over rounds: a column a layer.

    Args:
        study: read with the names of its layers.
        scope: which chains.
        pair: p:q of the index; by default ``study.pair``.
        variants: lines to draw, such as one method's; by default those of the other figures.

    Raises:
        UsageError: no layers are named, no row counts, or the pair is not in the grid.
    """
    if not study.layers:
        raise UsageError("no layers are named: give the names of the network's layers")
    pair = study.checked(pair)
    lines = Lines.of(study, scope, variants)
    across = min(len(study.layers), _ACROSS)
    bands = -(-len(study.layers) // across)
    below = 0.14 if bands == 1 else 0.3  # then titles stand between the rows
    figure, axes = Frames(2 * bands, across, 1.0, apart=0.2, below=below).open(lines.head + 0.12)
    for place in range(bands * across):
        band, column = divmod(place, across)
        pictures = axes[2 * band][column], axes[2 * band + 1][column]
        if place < len(study.layers):
            _draw_layer(pictures, lines, study, place, pair)
        else:
            for frame in pictures:
                frame.remove()
    own = [frames[: len(study.layers) - row // 2 * across] for row, frames in enumerate(axes)]
    _finish(own, pair)
    lines.write_head(figure, f"Weights by layer, scope {scope}")
    return figure


def layer_index(study: Study, layer: int, pair: str, chains: Chains) -> F64:
    """PQ index of the weights that a layer trained, [seed, round]."""
    found: F64 = chains["layer_pqi"][:, :, layer, study.pairs.index(pair)]
    return found


def layer_share(study: Study, layer: int, chains: Chains) -> F64:
    """Share of a layer's weights that a round trained, [seed, round]."""
    share: F64 = chains["layer_kept"][:, :, layer] / layer_sizes(study)[layer]
    return share


def layer_sizes(study: Study) -> F64:
    """Weights of each layer of the dense network, [layer]: the most that any row has kept."""
    every = [chains["layer_kept"].reshape(-1, len(study.layers)) for chains in study.chains]
    most: F64 = np.fmax.reduce(np.concatenate(every), axis=0)
    return most


def _draw_layer(
    frames: tuple[Axes, Axes], lines: Lines, study: Study, place: int, pair: str
) -> None:
    lines.draw(frames[0], None, partial(layer_index, study, place, pair))
    lines.draw(frames[1], None, partial(layer_share, study, place))
    frames[0].set_title(study.layers[place], loc="left", pad=2, size=7)
    frames[1].set_yscale("log")


def _finish(axes: Sequence[Sequence[Axes]], pair: str) -> None:
    """Indices on one scale and shares on one; rounds are named where no frame is below."""
    for first, name in enumerate((index_label(pair), "weights left\n(log scale)")):
        rows = axes[first::2]
        every = list(itertools.chain.from_iterable(rows))
        join_row(every, "")
        for row, frames in enumerate(rows):
            join_row(frames, name)
            below = len(rows[row + 1]) if row + 1 < len(rows) else 0
            for column, frame in enumerate(frames):
                if first == 0 or column < below:
                    frame.tick_params(labelbottom=False)
                    frame.set_xlabel("")
    low, high = axes[1][0].get_ylim()
    for frame in itertools.chain.from_iterable(axes[1::2]):
        log_ticks(frame.yaxis, low, high, inches(frame)[1], plain_percent)
