"""Data sets of generated images: the intrinsic dimension is at most the latent one.

Image i of a split is made of its own latent vector and class, whatever the number of images
and whatever the dimension: two sets of one seed that differ in ``dimension`` alone have the
same vectors, of which only the first ``dimension`` coordinates are used. Pope, Zhu,
Abdelkader, Goldblum and Goldstein (2021) make their images of known dimension this way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.generators.base import F32, U8, Generator, keep_first
from combsearch.rng import as_philox_key, epoch_order, mix64, philox4x32, text_key
from combsearch.tasks.base import MAX_CLASSES, Task
from combsearch.tasks.images.image_set import ImageSet

_AT_ONCE = 1000  # images: bounds what latent vectors and a generator's maps take


def generated_set(
    generator: Generator, dimension: int, train: int, test: int, seed: int
) -> tuple[U8, U8, U8, U8]:
    """Labelled images of latent dimension ``dimension``.

    Classes are balanced (numbers differ by one at most) and shuffled.

    Args:
        dimension: latent coordinates that are not 0, 1 .. ``generator.latent``.
        train: images to train on.
        test: images held out.
        seed: 0 .. 2^64 - 1.

    Returns:
        x uint8 [train, channels, height, width], y uint8 [train], x_test [test, ..], y_test.

    Raises:
        UsageError: a number that is out of range.
    """
    x, y = generated_split(generator, dimension, train, seed, "train")
    x_test, y_test = generated_split(generator, dimension, test, seed, "test")
    return x, y, x_test, y_test


def generated_split(
    generator: Generator, dimension: int, count: int, seed: int, split: str
) -> tuple[U8, U8]:
    """One half of ``generated_set``: x uint8 [count, channels, height, width], y uint8 [count].

    Args:
        split: ``train`` or ``test``; another name gives other images.

    Raises:
        UsageError: a number that is out of range, or a generator of too many classes.
    """
    if generator.classes > MAX_CLASSES:
        raise UsageError(
            f"generator {generator.name!r} has {generator.classes} classes, a task at most"
            f" {MAX_CLASSES}"
        )
    if count < 1:
        raise UsageError(f"{split} is {count} images, there must be at least one")
    y = balanced_labels(seed, split, count, generator.classes)
    x = np.empty((count, *generator.image_shape), np.uint8)
    for first in range(0, count, _AT_ONCE):
        here = slice(first, min(first + _AT_ONCE, count))
        z = latent_vectors(seed, split, first, here.stop - first, generator.latent)
        x[here] = generator.images(keep_first(z, dimension), y[here])
    return x, y


def generated_images(
    generator: Generator, dimension: int, train: int, test: int, seed: int
) -> ImageSet:
    """As ``generated_set``, with the mean and deviation of its training pixels by channel."""
    x, y, x_test, y_test = generated_set(generator, dimension, train, test, seed)
    mean, deviation = zip(*(_moments(x[:, c]) for c in range(x.shape[1])), strict=True)
    return ImageSet(
        f"{generator.name}, latent dimension {dimension}",
        x, y, x_test, y_test, generator.classes, generator.class_names, mean, deviation,
    )  # fmt: skip


def generated_task(generator: Generator, dimension: int, train: int, test: int, seed: int) -> Task:
    """As ``generated_set``, normalised and flat: x float32 [n, channels * height * width]."""
    return generated_images(generator, dimension, train, test, seed).task()


def latent_vectors(seed: int, split: str, first: int, count: int, latent: int) -> F32:
    """Standard normal vectors ``first`` .. ``first + count - 1``: float32 [count, latent].

    Coordinate c of vector i belongs to Philox at counter (i, c // 2): the Box-Muller
    transform in float64 of two 53-bit numbers gives coordinates c and c + 1, c even.

    Raises:
        UsageError: a seed that is not in 0 .. 2^64 - 1.
    """
    pairs = -(-latent // 2)
    counter = np.zeros((count, pairs, 4), np.uint32)
    index = np.arange(first, first + count, dtype=np.uint64)
    counter[..., 0] = (index & np.uint64(2**32 - 1)).astype(np.uint32)[:, None]
    counter[..., 1] = (index >> np.uint64(32)).astype(np.uint32)[:, None]
    counter[..., 2] = np.arange(pairs)
    words = philox4x32(counter, as_philox_key(_key(seed, split, "latent"))).astype(np.uint64)
    high, low = words[..., 0::2], words[..., 1::2]
    unit = (((high << np.uint64(21)) ^ (low >> np.uint64(11))) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(unit[..., 0])), 2 * np.pi * unit[..., 1]
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return both.reshape(count, 2 * pairs)[:, :latent].astype(np.float32)


def balanced_labels(seed: int, split: str, count: int, classes: int) -> U8:
    """Classes in turn, shuffled: uint8 [count]."""
    order = epoch_order(int(_key(seed, split, "labels")), 0, 0, count)
    labels: U8 = (order % classes).astype(np.uint8)
    return labels


def _key(seed: int, split: str, purpose: str) -> np.uint64:
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed}, it must be in 0..2^64-1")
    name = text_key(f"generated {split} {purpose}")
    return np.uint64(mix64(mix64(np.uint64(seed)) ^ name))


def _moments(pixels: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and standard deviation of pixels / 255, exact sums of integers.

    A deviation of 0, of images of one colour, becomes 1: they are left as they are.
    """
    counts = np.bincount(pixels.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = float((counts * values).sum() / pixels.size)
    spread = float(np.sqrt((counts * (values - mean) ** 2).sum() / pixels.size))
    return mean, spread or 1.0
