"""Random masks drawn, and their disconnected weights counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.connectivity import connected
from combsearch.disconnection.budget import Budget, Kept
from combsearch.errors import UsageError
from combsearch.mask import NetShape

_CHUNK = 2**24  # mask entries simulated at a time


@dataclass(frozen=True)
class Simulation:
    """What random masks were like.

    Attributes:
        samples: masks drawn.
        whole: those without a disconnected weight.
        mean: disconnected weights, on average.
        error: standard error of ``mean``.
    """

    samples: int
    whole: int
    mean: float
    error: float


def simulate(shape: NetShape, kept: Kept, samples: int, seed: int) -> Simulation:
    """Draw masks and look which of their weights are connected; fixed by ``seed``.

    Raises:
        UsageError: the budget is not one of the shape, or fewer than 2 samples are asked for.
    """
    budget = Budget.of(shape, kept)
    if samples < 2:
        raise UsageError(f"{samples} samples: needs 2 or more")
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // shape.weights)
    parts = [
        _count_disconnected(shape, _draw(shape, budget, min(chunk, samples - first), rng))
        for first in range(0, samples, chunk)
    ]
    counts = np.concatenate(parts)
    return Simulation(
        samples=samples,
        whole=int((counts == 0).sum()),
        mean=float(counts.mean()),
        error=float(counts.std(ddof=1) / math.sqrt(samples)),
    )


def _draw(
    shape: NetShape, budget: Budget, samples: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Masks, bool [sample, weight]."""
    sizes = [rows * columns for rows, columns in shape.layers]
    pools = [(0, shape.weights, budget.total)]
    if budget.by_layer is not None:
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        pools = list(zip(starts, sizes, budget.by_layer, strict=True))
    masks = np.zeros((samples, shape.weights), np.bool_)
    for mask in masks:
        for start, size, kept in pools:
            mask[start + rng.choice(size, kept, replace=False, shuffle=False)] = True
    return masks


def _count_disconnected(shape: NetShape, masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Disconnected weights of each mask, by ``connectivity``."""
    ends = np.cumsum([rows * columns for rows, columns in shape.layers])
    named: dict[str, npt.NDArray[np.bool_]] = {}
    for layer, part in enumerate(np.split(masks, ends[:-1], axis=1)):
        rows, columns = shape.layers[layer]
        named[f"weight{layer}"] = part.reshape(len(masks), rows, columns)
        named[f"bias{layer}"] = np.zeros((len(masks), rows), np.bool_)
    kept = sum(bits.reshape(len(masks), -1).sum(axis=1) for bits in connected(named).values())
    return np.asarray(masks.sum(axis=1) - kept, np.int64)
