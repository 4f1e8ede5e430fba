"""Training runs of sparse ReLU networks, one network at a time, on a CPU core.

Only kept weights are touched, and a vector holds BLOCK points of the minibatch, so the work is
in proportion to the weights that are left. ``plan`` turns masks into a ``Structure``; the
compiled code of ``sparse_emit`` follows it, whatever the network. Parameters that the
output does not depend on are only decayed and moved by their momentum: their gradient is 0.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import intrinsic

from . import sparse_emit
from .cache import compiled
from .cpu import aligned
from .layers import align_stack
from .sparse_emit import BLOCK, FLUSHED, HEAD_BACKWARD, HEAD_FORWARD
from .vector import operation

__all__ = [
    "BLOCK",
    "Structure",
    "aligned",
    "fill",
    "gather",
    "padded",
    "plan",
    "rows",
    "score",
    "scored",
    "train",
]

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
_SCORED = 128  # points of a scoring block: as many as the usual minibatch


@intrinsic
def _forward(_context, w, h, program, points, first, neurons):
    """Activations of all neurons."""
    return operation(sparse_emit.write_forward, "aaaiii", (w, h, program, points, first, neurons))


@intrinsic
def _backward(
    _context, w, v, h, sums, g, program, points, inputs, neurons, output_bias, mask, idle,
    rate, mean, decay, momentum,
):  # fmt: skip
    """Deltas, gradients and update."""
    arguments = (
        w, v, h, sums, g, program, points, inputs, neurons, output_bias, mask, idle,
        rate, mean, decay, momentum,
    )  # fmt: skip
    return operation(sparse_emit.write_backward, "aaaaaaiiiiiiffff", arguments)


@intrinsic
def _copy(_context, source, at, to, floats):
    """Copy ``floats`` floats from place ``at`` of ``source`` to the start of ``to``."""
    return operation(sparse_emit.write_copy, "aiai", (source, at, to, floats))


@intrinsic
def _marks(_context, h, points, inputs, neurons, marks):
    """Count right answers, note logits that are not finite."""
    return operation(sparse_emit.write_marks, "aiiia", (h, points, inputs, neurons, marks))


class Structure(NamedTuple):
    """What of a masked network is computed, and in which order (``sparse_emit``).

    Attributes:
        forward, backward: the programs, int32; rows of ``h`` are counted in slots.
        origin: int64 [place], where a parameter lies in the flat network; -1 is padding, as is
            all of the first block, whose zeros stand for biases that are masked.
        inputs: of the network.
        neurons: live hidden neurons, and the output.
        active: parameters that the output depends on; they come first.
        idle: blocks of the others.
        output_bias: 1 if the output has a bias.
        waiting: rows of partial sums that are in use at once, at most.
    """

    forward: npt.NDArray[np.int32]
    backward: npt.NDArray[np.int32]
    origin: Places
    inputs: int
    neurons: int
    active: int
    idle: int
    output_bias: int
    waiting: int


def padded(batch: int) -> int:
    """Points of a minibatch, made up to whole blocks."""
    return -(-batch // BLOCK) * BLOCK


def parameters(widths: tuple[int, ...]) -> int:
    """Number of weights and biases of a network with these neurons a layer."""
    return sum((fan + 1) * out for fan, out in itertools.pairwise(widths))


# Rows of the tables that a plan is made with: of a kept weight, of a neuron, of the result.
_SOURCE, _TARGET, _FLAT = range(3)
_BIAS, _LIVE, _SLOT, _OUTS, _INS, _OWN, _PLACE, _AT, _AHEAD, _OUTS_DONE, _OWN_DONE = range(11)
_COUNT, _ACTIVE, _IDLE, _WAITING, _FORWARD, _BACKWARD = range(6)
_inlined = functools.partial(compiled, inline="always")


@_inlined
def _list_kept(m: Any, widths: Any, edge: Any, node: Any) -> int:
    """List the kept weights, row after row, and each neuron's bias (-1: masked); how many."""
    at, count, below = 0, 0, 0
    for k in range(1, widths.size):
        above = below + widths[k - 1]
        for n in range(above, above + widths[k]):
            for i in range(below, above):
                if m[at] != 0:
                    edge[_SOURCE, count], edge[_TARGET, count], edge[_FLAT, count] = i, n, at
                    count += 1
                at += 1
        for n in range(above, above + widths[k]):
            node[_BIAS, n] = at if m[at] != 0 else -1
            at += 1
        below = above
    return count


