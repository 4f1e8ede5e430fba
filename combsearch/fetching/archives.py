r"""Read the files in an archive: .deb, .zip and .tar in whatever way it is packed.

Nothing is unpacked here: a name in an archive is only compared with names that are wanted,
never used as a path. Links, devices and folders are passed over.

A .deb is an ``ar`` archive (man page deb(5)): ``!<arch>\n``, then members, each with a
header of 60 bytes, padded to an even length:

    name 16 | time 12 | user 6 | group 6 | mode 8 | size 10 | "`\n"        text, spaces behind

of which ``data.tar`` (.gz, .xz, ...) holds the package's files.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.tasks.images.content import read_most

_AR = b"!<arch>\n"
_HEADER = 60
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # zipfile: encrypted
    NotImplementedError,  # zipfile: a method it does not know
    ValueError,
    OverflowError,
    MemoryError,  # tarfile: a header that claims to be huge
)


@dataclass(frozen=True)
class Member:
    """A regular file in an archive.

    Attributes:
        archive: path of the archive, for messages.
        name: with its folders, as the archive has it: no path to be used.
        file: its content, to be read before the next member is asked for.
    """

    archive: Path
    name: str
    file: IO[bytes]

    @property
    def base(self) -> str:
        """The name without folders."""
        return self.name.replace("\\", "/").rpartition("/")[2]

    def read(self, most: int) -> bytes:
        """The content.

        Raises:
            CorruptDataError: it is longer than ``most`` bytes, or the archive is damaged.
        """
        with _one_line(self.archive):
            data = read_most(self.file, most + 1)
            if len(data) > most:
                shown = self.name[:80]
                raise CorruptDataError(f"{shown!r} has more than the {most:,} bytes expected")
        return data


def members(path: Path) -> Iterator[Member]:
    """The regular files in the archive ``path``, in its order.

    Raises:
        UsageError: it cannot be read, or is no archive of a kind that is known.
        CorruptDataError: it is damaged.
    """
    with _one_line(path), path.open("rb") as file:
        if file.read(len(_AR)) == _AR:
            damaged = CorruptDataError("its data.tar is damaged")
            yield from _tar_members(path, io.BytesIO(_data_tar(file)), damaged)
            return
        file.seek(0)
        if zipfile.is_zipfile(file):
            yield from _zip_members(path, file)
            return
        file.seek(0)
        unknown = UsageError("expected a .deb, .zip, .tar, .tar.gz, .tgz or .tar.xz")
        yield from _tar_members(path, file, unknown)


def _tar_members(path: Path, file: IO[bytes], refusal: CombsearchError) -> Iterator[Member]:
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(tarfile.open(fileobj=file, mode="r:*"))
        except tarfile.ReadError as error:
            raise refusal from error
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                with content:
                    yield Member(path, member.name, content)


def _zip_members(path: Path, file: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as content:
                    yield Member(path, member.filename, content)


def _data_tar(file: IO[bytes]) -> bytes:
    """The archive of the package's files inside a .deb that is read up to its first member."""
    while header := file.read(_HEADER):
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
            raise CorruptDataError("a header of the .deb is damaged")
        name = header[:16].decode("latin-1").strip().rstrip("/")
        if name.endswith(".zst") and name.startswith("data.tar"):
            raise UsageError(
                "its files are packed by zstd; unpack it (dpkg-deb -x FILE FOLDER) and name the "
                "folder that holds the data set by --folder"
            )
        if name.startswith("data.tar"):
            data = read_most(file, int(size))
            if len(data) < int(size):
                raise CorruptDataError(f"{name} has {len(data):,} bytes, expected {int(size):,}")
            return data
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise CorruptDataError("the .deb has no data.tar")


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Name the archive in every error of the block."""
    try:
        yield
    except (UsageError, CorruptDataError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptDataError(f"{path} is damaged: {reason[:100]}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
