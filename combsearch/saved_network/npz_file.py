"""Networks as numpy's .npz: the arrays, and ``about`` as one text (an array without axes)."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from combsearch.saved_network.arrays import ARRAY, MAX_BYTES, Named

_ABOUT = "about"
_MAX_ABOUT = 2**20  # bytes of the text
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]], about: str | None) -> bytes:
    """The bytes of an .npz file; ``about`` is left out when None."""
    file = io.BytesIO()
    texts = {} if about is None else {_ABOUT: np.array(about)}
    np.savez(file, **{**arrays, **texts})  # type: ignore[arg-type]
    return file.getvalue()


def read_npz(path: Path) -> tuple[Named, str | None]:
    """The arrays that a network has, and ``about``; other members are ignored.

    Raises:
        Exception: of many kinds where the file is damaged, or holds something else.
    """
    left = MAX_BYTES
    named: Named = {}
    about: str | None = None
    with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
        warnings.simplefilter("ignore")  # numpy warns of odd headers, zipfile of doubled names
        for item in archive.infolist():
            name = item.filename.removesuffix(".npy")
            if name == _ABOUT:
                about = _text(_array(archive, item, _MAX_ABOUT))
            elif ARRAY.fullmatch(name):
                named[name] = _array(archive, item, left)
                left -= item.file_size
    return named, about


def _text(array: npt.NDArray[Any]) -> str:
    if array.ndim or array.dtype.kind != "U":
        raise ValueError(f"{_ABOUT} is {array.dtype} {array.shape}, expected one text")
    return str(array[()])


def _array(archive: zipfile.ZipFile, item: zipfile.ZipInfo, most: int) -> npt.NDArray[Any]:
    """One member, after its header has told that it is small enough and needs no pickle."""
    if item.file_size > most:
        raise ValueError(f"{item.filename} has {item.file_size} bytes, more than {most} are left")
    with archive.open(item) as stream:
        _check_header(stream, item)
    with archive.open(item) as stream:
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        stream.read(1)  # at the end of the member zipfile compares the checksum
        return array


def _check_header(stream: IO[bytes], item: zipfile.ZipInfo) -> None:
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"{item.filename} has version {version} of .npy, expected 1.0 or 2.0")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{item.filename} holds Python objects (a pickle, which is never loaded)")
    expected, found = math.prod(shape) * dtype.itemsize, item.file_size - stream.tell()
    if expected != found:
        raise ValueError(f"{item.filename} has {found} bytes of numbers, expected {expected}")
