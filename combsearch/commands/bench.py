"""``combsearch bench``: what the machine can do, and how much of it the trainers do.

Every figure is a ratio of things measured in turn in the same few seconds, each at its
best of many short windows, because machines are shared and their clocks drift.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from combsearch import __version__
from combsearch.commands.output import say
from combsearch.commands.provenance import commit, processor
from combsearch.config import CELLS, Recipe, SearchConfig
from combsearch.engines import InlineEngine, cores
from combsearch.enumeration import mask_space
from combsearch.kernels import bench as peak
from combsearch.kernels import cpu
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RESTART_BLOCK, RunKeys
from combsearch.search import phase1
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.mask_training import MaskWork
from combsearch.search_config import Phase2Config
from combsearch.store import RunStore, Shard
from combsearch.tasks import Task, cubist_spiral
from combsearch.trainers import Trainer, get_trainer

SHAPES = ("7,3,3", "6,3,2", "3,3,3", "16,16,16", "3,2,2")
_MAIN = SHAPES[0]
_STEPS = 19_500  # of a whole run of the paper's recipe
_BATCH = 128
_MODELS = 1024  # networks side by side in vmap and in batched matrix products


@dataclass(frozen=True)
class Budget:
    """How long to measure.

    Attributes:
        windows: windows a shape and a yardstick, taken in turn.
        seconds: of each process of the scaling measurement.
        search_width: grid of the search whose overhead is measured.
        masks: of (3,3,3), of the search of masks whose overhead is measured.
    """

    windows: int = 24
    seconds: float = 4.0
    search_width: int = 3
    masks: int = 64


QUICK = Budget(windows=5, seconds=1.0, search_width=2, masks=8)


def bench_command(as_json: bool, quick: bool) -> dict[str, Any]:
    """Measure everything; the object that ``--json`` prints."""
    import torch

    torch.set_num_threads(1)
    started = time.monotonic()
    budget, task = (QUICK if quick else Budget()), cubist_spiral()
    get_trainer("fused").prepare()  # type: ignore[attr-defined]
    _say("arithmetic peak and fused kernel")
    rates = {name: _fused_share(NetShape.parse(name), task, budget) for name in SHAPES}
    fused_ms = {name: 1e3 * seconds for name, (_, _, seconds) in rates.items()}
    shape = NetShape.parse(_MAIN)
    _say("eager PyTorch, vmap, compiled batched products")
    eager = 1e3 * _STEPS * _loop_seconds(shape, task)
    vmap = 1e3 * _STEPS * _vmap_seconds(shape, task, budget) / _MODELS
    bmm, why = _bmm_ms(shape, task, budget)
    main = min(fused_ms[_MAIN], 1e3 * _STEPS * _fused_seconds(shape, task, budget))
    _say("two processes")
    scaling = _two_process_scaling(budget.seconds)
    _say("enumeration, overhead of searches")
    report = {
        "command": "bench",
        "machine": machine(),
        "fma_peak_gflops": _gflops(max(p for p, _, _ in rates.values())),
        "sgemm_gflops": _gflops(_sgemm_rate(budget)),
        "fma_peak_fraction": {name: round(share, 4) for name, (_, share, _) in rates.items()},
        "speedup_vs_eager": round(eager / main, 1),
        "speedup_vs_vmap": round(vmap / main, 2),
        "speedup_vs_compiled_bmm": None if bmm is None else round(bmm / main, 2),
        "compiled_bmm_failed": why,
        "two_process_scaling": round(scaling, 3),
        "search_overhead": round(_search_overhead(budget.search_width), 4),
        "mask_search_overhead": round(_mask_search_overhead(budget.masks), 4),
        "enumerated_masks_per_second": round(_enumeration_rate(budget.windows)),
        "fused_ms_per_model": {name: round(ms, 3) for name, ms in fused_ms.items()},
        "eager_ms_per_model": round(eager, 1),
        "vmap_ms_per_model": round(vmap, 1),
        "compiled_bmm_ms_per_model": None if bmm is None else round(bmm, 1),
        "lanes": cpu.LANES,
        "seconds": round(time.monotonic() - started, 1),
    }
    say(json.dumps(report) if as_json else _text(report))
    return report


def machine() -> dict[str, Any]:
    """What was measured on."""
    import numba
    import torch

    vectors = {16: "AVX-512", 8: "AVX2", 4: "128-bit"}[cpu.LANES]
    return {
        "processor": f"{processor()}, {vectors}",
        "cores": cores(),
        "python": platform.python_version(),
        "combsearch": __version__,
        "commit": commit(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _gflops(multiply_adds: float) -> float:
    return round(2e-9 * multiply_adds, 1)


def _say(text: str) -> None:
    print(f"measuring: {text}", file=sys.stderr, flush=True)


def _best(windows: int, *measures: Callable[[], float]) -> list[float]:
    """The smallest value of each measure, all taken in turn."""
    taken = [[measure() for measure in measures] for _ in range(windows)]
    return [min(values) for values in zip(*taken, strict=True)]


def multiply_adds(shape: NetShape) -> int:
    """Multiply-adds a sample: forward, gradients, deltas of all layers but the first."""
    sizes = [out * fan for out, fan in shape.layers]
    return 3 * sum(sizes) - sizes[0]


def _kernel_window(shape: NetShape, task: Task, steps: int) -> Callable[[], float]:
    """Seconds of ``steps`` steps of one full group of dense networks."""
    widths, lanes = shape.widths, cpu.LANES
    w, v, m = (cpu.aligned(1, cpu.parameters(widths), lanes) for _ in range(3))
    w[:] = np.random.default_rng(0).uniform(-0.25, 0.25, w.shape)
    m[:] = 1
    rates = cpu.aligned(1, 8, lanes)
    rates[:] = 0.05
    samples = np.concatenate([task.x, task.y[:, None].astype(np.float32)], axis=1)
    order = np.random.default_rng(1).permutation(task.points).astype(np.int32)
    batches = cpu.gather(samples, np.stack([order] * 8), _BATCH)

    def measure() -> float:
        started = time.perf_counter()
        cpu.train(
            w, v, m, rates, batches, widths, batch=_BATCH, first=0, last=steps, momentum=0.9,
            decay=5e-4,
        )  # fmt: skip
        return time.perf_counter() - started

    return measure


def _window_steps(shape: NetShape) -> int:
    """Steps that take some milliseconds: shorter than the slices of a busy machine."""
    return max(40, min(1500, int(2e8 / (multiply_adds(shape) * _BATCH * cpu.LANES))))


def _fused_share(shape: NetShape, task: Task, budget: Budget) -> tuple[float, float, float]:
    """(peak multiply-adds/s, share of it that the kernel reaches, seconds a whole run)."""
    steps = _window_steps(shape)
    kernel = _kernel_window(shape, task, steps)
    slowest, seconds = _best(8 * budget.windows, lambda: 1 / peak.fma_rate(), kernel)
    work = multiply_adds(shape) * _BATCH * cpu.LANES * steps
    return 1 / slowest, work / seconds * slowest, seconds / steps / cpu.LANES * _STEPS


def _fused_seconds(shape: NetShape, task: Task, budget: Budget) -> float:
    """Seconds a step and network."""
    steps = _window_steps(shape)
    (seconds,) = _best(8 * budget.windows, _kernel_window(shape, task, steps))
    return seconds / steps / cpu.LANES


def _networks(shape: NetShape, count: int) -> tuple[NetBatch, RunKeys]:
    """Dense networks that differ in their weights and share one block's minibatches."""
    mask, number = MaskBatch.dense_of(shape), np.arange(count)
    mask_keys = mask.keys() + (number // RESTART_BLOCK).astype(np.uint64)
    keys = RunKeys.make(0, mask_keys, [CELLS[1]] * count, number % RESTART_BLOCK)
    return NetBatch.create(MLP(shape), keys, mask), keys


def _fit_seconds(
    trainer: Trainer, shape: NetShape, task: Task, count: int, steps: int, n: int
) -> float:
    """Seconds a step of ``count`` networks, best of ``n`` fits, without what a fit costs at all."""
    nets, keys = _networks(shape, count)

    def fit(last: int) -> Callable[[], float]:
        def measure() -> float:
            started = time.perf_counter()
            trainer.fit(nets, task, Recipe(), keys, slice(0, last))
            return time.perf_counter() - started

        return measure

    short, long = _best(n, fit(2), fit(2 + steps))
    return (long - short) / steps


def _loop_seconds(shape: NetShape, task: Task) -> float:
    return _fit_seconds(get_trainer("loop"), shape, task, 1, 100, 12)


def _vmap_seconds(shape: NetShape, task: Task, budget: Budget) -> float:
    trainer = get_trainer("vmap", device="cpu")
    return _fit_seconds(trainer, shape, task, _MODELS, 10, max(3, budget.windows // 3))


def _bmm_ms(shape: NetShape, task: Task, budget: Budget) -> tuple[float | None, str | None]:
    """Milliseconds a whole run and network, or why it could not be measured."""
    from combsearch.commands.bmm import compiled_bmm_seconds

    try:
        seconds = compiled_bmm_seconds(task, shape, _MODELS, 4 * budget.windows)
    except Exception as error:  # no C++ compiler, or a platform that torch.compile lacks
        return None, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return 1e3 * seconds * _STEPS / _MODELS, None


def _sgemm_rate(budget: Budget) -> float:
    """Multiply-adds a second of a large float32 matrix product on one thread."""
    import torch

    size = 1024
    a, b = torch.rand(size, size), torch.rand(size, size)

    def measure() -> float:
        started = time.perf_counter()
        torch.mm(a, b)
        return time.perf_counter() - started

    return float(size**3 / _best(2 * budget.windows, measure)[0])


def _steps_in(start: float, seconds: float) -> float:
    """Steps a second of the kernel between two moments of the clock, in this process."""
    measure = _kernel_window(NetShape.parse(_MAIN), cubist_spiral(), 50)
    measure()
    while time.time() < start:
        time.sleep(0.001)
    began, windows = time.perf_counter(), 0
    while time.time() < start + seconds:
        measure()
        windows += 1
    return windows * 50 / (time.perf_counter() - began)


def _two_process_scaling(seconds: float) -> float:
    """Rate of two processes at once over the rate of one, each at its best of some turns."""
    one, two = [], []
    with multiprocessing.get_context("spawn").Pool(2) as pool:

        def rate(processes: int) -> float:
            start = time.time() + 1.0
            jobs = [pool.apply_async(_steps_in, (start, seconds / 2)) for _ in range(processes)]
            return sum(job.get() for job in jobs)

        rate(2)  # both processes import and load
        for _ in range(4):
            one.append(rate(1))
            two.append(rate(2))
    return max(two) / max(one)


@contextmanager
def _timed_kernel() -> Iterator[list[float]]:
    """Collects the seconds that training spends inside the kernel."""
    spent: list[float] = []
    train = cpu.train

    def timed(*arguments: Any, **options: Any) -> None:
        started = time.perf_counter()
        train(*arguments, **options)
        spent.append(time.perf_counter() - started)

    cpu.train = timed
    try:
        yield spent
    finally:
        cpu.train = train


def _search_overhead(width: int) -> float:
    """Time of a whole search in one process over the time in its kernel, minus 1."""
    config = SearchConfig(width=width, target=1.0, full=True)
    plan = phase1.Plan.of(config)
    with tempfile.TemporaryDirectory() as folder, _timed_kernel() as spent:
        started = time.perf_counter()
        store = RunStore.open(Path(folder) / "run", plan.identity())
        phase1.search(plan, store, InlineEngine(), lambda shard, outcome: None)
        phase1.shape_results(phase1.counted(plan, store), config.target)
        return (time.perf_counter() - started) / sum(spent) - 1


def _mask_search_overhead(masks: int) -> float:
    """The same of phase two at (3,3,3): enumeration, initial weights, scores, rows, store."""
    config = Phase2Config(shape="3,3,3", target=1.0, every_level=True)
    plan = MaskPlan.of(config)
    with tempfile.TemporaryDirectory() as folder:
        work = MaskWork(config, RunStore.open(Path(folder) / "run", plan.identity()))
        work(Shard(0, 1))  # loads everything
        with _timed_kernel() as spent:
            started = time.perf_counter()
            work(Shard(1, 1 + masks))
            return (time.perf_counter() - started) / sum(spent) - 1


def _enumeration_rate(windows: int) -> float:
    """Masks of (7,3,3) a second, one an orbit, as ``MaskBatch``es."""
    space = mask_space(NetShape.parse(_MAIN))
    middle, count = len(space) // 2, 2**19

    def measure() -> float:
        started = time.perf_counter()
        for _ in space.stream(middle, middle + count):
            pass
        return time.perf_counter() - started

    measure()
    return count / _best(windows, measure)[0]


def _text(report: dict[str, Any]) -> str:
    """The report for a reader, with the bars of the design."""
    bars = {"7,3,3": 0.6, "6,3,2": 0.6, "3,3,3": 0.55, "16,16,16": 0.55, "3,2,2": 0.5}
    lines = [
        f"{report['machine']['processor']}, {report['machine']['cores']} cores",
        f"multiply-add peak of a core {report['fma_peak_gflops']} GFLOP/s,"
        f" large matrix product {report['sgemm_gflops']} GFLOP/s",
        "",
        f"{'shape':>10} {'ms a run':>9} {'of the peak':>12} {'bar':>6}",
    ]
    lines += [
        f"{name:>10} {report['fused_ms_per_model'][name]:>9.2f} {share:>12.1%} {bars[name]:>6.0%}"
        for name, share in report["fma_peak_fraction"].items()
    ]
    lines += [
        "",
        f"against eager PyTorch          {report['speedup_vs_eager']:>8}x  (bar 800)",
        f"against vmap                   {report['speedup_vs_vmap']:>8}x  (bar 40)",
        f"against compiled bmm           {report['speedup_vs_compiled_bmm'] or '-':>8}x  (bar 30)",
        f"two processes against one      {report['two_process_scaling']:>8}x  (bar 1.9)",
        f"overhead of phase one          {report['search_overhead']:>8.1%}   (bar 15%)",
        f"overhead of phase two (3,3,3)  {report['mask_search_overhead']:>8.1%}   (bar 15%)",
        f"masks enumerated (7,3,3)       {report['enumerated_masks_per_second'] / 1e6:>8.1f}"
        " million a second (bar 10)",
    ]
    return "\n".join(lines)
