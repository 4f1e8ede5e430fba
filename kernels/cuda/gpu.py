"""A GPU that trains: kernels compiled for a shape, the quickest of them, launches of seconds.

Tensors are on the GPU and are worked on in place, in the current stream of PyTorch. Threads of
the host may share a ``Gpu``, each with its own stream.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from combsearch.kernels.cuda.arrays import (
    check_networks,
    check_samples,
    groups,
    ints,
    pointer,
    words,
)
from combsearch.kernels.cuda.compiler import Compiler, find_compiler
from combsearch.kernels.cuda.driver import Argument, Driver, Kernel
from combsearch.kernels.cuda.source import THREADS, Build, parameters, stride

if TYPE_CHECKING:
    import torch

Integers = npt.NDArray[np.int64]

MAX_WIDTH = 32
"""Neurons of a layer: a lane of warp.cu holds four sums for each."""

_THREAD_PARAMETERS = 128  # more of them the registers of a thread cannot hold
_LAUNCH_SECONDS = 1.5  # nothing answers a signal while a launch is waited for
_GUESSED_RATE = 2e10  # multiply-adds a second of a multiprocessor, where none was measured
_BATCH, _STEPS, _TRIALS = 128, 200, 3  # of a trial: some milliseconds each


def why_not(widths: tuple[int, ...]) -> str | None:
    """Why no kernel takes this shape, or None when one does."""
    if max(widths) > MAX_WIDTH:
        return f"it takes layers of up to {MAX_WIDTH} neurons, not {max(widths)}"
    return None


@dataclass(frozen=True)
class Ready:
    """A build that was compiled and loaded.

    Attributes:
        build: what was compiled.
        kernels: ``train`` and ``score``.
        wave: networks in flight at once.
        seconds: a step of a minibatch of 128 of so many networks, 0 when not measured.
    """

    build: Build
    kernels: dict[str, Kernel]
    wave: int
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Steps of networks a second, as measured."""
        return self.wave / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, eq=False)
