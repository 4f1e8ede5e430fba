"""Whole runs a second of the kernels, every build, and what share of the issue rate that is."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

from combsearch.commands.gpu_check import clocks, sass
from combsearch.commands.gpu_check.cases import Made, dense
from combsearch.commands.gpu_check.machine import (
    BATCH,
    RUN_STEPS,
    Machine,
    Networks,
    hidden,
    label,
    readings,
)
from combsearch.kernels.cuda import Ready

WAVES = (1, 4)
_DISTINCT = 1024  # networks of a timing are these again and again
_LANES = 128  # of a multiprocessor: what it can issue in a cycle
_MOST_STEPS = 3900

COUNTED = {"3,2,2": 99, "3,3,3": 133, "6,3,2": 166, "7,3,3": 199}
"""Instructions a sample, as ``sass`` counts them in what nvcc 13.0 makes of ``thread.cu``."""

Result = dict[str, Any]


def speed_check(machine: Machine, shape: str, until: float) -> Result:
    """Every build of a shape, timed over a part of a run, then the quickest over whole runs.

    ``models_per_second`` is that of whole runs where these were timed, else extrapolated:
    networks x steps of a launch / its median time / 19,500 steps. Training costs the same at
    every step, so the two should agree.
    """
    made = dense("speed", shape, _DISTINCT).made()
    found: Result = {"builds": {}}
    ready_all = machine.gpu.builds(hidden(shape))
    program = sass.cuobjdump()
    for ready in ready_all:
        found["builds"][label(ready)] = _tried(machine, ready, made, program)
    best = max(ready_all, key=lambda ready: _rate_of(found["builds"][label(ready)]))
    own = found["builds"][label(best)]
    whole = machine.sizes.whole and time.monotonic() < until
    found["quickest"] = label(best)
    found["how"] = "whole runs" if whole else "extrapolated from a part of a run"
    found["last"] = last = _last(machine, best, made, whole)
    found["models_per_second"] = last["models_per_second"]
    issue = found["models_per_second"], machine.gpu.multiprocessors, last["clock_hertz"]
    found["issue_share"] = issue_share(own["instructions_per_sample"], *issue)
    found["multiply_add_share"] = issue_share(multiply_adds(hidden(shape)), *issue)
    return found


def multiply_adds(widths: tuple[int, ...]) -> int:
    """Multiply-adds a sample: forward, gradients, deltas of all layers but the first."""
    sizes = [fan * out for fan, out in itertools.pairwise(widths)]
    return 3 * sum(sizes) - sizes[0]


def issue_share(
    instructions: float | None, rate: float | None, multiprocessors: int, hertz: float | None
) -> float | None:
    """Instructions issued over what could be issued, None where a part of that is not known.

    Args:
        instructions: of a lane, a network and sample.
        rate: whole runs a second.
        multiprocessors: of the GPU, each of which issues 4 x 32 lanes a cycle.
        hertz: the clock.
    """
    if not rate or not instructions or not hertz:
        return None
    return rate * RUN_STEPS * BATCH * instructions / (multiprocessors * _LANES * hertz)


def _rate_of(build: Result) -> float:
    rates: list[float] = list(build["models_per_second"].values())
    return max(rates, default=0.0)


def _tried(machine: Machine, ready: Ready, made: Made, program: str | None) -> Result:
    """What a build does, or why it does not."""
    known = {**readings(ready), "models_per_second": {}, "instructions_per_sample": None}
    try:
        return {**known, **_build(machine, ready, made, program)}
    except (RuntimeError, MemoryError) as error:  # the other builds are still of interest
        return {**known, "error": f"{type(error).__name__}: {error}"}


def _build(machine: Machine, ready: Ready, made: Made, program: str | None) -> Result:
    rates, steps_of = {}, {}
    for waves in WAVES:
        n = max(1, waves * ready.wave)
        steps = _steps(machine, ready, n)
        rates[str(n)] = n * steps / _median(machine, ready, made, n, steps) / RUN_STEPS
        steps_of[str(n)] = steps
    return {
        "models_per_second": rates,
        "steps": steps_of,
        "instructions_per_sample": _instructions(machine, ready, program),
    }


def _steps(machine: Machine, ready: Ready, n: int) -> int:
    """Steps that take about the time of a launch that is to be timed."""
    step = ready.seconds * max(1.0, n / max(1, ready.wave))
    return max(1, min(_MOST_STEPS, int(machine.sizes.seconds / max(step, 1e-9))))


def _median(machine: Machine, ready: Ready, made: Made, n: int, steps: int) -> float:
    """Seconds of ``steps`` steps of ``n`` networks, the median of some launches."""
    work = _work(machine, ready, made, n, steps)
    work()
    return statistics.median(machine.seconds(work) for _ in range(machine.sizes.repeats))


def _work(machine: Machine, ready: Ready, made: Made, n: int, steps: int) -> Callable[[], None]:
    """What launches ``steps`` steps of ``n`` networks, everything being on the GPU."""
    nets = Networks.of(machine, made, n)
    samples = machine.samples(made.keys.seed, 0, 0, steps)
    machine.gpu.synchronize()
    return lambda: nets.train(machine, ready, samples, 0, steps)


def _last(machine: Machine, ready: Ready, made: Made, whole: bool) -> Result:
    """Four waves once more while the clock is read: whole runs, or a part of them."""
    n = max(1, WAVES[-1] * ready.wave)
    steps = RUN_STEPS if whole else 4 * _steps(machine, ready, n)
    work = _work(machine, ready, made, n, steps)
    with clocks.watched(machine.name) as clock:
        seconds = machine.seconds(work)
    return {
        "networks": n,
        "steps": steps,
        "seconds": seconds,
        "models_per_second": n * steps / RUN_STEPS / seconds,
        "clock_hertz": clock.hertz,
    }


def _instructions(machine: Machine, ready: Ready, program: str | None) -> float | None:
    """Instructions a sample: read off the machine code, or as they were read before.

    None of a warp a network, whose samples are spread over many loops.
    """
    if ready.build.layout != "thread":
        return None
    found = None
    if program is not None:
        image = machine.gpu.compiler.cubin(ready.build.source(), machine.gpu.arch)
        # One of another release of CUDA may not read the code.
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            found = sass.per_sample(sass.listing_of(image, program))
    if found is not None:
        return found
    return COUNTED.get(",".join(map(str, ready.build.widths[1:-1])))
