"""Random flips and crops of training images, as a function of who asks for them.

What becomes of an image depends on the key of its run, the epoch and the image's number in
the training set, never on the batch it stands in or on what was drawn before:

    counter  (TAG, epoch, image, 0)  --Philox4x32-->  flip: top bit of word 0
                                                      row of the crop: from word 1
                                                      column of the crop: from word 2

One key for each of many copies gives each its own augmentation; one key for all shares it.

A padded crop takes the image out of a frame of ``pad`` black pixels that is laid around it,
at one of (2 pad + 1)^2 places ("padded random crop" of AlexNet's and ResNet's CIFAR
experiments: He et al. 2016, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.rng import U32, philox4x32

TAG = 0x696D6167  # "imag": keeps these draws apart from all other uses of a key
_MOST_PAD = 2**15

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Moves:
    """What happens to n images in k copies.

    Attributes:
        flip: bool [k, n], left and right change sides.
        row: int64 [k, n], the crop's first row in the padded image, 0 .. 2 pad.
        column: int64 [k, n], its first column.
    """

    flip: npt.NDArray[np.bool_]
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]


def draw_moves(
    keys: U32, epoch: int, images: npt.NDArray[np.integer], *, flip: bool, pad: int
) -> Moves:
    """The moves of ``images`` in one epoch.

    Args:
        keys: uint32 [k, 2], a Philox key a copy (``RunKeys.philox_keys()``), or one for all.
        epoch: from 0.
        images: [n] numbers of images in the training set.
        flip: whether half of the images are flipped; else none is.
        pad: width of the frame in pixels; 0 leaves images where they are.

    Raises:
        UsageError: ``pad`` or ``epoch`` is out of range.
    """
    if not 0 <= pad <= _MOST_PAD:
        raise UsageError(f"pad is {pad}, it must be 0 to {_MOST_PAD} pixels")
    if not 0 <= epoch < 2**32:
        raise UsageError(f"epoch is {epoch}, it must be 0 to 2^32 - 1")
    counter = np.zeros((1, len(images), 4), np.uint32)
    counter[..., 0] = TAG
    counter[..., 1] = epoch
    counter[..., 2] = images
    words = philox4x32(counter, keys[:, None, :]).astype(np.uint64)
    places = np.uint64(2 * pad + 1)
    # The high half of a product spreads 32 bits evenly over the places.
    row, column = ((words[..., i] * places) >> np.uint64(32) for i in (1, 2))
    flips = (words[..., 0] >> np.uint64(31)).astype(np.bool_) & flip
    return Moves(flips, row.astype(np.int64), column.astype(np.int64))


def move_images(images: npt.NDArray[Pixel], moves: Moves, pad: int) -> npt.NDArray[Pixel]:
    """Images [k, n, channels, height, width], moved as each of k copies sees them.

    Args:
        images: [n, channels, height, width] of any dtype, the same for all copies. The frame
            is 0, so these are pixels as they are stored, not normalised ones.
        moves: of the n images, k copies.
        pad: that ``moves`` were drawn for.
    """
    n, channels, height, width = images.shape
    framed = np.zeros((n, channels, height + 2 * pad, width + 2 * pad), images.dtype)
    framed[:, :, pad : pad + height, pad : pad + width] = images
    across = np.where(moves.flip[..., None], np.arange(width)[::-1], np.arange(width))
    rows = moves.row[..., None] + np.arange(height)  # [k, n, height]
    columns = moves.column[..., None] + across  # [k, n, width]
    moved: npt.NDArray[Pixel] = framed[
        np.arange(n)[None, :, None, None, None],
        np.arange(channels)[:, None, None],
        rows[:, :, None, :, None],
        columns[:, :, None, None, :],
    ]
    return moved
