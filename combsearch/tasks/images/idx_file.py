"""Read idx files, in which MNIST and its followers come; plain or packed by gzip.

    byte  0  1   2      3        4 .. 7       8 .. 11    12 .. 15
          0  0   type   axes     first axis   second     third      then the values,
                 (8)    (1, 3)   big-endian, as the others          last axis fastest

Type 8 is uint8, the only one that images and labels have. Source: the page of MNIST,
"The IDX file format".
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError
from combsearch.tasks.images.content import opened, read_most

_UINT8 = 8


def read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """uint8 with this number of axes: 3 for images [n, height, width], 1 for labels [n].

    Raises:
        UsageError: the file cannot be read.
        CorruptDataError: it is no such file, or longer or shorter than its header says.
    """
    length = 4 + 4 * axes
    with opened(path) as file:
        header = read_most(file, length)
        expected = bytes((0, 0, _UINT8, axes))
        if header[:4] != expected:
            raise CorruptDataError(
                f"{path} begins with the bytes {header[:4].hex(' ')!r}, expected "
                f"{expected.hex(' ')!r}: an idx file of uint8 with {axes} axes"
            )
        if len(header) < length:
            raise CorruptDataError(
                f"{path} ends after {len(header)} bytes, expected a header of {length}"
            )
        shape = [int.from_bytes(header[at : at + 4], "big") for at in range(4, length, 4)]
        size = math.prod(shape)
        data = read_most(file, size + 1)
    if len(data) != size:
        found = f"{len(data):,}" if len(data) < size else "more"
        axes_text = " x ".join(map(str, shape))
        raise CorruptDataError(
            f"{path} says that it has {axes_text} = {size:,} values, found {found}"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)
