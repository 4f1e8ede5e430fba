"""Magnitudes of the entries of vectors, relative to the largest one, as logarithms.

Powers of weights overflow and underflow, and sums of them cancel; logarithms of
|w| / max |w| do neither: they are 0 for the largest entry, exactly, and -inf for a zero.
Nothing here depends on the scale of a vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def magnitudes_of(w: npt.ArrayLike, kept: npt.ArrayLike | None, axis: int | None) -> Floats:
    """|w| with the entries of one vector along the last axis, NaN where not ``kept``.

    Args:
        w: real numbers of any shape.
        kept: true for the entries that count, broadcast to the shape of ``w``; None for all.
        axis: along which a vector lies; None for all of ``w`` as one vector.

    Returns:
        Float64 [..., d]; entries that are not finite are infinite.

    Raises:
        UsageError: ``kept`` does not fit ``w``, or there is no such axis.
    """
    values = np.atleast_1d(np.abs(np.asarray(w, dtype=np.float64)))
    mask = np.asarray(True if kept is None else kept, dtype=bool)
    try:
        values = np.where(np.isfinite(values), values, np.inf)
        values = np.where(np.broadcast_to(mask, values.shape), values, np.nan)
        lying = values.reshape(-1) if axis is None else np.moveaxis(values, axis, -1)
    except ValueError as error:  # numpy's AxisError is one too
        raise UsageError(
            f"weights of shape {list(values.shape)}: a mask of shape {list(mask.shape)} does not"
            f" broadcast to it, or axis {axis} is none of it"
        ) from error
    return np.ascontiguousarray(lying)


@dataclass(frozen=True)
class Logs:
    """Vectors by the logarithms of their magnitudes.

    Attributes:
        values: float64 [..., d], log(|w| / largest), from -inf to 0; -inf for what is not kept.
        kept: bool [..., d].
        sizes: int64 [...], entries kept.
        empty: bool [...], whether nothing is kept or all that is kept is 0; values are -inf.
        broken: bool [...], whether an entry is not finite; values are -inf.
    """

    values: Floats
    kept: Bools
    sizes: npt.NDArray[np.int64]
    empty: Bools
    broken: Bools

    @classmethod
    def of(cls, w: npt.ArrayLike, kept: npt.ArrayLike | None, axis: int | None) -> Logs:
        """See ``magnitudes_of``."""
        entries = magnitudes_of(w, kept, axis)
        held = ~np.isnan(entries)
        broken: Bools = np.asarray(np.isinf(entries).any(axis=-1))
        entries = np.where(held & ~broken[..., None], entries, 0.0)
        largest = entries.max(axis=-1, initial=0.0)
        empty = (largest == 0) & ~broken
        top = np.where(largest == 0, 1.0, largest)[..., None]
        return cls(_log_ratio(entries, top), held, held.sum(axis=-1), empty, broken)

    def log_mean(self, power: float) -> Floats:
        """log of the power mean (mean of (|w| / largest)^power)^(1 / power), [...]."""
        sizes = np.maximum(self.sizes, 1)
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            exponents = power * self.values
            mean = np.exp(exponents).sum(axis=-1) / sizes
            # Entries nearly alike: their mean is nearly 1, and what it lacks is what counts.
            gap = np.where(self.kept, np.expm1(exponents), 0.0).sum(axis=-1) / sizes
            logs: Floats = np.where(gap > -0.5, np.log1p(gap), np.log(mean)) / power
        return logs


def _log_ratio(entries: Floats, top: Floats) -> Floats:
    """log(entries / top), of 0 too, by parts that neither overflow nor underflow.

    Rounding is as if ``entries`` were rounded once more; 0 is exact.
    """
    (part, exponent), (top_part, top_exponent) = np.frexp(entries), np.frexp(top)
    with np.errstate(divide="ignore"):
        logs: Floats = np.log(part / top_part) + math.log(2) * (exponent - top_exponent)
    return logs
