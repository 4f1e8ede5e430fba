"""Shapes of networks and batches of sparsity masks in packed bits.

Bit layout of one mask, here of shape (3,2,2), [2,3,2,2,1]: the layers one after the
other, each row-major with a row per output neuron; weight p is bit ``p % 64`` of word
``p // 64``::

    layer 0 (3 x 2)   layer 1 (2 x 3)   layer 2 (2 x 2)   layer 3 (1 x 2)
       in 0  1            in 0  1  2        in 0  1          in 0  1
    out 0:  0  1      out 0:  6  7  8    out 0: 12 13     out 0: 16 17
    out 1:  2  3      out 1:  9 10 11    out 1: 14 15
    out 2:  4  5

    word 0, bit  63 ... 18 | 17 16 | 15 ... 12 | 11 ... 6 | 5 ... 0
                  unused 0   layer 3   layer 2    layer 1   layer 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.rng import mix64

WORD_BITS = 64


@dataclass(frozen=True)
class NetShape:
    """Neurons per layer, input and output included: ``NetShape((2, 7, 3, 3, 1))``.

    ``str()`` gives the hidden widths, ``"7,3,3"``, as text and the command line do.
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.widths) < 3 or any(type(w) is not int or w < 1 for w in self.widths):
            raise UsageError(
                f"shape {self.widths!r} must name the inputs, at least one hidden layer and the"
                " outputs, each a whole number from 1 up, such as (2, 7, 3, 3, 1)"
            )

    @classmethod
    def from_hidden(cls, hidden: Sequence[int], inputs: int = 2, outputs: int = 1) -> NetShape:
        """The shape with these hidden widths."""
        return cls(_as_ints((inputs, *hidden, outputs)))

    @classmethod
    def parse(cls, text: str, inputs: int = 2, outputs: int = 1) -> NetShape:
        """The shape whose hidden widths ``text`` lists: ``"7,3,3"``, ``"(7,3,3)"`` or ``"7x3x3"``.

        Raises:
            UsageError: when ``text`` is not a list of whole numbers from 1 up.
        """
        inner = text.strip().removeprefix("(").removesuffix(")")
        try:
            hidden = tuple(int(part) for part in inner.replace("x", ",").split(","))
        except ValueError:
            hidden = ()
        if not hidden or min(hidden) < 1:
            raise UsageError(f"shape {text!r} is not a list of hidden widths such as 7,3,3")
        return cls.from_hidden(hidden, inputs, outputs)

    @classmethod
    def from_json(cls, widths: Sequence[int]) -> NetShape:
        """The inverse of ``to_json``."""
        return cls(_as_ints(widths))

    def to_json(self) -> list[int]:
        """All widths, input and output too: ``[2, 7, 3, 3, 1]``."""
        return list(self.widths)

    def __str__(self) -> str:
        return ",".join(str(width) for width in self.hidden)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return self.widths[1:-1]

    @property
    def inputs(self) -> int:
        """Input neurons."""
        return self.widths[0]

    @property
    def outputs(self) -> int:
        """Output neurons."""
        return self.widths[-1]

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(out, in) of every weight matrix."""
        return tuple(zip(self.widths[1:], self.widths[:-1], strict=True))

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(rows * cols for rows, cols in self.layers)

    @property
    def biases(self) -> int:
        """Number of biases."""
        return sum(self.widths[1:])

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return self.weights + self.biases

    @property
    def dense_nonzeros(self) -> int:
        """Nonzeros of the dense network, biases counted."""
        return self.parameters

    @property
    def words(self) -> int:
        """64-bit words that one mask takes."""
        return -(-self.weights // WORD_BITS)


@dataclass(frozen=True, eq=False)
class MaskBatch:
    """Masks of one shape as packed bits (drawn at the top of this module).

    Attributes:
        shape: the shape that all masks belong to.
        words: uint64 [mask, word]; bits past the last weight are 0.
    """

    shape: NetShape
    words: npt.NDArray[np.uint64]

    def __post_init__(self) -> None:
        expected = ("mask", self.shape.words)
        if (
            self.words.dtype != np.uint64
            or self.words.ndim != 2
            or self.words.shape[1] != expected[1]
        ):
            raise UsageError(
                f"masks of shape ({self.shape}) are uint64 {list(expected)},"
                f" not {self.words.dtype} {list(self.words.shape)}"
            )
        used = self.shape.weights - WORD_BITS * (self.shape.words - 1)
        if used < WORD_BITS and (self.words[:, -1] >> np.uint64(used)).any():
            raise UsageError(
                f"masks of shape ({self.shape}) have bits set past their"
                f" {self.shape.weights} weights"
            )

    @classmethod
    def dense_of(cls, shape: NetShape, n: int = 1) -> MaskBatch:
        """``n`` masks that keep every weight."""
        return cls.from_dense(shape, [np.ones((n, *layer), np.uint8) for layer in shape.layers])

    @classmethod
    def from_dense(cls, shape: NetShape, matrices: Sequence[npt.NDArray[Any]]) -> MaskBatch:
        """Masks from one 0/1 array [mask, out, in] a layer.

        Raises:
            UsageError: when the arrays do not fit ``shape`` or hold other values than 0 and 1.
        """
        arrays = [np.asarray(matrix) for matrix in matrices]
        if [a.shape[1:] for a in arrays] != list(shape.layers) or len({len(a) for a in arrays}) > 1:
            raise UsageError(
                f"masks of shape ({shape}) need one array [mask, out, in] a layer with (out, in)"
                f" = {list(shape.layers)}, not arrays of shape {[a.shape for a in arrays]}"
            )
        if any(((a != 0) & (a != 1)).any() for a in arrays):
            raise UsageError("masks hold 0 and 1 only")
        flat = [a.reshape(len(a), a.shape[1] * a.shape[2]) for a in arrays]
        bits = np.concatenate(flat, axis=1).astype(np.uint8)
        return cls(shape, _pack(bits, shape.words))

    def dense(self) -> list[npt.NDArray[np.uint8]]:
        """One 0/1 array a layer: uint8 [mask, out, in]."""
        bits = np.unpackbits(_as_bytes(self.words), axis=1, bitorder="little")
        ends = np.cumsum([rows * cols for rows, cols in self.shape.layers])
        flat = np.split(bits[:, : ends[-1]], ends[:-1], axis=1)
        return [
            np.ascontiguousarray(part).reshape(-1, *layer)
            for part, layer in zip(flat, self.shape.layers, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: slice | npt.NDArray[Any]) -> MaskBatch:
        return MaskBatch(self.shape, self.words[index])

    def weight_nonzeros(self) -> npt.NDArray[np.int32]:
        """int32 [mask]: weights kept."""
        return np.asarray(np.bitwise_count(self.words).sum(axis=1, dtype=np.int32))

    def nonzeros(self) -> npt.NDArray[np.int32]:
        """int32 [mask]: weights kept and live biases; a bias lives when its row keeps a weight."""
        live = self._covered(axis=0).sum(axis=1, dtype=np.int32)
        return np.asarray(self.weight_nonzeros() + live)

    def eligible(self, *, unused_inputs: bool = False) -> npt.NDArray[np.bool_]:
        """bool [mask]: no zero row and no zero column in any layer.

        Args:
            unused_inputs: columns of the first layer may be zero.
        """
        columns = self._covered(axis=1)[:, self.shape.inputs if unused_inputs else 0 :]
        return np.asarray(self._covered(axis=0).all(axis=1) & columns.all(axis=1))

    def keys(self) -> npt.NDArray[np.uint64]:
        """uint64 [mask]: a mix of shape and mask that stays the same for ever.

        Run keys are made from it, so two different masks draw unrelated random numbers
        (two of 8 million collide with probability 2e-6).
        """
        key = mix64(np.uint64(len(self.shape.widths)))
        for width in self.shape.widths:
            key = mix64(key ^ np.uint64(width))
        keys = np.full(len(self), key, np.uint64)
        for word in self.words.T:
            keys = mix64(keys ^ word)
        return keys

    def _covered(self, axis: int) -> npt.NDArray[np.bool_]:
        """bool [mask, line]: whether each row (``axis`` 0) or column (1) keeps a weight."""
        lines = _line_bits(self.shape, axis)
        covered = np.zeros((len(self), len(lines)), np.bool_)
        for line, bits in enumerate(lines):
            for word in np.flatnonzero(bits):
                covered[:, line] |= (self.words[:, word] & bits[word]) != 0
        return covered


def _as_ints(widths: Sequence[Any]) -> tuple[int, ...]:
    """numpy's whole numbers as Python's; others stay, for ``NetShape`` to refuse."""
    return tuple(int(w) if isinstance(w, np.integer) else w for w in widths)


def _as_bytes(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """uint8 [n, 8 * word], lowest byte first on any machine."""
    return np.ascontiguousarray(words).astype("<u8").view(np.uint8)


def _pack(bits: npt.NDArray[np.uint8], words: int) -> npt.NDArray[np.uint64]:
    """0/1 bits [n, weights] as uint64 [n, words]."""
    padded = np.zeros((len(bits), WORD_BITS * words), np.uint8)
    padded[:, : bits.shape[1]] = bits
    packed = np.packbits(padded, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64)


@lru_cache(maxsize=256)
def _line_bits(shape: NetShape, axis: int) -> npt.NDArray[np.uint64]:
    """The bits of every row (``axis`` 0) or column (1) of every layer: uint64 [line, word]."""
    lines = []
    start = 0
    for layer in shape.layers:
        place = np.indices(layer)[axis]
        for line in range(layer[axis]):
            bits = np.zeros((1, shape.weights), np.uint8)
            bits[0, start : start + place.size] = (place == line).reshape(-1)
            lines.append(_pack(bits, shape.words))
        start += place.size
    return np.concatenate(lines)
