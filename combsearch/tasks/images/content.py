"""The content of a file, unpacked where it is a .gz, and never more of it than is asked for."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from combsearch.errors import CorruptDataError, UsageError

CHUNK = 2**20


def find_file(folder: Path, name: str) -> Path | None:
    """``name`` or ``name.gz`` in ``folder``, whichever is there."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The content of ``path``, a regular file, unpacked when its name ends in .gz.

    Raises:
        UsageError: it cannot be opened or read, or is no regular file.
        CorruptDataError: it is a .gz that is damaged or ends too early.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is a folder, pipe or device, expected a regular file")
        with path.open("rb") as packed:
            if path.suffix == ".gz":
                with gzip.open(packed) as file:
                    yield cast("IO[bytes]", file)
            else:
                yield packed
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptDataError(
            f"{path} is damaged: expected a whole gzip file, found: {error}"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def chunks(file: IO[bytes], most: int) -> Iterator[bytes]:
    """The next ``most`` bytes in pieces, fewer where the file ends.

    No memory is set aside for bytes that a file only promises.
    """
    while most > 0 and (data := file.read(min(most, CHUNK))):
        most -= len(data)
        yield data


def read_most(file: IO[bytes], most: int) -> bytes:
    """The next ``most`` bytes, fewer where the file ends."""
    return b"".join(chunks(file, most))
