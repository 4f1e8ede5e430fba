"""What the forms of a layer of DCT plus sparse cost: time forward and backward, and memory.

Two questions, each with a crossover::

    transform   by the matrix (a product) against by Fourier transform    over sizes
    sparse      S by index against the product of all weights             over densities and sizes

Convolutions compare the merged matrix (one convolution) with transformed patches, and steps the
training of a whole MLP by kept weights with that of all weights. Times are those of ``turns``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from combsearch.config import Recipe
from combsearch.nets import NetBatch
from combsearch.networks import Dense, ImageNetwork
from combsearch.networks.cosine import dct
from combsearch.networks.dct_modules import DctSparseLinear
from combsearch.networks.offset import FAST_FROM, DctOffset
from combsearch.networks.sparse_weight import SparseWeight, index_of
from combsearch.rng import RunKeys
from combsearch.studies.dctps.crossovers import crossovers
from combsearch.studies.dctps.turns import Call, Turns, gradient, in_turn, in_turns, named, threads
from combsearch.tasks import Task
from combsearch.trainers.indexed import IndexedTrainer
from combsearch.trainers.loop import LoopTrainer

BATCH = 128
_HOPELESS = 4.0  # the slower form's ratio beyond which no larger density is measured
_STEPS = 12  # optimiser steps of a measurement of training


@dataclass(frozen=True)
class Effort(Turns):
    """What is measured, and for how long.

    Attributes:
        sizes: (inputs, outputs) of linear layers for the transform.
        convolutions: (channels, filters, size, groups), of 16 x 16 pixels.
        sparse: (inputs, outputs) of linear layers for S.
        densities: of S, rising.
        seconds, most: of turns at a point.
    """

    sizes: tuple[tuple[int, int], ...] = (
        *((2**k, 2**k) for k in range(6, 14)),
        (784, 300),
    )
    convolutions: tuple[tuple[int, int, int, int], ...] = (
        (64, 64, 3, 1),
        (256, 256, 3, 1),
        (256, 64, 1, 1),
        (32, 32, 3, 32),
    )
    sparse: tuple[tuple[int, int], ...] = ((784, 300), *((2**k, 2**k) for k in range(9, 13)))
    densities: tuple[float, ...] = (
        *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    )


QUICK = Effort(
    sizes=(*((2**k, 2**k) for k in range(6, 12)), (784, 300)),
    convolutions=((16, 16, 3, 1), (16, 16, 3, 16)),
    sparse=((784, 300), (1024, 1024)),
    densities=(0.001, 0.01, 0.05, 0.2, 0.5),
    seconds=0.1,
    most=15,
)


@dataclass(frozen=True)
class Place:
    """Where is measured: a device, and threads of a CPU."""

    name: str
    device: str
    threads: int


def places() -> tuple[Place, ...]:
    """One thread of the CPU, as many as torch takes where these are more, a GPU where one is."""
    found = [Place("cpu, 1 thread", "cpu", 1)]
    threads = torch.get_num_threads()
    if threads > 1:
        found.append(Place(f"cpu, {threads} threads", "cpu", threads))
    if torch.cuda.is_available():
        found.append(Place(torch.cuda.get_device_name(), "cuda", 1))
    return tuple(found)


def bench(
    effort: Effort, where: Sequence[Place] | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure everything everywhere.

    Args:
        effort: how much.
        where: default ``places()``.
        say: called with what is measured next.

    Returns:
        ``{"batch", "fast_from", "devices": {name: {"transform", "convolution", "sparse",
        "steps": lists of points, "crossovers"}}, "memory": [...], "seconds"}``; times in ms.
    """
    started = time.monotonic()
    devices = {}
    for place in places() if where is None else where:
        with threads(place.threads):
            say(f"{place.name}: the transform")
            transform = [_transform(n, m, place.device, effort) for n, m in effort.sizes]
            say(f"{place.name}: convolutions")
            convolution = [_convolution(c, place.device, effort) for c in effort.convolutions]
            say(f"{place.name}: the sparse part")
            sparse = [p for n, m in effort.sparse for p in _sparse(n, m, place.device, effort)]
            say(f"{place.name}: training steps")
            steps = _steps(effort) if place.device == "cpu" else []
        devices[place.name] = {
            "transform": transform,
            "convolution": convolution,
            "sparse": sparse,
            "steps": steps,
            "crossovers": crossovers(transform, sparse, steps),
        }
    return {
        "command": "study dctps bench",
        "batch": BATCH,
        "fast_from": FAST_FROM,
        "indexed_most": IndexedTrainer().most,
        "devices": devices,
        "memory": [memory(n, m, d) for n, m in effort.sparse for d in effort.densities],
        "seconds": round(time.monotonic() - started, 1),
    }


# ------------------------------------------------------------------ points


def _transform(inputs: int, outputs: int, device: str, effort: Effort) -> dict[str, Any]:
    """The transform alone, by matrix and by Fourier transform."""
    x = torch.randn(BATCH, inputs, device=device, requires_grad=True)
    down = torch.randn(BATCH, outputs, device=device)
    matrix = torch.randn(outputs, inputs, device=device)  # a product's time is any matrix's
    one = gradient(lambda: F.linear(x, matrix), (x,), down)
    other = gradient(lambda: dct(x, outputs), (x,), down)
    seconds = in_turn(one, other, effort, device)
    return {"inputs": inputs, "outputs": outputs, **named("matrix", "fast", seconds)}


