"""What a file reader hands over, before the numbers are checked and become a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

Numbers = npt.NDArray[Any]  # bool, integer or real floating point of any width
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class RawPoints:
    """Points as a file holds them, with the words that say where a bad one stands.

    x: [n, in], y: [n], both bool, integer or floating point. ``x_place(row, column)``
    and ``y_place(row)`` name a place for an error, such as ``line 7, column 2``.
    """

    x: Numbers
    y: Numbers
    x_place: Callable[[int, int], str]
    y_place: Callable[[int], str]

    def inputs(self) -> npt.NDArray[np.float32]:
        """``x`` as float32 [n, in], the numbers as they are: nothing is rescaled.

        Raises:
            UsageError: a value that is not finite or too large for float32.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            x: npt.NDArray[np.float32] = np.ascontiguousarray(self.x, np.float32)
        finite = np.isfinite(x)
        if not finite.all():
            row, column = (int(i) for i in np.unravel_index(np.argmin(finite), x.shape))
            raise UsageError(
                f"{self.x_place(row, column)}: found {self.x[row, column]}, expected a finite "
                f"number that fits float32 (at most {LARGEST:.7g} in size)"
            )
        return x

    def labels(self) -> npt.NDArray[np.uint8]:
        """``y`` as uint8 [n].

        Raises:
            UsageError: a label that is neither 0 nor 1.
        """
        valid = (self.y == 0) | (self.y == 1)
        if not valid.all():
            row = int(np.argmin(valid))
            raise UsageError(f"{self.y_place(row)}: found {self.y[row]}, expected the label 0 or 1")
        return self.y.astype(np.uint8)
