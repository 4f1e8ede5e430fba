"""The vmap trainer: chunks, memory, halving, and the captured step on a stand-in for CUDA."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from training import TASK, assert_same, distances, make_nets

from combsearch.config import Recipe
from combsearch.errors import CombsearchError
from combsearch.nets import NetBatch
from combsearch.rng import RunKeys
from combsearch.trainers import vmap
from combsearch.trainers.base import ALL_STEPS, plan_fit
from combsearch.trainers.flat import Minibatches
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.memory import CPU_BYTES, is_out_of_memory, net_bytes
from combsearch.trainers.vmap import VmapTrainer

# ---- chunks and memory ---------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_results_do_not_depend_on_chunks(chunk: int) -> None:
    nets, keys = make_nets("5,3", 20, np.arange(20))  # two blocks, one of 4
    whole = VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 20))
    found = VmapTrainer(chunk=chunk).fit(nets, TASK, Recipe(), keys, slice(0, 20))
    assert distances(found, whole).max() < 1e-6


def test_results_do_not_depend_on_neighbours() -> None:
    nets, keys = make_nets("5,3", 20, np.arange(20))
    whole = VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 40))
    some = np.array([19, 3, 8])
    found = VmapTrainer().fit(nets[some], TASK, Recipe(), keys[some], slice(0, 40))
    assert distances(found, whole[some]).max() < 1e-6


def test_thousands_of_masked_networks_fit_the_memory_planned() -> None:
    nets, keys = make_nets("16,16,16", 4096, np.arange(4096) % 16, density=0.5)
    trainer = VmapTrainer()
    x, y = torch.tensor(TASK.x[:128]), torch.tensor(TASK.y[:128])
    each = net_bytes(nets, x, y)
    # At the least: parameters, momenta, mask and gradient, and each layer's activations.
    least = 4 * (4 * 593 + 128 * 48)
    assert least < each < 5 * least
    chunk = trainer.planned_chunk(nets, TASK, Recipe())
    assert chunk * each <= CPU_BYTES < (chunk + 1) * each
    trained = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 2))
    some = np.array([0, chunk - 1, chunk, 4095])
    loop = LoopTrainer().fit(nets[some], TASK, Recipe(), keys[some], slice(0, 2))
    assert distances(trained[some], loop).max() < 1e-6
    for name, mask in nets.masks.items():
        assert not trained.params[name][mask == 0].any()


def fail_above(limit: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[int]:
    """Let gradients of more than ``limit`` networks fail now and then; the sizes that ran."""
    sizes: list[int] = []
    real = vmap.lift

    def lift(*args: Any) -> vmap.Gradients:
        gradients = real(*args)

        def bounded(w: torch.Tensor, *rest: Any) -> Any:
            if len(w) > limit and len(sizes) >= 3:
                raise error
            sizes.append(len(w))
            return gradients(w, *rest)

        return bounded

    monkeypatch.setattr(vmap, "lift", lift)
    return sizes


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("lockstep", [False, True])
def test_chunks_are_halved_when_memory_runs_out(
    error: BaseException, lockstep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_out_of_memory(error)
    nets, keys = make_nets("5,3", 20, np.arange(20))
    recipes = [Recipe(lr=0.01 * (1 + i)) for i in range(20)]
    whole = VmapTrainer().fit(nets, TASK, recipes, keys, slice(0, 12))
    sizes = fail_above(5, monkeypatch, error)
    on_step = (lambda step, batch: None) if lockstep else None
    found = VmapTrainer().fit(nets, TASK, recipes, keys, slice(0, 12), on_step)
    assert distances(found, whole).max() < 1e-6
    assert set(sizes[4:]) == {4}
    assert sum(sizes) == 20 * 12  # no step is lost or taken twice


def test_one_network_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    fail_above(0, monkeypatch, MemoryError())
    with pytest.raises(CombsearchError, match=r"one network of 37 parameters does not fit.*cpu"):
        VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 9))


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    fail_above(0, monkeypatch, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 9))


# ---- CUDA graphs ---------------------------------------------------------------


class FakeGraphs:
    """torch.cuda's streams and graphs on a CPU: what is captured is kept, not run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, chunk: Any, fails: bool = False) -> None:
        self.captured: list[tuple[torch.Tensor, ...]] = []
        self.update, self.fails = chunk.update, fails
        monkeypatch.setattr(chunk, "update", self.record)
        stream = type("Stream", (), {"wait_stream": lambda self, other: None})
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream())
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream())
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "graph", lambda graph: contextlib.nullcontext())
        replay = {"replay": lambda graph: self.update(*self.captured[0])}
        monkeypatch.setattr(torch.cuda, "CUDAGraph", type("Graph", (), replay))

    def record(self, *inputs: torch.Tensor) -> None:
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.captured.append(inputs)


def make_chunk(nets: NetBatch, keys: RunKeys) -> Any:
    plan = plan_fit(nets, TASK, Recipe(), keys, ALL_STEPS)
    batches = Minibatches(TASK, plan, torch.device("cpu"))
    return VmapTrainer()._chunk(nets, plan, batches, np.arange(len(nets)))


def test_a_captured_step_replays_with_new_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    chunk, twin = make_chunk(nets, keys), make_chunk(nets, keys)
    fake = FakeGraphs(monkeypatch, chunk)
    with torch.no_grad():
        for step in (0, 1, 10, 200):
            x, y = chunk.setup.batches(step, 0)
            rates = chunk.rates[:, step // 10 : step // 10 + 1]
            if step == 0:
                replay = vmap.capture(chunk, x, y, rates)
                assert_same(chunk.nets(), nets)  # warming up and capturing train nothing
            replay(x, y, rates)
            twin.update(x, y, rates)
            assert_same(chunk.nets(), twin.nets())
    assert len(fake.captured) == 1


def test_a_step_that_cannot_be_captured_runs_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 4)
    chunk = make_chunk(nets, keys)
    FakeGraphs(monkeypatch, chunk, fails=True)
    x, y = chunk.setup.batches(0, 0)
    with torch.no_grad():
        assert vmap.capture(chunk, x, y, chunk.rates[:, :1]) == chunk.update


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("graphs", [True, False])
def test_cuda_equals_loop(graphs: bool) -> None:
    nets, keys = make_nets("7,3,3", 6, np.array([0, 1, 17, 15, 16, 3]))
    trainer = VmapTrainer("cuda", graphs=graphs)
    found = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 100))
    loop = LoopTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 100))
    assert distances(found, loop).max() <= 1e-5
    again = trainer.fit(nets, TASK, Recipe(), keys, slice(0, 100), lambda step, batch: None)
    assert distances(again, loop).max() <= 1e-5
    assert (
        np.abs(trainer.score(found, TASK).correct - LoopTrainer().score(loop, TASK).correct).max()
        < 5
    )
