"""The GPU that is checked, with everything that a piece of the check needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from combsearch.commands.gpu_check import clocks
from combsearch.commands.gpu_check.cases import Made, flat
from combsearch.commands.gpu_check.reference import Reference
from combsearch.kernels.cuda import Gpu, Ready, packed, rows
from combsearch.nets import MLP, flat_arrays
from combsearch.tasks.base import Task
from combsearch.trainers.base import Trainer, epoch_orders
from combsearch.trainers.kernel_data import samples_of

if TYPE_CHECKING:
    import torch

Widths = tuple[int, ...]
RUN_STEPS, BATCH = 19_500, 128  # of a whole run of the paper's recipe


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        seconds: of one timed launch.
        repeats: timed launches, of which the median counts.
        whole: whether whole runs are timed, too.
        copies: networks side by side when wide networks are compared, by case.
        chunks: networks side by side when the vmap trainer is timed.
        wide_chunks: the same for networks of width 256.
        vmap_steps: of such a timing.
        search_seconds: of the search whose rate is measured.
    """

    seconds: float = 0.25
    repeats: int = 5
    whole: bool = True
    copies: tuple[int, ...] = (8192, 2048)
    chunks: tuple[int, ...] = (2048, 8192, 32768)
    wide_chunks: tuple[int, ...] = (64, 512)
    vmap_steps: int = 60
    search_seconds: int = 60


QUICK = Sizes(0.1, 3, False, (2048, 256), (8192,), (256,), 30, 20)


@dataclass(frozen=True, eq=False)
class Machine:
    """A GPU and its trainers.

    Attributes:
        gpu: the kernels.
        trainer: whole fits with them.
        wide: ``chunk`` (0: planned) -> the vmap trainer on that device.
        reference: what the CPU found.
        sizes: how much is measured.
        name: by which nvidia-smi knows it.
    """

    gpu: Gpu
    trainer: Trainer
    wide: Callable[[int], Any]
    reference: Reference
    sizes: Sizes = field(default_factory=Sizes)
    name: str = "0"

    @classmethod
    def of(cls, device: str, quick: bool) -> Machine:
        """The GPU called ``device``, such as ``cuda:0``."""
        import torch

        from combsearch.trainers import get_trainer

        facts = torch.cuda.get_device_properties(torch.device(device))
        return cls(
            Gpu.of(device),
            get_trainer("cuda", device=device),
            lambda chunk: get_trainer("vmap", device=device, chunk=chunk),
            Reference.read(),
            QUICK if quick else Sizes(),
            clocks.known_as(device.partition(":")[2], getattr(facts, "uuid", None)),
        )

    @cached_property
    def task(self) -> Task:
        """The points of the reference."""
        return self.reference.task

    def tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """A copy of ``array`` on the device."""
        import torch

        return torch.tensor(np.ascontiguousarray(array), device=self.gpu.device)

    def samples(self, seed: int, block: int, first: int, last: int) -> torch.Tensor:
        """The minibatches of the steps ``first`` to ``last`` - 1, as the kernels take them."""
        steps, points = self.task.points // BATCH, samples_of(self.task)
        epochs = range(first // steps, -(-last // steps))
        used = [
            epoch_orders(seed, block, epoch, self.task.points)[: steps * BATCH] for epoch in epochs
        ]
        order = np.concatenate(used) if used else np.zeros(0, np.int32)
        start = epochs.start * steps
        return self.tensor(rows(points[order[(first - start) * BATCH : (last - start) * BATCH]]))

    def seconds(self, work: Callable[[], None]) -> float:
        """Seconds that the GPU takes for what ``work`` launches, by CUDA events."""
        if self.gpu.device.type != "cuda":
            started = time.perf_counter()
            work()
            return time.perf_counter() - started
        start, end = (_event() for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3


def _event() -> Any:
    import torch

    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


@dataclass(eq=False)
class Networks:
    """Networks on the device, as ``Gpu.train`` takes them; ``w`` and ``v`` are theirs alone."""

    w: torch.Tensor
    v: torch.Tensor
    masks: torch.Tensor
    rates: torch.Tensor
    widths: Widths

    @classmethod
    def of(cls, machine: Machine, made: Made, count: int | None = None) -> Networks:
        """The networks of a case at the start; repeated or cut to ``count``."""
        n = len(made.recipes)
        index = np.arange(n if count is None else count) % n
        w, v = flat(made.nets)
        masks = packed(flat_arrays(made.nets.masks))
        rates = np.array([recipe.rates() for recipe in made.recipes], np.float32)
        there = [machine.tensor(array[index]) for array in (w, v, masks, rates)]
        network = made.nets.network
        assert isinstance(network, MLP)
        return cls(there[0], there[1], there[2], there[3], network.shape.widths)

    def train(
        self, machine: Machine, ready: Ready | None, samples: torch.Tensor, first: int, last: int
    ) -> None:
        """Take the steps ``first`` to ``last`` - 1, for which ``samples`` are."""
        machine.gpu.train(
            self.w, self.v, self.masks, self.rates, [samples], np.zeros(len(self.w), np.int64),
            self.widths, batch=BATCH, steps=machine.task.points // BATCH, first=first, last=last,
            momentum=0.9, decay=5e-4, ready=ready,
        )  # fmt: skip


def label(ready: Ready) -> str:
    """A build in words."""
    return f"{ready.build.layout}, {ready.build.blocks} blocks"


def hidden(shape: str) -> Widths:
    """``7,3,3`` -> (2, 7, 3, 3, 1), the widths of a network for the spiral."""
    return (2, *map(int, shape.split(",")), 1)


def readings(ready: Ready) -> dict[str, Any]:
    """What the compiler and the driver say of a build."""
    kernel = ready.kernels["train"]
    return {
        "layout": ready.build.layout,
        "threads": kernel.threads,
        "registers": kernel.registers,
        "local_bytes": kernel.local_bytes,
        "shared_bytes": kernel.shared_bytes,
        "blocks": kernel.blocks,
        "wave": ready.wave,
    }