@_inlined
def _find_live(inputs: int, edges: int, edge: Any, node: Any, found: Any) -> None:
    """Mark what can differ from 0 (1) and what reaches the output (2); number what does both."""
    nodes, count = node.shape[1], 0
    for n in range(nodes):
        node[_LIVE, n] = n < inputs or node[_BIAS, n] >= 0
    for e in range(edges):
        node[_LIVE, edge[_TARGET, e]] |= node[_LIVE, edge[_SOURCE, e]] & 1
    node[_LIVE, nodes - 1] = 3
    for e in range(edges - 1, -1, -1):
        node[_LIVE, edge[_SOURCE, e]] |= node[_LIVE, edge[_TARGET, e]] & 2
    for n in range(nodes):
        node[_SLOT, n] = n
        if n >= inputs and node[_LIVE, n] == 3:
            node[_SLOT, n] = inputs + 2 + count
            count += 1
    found[_COUNT] = count


@_inlined
def _count_live(inputs: int, edges: int, edge: Any, node: Any) -> None:
    """Count the live weights of each neuron: out, in, and in from inputs."""
    for e in range(edges):
        s, t = edge[_SOURCE, e], edge[_TARGET, e]
        if node[_LIVE, s] & node[_LIVE, t] == 3:
            node[_OUTS, s] += 1
            node[_INS, t] += 1
            node[_OWN, t] += s < inputs


@_inlined
def _backward_heads(inputs: int, node: Any, origin: Any, program: Any, found: Any) -> None:
    """Write each neuron's head; note where its weights start in places and in the program."""
    place, size, waiting, last = BLOCK, 0, 0, node.shape[1] - 1
    for n in range(last, inputs - 1, -1):
        if node[_LIVE, n] == 3:
            weights, biased = node[_OUTS, n] + node[_OWN, n], node[_BIAS, n] >= 0
            node[_PLACE, n], node[_AT, n] = place, size + HEAD_BACKWARD
            if n < last:
                program[size], program[size + 1] = node[_OUTS, n], node[_OWN, n]
                program[size + 2] = biased
                size += HEAD_BACKWARD + weights
            place += weights
            if biased:
                origin[place] = node[_BIAS, n]
                place += 1
            waiting = max(waiting, weights)
    found[_ACTIVE], found[_WAITING], found[_BACKWARD] = place - BLOCK, waiting + 1, size


@_inlined
def _forward_heads(inputs: int, node: Any, program: Any, found: Any) -> None:
    """Write each neuron's head; note where its weights start in the program."""
    size = 0
    for n in range(inputs, node.shape[1]):
        if node[_LIVE, n] == 3:
            bias = node[_PLACE, n] + node[_OUTS, n] + node[_OWN, n]
            program[size], program[size + 1] = node[_INS, n], bias if node[_BIAS, n] >= 0 else 0
            node[_AHEAD, n] = size + HEAD_FORWARD
            size += HEAD_FORWARD + 2 * node[_INS, n]
    found[_FORWARD] = size


@_inlined
def _write_weights(
    inputs: int, points: int, edges: int, edge: Any, node: Any, origin: Any, forward: Any,
    backward: Any,
) -> None:  # fmt: skip
    """Write the live weights into both programs; their places belong to one of their neurons."""
    for e in range(edges):
        s, t = edge[_SOURCE, e], edge[_TARGET, e]
        if node[_LIVE, s] & node[_LIVE, t] == 3:
            if s < inputs:
                own, other, shift = t, s, node[_OUTS, t] + node[_OWN_DONE, t]
                node[_OWN_DONE, t] += 1
            else:
                own, other, shift = s, t, node[_OUTS_DONE, s]
                node[_OUTS_DONE, s] += 1
            place, ahead = node[_PLACE, own] + shift, node[_AHEAD, t]
            origin[place] = edge[_FLAT, e]
            backward[node[_AT, own] + shift] = node[_SLOT, other] * points
            forward[ahead], forward[ahead + 1] = node[_SLOT, s] * points, place
            node[_AHEAD, t] = ahead + 2


@_inlined
def _list_idle(inputs: int, edges: int, edge: Any, node: Any, origin: Any, found: Any) -> None:
    """List the other parameters behind, from the next whole block on."""
    start = BLOCK + (found[_ACTIVE] + BLOCK - 1) // BLOCK * BLOCK
    idle = start
    for e in range(edges):
        if node[_LIVE, edge[_SOURCE, e]] & node[_LIVE, edge[_TARGET, e]] != 3:
            origin[idle] = edge[_FLAT, e]
            idle += 1
    for n in range(inputs, node.shape[1]):
        if node[_LIVE, n] != 3 and node[_BIAS, n] >= 0:
            origin[idle] = node[_BIAS, n]
            idle += 1
    found[_IDLE] = (idle - start + BLOCK - 1) // BLOCK


