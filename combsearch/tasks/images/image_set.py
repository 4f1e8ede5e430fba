"""ImageSet: images as they are stored, and what makes network inputs of them.

x       uint8 [n, channels, height, width]    0 black .. 255 white (or full colour)
y       uint8 [n]                             class, 0 .. classes - 1
x_test  uint8 [m, channels, height, width]    the held-out images
y_test  uint8 [m]

A network is trained on ``normalised`` images: by channel, (pixel / 255 - mean) /
deviation, float32. A Task holds them flat, and says how they are augmented in training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.tasks.augmentation import Augmentation
from combsearch.tasks.base import Task
from combsearch.tasks.images.resize import resize_nearest, scaled_pad

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

_AXES = {"x": (4, "[n, channels, height, width]"), "y": (1, "[n]")}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images; see the module for shapes and dtypes.

    Attributes:
        name: of the data set.
        classes: number of classes.
        class_names: one a class, or empty.
        mean: by channel, of the training set's pixels scaled to 0..1.
        deviation: the standard deviation of the same.
        flip: whether training usually flips its images left to right.
        pad: black pixels around the image from which training usually crops.

    Raises:
        UsageError: an array with another dtype or shape, a label that is no class, or
            another number of means, deviations or names than there must be.
    """

    name: str
    x: U8
    y: U8
    x_test: U8
    y_test: U8
    classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    flip: bool = False
    pad: int = 0

    def __post_init__(self) -> None:
        self._check("x", "y")
        self._check("x_test", "y_test")
        if self.x.shape[1:] != self.x_test.shape[1:]:
            shapes = f"{list(self.x.shape[1:])} and {list(self.x_test.shape[1:])}"
            raise self._error(f"x and x_test must have images of one shape, found {shapes}")
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if len(values) != self.channels:
                raise self._error(f"{name} has {len(values)} values for {self.channels} channels")
        if min(self.deviation) <= 0:
            raise self._error(f"every deviation must be positive, found {min(self.deviation)}")
        if self.class_names and len(self.class_names) != self.classes:
            raise self._error(f"{len(self.class_names)} class names for {self.classes} classes")

    @property
    def channels(self) -> int:
        """1 grey, 3 colour."""
        return int(self.x.shape[1])

    def normalised(self, images: U8) -> F32:
        """float32 of the shape of ``images``, uint8 [..., channels, height, width].

        A value is looked up in a table of 256 a channel that is computed in float64, so
        that its last bit does not depend on the machine.
        """
        if images.dtype != np.uint8 or images.shape[-3:-2] != (self.channels,):
            raise self._error(
                f"normalised takes uint8 [..., {self.channels}, height, width], "
                f"found {images.dtype} {list(images.shape)}"
            )
        found = np.empty(images.shape, np.float32)
        scaled = np.arange(256) / 255
        for c, (mean, deviation) in enumerate(zip(self.mean, self.deviation, strict=True)):
            table = ((scaled - mean) / deviation).astype(np.float32)
            found[..., c, :, :] = table[images[..., c, :, :]]
        return found

    def resized(self, side: int) -> ImageSet:
        """All images at ``side`` x ``side`` by nearest neighbour, called "... at side".

        ``mean`` and ``deviation`` stay those of the images as they are stored, so that a pixel
        is the same input at every size; ``pad`` is scaled with them (``resize.scaled_pad``).

        Images stay uint8 here, but a Task is float32 throughout, and trainers lay all of it on
        the device: 60,000 of CIFAR-10 take 0.18 GB + 0.74 GB at 32, 0.74 + 2.9 at 64, and 2.9 +
        11.8 at 128, where making the Task takes another 3.3 GB for a moment.

        Raises:
            UsageError: ``side`` is below 1, or the images are not square.
        """
        height, width = self.x.shape[2:]
        if side < 1:
            raise self._error(f"side is {side}, images have sides from 1 pixel up, such as 16")
        if height != width:
            raise self._error(f"only square images are resized, found {height} x {width}")
        return replace(
            self,
            name=f"{self.name} at {side}",
            x=resize_nearest(self.x, side),
            x_test=resize_nearest(self.x_test, side),
            pad=scaled_pad(self.pad, height, side),
        )

    def task(self, augment: bool = False, shared: bool = False) -> Task:
        """All images normalised and flat, x float32 [n, channels * height * width].

        Args:
            augment: whether training moves them as it usually does (``flip``, ``pad``); for a
                data set with neither this changes nothing.
            shared: see ``Augmentation``.
        """
        x, x_test = (
            self.normalised(images).reshape(len(images), -1) for images in (self.x, self.x_test)
        )
        moved = self.augmentation(shared) if augment else None
        return Task(self.name, x, self.y, x_test, self.y_test, self.classes, moved)

    def augmentation(self, shared: bool = False) -> Augmentation:
        """The usual one: ``flip``, and crops from a frame of ``pad`` black pixels."""
        black = self.normalised(np.zeros((self.channels, 1, 1), np.uint8))
        channels, height, width = self.x.shape[1:]
        return Augmentation(
            (channels, height, width), self.flip, self.pad, tuple(black.ravel().tolist()), shared
        )

    def _check(self, x_name: str, y_name: str) -> None:
        """Check a pair of arrays."""
        for name in (x_name, y_name):
            self._check_array(name, getattr(self, name))
        x, y = getattr(self, x_name), getattr(self, y_name)
        if len(x) != len(y):
            raise self._error(f"{x_name} has {len(x)} images, {y_name} has {len(y)} labels")
        if y.max() >= self.classes:
            at = int(np.argmax(y >= self.classes))
            valid = f"0 to {self.classes - 1}"
            raise self._error(f"{y_name}[{at}] is {y[at]}, valid classes are {valid}")

    def _check_array(self, name: str, array: object) -> None:
        count, axes = _AXES[name[0]]
        if not isinstance(array, np.ndarray):
            found = type(array).__name__
        elif array.dtype != np.uint8 or array.ndim != count or array.size == 0:
            found = f"{array.dtype} {list(array.shape)}"
        else:
            return
        raise self._error(f"{name} must be uint8 {axes} with at least one image, found {found}")

    def _error(self, what: str) -> UsageError:
        return UsageError(f"images {self.name!r}: {what}")
