"""Saved rows as arrays, and the picks that the figures show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Widths = tuple[int, ...]


@dataclass(frozen=True)
class Runs:
    """One entry a run; ``shapes`` holds the distinct shapes, sorted, that ``shape`` points into.

    ``score`` is the accuracy, and -1 for a diverged run: that is never a success, never
    the best, and below every accuracy.
    """

    shapes: tuple[Widths, ...]
    shape: npt.NDArray[np.int64]
    nonzeros: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]
    diverged: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.nonzeros)

    @property
    def score(self) -> npt.NDArray[np.float64]:
        """Accuracy, float64 [run], and -1 for a diverged run."""
        return np.where(self.diverged, -1.0, self.accuracy)

    def label(self, run: int) -> str:
        """The shape of ``run`` by its hidden widths: ``(7,3,3)``."""
        return hidden(self.shapes[self.shape[run]])


def hidden(widths: Widths) -> str:
    """Hidden widths of a shape as text: ``(2, 7, 3, 3, 1)`` -> ``"(7,3,3)"``."""
    return f"({','.join(map(str, widths[1:-1]))})"


def read_runs(rows: pa.Table, cell: str | None = None) -> Runs:
    """The columns of ``rows`` (schema ``store.ROWS``) that figures need; one cell's if named.

    Raises:
        UsageError: when there is no row to draw; names the cells there are.
    """
    if cell is not None:
        cells = rows.column("cell").to_numpy()
        if len(rows) and not (cells == cell).any():
            raise UsageError(f"no run in cell {cell!r} (cells: {', '.join(sorted(set(cells)))})")
        rows = rows.filter(cells == cell)
    if len(rows) == 0:
        raise UsageError("no rows to draw: the run has no finished shard yet")
    # Tens of thousands of rows repeat few shapes: parse each text once.
    coded = rows.column("shape").combine_chunks().dictionary_encode()
    shapes = [parse_widths(text) for text in coded.dictionary.to_pylist()]
    order = sorted(range(len(shapes)), key=shapes.__getitem__)
    accuracy = rows.column("accuracy").to_numpy().astype(np.float64)
    status = rows.column("status").to_numpy()
    return Runs(
        shapes=tuple(shapes[i] for i in order),
        shape=np.argsort(order)[coded.indices.to_numpy()],
        nonzeros=rows.column("nonzeros").to_numpy().astype(np.int64),
        accuracy=accuracy,
        diverged=(status == "diverged") | ~np.isfinite(accuracy),
    )


def parse_widths(text: str) -> Widths:
    """``"2,7,3,3,1"`` -> ``(2, 7, 3, 3, 1)``."""
    return tuple(int(width) for width in text.split(","))


def best_of_each(runs: Runs) -> npt.NDArray[np.int64]:
    """Run with the best score of each (shape, nonzeros), first of equals, by rising nonzeros."""
    order = np.lexsort((-runs.score, runs.shape, runs.nonzeros))
    key = np.stack([runs.nonzeros[order], runs.shape[order]])
    first = np.ones(len(order), bool)
    first[1:] = (key[:, 1:] != key[:, :-1]).any(axis=0)
    picked = order[first]
    return picked[~runs.diverged[picked]]


def frontier_runs(runs: Runs) -> npt.NDArray[np.int64]:
    """Runs that beat every run with as many nonzeros or fewer, by rising nonzeros."""
    order = np.lexsort((-runs.score, runs.nonzeros))
    score = runs.score[order]
    before = np.concatenate([[-1.0], np.maximum.accumulate(score)[:-1]])
    return order[score > before]


def first_success(runs: Runs, target: float) -> int | None:
    """The best run of the smallest level that reaches ``target``; None without a success."""
    hits = np.flatnonzero(runs.score >= target)
    if len(hits) == 0:
        return None
    level = hits[runs.nonzeros[hits] == runs.nonzeros[hits].min()]
    return int(level[np.argmax(runs.score[level])])


def best_run(runs: Runs) -> int | None:
    """The run with the best score, the sparsest of equals; None when all diverged."""
    if runs.diverged.all():
        return None
    return int(np.lexsort((runs.nonzeros, -runs.score))[0])
