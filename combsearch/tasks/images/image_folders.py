"""Read Tiny ImageNet: JPEG images of 64 x 64 in folders, some of them grey.

    train/<class>/images/<any>.JPEG      the training set; <class> is a WordNet number
    val/images/<name>.JPEG               the test set: that of the publisher has no labels
    val/val_annotations.txt              <name>.JPEG <tab> <class> <tab> a box, one a line
    words.txt                            <class> <tab> what it is called; may be absent

Classes are numbered in the order of their names, images come in the order of theirs (numbers
in a name by their value). Source: Stanford CS231n, Tiny ImageNet Visual Recognition Challenge.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError, UsageError

SIDE = 64

U8 = npt.NDArray[np.uint8]
Labelled = list[tuple[Path, int]]


def class_folders(folder: Path) -> list[str]:
    """The classes of ``folder``, in order.

    Raises:
        UsageError: there is none, or one folder in ``train`` cannot be read.
    """
    with _readable(folder / "train"):
        found = sorted(p.name for p in (folder / "train").iterdir() if (p / "images").is_dir())
    if not found:
        raise UsageError(f"{folder / 'train'} has no folder <class>/images with the images of it")
    return found


def train_files(folder: Path, classes: Sequence[str]) -> Labelled:
    """Every training image and its class, class by class."""
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in _images(folder / "train" / name / "images")
    ]


def test_files(folder: Path, classes: Sequence[str]) -> Labelled:
    """Every image that ``val_annotations.txt`` names and its class.

    Raises:
        CorruptDataError: a line names no image, one that is absent, or an unknown class.
    """
    annotations = folder / "val" / "val_annotations.txt"
    numbers = {name: label for label, name in enumerate(classes)}
    found = []
    with _readable(annotations):
        lines = annotations.read_text("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        name, _, rest = line.partition("\t")
        label = numbers.get(rest.partition("\t")[0])
        path = folder / "val" / "images" / name
        if re.fullmatch(r"\w+\.JPEG", name) is None or label is None:
            raise CorruptDataError(
                f"{annotations} line {number}: expected an image and one of the {len(classes)} "
                f"classes of train, found {line[:60]!r}"
            )
        found.append((path, label))
    return sorted(found, key=lambda pair: _in_order(pair[0]))


def class_words(folder: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """What ``words.txt`` calls the classes; a class without words keeps its number."""
    path = folder / "words.txt"
    if not path.is_file():
        return tuple(classes)
    with _readable(path):
        lines = path.read_text("utf-8", "replace").splitlines()
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return tuple(words.get(name, name) for name in classes)


def read_images(files: Labelled) -> tuple[U8, U8]:
    """Images uint8 [n, 3, 64, 64] and their classes uint8 [n]."""
    x = np.empty((len(files), 3, SIDE, SIDE), np.uint8)
    for row, (path, _) in enumerate(files):
        x[row] = read_image(path)
    return x, np.array([label for _, label in files], np.uint8)


def read_image(path: Path) -> U8:
    """One image, uint8 [3, 64, 64]; grey becomes three equal planes.

    Raises:
        CorruptDataError: it is no whole JPEG of this size.
        UsageError: it cannot be read.
    """
    from PIL import Image

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below
            with Image.open(file, formats=["JPEG"]) as image:
                if image.size != (SIDE, SIDE):
                    found = " x ".join(map(str, image.size))
                    raise CorruptDataError(f"{path} has {found} pixels, expected {SIDE} x {SIDE}")
                pixels = np.asarray(image.convert("RGB"), np.uint8)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()).replace(str(path), "it")[:100]
        raise CorruptDataError(f"{path} is no whole JPEG: {reason}") from error
    return pixels.transpose(2, 0, 1)


def _images(folder: Path) -> list[Path]:
    with _readable(folder):
        return sorted((p for p in folder.iterdir() if p.suffix == ".JPEG"), key=_in_order)


def _in_order(path: Path) -> tuple[tuple[int, str], ...]:
    """``n01_9`` before ``n01_10``."""
    return tuple(
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"([0-9]+)", path.name)
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into one line."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
