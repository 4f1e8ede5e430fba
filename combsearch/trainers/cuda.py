"""Whole runs of many small ReLU networks in launches of a GPU: what ``fused`` does, bit for bit.

All networks of a ``fit`` are trained side by side, those of a restart block on the same
minibatches; see ``kernels.cuda`` for how. A network's result is bitwise that of ``fused``,
whatever else is in the batch. For one output, 1 to 5 hidden layers of up to 32 neurons and up
to 16 inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from combsearch.config import Recipe
from combsearch.errors import CombsearchError, UsageError
from combsearch.kernels import cuda
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch, Scores, as_tensor, flat_arrays
from combsearch.rng import RunKeys, uniform
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Plan, plan_fit
from combsearch.trainers.device_data import Indices, Minibatches, epoch_ranges, parts, set_bytes
from combsearch.trainers.kernel_data import named, samples_of, served_shape
from combsearch.trainers.memory import is_out_of_memory, working_bytes

_FIT_SHARE = 0.3  # of the free memory, for one fit: two host threads may train at once
_KEPT_SHARE = 0.25  # of the free memory, for minibatches kept between fits


@dataclass(frozen=True)
class CudaTrainer:
    """Trains MLPs in the kernels for NVIDIA GPUs.

    Host threads may share a trainer: while one prepares networks, those of another train.

    Attributes:
        device: ``"cuda"`` or ``"cuda:1"``.
        stay: what ``fit`` returns stays on the GPU, as tensors; ``NetBatch.numpy`` fetches what
            is wanted. So a search that scores thousands of networks brings back a few.
        between: called between launches, about every second; what it raises ends ``fit``.
    """

    device: str = "cuda"
    stay: bool = False
    between: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        missing = cuda.no_gpu()
        if missing:
            raise UsageError(f"trainer 'cuda': {missing}; 'fused' gives the same on a CPU")
        _check_device(self.device)

    @property
    def name(self) -> str:
        """``"cuda"``."""
        return "cuda"

    @property
    def gpu(self) -> cuda.Gpu:
        """The GPU that it trains on."""
        current = self.device == "cuda"
        name = f"cuda:{torch.cuda.current_device()}" if current else self.device
        with _one_line(name):
            return cuda.Gpu.of(name)

    def prepare(self) -> None:
        """Make sure that this GPU gives the bits of ``fused``, as far as that can run here.

        Raises:
            CombsearchError: it does not.
        """
        try:
            from combsearch.trainers.fused import FusedTrainer
        except ImportError:  # no numba: `combsearch bench --gpu` brings the bits along
            return
        for widths in _TRIED:
            nets, keys, task = _trial(widths)
            own, other = (t.fit(nets, task, _TRIAL, keys).numpy() for t in (self, FusedTrainer()))
            if any(not np.array_equal(own.params[name], other.params[name]) for name in own.params):
                raise CombsearchError(
                    f"{self.gpu.name} does not give the results of the CPU for {widths}: please"
                    " report it with what `combsearch bench --gpu` prints; take --trainer fused"
                )

    def wave(self, shape: NetShape, networks: int | None = None) -> int:
        """Networks that fill the GPU once; a whole number of waves leaves nothing idle.

        Args:
            shape: of the networks.
            networks: that there are; for few of them the quickest build is not looked for.
        """
        with _own_stream(self.gpu) as gpu:
            return gpu.best(shape.widths, networks).wave

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; ``on_step`` is not possible."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        widths = _check_shape(nets, task, on_step, plan.recipe).widths
        with _own_stream(self.gpu) as gpu:
            home = gpu.device if self.stay else torch.device("cpu")
            w, v = (_flat(kind, home) for kind in (nets.params, nets.momenta))
            m = _flat(nets.masks, torch.device("cpu"))
            fitting = _Fit(gpu, w, v, m, task, plan, widths, self.between)
            for part in fitting.parts():
                fitting.run(part)
            gpu.synchronize()
        params, momenta = named(w, nets.params), named(v, nets.params)
        found = NetBatch(nets.network, params, nets.masks, momenta, nets.state)
        return found if self.stay else found.numpy()

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``Trainer.score``; the sums are those of training, bit for bit."""
        widths = _check_shape(nets, task, None).widths
        with _own_stream(self.gpu) as gpu:
            w = _flat(nets.params, gpu.device)
            samples = as_tensor(cuda.rows(samples_of(task)), gpu.device)
            correct, finite = (found.cpu().numpy() for found in gpu.score(w, samples, widths))
        return Scores(correct.astype(np.int64), task.points, finite == 0)


_TRIAL = Recipe(epochs=4)
_TRIED = ((2, 3, 2, 1), (2, 14, 9, 1))  # a thread a network, and a warp a network


def _trial(widths: tuple[int, ...]) -> tuple[NetBatch, RunKeys, Task]:
    """Networks, their keys and a small task, to compare trainers."""
    keys = RunKeys.make(0, np.arange(40), [""] * 40, np.zeros(40))
    x = uniform(RunKeys.make(1, [0], [""], [0]).philox_keys(), 0, 1280, 2)[0] * 2 - 1
    task = Task("trial", x, (x[:, 0] * x[:, 1] > 0).astype(np.uint8))
    return NetBatch.create(MLP(NetShape(widths)), keys), keys, task


