"""Generator: images of a class from a latent vector.

z        float32 [n, latent]                   standard normal in training
labels   [n]                                   class, 0 .. classes - 1
images   uint8 [n, channels, height, width]    0 black .. 255 white (or full colour)

Pope, Zhu, Abdelkader, Goldblum and Goldstein (2021, "The intrinsic dimension of images and
its impact on learning") bound the dimension of generated images by the number of latent
coordinates that are not 0; ``keep_first`` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]


class Generator(Protocol):
    """A trained class-conditional generator; see the module for shapes."""

    @property
    def name(self) -> str:
        """What files and tables call it."""
        ...

    @property
    def latent(self) -> int:
        """Number of latent coordinates."""
        ...

    @property
    def classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """One a class, or empty where nobody states them."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        ...

    def images(self, z: F32, labels: Labels) -> U8:
        """The image of each row of ``z``, of the class in ``labels``.

        Raises:
            UsageError: arrays of other shapes, a label that is no class, or weights that make
                pixels which are not finite.
        """
        ...


def keep_first(z: F32, dimension: int) -> F32:
    """A copy of ``z`` [n, latent] whose coordinates from ``dimension`` on are 0.

    Raises:
        UsageError: a dimension below 1 or above the number of latent coordinates.
    """
    latent = z.shape[1]
    if not 1 <= dimension <= latent:
        raise UsageError(
            f"dimension is {dimension}, the generator has {latent} latent coordinates;"
            f" give 1 to {latent}"
        )
    kept = z.copy()
    kept[:, dimension:] = 0
    return kept


def check_inputs(generator: Generator, z: F32, labels: Labels) -> None:
    """Raise unless ``generator`` can take these; see ``Generator.images``."""
    if z.ndim != 2 or z.shape[1] != generator.latent or len(z) != len(labels):
        raise UsageError(
            f"generator {generator.name!r} takes z [n, {generator.latent}] and labels [n],"
            f" found {list(z.shape)} and {list(labels.shape)}"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= generator.classes))
    if wrong.size:
        raise UsageError(
            f"label {wrong[0]} is {labels[wrong[0]]}, generator {generator.name!r} has classes"
            f" 0 to {generator.classes - 1}"
        )


def in_batches(
    z: F32, labels: Labels, size: int, batch: Callable[[F32, Labels], F32]
) -> Iterator[U8]:
    """Pixels 0..255 of ``batch(z, labels)``, which gives -1..1, for ``size`` rows at a time.

    Raises:
        UsageError: a value that is not finite, as statistics below 0 make and matrices of 0 that
            are divided by their norm.
    """
    for first in range(0, len(z), size):
        values = batch(z[first : first + size], labels[first : first + size])
        if not np.isfinite(values).all():
            raise UsageError(
                "the generator makes pixels that are not finite: its weights are not those of a"
                " trained one"
            )
        yield np.rint((np.clip(values, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)
