"""How training moves its images at random: what a Task says of it.

The draws are ``combsearch.tasks.images.draw_moves``, the moves ``move_images``; the torch
trainers do the same to minibatches (``combsearch.trainers.moving``). Scores are always of
images as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from combsearch.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """Random flips and padded crops of the rows of ``Task.x``, which are images.

    Attributes:
        image_shape: (channels, height, width) of a row.
        flip: whether half of the images are flipped, left to right.
        pad: black pixels around an image, out of which it is cropped; 0 leaves it in place.
        black: by channel, the value in ``x`` of a black pixel.
        shared: networks that share their minibatches (a block of restarts) see the same
            moves; else each network has its own, by its run key.

    Raises:
        UsageError: values that cannot be.
    """

    image_shape: tuple[int, int, int]
    flip: bool
    pad: int
    black: tuple[float, ...]
    shared: bool = False

    def __post_init__(self) -> None:
        # Plain numbers, so that equal ones have one ``text``.
        object.__setattr__(self, "image_shape", tuple(int(size) for size in self.image_shape))
        object.__setattr__(self, "black", tuple(float(value) for value in self.black))
        shape = list(self.image_shape)
        if len(shape) != 3 or min(shape) < 1:
            raise UsageError(
                f"augmentation: image_shape is {shape}, it must be [channels, height, width],"
                " from 1 up"
            )
        if self.pad < 0:
            raise UsageError(f"augmentation: pad is {self.pad}, it must be from 0 pixels up")
        if len(self.black) != shape[0] or not all(map(math.isfinite, self.black)):
            raise UsageError(
                f"augmentation: black is {list(self.black)}, it must be one finite value for each"
                f" of the {shape[0]} channels of image_shape {shape}"
            )

    @property
    def moves(self) -> bool:
        """Whether it changes anything."""
        return self.flip or self.pad > 0

    @property
    def inputs(self) -> int:
        """Values of a row."""
        return math.prod(self.image_shape)

    def text(self) -> str:
        """All of it in one line, equal for equal ones."""
        return f"{self.image_shape},{bool(self.flip)},{self.pad},{self.black},{bool(self.shared)}"
