"""What saved rows say of each shape: successes, best accuracy, winner and runners-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.config import SearchConfig
from combsearch.frontier import success_interval
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.saved_network import About, run_facts
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.store import RunStore


@dataclass(frozen=True)
class ShapeResult:
    """All restarts of one shape.

    Attributes:
        shape: neurons a layer, inputs and outputs too.
        nonzeros: weights and biases.
        accuracy: of the best restart that did not diverge; 0 when all did.
        successes, diverged: how many of the restarts.
        restarts: training runs, all cells together.
    """

    shape: tuple[int, ...]
    nonzeros: int
    accuracy: float
    successes: int
    diverged: int
    restarts: int

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson 95% interval of the success probability."""
        return success_interval(self.successes, self.restarts)


def successes(rows: pa.Table, target: float) -> npt.NDArray[np.bool_]:
    """bool [row]: runs that reached the target and did not diverge."""
    return np.asarray(ok_rows(rows) & (rows["accuracy"].to_numpy() >= target))


def first_success(rows: pa.Table, target: float) -> int | None:
    """The fewest nonzeros of a success, or None."""
    good = successes(rows, target)
    return int(rows["nonzeros"].to_numpy()[good].min()) if good.any() else None


def saved_success(
    store: RunStore, target: float, files: Iterable[Path] | None = None
) -> int | None:
    """``first_success`` of a run whose ranks ascend in nonzeros; with ``files`` of these alone.

    Nothing is read beyond the first success.

    Raises:
        CorruptDataError: a shard is damaged.
    """
    tables = store.pieces(["nonzeros", "accuracy", "status"], files=files)
    found = (first_success(rows, target) for rows in tables)
    return next((nonzeros for nonzeros in found if nonzeros is not None), None)


def shape_results(rows: pa.Table, target: float) -> list[ShapeResult]:
    """One result a shape, in order of rank (rows in canonical order)."""
    ranks, first, count = np.unique(rows["rank"].to_numpy(), return_index=True, return_counts=True)
    if not len(ranks):
        return []
    ok = ok_rows(rows)
    best = np.maximum.reduceat(np.where(ok, rows["accuracy"].to_numpy(), 0.0), first)
    good = np.add.reduceat(successes(rows, target), first, dtype=np.int64)
    lost = np.add.reduceat(~ok, first, dtype=np.int64)
    shapes = rows["shape"].take(pa.array(first)).to_pylist()
    nonzeros = rows["nonzeros"].to_numpy()[first]
    columns = (nonzeros.tolist(), best.tolist(), good.tolist(), lost.tolist(), count.tolist())
    return [
        ShapeResult(tuple(map(int, shape.split(","))), *values)
        for shape, *values in zip(shapes, *columns, strict=True)
    ]


def winner(results: list[ShapeResult]) -> ShapeResult | None:
    """The successful shape with the fewest nonzeros; then most successes, then accuracy."""
    return min((r for r in results if r.successes), key=_order, default=None)


def runners_up(results: list[ShapeResult], count: int = 5) -> list[ShapeResult]:
    """The next best after the winner: shapes with a success as above, then by accuracy."""
    first = winner(results)
    return sorted((r for r in results if r is not first), key=_order)[:count]


def _order(result: ShapeResult) -> tuple[float, ...]:
    if result.successes:
        return (0, result.nonzeros, -result.successes, -result.accuracy)
    return (1, -result.accuracy, result.nonzeros)


def best_row(rows: pa.Table, result: ShapeResult) -> dict[str, Any] | None:
    """The row of the most accurate network of a shape; None when all diverged."""
    own = pc.and_(
        pc.equal(rows["shape"], ",".join(map(str, result.shape))), pc.is_valid(rows["parameters"])
    )
    found: list[dict[str, Any]] = rows.filter(own).slice(0, 1).to_pylist()
    return found[0] if found else None


def row_facts(
    row: Mapping[str, Any], task: str, config: SearchConfig | Phase2Config | ExhaustConfig
) -> About:
    """What a row of a search tells of its network; ``task`` is the task's name."""
    return run_facts(
        task=task,
        accuracy=row["accuracy"],
        recipe=config.recipes()[0].with_cell(row["cell"]),
        seed=config.seed,
        restart=row["restart"],
        init_width=config.width,
    )


def best_network(rows: pa.Table, result: ShapeResult) -> NetBatch | None:
    """The most accurate network of a shape, as its row holds it; None when all diverged."""
    row = best_row(rows, result)
    if row is None:
        return None
    flat = np.array(row["parameters"], np.float32)
    shape = NetShape(result.shape)
    params, start = {}, 0
    for layer, (out, fan) in enumerate(shape.layers):
        for name, size in ((f"weight{layer}", (out, fan)), (f"bias{layer}", (out,))):
            end = start + int(np.prod(size))
            params[name], start = flat[start:end].reshape(1, *size), end
    ones = {name: np.ones_like(p) for name, p in params.items()}
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    return NetBatch(MLP(shape), params, ones, zeros)


def ok_rows(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """bool [row]: runs that did not diverge."""
    return np.asarray(pc.not_equal(rows["status"], "diverged").to_numpy())