class Gpu:
    """One GPU and what was compiled for it.

    Attributes:
        device: PyTorch's, with its number.
        name: the maker's.
        arch: what code is compiled for, such as ``sm_90``.
        multiprocessors: how many it has.
        driver: loads and launches.
        compiler: compiles.
    """

    device: torch.device
    name: str
    arch: str
    multiprocessors: int
    driver: Driver
    compiler: Compiler
    _loaded: dict[Build, Ready] = field(default_factory=dict)
    _best: dict[tuple[int, ...], Ready] = field(default_factory=dict)
    _locks: dict[Any, threading.Lock] = field(default_factory=dict)
    _launching: threading.RLock = field(default_factory=threading.RLock)

    @staticmethod
    @lru_cache(maxsize=16)
    def of(device: str) -> Gpu:
        """The GPU that PyTorch calls ``device``, with its number, such as ``cuda:0``.

        Raises:
            CudaError: the driver does not answer.
        """
        import torch

        compiler = find_compiler()
        assert compiler is not None, "no_gpu() says so"
        found = torch.device(device)
        facts = torch.cuda.get_device_properties(found)
        arch = f"sm_{facts.major}{facts.minor}"
        driver = Driver.open(found.index)
        return Gpu(found, facts.name, arch, facts.multi_processor_count, driver, compiler)

    def best(self, widths: tuple[int, ...], networks: int | None = None) -> Ready:
        """The quickest build of a shape; without a trial for too few networks to matter."""
        with self._one_at_a_time(widths):
            if widths not in self._best:
                first = next(self.candidates(widths))
                if networks is not None and networks < first.wave // 4:
                    return first
                self._best[widths] = max(self.builds(widths), key=lambda ready: ready.rate)
            return self._best[widths]

    def builds(self, widths: tuple[int, ...]) -> list[Ready]:
        """All candidates, measured in turn, while no other thread trains."""
        found = list(self.candidates(widths))
        with self._launching:
            self._wait_for_all()
            for ready in found:
                self._seconds(ready, 1)  # the first launch loads the code
            times = [[self._seconds(ready, _STEPS) for ready in found] for _ in range(_TRIALS)]
        return [
            replace(ready, seconds=min(own) / _STEPS)
            for ready, own in zip(found, zip(*times, strict=True), strict=True)
        ]

    def candidates(self, widths: tuple[int, ...]) -> Iterator[Ready]:
        """Builds that may be the quickest, likely ones first.

        A thread a network is quickest while its registers hold what it works on. More blocks
        than they allow hide more latency, for spills that the innermost loop may not see.
        """
        if parameters(widths) <= _THREAD_PARAMETERS:
            own = self.load(Build(widths, "thread"))
            yield own
            yield self.load(Build(widths, "thread", _more(own)))
            if not own.kernels["train"].local_bytes:
                return
        yield self.load(Build(widths, "warp"))

    def load(self, build: Build) -> Ready:
        """A build, compiled for this GPU and loaded, once."""
        with self._one_at_a_time(build):
            if build not in self._loaded:
                image = self.compiler.cubin(build.source(), self.arch)
                kernels = self.driver.load(image, THREADS, build.shared_bytes)
                wave = kernels["train"].blocks * self.multiprocessors * build.networks
                self._loaded[build] = Ready(build, kernels, wave)
            return self._loaded[build]

    def train(
        self, w: torch.Tensor, v: torch.Tensor, masks: torch.Tensor, rates: torch.Tensor,
        samples: Sequence[torch.Tensor], sets: Integers, widths: tuple[int, ...], *, batch: int,
        steps: int, first: int, last: int, momentum: float, decay: float, held: int | None = None,
        ready: Ready | None = None, between: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Optimiser steps ``first`` to ``last`` - 1 of n networks, in place.

        It returns before the last launch has ended; the stream keeps the order.

        Args:
            w, v: weights and momenta, float32 [n, parameter].
            masks: int32 [n, word], see ``packed``.
            rates: learning rates, float32 [n, epoch].
            samples: sets of minibatches, each float32 [sample + 1, stride], see ``rows``: batch
                after batch from that of step ``held`` on.
            sets: int64 [n], ascending: which set each network is trained on.
            widths: neurons a layer: inputs, one hidden layer or more, 1 output.
            batch: samples of a minibatch.
            steps: of an epoch.
            first, last: steps, counted from the start of training.
            momentum, decay: of SGD, as in ``cpu.train``.
            held: the step whose minibatch comes first in ``samples``; ``first`` if None.
            ready: a build, else the quickest.
            between: called between launches; what it raises is raised here.
        """
        held = first if held is None else held
        check_networks(widths, w=w, v=v, masks=masks, rates=rates)
        for one in samples:
            check_samples(widths, one, (last - held) * batch)
        if not 0 <= held <= first <= last <= rates.shape[1] * steps:
            known = f"{rates.shape[1]} epochs of {steps} steps, samples from step {held} on"
            raise ValueError(f"steps {first} to {last} are not all there: rates hold {known}")
        ready = ready or self.best(widths, len(w))
        table = groups(samples, sets, ready.build.networks)
        on_device = table.to(self.device)
        arrays = [pointer(array) for array in (on_device, w, v, masks, rates)]
        numbers = [ctypes.c_float(x) for x in (momentum, decay, 1 / batch)]
        waited = None
        for start, stop in pieces(first, last, self._launch_steps(ready, len(w), batch)):
            counts = ints(rates.shape[1], batch, steps, held, start, stop)
            self._launch(ready, "train", len(table), [*arrays, *counts, *numbers])
            waited = self._wait_but_one(waited)
            if between is not None:
                between()

    def score(
        self, w: torch.Tensor, samples: torch.Tensor, widths: tuple[int, ...],
        ready: Ready | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Right answers, and 1 where all logits and parameters are finite, else 0: int32 [n].

        Args:
            w: weights, float32 [n, parameter].
            samples: float32 [sample + 1, stride], see ``rows``.
            widths: as in ``train``.
            ready: a build, else the quickest.
        """
        import torch

        check_networks(widths, w=w)
        check_samples(widths, samples, 0)
        ready = ready or self.best(widths, len(w))
        correct = torch.zeros(len(w), dtype=torch.int32, device=w.device)
        finite = torch.ones_like(correct)
        counts = ints(len(w), len(samples) - 1)
        results = [pointer(correct), pointer(finite)]
        blocks = -(-len(w) // ready.build.networks)
        self._launch(ready, "score", blocks, [pointer(w), pointer(samples), *counts, *results])
        return correct, finite

    def synchronize(self) -> None:
        """Wait until the GPU has done what the current stream holds."""
        if self.device.type == "cuda":
            self._stream().synchronize()

    def _one_at_a_time(self, what: Build | tuple[int, ...]) -> threading.Lock:
        """The lock of a build or a shape: threads that need others do not wait."""
        return self._locks.setdefault(what, threading.Lock())

    def _stream(self) -> torch.cuda.Stream:
        import torch

        return torch.cuda.current_stream(self.device)

    def _launch(self, ready: Ready, name: str, blocks: int, arguments: list[Argument]) -> None:
        stream = self._stream().cuda_stream if self.device.type == "cuda" else 0
        if blocks:
            with self._launching:
                self.driver.launch(ready.kernels[name], blocks, arguments, stream)

    def _wait_for_all(self) -> None:
        """Wait until the GPU has done what any stream of this process holds."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _wait_but_one(self, before: Any) -> Any:
        """An event behind the launch just made, when the one before has passed.

        So the GPU always has a launch to go on with, and a signal waits for two at most.
        """
        if self.device.type != "cuda":
            return None
        event = self._stream().record_event()
        if before is not None:
            before.synchronize()
        return event

    def _launch_steps(self, ready: Ready, networks: int, batch: int) -> int:
        """Steps that take about ``_LAUNCH_SECONDS``."""
        work = 3 * parameters(ready.build.widths) * _BATCH * ready.wave  # of a step, guessed high
        seconds = ready.seconds or work / (_GUESSED_RATE * self.multiprocessors)
        waves = max(1.0, networks / max(1, ready.wave))
        return max(1, int(_LAUNCH_SECONDS / (seconds * waves * batch / _BATCH)))

    def _seconds(self, ready: Ready, steps: int) -> float:
        """Seconds of some steps of one wave of networks."""
        import torch

        widths, n = ready.build.widths, ready.wave
        zeros = lambda *shape: torch.zeros(shape, device=self.device)  # noqa: E731
        w, v = zeros(n, parameters(widths)), zeros(n, parameters(widths))
        masks = torch.full((n, words(widths)), -1, dtype=torch.int32, device=self.device)
        samples = zeros(steps * _BATCH + 1, stride(widths))
        self.synchronize()
        started = time.perf_counter()
        self.train(
            w, v, masks, zeros(n, 1), [samples], np.zeros(n, np.int64), widths, batch=_BATCH,
            steps=steps, first=0, last=steps, momentum=0.9, decay=5e-4, ready=ready,
        )  # fmt: skip
        self.synchronize()
        return time.perf_counter() - started


def _more(ready: Ready) -> int:
    """Blocks for the next step of registers: a warp more for each of four schedulers."""
    return ready.kernels["train"].blocks // 4 * 4 + 4


def pieces(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """The steps ``first`` to ``last`` - 1 in equal pieces of at most ``size``."""
    count = -(-(last - first) // size)
    for number in range(count):
        yield (
            first + (last - first) * number // count,
            first + (last - first) * (number + 1) // count,
        )
