"""Captured steps, on a stand-in for CUDA's streams and graphs."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from training import TASK, assert_same, distances, make_nets

from combsearch.config import Recipe
from combsearch.trainers import vmap
from combsearch.trainers.graphs import Graphs
from combsearch.trainers.vmap import VmapTrainer


class Stream:
    def wait_stream(self, other: Stream) -> None:
        pass


class FakeCuda:
    """torch.cuda's streams and graphs on a CPU: what is captured is kept, not run.

    ``errors`` are raised in the first captures, (in the step, at the end of the capture).
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: list[tuple[BaseException | None, BaseException | None]] = []
        self.current: list[Stream] = [Stream()]
        self.pools: list[object] = []
        self.streams: list[Stream] = []
        self.recording: Any = None
        self.users: list[tuple[object, weakref.ref[Graph]]] = []
        fakes = {
            "Stream": lambda device: Stream(),
            "current_stream": lambda device: self.current[-1],
            "stream": self.stream,
            "device": lambda device: contextlib.nullcontext(),
            "graph_pool_handle": object,
            "CUDAGraph": self.new_graph,
            "graph": self.graph,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        real = vmap._Chunk.update

        def update(chunk: Any, *inputs: torch.Tensor) -> None:
            if self.recording is None:
                return real(chunk, *inputs)
            self.recording.step = lambda: real(chunk, *inputs)
            if self.errors and (error := self.errors[0][0]) is not None:
                raise error
            return None

        monkeypatch.setattr(vmap._Chunk, "update", update)

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        self.current.append(stream)
        try:
            yield
        finally:  # back to what was current before, whatever was entered since and not left
            del self.current[self.current.index(stream) :]

    def new_graph(self) -> Graph:
        gc.collect()  # what stands in for a graph knows its chunk, and the chunk its graph
        return Graph(self)

    @contextlib.contextmanager
    def graph(self, graph: Graph, pool: object, stream: Stream) -> Iterator[None]:
        users = [ref() for used, ref in self.users if used is pool]
        assert not users or any(users)  # what PyTorch asks of a pool that was used before
        self.users.append((pool, weakref.ref(graph)))
        self.pools.append(pool)
        self.streams.append(stream)
        self.current.append(stream)
        self.recording = graph
        try:
            yield
        finally:
            self.recording = None
            error = self.errors.pop(0)[1] if self.errors else None
            if error is not None:
                raise error  # and the stream stays current, as with PyTorch
            self.current.pop()


class Graph:
    """Runs what was captured."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.step: Any = None
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        self.step()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """A machine where every tensor counts as CUDA's."""
    gc.freeze()  # a collection at each graph need not visit what the session has made so far
    fake = FakeCuda(monkeypatch)
    setup = VmapTrainer._setup

    def with_graphs(trainer: VmapTrainer, *args: Any) -> Any:
        made = setup(trainer, *args)
        object.__setattr__(made, "graphs", Graphs(made.device))
        return made

    monkeypatch.setattr(VmapTrainer, "_setup", with_graphs)
    yield fake
    gc.unfreeze()


@pytest.mark.parametrize("rule", [{}, {"nesterov": True, "clip": 0.1}, {"optimizer": "adam"}])
@pytest.mark.parametrize("lockstep", [False, True])
def test_captured_steps_train_as_plain_ones(
    cuda: FakeCuda, lockstep: bool, rule: dict[str, Any]
) -> None:
    nets, keys = make_nets("5,3", 20, np.arange(20))  # two blocks, one of 4
    recipes = [Recipe(lr=0.01 * (1 + i), **rule) for i in range(20)]
    on_step = (lambda step, batch: None) if lockstep else None
    found = VmapTrainer("cpu", chunk=8).fit(nets, TASK, recipes, keys, slice(5, 25), on_step)
    assert len(cuda.pools) == 3
    assert len(set(cuda.pools)) == (1 if lockstep else 3)  # one for all that are there at once
    assert len(set(cuda.streams)) == 1
    assert len(cuda.current) == 1
    refused = RuntimeError("operation not permitted when stream is capturing")
    cuda.errors = [(refused, RuntimeError("operation failed due to a previous error"))]
    plain = VmapTrainer("cpu", chunk=8).fit(nets, TASK, recipes, keys, slice(5, 25), on_step)
    assert_same(found, plain)
    assert len(cuda.pools) == 4  # what cannot be captured is not tried again
    assert len(cuda.current) == 1


def test_what_on_step_changes_reaches_captured_steps(cuda: FakeCuda) -> None:
    nets, keys = make_nets("5,3", 6)

    def prune(step: int, batch: Any) -> Any:
        return nets if step == 7 else None

    found = VmapTrainer("cpu").fit(nets, TASK, Recipe(), keys, slice(0, 12), prune)
    expected = VmapTrainer("cpu").fit(nets, TASK, Recipe(), keys, slice(8, 12))
    assert_same(found, expected)


ALLOCATOR = torch.OutOfMemoryError("CUDA out of memory")
DRIVER = RuntimeError("CUDA error: out of memory")
INVALID = RuntimeError("operation failed due to a previous error during capture")


@pytest.mark.parametrize("lockstep", [False, True])
@pytest.mark.parametrize(
    "errors",
    [(ALLOCATOR, None), (ALLOCATOR, INVALID), (None, DRIVER)],
    ids=["step", "step and end", "end"],
)
def test_memory_that_runs_out_in_a_capture_halves_the_chunk(
    cuda: FakeCuda, errors: tuple[BaseException | None, BaseException | None], lockstep: bool
) -> None:
    nets, keys = make_nets("5,3", 8)
    whole = VmapTrainer("cpu", graphs=False).fit(nets, TASK, Recipe(), keys, slice(0, 9))
    cuda.pools.clear()
    cuda.errors = [errors, (None, None), errors]
    on_step = (lambda step, batch: None) if lockstep else None
    found = VmapTrainer("cpu").fit(nets, TASK, Recipe(), keys, slice(0, 9), on_step)
    assert distances(found, whole).max() < 1e-6
    assert len(cuda.pools) == 5  # of 8; of 4; of 4, into halves of 2
    assert cuda.pools[0] is not cuda.pools[1]  # a pool in which a capture failed is left
    assert len(cuda.current) == 1
