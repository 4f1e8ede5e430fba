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
from combsearch.trainers import vmap
from combsearch.trainers.base import ALL_STEPS, plan_fit
from combsearch.trainers.memory import is_out_of_memory, net_bytes, working_bytes
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
