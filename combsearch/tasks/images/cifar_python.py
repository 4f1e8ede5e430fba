"""Read the python batches of CIFAR-10 and CIFAR-100, which are pickles.

A batch is a dictionary: ``data`` uint8 [n, 3072], a row the red, green and blue planes of
an image; ``labels`` (CIFAR-10) or ``fine_labels`` (CIFAR-100), a list of n numbers. They
are read by ``plain_pickle``, which runs nothing. Source: "The CIFAR-10 dataset", python
version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError
from combsearch.tasks.images.content import opened, read_most
from combsearch.tasks.images.plain_pickle import plain_pickle

PIXELS = 3 * 32 * 32
MOST_BYTES = 2**28  # the largest batch, of CIFAR-100, has 155 million

U8 = npt.NDArray[np.uint8]


def read_cifar_python(path: Path) -> tuple[U8, U8]:
    """Images uint8 [n, 3, 32, 32] and labels uint8 [n] of one batch.

    Raises:
        UsageError: the file cannot be read.
        CorruptDataError: it is no such batch, or a pickle with anything but data in it.
    """
    with opened(path) as file:
        data = read_most(file, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise CorruptDataError(f"{path} has more than {MOST_BYTES:,} bytes, more than any batch")
    try:
        batch = plain_pickle(data)
    except ValueError as error:
        raise CorruptDataError(f"{path} is no batch of CIFAR: {error}") from error
    images = _images(path, batch)
    return images, _labels(path, batch, len(images))


def _entry(path: Path, batch: Any, *names: str) -> Any:
    """The first of these entries of the batch, whose keys are text or bytes."""
    if not isinstance(batch, dict):
        raise CorruptDataError(f"{path} holds a {type(batch).__name__}, expected a dictionary")
    for key in (*names, *(name.encode() for name in names)):
        if key in batch:
            return batch[key]
    found = str(list(batch))[:80]
    raise CorruptDataError(f"{path} has no entry {' or '.join(names)}, it has {found}")


def _images(path: Path, batch: Any) -> U8:
    x = _entry(path, batch, "data")
    if not isinstance(x, np.ndarray):
        found = type(x).__name__
    elif x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != PIXELS or not len(x):
        found = f"{x.dtype} {list(x.shape)}"
    else:
        return np.ascontiguousarray(x).reshape(-1, 3, 32, 32)
    raise CorruptDataError(f"{path}: data must be uint8 [n, {PIXELS}], found {found}")


def _labels(path: Path, batch: Any, count: int) -> U8:
    labels = _entry(path, batch, "fine_labels", "labels")
    if not isinstance(labels, list) or len(labels) != count:
        size = f" of {len(labels)}" if isinstance(labels, list) else ""
        raise CorruptDataError(
            f"{path}: labels must be a list of {count} numbers, "
            f"found a {type(labels).__name__}{size}"
        )
    wrong = [y for y in labels if type(y) is not int or not 0 <= y <= 255]
    if wrong:
        shown = str(wrong[0])[:40]
        raise CorruptDataError(f"{path}: labels must be whole numbers from 0 up, found {shown}")
    return np.array(labels, np.uint8)