@compiled
def _plan(
    m: Any, widths: Any, points: int, edge: Any, node: Any, origin: Any, forward: Any,
    backward: Any, found: Any,
) -> None:  # fmt: skip
    inputs = widths[0]
    edges = _list_kept(m, widths, edge, node)
    _find_live(inputs, edges, edge, node, found)
    _count_live(inputs, edges, edge, node)
    _backward_heads(inputs, node, origin, backward, found)
    _forward_heads(inputs, node, forward, found)
    _write_weights(inputs, points, edges, edge, node, origin, forward, backward)
    _list_idle(inputs, edges, edge, node, origin, found)


def plan(m: Floats, widths: tuple[int, ...], points: int) -> Structure:
    """The structure of one network.

    Args:
        m: mask, float32 [parameter].
        widths: neurons a layer: inputs, one hidden layer or more, 1 output.
        points: padded points of a minibatch.
    """
    nodes, kept = sum(widths), m != 0
    if (nodes + 2) * points >= 2**31:
        raise ValueError(f"{nodes} neurons at {points} points are more than int32 can number")
    count = int(np.count_nonzero(kept))
    node = np.zeros((11, nodes), np.int64)
    origin = np.full(count + 3 * BLOCK, -1, np.int64)
    forward = np.empty(HEAD_FORWARD * nodes + 2 * count, np.int32)
    backward = np.empty(HEAD_BACKWARD * nodes + count, np.int32)
    found, edge = np.zeros(6, np.int64), np.empty((3, count), np.int64)
    _plan(m, np.array(widths), points, edge, node, origin, forward, backward, found)
    neurons, active, idle, waiting, ahead, back = found.tolist()
    places = BLOCK + active + -active % BLOCK + idle * BLOCK
    return Structure(
        forward[:ahead], backward[:back], origin[:places], widths[0], neurons, active, idle,
        int(kept[-1]), waiting,
    )  # fmt: skip


