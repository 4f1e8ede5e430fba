"""A network's layers as points and pivots: what is permuted for free, and by which group.

Layers alternate between the two roles, so that every weight joins a point and a pivot
neuron. Here is (7,3,3), first the split that it gets, then the other one::

    inputs 2    hidden 7    hidden 3    hidden 3    output 1
     pivot       points      pivot       points      pivot       group Sym(3)
     points      pivot       points      pivot       points      group Sym(7) x Sym(3)

A point is one neuron of a points layer: the set of pivot neurons that it keeps a weight
with. Neurons of a hidden points layer are interchangeable, so the layer is a multiset of
points. What is left of the symmetry are the permutations of the hidden pivot neurons.
Inputs and outputs stay where they are, in either role.

All pivot neurons are the bits of one number, the code of a point: first those of the
first pivot layer, neuron 0 as bit 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import NetShape

_ELEMENTS = 500_000  # of a group, all of them held
_BITS = 62  # of a code


@dataclass(frozen=True)
class Field:
    """The pivot neurons of one layer, as bits of a code.

    Attributes:
        first: the bit of neuron 0.
        width: neurons.
        free: whether they are hidden, so may be permuted.
        base: the mask bit of a weight between neuron b and point p is
            ``base + b * across + p * along``.
    """

    first: int
    width: int
    free: bool
    base: int
    across: int
    along: int


@dataclass(frozen=True)
class PointLayer:
    """One layer of points.

    Attributes:
        points: its neurons.
        free: whether they are hidden, so may be permuted.
        fields: the pivot layers before and after it, where it has them.
    """

    points: int
    free: bool
    fields: tuple[Field, ...]

    @property
    def fewest(self) -> int:
        """Weights that its matrices keep at least."""
        return sum(max(self.points, field.width) for field in self.fields)

    @property
    def codes(self) -> int:
        """Different points."""
        return math.prod((1 << field.width) - 1 for field in self.fields)

    @property
    def all_bits(self) -> int:
        """The code of a point that keeps a weight with every neuron."""
        return sum((1 << field.width) - 1 << field.first for field in self.fields)


@dataclass(frozen=True)
class Pivots:
    """One split of a shape.

    Attributes:
        layers: the points layers, the one with the most multisets last: the inner loop.
        fields: width and freedom of each pivot layer, by its first bit.
    """

    layers: tuple[PointLayer, ...]
    pivots: tuple[tuple[int, int, bool], ...]

    @classmethod
    def of(cls, shape: NetShape) -> Pivots:
        """The split with the smaller tables; it depends on the shape alone, and so do ranks.

        Raises:
            UsageError: both splits need a larger group or longer codes than fit.
        """
        best = min((cls._split(shape, parity) for parity in (1, 0)), key=lambda split: split._cost)
        if best.order > _ELEMENTS or best.bits > _BITS:
            raise UsageError(
                f"shape ({shape}) is too wide to enumerate up to relabelling: every second layer"
                f" would need at most {_BITS} neurons and {_ELEMENTS} permutations"
            )
        return best

    @classmethod
    def _split(cls, shape: NetShape, parity: int) -> Pivots:
        """The split whose points are the layers ``parity``, ``parity + 2``, ..."""
        widths = shape.widths
        last = len(widths) - 1
        starts = [0, *itertools.accumulate(rows * cols for rows, cols in shape.layers)]
        firsts, bit = {}, 0
        for layer in range(1 - parity, last + 1, 2):
            firsts[layer] = bit
            bit += widths[layer]
        layers = []
        for layer in range(parity, last + 1, 2):
            fields = []
            if layer > 0:  # its neurons are the rows of the matrix before it
                free = layer - 1 > 0
                places = (starts[layer - 1], 1, widths[layer - 1])
                fields.append(Field(firsts[layer - 1], widths[layer - 1], free, *places))
            if layer < last:  # and the columns of the matrix after it
                free = layer + 1 < last
                places = (starts[layer], widths[layer], 1)
                fields.append(Field(firsts[layer + 1], widths[layer + 1], free, *places))
            layers.append(PointLayer(widths[layer], 0 < layer < last, tuple(fields)))
        layers.sort(key=_multisets)
        return cls(
            tuple(layers),
            tuple((first, widths[layer], 0 < layer < last) for layer, first in firsts.items()),
        )

    @property
    def _cost(self) -> int:
        """A guess of the work that the tables are; measured to choose well in most cases."""
        return self.order * sum(_choices(layer) for layer in self.layers)

    @property
    def order(self) -> int:
        """Elements of the group."""
        return math.prod(math.factorial(width) for _, width, free in self.pivots if free)

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return sum(width for _, width, _ in self.pivots)

    def elements(self) -> npt.NDArray[np.uint8]:
        """uint8 [element, bit]: where each permutation sends each bit; identity first."""
        parts = [
            list(itertools.permutations(range(first, first + width)))
            if free
            else [tuple(range(first, first + width))]
            for first, width, free in self.pivots
        ]
        rows = np.empty((self.order, self.bits), np.uint8)
        for row, chosen in enumerate(itertools.product(*parts)):
            rows[row] = list(itertools.chain(*chosen))
        return rows


@dataclass(frozen=True, eq=False)
class PointClass:
    """The points that the group can send to each other.

    Attributes:
        codes: int64 [point], ascending.
        weights: of each field, the weights that a point keeps with it.
    """

    codes: npt.NDArray[np.int64]
    weights: tuple[int, ...]


def classes_of(layer: PointLayer, spare: int) -> list[PointClass]:
    """The classes of a layer's points, small ones first, in an order that is always the same.

    Without those that no mask has which keeps at most ``spare`` weights more than needed.
    """
    lone = [max(field.width - layer.points, 0) + 1 for field in layer.fields]
    kinds = [
        list(_kinds(field, most + spare)) for field, most in zip(layer.fields, lone, strict=True)
    ]
    classes = []
    for chosen in itertools.product(*kinds):
        weights = tuple(weight for weight, _ in chosen)
        # what a point keeps beyond what it needs if all others keep as little as they can
        if sum(max(w - most, 0) for w, most in zip(weights, lone, strict=True)) <= spare:
            codes = np.array([sum(parts) for parts in itertools.product(*(s for _, s in chosen))])
            classes.append(PointClass(np.sort(codes).astype(np.int64), weights))
    return sorted(classes, key=lambda c: (len(c.codes), sum(c.weights), c.weights, c.codes[0]))


def _kinds(field: Field, heaviest: int) -> Iterator[tuple[int, list[int]]]:
    """Weights and codes of the sets of a field's neurons that the group can exchange."""
    for weight in range(1, min(field.width, heaviest) + 1):
        sets = itertools.combinations(range(field.first, field.first + field.width), weight)
        codes = [sum(1 << bit for bit in chosen) for chosen in sets]
        if field.free:
            yield weight, codes
        else:
            yield from ((weight, [code]) for code in codes)


def _choices(layer: PointLayer) -> int:
    """Multisets of points of one class, over all classes of a layer."""
    fixed = math.prod((1 << field.width) - 1 for field in layer.fields if not field.free)
    free = [field.width for field in layer.fields if field.free]
    sizes = itertools.product(*([math.comb(w, k) for k in range(1, w + 1)] for w in free))
    if not layer.free:
        return layer.points * fixed * sum(map(math.prod, sizes))
    points = layer.points
    return fixed * sum(math.comb(math.prod(size) + points - 1, points) for size in sizes)


def _multisets(layer: PointLayer) -> int:
    if not layer.free:
        return int(layer.codes**layer.points)
    return math.comb(layer.codes + layer.points - 1, layer.points)
