"""Whole training runs of many small ReLU networks in one compiled call, on a CPU core.

A group is LANES networks of one shape that see the same minibatches; each has its own
weights, mask and learning rates. See ``layers`` for the memory layout and ``vector``
for why a network's result never depends on the rest of its group.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from .cache import compiled
from .layers import (
    BLOCK,
    align_stack,
    clear,
    first_gradient,
    first_layer,
    first_step,
    gradient,
    hidden_delta,
    hidden_layer,
    output_score,
    output_step,
    update,
)
from .vector import LANES

__all__ = ["BLOCK", "LANES", "aligned", "gather", "padded", "parameters", "score", "train"]

Floats = npt.NDArray[np.float32]
_ALIGNMENT = 64  # bytes
_SCORED = 2**20  # samples of one call of _score, which counts in float32: exact up to 2**24


def aligned(*shape: int) -> Floats:
    """Zeros whose memory starts at a multiple of 64 bytes."""
    count = int(np.prod(shape))
    raw = np.zeros(count + _ALIGNMENT // 4, np.float32)
    start = (-raw.ctypes.data % _ALIGNMENT) // 4
    return raw[start : start + count].reshape(shape)


def parameters(widths: tuple[int, ...]) -> int:
    """Number of weights and biases of a network with these neurons a layer."""
    return sum((fan + 1) * out for fan, out in itertools.pairwise(widths))


def padded(batch: int) -> int:
    """Samples of a minibatch, made up to whole blocks."""
    return -(-batch // BLOCK) * BLOCK


@functools.partial(compiled, inline="always")
def _forward(w: Any, x: Any, sample: int, a: Any, widths: Any) -> tuple[int, int]:
    """Activations of all hidden layers; where the output's weights and the last ones start."""
    first_layer(w, x, sample, a, 0, widths[0], widths[1])
    at, source = (widths[0] + 1) * widths[1], 0
    for k in range(2, widths.size - 1):
        to = source + BLOCK * widths[k - 1]
        hidden_layer(w, at, a, source, to, widths[k - 1], widths[k])
        at += (widths[k - 1] + 1) * widths[k]
        source = to
    return at, source


@functools.partial(compiled, inline="always")
def _gradients(w: Any, g: Any, x: Any, sample: int, batch: int, a: Any, widths: Any) -> None:
    """Add the gradients of a minibatch, the samples from ``sample``, block by block.

    The forward pass of each block is interleaved with the backward pass of the block
    before: neither waits for the other, so the core always has work at hand. The two
    take turns with the two halves of ``a``. A layer's deltas replace its activations.
    """
    inputs, last = widths[0], widths.size - 2
    half = a.size // LANES // 2
    blocks = (batch + BLOCK - 1) // BLOCK
    for block in range(-1, blocks):
        back, ahead = block >= 0, block + 1 < blocks
        now, after = sample + block * BLOCK, sample + (block + 1) * BLOCK
        this, other = (block & 1) * half, (block + 1 & 1) * half
        at, here = 0, this
        for k in range(last):
            at += (widths[k] + 1) * widths[k + 1]
            here += BLOCK * widths[k + 1]
        here -= BLOCK * widths[last]
        if back:
            valid = batch - block * BLOCK
            output_step(w, g, at, a, here, widths[last], x, now, inputs, valid, a)
            if last == 1:
                first_gradient(g, a, here, x, now, inputs, widths[1])
        if ahead:
            first_layer(w, x, after, a, other, inputs, widths[1])
        at_ahead, source = (inputs + 1) * widths[1], other
        for k in range(last - 1, 0, -1):
            fan, out = widths[k], widths[k + 1]
            if back:
                at -= (fan + 1) * out
                below = here - BLOCK * fan
                gradient(g, at, a, here, a, below, fan, out)
                if k > 1:
                    hidden_delta(w, at, a, here, below, a, below, fan, out)
                else:
                    first_step(w, g, at, a, here, a, below, x, now, inputs, fan, out)
                here = below
            if ahead:
                fan, out = widths[last - k], widths[last - k + 1]
                to = source + BLOCK * fan
                hidden_layer(w, at_ahead, a, source, to, fan, out)
                at_ahead += (fan + 1) * out
                source = to


