"""Flips and crops: against a loop over pixels, and as functions of key, epoch and image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from combsearch.errors import UsageError
from combsearch.rng import RunKeys, philox4x32
from combsearch.tasks.images import Moves, draw_moves, move_images
from combsearch.tasks.images.augment import TAG

IMAGES = np.arange(40)


def keys(count: int) -> npt.NDArray[np.uint32]:
    return RunKeys.make(1, [9] * count, ["0.1:cosine"] * count, range(count)).philox_keys()


def naive_moves(key: Any, epoch: int, image: int, pad: int) -> tuple[bool, int, int]:
    words = philox4x32(np.array([TAG, epoch, image, 0], np.uint32), key)
    place = [int(word) * (2 * pad + 1) // 2**32 for word in words]
    return int(words[0]) >= 2**31, place[1], place[2]


def naive_image(image: npt.NDArray[Any], flip: bool, row: int, column: int, pad: int) -> Any:
    """The crop as a loop over its pixels, then its mirror image."""
    channels, height, width = image.shape
    found = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                y, x = i + row - pad, j + column - pad
                if 0 <= y < height and 0 <= x < width:
                    found[c, i, j] = image[c, y, x]
    return found[:, :, ::-1] if flip else found


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("pad", [0, 2, 4])
def test_against_a_loop_over_pixels(copies: int, pad: int) -> None:
    rng = np.random.default_rng(pad)
    images = rng.integers(1, 256, (5, 3, 6, 7), dtype=np.uint8)
    numbers = np.array([7, 0, 2**31, 7, 49_999])
    moves = draw_moves(keys(copies), 3, numbers, flip=True, pad=pad)
    moved = move_images(images, moves, pad)
    assert moved.shape == (copies, *images.shape) and moved.dtype == np.uint8
    for k, key in enumerate(keys(copies)):
        for n, number in enumerate(numbers):
            flip, row, column = naive_moves(key, 3, int(number), pad)
            assert (moves.flip[k, n], moves.row[k, n], moves.column[k, n]) == (flip, row, column)
            expected = naive_image(images[n], flip, row, column, pad)
            np.testing.assert_array_equal(moved[k, n], expected)


def test_a_draw_does_not_depend_on_its_batch_or_on_other_copies() -> None:
    whole = draw_moves(keys(4), 2, IMAGES, flip=True, pad=4)
    some = np.array([31, 3, 17])
    part = draw_moves(keys(4)[2:3], 2, some, flip=True, pad=4)
    for name in ("flip", "row", "column"):
        np.testing.assert_array_equal(getattr(part, name)[0], getattr(whole, name)[2, some])


def test_copies_and_epochs_differ_and_a_shared_key_is_shared() -> None:
    drawn = [
        draw_moves(keys(2), epoch, IMAGES, flip=True, pad=4).row[k]
        for epoch in (0, 1)
        for k in (0, 1)
    ]
    assert len({rows.tobytes() for rows in drawn}) == 4
    shared = draw_moves(np.repeat(keys(1), 3, axis=0), 0, IMAGES, flip=True, pad=4)
    assert (shared.row == drawn[0]).all()


def test_moves_are_evenly_spread() -> None:
    moves = draw_moves(keys(1), 0, np.arange(90_000), flip=True, pad=1)
    assert abs(moves.flip.mean() - 0.5) < 0.01
    counts = np.bincount((3 * moves.row + moves.column).ravel() + 9 * moves.flip.ravel())
    assert len(counts) == 18 and np.abs(counts / 5_000 - 1).max() < 0.06


def test_without_flip_and_pad_nothing_moves() -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    moves = draw_moves(keys(2), 0, np.arange(2), flip=False, pad=0)
    assert not moves.flip.any() and not moves.row.any() and not moves.column.any()
    np.testing.assert_array_equal(move_images(images, moves, 0), np.stack([images, images]))


def test_a_flip_is_a_mirror_image() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    zero = np.zeros((1, 1), np.int64)
    moved = move_images(images, Moves(np.ones((1, 1), bool), zero, zero), 0)
    assert moved[0, 0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]


def test_bad_values_are_named() -> None:
    with pytest.raises(UsageError, match="pad is -1, it must be 0 to"):
        draw_moves(keys(1), 0, IMAGES, flip=True, pad=-1)
    with pytest.raises(UsageError, match="epoch is -2, it must be 0 to"):
        draw_moves(keys(1), -2, IMAGES, flip=True, pad=1)
