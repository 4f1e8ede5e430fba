"""Read points, or some of them, from numpy's .npy, or key x of an .npz; never a pickle."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from combsearch.commands.array_file import MAGIC, Header, check_size, open_regular, read_header
from combsearch.errors import UsageError

KEY = "x"
"""Of an .npz."""


def read_points(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The array [n, ...] of real numbers in a file; values are not looked at.

    Of an .npy only the rows that are used are read: it stays on disk. An .npz is read whole.

    Raises:
        UsageError: one line that names the file, what was found in it and what was expected.
    """
    try:
        with open_regular(Path(path), ".npy or .npz") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers of Python 2, and odd literals
            start = file.read(len(MAGIC))
            file.seek(0)
            if start.startswith(b"PK"):
                return _from_archive(file)
            if start != MAGIC:
                raise UsageError("found something else, expected an .npy or an .npz with key x")
            return _mapped(file)
    except UsageError as error:
        raise UsageError(f"points {str(path)!r}: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"points {str(path)!r}: cannot be read ({reason})") from error


def _mapped(file: IO[bytes]) -> npt.NDArray[Any]:
    shape, fortran, dtype = _header(file, os.fstat(file.fileno()).st_size)
    order = "F" if fortran else "C"
    return np.memmap(file, dtype, "r", file.tell(), shape, order)  # type: ignore[call-overload,no-any-return]


def _from_archive(file: IO[bytes]) -> npt.NDArray[Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if KEY not in members:
                held = ", ".join(map(repr, sorted(members)[:8])) or "none"
                raise UsageError(f"no key {KEY!r} (keys found: {held})")
            with archive.open(members[KEY]) as stream:
                _header(stream, archive.getinfo(members[KEY]).file_size)
            with archive.open(members[KEY]) as stream:
                array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
                stream.read(1)  # at the end of the member zipfile compares the checksum
                return array
    except (UsageError, OSError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and numpy fail in many ways on damaged bytes
        raise UsageError(f"the archive is damaged ({type(error).__name__})") from error


def _header(stream: IO[bytes], size: int) -> Header:
    """The header of an array of points, ``size`` bytes with the header."""
    header = read_header(stream)
    shape = header[0]
    if len(shape) < 2 or min(shape) < 1:
        raise UsageError(
            f"found shape {list(shape)}, expected [n, ...], a point a row, with no axis empty"
        )
    check_size(header, size - stream.tell())
    return header
