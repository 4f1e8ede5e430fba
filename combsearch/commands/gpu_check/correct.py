"""The kernels beside the CPU's: the same bits after every segment, in every build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.commands.gpu_check import reference
from combsearch.commands.gpu_check.cases import Case, Made
from combsearch.commands.gpu_check.machine import Machine, Networks, label
from combsearch.kernels.cuda import Build, Gpu, Ready, rows
from combsearch.trainers.kernel_data import samples_of

Array = npt.NDArray[Any]
Result = dict[str, Any]

TARGETS = (0.9, 0.95, 0.995)


def difference(found: Array, expected: Array) -> Result:
    """Whether two arrays [n, ...] are bitwise alike (NaN is NaN, 0 is -0), and if not, how far."""
    if found.shape != expected.shape:
        return {"equal": False, "shapes": [list(found.shape), list(expected.shape)]}
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    if same.all():
        return {"equal": True}
    networks = ~same.reshape(len(same), -1).all(axis=1)
    with np.errstate(invalid="ignore"):
        gap = np.abs(found.astype(np.float64) - expected)
    finite = gap[np.isfinite(gap)]
    return {
        "equal": False,
        "networks": int(networks.sum()),
        "of": len(found),
        "first": int(np.flatnonzero(networks)[0]),
        "largest": float(finite.max()) if finite.size else None,
    }


def compared(found: dict[str, Array], expected: dict[str, Array]) -> Result:
    """All arrays of ``expected`` that were found."""
    each = {name: difference(a, expected[name]) for name, a in found.items() if name in expected}
    wrong = {name: d for name, d in each.items() if not d["equal"]}
    return {"equal": bool(each) and not wrong, "compared": sorted(each), "differences": wrong}


def builds_check(machine: Machine, case: Case) -> Result:
    """A case in every build, each in whole segments and once more with the first one in pieces."""
    made = case.made()
    expected = machine.reference.of(case, made, machine.task)
    widths = Networks.of(machine, made).widths
    found: Result = {}
    builds = every_build(machine.gpu, widths)
    while True:
        name = f"build {len(found) + 1}"  # until it is there
        try:
            ready = next(builds, None)
            if ready is None:
                break
            name = label(ready)
            found[name] = _build_check(machine, ready, case, made, expected)
        except Exception as error:  # the other builds are still of interest
            found[name] = {"equal": False, "error": f"{type(error).__name__}: {error}"}
            if not alive(machine):
                break
    return {"equal": bool(found) and all(f["equal"] for f in found.values()), "builds": found}


def every_build(gpu: Gpu, widths: tuple[int, ...]) -> Iterator[Ready]:
    """Those that may be the quickest, and a warp a network whether it may be or not."""
    layouts = []
    for ready in gpu.candidates(widths):
        layouts.append(ready.build.layout)
        yield ready
    if "warp" not in layouts:
        yield gpu.load(Build(widths, "warp"))


def alive(machine: Machine) -> bool:
    """Whether the GPU still answers this process; after some errors it never does."""
    try:
        machine.gpu.synchronize()
        return bool(machine.tensor(np.ones(2, np.float32)).sum().item() == 2)
    except Exception:
        return False


def _build_check(
    machine: Machine, ready: Ready, case: Case, made: Made, expected: dict[str, Array]
) -> Result:
    arrays, nets = _segments(machine, ready, case, made)
    points = machine.tensor(rows(samples_of(machine.task)))
    correct, finite = machine.gpu.score(nets.w, points, nets.widths, ready=ready)
    arrays["correct"], arrays["finite"] = correct.cpu().numpy(), finite.cpu().numpy() != 0
    whole = compared(arrays, expected)
    pieces, _ = _segments(machine, ready, case, made, cut=True)
    resumed = compared({name: pieces[name] for name in ("w1", "v1")}, expected)
    return {"equal": whole["equal"] and resumed["equal"], "whole": whole, "resumed": resumed}


def _segments(
    machine: Machine, ready: Ready, case: Case, made: Made, cut: bool = False
) -> tuple[dict[str, Array], Networks]:
    """Weights and momenta after each segment; with ``cut`` after the first alone, in two pieces."""
    nets, arrays = Networks.of(machine, made), {}
    block = int(made.keys.blocks()[0])
    for number, (first, last) in enumerate(case.segments[:1] if cut else case.segments, 1):
        middle = first + (last - first) * 2 // 5 if cut else last
        for start, stop in ((first, middle), (middle, last)):
            samples = machine.samples(made.keys.seed, block, start, stop)
            nets.train(machine, ready, samples, start, stop)
        for name, tensor in (("w", nets.w), ("v", nets.v)):
            arrays[f"{name}{number}"] = tensor.cpu().numpy().copy()
    return arrays, nets


def blocks_check(machine: Machine, case: Case) -> Result:
    """Restarts of several blocks through the trainer, as a search asks for them."""
    made = case.made()
    expected = machine.reference.of(case, made, machine.task)
    return compared(reference.trained(case, made, machine.task, machine.trainer), expected)


def runs_check(machine: Machine, case: Case) -> Result:
    """Whole runs through the trainer: every number of right answers, and the distribution."""
    made = case.made()
    expected = machine.reference.of(case, made, machine.task)
    found = reference.whole_runs(case, made, machine.task, machine.trainer)
    points = machine.task.points
    gpu, cpu = found["correct"] / points, expected["correct"] / points
    return {
        **compared(found, expected),
        "runs": len(gpu),
        "success": {str(target): [share(gpu, target), share(cpu, target)] for target in TARGETS},
        "kolmogorov_smirnov": kolmogorov_smirnov(gpu, cpu),
    }


def share(accuracies: Array, target: float) -> float:
    """Share of the runs that reach ``target``."""
    return float((accuracies >= target).mean())


def kolmogorov_smirnov(a: Array, b: Array) -> float:
    """The largest distance of two empirical distribution functions."""
    places = np.unique(np.concatenate([a, b]))
    functions: Sequence[Array] = [
        np.searchsorted(np.sort(x), places, side="right") / len(x) for x in (a, b)
    ]
    return float(np.abs(functions[0] - functions[1]).max())