@compiled
def _train(
    w: Any, v: Any, h: Any, sums: Any, g: Any, forward: Any, backward: Any, batches: Any,
    rates: Any, inputs: int, neurons: int, idle: int, output_bias: int, mask: int, points: int,
    steps: int, first: int, last: int, momentum: Any, decay: Any, mean: Any,
) -> None:  # fmt: skip
    align_stack()
    floats = (inputs + 1) * points
    start = first // steps * steps
    for step in range(first, last):
        _copy(batches, (step - start) * floats, h, floats)
        _forward(w, h, forward, points, inputs + 2, neurons)
        _backward(
            w, v, h, sums, g, backward, points, inputs, neurons, output_bias, mask, idle,
            rates[step // steps], mean, decay, momentum,
        )  # fmt: skip


@compiled
def _score(
    w: Any, h: Any, forward: Any, blocks: Any, inputs: int, neurons: int, points: int, marks: Any
) -> None:
    align_stack()
    floats = (inputs + 2) * points
    for block in range(blocks.size // floats):
        _copy(blocks, block * floats, h, floats)
        _forward(w, h, forward, points, inputs + 2, neurons)
        _marks(h, points, inputs, neurons, marks)


def rows(samples: Floats) -> Floats:
    """Samples [sample, column] as ``fill`` takes them: [column, sample]."""
    return np.ascontiguousarray(samples.T)


def fill(epoch: Floats, rows: Floats, order: npt.NDArray[np.int32], batch: int) -> None:
    """Write the minibatches of one epoch to zeros ``epoch`` [step, inputs + 1, point]."""
    steps = len(order) // batch
    part = rows[:, order[: steps * batch]].reshape(len(rows), steps, batch)
    epoch[:, :, :batch] = part.transpose(1, 0, 2)


def gather(samples: Floats, orders: npt.NDArray[np.int32], batch: int) -> Floats:
    """Epochs of minibatches: [epoch, step, inputs + 1, point], for ``train``.

    Args:
        samples: float32 [sample, inputs + 1], the label 0.0 or 1.0 in the last column.
        orders: int32 [epoch, sample], the order of the samples; an incomplete batch is dropped.
        batch: samples of a minibatch; each is padded to whole blocks.
    """
    shape = len(orders), orders.shape[1] // batch, samples.shape[1], padded(batch)
    batches, columns = aligned(*shape), rows(samples)
    for order, epoch in zip(orders, batches, strict=True):
        fill(epoch, columns, order, batch)
    return batches


def _rooms(*sizes: int) -> list[Floats]:
    """Aligned zeros of some sizes, multiples of BLOCK."""
    ends = list(itertools.accumulate(sizes))
    room = aligned(ends[-1])
    return [room[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _pack(structure: Structure, flat: Floats, to: Floats) -> None:
    """Write a flat network's parameters by place, 0 at padding."""
    to[:] = flat[structure.origin]
    to[structure.origin < 0] = 0


def train(
    w: Floats, v: Floats, m: Floats, rates: Floats, batches: Floats, widths: tuple[int, ...], *,
    batch: int, first: int, last: int, momentum: float, decay: float,
) -> None:  # fmt: skip
    """Optimiser steps ``first`` to ``last`` - 1 of one network, in place.

    Args:
        w, v, m: weights, velocities and mask, float32 [parameter]; masked weights are 0, and
            their velocities are left as they are.
        rates: learning rates, float32 [epoch].
        batches: from ``gather``, the epochs from that of step ``first`` on.
        widths: neurons a layer: inputs, one hidden layer or more, 1 output.
        batch: samples of a minibatch.
        momentum, decay: of SGD: v = momentum v + gradient + decay w, then w = w - rate v,
            of kept parameters.
    """
    steps, points = _check(w, v, m, rates, batches, widths, batch, first, last)
    s = plan(m, widths, points)
    ring = 1 << (s.waiting + FLUSHED + BLOCK - 1).bit_length()
    places, rows = s.origin.size, s.inputs + 2 + s.neurons
    packed, velocity, h, sums, g = _rooms(places, places, rows * points, ring * BLOCK, 2 * BLOCK)
    _pack(s, w, packed)
    _pack(s, v, velocity)
    h[(s.inputs + 1) * points :][:batch] = 1
    _train(
        packed, velocity, h, sums, g, s.forward, s.backward, batches.reshape(-1), rates, s.inputs,
        s.neurons, s.idle, s.output_bias, ring - 1, points, steps, first, last,
        np.float32(momentum), np.float32(decay), np.float32(1 / batch),
    )  # fmt: skip
    kept = s.origin >= 0
    origin = s.origin[kept]
    w[origin], v[origin] = packed[kept], velocity[kept]


def score(w: Floats, m: Floats, blocks: Floats, widths: tuple[int, ...]) -> tuple[int, bool]:
    """Right answers of one network, and whether all logits and parameters are finite.

    Args:
        w, m: weights and mask, float32 [parameter].
        blocks: from ``scored``.
        widths: as in ``train``.
    """
    points = blocks.shape[2]
    s = plan(m, widths, points)
    packed, h, marks = _rooms(s.origin.size, (s.inputs + 2 + s.neurons) * points, 2 * BLOCK)
    _pack(s, w, packed)
    _score(packed, h, s.forward, blocks.reshape(-1), s.inputs, s.neurons, points, marks)
    return int(marks[:BLOCK].sum()), bool(np.isfinite(marks).all() and np.isfinite(w).all())


def scored(samples: Floats) -> Floats:
    """The samples for ``score``: [block, inputs + 2, point], the last row 1 where one is."""
    size = -(-len(samples) // _SCORED) * _SCORED
    rows = np.zeros((samples.shape[1] + 1, size), np.float32)
    rows[:-1, : len(samples)], rows[-1, : len(samples)] = samples.T, 1
    blocks = aligned(size // _SCORED, len(rows), _SCORED)
    blocks[:] = rows.reshape(len(rows), -1, _SCORED).transpose(1, 0, 2)
    return blocks


def _check(
    w: Floats, v: Floats, m: Floats, rates: Floats, batches: Floats, widths: tuple[int, ...],
    batch: int, first: int, last: int,
) -> tuple[int, int]:  # fmt: skip
    """Steps an epoch and padded points; the compiled code checks nothing."""
    if len(widths) < 3 or min(widths) < 1 or widths[-1] != 1:
        raise ValueError(f"widths {widths} must be inputs, one hidden layer or more, and 1 output")
    for name, array in (("w", w), ("v", v), ("m", m)):
        _check_floats(name, array, (parameters(widths),))
    steps = int(batches.shape[1])
    _check_floats("batches", batches, (len(batches), steps, widths[0] + 1, padded(batch)))
    if batches.ctypes.data % (4 * BLOCK):
        raise ValueError("batches is not aligned: make it with gather()")
    if not 0 <= first <= last <= (first // max(steps, 1) + len(batches)) * steps:
        held = f"{len(batches)} epochs of {steps} steps from that of step {first} on"
        raise ValueError(f"steps {first} to {last} are not all in batches, which hold {held}")
    _check_floats("rates", rates, (max(len(rates), -(-last // max(steps, 1))),))
    return max(steps, 1), padded(batch)


def _check_floats(name: str, array: Floats, shape: tuple[int, ...]) -> None:
    if array.dtype != np.float32 or array.shape != shape or not array.flags.c_contiguous:
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} must be contiguous float32 {shape}, got {found}")
