"""Read points from numpy's .npz: keys x, y and, together, x_test, y_test; others are ignored.

The zip archive and the headers of its arrays are read here, so that sizes and
dtypes are known to be sane before memory is taken, and nothing is unpickled.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from typing import IO

import numpy as np

from combsearch.errors import UsageError
from combsearch.registry import nearest
from combsearch.tasks.raw_points import Numbers, RawPoints

KEYS = ("x", "y", "x_test", "y_test")
AXES = {1: "[n]", 2: "[n, in]"}
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(file: IO[bytes]) -> tuple[RawPoints, RawPoints | None]:
    """The training points and, where the file has them, the test points.

    Raises:
        UsageError: naming the key that is missing or wrong, what was expected
            and what was found.
    """
    with _open_archive(file) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        _check_keys(list(members))
        train = _points(archive, members, "x", "y")
        if "x_test" not in members:
            return train, None
        test = _points(archive, members, "x_test", "y_test")
    if test.x.shape[1] != train.x.shape[1]:
        raise UsageError(
            f"key 'x_test': found {test.x.shape[1]} columns, expected the {train.x.shape[1]} of 'x'"
        )
    return train, test


def _open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    start = file.read(6)
    file.seek(0)
    if not start:
        raise UsageError("the file is empty, expected an .npz archive")
    if start == b"\x93NUMPY":
        raise UsageError("found a single array (.npy), expected an .npz with keys x and y")
    if not start.startswith(b"PK"):
        raise UsageError("found no zip archive, expected an .npz as numpy.savez writes it")
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # a damaged directory fails in many ways inside zipfile
        raise UsageError(f"the archive is cut short or damaged ({_why(error)})") from error


def _check_keys(found: list[str]) -> None:
    needed = KEYS if "x_test" in found or "y_test" in found else KEYS[:2]
    for key in needed:
        if key not in found:
            held = ", ".join(repr(name) for name in sorted(found)[:8]) or "none"
            raise UsageError(f"no key {key!r}{nearest(key, found)} (keys found: {held})")


def _points(archive: zipfile.ZipFile, members: dict[str, str], x_key: str, y_key: str) -> RawPoints:
    x = _array(archive, members[x_key], x_key, 2)
    y = _array(archive, members[y_key], y_key, 1)
    if len(x) != len(y):
        raise UsageError(f"key {y_key!r}: found {len(y)} labels, expected {len(x)}, one a row of x")
    return RawPoints(
        x,
        y,
        lambda row, column: f"key {x_key!r}, {x_key}[{row}, {column}]",
        lambda row: f"key {y_key!r}, {y_key}[{row}]",
    )


def _array(archive: zipfile.ZipFile, member: str, key: str, ndim: int) -> Numbers:
    """One array with ``ndim`` axes of real numbers, none of length 0."""
    try:
        # numpy's header parser warns about headers of Python 2 and odd literals.
        with warnings.catch_warnings(), archive.open(member) as stream:
            warnings.simplefilter("ignore")
            _check_header(stream, archive.getinfo(member).file_size, key, ndim)
        with warnings.catch_warnings(), archive.open(member) as stream:
            warnings.simplefilter("ignore")
            array: Numbers = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # at the end of the member zipfile compares the checksum
            return array
    except UsageError:
        raise
    except Exception as error:  # zipfile, zlib and numpy fail in many ways on damaged bytes
        raise UsageError(f"key {key!r} is damaged ({_why(error)})") from error


def _check_header(stream: IO[bytes], size: int, key: str, ndim: int) -> None:
    """Raise unless the member of ``size`` bytes is an array of numbers of the right shape."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise UsageError(f"key {key!r}: found version {version} of .npy, expected 1.0 or 2.0")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise UsageError(
            f"key {key!r}: found Python objects (a pickle, which is never loaded), expected numbers"
        )
    if dtype.kind not in "biuf":
        raise UsageError(f"key {key!r}: found dtype {dtype}, expected real numbers")
    if len(shape) != ndim or 0 in shape:
        raise UsageError(
            f"key {key!r}: found shape {list(shape)}, expected {AXES[ndim]} with no axis empty"
        )
    expected = math.prod(shape) * dtype.itemsize
    if size - stream.tell() != expected:
        raise UsageError(
            f"key {key!r}: found {size - stream.tell()} bytes of numbers, expected {expected}"
        )


def _why(error: Exception) -> str:
    """The error on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
