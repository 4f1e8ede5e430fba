"""Images of another size: against a loop over pixels, and torch's nearest neighbour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from combsearch.errors import UsageError
from combsearch.tasks.images import ImageSet, load_images
from combsearch.tasks.images.resize import nearest_places, resize_nearest, scaled_pad

PIECES = Path(__file__).parent / "image_files"
U8 = npt.NDArray[np.uint8]
# The sizes of the study, of 32 and of 28.
SIZES = [(32, side) for side in (16, 32, 64, 128)] + [(28, side) for side in (7, 14, 21, 28, 56)]


def noise(*shape: int) -> U8:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def images_of(side: int = 32, **changes: Any) -> ImageSet:
    x, x_test = noise(5, 3, side, side), noise(2, 3, side, side)
    y = np.array([0, 1, 2, 1, 0], np.uint8)
    means, deviations = (0.49, 0.48, 0.44), (0.24, 0.25, 0.26)
    given = dict(mean=means, deviation=deviations, flip=True, pad=4)
    return ImageSet("some", x, y, x_test, y[:2], 3, ("a", "b", "c"), **{**given, **changes})


def naive(images: U8, side: int) -> U8:
    """Pixel by pixel, each from where its upper left corner lies in the old image."""
    n, channels, height, width = images.shape
    found = np.zeros((n, channels, side, side), np.uint8)
    for i in range(side):
        for j in range(side):
            found[:, :, i, j] = images[:, :, int(i * height / side), int(j * width / side)]
    return found


@pytest.mark.parametrize(("old", "side"), SIZES)
def test_against_a_loop_over_pixels_and_torch(old: int, side: int) -> None:
    x = noise(3, 2, old, old)
    found = resize_nearest(x, side)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, naive(x, side))
    torchs = F.interpolate(torch.tensor(x), size=(side, side), mode="nearest")
    np.testing.assert_array_equal(found, torchs.numpy())


@pytest.mark.parametrize("side", [1, 3, 5, 12, 31])
def test_images_of_any_shape(side: int) -> None:
    x = noise(2, 1, 6, 10)
    np.testing.assert_array_equal(resize_nearest(x, side), naive(x, side))
    np.testing.assert_array_equal(resize_nearest(x[0], side), naive(x, side)[0])


def test_places_are_exact() -> None:
    for old in range(1, 40):
        for new in range(1, 40):
            exact = [max(j for j in range(old) if j * new <= i * old) for i in range(new)]
            assert nearest_places(old, new).tolist() == exact


def test_torch_may_take_a_neighbour_where_its_ratio_is_rounded() -> None:
    line = torch.arange(28.0)[None, None]
    torchs = F.interpolate(line, size=46, mode="nearest")[0, 0].long().numpy()
    exact = nearest_places(28, 46)
    assert exact[23] == 14  # 23 * 28 / 46
    assert torchs[23] == 13 and (np.flatnonzero(torchs != exact) == [23]).all()


def test_enlarging_repeats_and_shrinking_drops() -> None:
    x = noise(2, 3, 8, 8)
    twice = resize_nearest(x, 16)
    np.testing.assert_array_equal(twice, x.repeat(2, axis=2).repeat(2, axis=3))
    np.testing.assert_array_equal(resize_nearest(twice, 8), x)
    np.testing.assert_array_equal(resize_nearest(x, 4), x[:, :, ::2, ::2])
    np.testing.assert_array_equal(resize_nearest(x, 8), x)


def test_an_image_set_is_resized_whole() -> None:
    images = images_of()
    found = images.resized(16)
    np.testing.assert_array_equal(found.x, naive(images.x, 16))
    np.testing.assert_array_equal(found.x_test, naive(images.x_test, 16))
    for name in ("y", "y_test", "classes", "class_names", "mean", "deviation", "flip"):
        assert getattr(found, name) is getattr(images, name)
    assert images.x.shape[2:] == (32, 32) and images.name == "some"
    assert (found.name, images.resized(32).name) == ("some at 16", "some at 32")
    # A pixel is the same input at every size.
    expected = images.normalised(images.x)[:, :, ::2, ::2]
    task = found.task()
    np.testing.assert_array_equal(task.x.reshape(5, 3, 16, 16), expected)
    assert (task.name, task.inputs) == ("some at 16", 768)
    assert images.resized(32).task().digest() == images.task().digest() != task.digest()


@pytest.mark.parametrize(
    ("side", "pad"),
    [(128, 16), (64, 8), (33, 4), (32, 4), (16, 2), (12, 2), (8, 1), (4, 1), (3, 0)],
)
def test_the_frame_is_scaled_in_proportion(side: int, pad: int) -> None:
    moved = images_of().resized(side).task(augment=True).augmentation
    assert moved is not None and (moved.flip, moved.pad) == (True, pad)
    assert moved.image_shape == (3, side, side)
    assert moved.black == images_of().augmentation().black


def test_a_frame_stays_within_half_a_pixel_of_its_proportion() -> None:
    for pad in range(9):
        for old in range(1, 40):
            for side in range(1, 70):
                assert -0.5 < scaled_pad(pad, old, side) - pad * side / old <= 0.5
    assert images_of(pad=0, flip=False).resized(64).task(augment=True).augmentation is None


def test_true_images() -> None:
    images = load_images("fashion-mnist", PIECES)
    small = images.resized(14)
    assert small.x.shape == (20, 1, 14, 14) and small.x_test.shape == (10, 1, 14, 14)
    assert small.task().name == "fashion-mnist at 14"
    assert small.pad == 0 and small.resized(28).name == "fashion-mnist at 14 at 28"
    big = load_images("cifar10", PIECES).resized(64)
    assert big.x.mean() == pytest.approx(load_images("cifar10", PIECES).x.mean())


@pytest.mark.parametrize("side", [0, -3])
def test_a_bad_side_is_named(side: int) -> None:
    with pytest.raises(UsageError, match=f"images 'some': side is {side}, .*from 1 pixel up"):
        images_of().resized(side)


def test_only_square_images_are_resized() -> None:
    x = noise(2, 1, 4, 5)
    y = np.zeros(2, np.uint8)
    images = ImageSet("flat", x, y, x, y, 2, (), (0.5,), (0.5,))
    with pytest.raises(UsageError, match="'flat': only square images are resized, found 4 x 5"):
        images.resized(4)
