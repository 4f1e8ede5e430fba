"""The CUDA C++ of one shape: its constants, then the files beside this one.

A kernel is compiled for each shape, so that all loops are unrolled and all arrays of a thread
lie in registers. ``thread.cu`` and ``warp.cu`` say how networks are spread over threads.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from combsearch.kernels import sigmoid

Layout = Literal["thread", "warp"]

THREADS = 32
"""Of a block: one warp, so that a multiprocessor holds as many as its registers allow."""

_FOLDER = Path(__file__).parent
_ROW = 132  # floats of a row of values in warp.cu


@dataclass(frozen=True)
class Build:
    """One way to compile the kernels of a shape; all ways give the same bits.

    Attributes:
        widths: neurons a layer: inputs, one hidden layer or more, 1 output.
        layout: ``thread`` (a thread a network) or ``warp`` (a warp a network).
        blocks: that shall fit a multiprocessor, each a warp: more of them leave a thread fewer
            registers, and what does not fit is spilled.
    """

    widths: tuple[int, ...]
    layout: Layout
    blocks: int = 1

    @property
    def networks(self) -> int:
        """Networks of a block."""
        return THREADS if self.layout == "thread" else 1

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block: momenta of its threads, or what its lanes share."""
        floats = parameters(self.widths) if self.layout == "thread" else _warp_floats(self.widths)
        return 4 * floats * self.networks

    def source(self) -> str:
        """CUDA C++ with the kernels ``train`` and ``score``."""
        exp2 = enumerate(sigmoid.EXP2)
        constants = [
            f"constexpr int WIDTHS[] = {{{', '.join(map(str, self.widths))}}};",
            f"constexpr int THREADS = {THREADS}, BLOCKS = {self.blocks};",
            f"constexpr int SHARED_BYTES = {self.shared_bytes};",
            f"constexpr float LIMIT = {_literal(sigmoid.LIMIT)};",
            f"constexpr float ROUND = {_literal(sigmoid.ROUND)};",
            f"constexpr float MINUS_LOG2E = {_literal(sigmoid.MINUS_LOG2E)};",
            *(f"constexpr float EXP2_{power} = {_literal(value)};" for power, value in exp2),
        ]
        files = [(_FOLDER / name).read_text() for name in ("network.cuh", f"{self.layout}.cu")]
        return "\n".join([*constants, *files])


def parameters(widths: tuple[int, ...]) -> int:
    """Number of weights and biases of a network with these neurons a layer."""
    return sum((fan + 1) * out for fan, out in itertools.pairwise(widths))


def stride(widths: tuple[int, ...]) -> int:
    """Floats of a sample: the inputs, the label, and zeros up to a multiple of four."""
    return _fours(widths[0] + 1)


def _warp_floats(widths: tuple[int, ...]) -> int:
    weights = sum(_fours(fan) * out + _fours(out) for fan, out in itertools.pairwise(widths))
    return weights + sum(widths) * _ROW


def _fours(count: int) -> int:
    return -(-count // 4) * 4


def _literal(value: float) -> str:
    """``value`` as a float32 that C++ reads back exactly."""
    return f"{float(np.float32(value)).hex()}f"
