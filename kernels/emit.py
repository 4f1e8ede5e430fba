"""Writes the code of a layer: forward pass, deltas, gradients, update, LANES networks at once.

Arrays are flat, aligned float32, counted in vectors of LANES:

* parameters ``[parameter]``: layer after layer, weights row-major ``[out, in]``,
  then the layer's biases; an operation is told where its layer starts;
* activations, deltas ``[neuron, sample of the block]`` with BLOCK samples;
* samples are scalars ``[sample, inputs + 1]``, the label last, shared by all lanes.

The loop over a layer's neurons is rolled and the sum over its fan-in unrolled; a
switch on the fan-in picks the code at run time. So one compilation serves every
shape, at the speed of code made for the shape. Fan-ins beyond UNROLLED are looped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from .vector import LANES, Code, Value, splat

BLOCK = 16  # samples whose gradients are added to memory together
TILE = 4  # samples that share a load of a weight: enough to hide the latency of an addition
UNROLLED = 8  # largest fan-in of a hidden layer with straight-line code
UNROLLED_INPUTS = 2  # the same for the first layer
HELD = 16 if LANES == 16 else 8  # vectors kept in registers across a rolled loop

Read = Callable[[Any, int], Value]  # (neuron, sample of the block) -> its vector
Finish = Callable[[Value, int, Value], None]  # (neuron, sample, sum)


def _wide_tiles(samples: range = range(BLOCK)) -> list[range]:
    width = 2 * TILE if LANES == 16 else TILE
    return [samples[first : first + width] for first in range(0, len(samples), width)]


def _tiles(size: int | None, read: Read) -> Iterator[tuple[range, Read]]:
    """The block's samples in tiles, with what ``read`` gives held in registers if it fits."""
    if size is None or size * TILE > HELD:
        for tile in _wide_tiles():
            yield tile, read
        return
    for first in range(0, BLOCK, TILE):
        tile = range(first, first + TILE)
        held = {(i, b): read(i, b) for i in range(size) for b in tile}
        yield tile, lambda i, b, held=held: held[i, b]  # type: ignore[misc]


def _sums(
    c: Code, size: int | None, count: Value, tile: range, start: Value, weight: Any, read: Read
) -> list[Value]:
    """start + sum of weight(i) * read(i, b) over i = 0, 1, ..., for each sample b of the tile."""
    if size is not None:
        sums = [start] * len(tile)
        for i in range(size):
            w = weight(i)
            sums = [c.fma(w, read(i, b), s) for b, s in zip(tile, sums, strict=True)]
        return sums
    cells = c.variables(start, len(tile))
    with c.loop(count) as i:
        w = weight(i)
        for b, cell in zip(tile, cells, strict=True):
            c.b.store(c.fma(w, read(i, b), c.b.load(cell)), cell)
    return [c.b.load(cell) for cell in cells]


def _each(c: Code, size: int | None, count: Value, write: Callable[[Any], None]) -> None:
    """``write(i)`` for i = 0, 1, ..., unrolled when the size is known."""
    if size is None:
        with c.loop(count) as i:
            write(i)
    else:
        for i in range(size):
            write(i)


def _add_all(c: Code, g: Value, at: Value, values: list[Value]) -> None:
    total = c.load(g, at)
    for value in values:
        total = c.b.fadd(total, value)
    c.store(total, g, at)


def _dense(
    c: Code, size: int | None, w: Value, fan: Value, out: Value | None, read: Read, finish: Finish
) -> None:
    """bias + weights · inputs for every neuron of a layer and sample of the block.

    ``out`` None stands for a layer of one neuron, whose code is not a loop.
    """
    for tile, held in _tiles(size, read):
        with c.loop(out) if out is not None else nullcontext(c.index(0)) as n:
            row = c.times(n, fan)
            bias = c.load(w, fan if out is None else c.times(fan, out), n)
            sums = _sums(c, size, fan, tile, bias, lambda i, r=row: c.load(w, r, i), held)
            for b, total in zip(tile, sums, strict=True):
                finish(n, b, total)


def _reader(c: Code, a: Value, first: Value) -> Read:
    return lambda i, b: c.load(a, first, c.times(c.index(i), BLOCK), b)


def _input_reader(c: Code, x: Value, sample: Value, inputs: Value) -> Read:
    stride = c.index(inputs, 1)
    return lambda i, b: c.spread_from(x, c.times(c.index(sample, b), stride), i)


def _labels(c: Code, x: Value, sample: Value, inputs: Value) -> Callable[[int], Value]:
    read = _input_reader(c, x, sample, inputs)
    return lambda b: read(inputs, b)


