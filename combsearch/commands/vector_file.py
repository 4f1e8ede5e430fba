"""Read a vector from numpy's .npy: any shape, any real numbers, never a pickle."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from combsearch.commands.array_file import MAGIC, check_size, open_regular, read_header
from combsearch.errors import UsageError


def read_vector(path: str | os.PathLike[str]) -> npt.NDArray[np.float64]:
    """The numbers of an .npy file as float64 [d], in the order of the file's array.

    Raises:
        UsageError: one line that names the file, what was found in it and what was expected.
    """
    try:
        with open_regular(Path(path), ".npy") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers of Python 2, and odd literals
            _check_header(file)
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)
        # A long double beyond float64 becomes infinite; there are NaNs that complain when cast.
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(array, dtype=np.float64).reshape(-1)
        _check_values(values, array.shape)
    except UsageError as error:
        raise UsageError(f"vector file {str(path)!r}: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"vector file {str(path)!r}: cannot be read ({reason})") from error
    return values


def _check_header(file: IO[bytes]) -> None:
    """Raise unless the file is one array of real numbers, all of it there."""
    start = file.read(len(MAGIC))
    file.seek(0)
    if start != MAGIC:
        held = "an archive (.npz)" if start.startswith(b"PK") else "something else"
        raise UsageError(f"found {held}, expected one array as numpy.save writes it (.npy)")
    header = read_header(file)
    check_size(header, os.fstat(file.fileno()).st_size - file.tell())


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
