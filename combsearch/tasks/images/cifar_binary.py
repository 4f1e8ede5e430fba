"""Read the binary batches of CIFAR-10 and CIFAR-100.

A batch is a row of records without a header:

    CIFAR-10     label | 1024 red | 1024 green | 1024 blue          3,073 bytes
    CIFAR-100    superclass | label | the same three planes         3,074 bytes

A plane is 32 rows of 32 pixels. Source: "The CIFAR-10 dataset", binary version.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError
from combsearch.tasks.images.content import opened, read_most

PIXELS = 3 * 32 * 32
MOST_RECORDS = 50_000  # the training set of CIFAR-100 is one batch

U8 = npt.NDArray[np.uint8]


def read_cifar_binary(path: Path, label_bytes: int) -> tuple[U8, U8]:
    """Images uint8 [n, 3, 32, 32] and labels uint8 [n] of one batch.

    Args:
        path: the batch.
        label_bytes: 1 in CIFAR-10; 2 in CIFAR-100, of which the second is the class.

    Raises:
        UsageError: the file cannot be read.
        CorruptDataError: it is no whole number of records.
    """
    record = label_bytes + PIXELS
    most = MOST_RECORDS * record
    with opened(path) as file:
        data = read_most(file, most + 1)
    if not data or len(data) % record or len(data) > most:
        found = f"{len(data):,}" if len(data) <= most else "more"
        raise CorruptDataError(
            f"{path}: expected 1 to {MOST_RECORDS:,} records of {record:,} bytes, "
            f"found {found} bytes"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    images = np.ascontiguousarray(records[:, label_bytes:]).reshape(-1, 3, 32, 32)
    return images, np.ascontiguousarray(records[:, label_bytes - 1])
