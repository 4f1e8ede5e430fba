"""Times of calls that are compared, measured in turn: ratios hold where other work slows a machine.

Each time is the smallest of its turns; on one thread of a CPU it is the time that the process had,
not the clock's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

_TURNS = 3  # at least

Seconds = tuple[float, float]
Call = Callable[[], object]


@dataclass(frozen=True)
class Turns:
    """How long calls take turns.

    Attributes:
        seconds: about.
        most: turns at most.
    """

    seconds: float = 0.6
    most: int = 60


def gradient(
    forward: Callable[[], torch.Tensor], leaves: Sequence[torch.Tensor], down: torch.Tensor
) -> Call:
    """A pass forward and backward."""
    return lambda: torch.autograd.grad(forward(), leaves, down)


def in_turn(one: Call, other: Call, turns: Turns, device: str) -> Seconds:
    """The smallest seconds of each, taken in turn."""
    first, second = in_turns((one, other), turns, device)
    return first, second


def in_turns(calls: Sequence[Call], turns: Turns, device: str) -> list[float]:
    """The smallest seconds of each of ``calls``, taken in turn for ``turns.seconds``."""
    for call in calls:  # plans, caches
        _timed(call, device)
    until, done = time.monotonic() + turns.seconds, 0
    best = [math.inf] * len(calls)
    while done < _TURNS or (time.monotonic() < until and done < turns.most):
        best = [min(t, _timed(call, device)) for t, call in zip(best, calls, strict=True)]
        done += 1
    return best


def _timed(call: Call, device: str) -> float:
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    started = clock()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - started


def named(first: str, second: str, seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds of both, and how many times as long the second takes."""
    # By digits, not places: a difference of noisy times may be next to 0 and is divided by.
    a, b = (1e3 * max(one, 1e-9) for one in seconds)
    found = {f"{first}_ms": a, f"{second}_ms": b, "ratio": b / a}
    return {name: float(f"{value:.5g}") for name, value in found.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch take ``count`` threads of the CPU meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
