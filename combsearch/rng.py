"""Counter-based random numbers: a draw depends on its key and place, never on order.

Everything here is plain integer arithmetic in numpy, so that any other backend can
repeat it bit for bit.

* ``philox4x32``: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random
  numbers: as easy as 1, 2, 3").
* ``RunKeys``: who a run is, (seed, mask, cell, restart), mixed to one Philox key.
* ``uniform``: initial weights of a layer. A narrower layer gets the leading block of a
  wider one.
* ``epoch_order``: the order of the points in one epoch, a keyed Feistel bijection on
  2^b numbers of which those below ``points`` are kept (Mitchell, Stokes, Frank, Holmes
  2022, "Bandwidth-optimal random shuffling for GPUs").
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

RESTART_BLOCK = 16
"""Restarts that share their minibatches where a search names no other number."""

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_HIGH_HALF = 1 if sys.byteorder == "little" else 0  # of a 64-bit word in memory
_AT_ONCE = 2**17  # Philox counters: what they need stays in the cache
_ROUNDS = 10
_PHILOX_M = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_PHILOX_W = (np.uint32(0x9E3779B9), np.uint32(0xBB67AE85))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_M = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_ORDER_TAG = np.uint64(0x6F72646572)  # keeps orders apart from all other uses of a seed
_HALF_ROUNDS = 12
_FEISTEL_M = (np.uint32(0x7FEB352D), np.uint32(0x846CA68B))


def philox4x32(counter: U32, key: U32) -> U32:
    """Ten rounds of Philox4x32.

    Args:
        counter: uint32 [..., 4].
        key: uint32 [..., 2]; leading axes broadcast against the counter's.

    Returns:
        uint32 [..., 4], four random words a counter.
    """
    c0, c1, c2, c3 = (np.asarray(counter[..., i], np.uint32) for i in range(4))
    k0, k1 = np.asarray(key[..., 0], np.uint32), np.asarray(key[..., 1], np.uint32)
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(c0, _PHILOX_M[0])
        high1, low1 = _multiply(c2, _PHILOX_M[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        with np.errstate(over="ignore"):
            k0, k1 = k0 + _PHILOX_W[0], k1 + _PHILOX_W[1]
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1)


def _multiply(a: U32, factor: np.uint64) -> tuple[U32, U32]:
    """High and low 32 bits of the 64-bit product, without a copy of either."""
    product = np.multiply(a, factor, dtype=np.uint64, order="C")
    halves = product.reshape(-1).view(np.uint32).reshape(*product.shape, 2)
    return halves[..., _HIGH_HALF], halves[..., 1 - _HIGH_HALF]


def mix64(x: U64 | np.uint64) -> U64:
    """A fixed bijection on 64-bit words in which every input bit reaches every output bit.

    It is the output function of splitmix64 (Steele, Lea, Flood 2014), constant added first.
    """
    x = np.asarray(x, np.uint64)
    with np.errstate(over="ignore"):
        x = x + _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * _MIX_M[0]
        x = (x ^ (x >> np.uint64(27))) * _MIX_M[1]
    return x ^ (x >> np.uint64(31))


def text_key(text: str) -> np.uint64:
    """The 64-bit key of a name (a cell, a task): blake2b, little-endian."""
    return np.uint64(
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    )


def as_philox_key(word: U64 | np.uint64) -> U32:
    """uint64 [...] as a Philox key uint32 [..., 2], low half first."""
    word = np.asarray(word, np.uint64)
    return np.stack([word & _LOW, word >> np.uint64(32)], axis=-1).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class RunKeys:
    """Who each of n runs is. A run's random numbers depend on nothing else.

    Attributes:
        seed: run seed, 0 .. 2^64 - 1.
        mask: uint64 [n], ``MaskBatch.keys()``.
        cell: uint64 [n], ``text_key`` of the cell.
        restart: int64 [n], from 0.
        block: restarts that share their minibatches.
    """

    seed: int
    mask: U64
    cell: U64
    restart: npt.NDArray[np.int64]
    block: int = RESTART_BLOCK

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"seed is {self.seed}, it must be in 0..2^64-1")
        if not len(self.mask) == len(self.cell) == len(self.restart):
            sizes = (len(self.mask), len(self.cell), len(self.restart))
            raise UsageError(f"run keys: masks, cells and restarts differ in number: {sizes}")
        if len(self.restart) and self.restart.min() < 0:
            raise UsageError(f"restart is {self.restart.min()}, it must be from 0 up")
        if self.block < 1:
            raise UsageError(f"block is {self.block}, it must be from 1 up")

    @classmethod
    def make(
        cls,
        seed: int,
        mask_keys: npt.ArrayLike,
        cells: Sequence[str],
        restarts: npt.ArrayLike,
        block: int = RESTART_BLOCK,
    ) -> RunKeys:
        """Keys from mask keys [n], cell names [n] and restart numbers [n]."""
        known = {cell: text_key(cell) for cell in set(cells)}
        return cls(
            seed=seed,
            mask=np.asarray(mask_keys, np.uint64),
            cell=np.array([known[cell] for cell in cells], np.uint64),
            restart=np.asarray(restarts, np.int64),
            block=block,
        )

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, index: slice | npt.NDArray[np.intp]) -> RunKeys:
        return RunKeys(
            self.seed, self.mask[index], self.cell[index], self.restart[index], self.block
        )

    def blocks(self) -> npt.NDArray[np.int64]:
        """int64 [n]: the block of restarts that shares its minibatches."""
        return self.restart // self.block

    def philox_keys(self) -> U32:
        """uint32 [n, 2]: seed, mask, cell and restart mixed to one Philox key each."""
        word = mix64(np.uint64(self.seed))
        for part in (self.mask, self.cell, self.restart.astype(np.uint64)):
            word = mix64(word ^ part)
        return as_philox_key(word)


def uniform(
    keys: U32, layer: int, rows: int, cols: int, stream: int = 0
) -> npt.NDArray[np.float32]:
    """Uniform numbers in [0, 1) with 24 bits: float32 [n, rows, cols].

    Place (row, col) is word ``col % 4`` of Philox at counter
    ``(stream, layer, row, col // 4)``, so it does not depend on ``rows`` and ``cols``.

    Args:
        keys: uint32 [n, 2], ``RunKeys.philox_keys()``.
        layer: layer index, from 0.
        rows, cols: block to draw.
        stream: 0 for weights, 1 for biases (``cols`` = 1).
    """
    quads = -(-cols // 4)
    counter = np.zeros((1, rows, quads, 4), np.uint32)
    counter[..., 0] = stream
    counter[..., 1] = layer
    counter[..., 2] = np.arange(rows)[:, None]
    counter[..., 3] = np.arange(quads)
    found = np.empty((len(keys), rows, cols), np.float32)
    size = max(1, _AT_ONCE // (rows * quads))
    for first in range(0, len(keys), size):
        words = philox4x32(counter, keys[first : first + size, None, None, :])
        words = words.reshape(-1, rows, 4 * quads)[:, :, :cols]
        found[first : first + size] = words >> np.uint32(8)
    found *= np.float32(2**-24)
    return found


def epoch_order(seed: int, block: int, epoch: int, points: int) -> npt.NDArray[np.int32]:
    """The order in which one epoch visits the points: int32 [points], a permutation.

    With b the smallest number of bits that holds ``points`` values, an index is split
    into ``b // 2`` high and ``b - b // 2`` low bits, which take turns: ``low ^= f(high)``
    in even half-rounds, ``high ^= f(low)`` in odd ones, twelve in all. Images that are
    not below ``points`` are dropped, the others keep their order.

    Args:
        seed: run seed, 0 .. 2^64 - 1.
        block: ``RunKeys.blocks()`` of the run.
        epoch: from 0.
        points: number of points, 1 .. 2^31 - 1.
    """
    if not 1 <= points < 2**31:
        raise UsageError(f"cannot order {points} points, there must be 1 to 2^31 - 1")
    bits = (points - 1).bit_length()
    low_bits = bits - bits // 2
    index = np.arange(2**bits, dtype=np.uint32)
    high, low = index >> np.uint32(low_bits), index & np.uint32(2**low_bits - 1)
    for turn, key in enumerate(order_keys(seed, block, epoch)):
        # f has few arguments, so it is tabulated rather than computed 2^b times.
        if turn % 2 == 0:
            low = low ^ _round_table(2 ** (bits // 2), low_bits, key)[high]
        else:
            high = high ^ _round_table(2**low_bits, bits // 2, key)[low]
    order = (high << np.uint32(low_bits)) | low
    return order[order < points].astype(np.int32)


def order_keys(seed: int, block: int, epoch: int) -> U32:
    """The twelve round keys of ``epoch_order``: uint32 [12]."""
    word = mix64(np.uint64(seed))
    for part in (_ORDER_TAG, np.uint64(block), np.uint64(epoch)):
        word = mix64(word ^ part)
    counter = np.zeros((_HALF_ROUNDS // 4, 4), np.uint32)
    counter[:, 0] = np.arange(_HALF_ROUNDS // 4)
    return philox4x32(counter, as_philox_key(word)).reshape(-1)


def _round_table(size: int, out_bits: int, key: np.uint32) -> U32:
    """The Feistel round function at 0 .. size-1: the top ``out_bits`` bits of a 32-bit hash."""
    value = np.arange(size, dtype=np.uint32) ^ key
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint32(16))) * _FEISTEL_M[0]
        value = (value ^ (value >> np.uint32(15))) * _FEISTEL_M[1]
    value = value ^ (value >> np.uint32(16))
    return value >> np.uint32(32 - out_bits) if out_bits else value & np.uint32(0)
