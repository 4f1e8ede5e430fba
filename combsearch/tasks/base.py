"""Task: the points that a network has to tell apart.

x       float32 [n, in]    one point a row, every value finite
y       uint8   [n]        its class, 0 .. classes - 1
x_test  float32 [m, in]    held-out points in the same columns, or None
y_test  uint8   [m]        their classes; given exactly when x_test is

Where rows are images, ``augmentation`` may say how training moves them; tests and scores never
do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.tasks.augmentation import Augmentation

MAX_CLASSES = 256  # y is uint8


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task; see the module for shapes and dtypes.

    Arrays that are not C-contiguous are copied once, everything else is kept
    as given. An augmentation that moves nothing becomes None. Two tasks are the
    same when their ``digest()`` is the same.

    Raises:
        UsageError: an array with another dtype or shape, no points, a value
            that is not finite, a label that is no class, half a test set, or an
            augmentation of other images than the rows of ``x`` can be.
    """

    name: str
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.uint8]
    x_test: npt.NDArray[np.float32] | None = None
    y_test: npt.NDArray[np.uint8] | None = None
    classes: int = 2
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError(f"a task's name must be a non-empty text, found {self.name!r}")
        if not 2 <= self.classes <= MAX_CLASSES:
            raise self._error(f"classes must be 2 to {MAX_CLASSES}, found {self.classes!r}")
        self._check("x", "y")
        self._check_augmentation()
        if self.x_test is None and self.y_test is None:
            return
        if self.x_test is None or self.y_test is None:
            raise self._error("x_test and y_test belong together, found only one of them")
        self._check("x_test", "y_test")
        if self.x_test.shape[1] != self.inputs:
            raise self._error(
                f"x_test must have the {self.inputs} columns of x, found {self.x_test.shape[1]}"
            )

    @property
    def points(self) -> int:
        """Number of training points, n."""
        return int(self.x.shape[0])

    @property
    def inputs(self) -> int:
        """Number of input columns."""
        return int(self.x.shape[1])

    def digest(self) -> str:
        """sha256 (64 hex characters) of all arrays, ``classes`` and ``augmentation`` if any.

        The name does not count.
        """
        digest = hashlib.sha256(f"classes={self.classes}".encode())
        for key in ("x", "y", "x_test", "y_test"):
            array = getattr(self, key)
            if array is None:
                continue
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f";{key}:{array.dtype.name}{list(array.shape)}:".encode())
            digest.update(memoryview(little).cast("B"))
        if self.augmentation is not None:  # so that others keep the digest they always had
            digest.update(f";augmentation:{self.augmentation.text()}".encode())
        return digest.hexdigest()

    def _check(self, x_key: str, y_key: str) -> None:
        """Check one pair of arrays and make both C-contiguous."""
        x, y = getattr(self, x_key), getattr(self, y_key)
        self._check_array(x_key, x, np.dtype(np.float32), "[n, in]", 2)
        self._check_array(y_key, y, np.dtype(np.uint8), "[n]", 1)
        if len(x) != len(y):
            raise self._error(f"{x_key} has {len(x)} rows, {y_key} has {len(y)}: must be the same")
        finite = np.isfinite(x)
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            value = float(x[row, column])
            raise self._error(f"{x_key}[{row}, {column}] is {value}, every value must be finite")
        if y.max() >= self.classes:
            row = int(np.argmax(y >= self.classes))
            valid = f"0 to {self.classes - 1}"
            raise self._error(f"{y_key}[{row}] is {y[row]}, valid classes are {valid}")
        object.__setattr__(self, x_key, np.ascontiguousarray(x))
        object.__setattr__(self, y_key, np.ascontiguousarray(y))

    def _check_augmentation(self) -> None:
        """Check that rows may be its images, and leave it out if it moves nothing."""
        found = self.augmentation
        if found is None:
            return
        if found.inputs != self.inputs:
            raise self._error(
                f"augmentation moves images {list(found.image_shape)}, which are {found.inputs}"
                f" inputs, x has {self.inputs}; give the image_shape of its rows, or none where"
                " they are no images"
            )
        if not found.moves:
            object.__setattr__(self, "augmentation", None)

    def _check_array(
        self, key: str, array: object, dtype: np.dtype[np.generic], axes: str, ndim: int
    ) -> None:
        """Raise unless ``array`` has this dtype and number of axes, none of length 0."""
        if not isinstance(array, np.ndarray):
            found = type(array).__name__
        elif array.dtype != dtype or array.ndim != ndim or array.size == 0:
            found = f"{array.dtype} {list(array.shape)}"
        else:
            return
        raise self._error(f"{key} must be {dtype} {axes} with at least one point, found {found}")

    def _error(self, what: str) -> UsageError:
        return UsageError(f"task {self.name!r}: {what}")


def standardised(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """``points`` [n, in] with mean 0 and sample standard deviation 1 in each column.

    Computed in float64 and rounded to float32 once, so that the last bit does
    not depend on how a machine orders the additions. No column may be constant.
    """
    wide = points.astype(np.float64)
    scaled: npt.NDArray[np.float64] = (wide - wide.mean(axis=0)) / wide.std(axis=0, ddof=1)
    return scaled.astype(np.float32)
