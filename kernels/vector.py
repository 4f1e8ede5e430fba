"""Vectors whose lanes are different networks: the instructions that the kernels are made of.

Lane ``l`` of every vector belongs to network ``l``, so nothing ever crosses lanes.
Each lane does plain IEEE float32 arithmetic in one fixed order, with explicit fused
multiply-adds and no fast-math freedom. What becomes of a network therefore depends
on its own inputs alone: not on its lane, its neighbours, the width of the vectors
or the structure of the loops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from . import sigmoid

Value = Any  # an LLVM value; llvmlite has no types of its own for checkers


def _native_lanes() -> int:
    """Float32 lanes of this machine's widest vector: 16 with AVX-512, else 8."""
    chosen = os.environ.get("COMBSEARCH_LANES")
    if chosen is None:
        return 16 if llvm.get_host_cpu_features().get("avx512f", False) else 8
    if chosen not in ("4", "8", "16"):
        raise ValueError(f"COMBSEARCH_LANES is {chosen!r}; valid: 4, 8, 16, or leave it unset")
    return int(chosen)


LANES = _native_lanes()

_FLOAT = ir.FloatType()
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)


def splat(value: float) -> Value:
    """The constant ``value`` in all lanes."""
    return ir.Constant(_VECTOR, [ir.Constant(_FLOAT, float(np.float32(value)))] * LANES)


def _splat_integer(value: int) -> Value:
    return ir.Constant(_INTEGERS, [ir.Constant(ir.IntType(32), value)] * LANES)


class Code:
    """Appends instructions at ``builder``. Addresses count vectors from a base pointer."""

    bit = ir.IntType(1)

    def __init__(self, builder: Any) -> None:
        self.b = builder

    def index(self, *terms: Value | int) -> Value:
        """The sum of ``terms``."""
        total: Value = ir.Constant(_INDEX, 0)
        for term in terms:
            value = ir.Constant(_INDEX, term) if isinstance(term, int) else term
            total = self.b.add(total, value)
        return total

    def times(self, x: Value, y: Value | int) -> Value:
        """The product of two indices."""
        return self.b.mul(x, ir.Constant(_INDEX, y) if isinstance(y, int) else y)

    def at(self, base: Value, *index: Value | int) -> Value:
        """Pointer to the float that starts vector number sum(index)."""
        return self.b.gep(base, [self.times(self.index(*index), LANES)])

    def load(self, base: Value, *index: Value | int) -> Value:
        """The vector at sum(index)."""
        value = self.b.load(self.b.bitcast(self.at(base, *index), _VECTOR.as_pointer()))
        value.align = LANES * 4
        return value

    def store(self, value: Value, base: Value, *index: Value | int) -> None:
        """Write the vector at sum(index)."""
        target = self.b.bitcast(self.at(base, *index), _VECTOR.as_pointer())
        self.b.store(value, target).align = LANES * 4

    def spread(self, scalar: Value) -> Value:
        """One float32 in all lanes."""
        empty = ir.Constant(_VECTOR, ir.Undefined)
        one = self.b.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
        return self.b.shuffle_vector(one, empty, _splat_integer(0))

    def spread_from(self, base: Value, *index: Value | int) -> Value:
        """The float number sum(index) of ``base`` in all lanes."""
        return self.spread(self.b.load(self.b.gep(base, [self.index(*index)])))

    def _call(self, name: str, *arguments: Value) -> Value:
        signature = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
        full = f"llvm.{name}.v{LANES}f32"
        function = cgutils.get_or_insert_function(self.b.module, signature, full)
        return self.b.call(function, arguments)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once."""
        return self._call("fma", x, y, z)

    def where_positive(self, test: Value, value: Value) -> Value:
        """``value`` where ``test`` > 0, else 0 (NaN is not positive)."""
        return self.b.select(self.b.fcmp_ordered(">", test, splat(0)), value, splat(0))

    def rectified(self, value: Value) -> Value:
        """0 where ``value`` < 0, else ``value`` (NaN stays NaN, so a diverged network shows)."""
        return self.b.select(self.b.fcmp_ordered("<", value, splat(0)), splat(0), value)

    def same_class(self, logit: Value, label: Value) -> Value:
        """1 where logit > 0 just when label > 0, else 0; as floats."""
        positive = [self.b.fcmp_ordered(">", v, splat(0)) for v in (logit, label)]
        return self.b.select(self.b.xor(*positive), splat(0), splat(1))

    def sigmoid(self, z: Value) -> Value:
        """1 / (1 + 2**t), t = -z log2 e, to 3e-7; see ``sigmoid``."""
        b, limit, round_ = self.b, splat(sigmoid.LIMIT), splat(sigmoid.ROUND)
        z = b.select(b.fcmp_ordered(">", z, splat(-sigmoid.LIMIT)), z, splat(-sigmoid.LIMIT))
        z = b.select(b.fcmp_ordered("<", z, limit), z, limit)
        shifted = self.fma(z, splat(sigmoid.MINUS_LOG2E), round_)
        rest = self.fma(z, splat(sigmoid.MINUS_LOG2E), b.fsub(round_, shifted))
        power = splat(sigmoid.EXP2[5])
        for coefficient in sigmoid.EXP2[4::-1]:
            power = self.fma(rest, power, splat(coefficient))
        exponent = b.shl(b.bitcast(shifted, _INTEGERS), _splat_integer(23))
        power = b.bitcast(b.add(b.bitcast(power, _INTEGERS), exponent), _VECTOR)
        return b.fdiv(splat(1), b.fadd(splat(1), power))

    @contextmanager
    def loop(self, count: Value) -> Iterator[Value]:
        """A rolled loop; yields its index."""
        with cgutils.for_range(self.b, count) as state:
            yield state.index

    def variables(self, start: Value, count: int) -> list[Value]:
        """``count`` vectors in memory that the compiler turns into registers."""
        cells = [cgutils.alloca_once(self.b, _VECTOR) for _ in range(count)]
        for cell in cells:
            self.b.store(start, cell)
        return cells

    def by_size(self, size: Value, largest: int, write: Callable[[int | None], None]) -> None:
        """``write(k)`` for every ``size`` k up to ``largest``, ``write(None)`` beyond."""
        end = self.b.append_basic_block("end")
        beyond = self.b.append_basic_block("beyond")
        switch = self.b.switch(size, beyond)
        for k in [*range(1, largest + 1), None]:
            block = beyond if k is None else self.b.append_basic_block(f"size{k}")
            if k is not None:
                switch.add_case(ir.Constant(_INDEX, k), block)
            self.b.position_at_end(block)
            write(k)
            self.b.branch(end)
        self.b.position_at_end(end)


def operation(write: Callable[..., None], kinds: str, arguments: tuple[Any, ...]) -> Any:
    """Signature and code generator of a numba intrinsic that returns nothing.

    ``kinds`` has a letter for each argument: "a" an array, of which ``write``
    receives the data pointer, "i" an index, "f" a float32.
    """
    scalars = {"i": types.intp, "f": types.float32}
    signature = types.void(*[scalars.get(k, t) for k, t in zip(kinds, arguments, strict=True)])

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        ready = [
            context.make_array(t)(context, builder, v).data if k == "a" else v
            for k, t, v in zip(kinds, signature.args, values, strict=True)
        ]
        write(Code(builder), *ready)
        return context.get_dummy_value()

    return signature, generate
