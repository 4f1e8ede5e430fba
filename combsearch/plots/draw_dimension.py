"""The figures of the dimensionality study, written to files from saved rows and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from combsearch.plots.dimension_curves import dimension_curves
from combsearch.plots.dimension_prunability import Record, Tables, dimension_prunability
from combsearch.plots.dimension_sizes import true_sizes
from combsearch.plots.style import save
from combsearch.studies.dimensionality.matching import Rows


def draw_curves(
    rows: Rows,
    experiment: str,
    tolerance: float,
    path: str | Path,
    *,
    rewind: int | None = None,
    cell: str | None = None,
) -> Path:
    """Write ``dimension_curves`` (figures 1 to 3, see there) to ``path``.

    Returns:
        The file.

    Raises:
        UsageError: as ``dimension_curves`` and ``plots.save``.
    """
    save(dimension_curves(rows, experiment, tolerance, rewind=rewind, cell=cell), path)
    return Path(path)


def draw_prunability(
    records: Mapping[str, Tables], paper: Mapping[str, Sequence[Record]] | None, path: str | Path
) -> Path:
    """Write ``dimension_prunability`` (figure 4, see there) to ``path``.

    Returns:
        The file.

    Raises:
        UsageError: as ``dimension_prunability`` and ``plots.save``.
    """
    save(dimension_prunability(records, paper), path)
    return Path(path)


def draw_true_size(records: Sequence[Record], path: str | Path) -> Path:
    """Write ``true_sizes`` (see there) to ``path``.

    Returns:
        The file.

    Raises:
        UsageError: as ``true_sizes`` and ``plots.save``.
    """
    save(true_sizes(records), path)
    return Path(path)
