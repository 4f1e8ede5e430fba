"""All dense shapes up to a width, ranked by nonzeros, and their shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from combsearch.mask import NetShape
from combsearch.store import Shard

Integers = npt.NDArray[np.int64]
LANES = 16  # networks that train together whether or not there are so many


@dataclass(frozen=True, eq=False)
class Grid:
    """The width**depth dense shapes; the rank of a shape is its place here.

    Ascending in nonzeros, then in the hidden widths.

    Attributes:
        hidden: int64 [rank, depth].
        nonzeros: int64 [rank], weights and biases.
        inputs, outputs: neurons of the first and last layer.
    """

    hidden: Integers
    nonzeros: Integers
    inputs: int
    outputs: int

    def __len__(self) -> int:
        return len(self.nonzeros)

    def shape(self, rank: int) -> NetShape:
        """The shape of this rank."""
        widths = tuple(int(width) for width in self.hidden[rank])
        return NetShape.from_hidden(widths, self.inputs, self.outputs)

    def level_end(self, nonzeros: int) -> int:
        """The rank after the last shape with at most so many nonzeros."""
        return int(np.searchsorted(self.nonzeros, nonzeros, side="right"))

    def multiply_adds(self) -> Integers:
        """int64 [rank]: multiply-adds of one sample, forward and backward."""
        total = np.zeros(len(self), np.int64)
        widths = self._widths()
        for layer in range(widths.shape[1] - 1):
            passes = 2 if layer == 0 else 3  # no deltas of the inputs
            total += passes * widths[:, layer] * widths[:, layer + 1]
        return total

    def _widths(self) -> Integers:
        ends = (np.full((len(self), 1), n) for n in (self.inputs, self.outputs))
        first, last = ends
        return np.hstack([first, self.hidden, last])


@lru_cache(maxsize=4)
def dense_grid(width: int, depth: int, inputs: int, outputs: int) -> Grid:
    """The grid of all shapes with ``depth`` hidden layers of 1 to ``width`` neurons."""
    hidden = np.indices((width,) * depth).reshape(depth, -1).T + 1
    grid = Grid(hidden, np.zeros(len(hidden), np.int64), inputs, outputs)
    widths = grid._widths()
    nonzeros = ((widths[:, :-1] + 1) * widths[:, 1:]).sum(axis=1)
    order = np.lexsort((*hidden.T[::-1], nonzeros))
    return Grid(hidden[order], nonzeros[order], inputs, outputs)


def shards(grid: Grid, runs: int, samples: int, size: float) -> Iterator[Shard]:
    """Ranges of ranks of one level each, cut where their work exceeds ``size``.

    Args:
        grid: the shapes.
        runs: runs a shape.
        samples: samples that a run sees.
        size: multiply-adds of a shard.
    """
    lanes = -(-runs // LANES) * LANES
    work = grid.multiply_adds() * float(samples * lanes)
    first, total = 0, 0.0
    for rank in range(len(grid)):
        total += work[rank]
        end = rank + 1
        if end == len(grid) or total >= size or grid.nonzeros[end] != grid.nonzeros[rank]:
            yield Shard(first, end)
            first, total = end, 0.0
