"""The networks that a GPU trains to be compared with the CPU: any machine makes the same ones.

Everything is drawn from counter-based random numbers and compared by digest, so that a
difference of the results is one of the kernels and not of what they were given.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.config import CELLS, Recipe
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch, flat_arrays
from combsearch.rng import RunKeys, epoch_order, uniform
from combsearch.tasks.base import Task

Floats = npt.NDArray[np.float32]

SEED = 0
BEST_CELL = "0.05:cosine"
_MASK_STREAM = 7  # apart from the streams of weights and biases
_KEPT = (1.0, 0.8, 0.5, 0.3)
_DIVERGING = Recipe(lr=1e5)  # decay alone multiplies weights by -49 a step
_ONE_BLOCK = 2**20  # restarts that share their minibatches: all that are trained in one launch


@dataclass(frozen=True)
class Case:
    """Networks that are trained side by side.

    Attributes:
        name: of the case, its shape as a rule.
        shape: hidden widths as text.
        count: networks; those of one case differ in weights, masks and cells.
        segments: steps to train, one after the other; results are compared after each.
        block: restarts that share their minibatches.
        kept: chances that a weight is kept, taken in turn; none: all are dense and have the
            best cell, else cells are taken in turn, too.
        diverging: of the networks the last so many have a rate that no network stands.
    """

    name: str
    shape: str
    count: int
    segments: tuple[tuple[int, int], ...]
    block: int = _ONE_BLOCK
    kept: tuple[float, ...] = _KEPT
    diverging: int = 3

    def made(self) -> Made:
        """Its networks."""
        shape = NetShape.parse(self.shape)
        number = np.arange(self.count)
        recipes = [self._recipe(n) for n in range(self.count)]
        cells = [recipe.cell for recipe in recipes]
        keys = RunKeys.make(SEED, np.zeros(self.count), cells, number, self.block)
        masks = _masks(shape, keys, self.kept) if self.kept else None
        return Made(NetBatch.create(MLP(shape), keys, masks), recipes, keys)

    def _recipe(self, number: int) -> Recipe:
        if number >= self.count - self.diverging:
            return _DIVERGING
        return Recipe().with_cell(CELLS[number % len(CELLS)] if self.kept else BEST_CELL)


@dataclass(frozen=True, eq=False)
class Made:
    """Networks at the start, a recipe and a key each."""

    nets: NetBatch
    recipes: list[Recipe]
    keys: RunKeys

    def digest(self, task: Task) -> str:
        """Of everything that training starts from, the points and their order included."""
        found = hashlib.sha256()
        for kind in (self.nets.params, self.nets.masks):
            found.update(np.ascontiguousarray(flat_arrays(kind)).tobytes())
        rates = np.array([recipe.rates() for recipe in self.recipes], np.float32)
        order = epoch_order(self.keys.seed, int(self.keys.blocks()[0]), 1, task.points)
        for array in (rates, task.x, task.y, order):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:32]


def dense(name: str, shape: str, count: int, *segments: tuple[int, int]) -> Case:
    """Networks that differ in their weights only."""
    return Case(name, shape, count, segments, kept=(), diverging=0)


def _masks(shape: NetShape, keys: RunKeys, chances: tuple[float, ...]) -> dict[str, Floats]:
    """Random masks; a bias goes with its row, but in every eighth network by itself."""
    philox, number = keys.philox_keys(), np.arange(len(keys))
    kept = np.array(chances, np.float32)[number // len(CELLS) % len(chances)]
    masks: dict[str, Floats] = {}
    for layer, (rows, columns) in enumerate(shape.layers):
        weights = uniform(philox, layer, rows, columns, _MASK_STREAM) < kept[:, None, None]
        biases = uniform(philox, layer, rows, 1, _MASK_STREAM + 1)[:, :, 0] < kept[:, None]
        alone = (number % 8 == 7)[:, None]
        masks[f"weight{layer}"] = weights.astype(np.float32)
        masks[f"bias{layer}"] = np.where(alone, biases, weights.any(axis=2)).astype(np.float32)
    return masks


# Step 5,850 is the first of epoch 15, where the rate of ``step`` falls.
_STEPS = ((0, 390), (5655, 6045))
CASES = (
    *(Case(name, name, 131, _STEPS) for name in ("3,2,2", "3,3,3", "6,3,2", "7,3,3")),
    Case("16,16,16", "16,16,16", 27, _STEPS),
    *(Case(name, name, 131, _STEPS) for name in ("8,8", "5")),
)
"""Compared bit by bit after each segment, in every build: a block of threads and a part of one."""

BLOCKS = Case("blocks", "3,3,3", 40, ((0, 390), (5655, 6045)), block=16)
"""Restarts of three blocks at once, as a search has them, by the trainer."""

RUNS = tuple(
    dense(f"runs of {name}", name, count, (0, 19_500))
    for name, count in (("3,3,3", 4096), ("7,3,3", 256), ("16,16,16", 64))
)
"""Whole runs, of which the numbers of right answers are compared."""

WIDE = (
    Case("vmap of width 16", "16,16,16", 24, ((0, 20),), diverging=0),
    Case("vmap of width 256", "256,256,256", 2, ((0, 20),), kept=(0.3,), diverging=0),
)
"""A few steps of masked wide networks, compared to rounding."""


def smaller(case: Case, count: int, steps: int) -> Case:
    """The same with fewer networks, and segments that start where they did."""
    segments = tuple((first, first + min(steps, last - first)) for first, last in case.segments)
    return dataclasses.replace(case, count=min(count, case.count), segments=segments)


def flat(nets: NetBatch) -> tuple[Floats, Floats]:
    """Weights and momenta of ``nets``: float32 [n, parameter] each."""
    return flat_arrays(nets.params), flat_arrays(nets.momenta)


def checksums(w: Floats) -> npt.NDArray[Any]:
    """uint64 [n], of the bits of ``w`` [n, parameter]; all zeros and all NaNs count as one."""
    plain = np.where(np.isnan(w), np.float32(np.nan), w + np.float32(0))
    words = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in plain]
    return np.frombuffer(b"".join(words), "<u8")
