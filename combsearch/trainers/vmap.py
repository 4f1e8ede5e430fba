"""Thousands of networks side by side: a step is ``torch.func.vmap`` of ``torch.func.grad``.

Networks of one block of restarts share their minibatches and are trained in chunks. A chunk
holds flat tensors [net, P], so the update is a few calls whatever the number of parameters.
All tensors of a chunk are updated in place; on a CUDA device that lets a step be captured
as a graph once and replayed (graphs.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from combsearch.config import Recipe
from combsearch.errors import CombsearchError, UsageError
from combsearch.nets import Arrays, NetBatch, Network, Scores, as_tensor, mean_loss, score
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import (
    ALL_STEPS,
    OnStep,
    Plan,
    check_replacement,
    plan_fit,
    wanted_steps,
)
from combsearch.trainers.flat import Layout, Minibatches
from combsearch.trainers.graphs import Graphs, Update
from combsearch.trainers.memory import MOST_NETS, is_out_of_memory, net_bytes, working_bytes
from combsearch.trainers.precision import rounding
from combsearch.trainers.updates import adam_of, update_in_place

Gradients = Callable[
    [torch.Tensor, Arrays, torch.Tensor, torch.Tensor], tuple[torch.Tensor, Arrays]
]
"""(w [net, P], state [net, ...], x, y [batch]) -> gradients [net, P], new state.

