"""One mask an orbit: multisets of points, placed class by class, up to a shrinking group.

``pivots`` turns masks into multisets of points under a group of permutations. The parts of
a path are the classes of the points (all points that the group can send to each other),
layer by layer. At each class a multiset of its points is chosen, one for every orbit under
the permutations that keep all earlier choices as they are; those that keep this one too
are the group of the next part. So each orbit of masks is one path, and no canonicity test
is needed. A node holds that group, the points left to place and the pivot neurons that the
layer's points cover so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.groups import Choices, Subgroups
from combsearch.enumeration.paths import Growth, Ints, Paths, Words, too_large
from combsearch.enumeration.pivots import Field, Pivots, PointClass, PointLayer, classes_of
from combsearch.mask import WORD_BITS, NetShape

_MULTISETS = 2**27  # of one class, before the group makes them fewer
_PAIRS = 2**20  # of a node and a choice, tried at once


@dataclass(frozen=True, eq=False)
class Part:
    """The points of one class in one turn: a hidden layer, or one fixed neuron of another.

    Attributes:
        layer: of the points.
        points: their class.
        first: neuron of the layer that the turn starts with.
        turn: points that the turn places.
        last: whether it is the last class of its turn.
        closes: whether it is the last part of its layer.
        lightest: of each field, the fewest weights of a point of the turn's later classes.
        later: weights that the layers after it need.
        next_turn: points that the turn after it places; 0 after the last one.
    """

    layer: PointLayer
    points: PointClass
    first: int
    turn: int
    last: bool
    closes: bool
    lightest: tuple[int, ...]
    later: int
    next_turn: int

    @property
    def weight(self) -> int:
        """Weights that one of its points keeps."""
        return sum(self.points.weights)

    @property
    def waiting(self) -> int:
        """Points of the layer that later turns place."""
        return self.layer.points - self.first - self.turn

    def needed(self, left: npt.ArrayLike, covered: npt.ArrayLike) -> Ints:
        """Weights that the layer still needs, from what is left and covered after the part."""
        total = np.zeros(np.broadcast(left, covered).shape, np.int64)
        for field, lightest in zip(self.layer.fields, self.lightest, strict=True):
            bits = (1 << field.width) - 1 << field.first
            missing = field.width - np.bitwise_count(np.bitwise_and(covered, bits)).astype(np.int64)
            total += np.maximum(np.multiply(left, lightest) + self.waiting, missing)
        return total

    def words(self, size: int) -> Words:
        """Mask words of its points, as each neuron of the turn: uint64 [neuron, point, word]."""
        bits = np.zeros((self.turn, len(self.points.codes), size), np.uint64)
        for neuron, point in np.ndindex(bits.shape[:2]):
            code = int(self.points.codes[point])
            for field, b in _bits(self.layer, code):
                place = field.base + b * field.across + (self.first + neuron) * field.along
                bits[neuron, point, place // WORD_BITS] |= np.uint64(1 << place % WORD_BITS)
        return bits


@dataclass(frozen=True, eq=False)
class OrbitPaths:
    """The graph of the orbits and what a rank needs besides.

    Attributes:
        paths: the graph.
        parts: one a layer of edges.
        groups: of each node, the number of its group: int32 [node].
        subgroups: the groups.
    """

    paths: Paths
    parts: tuple[Part, ...]
    groups: npt.NDArray[np.int32]
    subgroups: Subgroups


def orbit_paths(shape: NetShape, budget: int) -> OrbitPaths | None:
    """One path for every orbit of masks with at most ``budget`` weights; None without any.

    Raises:
        UsageError: the shape is too wide, or its masks too many, for tables.
    """
    pivots = Pivots.of(shape)
    spare = budget - sum(layer.fewest for layer in pivots.layers)
    if spare < 0:
        return None
    parts = tuple(_parts(pivots, spare))
    if max(_multisets(part, spare) for part in parts) > _MULTISETS:
        raise too_large()
    subgroups = Subgroups(pivots.elements())
    growth = Growth((0, parts[0].turn, 0), shape.words, budget)
    groups = [growth.states[:, 0]]
    for part in parts:
        _add_part(growth, part, subgroups, budget - part.later, shape.words)
        groups.append(growth.states[:, 0])
        if not len(growth.states):
            return None
    paths = growth.finish()
    if paths is None:
        return None
    of_node = np.concatenate(groups)[paths.nodes].astype(np.int32)
    return OrbitPaths(paths, parts, of_node, subgroups)


def _parts(pivots: Pivots, spare: int) -> Iterator[Part]:
    """The parts in order, without the classes that ``spare`` weights do not allow."""
    turns = [
        (place, first, layer.points if layer.free else 1)
        for place, layer in enumerate(pivots.layers)
        for first in ([0] if layer.free else range(layer.points))
    ]
    classes = [classes_of(layer, spare) for layer in pivots.layers]
    sizes = [size for _, _, size in turns[1:]] + [0]
    for (place, first, size), next_size in zip(turns, sizes, strict=True):
        layer = pivots.layers[place]
        later = sum(other.fewest for other in pivots.layers[place + 1 :])
        for number, points in enumerate(classes[place]):
            after = classes[place][number + 1 :]
            fields = range(len(layer.fields))
            yield Part(
                layer=layer,
                points=points,
                first=first,
                turn=size,
                last=not after,
                closes=not after and first + size == layer.points,
                lightest=tuple(min((c.weights[f] for c in after), default=0) for f in fields),
                later=later,
                next_turn=next_size,
            )


def _multisets(part: Part, spare: int) -> int:
    """Multisets of the part's points that ``spare`` weights allow, whatever the group."""
    beyond = part.weight - sum(max(f.width - part.turn, 0) + 1 for f in part.layer.fields)
    most = min(part.turn, spare // beyond) if beyond > 0 else part.turn
    return math.comb(len(part.points.codes) + most - 1, most)


def _add_part(growth: Growth, part: Part, subgroups: Subgroups, budget: int, size: int) -> None:
    """Add the edges of one part; ``budget`` is for its layer and those before it."""
    final = part.closes and not part.next_turn
    words = part.words(size)
    edges: list[tuple[Ints, Ints, Ints, Words]] = []
    for group, members in _grouped(growth.states[:, 0]):
        most = _most_points(growth, part, members, budget)
        choices = subgroups.choices(group, part.points.codes, most, stabilise=not final)
        for left, rows in _grouped(growth.states[members, 1]):
            chosen = choices.select(left, exact=part.last)
            nodes = members[rows]
            growth.room(sum(len(source) for source, *_ in edges))
            source, choice = _allowed(growth, part, nodes, left, chosen, budget)
            states = _states(growth, part, source, chosen, choice, final=final)
            bits = chosen.words(words[part.turn - left :])[choice]
            edges.append((source, states, chosen.sizes[choice] * part.weight, bits))
    source, states, steps, bits = (np.concatenate(column) for column in zip(*edges, strict=True))
    growth.advance(source, states, steps, bits)


def _grouped(values: Ints) -> Iterator[tuple[int, Ints]]:
    """Each value and its places, for values in ascending order."""
    different, starts = np.unique(values, return_index=True)
    for value, places in zip(different, np.split(np.arange(len(values)), starts[1:]), strict=True):
        yield int(value), places


def _most_points(growth: Growth, part: Part, nodes: Ints, budget: int) -> int:
    """Most points of the part's class that the budget allows any of these nodes."""
    left, spent = growth.states[nodes, 1], growth.spent[nodes]
    for most in range(int(left.max()), 0, -1):
        needed = part.needed(left - most, part.layer.all_bits)
        if ((left >= most) & (spent + most * part.weight + needed <= budget)).any():
            return most
    return 0


def _allowed(
    growth: Growth, part: Part, nodes: Ints, left: int, chosen: Choices, budget: int
) -> tuple[Ints, Ints]:
    """(node, choice) of every edge from these nodes, node by node."""
    sources: list[Ints] = []
    choices: list[Ints] = []
    block = max(1, _PAIRS // max(1, len(chosen.sizes)))
    for some in (nodes[i : i + block] for i in range(0, len(nodes), block)):
        covered = growth.states[some, 2][:, None] | chosen.covered
        needed = part.needed(left - chosen.sizes, covered)
        spent = growth.spent[some][:, None] + chosen.sizes * part.weight
        allowed = spent + needed <= budget
        if part.closes:
            allowed &= covered == part.layer.all_bits
        row, choice = np.nonzero(allowed)
        growth.room(len(row) + sum(len(chosen) for chosen in choices))
        sources.append(some[row])
        choices.append(choice)
    return np.concatenate(sources), np.concatenate(choices)


def _states(
    growth: Growth, part: Part, source: Ints, chosen: Choices, choice: Ints, *, final: bool
) -> Ints:
    """What the edges lead to: int64 [edge, (group, points left, neurons covered)]."""
    states = np.zeros((len(source), 3), np.int64)
    if final:
        return states
    states[:, 0] = chosen.groups[choice]
    states[:, 1] = part.next_turn if part.last else growth.states[source, 1] - chosen.sizes[choice]
    if not part.closes:
        states[:, 2] = growth.states[source, 2] | chosen.covered[choice]
    return states


def _bits(layer: PointLayer, code: int) -> Iterator[tuple[Field, int]]:
    for field in layer.fields:
        for b in range(field.width):
            if code >> field.first + b & 1:
                yield field, b