def _rectified(c: Code, a: Value, to: Value) -> Finish:
    return lambda n, b, s: c.store(c.rectified(s), a, to, c.times(n, BLOCK), b)


def write_first(
    c: Code, w: Value, x: Value, sample: Value, a: Value, to: Value, inputs: Value, out: Value
) -> None:
    """Activations of the first layer."""
    read, finish = _input_reader(c, x, sample, inputs), _rectified(c, a, to)
    c.by_size(inputs, UNROLLED_INPUTS, lambda size: _dense(c, size, w, inputs, out, read, finish))


def write_hidden(
    c: Code, w: Value, at: Value, a: Value, source: Value, to: Value, fan: Value, out: Value
) -> None:
    """Activations of a later hidden layer."""
    w, read, finish = c.at(w, at), _reader(c, a, source), _rectified(c, a, to)
    c.by_size(fan, UNROLLED, lambda size: _dense(c, size, w, fan, out, read, finish))


def write_output(
    c: Code, w: Value, g: Value, at: Value, a: Value, source: Value, fan: Value,
    x: Value, sample: Value, inputs: Value, valid: Value, e: Value,
) -> None:  # fmt: skip
    """The output's delta, its gradients, and the deltas of its inputs."""
    w, g, read = c.at(w, at), c.at(g, at), _reader(c, a, source)
    label = _labels(c, x, sample, inputs)

    def write(size: int | None) -> None:
        delta: dict[int, Value] = {}

        def finish(_n: Value, b: int, z: Value) -> None:
            wrong = c.b.fsub(c.sigmoid(z), label(b))
            counts = c.b.icmp_signed("<", c.index(b), valid)
            delta[b] = c.b.select(counts, wrong, splat(0))

        _dense(c, size, w, fan, None, read, finish)

        def neuron(i: Any) -> None:
            weight, total = c.load(w, i), c.load(g, i)
            for b in range(BLOCK):
                activation = read(i, b)
                total = c.fma(delta[b], activation, total)
                back = c.fma(weight, delta[b], splat(0))
                c.store(
                    c.where_positive(activation, back), e, source, c.times(c.index(i), BLOCK), b
                )
            c.store(total, g, i)

        _each(c, size, fan, neuron)
        _add_all(c, g, fan, list(delta.values()))

    c.by_size(fan, UNROLLED, write)


def write_output_score(
    c: Code, w: Value, at: Value, a: Value, source: Value, fan: Value,
    x: Value, sample: Value, inputs: Value, samples: Value, score: Value,
) -> None:  # fmt: skip
    """Right answers, and whether all logits are finite."""
    w, read, label = c.at(w, at), _reader(c, a, source), _labels(c, x, sample, inputs)

    def finish(_n: Value, b: int, z: Value) -> None:
        with c.b.if_then(c.b.icmp_signed("<", c.index(b), samples)):
            c.store(c.b.fadd(c.load(score, 0), c.same_class(z, label(b))), score, 0)
            c.store(c.fma(z, splat(0), c.load(score, 1)), score, 1)  # NaN once z is not finite

    c.by_size(fan, UNROLLED, lambda size: _dense(c, size, w, fan, None, read, finish))


def write_delta(
    c: Code, w: Value, at: Value, e: Value, source: Value, to: Value,
    a: Value, active: Value, fan: Value, out: Value,
) -> None:  # fmt: skip
    """Deltas of a layer's inputs."""
    w, read, activation = c.at(w, at), _reader(c, e, source), _reader(c, a, active)

    def write(size: int | None) -> None:
        for tile, held in _tiles(size, read):
            with c.loop(fan) as i:
                column = lambda n, i=i: c.load(w, c.times(c.index(n), fan), i)  # noqa: E731
                sums = _sums(c, size, out, tile, splat(0), column, held)
                for b, total in zip(tile, sums, strict=True):
                    gated = c.where_positive(activation(i, b), total)
                    c.store(gated, e, to, c.times(i, BLOCK), b)

    c.by_size(out, UNROLLED, write)


def _add_products(
    c: Code, g: Value, cells: list[tuple[Value, Value]], samples: range, delta: Read, read: Read,
    fan: Value,
) -> None:  # fmt: skip
    """g[n, i] += sum of delta(n, b) * read(i, b) over the samples, for each cell (n, i)."""
    sums = {(n, i): c.load(g, c.times(n, fan), i) for n, i in cells}
    neurons, inputs = dict.fromkeys(n for n, _ in cells), dict.fromkeys(i for _, i in cells)
    for tile in _wide_tiles(samples):
        deltas = {(n, b): delta(n, b) for n in neurons for b in tile}
        for b in tile:
            for i in inputs:
                value = read(i, b)
                for n in neurons:
                    sums[n, i] = c.fma(deltas[n, b], value, sums[n, i])
    for (n, i), total in sums.items():
        c.store(total, g, c.times(n, fan), i)