@compiled
def _gather(samples: Any, order: Any, batch: int, x: Any) -> None:
    padded = (batch + BLOCK - 1) // BLOCK * BLOCK
    columns = samples.shape[1]
    for i in range(order.size // batch * batch):
        row, to = order[i], (i // batch * padded + i % batch) * columns
        for k in range(columns):
            x[to + k] = samples[row, k]


@compiled
def _train(
    w: Any, v: Any, m: Any, rates: Any, batches: Any, widths: Any, a: Any, g: Any, batch: int,
    steps: int, first: int, last: int, momentum: Any, decay: Any, mean: Any,
) -> None:  # fmt: skip
    align_stack()
    count = g.size // LANES
    padded = (batch + BLOCK - 1) // BLOCK * BLOCK
    start = first // steps * steps
    clear(g, count)
    for step in range(first, last):
        _gradients(w, g, batches, (step - start) * padded, batch, a, widths)
        update(w, v, m, g, rates, step // steps, count, mean, decay, momentum)


@compiled
def _score(w: Any, x: Any, samples: int, widths: Any, a: Any, scores: Any) -> None:
    align_stack()
    fan = widths[widths.size - 2]
    clear(scores, 2)
    for sample in range(0, samples, BLOCK):
        at, source = _forward(w, x, sample, a, widths)
        output_score(w, at, a, source, fan, x, sample, widths[0], samples - sample, scores)


# The compiled code checks nothing: what it would misread must be refused before.
def _flat(name: str, array: Floats, groups: int, rows: int) -> Floats:
    """[group, row, lane] as [group, float]."""
    expected = (groups, rows, LANES)
    if array.dtype != np.float32 or array.shape != expected or not array.flags.c_contiguous:
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} must be contiguous float32 {expected}, got {found}")
    if array.size and array.ctypes.data % _ALIGNMENT:
        raise ValueError(f"{name} is not aligned to {_ALIGNMENT} bytes: make it with aligned()")
    return array.reshape(groups, rows * LANES)


def _check_samples(name: str, array: Floats, axes: int, widths: tuple[int, ...]) -> None:
    if len(widths) < 3 or min(widths) < 1 or widths[-1] != 1:
        raise ValueError(f"widths {widths} must be inputs, one hidden layer or more, and 1 output")
    if array.dtype != np.float32 or array.ndim != axes or array.shape[-1] != widths[0] + 1:
        expected = f"{axes} axes, the last of {widths[0]} inputs and the label"
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} must be float32 with {expected}, got {found}")


def _check_steps(batches: Floats, batch: int, first: int, last: int) -> int:
    """Steps an epoch."""
    steps = int(batches.shape[1]) // padded(batch)
    if not 0 <= first <= last <= (first // max(steps, 1) + batches.shape[0]) * steps:
        held = f"{batches.shape[0]} epochs of {steps} steps from that of step {first} on"
        raise ValueError(f"steps {first} to {last} are not all in batches, which hold {held}")
    return max(steps, 1)


def _hidden(widths: tuple[int, ...], blocks: int) -> Floats:
    """Room for the activations of ``blocks`` blocks."""
    return aligned(blocks * sum(widths[1:-1]) * BLOCK * LANES)


def gather(samples: Floats, orders: npt.NDArray[np.int32], batch: int) -> Floats:
    """Epochs of minibatches: [epoch, sample of the epoch's batches, inputs + 1], for ``train``.

    Args:
        samples: float32 [sample, inputs + 1], the label 0.0 or 1.0 in the last column.
        orders: int32 [epoch, sample], the order of the samples; an incomplete batch is dropped.
        batch: samples of a minibatch; each is padded to whole blocks.
    """
    if orders.size and not 0 <= orders.min() <= orders.max() < samples.shape[0]:
        found = f"{orders.min()} to {orders.max()}"
        raise ValueError(f"orders must be 0 to {samples.shape[0] - 1}, got {found}")
    steps = orders.shape[1] // batch
    batches = np.zeros((orders.shape[0], steps * padded(batch) * samples.shape[1]), np.float32)
    for order, x in zip(orders, batches, strict=True):
        _gather(samples, order, batch, x)
    return batches.reshape(orders.shape[0], steps * padded(batch), samples.shape[1])


def train(
    w: Floats, v: Floats, m: Floats, rates: Floats, batches: Floats, widths: tuple[int, ...], *,
    batch: int, first: int, last: int, momentum: float, decay: float,
) -> None:  # fmt: skip
    """Optimiser steps ``first`` to ``last`` - 1 of all groups, in place.

    Args:
        w, v, m: weights, velocities and masks, float32 [group, parameter, LANES], aligned.
        rates: learning rates, float32 [group, epoch, LANES], aligned.
        batches: from ``gather``, the epochs from that of step ``first`` on.
        widths: neurons a layer: inputs, one hidden layer or more, 1 output.
        batch: samples of a minibatch.
        momentum, decay: of SGD: v = momentum v + gradient + decay w, then w = w - rate v
            where the mask is 1, else 0.
    """
    _check_samples("batches", batches, 3, widths)
    steps = _check_steps(batches, batch, first, last)
    groups, count, epochs = w.shape[0], parameters(widths), max(rates.shape[1], -(-last // steps))
    flat = batches.reshape(-1)
    states = [_flat(name, s, groups, count) for name, s in (("w", w), ("v", v), ("m", m))]
    a, g = _hidden(widths, 2), aligned(parameters(widths) * LANES)
    shape = np.array(widths, np.int64)
    constants = np.float32(momentum), np.float32(decay), np.float32(1 / batch)
    # A call a group, so that a signal is served between two of them.
    for wg, vg, mg, rg in zip(*states, _flat("rates", rates, groups, epochs), strict=True):
        _train(wg, vg, mg, rg, flat, shape, a, g, batch, steps, first, last, *constants)


def score(
    w: Floats, samples: Floats, widths: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Right answers and whether all logits and parameters are finite, both [group, LANES].

    Args:
        w: weights, float32 [group, parameter, LANES], aligned.
        samples: float32 [sample, inputs + 1], the label 0.0 or 1.0 in the last column.
        widths: as in ``train``.
    """
    _check_samples("samples", samples, 2, widths)
    weights = _flat("w", w, w.shape[0], parameters(widths))
    a, shape, scores = _hidden(widths, 1), np.array(widths, np.int64), aligned(w.shape[0], 2, LANES)
    correct, finite = np.zeros((w.shape[0], LANES), np.int64), np.array(np.isfinite(w).all(axis=1))
    for first in range(0, samples.shape[0], _SCORED):
        part = samples[first : first + _SCORED]
        x = np.zeros((padded(part.shape[0]), samples.shape[1]), np.float32)
        x[: part.shape[0]] = part
        for wg, sg in zip(weights, scores.reshape(w.shape[0], 2 * LANES), strict=True):
            _score(wg, x.reshape(-1), part.shape[0], shape, a, sg)
        correct += scores[:, 0].astype(np.int64)
        finite &= np.isfinite(scores[:, 1])
    return correct, finite
