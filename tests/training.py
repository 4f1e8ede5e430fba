"""What the tests of trainers share: a small task, networks with random masks, distances."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, Arrays, NetBatch
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task

Array = npt.NDArray[Any]


def make_task(points: int = 1300, classes: int = 2, inputs: int = 2) -> Task:
    """Noisy arms of a spiral, 10 batches of 128 an epoch: few points visit every epoch's rate."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, classes, points)
    turn = rng.uniform(0.5, 6, points)
    angle = turn + 2 * np.pi * y / classes
    x = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) / 4
    x = np.concatenate([x, rng.normal(size=(points, inputs - 2))], axis=1)
    x += 0.05 * rng.normal(size=x.shape)
    return Task("arms", x.astype(np.float32), y.astype(np.uint8), classes=classes)


TASK = make_task()


def make_masks(shape: NetShape, n: int, seed: int = 0, density: float = 0.75) -> MaskBatch:
    rng = np.random.default_rng(seed)
    dense = [rng.random((n, *layer)) < density for layer in shape.layers]
    return MaskBatch.from_dense(shape, [layer.astype(np.uint8) for layer in dense])


def make_nets(
    shape: NetShape | str, n: int, restarts: Array | None = None, density: float = 0.75
) -> tuple[NetBatch, RunKeys]:
    """Initialised networks with random masks, and their keys."""
    shape = NetShape.parse(shape) if isinstance(shape, str) else shape
    masks = make_masks(shape, n, density=density)
    restarts = np.arange(n) % 16 if restarts is None else restarts
    keys = RunKeys.make(11, masks.keys(), ["0.05:cosine"] * n, restarts)
    return NetBatch.create(MLP(shape), keys, masks), keys


def vectors(nets: NetBatch, kind: str = "params") -> Array:
    """float64 [net, P]: every parameter of each network."""
    arrays = getattr(nets.numpy(), kind).values()
    flat = [np.asarray(a, np.float64).reshape(len(nets), -1) for a in arrays]
    return np.concatenate(flat, axis=1)


def distances(found: NetBatch, expected: NetBatch, kind: str = "params") -> Array:
    """float64 [net]: norm of the difference relative to the expected norm."""
    a, b = vectors(found, kind), vectors(expected, kind)
    return np.asarray(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1))


def assert_same(found: NetBatch, expected: NetBatch) -> None:
    for kind in ("params", "masks", "momenta", "state", "adam"):
        for name, array in getattr(expected.numpy(), kind).items():
            np.testing.assert_array_equal(getattr(found.numpy(), kind)[name], array)


@dataclasses.dataclass(frozen=True)
class Running:
    """A linear network with a scalar scale, that centres its input by a running mean it carries."""

    prunable: tuple[str, ...] = ("weight",)

    def init(self, keys: RunKeys) -> Arrays:
        start = np.linspace(0.1, 1, len(keys), dtype=np.float32)
        return {"weight": np.stack([start, -start], axis=1), "scale": start.copy()}

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        mean = 0.9 * state["mean"] + 0.1 * x.mean(dim=0)
        logits = params["scale"] * ((x - mean.detach()) @ params["weight"])
        return logits, {"mean": mean}