def _check_device(device: str) -> None:
    known = [f"cuda:{index}" for index in range(cuda.gpus())]
    if device not in ("cuda", *known):
        valid = ", ".join(["cuda", *known])
        raise UsageError(f"trainer 'cuda' has no device {device!r} here (there are: {valid})")


def _check_shape(
    nets: NetBatch, task: Task, on_step: OnStep | None, recipe: Recipe | None = None
) -> NetShape:
    shape = served_shape("cuda", nets, task, on_step, recipe)
    obstacle = cuda.why_not(shape.widths)
    if obstacle is not None:
        raise UsageError(f"trainer 'cuda' cannot do this: {obstacle}; 'fused' and 'vmap' can")
    return shape


def _flat(arrays: Arrays, device: torch.device) -> torch.Tensor:
    """Arrays of n MLPs, numpy or torch, as float32 [n, parameter] on a device; a copy."""
    if not isinstance(next(iter(arrays.values())), torch.Tensor):
        return as_tensor(flat_arrays(arrays), device)
    names = [f"{kind}{layer}" for layer in range(len(arrays) // 2) for kind in ("weight", "bias")]
    parts = [arrays[name].detach().to(device, torch.float32).flatten(1) for name in names]
    return torch.cat(parts, dim=1)


@contextmanager
def _own_stream(gpu: cuda.Gpu) -> Iterator[cuda.Gpu]:
    """A stream of this block's own: another thread's networks do not wait for these.

    Raises:
        CombsearchError: the driver or the compiler fails.
    """
    with ExitStack() as stack:
        if gpu.device.type == "cuda":
            stack.enter_context(torch.cuda.device(gpu.device))
            stream = torch.cuda.Stream(gpu.device)  # type: ignore[no-untyped-call]
            # Networks that stayed on the GPU may be in the making: rows picked from others.
            stream.wait_stream(torch.cuda.current_stream(gpu.device))
            stack.enter_context(torch.cuda.stream(stream))
        with _one_line(f"{gpu.name} ({gpu.arch})"):
            yield gpu


@contextmanager
def _one_line(gpu: str) -> Iterator[None]:
    """What the driver, the compiler or PyTorch says of a GPU as an error for a user.

    Raises:
        CombsearchError: one of them fails.
    """
    try:
        yield
    except RuntimeError as error:
        ours = isinstance(error, (cuda.CudaError, cuda.CompileError))
        if not ours and "CUDA" not in str(error):
            raise
        reason = " ".join(str(error).split())  # a compiler's log has lines
        raise CombsearchError(
            f"{gpu} fails: {reason}; trainer 'fused' gives the same on a CPU"
        ) from error


@lru_cache(maxsize=16)
def _kept(device: torch.device) -> Minibatches:
    return Minibatches(device, working_bytes(device, _KEPT_SHARE))


@dataclass(frozen=True, eq=False)
class _Fit:
    """One ``fit``: w, v float32 [net, parameter], wherever they are, trained in place.

    The masks m are on the host.
    """

    gpu: cuda.Gpu
    w: torch.Tensor
    v: torch.Tensor
    m: torch.Tensor
    task: Task
    plan: Plan
    widths: tuple[int, ...]
    between: Callable[[], None] | None = None

    def parts(self) -> Iterator[Indices]:
        """All networks, in parts that fit the GPU."""
        shared = max((set_bytes(self.task, self.plan, len(e)) for e in self._epochs()), default=0)
        one = 4 * (3 * self.w.shape[1] + self.plan.rates.shape[1])
        return parts(self.plan.blocks, one, shared, working_bytes(self.gpu.device, _FIT_SHARE))

    def run(self, part: Indices) -> None:
        """Train some networks, in halves where the memory does not hold them all."""
        place = torch.from_numpy(part)
        try:
            w, v = self._trained(part)
            self.w[place], self.v[place] = w.to(self.w.device), v.to(self.v.device)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise CombsearchError(
                    f"one network {self.widths} and its minibatches do not fit the memory of"
                    f" {self.gpu.name}; free some of it, or take trainer 'fused'"
                ) from error
        if self.gpu.device.type == "cuda":
            torch.cuda.empty_cache()  # it may be the driver, for code or stacks, that finds none
        for half in np.array_split(part, 2):
            self.run(half)

    def _epochs(self) -> list[range]:
        return epoch_ranges(self.task, self.plan)

    def _trained(self, part: Indices) -> tuple[torch.Tensor, torch.Tensor]:
        """Their weights and momenta after all steps, on the GPU."""
        plan, device = self.plan, self.gpu.device
        w, v = (a[torch.from_numpy(part)].to(device) for a in (self.w, self.v))
        masks = as_tensor(cuda.packed(self.m.numpy()[part]), device)
        rates = as_tensor(plan.rates[part].astype(np.float32), device)
        blocks, sets = np.unique(plan.blocks[part], return_inverse=True)
        for epochs in self._epochs():
            first, last = (e * plan.steps_per_epoch for e in (epochs.start, epochs.stop))
            batches = [_kept(device).of(self.task, plan, int(b), epochs) for b in blocks]
            self.gpu.train(
                w, v, masks, rates, batches, sets, self.widths,
                batch=plan.recipe.batch_size, steps=plan.steps_per_epoch, held=first,
                first=max(first, plan.start), last=min(last, plan.stop),
                momentum=plan.recipe.momentum, decay=plan.recipe.weight_decay, between=self.between,
            )  # fmt: skip
        return w, v
