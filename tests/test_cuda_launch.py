"""What surrounds the kernels for a GPU: compilers, driver, launches, memory; on plain arrays."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import cuda_on_cpu
import numpy as np
import pytest
import torch
from cuda_on_cpu import cpu_gpu
from test_cuda import FUSED, On, fitted
from test_fused import Widths, assert_same_bits, make_nets, make_task, recipes

from combsearch import get_trainer
from combsearch.config import CELLS, Recipe
from combsearch.errors import CombsearchError, UsageError
from combsearch.kernels import cuda
from combsearch.kernels.cuda import arrays, compiler
from combsearch.kernels.cuda import gpu as gpu_module
from combsearch.kernels.cuda.compiler import CompileError, Kept, Nvrtc
from combsearch.kernels.cuda.driver import CudaError, Driver
from combsearch.kernels.cuda.gpu import Gpu, pieces
from combsearch.kernels.cuda.source import Build, Layout
from combsearch.rng import RunKeys
from combsearch.trainers import cuda as cuda_trainer
from combsearch.trainers import device_data
from combsearch.trainers.auto import AutoTrainer
from combsearch.trainers.base import plan_fit

WIDTHS: Widths = (2, 5, 3, 1)


# ---- arrays ------------------------------------------------------------------------------


def test_masks_in_words_hold_every_bit() -> None:
    masks = (np.random.default_rng(0).random((7, 75)) < 0.4).astype(np.float32)
    found = cuda.packed(masks)
    assert found.dtype == np.int32 and found.shape == (7, 3)
    for net, p in itertools.product(range(7), range(75)):
        assert int(found[net, p // 32]) >> (p % 32) & 1 == masks[net, p]


@pytest.mark.parametrize(("columns", "stride"), [(2, 4), (3, 4), (4, 4), (5, 8), (17, 20)])
def test_samples_stand_in_whole_quadruples_and_one_more(columns: int, stride: int) -> None:
    samples = np.random.default_rng(1).random((6, columns)).astype(np.float32)
    found = cuda.rows(samples)
    assert found.shape == (7, stride)
    np.testing.assert_array_equal(found[:6, :columns], samples)
    assert not found[:, columns:].any() and not found[6].any()


def naive_groups(sets: list[int], most: int) -> list[tuple[int, int, int]]:
    """(set, first network, networks) of every block."""
    found: list[tuple[int, int, int]] = []
    for place, own in enumerate(sets):
        if found and found[-1][0] == own and found[-1][2] < most:
            found[-1] = (own, found[-1][1], found[-1][2] + 1)
        else:
            found.append((own, place, 1))
    return found


@pytest.mark.parametrize("most", [1, 2, 32])
def test_a_block_works_on_networks_of_one_set(most: int) -> None:
    samples = [torch.zeros(4, 4) for _ in range(6)]
    rng = np.random.default_rng(most)
    for count in (1, 5, 64, 200):
        sets = np.sort(rng.integers(0, 6, count))
        table = arrays.groups(samples, sets, most).numpy()
        expected = naive_groups(sets.tolist(), most)
        assert table[:, 0].tolist() == [samples[s].data_ptr() for s, _, _ in expected]
        assert (table[:, 1] & 0xFFFFFFFF).tolist() == [first for _, first, _ in expected]
        assert (table[:, 1] >> 32).tolist() == [size for *_, size in expected]
    assert len(arrays.groups(samples, np.zeros(0, np.int64), most)) == 0
    with pytest.raises(ValueError, match="ordered by the minibatches"):
        arrays.groups(samples, np.array([1, 0]), most)


def test_pieces_are_equal_and_leave_nothing_out() -> None:
    for first, last, size in itertools.product((0, 5), (5, 6, 19, 400), (1, 7, 1000)):
        found = list(pieces(first, last, size))
        steps = [step for piece in found for step in range(*piece)]
        assert steps == list(range(first, last))
        lengths = {stop - start for start, stop in found}
        assert not lengths or (max(lengths) <= size and max(lengths) - min(lengths) <= 1)


def test_parts_keep_to_the_memory_and_hold_every_network_once() -> None:
    rng = np.random.default_rng(2)
    for n, free in itertools.product((1, 3, 50, 400), (0, 120, 1000, 10**6)):
        blocks = rng.integers(0, 5, n)
        found = list(device_data.parts(blocks, 10, 100, free))
        assert sorted(np.concatenate(found).tolist()) == list(range(n))
        for part in found:
            assert (np.diff(blocks[part]) >= 0).all()
            cost = 10 * len(part) + 100 * len(np.unique(blocks[part]))
            assert cost <= free or len(part) == 1
        whole = 10 * n + 100 * len(np.unique(blocks))
        assert len(found) == 1 or whole > free


def test_what_the_kernels_would_misread_is_refused() -> None:
    gpu, n = cpu_gpu(), 3
    p = 5 * 3 + 3 * 6 + 4
    good: dict[str, Any] = {
        "w": torch.zeros(n, p), "v": torch.zeros(n, p),
        "masks": torch.zeros(n, 2, dtype=torch.int32), "rates": torch.zeros(n, 2),
        "samples": [torch.zeros(2 * 8 + 1, 4)], "sets": np.zeros(n, np.int64), "widths": WIDTHS,
        "batch": 8, "steps": 3, "first": 1, "last": 3, "momentum": 0.9, "decay": 0.0,
    }  # fmt: skip
    gpu.train(**good)
    bad: dict[str, list[Any]] = {
        "w": [torch.zeros(n, p + 1), torch.zeros(n, p, dtype=torch.float64)],
        "v": [torch.zeros(n + 1, p), torch.zeros(p, n).t()],
        "masks": [torch.zeros(n, 2), torch.zeros(n, 1, dtype=torch.int32)],
        "samples": [[torch.zeros(16, 4)], [torch.zeros(17, 3)]],
        "last": [7, 4], "first": [-1], "held": [2],
    }  # fmt: skip
    for name, values in bad.items():
        for value in values:
            with pytest.raises(ValueError, match=r"must be contiguous|are not all there"):
                gpu.train(**{**good, name: value})


# ---- compilers ---------------------------------------------------------------------------

NVCC = shutil.which("nvcc")

# Registers of a thread and builds a multiprocessor of sm_90 shall hold, as ptxas gave them.
READINGS = [
    ((2, 3, 2, 2, 1), "thread", 128),
    ((2, 3, 3, 3, 1), "thread", 168),
    ((2, 6, 3, 2, 1), "thread", 216),
    ((2, 7, 3, 3, 1), "thread", 240),
    ((2, 16, 16, 16, 1), "warp", 232),
]


@pytest.mark.skipif(NVCC is None, reason="nvcc was not found")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize(("widths", "layout", "registers"), READINGS, ids=str)
def test_registers_hold_the_networks_without_spills(
    widths: Widths, layout: Layout, registers: int, arch: str, tmp_path: Path
) -> None:
    source = tmp_path / "kernels.cu"
    source.write_text(Build(widths, layout).source())
    command = [
        str(NVCC),
        f"-arch={arch}",
        *compiler.FLAGS,
        "-Xptxas",
        "-v",
        "-Werror",
        "all-warnings",
    ]
    found = subprocess.run(
        [*command, "-cubin", "-o", str(tmp_path / "kernels.cubin"), str(source)],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    log = found.stdout + found.stderr
    assert found.returncode == 0, log
    train = log[log.index("'train'") :].partition("'score'")[0]
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in train
    match = re.search(r"Used (\d+) registers", train)
    assert match is not None and int(match[1]) <= registers


def _real_nvrtc() -> Nvrtc | None:
    found = compiler.find_compiler()
    inner = found.compiler if isinstance(found, Kept) else found
    return inner if isinstance(inner, Nvrtc) else None


@pytest.mark.skipif(_real_nvrtc() is None, reason="NVRTC was not found")
def test_nvrtc_compiles_both_layouts() -> None:
    nvrtc = _real_nvrtc()
    assert nvrtc is not None
    for layout in ("thread", "warp"):
        assert nvrtc.cubin(Build(WIDTHS, layout).source(), "sm_90").startswith(b"\x7fELF")


def fake_nvrtc() -> Nvrtc:
    return Nvrtc(str(cuda_on_cpu.library((cuda_on_cpu.FOLDER / "nvrtc.cpp").read_text())))


def test_nvrtc_is_asked_for_machine_code_without_contraction() -> None:
    assert fake_nvrtc().name == "NVRTC 13.7"
    image = fake_nvrtc().cubin("text", "sm_90")
    assert image == b"--gpu-architecture=sm_90 -std=c++17 -fmad=false text"
    with pytest.raises(CompileError, match=r"line 1: wrong\Z"):
        fake_nvrtc().cubin("wrong", "sm_90")


def test_compiled_code_is_kept_for_source_architecture_and_compiler(tmp_path: Path) -> None:
    class Counting:
        name, calls = "counting", 0

        def cubin(self, source: str, arch: str) -> bytes:
            self.calls += 1
            return f"{source} {arch} {self.calls}".encode()

    counting = Counting()
    kept = Kept(counting, tmp_path / "new")
    first = kept.cubin("a", "sm_90")
    assert kept.cubin("a", "sm_90") == first and counting.calls == 1
    assert kept.cubin("a", "sm_80") != first and kept.cubin("b", "sm_90") != first
    counting.name = "another"
    assert kept.cubin("a", "sm_90") == b"a sm_90 4"
    assert not [path for path in (tmp_path / "new").iterdir() if path.suffix != ".cubin"]
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert Kept(counting, blocked).cubin("a", "sm_90") == b"a sm_90 5"


def test_nvrtc_of_pytorch_s_release_is_tried_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13"):
        path = tmp_path / "nvidia" / name
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "torch" / "__init__.py"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    found = compiler._nvrtc_paths()
    assert found[:2] == ["libnvrtc.so.13", str(tmp_path / "nvidia/cu13/lib/libnvrtc.so.13")]
    assert str(tmp_path / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12") in found


# ---- driver ------------------------------------------------------------------------------


def test_the_driver_s_refusals_are_told() -> None:
    own = cuda_on_cpu.driver()
    with pytest.raises(CudaError, match=r"cuModuleLoadData: invalid argument \(error 1"):
        own.load(b"/no/such/library\0", 32, 0)
    with pytest.raises(CudaError, match="no CUDA driver"):
        Driver.open(0, "libnothing-of-this-name.so.1")
    with pytest.raises(CudaError, match="cuDeviceGet"):
        cuda_on_cpu.driver(ordinal=9)


# ---- launches ----------------------------------------------------------------------------


def launches(gpu: Gpu) -> int:
    return int(gpu.driver.library.cuda_on_cpu_launches())


def test_long_runs_are_cut_into_launches_and_keep_their_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = cpu_gpu()
    expected, before = fitted(FUSED, WIDTHS), launches(gpu)
    assert_same_bits(fitted(On(own=gpu), WIDTHS), expected)
    assert launches(gpu) == before + 1
    monkeypatch.setattr(gpu_module, "_LAUNCH_SECONDS", 0.0)
    assert_same_bits(fitted(On(own=gpu), WIDTHS), expected)
    assert launches(gpu) == before + 1 + 30


def test_between_launches_a_fit_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class EndedError(Exception):
        pass

    calls: list[int] = []

    def between() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise EndedError

    monkeypatch.setattr(gpu_module, "_LAUNCH_SECONDS", 0.0)
    gpu = cpu_gpu()
    before = launches(gpu)
    with pytest.raises(EndedError):
        fitted(On(own=gpu, between=between), WIDTHS)
    assert launches(gpu) == before + 4


def test_a_launch_takes_seconds_whatever_the_networks() -> None:
    ready = gpu_module.Ready(Build(WIDTHS, "thread"), {}, wave=1000, seconds=1e-3)
    gpu = cpu_gpu()
    assert gpu._launch_steps(ready, 1000, 128) == 1500
    assert gpu._launch_steps(ready, 10, 128) == 1500  # a wave takes what a wave takes
    assert gpu._launch_steps(ready, 4000, 64) == 750
    assert gpu._launch_steps(ready, 10**9, 128) == 1


def test_the_quickest_build_is_chosen_and_few_networks_are_no_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {("thread", 1): 3.0, ("thread", 4): 1.0, ("warp", 1): 2.0}
    tried: list[tuple[str, int]] = []

    def measured(_gpu: Gpu, ready: cuda.Ready, steps: int) -> float:
        tried.append((ready.build.layout, ready.build.blocks))
        return steps * ready.wave * seconds[tried[-1]]

    monkeypatch.setattr(Gpu, "_seconds", measured)
    gpu = cpu_gpu()
    assert gpu.best(WIDTHS, networks=3).build == Build(WIDTHS, "thread")
    assert not tried
    assert gpu.best(WIDTHS).build == Build(WIDTHS, "thread", 4)
    assert gpu.best(WIDTHS, networks=3).build == Build(WIDTHS, "thread", 4)
    assert {layout for layout, _ in tried} == {"thread"}  # its registers hold the shape
    wide: Widths = (2, 16, 16, 16, 1)
    assert [ready.build.layout for ready in gpu.candidates(wide)] == ["warp"]


def test_nobody_else_launches_while_builds_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, log = cpu_gpu(), []
    ready, w = gpu.load(Build((2, 3, 1), "thread")), torch.zeros(4, 13)

    def score() -> None:
        gpu.score(w, torch.zeros(9, 4), (2, 3, 1), ready)
        log.append("launched")

    other = threading.Thread(target=score)

    def measured(*_: Any) -> float:
        if not log:
            other.start()
        other.join(0.1)
        log.append("measured")
        return 1.0

    monkeypatch.setattr(Gpu, "_seconds", measured)
    gpu.best(WIDTHS)
    other.join()
    assert set(log[:-1]) == {"measured"} and log[-1] == "launched"


class Streams:
    """Stands in for ``torch.cuda``: notes who waits for whom, and what is given back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[Any] = []
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the caller's")
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: self.log.append("emptied"))

    def wait_stream(self, other: Any) -> None:
        self.log.append(other)


