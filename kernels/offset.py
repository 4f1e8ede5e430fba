"""Training of networks whose weights are a fixed offset, scaled a layer, plus what is trained.

A layer's weights are scale x offset + part; its biases are parts alone. As in ``cpu``, LANES
networks of one shape make a group, and no lane depends on another. The rows of a group::

    0 .. count - 1              parts: weights of the first layer, its biases, the second's, ...
    count .. count + layers - 1 scales, one a layer

The gradients of the whole weights are those of ``cpu``; the part has the same, and a scale the
sum over its layer of offset x gradient.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from . import cpu
from .cache import compiled
from .layers import align_stack, clear, update
from .vector import LANES

__all__ = ["LANES", "starts", "train", "whole"]

Floats = npt.NDArray[np.float32]


def starts(widths: tuple[int, ...]) -> list[int]:
    """The first row of each layer, and the number of rows of all."""
    sizes = [(fan + 1) * out for fan, out in itertools.pairwise(widths)]
    return [0, *itertools.accumulate(sizes)]


@compiled
def _whole(p: Any, offset: Any, starts: Any, e: Any) -> None:
    """e = scale x offset + part, of one group."""
    layers = starts.size - 1
    for layer in range(layers):
        scale = (starts[layers] + layer) * LANES
        for i in range(starts[layer], starts[layer + 1]):
            factor = offset[i]
            for lane in range(LANES):
                e[i * LANES + lane] = p[i * LANES + lane] + factor * p[scale + lane]


@compiled
def _scale_gradients(g: Any, offset: Any, starts: Any) -> None:
    """The gradients of the scales, which follow those of the parts in ``g`` and are 0 so far."""
    layers = starts.size - 1
    for layer in range(layers):
        scale = (starts[layers] + layer) * LANES
        for i in range(starts[layer], starts[layer + 1]):
            factor = offset[i]
            for lane in range(LANES):
                g[scale + lane] += factor * g[i * LANES + lane]


@compiled
def _train(
    p: Any, v: Any, m: Any, rates: Any, batches: Any, offset: Any, starts: Any, widths: Any,
    e: Any, a: Any, g: Any, batch: int, steps: int, first: int, last: int, rows: int,
    momentum: Any, decay: Any, mean: Any,
) -> None:  # fmt: skip
    align_stack()
    padded = (batch + cpu.BLOCK - 1) // cpu.BLOCK * cpu.BLOCK
    start, layers = first // steps * steps, starts.size - 1
    trains_scales = rows > starts[layers]
    clear(g, starts[layers] + layers)
    for step in range(first, last):
        _whole(p, offset, starts, e)
        cpu._gradients(e, g, batches, (step - start) * padded, batch, a, widths)
        if trains_scales:
            _scale_gradients(g, offset, starts)
        update(p, v, m, g, rates, step // steps, rows, mean, decay, momentum)


def train(
    p: Floats, v: Floats, m: Floats, rates: Floats, batches: Floats, offset: Floats,
    widths: tuple[int, ...], *, batch: int, first: int, last: int, momentum: float, decay: float,
    scales: bool,
) -> None:  # fmt: skip
    """Optimiser steps ``first`` to ``last`` - 1 of all groups, in place.

    Args:
        p, v, m: parts and scales, velocities and masks, float32 [group, row, LANES], aligned.
        rates, batches, widths, batch, momentum, decay: as of ``cpu.train``.
        offset: float32 [row of the parts], 0 for biases; the same for all networks.
        scales: whether the scales are trained; else they stay what they are.
    """
    cpu._check_samples("batches", batches, 3, widths)
    steps = cpu._check_steps(batches, batch, first, last)
    ends = starts(widths)
    count, layers = ends[-1], len(ends) - 1
    if offset.dtype != np.float32 or offset.shape != (count,):
        raise ValueError(f"offset must be float32 ({count},), got {offset.dtype} {offset.shape}")
    groups, epochs = p.shape[0], max(rates.shape[1], -(-last // steps))
    states = [
        cpu._flat(name, s, groups, count + layers) for name, s in (("p", p), ("v", v), ("m", m))
    ]
    e, g = cpu.aligned(count * LANES), cpu.aligned((count + layers) * LANES)
    a, rows = cpu._hidden(widths, 2), count + (layers if scales else 0)
    arrays = np.ascontiguousarray(offset), np.array(ends, np.int64), np.array(widths, np.int64)
    constants = np.float32(momentum), np.float32(decay), np.float32(1 / batch)
    flat = batches.reshape(-1)
    # A call a group, so that a signal is served between two of them.
    for pg, vg, mg, rg in zip(*states, cpu._flat("rates", rates, groups, epochs), strict=True):
        _train(
            pg, vg, mg, rg, flat, *arrays, e, a, g, batch, steps, first, last, rows, *constants
        )  # fmt: skip


def whole(p: Floats, offset: Floats, widths: tuple[int, ...]) -> Floats:
    """The whole weights, float32 [group, parameter, LANES], aligned, as ``cpu.score`` takes them.

    Args:
        p, offset, widths: as of ``train``.
    """
    ends = np.array(starts(widths), np.int64)
    e = cpu.aligned(p.shape[0], int(ends[-1]), LANES)
    for pg, eg in zip(p, e, strict=True):
        _whole(pg.reshape(-1), np.ascontiguousarray(offset), ends, eg.reshape(-1))
    return e
