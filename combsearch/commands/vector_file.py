"""Read a vector from numpy's .npy: any shape, any real numbers, never a pickle."""

from __future__ import annotations

import math
import os
import stat
import warnings
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

_MAGIC = b"\x93NUMPY"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_vector(path: str | os.PathLike[str]) -> npt.NDArray[np.float64]:
    """The numbers of an .npy file as float64 [d], in the order of the file's array.

    Raises:
        UsageError: one line that names the file, what was found in it and what was expected.
    """
    try:
        with _open(Path(path)) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers of Python 2, and odd literals
            _check_header(file)
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)
        with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite
            values = np.asarray(array, dtype=np.float64).reshape(-1)
        _check_values(values, array.shape)
    except UsageError as error:
        raise UsageError(f"vector file {str(path)!r}: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"vector file {str(path)!r}: cannot be read ({reason})") from error
    return values


def _open(path: Path) -> IO[bytes]:
    """Open a regular file; anything else (a folder, a pipe that would block) is refused."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError("found a folder, expected an .npy file")
    if not stat.S_ISREG(mode):
        raise UsageError("found a pipe or device, expected a regular file")
    return path.open("rb")


def _check_header(file: IO[bytes]) -> None:
    """Raise unless the file is one array of real numbers, all of it there."""
    start = file.read(len(_MAGIC))
    file.seek(0)
    if start != _MAGIC:
        held = "an archive (.npz)" if start.startswith(b"PK") else "something else"
        raise UsageError(f"found {held}, expected one array as numpy.save writes it (.npy)")
    shape, dtype = _header(file)
    if dtype.hasobject:
        raise UsageError("found Python objects (a pickle, which is never loaded), expected numbers")
    if dtype.kind not in "biuf":
        raise UsageError(f"found dtype {dtype}, expected real numbers")
    found = os.fstat(file.fileno()).st_size - file.tell()
    expected = math.prod(shape) * dtype.itemsize
    if found != expected:
        raise UsageError(f"found {found} bytes of numbers, expected {expected}: it is damaged")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise UsageError(f"found version {version} of .npy, expected 1.0 or 2.0")
        shape, _, dtype = _HEADERS[version](file)
    except UsageError:
        raise
    except Exception as error:  # numpy's parser fails in many ways on damaged bytes
        raise UsageError(f"its header is damaged ({type(error).__name__})") from error
    return shape, dtype


def _check_values(values: npt.NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if not values.size:
        raise UsageError(f"it is empty (shape {list(shape)}), expected at least one number")
    finite = np.isfinite(values)
    if not finite.all():
        where = ", ".join(str(int(i)) for i in np.unravel_index(int(np.argmin(finite)), shape))
        value = values[np.argmin(finite)]
        raise UsageError(f"entry [{where}] is {value}, every number must be finite")
    if not values.any():
        raise UsageError("all its numbers are 0, expected at least one that is not")