def test_a_stream_starts_when_what_its_caller_has_begun_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = Streams(monkeypatch)
    gpu = dataclasses.replace(cpu_gpu(), device=torch.device("cuda", 0))
    with cuda_trainer._own_stream(gpu):
        assert streams.log == ["the caller's"]


def test_memory_that_is_kept_is_given_back_before_halves_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams, tried = Streams(monkeypatch), []

    def trained(fit: Any, part: Any) -> tuple[torch.Tensor, torch.Tensor]:
        tried.append(len(part))
        if len(part) == 4:
            raise MemoryError("cuLaunchKernel: the GPU's memory is full")
        return fit.w[part] + 1, fit.v[part]

    monkeypatch.setattr(cuda_trainer._Fit, "_trained", trained)
    gpu = dataclasses.replace(cpu_gpu(), device=torch.device("cuda", 0))
    w, v = torch.zeros(4, 13), torch.zeros(4, 13)
    none: Any = None
    cuda_trainer._Fit(gpu, w, v, w, none, none, (2, 3, 1)).run(np.arange(4))
    assert tried == [4, 2, 2] and streams.log == ["emptied"] and bool((w == 1).all())


def test_several_blocks_of_restarts_share_a_launch() -> None:
    gpu = cpu_gpu()
    gpu.best(WIDTHS)
    task, (nets, keys) = make_task(), make_nets(WIDTHS, CELLS * 3)
    assert len(np.unique(keys.blocks())) > 5
    before = launches(gpu)
    found = On(own=gpu).fit(nets, task, recipes(CELLS * 3, epochs=1), keys)
    assert launches(gpu) == before + 1
    assert_same_bits(found, FUSED.fit(nets, task, recipes(CELLS * 3, epochs=1), keys))


