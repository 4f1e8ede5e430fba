"""A task from the user's own file: an .npz with keys x and y, or a CSV.

The numbers stay as they are, only rounded to float32: nothing is standardised,
shuffled or split. Networks train best on inputs of about unit size, so scale
them before saving, and keep whatever scaling the held-out points need.
Labels are 0 and 1; 0.0 and 1.0 will do.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.tasks.base import Task
from combsearch.tasks.csv_file import read_csv
from combsearch.tasks.npz_file import read_npz
from combsearch.tasks.raw_points import RawPoints

SUFFIXES = (".npz", ".csv")


def task_from_file(path: str | os.PathLike[str]) -> Task:
    """The task in a file, named after the file without its suffix.

    .npz: x [n, in] and y [n] of any real dtype, optionally x_test [m, in] and
    y_test [m]. .csv: see ``combsearch.tasks.csv_file``. Never unpickles.

    Raises:
        UsageError: one line that names the file, the line or key that is
            wrong, what was expected there and what was found.
    """
    where = Path(path)
    try:
        with _open(where) as file:
            if where.name.lower().endswith(".npz"):
                train, test = read_npz(file)
            elif where.name.lower().endswith(".csv"):
                train, test = read_csv(file.read()), None
            else:
                raise UsageError(f"expected a file ending in {' or '.join(SUFFIXES)}")
        x_test = y_test = None
        if test is not None:
            x_test, y_test = test.inputs(), test.labels()
        return Task(where.stem, train.inputs(), _both_classes(train), x_test, y_test)
    except UsageError as error:
        raise UsageError(f"task file {str(path)!r}: {error}") from error
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"task file {str(path)!r}: cannot be read ({reason})") from error


def _open(path: Path) -> IO[bytes]:
    """Open a regular file; anything else (a folder, a pipe that would block) is refused."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError("found a folder, expected a file")
    if not stat.S_ISREG(mode):
        raise UsageError("found a pipe or device, expected a regular file")
    return path.open("rb")


def _both_classes(train: RawPoints) -> npt.NDArray[np.uint8]:
    """The training labels [n]; UsageError unless there are two points and both classes."""
    y = train.labels()
    if len(y) < 2:
        raise UsageError("found 1 point, expected at least 2, one of each class")
    if y.min() == y.max():
        raise UsageError(f"found only points of class {y[0]}, expected both classes, 0 and 1")
    return y