def _convolution(case: tuple[int, int, int, int], device: str, effort: Effort) -> dict[str, Any]:
    """A convolution with its S filled in: merged with the matrix, and with transformed patches."""
    channels, filters, size, groups = case
    batch = BATCH // 4  # patches of a whole minibatch take gigabytes
    x = torch.randn(batch, channels, 16, 16, device=device, requires_grad=True)
    weight = torch.randn(filters, channels // groups, size, size, device=device)
    weight.requires_grad_()
    alpha = torch.ones((), device=device, requires_grad=True)
    down = torch.randn(batch, filters, 16, 16, device=device)

    def call(form: str) -> Call:
        def forward() -> torch.Tensor:
            return DctOffset(form=form).conv(x, weight, alpha, None, 1, size // 2, groups)

        return gradient(forward, (x, weight, alpha), down)

    seconds = in_turn(call("matrix"), call("fast"), effort, device)
    names = dict(zip(("channels", "filters", "size", "groups"), case, strict=True))
    return {**names, "batch": batch, **named("matrix", "fast", seconds)}


def _sparse(inputs: int, outputs: int, device: str, effort: Effort) -> Iterator[dict[str, Any]]:
    """S by index and as a dense product at rising densities, as far as it is a question."""
    x = torch.randn(BATCH, inputs, device=device, requires_grad=True)
    down = torch.randn(BATCH, outputs, device=device)
    weight = torch.randn(outputs, inputs, device=device, requires_grad=True)
    one = gradient(lambda: F.linear(x, weight), (x, weight), down)
    for density in effort.densities:
        kept = sparse_weight(inputs, outputs, density, device)
        other = gradient(_times(kept, x), (x, kept.values), down)
        seconds = in_turn(one, other, effort, device)
        found = {"inputs": inputs, "outputs": outputs, "density": density}
        yield {**found, "nonzeros": len(kept.values), **named("dense", "index", seconds)}
        if seconds[1] > _HOPELESS * seconds[0]:
            return


def _times(weight: SparseWeight, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    return lambda: weight.times(x)


def sparse_weight(inputs: int, outputs: int, density: float, device: str) -> SparseWeight:
    """A weight of random entries, ``density`` of all and one at least."""
    places = _support(inputs, outputs, density)
    index = index_of(places // inputs, places % inputs, (outputs, inputs))
    values = torch.randn(len(places), device=device, requires_grad=True)
    return SparseWeight(values, {n: torch.from_numpy(a).to(device) for n, a in index.items()})


def _support(inputs: int, outputs: int, density: float) -> Any:
    random, size = np.random.default_rng(0), inputs * outputs
    return np.sort(random.choice(size, max(1, round(density * size)), replace=False))


def _steps(effort: Effort) -> list[dict[str, Any]]:
    """Optimiser steps of 784-300-100-10, all weights against kept ones, any share by index."""
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH * _STEPS, 784)).astype(np.float32)
    task = Task("noise", x, random.integers(0, 10, len(x)).astype(np.uint8), classes=10)
    network, keys = ImageNetwork(Dense((300, 100)), (1, 28, 28), 10), _key()
    recipe = Recipe(epochs=1, batch_size=BATCH)
    found = []
    for density in effort.densities:
        masks = {
            name: (random.random((1, *network.parameters[name].shape)) < density)
            for name in network.prunable
        }
        nets = NetBatch.create(network, keys, masks)

        def fit(trainer: Any, steps: int, nets: NetBatch = nets) -> Call:
            return lambda: trainer.fit(nets, task, recipe, keys, slice(0, steps))

        calls = [fit(t, n) for n in (2, _STEPS) for t in (LoopTrainer(), IndexedTrainer(1.0))]
        best = in_turns(calls, effort, "cpu")
        seconds = tuple((b - a) / (_STEPS - 2) for a, b in zip(best[:2], best[2:], strict=True))
        found.append({"density": density, **named("dense", "index", seconds)})
    return found


def _key() -> RunKeys:
    return RunKeys.make(0, np.zeros(1, np.uint64), ["bench"], np.zeros(1, np.int64))


# ------------------------------------------------------------------ memory


def memory(inputs: int, outputs: int, density: float) -> dict[str, Any]:
    """What a linear layer with a bias stores, from the layer itself: numbers and bytes."""
    places = _support(inputs, outputs, density)
    layer = DctSparseLinear(inputs, outputs, places // inputs, places % inputs, device="cpu")
    stored = sum(p.numel() for p in layer.parameters())
    dense = inputs * outputs + outputs
    return {
        "inputs": inputs,
        "outputs": outputs,
        "density": density,
        "nonzeros": len(places),
        "parameters": stored,
        "dense_parameters": dense,
        "bytes": 4 * stored,
        "dense_bytes": 4 * dense,
        "index_bytes": sum(b.numel() * b.element_size() for b in layer.buffers()),
    }
