"""Writes the code of a sparse network's training step: lanes are points, weights are scalars.

The points of a minibatch are padded to a multiple of BLOCK. Memory, all float32 and aligned:

* ``h [slot, point]``: a row of floats a slot: the inputs, the labels, which points are real
  (1, else 0), the live hidden neurons layer by layer, the output. Activations, then deltas.
* ``w``, ``v`` ``[place]``: a block of zeros, then the kept parameters in the order of the
  backward pass.
* ``sums [row, BLOCK]``: a ring of rows; a parameter's gradient as BLOCK partial sums, partial
  sum l that of points l, l + BLOCK, ... in order. They are added up for BLOCK parameters at once.

The structure of the network is data, two programs of int32, an entry a neuron:

* forward, neurons upwards: fan, place of the bias, then (row of h, place of the weight) a weight;
* backward, hidden neurons downwards: weights out, weights from inputs, 1 if it has a bias, then
  a row of ``h`` each. Places are not written down: they are taken in order.

Which sums are made, and in which order, does not depend on the width of the registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from .vector import LANES, Code, Value, splat

BLOCK = 16  # points that share a partial sum of a gradient
HEAD_FORWARD, HEAD_BACKWARD = 2, 3  # entries of a neuron before its weights
FLUSHED = 256  # parameters whose gradients may wait for their update

_SPLIT = BLOCK // LANES  # registers of a block
_WIDE = {16: 8, 8: 4, 4: 4}[LANES]  # registers of activations held at once
_ROW = ir.VectorType(ir.FloatType(), BLOCK)
_INDEX = ir.IntType(64)

Tile = Callable[[int, Value], None]  # (registers, first point)


def _int(c: Code, program: Value, *index: Value | int) -> Value:
    return c.b.sext(c.b.load(c.b.gep(program, [c.index(*index)])), _INDEX)


def _at(c: Code, base: Value, at: Value, k: int) -> Value:
    """The register number k behind float ``at``."""
    return c.load(c.b.gep(base, [at]), k)


def _put(c: Code, value: Value, base: Value, at: Value, k: int) -> None:
    c.store(value, c.b.gep(base, [at]), k)


def _counter(c: Code, start: Value | int = 0) -> Value:
    """A variable that holds an index."""
    with c.b.goto_entry_block():
        cell = c.b.alloca(_INDEX)
    c.b.store(c.index(start), cell)
    return cell


@contextmanager
def _loop(c: Code, count: Value) -> Iterator[Value]:
    """A loop that stays one: most are short, and unrolled code costs more than it gives."""
    b, entry = c.b, c.b.block
    body, end = b.append_basic_block("body"), b.append_basic_block("end")
    b.cbranch(b.icmp_signed(">", count, c.index(0)), body, end)
    b.position_at_end(body)
    index = b.phi(_INDEX)
    index.add_incoming(ir.Constant(_INDEX, 0), entry)
    yield index
    following = c.index(index, 1)
    again = b.cbranch(b.icmp_signed("<", following, count), body, end)
    again.set_metadata("llvm.loop", _not_unrolled(b.module))
    index.add_incoming(following, b.block)
    b.position_at_end(end)


def _not_unrolled(module: Any) -> Value:
    """Metadata of a loop: a node that refers to itself, then what is wished."""
    wish = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([f"loop {len(module.metadata)}", wish])
    loop.operands = (loop, wish)
    return loop


def _tiles(c: Code, points: Value, write: Tile) -> None:
    """All points, as many registers at once as fit; what is left by blocks."""
    wide = c.b.udiv(points, c.index(_WIDE * LANES))
    with _loop(c, wide) as tile:
        write(_WIDE, c.times(tile, _WIDE * LANES))
    if _WIDE == _SPLIT:
        return
    done = c.times(wide, _WIDE * LANES)
    with _loop(c, c.b.udiv(c.b.sub(points, done), c.index(BLOCK))) as tile:
        write(_SPLIT, c.index(done, c.times(tile, BLOCK)))


def write_forward(
    c: Code, w: Value, h: Value, program: Value, points: Value, first: Value, neurons: Value
) -> None:
    """Activations of all neurons, whose slots start at ``first``; the last gives the logits."""
    place = _counter(c)
    with _loop(c, neurons) as n:
        here = c.b.load(place)
        fan, bias = _int(c, program, here), c.spread_from(w, _int(c, program, here, 1))
        edges, own = c.index(here, HEAD_FORWARD), c.times(c.index(first, n), points)
        is_output = c.b.icmp_signed("==", c.index(n, 1), neurons)
        floor = c.b.select(is_output, splat(float("-inf")), splat(0))

        def tile(size: int, point: Value) -> None:
            cells = c.variables(bias, size)
            with _loop(c, fan) as e:
                edge = c.index(edges, e, e)
                source = c.index(_int(c, program, edge), point)
                weight = c.spread_from(w, _int(c, program, edge, 1))
                for k, cell in enumerate(cells):
                    c.b.store(c.fma(weight, _at(c, h, source, k), c.b.load(cell)), cell)
            for k, cell in enumerate(cells):
                _put(c, _not_below(c, floor, c.b.load(cell)), h, c.index(own, point), k)

        _tiles(c, points, tile)
        c.b.store(c.index(edges, fan, fan), place)


def _not_below(c: Code, floor: Value, value: Value) -> Value:
    """``value``, or ``floor`` where it is less (NaN stays NaN, so a diverged network shows)."""
    return c.b.select(c.b.fcmp_ordered("<", value, floor), floor, value)


class _Ring:
    """Rows of partial sums that wait for the update of their parameters."""

    def __init__(self, c: Code, sums: Value, mask: Value, zeros: Value) -> None:
        self.c, self.sums, self.mask, self.zeros = c, sums, mask, zeros

    def row(self, place: Value) -> Value:
        """The row of the parameter at ``place``."""
        c = self.c
        return c.b.gep(self.sums, [c.times(c.b.and_(place, self.mask), BLOCK)])

    def add(
        self, place: Value, point: Value, size: int, term: Callable[[int, Value], Value]
    ) -> None:
        """Add to the row of ``place``, or start it at point 0; ``term(k, sum)`` adds register k."""
        c, row = self.c, self.row(place)
        start = c.b.select(c.b.icmp_signed("==", point, c.index(0)), self.zeros, row)
        total = [c.load(start, k) for k in range(_SPLIT)]
        for k in range(size):
            total[k % _SPLIT] = term(k, total[k % _SPLIT])
        for k, value in enumerate(total):
            c.store(value, row, k)

    def clear(self, first: Value, last: Value) -> None:
        """Zero the rows from place ``first`` to ``last`` - 1."""
        c = self.c
        with _loop(c, c.b.sub(last, first)) as i:
            row = self.row(c.index(first, i))
            for k in range(_SPLIT):
                c.store(splat(0), row, k)

    def totals(self, place: Value) -> Value:
        """The sums of BLOCK rows from ``place``, a multiple of BLOCK: one vector."""
        c = self.c
        base = c.b.bitcast(self.row(place), _ROW.as_pointer())
        rows = [c.b.load(c.b.gep(base, [c.index(i)])) for i in range(BLOCK)]
        width = BLOCK // 2
        while width:
            half = len(rows) // 2
            rows = [_fold(c, a, b, width) for a, b in zip(rows[:half], rows[half:], strict=True)]
            width //= 2
        return rows[0]


def _fold(c: Code, a: Value, b: Value, width: int) -> Value:
    """Groups of 2 ``width`` lanes: the sums of a's two halves, then those of b's."""
    low = [lane if lane % (2 * width) < width else lane - width + BLOCK for lane in range(BLOCK)]
    integers = ir.VectorType(ir.IntType(32), BLOCK)
    halves = [
        c.b.shuffle_vector(a, b, ir.Constant(integers, [i + shift for i in low]))
        for shift in (0, width)
    ]
    return c.b.fadd(*halves)


class _Sgd:
    """The step of SGD on BLOCK parameters at a time."""

    def __init__(
        self, c: Code, w: Value, v: Value, g: Value, rate: Value, mean: Value, decay: Value,
        momentum: Value,
    ) -> None:  # fmt: skip
        self.c, self.w, self.v, self.g = c, w, v, g
        self.mean, self.decay, self.momentum = (c.spread(s) for s in (mean, decay, momentum))
        self.step = c.b.fsub(splat(-0.0), c.spread(rate))

    def update(self, place: Value, totals: Value | None) -> None:
        """Parameters ``place`` ... with these sums of gradients; None stands for zeros."""
        c = self.c
        if totals is not None:
            c.b.store(totals, c.b.bitcast(self.g, _ROW.as_pointer())).align = BLOCK * 4
        for k in range(_SPLIT):
            sums = splat(0) if totals is None else c.load(self.g, k)
            weight = _at(c, self.w, place, k)
            gradient = c.fma(self.decay, weight, c.b.fmul(sums, self.mean))
            velocity = c.fma(self.momentum, _at(c, self.v, place, k), gradient)
            _put(c, velocity, self.v, place, k)
            _put(c, c.fma(self.step, velocity, weight), self.w, place, k)


def _flush(c: Code, ring: _Ring, sgd: _Sgd, done: Value, end: Value) -> None:
    """Update all whole blocks of parameters from ``done`` up to place ``end``."""
    first = c.b.load(done)
    blocks = c.b.udiv(c.b.sub(end, first), c.index(BLOCK))
    with _loop(c, blocks) as i:
        place = c.index(first, c.times(i, BLOCK))
        sgd.update(place, ring.totals(place))
    c.b.store(c.index(first, c.times(blocks, BLOCK)), done)


def _output_delta(
    c: Code, h: Value, ring: _Ring, points: Value, label: Value, real: Value, own: Value
) -> None:
    """Deltas of the output, 0 at padding, and the gradient of its bias."""
    with _loop(c, c.b.udiv(points, c.index(BLOCK))) as block:
        point = c.times(block, BLOCK)
        at = [c.index(row, point) for row in (own, label, real)]
        delta = []
        for k in range(_SPLIT):
            logit, wanted, counts = (_at(c, h, place, k) for place in at)
            delta.append(c.where_positive(counts, c.b.fsub(c.sigmoid(logit), wanted)))
            _put(c, delta[k], h, at[0], k)
        ring.add(c.index(BLOCK), point, _SPLIT, lambda k, total, d=delta: c.b.fadd(total, d[k]))  # type: ignore[misc]


def write_backward(
    c: Code, w: Value, v: Value, h: Value, sums: Value, g: Value, program: Value, points: Value,
    inputs: Value, neurons: Value, output_bias: Value, mask: Value, idle: Value,
    rate: Value, mean: Value, decay: Value, momentum: Value,
) -> None:  # fmt: skip
    """Deltas, gradients and update of all parameters.

    ``g`` has room for two blocks: gradients, and zeros. ``idle`` blocks of parameters that the
    output does not depend on stand behind the others; their gradients are 0.
    """
    ring = _Ring(c, sums, mask, c.b.gep(g, [c.index(BLOCK)]))
    sgd = _Sgd(c, w, v, g, rate, mean, decay, momentum)
    hidden, first = c.b.sub(neurons, c.index(1)), c.index(inputs, 2)
    rows = [c.times(slot, points) for slot in (inputs, c.index(inputs, 1), c.index(first, hidden))]
    _output_delta(c, h, ring, points, *rows)
    at, place, done = _counter(c), _counter(c, c.index(output_bias, BLOCK)), _counter(c, BLOCK)
    with _loop(c, hidden) as n:
        slot = c.b.sub(c.index(first, hidden), c.index(n, 1))
        _neuron(c, w, h, ring, program, points, c.times(slot, points), at, place)
        end = c.b.load(place)
        waiting = c.b.sub(end, c.b.load(done))
        with c.b.if_then(c.b.icmp_signed(">=", waiting, c.index(FLUSHED)), likely=False):
            _flush(c, ring, sgd, done, end)
    end = c.b.load(place)
    whole = c.b.and_(c.index(end, BLOCK - 1), c.index(-BLOCK))
    ring.clear(end, whole)
    _flush(c, ring, sgd, done, whole)
    with _loop(c, idle) as i:
        sgd.update(c.index(whole, c.times(i, BLOCK)), None)


def _neuron(
    c: Code, w: Value, h: Value, ring: _Ring, program: Value, points: Value, own: Value,
    at: Value, place: Value,
) -> None:  # fmt: skip
    """A hidden neuron: its delta, the gradients of its weights out, from inputs, and its bias."""
    here, start = c.b.load(at), c.b.load(place)
    outs, ins, bias = (_int(c, program, here, i) for i in range(HEAD_BACKWARD))
    targets = c.index(here, HEAD_BACKWARD)
    sources, ins_place = c.index(targets, outs), c.index(start, outs)
    bias_place = c.index(ins_place, ins)

    def tile(size: int, point: Value) -> None:
        mine = c.index(own, point)
        held = [_at(c, h, mine, k) for k in range(size)]
        cells = c.variables(splat(0), size)
        with _loop(c, outs) as e:
            target = c.index(_int(c, program, targets, e), point)
            weight = c.spread_from(w, start, e)
            delta = [_at(c, h, target, k) for k in range(size)]
            for d, cell in zip(delta, cells, strict=True):
                c.b.store(c.fma(weight, d, c.b.load(cell)), cell)
            ring.add(c.index(start, e), point, size, lambda k, s: c.fma(delta[k], held[k], s))
        own_delta = [c.where_positive(a, c.b.load(s)) for a, s in zip(held, cells, strict=True)]
        # Nothing reads the deltas of a neuron that only inputs lead to.
        with c.b.if_then(c.b.icmp_signed("==", ins, c.index(0))):
            for k, d in enumerate(own_delta):
                _put(c, d, h, mine, k)
        with _loop(c, ins) as e:
            source = c.index(_int(c, program, sources, e), point)
            ring.add(
                c.index(ins_place, e), point, size,
                lambda k, s: c.fma(own_delta[k], _at(c, h, source, k), s),
            )  # fmt: skip
        ring.add(bias_place, point, size, lambda k, s: c.b.fadd(s, own_delta[k]))

    _tiles(c, points, tile)
    c.b.store(c.index(sources, ins), at)
    c.b.store(c.index(bias_place, bias), place)


def write_copy(c: Code, source: Value, at: Value, to: Value, floats: Value) -> None:
    """Copy a multiple of BLOCK floats to the start of ``to``; ``at`` is one too."""
    with _loop(c, c.b.udiv(floats, c.index(BLOCK))) as i:
        place = c.times(i, BLOCK)
        for k in range(_SPLIT):
            _put(c, _at(c, source, c.index(at, place), k), to, place, k)


def write_marks(
    c: Code, h: Value, points: Value, inputs: Value, neurons: Value, marks: Value
) -> None:
    """Right answers, and whether all logits are finite: adds to two blocks of ``marks``."""
    slots = (inputs, c.index(inputs, 1), c.index(inputs, neurons, 1))
    rows = [c.times(slot, points) for slot in slots]
    with _loop(c, c.b.udiv(points, c.index(BLOCK))) as block:
        label, real, own = (c.index(row, c.times(block, BLOCK)) for row in rows)
        for k in range(_SPLIT):
            logit, counts = _at(c, h, own, k), _at(c, h, real, k)
            right = c.where_positive(counts, c.same_class(logit, _at(c, h, label, k)))
            c.store(c.b.fadd(c.load(marks, k), right), marks, k)
            shown = c.where_positive(counts, logit)
            c.store(c.fma(shown, splat(0), c.load(marks, _SPLIT + k)), marks, _SPLIT + k)
