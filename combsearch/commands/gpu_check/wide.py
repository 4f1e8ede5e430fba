"""The vmap trainer on the GPU: thousands of wide networks, right to rounding, in planned memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from combsearch.commands.gpu_check import reference
from combsearch.commands.gpu_check.cases import Case, Made, flat
from combsearch.commands.gpu_check.machine import RUN_STEPS, Machine
from combsearch.config import Recipe
from combsearch.rng import RunKeys
from combsearch.trainers.memory import is_out_of_memory, working_bytes

ROUNDING = 1e-5
"""Norm of the difference over that of the reference; the CPU's loop and vmap differ by 3e-7."""

Result = dict[str, Any]


def wide_check(machine: Machine, case: Case, copies: int) -> Result:
    """A case many times side by side: every copy against the CPU, and what memory it took."""
    made, trainer = case.made(), machine.wide(0)
    expected = machine.reference.of(case, made, machine.task)
    many = repeated(made, copies)
    planned = trainer.planned_chunk(many.nets, machine.task, many.recipes[0])
    memory = _Memory.of(machine, trainer.memory_share)
    errors: dict[str, float] = {}
    nets = many.nets
    for number, steps in enumerate(case.segments, 1):
        nets = trainer.fit(nets, machine.task, many.recipes, many.keys, slice(*steps))
        for kind, arrays in zip("wv", flat(nets), strict=True):
            name = f"{kind}{number}"
            errors[name] = error_of(reference.some_of(arrays), expected[name])
    return {
        "equal": all(error <= ROUNDING for error in errors.values()),
        "networks": copies,
        "relative_error": errors,
        "planned_chunk": planned,
        **memory.report(machine),
    }


def repeated(made: Made, count: int) -> Made:
    """The networks of a case again and again, all of one block of restarts."""
    index = np.arange(count) % len(made.recipes)
    keys = RunKeys(made.keys.seed, made.keys.mask, made.keys.cell, made.keys.restart, 2**20)
    return Made(made.nets[index], [made.recipes[i] for i in index], keys[index])


def error_of(found: Any, expected: Any) -> float:
    """The largest norm of a network's difference over that of its reference.

    ``found`` [m, k] holds the networks of ``expected`` [n, k] again and again. A network that
    is not finite in both has no error; in one, an infinite one.
    """
    # In pieces: whole, the float64 copies of thousands of wide networks would weigh gigabytes.
    n, worst = len(expected), 0.0
    size = np.linalg.norm(expected.astype(np.float64), axis=1)
    for start in range(0, len(found), n):
        part = found[start : start + n].astype(np.float64)
        own, known = size[: len(part)], expected[: len(part)]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error = np.linalg.norm(part - known, axis=1) / np.maximum(own, 1e-30)
        lost = ~np.isfinite(known).all(axis=1)
        both = lost & ~np.isfinite(part).all(axis=1)
        error = np.where(both, 0.0, np.where(np.isfinite(error), error, np.inf))
        worst = max(worst, float(error.max()))
    return min(worst, 1e30)  # JSON knows no infinity


class _Memory:
    """What a fit may take and what it took, in bytes."""

    def __init__(self, plan: int, before: int) -> None:
        self.plan, self.before = plan, before

    @classmethod
    def of(cls, machine: Machine, share: float) -> _Memory:
        import torch

        device = machine.gpu.device
        if device.type != "cuda":
            return cls(working_bytes(device, share), 0)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return cls(working_bytes(device, share), torch.cuda.memory_allocated(device))

    def report(self, machine: Machine) -> Result:
        import torch

        if machine.gpu.device.type != "cuda":
            return {"planned_bytes": self.plan, "peak_bytes": None, "within_plan": None}
        peak = torch.cuda.max_memory_allocated(machine.gpu.device) - self.before
        return {"planned_bytes": self.plan, "peak_bytes": peak, "within_plan": peak <= self.plan}


def wide_speed(machine: Machine, case: Case, chunks: Sequence[int], until: float) -> Result:
    """Whole runs a second of the vmap trainer, at the best of some numbers side by side.

    The difference of a long and a short fit, so that what a fit costs at all does not count.
    """
    found: Result = {}
    for chunk in chunks:
        if time.monotonic() > until and found:
            break
        try:
            found[str(chunk)] = _rate(machine, case, chunk)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            found[str(chunk)] = None
    rates = [rate for rate in found.values() if rate is not None]
    return {"models_per_second": max(rates, default=None), "chunks": found}


def _rate(machine: Machine, case: Case, chunk: int) -> float:
    many, trainer = repeated(case.made(), chunk), machine.wide(chunk)
    steps = machine.sizes.vmap_steps

    def fit(last: int) -> float:
        started = time.perf_counter()
        trainer.fit(many.nets, machine.task, Recipe(), many.keys, slice(0, last))
        return time.perf_counter() - started

    fit(1)
    short, long = (min(fit(last) for _ in range(2)) for last in (2, 2 + steps))
    return chunk * steps / max(long - short, 1e-9) / RUN_STEPS
