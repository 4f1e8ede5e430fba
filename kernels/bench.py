"""The arithmetic limit of a core, as the kernels could reach it at best."""

from __future__ import annotations

import time
from typing import Any

from numba.extending import intrinsic

from .cache import compiled
from .cpu import aligned
from .vector import LANES, Code, Value, operation, splat

_CHAINS = 12  # independent additions in flight: enough to hide a latency of 4 to 6 cycles


def _write_multiply_adds(c: Code, a: Value, count: Value) -> None:
    x, y = c.load(a, 0), c.load(a, 1)
    cells = c.variables(splat(1), _CHAINS)
    with c.loop(count):
        for cell in cells:
            c.b.store(c.fma(c.b.load(cell), x, y), cell)
    for number, cell in enumerate(cells):
        c.store(c.b.load(cell), a, 2 + number)


@intrinsic
def _multiply_adds(_context, a, count):
    """``count`` rounds of _CHAINS independent fused multiply-adds on registers."""
    return operation(_write_multiply_adds, "ai", (a, count))


@compiled
def _run(a: Any, count: int) -> None:
    _multiply_adds(a, count)


def fma_rate(rounds: int = 200_000) -> float:
    """Fused multiply-adds a second of one core, from one timed loop of about a millisecond."""
    a = aligned((2 + _CHAINS) * LANES)
    a[:LANES], a[LANES : 2 * LANES] = 0.99, 0.01  # converges to 1: no denormals, no overflow
    _run(a, 1)
    started = time.perf_counter()
    _run(a, rounds)
    return rounds * _CHAINS * LANES / (time.perf_counter() - started)
