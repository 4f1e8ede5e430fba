"""All dense shapes up to a width, ranked by nonzeros, and the shards they are trained in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.store import Shard

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_WIDTHS = 2**23  # hidden widths that a grid holds, depth of them a shape
MAX_DEPTH = 100
_SAMPLE_COST = 40  # what a sample costs beside its multiply-adds, in multiply-adds (measured)


@dataclass(frozen=True, eq=False)
class Grid:
    """The width**depth dense shapes; the rank of a shape is its place here.

    Ascending in nonzeros, then in the hidden widths. Shapes of equal nonzeros are a level.

    Attributes:
        hidden: int32 [rank, depth], neurons of the hidden layers.
        nonzeros: int64 [rank], weights and biases.
        inputs, outputs: neurons of the first and last layer.
    """

    hidden: npt.NDArray[np.int32]
    nonzeros: Integers
    inputs: int
    outputs: int

    def __len__(self) -> int:
        return len(self.nonzeros)

    def shape(self, rank: int) -> NetShape:
        """The shape of this rank."""
        widths = tuple(int(width) for width in self.hidden[rank])
        return NetShape.from_hidden(widths, self.inputs, self.outputs)

    def levels(self) -> Integers:
        """int64 [level]: the different nonzeros, ascending."""
        return np.unique(self.nonzeros)

    def level_end(self, nonzeros: int) -> int:
        """The rank after the last shape with at most so many nonzeros."""
        return int(np.searchsorted(self.nonzeros, nonzeros, side="right"))

    def sample_work(self) -> Floats:
        """float64 [rank]: multiply-adds to train one network on one sample.

        Forward and backward, and what a sample costs beside: proportional to the time
        that the fused kernel takes.
        """
        total = np.full(len(self), float(_SAMPLE_COST))
        columns = _columns(self.hidden, self.inputs, self.outputs)
        for layer, (fan, out) in enumerate(columns):
            passes = 2 if layer == 0 else 3  # no deltas of the inputs
            total += passes * (fan * out)
        return total


def sample_work(shape: NetShape) -> float:
    """``Grid.sample_work`` of one shape."""
    first, *rest = (out * fan for out, fan in shape.layers)
    return float(_SAMPLE_COST + 2 * first + 3 * sum(rest))


@lru_cache(maxsize=4)
def dense_grid(width: int, depth: int, inputs: int, outputs: int) -> Grid:
    """The grid of all shapes with ``depth`` hidden layers of 1 to ``width`` neurons.

    Raises:
        UsageError: there are too many of them.
    """
    _check_size(width, depth)
    count = width**depth
    hidden = np.empty((count, depth), np.int32)
    for layer in range(depth):  # the last width runs fastest
        period = width ** (depth - 1 - layer)
        hidden[:, layer] = np.arange(count) // period % width + 1
    nonzeros = np.zeros(count, np.int64)
    for fan, out in _columns(hidden, inputs, outputs):
        nonzeros += (fan + 1) * out
    order = np.argsort(nonzeros, kind="stable")
    return Grid(hidden[order], nonzeros[order], inputs, outputs)


def shard_starts(grid: Grid, work: Floats, size: float) -> Integers:
    """Where to cut the ranks into shards of about ``size`` work, none across levels.

    A shard has less work than ``size`` and its largest shape together.

    Args:
        grid: the shapes.
        work: float64 [rank].
        size: work of a shard.

    Returns:
        int64 [shard + 1]: first ranks, ascending from 0, and last the number of shapes.
    """
    begins = np.diff(grid.nonzeros, prepend=-1) != 0
    before = np.cumsum(work) - work
    since_level = before - before[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    slot = np.floor(since_level / size)
    cuts = begins | (np.diff(slot, prepend=-1) != 0)
    return np.append(np.flatnonzero(cuts), len(grid))


def shards(starts: Integers) -> Iterator[Shard]:
    """The shards that ``shard_starts`` describes, one after the other."""
    for place in range(len(starts) - 1):
        yield Shard(int(starts[place]), int(starts[place + 1]))


def _columns(
    hidden: npt.NDArray[np.int32], inputs: int, outputs: int
) -> Iterator[tuple[Integers, Integers]]:
    """(inputs, outputs) of every layer: int64 [rank] each, a column at a time to save memory."""
    fan = np.full(len(hidden), inputs, np.int64)
    for layer in range(hidden.shape[1]):
        out = hidden[:, layer].astype(np.int64)
        yield fan, out
        fan = out
    yield fan, np.full(len(hidden), outputs, np.int64)


def _check_size(width: int, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UsageError(f"depth is {depth}, it must be at most {MAX_DEPTH}")
    most = int((MAX_WIDTHS / depth) ** (1 / depth))
    if width > most:  # no power of a huge width is taken
        raise UsageError(
            f"width {width} and depth {depth} make {width}^{depth} shapes, more than can be listed:"
            f" with depth {depth} the width must be at most {most}"
        )
