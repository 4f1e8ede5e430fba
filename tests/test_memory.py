"""The memory of training: the estimate against what lives during a step, and what is free."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training import TASK, make_nets

from combsearch.config import Recipe
from combsearch.nets import NetBatch, score
from combsearch.networks import CNN, Architecture, Dense, ImageNetwork
from combsearch.rng import RunKeys
from combsearch.tasks.augmentation import Augmentation
from combsearch.tasks.base import Task
from combsearch.trainers import vmap
from combsearch.trainers.base import ALL_STEPS, plan_fit
from combsearch.trainers.memory import CPU_BYTES, is_out_of_memory, net_bytes, working_bytes
from combsearch.trainers.vmap import VmapTrainer

reference: Any = StorageWeakRef  # without types


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that operations give back and that are still alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, tuple[Any, int]] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = reference(storage), storage.nbytes()
        self.alive = {at: one for at, one in self.alive.items() if not one[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return found


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(optimizer="adam", clip=1.0)])
@pytest.mark.parametrize("shape", ["7,3,3", "16,16,16", "256", "256,256,256", "8,8,8,8,8"])
def test_a_step_takes_about_the_memory_that_was_estimated(shape: str, recipe: Recipe) -> None:
    n = 4
    nets, keys = make_nets(shape, n)
    plan = plan_fit(nets, TASK, recipe, keys, ALL_STEPS)
    setup = VmapTrainer("cpu")._setup(nets, TASK, plan)
    x, y = setup.batches(0, 0)
    with torch.no_grad(), Live() as live:
        chunk = vmap._Chunk.of(setup, nets, np.arange(n))
        chunk.update(x, y, chunk.rates[:, :1])
    # A chunk is planned to take half of the memory, so the estimate may be half of the truth.
    assert 0.6 < net_bytes(nets, x, y) * n / live.peak < 1.6


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn"])
@pytest.mark.parametrize("shared", [False, True])
def test_minibatches_of_their_own_are_counted(name: str, shared: bool) -> None:
    n, shape = 4, (1, 28, 28)
    architectures: dict[str, Architecture] = {
        "linear": Dense(),
        "mlp": Dense((64,)),
        "cnn": CNN((4, 8)),
    }
    keys = RunKeys.make(0, np.arange(n), ["a"] * n, np.arange(n))
    nets = NetBatch.create(ImageNetwork(architectures[name], shape, 10), keys)
    moved = Augmentation(shape, True, 2, (-1.0,), shared)
    pixels = np.random.default_rng(0).normal(size=(250, 784)).astype(np.float32)
    task = Task("noise", pixels, np.zeros(250, np.uint8), classes=10, augmentation=moved)
    recipe = Recipe(batch_size=250)
    setup = VmapTrainer("cpu")._setup(nets, task, plan_fit(nets, task, recipe, keys, ALL_STEPS))
    x, y = torch.tensor(task.x), torch.tensor(task.y)
    with torch.no_grad(), Live() as live:
        chunk = vmap._Chunk.of(setup, nets, np.arange(n))
        chunk.run(1)
    each = net_bytes(nets, x, y, own=not shared)
    batch = 3 * x.nbytes  # of all networks together
    assert 0.6 < (each * n + shared * batch) / live.peak < 1.6
    assert each == net_bytes(nets, x, y) + (0 if shared else batch)
    room = VmapTrainer("cpu").planned_chunk(nets, task, recipe)
    assert room == CPU_BYTES // each


def test_scoring_leaves_no_parameters_behind() -> None:
    keys = RunKeys.make(0, [0], ["a"], [0])
    nets = NetBatch.create(ImageNetwork(Dense((40,)), (1, 8, 8), 3), keys)
    task = Task("noise", np.zeros((5, 64), np.float32), np.zeros(5, np.uint8), classes=3)
    with Live() as live:
        score(nets, task)
    left = [size for storage, size in live.alive.values() if not storage.expired()]
    assert max(left, default=0) < 40 * 64 * 4


def test_what_pytorch_has_freed_is_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda:1")
    for name, size in (("memory_reserved", 50), ("memory_allocated", 20)):
        monkeypatch.setattr(torch.cuda, name, {device: size}.__getitem__)
    monkeypatch.setattr(torch.cuda, "mem_get_info", {device: (70, 1000)}.__getitem__)
    assert working_bytes(device, 0.5) == 50


def chained(error: BaseException, cause: BaseException | None) -> BaseException:
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (chained(RuntimeError("capture was invalidated"), torch.OutOfMemoryError("CUDA")), True),
        (chained(RuntimeError("capture was invalidated"), RuntimeError("shapes differ")), False),
        (chained(ValueError("sizes"), MemoryError()), False),
        (RuntimeError("shapes differ"), False),
    ],
    ids=str,
)
def test_errors_of_memory_are_known(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) == expected
