"""The pieces of the check: each by itself, in order, with a share of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from combsearch.commands.gpu_check import cases
from combsearch.commands.gpu_check.cases import Case
from combsearch.commands.gpu_check.correct import blocks_check, builds_check, runs_check
from combsearch.commands.gpu_check.end_to_end import search_check
from combsearch.commands.gpu_check.machine import Machine
from combsearch.commands.gpu_check.speed import speed_check
from combsearch.commands.gpu_check.wide import wide_check, wide_speed

Result = dict[str, Any]

PARTS = {"correctness": 130.0, "vmap": 50.0, "speed": 150.0, "search": 70.0}
"""Seconds of each part; what one leaves, the next ones have."""

LIMITS = {"correctness": 60.0, "vmap": 100.0, "speed": 100.0, "search": 150.0}
"""Seconds after which a single piece hangs, by part: it is given up and its process ended."""

SPEEDS = ("7,3,3", "3,3,3", "3,2,2", "6,3,2", "16,16,16")
VMAP_SPEEDS = ("7,3,3", "3,3,3", "16,16,16")
WIDEST = "256,256,256"


@dataclass(frozen=True)
class Piece:
    """One piece.

    Attributes:
        part: that it belongs to.
        run: does it: (machine, moment of ``time.monotonic`` by which it shall end) -> result.
    """

    part: str
    run: Callable[[Machine, float], Result]


def pieces(
    compared: Sequence[Case] = cases.CASES,
    blocks: Case = cases.BLOCKS,
    runs: Sequence[Case] = cases.RUNS,
    wide: Sequence[Case] = cases.WIDE,
    speeds: Sequence[str] = SPEEDS,
    vmap_speeds: Sequence[str] = VMAP_SPEEDS,
    widest: str = WIDEST,
) -> dict[str, Piece]:
    """All pieces by name; what is compared and timed may be less than usual."""
    found = {f"bits {case.name}": Piece("correctness", _bits(case)) for case in compared}
    found["bits of several blocks"] = Piece("correctness", _blocks(blocks))
    found.update({case.name: Piece("correctness", _runs(case)) for case in runs})
    for number, case in enumerate(wide):
        found[case.name] = Piece("vmap", _wide(case, number))
    found.update({f"speed {shape}": Piece("speed", _speed(shape)) for shape in speeds})
    for shape in (*vmap_speeds, widest):
        found[f"vmap speed {shape}"] = Piece("speed", _vmap_speed(shape, shape == widest))
    found["search"] = Piece("search", search_check)
    return found


def deadlines(parts: Mapping[str, float], started: float) -> dict[str, float]:
    """When each part shall end, for parts with so many seconds each."""
    found, moment = {}, started
    for part, seconds in parts.items():
        moment += seconds
        found[part] = moment
    return found


def _bits(case: Case) -> Callable[[Machine, float], Result]:
    return lambda machine, until: builds_check(machine, case)


def _blocks(case: Case) -> Callable[[Machine, float], Result]:
    return lambda machine, until: blocks_check(machine, case)


def _runs(case: Case) -> Callable[[Machine, float], Result]:
    return lambda machine, until: runs_check(machine, case)


def _wide(case: Case, number: int) -> Callable[[Machine, float], Result]:
    return lambda machine, until: wide_check(machine, case, machine.sizes.copies[number])


def _speed(shape: str) -> Callable[[Machine, float], Result]:
    return lambda machine, until: speed_check(machine, shape, until)


def _vmap_speed(shape: str, wide: bool) -> Callable[[Machine, float], Result]:
    def run(machine: Machine, until: float) -> Result:
        case = cases.dense("speed", shape, 4 if wide else 256)
        chunks = machine.sizes.wide_chunks if wide else machine.sizes.chunks
        return wide_speed(machine, case, chunks, until)

    return run