x is [batch, in], the same for all, or [net, batch, in].
"""


@dataclass(frozen=True)
class VmapTrainer:
    """Trains any ``Network`` in batches with ``torch.func``, on a CPU or a CUDA device.

    Attributes:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``: a CUDA device where there
            is one when it is asked to train, which may be on another machine.
        chunk: networks side by side; 0 takes what cache and memory hold.
        memory_share: share of the free memory that a chunk may take.
        graphs: capture the step as a CUDA graph, where there is CUDA.
        tf32: a CUDA device may round to TF32: quicker and less exact, see ``precision``.
    """

    device: str = "auto"
    chunk: int = 0
    memory_share: float = 0.5
    graphs: bool = True
    tf32: bool = False

    def __post_init__(self) -> None:
        if self.chunk < 0:
            raise UsageError(f"chunk is {self.chunk}, it must be 0 (planned) or from 1 up")
        if not 0 < self.memory_share <= 1:
            raise UsageError(f"memory_share is {self.memory_share}, it must be in (0, 1]")
        _check_device(self.device)

    @property
    def name(self) -> str:
        """``"vmap"``."""
        return "vmap"

    def fit(
        self,
        nets: NetBatch,
        task: Task,
        recipe: Recipe | Sequence[Recipe],
        keys: RunKeys,
        steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:
        """See ``Trainer.fit``; with ``on_step`` every chunk comes to its step before the next."""
        plan = plan_fit(nets, task, recipe, keys, steps)
        setup = self._setup(nets, task, plan)
        size = self.chunk or self.planned_chunk(nets, task, plan.recipe)
        places = _split(plan.blocks, size)
        with torch.no_grad(), rounding(self.tf32):
            if on_step is not None:
                chunks = [_Chunk.of(setup, nets, index) for index in places]
                return _lockstep(nets, chunks, plan, on_step)
            # One chunk at a time: none is held when the next is made.
            parts = [_trained(_Chunk.of(setup, nets, index), plan.stop) for index in places]
            return _in_order([part for some in parts for part in some])

    def score(self, nets: NetBatch, task: Task) -> Scores:
        """See ``nets.score``."""
        with rounding(self.tf32):
            return score(nets, task, self._device())

    def planned_chunk(self, nets: NetBatch, task: Task, recipe: Recipe) -> int:
        """Networks that are trained side by side when ``chunk`` is 0."""
        device = self._device()
        x = as_tensor(task.x[: recipe.batch_size], device)
        y = as_tensor(task.y[: recipe.batch_size], device)
        room = working_bytes(device, self.memory_share)
        own = task.augmentation is not None and not task.augmentation.shared
        return max(1, min(room // net_bytes(nets, x, y, own), MOST_NETS))

    def _device(self) -> torch.device:
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(found if self.device == "auto" else self.device)

    def _setup(self, nets: NetBatch, task: Task, plan: Plan) -> _Setup:
        device, layout = self._device(), Layout.of(nets)
        graphs = Graphs(device) if self.graphs and device.type == "cuda" else None
        batches = Minibatches(task, plan, device)
        gradients = lift(nets.network, layout, batches.own)
        return _Setup(nets.network, layout, plan, batches, gradients, device, graphs)


def lift(network: Network, layout: Layout, own: bool = False) -> Gradients:
    """The gradients of many networks at once, from ``network`` written for one.

    Args:
        network: what they all are.
        layout: of their parameters.
        own: whether x is [net, batch, in]; else it is [batch, in], for all of them.
    """

    def loss(
        w: torch.Tensor, state: Arrays, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, Arrays]:
        logits, new_state = network.apply(layout.unpack(w), state, x)
        return mean_loss(logits, y), new_state

    one = torch.func.grad(loss, has_aux=True)
    many: Gradients = torch.func.vmap(one, in_dims=(0, 0, 0 if own else None, None))

    def gradients(
        w: torch.Tensor, state: Arrays, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, Arrays]:
        if len(w) > 1:
            return many(w, state, x, y)
        # One network alone needs no grouped convolutions: a CNN takes 14% less time without.
        state = {name: a[0] for name, a in state.items()}
        g, new_state = one(w[0], state, x[0] if own else x, y)
        return g[None], {name: a[None] for name, a in new_state.items()}

    return gradients


@dataclass(frozen=True, eq=False)
class _Setup:
    """What the chunks of one ``fit`` share."""

    network: Network
    layout: Layout
    plan: Plan
    batches: Minibatches
    gradients: Gradients
    device: torch.device
    graphs: Graphs | None


class _Chunk:
    """Networks of one block trained side by side; its tensors are its own.

    ``index`` [net] are their places in the batch; ``w``, ``v``, ``m`` [net, P] parameters,
    momenta and masks; ``adam`` what Adam carries; ``rates`` [net, epoch]; ``step`` is the
    next step to take.
    """

    def __init__(
        self,
        setup: _Setup,
        index: npt.NDArray[np.intp],
        w: torch.Tensor,
        v: torch.Tensor,
        m: torch.Tensor,
        state: Arrays,
        adam: Arrays,
        rates: torch.Tensor,
        step: int,
    ) -> None:
        self.setup, self.index, self.step = setup, index, step
        self.w, self.v, self.m, self.rates = w, v, m, rates
        self.state, self.adam = state, adam
        self.off = m == 0
        self._captured: Update | None = None

    @classmethod
    def of(cls, setup: _Setup, nets: NetBatch, index: npt.NDArray[np.intp]) -> _Chunk:
        """The networks at ``index``, before their first step."""
        part = nets[index]  # a copy, since an array indexes
        device, dtype = setup.device, torch.float32
        kinds = (part.params, part.momenta, part.masks)
        w, v, m = (setup.layout.pack(kind, device, dtype) for kind in kinds)
        state = {name: as_tensor(a, device) for name, a in part.state.items()}
        rates = torch.as_tensor(setup.plan.rates[index], device=device, dtype=dtype)
        adam = adam_of(part, setup.plan.recipe, setup.layout.size, device, dtype)
        return cls(setup, index, w, v, m, state, adam, rates, setup.plan.start)

    def run(self, stop: int) -> None:
        """Take the steps up to ``stop``; a step that fails for memory leaves no trace."""
        plan = self.setup.plan
        block = int(plan.blocks[self.index[0]])
        while self.step < stop:
            x, y = self.setup.batches(self.step, block, self.index)
            epoch = self.step // plan.steps_per_epoch
            self._update(x, y, self.rates[:, epoch : epoch + 1])
            self.step += 1

    def _update(self, x: torch.Tensor, y: torch.Tensor, rates: torch.Tensor) -> None:
        if self.setup.graphs is None:
            self.update(x, y, rates)
            return
        if self._captured is None:
            self._captured = self.setup.graphs.capture(self.update, self.gradients, x, y, rates)
        self._captured(x, y, rates)

    def update(self, x: torch.Tensor, y: torch.Tensor, rates: torch.Tensor) -> None:
        """One optimiser step in place, as ``trainers.base`` writes it."""
        g, state = self.gradients(x, y)
        update_in_place(self.setup.plan.recipe, rates, self.w, self.v, self.adam, g)
        # What follows allocates nothing either: a step is taken whole or not at all.
        self.w.masked_fill_(self.off, 0)
        for name, a in state.items():
            self.state[name].copy_(a)

    def gradients(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """Gradients [net, P] and new state; changes nothing."""
        return self.setup.gradients(self.w, self.state, x, y)

    def release(self) -> None:
        """Give up the graph, which holds this chunk, so that nothing waits for Python's collector.

        Else a task's points, which the chunk holds, would stay as well.
        """
        self._captured = None

    def halves(self) -> list[_Chunk]:
        """The same networks as two chunks that share this one's memory, its graph given up."""
        self.release()
        half = len(self.index) // 2
        return [
            _Chunk(
                self.setup,
                self.index[part],
                self.w[part],
                self.v[part],
                self.m[part],
                {name: a[part] for name, a in self.state.items()},
                {name: a[part] for name, a in self.adam.items()},
                self.rates[part],
                self.step,
            )
            for part in (slice(half), slice(half, None))
        ]

    def load(self, nets: NetBatch) -> None:
        """Go on with ``nets``, the whole batch, in place."""
        part = nets[self.index]
        for mine, new in ((self.w, part.params), (self.v, part.momenta), (self.m, part.masks)):
            mine.copy_(self.setup.layout.pack(new, mine.device, mine.dtype))
        self.off.copy_(self.m == 0)
        for name, a in part.state.items():
            self.state[name].copy_(as_tensor(a))
        setup = self.setup
        adam = adam_of(part, setup.plan.recipe, setup.layout.size, self.w.device, self.w.dtype)
        for name, a in adam.items():
            self.adam[name].copy_(a)

    def nets(self) -> NetBatch:
        """The networks, as views of this chunk's tensors."""
        w, m, v = (self.setup.layout.unpack(flat) for flat in (self.w, self.m, self.v))
        return NetBatch(self.setup.network, w, m, v, self.state, self.adam)