def test_epochs_that_do_not_fit_at_once_are_trained_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_data, "_SET_BYTES", 2 * 330 * 16)
    expected = fitted(FUSED, WIDTHS)
    assert_same_bits(fitted(On(own=cpu_gpu()), WIDTHS), expected)
    task, (nets, keys) = make_task(points=330), make_nets(WIDTHS, CELLS)
    plan = plan_fit(nets, task, Recipe(epochs=7, batch_size=12), keys, slice(80, 150))
    assert device_data.epoch_ranges(task, plan) == [range(2, 4), range(4, 6)]


def test_minibatches_are_kept_within_their_memory() -> None:
    task, (nets, keys) = make_task(points=330), make_nets(WIDTHS, CELLS)
    plan = plan_fit(nets, task, Recipe(epochs=7, batch_size=12), keys, slice(None))
    one = device_data.set_bytes(task, plan, 7)
    kept = device_data.Minibatches(torch.device("cpu"), 2 * one)
    a, b, c = (kept.of(task, plan, block, range(7)) for block in range(3))
    assert a.numel() * 4 == one
    assert kept.of(task, plan, 2, range(7)) is c and kept.of(task, plan, 1, range(7)) is b
    again = kept.of(task, plan, 0, range(7))
    assert again is not a and torch.equal(again, a)
    changed = type(task)("other", task.x + 1, task.y)
    assert not torch.equal(kept.of(changed, plan, 0, range(7)), a)


