"""All figures of the PQ-index study that its rows allow, from the rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from matplotlib.figure import Figure

from combsearch.plots.draw_pqi_ablation import ablations, pqi_ablation
from combsearch.plots.draw_pqi_bound import pqi_against_bound
from combsearch.plots.draw_pqi_grid import pqi_grid
from combsearch.plots.draw_pqi_layers import pqi_layers
from combsearch.plots.draw_pqi_methods import pqi_gini, pqi_pruned, pqi_retrained, pqi_scopes
from combsearch.plots.pqi_curves import Study, read_study
from combsearch.plots.style import save

if TYPE_CHECKING:
    import pyarrow as pa


def draw_pqi(
    rows: pa.Table, folder: Path, grid: Sequence[str], layers: Sequence[str], suffix: str = "png"
) -> list[Path]:
    """Write all figures of the study that ``rows`` allow to ``folder``.

    ``retrained``, ``pruned``, ``gini``, ``grid`` (of two pairs or more), ``layers`` and
    ``ablation`` (of SAP variants that differ in one setting) for each scope, and ``scopes``
    where there are several. Rows of several cells have a set of files a cell.

    Args:
        rows: one at least.
        folder: made if missing.
        grid: the pairs ``"p:q"`` of the rows' lists, in their order.
        layers: names of the network's layers, in the rows' order; none: no figure of them.
        suffix: png, pdf or svg.

    Returns:
        The files written.

    Raises:
        UsageError: there are no rows, or their lists have other lengths than the names; see
            ``plots.save`` for the rest.
    """
    cells = pc.unique(rows["cell"]).to_pylist()
    files = []
    for cell in sorted(cells) or [""]:
        study = read_study(rows.filter(pc.equal(rows["cell"], cell)), grid, layers)
        end = f"-{cell.replace(':', '-')}" if len(cells) > 1 else ""
        for name, figure in _figures(study):
            files.append(folder / f"{name}{end}.{suffix}")
            save(figure, files[-1])
    return files


def draw_against_bound(
    runs: Mapping[str, pa.Table],
    bounds: Mapping[str, tuple[float, float]],
    folder: Path,
    grid: Sequence[str],
    *,
    column: str = "nonzeros",
    suffix: str = "png",
) -> list[Path]:
    """Write ``pqi_against_bound`` (see there) for each scope that all of ``runs`` have."""
    studies = [read_study(rows, grid) for rows in runs.values()]
    scopes = [set(study.scopes) for study in studies]
    files = []
    for scope in sorted(set.intersection(*scopes)) if scopes else []:
        figure = pqi_against_bound(runs, bounds, grid, column=column, scope=scope)
        files.append(folder / f"against-bound-{scope}.{suffix}")
        save(figure, files[-1])
    return files


def _figures(study: Study) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one at a time."""
    for scope in study.scopes:
        yield f"retrained-{scope}", pqi_retrained(study, scope)
        yield f"pruned-{scope}", pqi_pruned(study, scope)
        yield f"gini-{scope}", pqi_gini(study, scope)
        if len(study.pairs) > 1:
            yield f"grid-{scope}", pqi_grid(study, scope)
        if study.layers:
            yield f"layers-{scope}", pqi_layers(study, scope)
        if ablations(study, scope):
            yield f"ablation-{scope}", pqi_ablation(study, scope)
    if len(study.scopes) > 1:
        yield "scopes", pqi_scopes(study)
        yield "scopes-weights-left", pqi_scopes(study, by_share=True)
