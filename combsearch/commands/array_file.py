"""Open a file of numpy's arrays and check what its header says; never a pickle."""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import IO, Any

import numpy as np

from combsearch.errors import UsageError

MAGIC = b"\x93NUMPY"
"""How an .npy file begins."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]
"""Shape, whether in Fortran's order, and dtype."""


def open_regular(path: Path, kinds: str) -> IO[bytes]:
    """Open a regular file, which should be one of ``kinds``, such as ``".npy or .npz"``.

    Raises:
        UsageError: it is anything else: a folder, or a pipe that would block.
        OSError: it cannot be opened.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError(f"found a folder, expected an {kinds} file")
    if not stat.S_ISREG(mode):
        raise UsageError("found a pipe or device, expected a regular file")
    return path.open("rb")


def read_header(stream: IO[bytes]) -> Header:
    """The header of an array of real numbers, at which ``stream`` stands.

    Raises:
        UsageError: it is damaged, or of something else.
    """
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
    return shape, fortran, dtype


def check_size(header: Header, found: int) -> None:
    """Raise ``UsageError`` unless ``found`` bytes are the array's."""
    shape, _, dtype = header
    expected = math.prod(shape) * dtype.itemsize
    if found != expected:
        raise UsageError(f"found {found} bytes of numbers, expected {expected}: it is damaged")
