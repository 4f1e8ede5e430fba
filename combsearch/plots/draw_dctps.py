"""All figures of the study of DCT plus sparse that its rows allow, from the rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from combsearch.plots.dctps_figures import accuracy, alphas, beside
from combsearch.plots.dctps_lines import Study, read_study
from combsearch.plots.dctps_looks import SUPPORTS, name_of
from combsearch.plots.style import save

if TYPE_CHECKING:
    import pyarrow as pa

_ALLOCATIONS = ("epl", "epf", "erk", "uniform")


def draw_dctps(rows: pa.Table, folder: Path, suffix: str = "png") -> list[Path]:
    """Write all figures of the study that ``rows`` allow to ``folder``.

    ``accuracy`` of all methods over the density (the paper's main figures, A.1, A.4 and A.5);
    where there are two lines at least of each ``epl-epf`` (A.3), ``alpha`` (A.6) and
    ``supports`` (A.7); ``alphas`` where factors were trained.

    Args:
        rows: of ``dctps_rows``, one at least.
        folder: made if missing.
        suffix: png, pdf or svg.

    Returns:
        The files written.

    Raises:
        UsageError: there are no rows; see ``plots.save`` for the rest.
    """
    study = read_study(rows)
    files = []
    for name, figure in _figures(study):
        files.append(folder / f"{name}.{suffix}")
        save(figure, files[-1])
    return files


def _figures(study: Study) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one at a time."""
    yield "accuracy", accuracy(study)
    frames: dict[str, tuple[str, ...]] = {
        "with the transform": ("dctps+epl", "dctps+epf"),
        "without": ("epl", "epf"),
    }
    if study.some(frames):
        yield "epl-epf", beside(study, frames, "Equal weights a layer (EPL) and a filter (EPF)")
    frames = {
        f"support: {name_of(name)}": (f"dctps+{name}", f"dctps_fixed+{name}") for name in SUPPORTS
    }
    if study.some(frames):
        yield "alpha", beside(study, frames, "Factor α of the transform, trained and fixed")
    frames = {"with the transform": tuple(f"dctps+{name}" for name in _ALLOCATIONS)}
    if study.some(frames):
        yield "supports", beside(study, frames, "How the layers of DCTpS share the weights")
    if study.with_alphas:
        yield "alphas", alphas(study)
