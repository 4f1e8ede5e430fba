"""What is known of an image data set: its files, their formats, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Format = Literal["idx", "cifar-binary", "cifar-python", "folders"]


@dataclass(frozen=True)
class DataFile:
    """A file of a data set: its name, and the size in bytes and md5 of its unpacked content.

    ``size`` is None where nobody states it.
    """

    name: str
    size: int | None
    md5: str


@dataclass(frozen=True)
class Layout:
    """One format that a data set comes in.

    Attributes:
        format: which reader takes it.
        train: files of the training set (``idx``: images, labels), in order.
        test: files of the test set.
        key: the file (``folders``: the folder) that shows that a folder has this layout.
    """

    format: Format
    train: tuple[DataFile, ...]
    test: tuple[DataFile, ...]
    key: str

    @property
    def files(self) -> tuple[DataFile, ...]:
        """All files; none for image folders, whose files are counted instead."""
        return (*self.train, *self.test)


@dataclass(frozen=True)
class Download:
    """A file at its publisher's.

    Attributes:
        name: what it is called there.
        urls: where it is, the publisher's own address first.
        algorithm: ``md5`` or ``sha256``.
        checksum: of the file as it is sent.
    """

    name: str
    urls: tuple[str, ...]
    algorithm: Literal["md5", "sha256"]
    checksum: str


@dataclass(frozen=True)
class DataSet:
    """An image data set.

    Attributes:
        name: what users type.
        title: what people call it.
        channels: 1 grey, 3 red, green and blue.
        side: height and width in pixels.
        classes: number of classes of the whole data set.
        class_names: by class; empty where the files tell them.
        sizes: images of the whole training and test set.
        mean: by channel, over all pixels of the training set scaled to 0..1.
        deviation: the standard deviation of the same.
        flip: whether training usually flips its images left to right.
        pad: black pixels around the image from which training usually crops.
        layouts: the formats that it comes in.
        places: folders below a root in which it is looked for, the first is where
            ``combsearch data fetch`` puts it.
        downloads: by source, the files to get; ``public`` is the publisher.
    """

    name: str
    title: str
    channels: int
    side: int
    classes: int
    class_names: tuple[str, ...]
    sizes: tuple[int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    flip: bool
    pad: int
    layouts: tuple[Layout, ...]
    places: tuple[str, ...]
    downloads: Mapping[str, tuple[Download, ...]]