def _row_gradients(
    c: Code, size: int | None, g: Value, fan: Value, out: Value, neurons: list[Value],
    samples: range, delta: Read, read: Read,
) -> None:  # fmt: skip
    """Gradients of some rows of a layer and of their biases."""
    if size is None:
        with c.loop(fan) as i:
            _add_products(c, g, [(n, i) for n in neurons], samples, delta, read, fan)
    else:
        for first in range(0, size, 4):  # independent chains of additions
            group = range(first, min(first + 4, size))
            cells = [(n, i) for n in neurons for i in group]
            _add_products(c, g, cells, samples, delta, read, fan)
    for n in neurons:
        _add_all(c, g, c.index(c.times(fan, out), n), [delta(n, b) for b in samples])


def _gradients(
    c: Code, size: int | None, g: Value, fan: Value, out: Value, delta: Read, read: Read
) -> None:
    """The gradients of all rows; two at a time share what is read where registers allow."""

    def rows(*neurons: Value) -> None:
        _row_gradients(c, size, g, fan, out, list(neurons), range(BLOCK), delta, read)

    if LANES < 16:
        with c.loop(out) as n:
            rows(n)
        return
    with c.loop(c.b.ashr(out, c.index(1))) as pair:
        first = c.times(pair, 2)
        rows(first, c.index(first, 1))
    with c.b.if_then(c.b.trunc(out, c.bit)):
        rows(c.b.sub(out, c.index(1)))


def write_gradient(
    c: Code, g: Value, at: Value, e: Value, delta: Value, a: Value, source: Value,
    fan: Value, out: Value,
) -> None:  # fmt: skip
    """Gradients of a later layer."""
    g, read, deltas = c.at(g, at), _reader(c, a, source), _reader(c, e, delta)
    c.by_size(fan, UNROLLED, lambda size: _gradients(c, size, g, fan, out, deltas, read))


def write_first_gradient(
    c: Code, g: Value, e: Value, delta: Value, x: Value, sample: Value, inputs: Value, out: Value
) -> None:
    """Gradients of the first layer."""
    read, deltas = _input_reader(c, x, sample, inputs), _reader(c, e, delta)
    c.by_size(
        inputs, UNROLLED_INPUTS, lambda size: _gradients(c, size, g, inputs, out, deltas, read)
    )


def write_first_step(
    c: Code, w: Value, g: Value, at: Value, e: Value, source: Value, a: Value, active: Value,
    x: Value, sample: Value, inputs: Value, fan: Value, out: Value,
) -> None:  # fmt: skip
    """Deltas of the first layer's neurons, used for its gradients and not stored."""
    w, activation = c.at(w, at), _reader(c, a, active)
    delta, read = _reader(c, e, source), _input_reader(c, x, sample, inputs)

    def write(size: int | None, width: int | None) -> None:
        with c.loop(fan) as n:
            column = lambda j: c.load(w, c.times(c.index(j), fan), n)  # noqa: E731
            for tile in _wide_tiles():
                sums = _sums(c, size, out, tile, splat(0), column, delta)
                back = {
                    b: c.where_positive(activation(n, b), s)
                    for b, s in zip(tile, sums, strict=True)
                }
                own = lambda _n, b, back=back: back[b]  # noqa: E731
                _row_gradients(c, width, g, inputs, fan, [n], tile, own, read)

    c.by_size(
        inputs,
        UNROLLED_INPUTS,
        lambda width: c.by_size(out, UNROLLED, lambda size: write(size, width)),
    )


def write_update(
    c: Code, w: Value, v: Value, m: Value, g: Value, lr: Value, rate: Value, count: Value,
    mean: Value, decay: Value, momentum: Value,
) -> None:  # fmt: skip
    """The step of SGD."""
    mean, decay, momentum = c.spread(mean), c.spread(decay), c.spread(momentum)
    step = c.b.fsub(splat(-0.0), c.load(lr, rate))
    with c.loop(count) as p:
        weight = c.load(w, p)
        gradient = c.fma(decay, weight, c.b.fmul(c.load(g, p), mean))
        velocity = c.fma(momentum, c.load(v, p), gradient)
        c.store(velocity, v, p)
        c.store(c.where_positive(c.load(m, p), c.fma(step, velocity, weight)), w, p)
        c.store(splat(0), g, p)


def write_clear(c: Code, e: Value, count: Value) -> None:
    """Zeros."""
    with c.loop(count) as i:
        c.store(splat(0), e, i)
