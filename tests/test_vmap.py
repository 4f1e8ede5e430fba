"""The vmap trainer: chunks, memory, halving, devices."""

from __future__ import annotations

import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from training import TASK, assert_same, distances, make_nets

from combsearch.config import Recipe
from combsearch.errors import CombsearchError, UsageError
from combsearch.tasks import Task
from combsearch.trainers import vmap
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
    trainer = VmapTrainer("cpu")
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


def test_one_chunk_at_a_time_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_nets("5,3", 12, np.arange(12))
    real, alive = vmap._Chunk.of, weakref.WeakSet[vmap._Chunk]()
    most = []

    def of(*args: Any) -> vmap._Chunk:
        gc.collect()
        most.append(len(alive))
        alive.add(chunk := real(*args))
        return chunk

    monkeypatch.setattr(vmap._Chunk, "of", of)
    VmapTrainer("cpu", chunk=4).fit(nets, TASK, Recipe(), keys, slice(0, 3))
    assert most == [0, 0, 0]


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


# ---- devices -------------------------------------------------------------------


def test_without_a_cuda_device_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    nets, keys = make_nets("5,3", 4)
    cpu = VmapTrainer("cpu").fit(nets, TASK, Recipe(), keys, slice(0, 5))
    assert_same(VmapTrainer().fit(nets, TASK, Recipe(), keys, slice(0, 5)), cpu)


def test_the_device_is_chosen_when_training_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = pickle.loads(pickle.dumps(VmapTrainer()))  # noqa: S301
    for there, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert trainer._device() == torch.device(kind)
        assert VmapTrainer("cpu")._device() == torch.device("cpu")


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert VmapTrainer("cuda:1").device == "cuda:1"
    with pytest.raises(UsageError, match=r"'cuda:2': torch finds cuda:0 to cuda:1 only"):
        VmapTrainer("cuda:2")
    with pytest.raises(UsageError, match=r"'meta' is not supported, take auto, cpu or cuda"):
        VmapTrainer("meta")


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


@pytest.mark.parametrize("tf32", [False, True])
def test_a_device_rounds_to_tf32_only_where_that_is_asked_for(tf32: bool) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before, seen = flags(), list[tuple[bool, bool]]()
    nets, keys = make_nets("3,2", 3)
    trainer = VmapTrainer("cpu", tf32=tf32)
    trainer.fit(nets, TASK, Recipe(), keys, slice(0, 2), lambda *_: seen.append(flags()))
    assert seen == [(tf32, tf32)] * 2 and flags() == before
    trainer.score(nets, TASK)
    assert flags() == before


@pytest.mark.parametrize("watched", [False, True])
def test_nothing_holds_the_points_once_networks_are_trained(watched: bool) -> None:
    """Not even until Python's collector comes round: an epoch of fresh points may be large."""
    x = TASK.x.copy()
    points = weakref.ref(x)
    task = Task("copy", x, TASK.y)
    nets, keys = make_nets("5,3", 2)
    on_step = (lambda step, nets: None) if watched else None
    trainer = VmapTrainer("cpu")
    trainer.fit(nets, TASK, Recipe(), keys, slice(0, 2))  # torch's first call holds its frames
    gc.collect()
    gc.disable()
    try:
        trainer.fit(nets, task, Recipe(), keys, slice(0, 2), on_step)
        del x, task
        assert points() is None
    finally:
        gc.enable()
