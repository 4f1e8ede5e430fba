"""Image data sets: readers of the original formats, ImageSet, and what is said of bad files.

The pieces in tests/image_files are true images; a few more lie beside the checkout.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from combsearch.errors import UsageError
from combsearch.tasks import load_task
from combsearch.tasks.images import DATA_SETS, ImageSet, find, load_images
from combsearch.tasks.images.cifar_python import read_cifar_python
from combsearch.tasks.images.image_folders import read_image

PIECES = Path(__file__).parent / "image_files"
SIZES = {
    "fashion-mnist": (20, 10, (1, 28, 28), 10),
    "cifar10": (6, 4, (3, 32, 32), 10),
    "cifar100": (5, 3, (3, 32, 32), 100),
    "tiny-imagenet": (6, 3, (3, 64, 64), 3),
}


@pytest.mark.parametrize("name", list(SIZES))
def test_true_pieces_are_read(name: str) -> None:
    train, test, shape, classes = SIZES[name]
    images = load_images(name, PIECES)
    assert images.x.shape == (train, *shape) and images.x_test.shape == (test, *shape)
    assert images.y.shape == (train,) and images.y_test.shape == (test,)
    assert images.classes == classes == len(images.class_names)
    assert images.x.dtype == images.y.dtype == np.uint8
    assert images.x.min() < 30 and images.x.max() > 200


def test_fashion_mnist_begins_with_an_ankle_boot() -> None:
    images = load_images("fashion-mnist", PIECES)
    assert [images.class_names[y] for y in images.y[:3]] == ["ankle boot", *["t-shirt/top"] * 2]
    assert images.x[0, 0, :3].max() == 0 and images.x[0, 0, 14:].mean() > 80  # the boot is low


def test_cifar_begins_with_a_frog_and_planes_are_planes() -> None:
    images = load_images("cifar10", PIECES)
    assert [images.class_names[y] for y in images.y] == [
        *("frog", "truck", "truck", "deer", "automobile", "automobile")
    ]
    assert [images.class_names[y] for y in images.y_test] == ["cat", "ship", "ship", "airplane"]
    raw = (PIECES / "cifar10" / "data_batch_1.bin").read_bytes()
    assert images.x[1, 2, 5, 7] == raw[3073 + 1 + 2 * 1024 + 5 * 32 + 7]
    # Neighbours in a row and in a column are alike: the axes are height and width.
    x = images.x.astype(float)
    for axis in (2, 3):
        assert np.abs(np.diff(x, axis=axis)).mean() < np.abs(x - x.mean()).mean() / 2


def test_python_batches_are_what_pickle_reads() -> None:
    path = PIECES / "cifar-100-python" / "train"
    x, y = read_cifar_python(path)
    with path.open("rb") as file:
        batch = pickle.load(file, encoding="latin1")  # noqa: S301  # of this repository
    np.testing.assert_array_equal(x.reshape(len(x), -1), batch["data"])
    assert y.tolist() == batch["fine_labels"]


def test_folders_are_read_in_order_and_grey_becomes_three_planes() -> None:
    images = load_images("tiny-imagenet", PIECES)
    assert images.class_names == (
        *("bullfrog, Rana catesbeiana", "plunger, plumber's helper", "lemon"),
    )
    assert images.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(images.y_test.tolist()) == [0, 1, 2]
    first = PIECES / "tiny-imagenet-200/train/n01641577/images/n01641577_8.JPEG"
    np.testing.assert_array_equal(images.x[0], read_image(first))
    grey = PIECES / "tiny-imagenet-200/train/n03970156/images/n03970156_1.JPEG"
    with Image.open(grey) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(images.x[2], np.asarray(image)[None].repeat(3, axis=0))
    with Image.open(first) as image:
        np.testing.assert_array_equal(read_image(first).transpose(1, 2, 0), np.asarray(image))


LARGER = {
    "cifar10": ("cifar10-small", 1000, 500),
    "cifar100": ("cifar100", 486, 916),
    "tiny-imagenet": ("tiny-imagenet-200", 500, 200),
}


@pytest.mark.parametrize("name", list(LARGER))
def test_larger_pieces_have_about_the_mean_and_deviation_of_the_set(
    name: str, shared: Path
) -> None:
    folder, train, test = LARGER[name]
    images = load_images(name, shared / "data" / folder)
    assert (len(images.x), len(images.x_test)) == (train, test)
    normal = images.normalised(images.x)
    np.testing.assert_allclose(normal.mean(axis=(0, 2, 3)), 0, atol=0.1)
    np.testing.assert_allclose(normal.std(axis=(0, 2, 3)), 1, atol=0.05)


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_the_whole_set_has_the_mean_and_deviation_of_the_table(name: str) -> None:
    found = find(DATA_SETS[name])
    if found is None:
        pytest.skip(f"{name} was not fetched")
    images = load_images(name)
    if len(images.x) < DATA_SETS[name].sizes[0]:
        pytest.skip(f"a piece of {name}")
    for c in range(images.channels):
        counts = np.bincount(images.x[:, c].ravel(), minlength=256)
        value = np.arange(256) / 255
        mean = (counts * value).sum() / counts.sum()
        deviation = np.sqrt((counts * (value - mean) ** 2).sum() / counts.sum())
        assert mean == pytest.approx(images.mean[c], abs=6e-5)
        assert deviation == pytest.approx(images.deviation[c], abs=6e-5)


def test_the_piece_of_fashion_mnist_is_near_its_mean() -> None:
    images = load_images("fashion-mnist", PIECES)
    normal = images.normalised(images.x)
    assert abs(normal.mean()) < 0.3 and 0.7 < normal.std() < 1.3


# ---- ImageSet -------------------------------------------------------------------------


def some_images(**changes: Any) -> ImageSet:
    x = np.arange(3 * 2 * 4 * 5, dtype=np.uint8).reshape(3, 2, 4, 5)
    good = dict(
        name="some",
        x=x,
        y=np.array([0, 1, 2], np.uint8),
        x_test=x[:1],
        y_test=np.array([2], np.uint8),
        classes=3,
        class_names=(),
        mean=(0.25, 0.5),
        deviation=(0.5, 0.125),
    )
    return ImageSet(**{**good, **changes})


def test_normalised_by_its_formula() -> None:
    images = some_images()
    found = images.normalised(images.x)
    for c, (mean, deviation) in enumerate(((0.25, 0.5), (0.5, 0.125))):
        expected = (images.x[:, c].astype(np.float64) / 255 - mean) / deviation
        np.testing.assert_array_equal(found[:, c], expected.astype(np.float32))
    # Any leading axes will do: copies, batches, one image.
    np.testing.assert_array_equal(images.normalised(images.x[None]), found[None])
    np.testing.assert_array_equal(images.normalised(images.x[1]), found[1])


def test_a_task_is_the_normalised_images_flat() -> None:
    images = some_images()
    task = images.task()
    assert task.x.shape == (3, 40) and task.inputs == 40 and task.classes == 3
    np.testing.assert_array_equal(task.x.reshape(images.x.shape), images.normalised(images.x))
    assert task.y_test is not None and task.y_test.tolist() == [2]


def test_load_task_takes_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(PIECES / "fashion-mnist", tmp_path / "fashion-mnist")
    monkeypatch.setenv("COMBSEARCH_DATA", str(tmp_path))
    task = load_task("fashion-mnist")
    assert (task.points, task.inputs, task.classes) == (20, 784, 10)
    with pytest.raises(UsageError, match=r"data set 'mnist' is not there.*data fetch mnist"):
        load_task("mnist")
    with pytest.raises(UsageError, match=r"or an image data set .fashion-mnist, mnist"):
        load_task("fashion")


BAD_SETS: list[tuple[dict[str, Any], str]] = [
    ({"x": np.zeros((3, 2, 4), np.uint8)}, r"x must be uint8 \[n, chan.*found uint8 \[3, 2, 4\]"),
    ({"x": np.zeros((3, 2, 4, 5))}, "x must be uint8.*found float64"),
    ({"x": [[1]]}, "x must be uint8.*found list"),
    ({"x": np.zeros((0, 2, 4, 5), np.uint8)}, "at least one image"),
    ({"y": np.zeros(3)}, r"y must be uint8 \[n\].*found float64"),
    ({"y": np.zeros(2, np.uint8)}, "x has 3 images, y has 2 labels"),
    ({"y": np.array([0, 3, 1], np.uint8)}, r"y\[1\] is 3, valid classes are 0 to 2"),
    ({"y_test": np.array([9], np.uint8)}, r"y_test\[0\] is 9"),
    ({"x_test": np.zeros((1, 2, 5, 5), np.uint8)}, "images of one shape"),
    ({"mean": (0.5,)}, "mean has 1 values for 2 channels"),
    ({"deviation": (0.5, 0.0)}, "every deviation must be positive, found 0.0"),
    ({"class_names": ("a",)}, "1 class names for 3 classes"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_SETS)
def test_a_bad_set_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"images 'some': .*{message}"):
        some_images(**changes)


def test_normalised_refuses_what_is_no_image() -> None:
    with pytest.raises(UsageError, match="normalised takes uint8"):
        some_images().normalised(np.zeros((3, 1, 4, 5), np.uint8))


# ---- where a data set lies --------------------------------------------------------------


def test_unknown_and_absent_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown image data set 'cifar', did you mean 'cifar10'"):
        load_images("cifar", tmp_path)
    with pytest.raises(
        UsageError, match=r"no test_batch.bin or test_batch in .*data fetch cifar10"
    ):
        load_images("cifar10", tmp_path)


def test_the_folder_may_be_the_sets_own_or_that_of_all_sets() -> None:
    for folder in (PIECES, PIECES / "cifar10"):
        assert len(load_images("cifar10", folder).x) == 6
    assert len(load_images("cifar100", PIECES / "cifar-100-python").x) == 5


def test_the_environment_names_the_root_and_home_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(PIECES / "cifar10", tmp_path / ".cache/combsearch/data/cifar10")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COMBSEARCH_DATA", raising=False)
    assert len(load_images("cifar10").x) == 6
    monkeypatch.setenv("COMBSEARCH_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(UsageError, match="elsewhere/cifar10"):
        load_images("cifar10")


def test_import_stays_light() -> None:
    code = (
        "import sys, combsearch.tasks.images;"
        "print([m for m in ('torch', 'numba', 'scipy', 'PIL', 'matplotlib', 'urllib.request') "
        "if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