def _advance(chunk: _Chunk, stop: int) -> Iterator[_Chunk]:
    """Train ``chunk`` to ``stop``, halved as often as memory runs out; the chunks it became."""
    try:
        chunk.run(stop)
        halves = []
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(chunk.index) == 1:
            raise CombsearchError(
                f"one network of {chunk.setup.layout.size} parameters does not fit the memory of"
                f" {chunk.w.device}; take a smaller batch_size or another device"
            ) from error
        halves = chunk.halves()
    # Out of the handler, so that the error's frames no longer hold tensors.
    if not halves:
        yield chunk
    for half in halves:
        if half.w.is_cuda:
            torch.cuda.empty_cache()
        yield from _advance(half, stop)


def _trained(chunk: _Chunk, stop: int) -> list[tuple[npt.NDArray[np.intp], NetBatch]]:
    """The networks of ``chunk`` at ``stop``: their places in the batch, and numpy arrays."""
    found = []
    for part in _advance(chunk, stop):
        found.append((part.index, part.nets().numpy()))
        part.release()
    return found


def _lockstep(nets: NetBatch, chunks: list[_Chunk], plan: Plan, on_step: OnStep) -> NetBatch:
    """All chunks train to a step that ``on_step`` wants, it sees all networks, and so on."""
    for step in wanted_steps(on_step, plan.start, plan.stop):
        chunks = [part for chunk in chunks for part in _advance(chunk, step + 1)]
        with torch.enable_grad():  # for a callback that takes gradients of its own
            changed = on_step(step, _in_order([(c.index, c.nets()) for c in chunks]))
        if changed is not None:
            check_replacement(changed, nets)
            for chunk in chunks:
                chunk.load(changed)
    return _in_order([part for chunk in chunks for part in _trained(chunk, plan.stop)])


def _split(blocks: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.intp]]:
    """Networks by block, each block in equal chunks of at most ``size``: indices [net]."""
    chunks: list[npt.NDArray[np.intp]] = []
    for block in np.unique(blocks):
        index = np.flatnonzero(blocks == block)
        chunks += np.array_split(index, -(-len(index) // size))
    return chunks


def _in_order(parts: Sequence[tuple[npt.NDArray[np.intp], NetBatch]]) -> NetBatch:
    """Copies of the chunks' networks as one batch, in the order of the batch."""
    index = np.concatenate([index for index, _ in parts])
    joined = NetBatch.concat([nets for _, nets in parts])
    if (np.diff(index) == 1).all():
        return joined
    return joined[np.argsort(index)]


def _check_device(device: str) -> None:
    if device == "auto":
        return
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device {device!r}, try auto, cpu or cuda") from error
    if found.type not in ("cpu", "cuda"):
        raise UsageError(f"device {device!r} is not supported, take auto, cpu or cuda")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device!r}: torch finds no CUDA device here, take cpu")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise UsageError(f"device {device!r}: torch finds cuda:0 to cuda:{last} only")
