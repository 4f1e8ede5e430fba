"""Are the files of a data set there and whole? Sizes and checksums of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from combsearch.errors import CombsearchError
from combsearch.tasks.images import image_folders
from combsearch.tasks.images.content import chunks, find_file, opened
from combsearch.tasks.images.data_set import DataFile, DataSet
from combsearch.tasks.images.places import Found

Tell = Callable[[float, str], None]
"""Called with how much is done, 0 to 1, and what is being done."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file, or that nothing is.

    Attributes:
        path: the file.
        fault: what was expected and what was found; empty when it is as it must be.
    """

    path: Path
    fault: str

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.fault


def check(data_set: DataSet, found: Found, tell: Tell) -> list[Finding]:
    """One finding a file; for image folders, one a class and one for the test set.

    Args:
        data_set: what must be there.
        found: where it is, in which format.
        tell: told how far it is.
    """
    if found.layout.format == "folders":
        return list(_check_folders(data_set, found.folder, tell))
    findings = []
    for number, file in enumerate(found.layout.files):
        tell(number / len(found.layout.files), file.name)
        findings.append(check_file(found.folder, file))
    return findings


def check_file(folder: Path, file: DataFile) -> Finding:
    """Compare the content of ``file`` in ``folder`` with its size and checksum."""
    path = find_file(folder, file.name)
    if path is None:
        return Finding(folder / file.name, "it is missing")
    try:
        size, md5 = _size_and_md5(path)
    except CombsearchError as error:
        return Finding(path, str(error))
    return Finding(path, fault_of(file, size, md5))


def fault_of(file: DataFile, size: int, md5: str) -> str:
    """What is wrong with a content of this size and md5, empty when nothing is."""
    if file.size is not None and size != file.size:
        word = "truncated" if size < file.size else "longer than it may be"
        return f"{word}: expected {file.size:,} bytes, found {size:,}"
    if md5 != file.md5:
        return f"damaged: expected md5 {file.md5}, found {md5}"
    return ""


def md5_of(data: bytes) -> str:
    """32 hex characters."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _size_and_md5(path: Path) -> tuple[int, str]:
    size, digest = 0, hashlib.md5(usedforsecurity=False)
    with opened(path) as file:
        for data in chunks(file, 2**40):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def _check_folders(data_set: DataSet, folder: Path, tell: Tell) -> Iterator[Finding]:
    """Every image is decoded: there are no checksums of single images."""
    train, test = data_set.sizes
    try:
        classes = image_folders.class_folders(folder)
        labelled = image_folders.train_files(folder, classes)
        held_out = image_folders.test_files(folder, classes)
    except CombsearchError as error:
        yield Finding(folder, str(error))
        return
    count = len(classes)
    yield Finding(folder / "train", _count_fault("classes", data_set.classes, count))
    for label, name in enumerate(classes):
        tell(label / (count + count / 10), f"train/{name}")
        paths = [path for path, owner in labelled if owner == label]
        yield _check_images(folder / "train" / name, paths, train // data_set.classes)
    tell(0.9, "val")
    yield _check_images(folder / "val", [path for path, _ in held_out], test)


def _check_images(folder: Path, paths: list[Path], expected: int) -> Finding:
    for path in paths:
        try:
            image_folders.read_image(path)
        except CombsearchError as error:
            return Finding(path, str(error))
    return Finding(folder, _count_fault("images", expected, len(paths)))


def _count_fault(what: str, expected: int, found: int) -> str:
    return "" if found == expected else f"expected {expected:,} {what}, found {found:,}"
