"""Masks as the paths through a small layered graph: counted, ranked, unranked, streamed.

Every edge sets some bits of the mask and keeps some weights; a path from the root to the
end is one mask. A space of millions of masks takes thousands of nodes::

    root --e--> node --e--> node ... --e--> end        path = mask, OR of the edges' words
           1st part   2nd part         last part       sum of the edges' steps = weights kept

Paths that keep equally many weights are ordered by their edges, first part first. What a
part is depends on the symmetry: a row of a layer, or how often the points of one class
occur (``points``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.kernels import masks as kernel

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_EDGES = 2**24  # with their counts below a gigabyte
_CELLS = 2**26  # counts held at once
_NEVER = 2**31  # weights that no budget holds


def too_large() -> UsageError:
    """The error of a space that tables would not hold."""
    return UsageError(
        "this space of masks is too large to be enumerated: take a smaller shape or"
        " fewer nonzeros (--max-nonzeros)"
    )


@dataclass(frozen=True, eq=False)
class Paths:
    """The graph (its arrays are described in ``kernels.masks``).

    Attributes:
        start: int64 [node + 1].
        target: int32 [edge].
        step: int16 [edge].
        words: uint64 [edge, word].
        counts: int64 [node, weight].
        feasible: uint8 [node, weight], counts > 0.
        nodes: the number that each node had while the graph was made: int64 [node].
        depth: edges of a path.
    """

    start: Ints
    target: npt.NDArray[np.int32]
    step: npt.NDArray[np.int16]
    words: Words
    counts: Ints
    feasible: npt.NDArray[np.uint8]
    nodes: Ints
    depth: int

    def by_weight(self) -> dict[int, int]:
        """Weights kept -> paths, where there are any; at most ``kernel.FULL``."""
        return {w: int(n) for w, n in enumerate(self.counts[0]) if n}

    def fill(self, weight: int, rank: int, out: Words) -> None:
        """Write the masks that keep ``weight`` weights, from ``rank`` on: uint64 [mask, word].

        ``out`` must end where they end, or before.
        """
        kernel.walk(
            self.start, self.target, self.step, self.words, self.counts, self.feasible,
            self.depth, weight, rank, out,
        )  # fmt: skip


class Growth:
    """Makes a graph layer by layer, from the root on.

    Attributes:
        states: what the nodes of the newest layer stand for: int64 [node, column].
        spent: the fewest weights on a path to each of them: int64 [node].
    """

    def __init__(self, root: tuple[int, ...], words: int, budget: int) -> None:
        """A graph of a root alone.

        Args:
            root: what the root stands for.
            words: 64-bit words of a mask.
            budget: most weights that a mask may keep.
        """
        self.states: Ints = np.array([root], np.int64)
        self.spent: Ints = np.zeros(1, np.int64)
        self._budget, self._size = budget, words
        self._spent = [self.spent]
        self._nodes = 1
        self._edges: list[tuple[Ints, Ints, npt.NDArray[np.int16], Words]] = []
        self._total = 0

    @property
    def first(self) -> int:
        """Number of the first node of the newest layer."""
        return self._nodes - len(self.states)

    def room(self, edges: int) -> None:
        """Check that this many more edges may be made.

        Raises:
            UsageError: the space is too large for tables.
        """
        if self._total + edges > _EDGES:
            raise too_large()

    def advance(self, source: Ints, states: Ints, step: npt.NDArray[Any], words: Words) -> None:
        """Add a layer: one edge an entry, grouped by source, in order.

        Args:
            source: int64 [edge], ascending, numbered within the newest layer.
            states: int64 [edge, column], what the edge leads to; equal rows are one node.
            step: weights that the edge keeps.
            words: uint64 [edge, word].
        """
        self.room(len(source))
        self._total += len(source)
        reached, target = _unique_rows(states)
        spent = np.full(len(reached), self._budget + 1, np.int64)
        np.minimum.at(spent, target, self.spent[source] + step)
        self._edges.append(
            (source + self.first, target + self._nodes, step.astype(np.int16), words)
        )
        self._nodes += len(reached)
        self.states, self.spent = reached, spent
        self._spent.append(spent)

    def finish(self) -> Paths | None:
        """The graph without its dead ends; None where no path keeps ``budget`` weights or fewer.

        The newest layer must be a single node, the end.
        """
        depth = len(self._edges)
        if len(self.states) != 1:
            return None
        source, target, step, words = (
            np.concatenate(part) for part in zip(*self._edges, strict=True)
        )
        counts = self._count(source, target, step)
        # the fewest weights on a path to, and from, each node
        before = np.concatenate(self._spent)
        after = np.where((counts > 0).any(axis=1), np.argmax(counts > 0, axis=1), _NEVER)
        alive = before + after <= self._budget
        if not alive[0]:
            return None
        number = np.cumsum(alive) - 1
        keep = before[source] + step + after[target] <= self._budget
        return Paths(
            start=_starts(number[source[keep]], int(alive.sum())),
            target=number[target[keep]].astype(np.int32),
            step=step[keep],
            words=words[keep],
            counts=counts[alive],
            feasible=(counts[alive] > 0).astype(np.uint8),
            nodes=np.flatnonzero(alive),
            depth=depth,
        )

    def _count(self, source: Ints, target: Ints, step: npt.NDArray[np.int16]) -> Ints:
        if self._nodes * (self._budget + 1) > _CELLS:
            raise too_large()
        counts = np.zeros((self._nodes, self._budget + 1), np.int64)
        kernel.count_paths(_starts(source, self._nodes), target.astype(np.int32), step, counts)
        return counts


def _starts(source: Ints, nodes: int) -> Ints:
    """int64 [node + 1]: the first edge of each node, for edges in order of their source."""
    return np.searchsorted(source, np.arange(nodes + 1)).astype(np.int64)


def _unique_rows(rows: Ints) -> tuple[Ints, Ints]:
    """The different rows in ascending order, and the number of each row among them."""
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    number = np.empty(len(rows), np.int64)
    number[order] = np.cumsum(new) - 1
    return ordered[new], number
