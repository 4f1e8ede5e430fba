"""Masks row by row: every eligible mask, or those with sorted rows (the paper's order).

A part is one row of one layer, so a node holds which columns of the layer the rows above
it cover and, where rows are sorted, the row above. The rows of the paper's masks descend
in (nonzeros, binary value) within each layer, the value read with column 0 as the highest
bit; the layers are combined independently. Rows of several outputs stay in any order.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from combsearch.enumeration.paths import Growth, Ints, Paths, Words
from combsearch.mask import WORD_BITS, NetShape

_PAIRS = 2**20  # of a node and a row, tried at once


def row_paths(shape: NetShape, budget: int, *, ordered: bool) -> Paths | None:
    """The graph of the masks with at most ``budget`` weights; None where there is none.

    Args:
        ordered: only masks whose rows descend in every layer but the outputs'.
    """
    growth = Growth((0, 0), shape.words, budget)
    spare = budget - sum(max(layer) for layer in shape.layers)
    if spare < 0:
        return None
    starts = np.cumsum([0, *(rows * cols for rows, cols in shape.layers)])
    for layer, (rows, cols) in enumerate(shape.layers):
        later = sum(max(other) for other in shape.layers[layer + 1 :])
        values = _rows(growth, cols, max(rows, cols) - rows + 1 + spare)
        for row in range(rows):
            bits = _placed(values, int(starts[layer]) + row * cols, shape.words)
            below = rows - row - 1
            # outputs are not interchangeable: sorting their rows would lose masks
            descend = ordered and layer < len(shape.layers) - 1
            _add_row(growth, values, bits, budget - later, cols, below, ordered=descend)
        if not len(growth.states):
            return None
    return growth.finish()


def row_bits(shape: NetShape) -> Words:
    """uint64 [row, word]: the mask bits of every row, layer after layer."""
    rows = [(1 << cols) - 1 for out, cols in shape.layers for _ in range(out)]
    ends = itertools.accumulate(cols for out, cols in shape.layers for _ in range(out))
    bits = zip(rows, ends, strict=True)
    return _words([row << end - row.bit_length() for row, end in bits], shape.words)


def _rows(growth: Growth, cols: int, heaviest: int) -> Ints:
    """The rows of ``cols`` bits, descending, column j as bit j; at most ``heaviest`` nonzeros."""
    values = []
    growth.room(sum(math.comb(cols, kept) for kept in range(1, min(cols, heaviest) + 1)))
    for kept in range(min(cols, heaviest), 0, -1):
        # combinations come with the leftmost columns first: the highest values
        values += [
            sum(1 << j for j in chosen) for chosen in itertools.combinations(range(cols), kept)
        ]
    return np.array(values, np.int64)


def _add_row(
    growth: Growth, values: Ints, bits: Words, budget: int, cols: int, below: int, *, ordered: bool
) -> None:
    """Add the part of one row; ``budget`` is for this layer and those before it."""
    weight = np.bitwise_count(values).astype(np.int64)
    sources: list[Ints] = []
    choices: list[Ints] = []
    block = max(1, _PAIRS // len(values))
    for start in range(0, len(growth.states), block):
        some = slice(start, start + block)
        covered, above = growth.states[some, :1], growth.states[some, 1:]
        missing = cols - np.bitwise_count(covered | values).astype(np.int64)
        spent = growth.spent[some, None] + weight
        fits = spent + np.maximum(missing, below) <= budget
        # with sorted rows, no row below keeps more than this one
        fits &= missing <= below * (weight if ordered else cols)
        if ordered:
            fits &= np.arange(len(values)) >= above
        source, choice = np.nonzero(fits)
        growth.room(len(source) + sum(len(chosen) for chosen in choices))
        sources.append(source + start)
        choices.append(choice)
    source, choice = np.concatenate(sources), np.concatenate(choices)
    states = np.zeros((len(source), 2), np.int64)
    if below:
        states[:, 0] = growth.states[source, 0] | values[choice]
        states[:, 1] = choice if ordered else 0
    growth.advance(source, states, weight[choice], bits[choice])


def _placed(values: Ints, start: int, words: int) -> Words:
    """Mask words of rows whose first bit is bit ``start``: uint64 [row, word]."""
    return _words([int(value) << start for value in values], words)


def _words(bits: list[int], words: int) -> Words:
    """uint64 [mask, word] of masks as Python's whole numbers."""
    rows = [[mask >> WORD_BITS * i & (1 << WORD_BITS) - 1 for i in range(words)] for mask in bits]
    return np.array(rows, np.uint64).reshape(len(bits), words)
