"""Images of another size by nearest neighbour.

Pixel i of ``new`` is pixel floor(i * old / new) of ``old``, in both axes: what
``torch.nn.functional.interpolate(mode="nearest")`` does, but in whole numbers, where torch
multiplies by a rounded ratio and at some sizes (28 to 46) takes a neighbour instead. Enlarging
by a whole number repeats every pixel; shrinking by one keeps every so many and drops the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]


def nearest_places(old: int, new: int) -> npt.NDArray[np.int64]:
    """int64 [new]: where in a line of ``old`` pixels each of ``new`` comes from."""
    return np.arange(new, dtype=np.int64) * old // new


def resize_nearest(images: U8, side: int) -> U8:
    """Images uint8 [..., height, width] as uint8 [..., side, side], ``side`` from 1 up."""
    rows, columns = (nearest_places(old, side) for old in images.shape[-2:])
    # One axis after the other: an index of both at once takes several times as long.
    return images.take(rows, axis=-2).take(columns, axis=-1)


def scaled_pad(pad: int, old: int, side: int) -> int:
    """The frame ``pad`` of images of ``old`` pixels, in proportion to ``side``.

    Rounded to whole pixels, a half up: 4 at 32 becomes 2 at 16, 8 at 64, 16 at 128 and 1 at 8.
    So crops move by the same part of the image at every size; below half a pixel nothing moves.
    """
    return (2 * pad * side + old) // (2 * old)