@pytest.mark.parametrize("after", [0, 1])
def test_what_does_not_fit_the_memory_is_trained_in_halves(after: int) -> None:
    gpu = cpu_gpu()
    gpu.best(WIDTHS)
    gpu.driver.library.cuda_on_cpu_full_after(after)
    try:
        found = fitted(On(own=gpu), WIDTHS, epochs=6)
    finally:
        gpu.driver.library.cuda_on_cpu_full_after(-1)
    assert_same_bits(found, fitted(FUSED, WIDTHS))


def test_one_network_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Gpu, "train", full)
    with pytest.raises(CombsearchError, match=r"one network \(2, 5, 3, 1\).*a CPU.*'fused'"):
        fitted(On(own=cpu_gpu()), WIDTHS)


def test_threads_may_share_a_trainer() -> None:
    trainer, expected = On(own=cpu_gpu()), fitted(FUSED, WIDTHS)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(fitted(trainer, WIDTHS))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for one in found:
        assert_same_bits(one, expected)


def test_a_gpu_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise CudaError("cuLaunchKernel: too many\nresources (error 701 of the CUDA driver)")

    monkeypatch.setattr(Driver, "launch", fail)
    words = r"a CPU \(sm_90\) fails: cuLaunchKernel: too many resources .*'fused'"
    with pytest.raises(CombsearchError, match=words):
        fitted(On(own=cpu_gpu()), WIDTHS)


