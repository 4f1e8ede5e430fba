"""Brute force over masks: every relabelling of the hidden neurons, bit by bit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.mask import MaskBatch, NetShape

Array = npt.NDArray[Any]


def every_mask(shape: NetShape) -> MaskBatch:
    """All masks of a shape with few weights, eligible or not."""
    return MaskBatch(shape, np.arange(1 << shape.weights, dtype=np.uint64)[:, None])


def inputs_used_or_not(masks: MaskBatch) -> MaskBatch:
    """Those without a zero row, and without a zero column above the first layer."""
    dense = masks.dense()
    rows = [np.all(np.any(matrix, axis=2), axis=1) for matrix in dense]
    columns = [np.all(np.any(matrix, axis=1), axis=1) for matrix in dense[1:]]
    return masks[np.all([*rows, *columns], axis=0)]


def bit_moves(shape: NetShape) -> Iterator[list[int]]:
    """For each relabelling, the bit that each bit of a mask moves to."""
    for hidden in itertools.product(*(itertools.permutations(range(w)) for w in shape.hidden)):
        names = [range(shape.inputs), *hidden, range(shape.outputs)]
        moves, start = [], 0
        for layer, (rows, cols) in enumerate(shape.layers):
            for i in range(rows):
                for j in range(cols):
                    moves.append(start + names[layer + 1][i] * cols + names[layer][j])
            start += rows * cols
        yield moves


def images(masks: MaskBatch) -> Array:
    """uint64 [relabelling, mask]: what each relabelling makes of masks of at most 64 weights."""
    return np.array([_moved(masks.words[:, 0], moves) for moves in bit_moves(masks.shape)])


def _moved(words: Array, moves: list[int]) -> Array:
    moved = np.zeros_like(words)
    for bit, to in enumerate(moves):
        moved |= (words >> np.uint64(bit) & np.uint64(1)) << np.uint64(to)
    return moved


def eligible_matrices(rows: int, cols: int) -> int:
    """0/1 matrices with no zero row and no zero column, by inclusion and exclusion."""
    return sum((-1) ** k * math.comb(cols, k) * (2 ** (cols - k) - 1) ** rows for k in range(cols))


def relabelled(masks: MaskBatch, seed: int) -> MaskBatch:
    """Each mask with its hidden neurons in an order of its own."""
    rng = np.random.default_rng(seed)
    dense = masks.dense()
    for layer, width in enumerate(masks.shape.hidden):
        order = rng.permuted(np.tile(np.arange(width), (len(masks), 1)), axis=1)
        dense[layer] = np.take_along_axis(dense[layer], order[:, :, None], axis=1)
        dense[layer + 1] = np.take_along_axis(dense[layer + 1], order[:, None, :], axis=2)
    return MaskBatch.from_dense(masks.shape, dense)
