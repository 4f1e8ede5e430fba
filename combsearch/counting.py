"""How many masks there are, exactly, without making any: the proof that enumeration misses none.

Orbits are counted by Burnside's lemma: their number is the mean, over all permutations of
the hidden neurons, of the masks that a permutation maps to themselves. That number only
depends on the cycle lengths in each layer, and layers meet in pairs, so the sum runs along
the network, one layer at a time. Within a pair, a cycle of r neurons and one of c share
gcd(r, c) independent blocks of lcm(r, c) weights; zero rows are taken out by inclusion and
exclusion. Every count carries its weight nonzeros as the exponent of a power series.

With ``unused_inputs`` columns of the first matrix may be zero: masks that leave inputs unused
count too. A mask uses one input at least, since no row is zero, and inputs are not
interchangeable, so these are the eligible masks over every non-empty choice of inputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from combsearch.mask import NetShape

Cycles = tuple[tuple[int, int], ...]
"""(length, number) of the cycles of a permutation, lengths falling."""


def eligible_masks(shape: NetShape, *, unused_inputs: bool = False) -> int:
    """Masks without a zero row or column, each labelling counted."""
    return _labelled(shape, _Series.totals(), unused_inputs)


def eligible_by_nonzeros(
    shape: NetShape, max_nonzeros: int | None = None, *, unused_inputs: bool = False
) -> dict[int, int]:
    """``eligible_masks`` by nonzeros (biases counted), ascending, empty levels left out."""
    return _by_nonzeros(_labelled, shape, max_nonzeros, unused_inputs)


def row_sorted_masks(shape: NetShape, *, unused_inputs: bool = False) -> int:
    """Eligible masks whose rows are sorted in each hidden layer by itself (paper, section 4).

    Outputs keep their places, as inputs do; with one output that makes no difference.
    """
    return _row_sorted(shape, _Series.totals(), unused_inputs)


def row_sorted_by_nonzeros(
    shape: NetShape, max_nonzeros: int | None = None, *, unused_inputs: bool = False
) -> dict[int, int]:
    """``row_sorted_masks`` by nonzeros (biases counted), ascending, empty levels left out."""
    return _by_nonzeros(_row_sorted, shape, max_nonzeros, unused_inputs)


def orbits(shape: NetShape, *, unused_inputs: bool = False) -> int:
    """Eligible masks up to permutations of the neurons of each hidden layer."""
    return _orbits(shape, _Series.totals(), unused_inputs)


def orbits_by_nonzeros(
    shape: NetShape, max_nonzeros: int | None = None, *, unused_inputs: bool = False
) -> dict[int, int]:
    """``orbits`` by nonzeros (biases counted), ascending, empty levels left out."""
    return _by_nonzeros(_orbits, shape, max_nonzeros, unused_inputs)


def smallest_nonzeros(shape: NetShape, *, unused_inputs: bool = False) -> int:
    """Fewest nonzeros of an eligible mask, biases counted."""
    first, *others = shape.layers
    fewest = first[0] if unused_inputs else max(first)
    return shape.biases + fewest + sum(max(layer) for layer in others)


def shapes_up_to(
    max_nonzeros: int,
    depth: int = 3,
    inputs: int = 2,
    outputs: int = 1,
    width: int = 16,
    *,
    unused_inputs: bool = False,
) -> list[NetShape]:
    """Shapes that have an eligible mask with at most ``max_nonzeros``.

    Args:
        max_nonzeros: biases counted.
        depth: hidden layers.
        inputs: input neurons.
        outputs: output neurons.
        width: neurons of the widest hidden layer.
        unused_inputs: masks may leave inputs unused (module docstring).

    Returns:
        Those with the smallest masks first, then by hidden widths.
    """
    smallest = partial(smallest_nonzeros, unused_inputs=unused_inputs)
    narrowest = NetShape.from_hidden((1,) * depth, inputs, outputs)
    shapes = [narrowest] if smallest(narrowest) <= max_nonzeros else []
    for layer in range(depth):  # a wider layer never has smaller masks: stop at the first miss
        shapes = [
            wider
            for shape in shapes
            for wider in itertools.takewhile(
                lambda wide: smallest(wide) <= max_nonzeros,
                (_with_width(shape, layer, wide) for wide in range(1, width + 1)),
            )
        ]
    return sorted(shapes, key=lambda shape: (smallest(shape), shape.hidden))


def orbits_over_shapes(
    max_nonzeros: int,
    depth: int = 3,
    inputs: int = 2,
    outputs: int = 1,
    width: int = 16,
    *,
    unused_inputs: bool = False,
) -> dict[NetShape, dict[int, int]]:
    """``orbits_by_nonzeros`` of each of ``shapes_up_to``, which takes the same arguments."""
    shapes = shapes_up_to(max_nonzeros, depth, inputs, outputs, width, unused_inputs=unused_inputs)
    series = _Series.of(shapes, max_nonzeros)
    burnside = _Burnside(series, unused_inputs)
    return {shape: _levels(shape, series, burnside.orbits(shape), max_nonzeros) for shape in shapes}


def _with_width(shape: NetShape, layer: int, width: int) -> NetShape:
    hidden = (*shape.hidden[:layer], width, *shape.hidden[layer + 1 :])
    return NetShape.from_hidden(hidden, shape.inputs, shape.outputs)


def _by_nonzeros(
    count: Callable[[NetShape, _Series, bool], int],
    shape: NetShape,
    max_nonzeros: int | None,
    unused_inputs: bool,
) -> dict[int, int]:
    series = _Series.of([shape], max_nonzeros)
    return _levels(shape, series, count(shape, series, unused_inputs), max_nonzeros)


def _levels(
    shape: NetShape, series: _Series, value: int, max_nonzeros: int | None
) -> dict[int, int]:
    """nonzeros -> coefficient; the biases of an eligible mask all live."""
    most = _most(shape, max_nonzeros)
    counts = enumerate(series.coefficients(value), start=shape.biases)
    return {nonzeros: count for nonzeros, count in counts if count and nonzeros <= most}


def _most(shape: NetShape, max_nonzeros: int | None) -> int:
    """Nonzeros of the last level asked for; where that is none, one less than the biases."""
    if max_nonzeros is None:
        return shape.dense_nonzeros
    return max(shape.biases - 1, min(max_nonzeros, shape.dense_nonzeros))


def _count_bits(shape: NetShape, degree: int) -> int:
    """Bits that hold the masks of any weight nonzeros up to ``degree``, times relabellings."""
    masks = math.comb(shape.weights, min(max(degree, 0), shape.weights // 2))
    relabellings = math.prod(math.factorial(width) for width in shape.hidden)
    return (masks * relabellings).bit_length()


@dataclass(frozen=True)
class _Series:
    """Power series in x up to ``degree``, each packed into one Python int.

    Coefficient e stands at bit ``bits * e``, so that sums and products are those of ints,
    cut by ``mask``. Negative coefficients on the way borrow from the next and pay back in
    the end. With 0 bits x is 1: the value is the sum of all coefficients. With degree -1
    there is no coefficient and everything is 0.
    """

    degree: int
    bits: int
    mask: int

    @classmethod
    def totals(cls) -> _Series:
        """Plain ints: x = 1."""
        return cls(0, 0, -1)

    @classmethod
    def of(cls, shapes: list[NetShape], max_nonzeros: int | None) -> _Series:
        """Wide enough for the counts of ``shapes``, times their relabellings."""
        degree = max((_most(s, max_nonzeros) - s.biases for s in shapes), default=-1)
        bits = max((_count_bits(shape, degree) for shape in shapes), default=1)
        return cls(degree, bits, (1 << bits * (degree + 1)) - 1)

    def x(self, exponent: int) -> int:
        """The power of x."""
        return 1 << self.bits * exponent & self.mask

    def one_plus_x(self, exponent: int, times: int) -> int:
        """(1 + x^exponent)^times."""
        return sum(math.comb(times, k) * self.x(exponent * k) for k in range(times + 1)) & self.mask

    def power(self, value: int, exponent: int) -> int:
        """``value`` to the power ``exponent``."""
        result = 1
        for digit in f"{exponent:b}":
            result = result * result & self.mask
            result = result * value & self.mask if digit == "1" else result
        return result

    def coefficients(self, value: int) -> list[int]:
        """Of x^0, x^1, ..., x^degree."""
        one = (1 << self.bits) - 1
        return [value >> self.bits * e & one for e in range(self.degree + 1)]


def _orbits(shape: NetShape, series: _Series, unused_inputs: bool) -> int:
    return _Burnside(series, unused_inputs).orbits(shape)


def _labelled(shape: NetShape, series: _Series, unused_inputs: bool) -> int:
    """All eligible masks: those that the identity maps to themselves, layer by layer."""
    burnside = _Burnside(series, unused_inputs)
    (rows, inputs), *others = shape.layers
    matrices = [burnside.fixed(((1, out),), ((1, fan_in),)) for out, fan_in in others]
    return _product(series, [burnside.fixed_first(((1, rows),), inputs), *matrices])


def _row_sorted(shape: NetShape, series: _Series, unused_inputs: bool) -> int:
    (rows, inputs), *hidden, (outputs, fan_in) = shape.layers
    first = (_multisets if unused_inputs else _sorted_rows)(rows, inputs, series)
    last = _Burnside(series).fixed(((1, outputs),), ((1, fan_in),))
    return _product(series, [first, *(_sorted_rows(*layer, series) for layer in hidden), last])


def _product(series: _Series, values: Iterable[int]) -> int:
    result = 1 & series.mask
    for value in values:
        result = result * value & series.mask
    return result


def _sorted_rows(rows: int, cols: int, series: _Series) -> int:
    """Multisets of ``rows`` nonzero rows that leave no column zero (inclusion and exclusion)."""
    total = 0
    for kept in range(cols + 1):
        sign = (-1) ** (cols - kept)
        total += sign * math.comb(cols, kept) * _multisets(rows, kept, series)
    return total & series.mask


def _multisets(rows: int, cols: int, series: _Series) -> int:
    """Multisets of ``rows`` nonzero rows over ``cols`` columns."""
    ways = [1] + [0] * rows  # [n]: of n rows with at most as many ones as seen so far
    for ones in range(1, cols + 1):
        kinds = math.comb(cols, ones)
        some = [math.comb(kinds + n - 1, n) * series.x(ones * n) for n in range(rows + 1)]
        ways = [
            sum(ways[n - more] * some[more] for more in range(n + 1)) & series.mask
            for n in range(rows + 1)
        ]
    return ways[rows]


class _Burnside:
    """Orbits of shapes as values of one series; what shapes share is counted once."""

    def __init__(self, series: _Series, unused_inputs: bool = False) -> None:
        self._series, self._unused_inputs = series, unused_inputs
        self._fixed: dict[tuple[Cycles, Cycles], int] = {}
        self._blocks: dict[tuple[int, int], int] = {}
        self._below: dict[tuple[int, ...], dict[Cycles, int]] = {}

    def orbits(self, shape: NetShape) -> int:
        """Eligible masks of ``shape`` up to relabelling."""
        return self._average(shape.widths[:-1], ((1, shape.outputs),))

    def fixed(self, rows: Cycles, cols: Cycles) -> int:
        """0/1 matrices that a pair of permutations maps to themselves, no line zero.

        Rows and columns count alike; the side with fewer choices is the one where whole
        cycles of lines are left out in turn.
        """
        if (_choices(rows), rows) > (_choices(cols), cols):
            rows, cols = cols, rows
        if (rows, cols) not in self._fixed:
            self._fixed[rows, cols] = self._count_fixed(rows, cols)
        return self._fixed[rows, cols]

    def fixed_first(self, rows: Cycles, inputs: int) -> int:
        """``fixed`` for the matrix next to the inputs, which stay where they are."""
        if not self._unused_inputs:
            return self.fixed(((1, inputs),), rows)
        lines = ((self._free_blocks(length, inputs), number) for length, number in rows)
        powers = (self._series.power(line - 1 & self._series.mask, n) for line, n in lines)
        return _product(self._series, powers)

    def _count_fixed(self, rows: Cycles, cols: Cycles) -> int:
        series, total = self._series, 0
        for kept in itertools.product(*(range(number + 1) for _, number in rows)):
            term = 1
            for (_, number), k in zip(rows, kept, strict=True):
                term *= (-1) ** (number - k) * math.comb(number, k)
            for col, number in cols:
                line = 1
                for (row, _), k in zip(rows, kept, strict=True):
                    blocks = self._free_blocks(math.lcm(row, col), k * math.gcd(row, col))
                    line = line * blocks & series.mask
                term = term * series.power(line - 1 & series.mask, number) & series.mask
            total += term
        return total & series.mask

    def _free_blocks(self, size: int, number: int) -> int:
        if (size, number) not in self._blocks:
            self._blocks[size, number] = self._series.one_plus_x(size, number)
        return self._blocks[size, number]

    def _average(self, widths: tuple[int, ...], cycles: Cycles) -> int:
        """Orbits of the layers up to one above ``widths`` that ``cycles`` of it keep.

        Only the layers in ``widths`` are relabelled, the inputs not.
        """
        if len(widths) == 1:
            return self.fixed_first(cycles, widths[0])
        total = 0
        for own, below in self._kept_below(widths).items():
            total += _permutations(own) * (below * self.fixed(own, cycles) & self._series.mask)
        return (total & self._series.mask) // math.factorial(widths[-1])

    def _kept_below(self, widths: tuple[int, ...]) -> dict[Cycles, int]:
        """``_average`` of all but the last layer of ``widths``, by the cycles of the last."""
        if widths not in self._below:
            self._below[widths] = {
                cycles: self._average(widths[:-1], cycles) for cycles in _cycle_types(widths[-1])
            }
        return self._below[widths]


def _choices(cycles: Cycles) -> int:
    return math.prod(number + 1 for _, number in cycles)


def _permutations(cycles: Cycles) -> int:
    """Permutations with these cycles."""
    size = sum(length * number for length, number in cycles)
    same: int = math.prod(length**number * math.factorial(number) for length, number in cycles)
    return math.factorial(size) // same


@lru_cache(maxsize=64)
def _cycle_types(size: int) -> tuple[Cycles, ...]:
    """Cycles of all permutations of ``size`` things, each type once."""
    return tuple(_partitions(size, size))


def _partitions(size: int, longest: int) -> Iterator[Cycles]:
    if size == 0:
        yield ()
        return
    for length in range(min(size, longest), 0, -1):
        for number in range(1, size // length + 1):
            for rest in _partitions(size - length * number, length - 1):
                yield ((length, number), *rest)