def test_a_gpu_with_other_bits_is_refused_before_it_trains() -> None:
    On(own=cpu_gpu()).prepare()
    change = ("v = fma_(momentum, v, gradient)", "v = momentum * v + gradient")
    with pytest.raises(CombsearchError, match="a CPU does not give the results of the CPU"):
        On(own=cpu_gpu(change=change)).prepare()


# ---- without a GPU -----------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_trainer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")  # a simulator is no GPU
    assert cuda.gpus() == 0
    with pytest.raises(
        UsageError, match=r"trainer 'cuda': no GPU was found.*'fused' gives the same"
    ):
        get_trainer("cuda")
    task, (nets, keys) = make_task(), make_nets(WIDTHS, CELLS)
    assert AutoTrainer().choose(nets, task).name == "fused"
    assert len(keys) == len(CELLS)


def test_every_way_to_have_no_gpu_has_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "driver_is_there", lambda: False)
    assert "no NVIDIA driver" in str(cuda.no_gpu()) and cuda.gpus() == 0
    monkeypatch.setattr(cuda, "driver_is_there", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in str(cuda.no_gpu())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "sees no CUDA device" in str(cuda.no_gpu())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "find_compiler", lambda: None)
    assert "no compiler" in str(cuda.no_gpu())
    monkeypatch.setattr(cuda, "find_compiler", fake_nvrtc)
    assert cuda.no_gpu() is None
    assert get_trainer("cuda", device="cuda:1").name == "cuda"
    for device in ("cuda:2", "cpu", "nonsense"):
        with pytest.raises(UsageError, match=r"there are: cuda, cuda:0, cuda:1"):
            get_trainer("cuda", device=device)


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "no_gpu", lambda: None)
    monkeypatch.setattr(cuda_trainer, "_check_device", lambda device: None)
    task, choose = make_task(), AutoTrainer().choose
    assert choose(make_nets(WIDTHS, CELLS)[0], task).name == "cuda"
    assert choose(make_nets((2, 33, 1), CELLS)[0], task).name == "fused"
    assert choose(make_nets(WIDTHS, CELLS)[0], task, lambda step, nets: None).name == "vmap"


def test_requests_that_it_cannot_serve_are_refused() -> None:
    task, (nets, keys) = make_task(), make_nets((2, 33, 3, 1), CELLS)
    trainer = On(own=cpu_gpu())
    with pytest.raises(UsageError, match=r"up to 32 neurons, not 33; 'fused' and 'vmap' can"):
        trainer.fit(nets, task, Recipe(epochs=1), keys)
    with pytest.raises(UsageError, match=r"'cuda' cannot do this: .*on_step"):
        trainer.fit(nets, task, Recipe(epochs=1), keys, on_step=lambda step, nets: None)
    assert RunKeys.make(0, [], [], []).blocks().shape == (0,)


# ---- networks that stay on the GPU -------------------------------------------------------


def test_networks_that_stay_are_trained_scored_and_chosen_there() -> None:
    task, (nets, keys) = make_task(points=330), make_nets(WIDTHS, CELLS)
    recipe, gpu = recipes(CELLS, epochs=6, batch_size=24), cpu_gpu()
    expected = FUSED.fit(nets, task, recipe, keys)
    staying = On(own=gpu, stay=True)
    half = staying.fit(nets, task, recipe, keys, slice(0, 30))
    assert all(isinstance(array, torch.Tensor) for array in half.params.values())
    chosen = np.array([4, 1, 2])
    few = staying.fit(
        half[chosen], task, [recipe[i] for i in chosen], keys[chosen], slice(30, None)
    )
    assert_same_bits(few.numpy(), expected[chosen])
    scores = staying.score(few, task)
    np.testing.assert_array_equal(scores.correct, FUSED.score(expected[chosen], task).correct)
    assert_same_bits(nets, make_nets(WIDTHS, CELLS)[0])
