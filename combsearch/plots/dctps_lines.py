"""Rows of the study of DCT plus sparse as lines: a method over its densities, seed by seed.

Every seed counts, those too whose network diverged or collapsed: the epoch with the best
validation accuracy gives them an accuracy like any other. They are marked instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.numerals import count
from combsearch.plots.dctps_looks import name_of, order

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]
DENSE = "dense"


@dataclass(frozen=True, eq=False)
class Line:
    """One method at one learning rate and schedule.

    Attributes:
        method: canonical text.
        cell: ``"rate:schedule"``.
        densities: float64 [density], percent, falling.
        accuracy: float64 [seed, density], NaN where a row is missing.
        diverged, collapsed: bool [seed, density], what became of the network.
        alphas: float64 [seed, density, layer], NaN where there is none; 0 layers without.
    """

    method: str
    cell: str
    densities: F64
    accuracy: F64
    diverged: npt.NDArray[np.bool_]
    collapsed: npt.NDArray[np.bool_]
    alphas: F64

    @property
    def lost(self) -> npt.NDArray[np.bool_]:
        """[seed, density], the network diverged or collapsed."""
        return self.diverged | self.collapsed


@dataclass(frozen=True, eq=False)
class Study:
    """All lines, in the order of keys; a method may have several, one a cell."""

    lines: tuple[Line, ...]

    @property
    def dense(self) -> F64:
        """Accuracy of the networks of all weights, [seed]; empty where there is none."""
        found = [line.accuracy.ravel() for line in self.lines if line.method == DENSE]
        every = np.concatenate(found) if found else np.zeros(0)
        return every[np.isfinite(every)]

    @property
    def sparse(self) -> tuple[Line, ...]:
        """All others."""
        return tuple(line for line in self.lines if line.method != DENSE)

    @property
    def with_alphas(self) -> tuple[Line, ...]:
        """Lines whose factors were trained."""
        return tuple(
            line for line in self.sparse
            if line.method.startswith("dctps+") and np.isfinite(line.alphas).any()
        )  # fmt: skip

    def of(self, methods: Sequence[str]) -> tuple[Line, ...]:
        """Lines of ``methods``."""
        return tuple(line for line in self.lines if line.method in methods)

    def some(self, frames: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """Those of ``frames`` of which two methods at least have rows."""
        return {
            title: methods for title, methods in frames.items()
            if len({line.method for line in self.of(methods)}) > 1
        }  # fmt: skip

    def name(self, line: Line) -> str:
        """Of a line in a key: of its method, and its cell where the method has several."""
        cells = {other.cell for other in self.lines if other.method == line.method}
        return name_of(line.method) + (f" ({line.cell})" if len(cells) > 1 else "")

    def heading(self, what: str, lines: Sequence[Line]) -> str:
        """``what``, how many seeds a mean is of, and how many networks were lost."""
        counted = np.concatenate([np.isfinite(line.accuracy).sum(axis=0) for line in lines])
        seeds = sorted({int(n) for n in counted if n})
        many = count(seeds[-1], "seed") if seeds else "no seed"
        if len(seeds) > 1:
            many = f"{seeds[0]} to {many}"
        mean = "mean ± standard deviation of " if seeds and seeds[-1] > 1 else ""
        numbers = {
            "diverged": sum(int(line.diverged.sum()) for line in lines),
            "collapsed": sum(int(line.collapsed.sum()) for line in lines),
        }
        lost = [f"{number} {name}" for name, number in numbers.items() if number]
        return f"{what}: {mean}{many}{'; ' if lost else ''}{', '.join(lost)}"


def read_study(rows: pa.Table) -> Study:
    """The lines in ``rows``.

    Raises:
        UsageError: there are no rows.
    """
    if not len(rows):
        raise UsageError("no rows to draw: the run has no finished network yet")
    names = ("method", "density", "cell", "restart", "accuracy", "status", "alphas")
    records = rows.select(names).to_pylist()
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in records:
        groups.setdefault((row["method"], row["cell"]), []).append(row)
    methods = order([method for method, _ in groups])
    keys = sorted(groups, key=lambda key: (methods.index(key[0]), key[1]))
    return Study(tuple(_line(*key, groups[key]) for key in keys))


def _line(method: str, cell: str, rows: Sequence[Mapping[str, Any]]) -> Line:
    densities = sorted({row["density"] for row in rows}, reverse=True)
    seeds = sorted({row["restart"] for row in rows})
    layers = max(len(row["alphas"]) for row in rows)
    shape = (len(seeds), len(densities))
    accuracy = np.full(shape, np.nan)
    diverged, collapsed = (np.zeros(shape, np.bool_) for _ in range(2))
    alphas = np.full((*shape, layers), np.nan)
    for row in rows:
        at = seeds.index(row["restart"]), densities.index(row["density"])
        value = row["accuracy"]
        accuracy[at] = np.nan if value is None else value
        diverged[at], collapsed[at] = (row["status"] == s for s in ("diverged", "collapsed"))
        if len(row["alphas"]):
            alphas[at] = row["alphas"]
    own = np.array(densities, np.float64)
    return Line(method, cell, own, accuracy, diverged, collapsed, alphas)
