"""Sets of generated images: vectors, labels and what a dimension changes, on a simple generator."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from combsearch.errors import UsageError
from combsearch.generators import Generator, generated_set, generated_task, keep_first
from combsearch.generators.base import check_inputs, in_batches
from combsearch.generators.generated import balanced_labels, generated_images, latent_vectors
from combsearch.generators.sheet import class_sheet, dimension_sheet, sheet

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Linear:
    """Pixel p of class c is 12 * z[p] + 20 * c + 100: what z was can be read off."""

    latent: int = 12
    classes: int = 3
    name: str = "linear"
    image_shape: tuple[int, int, int] = (3, 2, 2)
    class_names: tuple[str, ...] = ()

    def images(self, z: F32, labels: npt.NDArray[np.integer]) -> U8:
        check_inputs(self, z, labels)
        pixels: U8 = np.clip(12 * z + 20 * labels[:, None] + 100, 0, 255).astype(np.uint8)
        return pixels.reshape(-1, *self.image_shape)


LINEAR: Generator = Linear()


def test_keep_first_zeroes_the_others_in_a_copy() -> None:
    z = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    assert keep_first(z, 2).tolist() == [[1, 2, 0], [4, 5, 0]]
    assert z.min() == 1
    assert np.array_equal(keep_first(z, 3), z)


@pytest.mark.parametrize("dimension", [0, -1, 4])
def test_a_dimension_out_of_range_is_named_with_the_latent_one(dimension: int) -> None:
    with pytest.raises(UsageError, match=rf"dimension is {dimension}, .* has 3 latent .*1 to 3"):
        keep_first(np.zeros((1, 3), np.float32), dimension)


@pytest.mark.parametrize(
    ("z", "labels", "message"),
    [
        (np.zeros((2, 5)), [0, 0], r"takes z \[n, 12\] and labels \[n\], found \[2, 5\] and \[2\]"),
        (np.zeros((2, 12)), [0], r"found \[2, 12\] and \[1\]"),
        (np.zeros((2, 12)), [0, 3], "label 1 is 3, generator 'linear' has classes 0 to 2"),
        (np.zeros((2, 12)), [-1, 0], "label 0 is -1"),
    ],
)
def test_wrong_inputs_are_named(
    z: npt.NDArray[np.float64], labels: list[int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        LINEAR.images(z.astype(np.float32), np.array(labels))


def test_batches_cover_all_rows_and_round_to_the_nearest_level() -> None:
    z = np.array([[-2], [-1], [0], [0.5], [1], [3]], np.float32)
    labels = np.arange(6)
    seen = []

    def batch(rows: F32, classes: npt.NDArray[np.integer]) -> F32:
        seen.append((len(rows), classes.tolist()))
        return rows

    found = np.concatenate(list(in_batches(z, labels, 4, batch)))
    assert found[:, 0].tolist() == [0, 0, 128, 191, 255, 255]  # 127.5 rounds to even
    assert seen == [(4, [0, 1, 2, 3]), (2, [4, 5])]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(UsageError, match="makes pixels that are not finite"):
        list(in_batches(np.full((3, 1), value, np.float32), np.arange(3), 2, lambda z, _: z))


def test_latent_vectors_are_standard_normal_and_independent() -> None:
    z = latent_vectors(3, "train", 0, 4000, 33).astype(np.float64)
    assert z.shape == (4000, 33)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**4).mean() - 3) < 0.1
    correlation = np.corrcoef(z.T) - np.eye(33)
    assert np.abs(correlation).max() < 0.08  # 5 of its standard deviations


def test_a_latent_vector_depends_on_seed_split_and_place_alone() -> None:
    z = latent_vectors(3, "train", 0, 50, 9)
    assert np.array_equal(latent_vectors(3, "train", 20, 7, 9), z[20:27])
    assert np.array_equal(latent_vectors(3, "train", 0, 50, 5), z[:, :5])
    others = [latent_vectors(4, "train", 0, 50, 9), latent_vectors(3, "test", 0, 50, 9)]
    assert all(not np.isclose(other, z).any() for other in others)


@pytest.mark.parametrize(("count", "classes"), [(1, 3), (10, 3), (100, 10), (7, 10)])
def test_labels_are_balanced_and_shuffled(count: int, classes: int) -> None:
    labels = balanced_labels(0, "train", count, classes)
    assert labels.dtype == np.uint8
    numbers = np.bincount(labels, minlength=classes)
    assert numbers.max() - numbers.min() <= 1
    if count == 100:
        assert labels.tolist() != sorted(labels.tolist())
        assert labels.tolist() != (np.arange(count) % classes).tolist()
        assert not np.array_equal(labels, balanced_labels(0, "test", count, classes))
        assert not np.array_equal(labels, balanced_labels(1, "train", count, classes))


def test_a_set_is_what_the_generator_makes_of_the_first_coordinates() -> None:
    x, y, x_test, y_test = generated_set(LINEAR, 5, train=30, test=8, seed=7)
    assert (x.dtype, x.shape, x_test.shape) == (np.dtype(np.uint8), (30, 3, 2, 2), (8, 3, 2, 2))
    for split, images, labels in (("train", x, y), ("test", x_test, y_test)):
        z = latent_vectors(7, split, 0, len(labels), 12)
        for image, row, label in zip(images.reshape(-1, 12), z, labels, strict=True):
            expected = [int(12 * v + 20 * int(label) + 100) for v in row[:5]]
            assert image[:5].tolist() == expected
            assert set(image[5:].tolist()) == {20 * int(label) + 100}


def test_sets_that_differ_in_dimension_share_labels_and_coordinates() -> None:
    low, high = (generated_set(LINEAR, d, 40, 5, seed=1) for d in (4, 12))
    assert np.array_equal(low[1], high[1])
    assert np.array_equal(low[0].reshape(40, 12)[:, :4], high[0].reshape(40, 12)[:, :4])
    assert not np.array_equal(low[0], high[0])


def test_a_large_set_is_made_in_pieces_of_the_same_images() -> None:
    x, y, *_ = generated_set(LINEAR, 12, 2500, 1, seed=1)
    z = latent_vectors(1, "train", 0, 2500, 12)
    assert np.array_equal(x, LINEAR.images(z, y))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dimension": 13}, "dimension is 13, the generator has 12"),
        ({"train": 0}, "train is 0 images"),
        ({"test": 0}, "test is 0 images"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_numbers_out_of_range_are_refused(changed: dict[str, int], message: str) -> None:
    numbers = {"dimension": 3, "train": 4, "test": 2, "seed": 0, **changed}
    with pytest.raises(UsageError, match=message):
        generated_set(LINEAR, **numbers)


def test_more_classes_than_labels_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="has 1000 classes, a task at most 256"):
        generated_set(Linear(classes=1000), 3, 4, 2, 0)


def test_a_task_is_normalised_by_its_own_pixels() -> None:
    x, y, x_test, y_test = generated_set(LINEAR, 6, 30, 8, seed=2)
    task = generated_task(LINEAR, 6, 30, 8, seed=2)
    mean = (x / 255).mean((0, 2, 3), keepdims=True)
    spread = (x / 255).std((0, 2, 3), keepdims=True)
    assert np.allclose(task.x, ((x / 255 - mean) / spread).reshape(30, -1), atol=1e-5)
    assert task.x_test is not None
    assert task.y_test is not None
    assert np.allclose(task.x_test, ((x_test / 255 - mean) / spread).reshape(8, -1), atol=1e-5)
    assert np.array_equal(task.y, y)
    assert np.array_equal(task.y_test, y_test)
    assert task.classes == 3
    assert "linear" in task.name
    assert "6" in task.name


def test_images_of_one_colour_stay_finite() -> None:
    flat = generated_images(Linear(classes=2, image_shape=(1, 1, 12)), 1, 2, 2, 0)
    assert flat.deviation[0] > 0
    black = generated_task(Black(), 1, 4, 2, 0)
    assert not black.x.any()


@dataclass(frozen=True)
class Black(Linear):
    """Every image is black."""

    def images(self, z: F32, labels: npt.NDArray[np.integer]) -> U8:
        return np.zeros((len(z), *self.image_shape), np.uint8)


def picture(png: bytes) -> U8:
    with Image.open(io.BytesIO(png)) as found:
        assert found.format == "PNG"
        return np.asarray(found.convert("RGB"))


def test_a_sheet_shows_every_tile_where_it_belongs() -> None:
    tiles = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * 40
    shown = picture(sheet(tiles.repeat(28, 3).repeat(28, 4), ["a", "b"]))
    assert shown.shape[0] == 2 * 58
    right = shown[:, -3 * 58 :]
    for row in range(2):
        for column in range(3):
            tile = right[row * 58 : row * 58 + 56, column * 58 : column * 58 + 56]
            assert set(np.unique(tile)) == {tiles[row, column, 0, 0, 0]}
    left = shown[:, : -3 * 58]
    assert all((left[row * 58 : (row + 1) * 58] < 128).any() for row in range(2))  # the names


def test_a_colour_sheet_keeps_its_channels() -> None:
    tiles = np.zeros((1, 1, 3, 4, 4), np.uint8)
    tiles[:, :, 1] = 200
    shown = picture(sheet(tiles, ["x"]))
    assert shown[10, -10].tolist() == [0, 200, 0]


def test_rows_of_a_dimension_sheet_are_the_same_samples() -> None:
    shown = picture(dimension_sheet(LINEAR, 4, 0, [12, 12, 3]))
    height = shown.shape[0] // 3
    right = shown[:, -4 * 58 :]
    assert np.array_equal(right[:height], right[height : 2 * height])
    assert not np.array_equal(right[:height], right[2 * height :])


def test_a_class_sheet_of_many_classes_shows_some() -> None:
    shown = picture(class_sheet(Linear(classes=200), 2, 0))
    assert shown.shape[0] == 20 * 58


def test_an_empty_sheet_is_refused() -> None:
    for columns in (0, -3, 101):
        with pytest.raises(UsageError, match=f"sheet of {columns} columns, .* 1 to 100"):
            class_sheet(LINEAR, columns, 0)
        with pytest.raises(UsageError, match=f"sheet of {columns} columns, .* 1 to 100"):
            dimension_sheet(LINEAR, columns, 0, [3])
    for seed in (-1, 2**64):
        with pytest.raises(UsageError, match=f"seed is {seed}, "):
            class_sheet(LINEAR, 2, seed)
    with pytest.raises(UsageError, match="no dimensions"):
        dimension_sheet(LINEAR, 3, 0, [])
