"""Read points, or some of them, from numpy's .npy, or key x of an .npz; never a pickle."""

from __future__ import annotations

import math
import os
import stat
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

KEY = "x"
"""Of an .npz."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_points(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The array [n, ...] of real numbers in a file; values are not looked at.

    Of an .npy only the rows that are used are read: it stays on disk. An .npz is read whole.

    Raises:
        UsageError: one line that names the file, what was found in it and what was expected.
    """
    try:
        with _open(Path(path)) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers of Python 2, and odd literals
            start = file.read(6)
            file.seek(0)
            if start.startswith(b"PK"):
                return _from_archive(file)
            if start != b"\x93NUMPY":
                raise UsageError("found something else, expected an .npy or an .npz with key x")
            return _mapped(file)
    except UsageError as error:
        raise UsageError(f"points {str(path)!r}: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"points {str(path)!r}: cannot be read ({reason})") from error


def _open(path: Path) -> IO[bytes]:
    """Open a regular file; anything else (a folder, a pipe that would block) is refused."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError("found a folder, expected an .npy or .npz file")
    if not stat.S_ISREG(mode):
        raise UsageError("found a pipe or device, expected a regular file")
    return path.open("rb")


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


def _header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and dtype of an array of ``size`` bytes, header too."""
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise UsageError(f"found version {version} of .npy, expected 1.0 or 2.0")
        shape, fortran, dtype = _HEADERS[version](stream)
    except UsageError:
        raise
    except Exception as error:  # numpy's parser fails in many ways on damaged bytes
        raise UsageError(f"its header is damaged ({type(error).__name__})") from error
    if dtype.hasobject:
        raise UsageError("found Python objects (a pickle, which is never loaded), expected numbers")
    if dtype.kind not in "biuf":
        raise UsageError(f"found dtype {dtype}, expected real numbers")
    if len(shape) < 2 or min(shape) < 1:
        raise UsageError(
            f"found shape {list(shape)}, expected [n, ...], a point a row, with no axis empty"
        )
    found, expected = size - stream.tell(), math.prod(shape) * dtype.itemsize
    if found != expected:
        raise UsageError(f"found {found} bytes of numbers, expected {expected}: it is damaged")
    return shape, fortran, dtype
