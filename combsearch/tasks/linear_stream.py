"""Linear problems of any task dimension, with fresh points in every epoch.

How many directions of the latent space matter, the task dimension t, is set apart from how many
there are, d, and from the number of inputs, D ("the effect of data dimensionality on neural
network prunability", arXiv 2212.00291, the experiment on task dimension)::

    z ~ N(0, I_d)     A ~ U(-1, 1)^(D x d)     x = A z
    h ~ U(-1, 1)^d, of which all but the first t numbers are set to 0
    label 1 if h.z > 0, else 0

A and the whole h depend on the seed alone (and their sizes), the z of an epoch on the seed and
its number. So the streams of one seed and all t have the same points and differ in labels, and
no epoch depends on another::

    Philox4x64, key (seed, stream)     stream 0: h     1: A     2: test points     3 + e: epoch e

Draws are those of ``numpy.random.Generator``; the products are as exact as float32 is, so that
the last bits of x may depend on the machine. Needs numpy only.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch import fields
from combsearch.errors import UsageError
from combsearch.rng import mix64, text_key
from combsearch.tasks.base import Task

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

KIND = "combsearch linear stream 1"  # another number once draws change
_H, _A, _TEST, _EPOCHS = range(4)
_MOST_EPOCHS = 2**63


@dataclass(frozen=True)
class LinearStream:
    """A linear problem and its endless points; see the module.

    Attributes:
        task_dimension: t, numbers of z that the label depends on, 1 .. ``latent``.
        latent: d, numbers of z, 1 .. ``inputs``; the rank of the points.
        inputs: D, numbers of x.
        seed: of A, h and all points, 0 .. 2^64 - 1.
        points: fresh ones in each epoch.
        test_points: held-out ones.
        scale: divide x by sqrt(d / 3), the standard deviation of its numbers, so that inputs
            have variance 1 and learning rates do not depend on d. This is ours; False gives x
            as it is above.

    Raises:
        UsageError: sizes or a seed that cannot be.
    """

    task_dimension: int = 16
    latent: int = 128
    inputs: int = 1024
    seed: int = 0
    points: int = 25_600
    test_points: int = 20_000
    scale: bool = True

    def __post_init__(self) -> None:
        fields.check_types(self)
        for name in ("task_dimension", "latent", "inputs", "points", "test_points"):
            fields.check_positive("linear stream", name, getattr(self, name))
        _check_fits("task_dimension", self.task_dimension, "latent", self.latent)
        _check_fits("latent", self.latent, "inputs", self.inputs)
        if not 0 <= self.seed <= fields.MAX_SEED:
            raise UsageError(f"linear stream: seed is {self.seed}, it must be in 0..2^64-1")

    @property
    def name(self) -> str:
        """Of its tasks: "linear t=16 d=128 D=1024"."""
        return f"linear t={self.task_dimension} d={self.latent} D={self.inputs}"

    @property
    def test(self) -> Task:
        """The held-out points, x float32 [test_points, inputs]; drawn whenever it is asked for."""
        return self._task(f"{self.name}, test", self.test_latents(), self.test_points)

    def epoch(self, number: int) -> Task:
        """The points of epoch ``number``, from 0: x float32 [points, inputs], y uint8 [points].

        Raises:
            UsageError: ``number`` is out of range.
        """
        return self._task(f"{self.name}, epoch {number}", self.latents(number), self.points)

    def latents(self, number: int) -> F32:
        """z of the points of epoch ``number``: float32 [points, latent]."""
        if not 0 <= number < _MOST_EPOCHS:
            raise UsageError(f"linear stream: epoch is {number}, it must be 0 to 2^63 - 1")
        return self._normal(_EPOCHS + number, self.points)

    def test_latents(self) -> F32:
        """z of the held-out points: float32 [test_points, latent]."""
        return self._normal(_TEST, self.test_points)

    def direction(self) -> F64:
        """h: float64 [latent], 0 from number ``task_dimension`` on."""
        whole = self._uniform(_H, (self.latent,))
        return np.where(np.arange(self.latent) < self.task_dimension, whole, 0.0)

    def embedding(self) -> F32:
        """A, divided by sqrt(d / 3) if ``scale``: float32 [inputs, latent]."""
        drawn = self._uniform(_A, (self.inputs, self.latent))
        found = drawn / math.sqrt(self.latent / 3) if self.scale else drawn
        return found.astype(np.float32)

    def identity(self) -> dict[str, Any]:
        """What the stream is, as JSON values: equal for equal points and labels."""
        return {"kind": KIND, **fields.to_json(self)}

    def digest(self) -> str:
        """sha256 (64 hex characters) of ``identity``; nothing is drawn for it."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _task(self, name: str, z: F32, points: int) -> Task:
        x = np.empty((points, self.inputs), np.float32)
        np.matmul(z, self.embedding().T, out=x)
        # In float64, so that no label turns on the order of a sum.
        y = z[:, : self.task_dimension].astype(np.float64) @ self.direction()[: self.task_dimension]
        return Task(name, x, (y > 0).astype(np.uint8))

    def _generator(self, stream: int) -> np.random.Generator:
        # Mixed, so that a seed means other draws here than wherever else it is a Philox key.
        start = mix64(np.uint64(self.seed) ^ text_key(KIND))
        return np.random.Generator(np.random.Philox(key=int(start) | stream << 64))

    def _normal(self, stream: int, points: int) -> F32:
        return self._generator(stream).standard_normal((points, self.latent), np.float32)

    def _uniform(self, stream: int, shape: tuple[int, ...]) -> F64:
        """U(-1, 1)."""
        return 2 * self._generator(stream).random(shape) - 1


def _check_fits(small: str, size: int, large: str, space: int) -> None:
    if size > space:
        raise UsageError(
            f"linear stream: {small} {size} is larger than its space, {large} {space}: task"
            " dimension <= latent <= inputs"
        )
