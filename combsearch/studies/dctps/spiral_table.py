"""What a run on the spiral comes to by budget, the fewest parameters of a target, its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch import fields
from combsearch.dctps_spiral_rows import COLUMNS, LISTS, SHOWN
from combsearch.studies import published as files
from combsearch.studies.dctps.spiral_config import SpiralConfig

STUDY = "dctps spiral"
TARGETS = (0.95, 0.995)
_STATISTICS = ("best", "upper quartile", "median", "lower quartile")

Floats = npt.NDArray[np.float64]


def by_parameters(rows: pa.Table) -> list[dict[str, Any]]:
    """A line for each number of trained parameters, ascending; diverged runs count as 0.

    ``budget``, ``parameters``, ``supports``, ``runs``, ``diverged``, ``complete`` (all supports
    were tried), ``best`` accuracy of any run, and ``median`` over supports of the best of their
    runs, with quartiles.
    """
    budget, rank = rows["budget"].to_numpy(), rows["rank"].to_numpy()
    parameters, accuracy = rows["parameters"].to_numpy(), sound_accuracy(rows)
    origin = np.array(rows["origin"].to_pylist(), object)
    lines = []
    for one in np.unique(budget):
        own = budget == one
        of_support = best_of_support(rank[own], accuracy[own])
        quartiles = np.quantile(of_support, (1, 0.75, 0.5, 0.25)).tolist()
        lines.append(
            {
                "budget": int(one),
                "parameters": int(parameters[own][0]),
                "supports": len(of_support),
                "runs": int(own.sum()),
                "diverged": int((own & _diverged(rows)).sum()),
                "complete": bool((origin[own] == "all").any()),
                **dict(zip(_STATISTICS, quartiles, strict=True)),
            }
        )
    return lines


def fewest(lines: Sequence[dict[str, Any]], target: float) -> int | None:
    """The fewest trained parameters with which a run reached ``target``."""
    return min((line["parameters"] for line in lines if line["best"] >= target), default=None)


def sound_accuracy(rows: pa.Table) -> Floats:
    """Accuracy by row, 0 where the training diverged: float64 [row]."""
    return np.where(_diverged(rows), 0.0, rows["accuracy"].to_numpy())


def best_of_support(rank: npt.NDArray[np.int64], accuracy: Floats) -> Floats:
    """The best accuracy of the runs of each support: float64 [support]."""
    _, place = np.unique(rank, return_inverse=True)
    found = np.zeros(int(place.max()) + 1 if len(place) else 0)
    np.maximum.at(found, place.reshape(-1), accuracy)
    return found


def _diverged(rows: pa.Table) -> npt.NDArray[np.bool_]:
    return np.array([status == "diverged" for status in rows["status"].to_pylist()], np.bool_)


def csv_table(lines: Sequence[dict[str, Any]]) -> str:
    """``by_parameters`` as CSV."""
    if not lines:
        return "\n"
    texts = [",".join(lines[0])]
    texts += [",".join(_cell(value) for value in line.values()) for line in lines]
    return "\n".join(texts) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def publish(rows: pa.Table, config: SpiralConfig, facts: dict[str, object], path: Path) -> None:
    """Write rows of all columns with their configuration, and further facts (JSON), to ``path``.

    Lists (support, trained numbers) are kept of the best run of each budget alone.
    """
    about = {"config": config.to_json(), **facts}
    files.publish(_only_best(rows).select([*SHOWN, *LISTS]), STUDY, about, path)


def published(path: Path) -> tuple[SpiralConfig, pa.Table]:
    """Configuration and rows of a file that ``publish`` wrote."""
    return files.published(
        path, STUDY, (*SHOWN, *LISTS), lambda about: fields.from_json(SpiralConfig, about["config"])
    )


def best_rows(rows: pa.Table) -> npt.NDArray[np.int64]:
    """The first of the best rows of each budget, ascending: int64 [budget]."""
    budget, accuracy = rows["budget"].to_numpy(), sound_accuracy(rows)
    order = np.lexsort((np.arange(len(rows)), -accuracy, budget))
    _, first = np.unique(budget[order], return_index=True)
    return np.sort(order[first])


def _only_best(rows: pa.Table) -> pa.Table:
    kept = np.zeros(len(rows), np.bool_)
    kept[best_rows(rows)] = True
    for name in LISTS:
        lists = rows[name].to_pylist()
        column = [one if keep else [] for one, keep in zip(lists, kept, strict=True)]
        place = rows.schema.get_field_index(name)
        field = COLUMNS.field(name)
        rows = rows.set_column(place, field, pa.array(column, field.type))
    return rows
