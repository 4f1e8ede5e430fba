"""Load an image data set by name, in whichever of its formats it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError, UsageError
from combsearch.registry import lookup
from combsearch.tasks.images import image_folders
from combsearch.tasks.images.catalogue import DATA_SETS
from combsearch.tasks.images.cifar_binary import read_cifar_binary
from combsearch.tasks.images.cifar_python import read_cifar_python
from combsearch.tasks.images.content import find_file
from combsearch.tasks.images.data_set import DataFile, DataSet, Format
from combsearch.tasks.images.idx_file import read_idx
from combsearch.tasks.images.image_set import ImageSet
from combsearch.tasks.images.places import Found, locate

U8 = npt.NDArray[np.uint8]
Parts = tuple[U8, U8]

CIFAR10_CLASSES = 10


def load_images(name: str, folder: str | os.PathLike[str] | None = None) -> ImageSet:
    """The data set called ``name``, a key of ``DATA_SETS``.

    A piece of a data set, with fewer images in its files, is loaded as it is. Checksums are
    not compared, ``combsearch data check`` does that.

    Args:
        name: such as ``"fashion-mnist"``.
        folder: the data set's, or one that holds it; None looks in the usual places.

    Raises:
        UsageError: an unknown name, or the data set is not there.
        CorruptDataError: a file is damaged, or one of a whole data set is missing.
    """
    data_set = lookup("image data set", name, DATA_SETS)
    found = locate(data_set, folder)
    return _READERS[found.layout.format](data_set, found)


def _image_set(
    data_set: DataSet, train: Parts, test: Parts, names: tuple[str, ...] | None = None
) -> ImageSet:
    names = data_set.class_names if names is None else names
    return ImageSet(
        data_set.name,
        *train,
        *test,
        len(names),
        names,
        data_set.mean,
        data_set.deviation,
        data_set.flip,
        data_set.pad,
    )


def _load_idx(data_set: DataSet, found: Found) -> ImageSet:
    def read(files: tuple[DataFile, ...]) -> Parts:
        images, labels = (_present(found.folder, file.name) for file in files)
        x, y = read_idx(images, 3), read_idx(labels, 1)
        if len(x) != len(y):
            raise CorruptDataError(f"{images} has {len(x)} images, {labels} has {len(y)} labels")
        if x.shape[1:] != (data_set.side, data_set.side) or not len(x):
            size = " x ".join(map(str, x.shape))
            side = data_set.side
            raise CorruptDataError(f"{images}: expected n x {side} x {side}, found {size}")
        _check_labels(labels, y, data_set.classes)
        return x[:, None], y

    return _image_set(data_set, read(found.layout.train), read(found.layout.test))


def _load_cifar(data_set: DataSet, found: Found) -> ImageSet:
    def read(files: tuple[DataFile, ...], whole: int) -> Parts:
        batches = []
        for path in _batches(found.folder, files):
            if found.layout.format == "cifar-python":
                batch = read_cifar_python(path)
            else:
                batch = read_cifar_binary(path, 1 if data_set.classes == CIFAR10_CLASSES else 2)
            _check_labels(path, batch[1], data_set.classes)
            batches.append((path, batch))
        _check_whole(found.folder, files, {p: len(y) for p, (_, y) in batches}, whole)
        x, y = zip(*(batch for _, batch in batches), strict=True)
        return np.concatenate(x), np.concatenate(y)

    train, test = data_set.sizes
    return _image_set(data_set, read(found.layout.train, train), read(found.layout.test, test))


def _load_folders(data_set: DataSet, found: Found) -> ImageSet:
    classes = image_folders.class_folders(found.folder)
    if len(classes) > data_set.classes:
        raise CorruptDataError(
            f"{found.folder / 'train'} has {len(classes)} classes, expected {data_set.classes}"
        )
    train = image_folders.train_files(found.folder, classes)
    test = image_folders.test_files(found.folder, classes)
    if not train or not test:
        raise CorruptDataError(f"{found.folder}: {len(train)} images in train, {len(test)} in val")
    return _image_set(
        data_set,
        image_folders.read_images(train),
        image_folders.read_images(test),
        image_folders.class_words(found.folder, classes),
    )


_READERS: Mapping[Format, Callable[[DataSet, Found], ImageSet]] = MappingProxyType(
    {
        "idx": _load_idx,
        "cifar-binary": _load_cifar,
        "cifar-python": _load_cifar,
        "folders": _load_folders,
    }
)


def _present(folder: Path, name: str) -> Path:
    path = find_file(folder, name)
    if path is None:
        raise UsageError(f"{folder / name} is missing (plain, or packed as {name}.gz)")
    return path


def _batches(folder: Path, files: tuple[DataFile, ...]) -> list[Path]:
    """The batches that are there, at least one."""
    paths = [path for file in files if (path := find_file(folder, file.name))]
    return paths or [_present(folder, files[0].name)]


def _check_whole(
    folder: Path, files: tuple[DataFile, ...], sizes: dict[Path, int], whole: int
) -> None:
    """A piece of a data set may leave batches out, one with a whole batch may not.

    Args:
        folder: that of the batches.
        files: those of the whole data set.
        sizes: images in each batch that is there.
        whole: images in all of ``files`` together.
    """
    full = whole // len(files)
    if full not in sizes.values():
        return
    short = next((path for path, size in sizes.items() if size != full), None)
    if short is not None:
        raise CorruptDataError(
            f"{short} has {sizes[short]:,} images, expected {full:,} as in the other batches"
        )
    for file in files:
        if find_file(folder, file.name) is None:
            raise CorruptDataError(f"{folder / file.name} is missing, all other batches are whole")


def _check_labels(path: Path, y: U8, classes: int) -> None:
    if y.max(initial=0) >= classes:
        at = int(np.argmax(y >= classes))
        raise CorruptDataError(
            f"{path}: label {at} is {y[at]}, valid classes are 0 to {classes - 1}"
        )
