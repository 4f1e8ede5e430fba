"""Rows of the PQ-index study as arrays by chain, and their means over seeds.

A chain is one method with its settings in one scope, from one seed; the chains that differ in
the seed alone are one ``Chains``. Its arrays begin with [seed, round] and are NaN where there
is no row yet or the row diverged, so that unfinished runs are drawn as far as they go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.plots.methods import method_name

if TYPE_CHECKING:
    import pyarrow as pa

F64 = npt.NDArray[np.float64]

SCOPES = ("global", "layer", "neuron")
PAIR = "0.5:1"
"""The p:q of the PQ index that figures of one pair show, where the rows have it."""
_METHODS = ("sap", "lt", "one_shot")
_SETTINGS = ("p", "q", "eta", "gamma", "share")
_PLAIN = {"eta": 0.0, "gamma": 1.0, "share": 0.2}  # the paper's, left out of names
SIGNS = {"p": "p", "q": "q", "eta": "η", "gamma": "γ", "share": "share"}
_NUMBERS = ("accuracy", "best_accuracy", "pruned_accuracy", "gini")
_COUNTS = ("weights", "kept", "left", "nonzeros", "effective")
_LISTS = ("pqi", "retain", "layer_kept", "layer_pqi")


@dataclass(frozen=True)
class Variant:
    """A method with its settings; None for those that it has not."""

    method: str
    p: float | None = None
    q: float | None = None
    eta: float | None = None
    gamma: float | None = None
    share: float | None = None

    @property
    def name(self) -> str:
        """Its name, and the settings in which it may differ from the paper's."""
        given = {key: getattr(self, key) for key in _SETTINGS}
        parts = [
            setting(key, value)
            for key, value in given.items()
            if value is not None and value != _PLAIN.get(key)
        ]
        return ", ".join([method_name(self.method), *parts])

    @property
    def order(self) -> tuple[Any, ...]:
        """SAP first, then by settings; unknown methods last."""
        place = _METHODS.index(self.method) if self.method in _METHODS else len(_METHODS)
        return place, self.method, *(getattr(self, key) or 0.0 for key in _SETTINGS)


PAPER = (
    Variant("sap", 0.5, 1.0, 0.0, 1.0),
    Variant("sap", 1.0, 2.0, 0.0, 1.0),
    Variant("lt", share=0.2),
    Variant("one_shot", share=0.2),
)
"""The four lines of the paper's figures."""


@dataclass(frozen=True, eq=False)
class Chains:
    """The chains of one variant in one scope.

    Attributes:
        variant, scope: what they are.
        values: by column, float64 [seed, round]; ``pqi`` and ``retain`` [seed, round, pair],
            ``layer_kept`` [seed, round, layer], ``layer_pqi`` [seed, round, layer, pair].
        diverged: number of rows that diverged.
    """

    variant: Variant
    scope: str
    values: Mapping[str, F64]
    diverged: int

    def __getitem__(self, column: str) -> F64:
        """``values[column]``."""
        return self.values[column]

    @property
    def seeds(self) -> int:
        """Seeds with a row that counts."""
        return int(np.isfinite(self.values["kept"]).any(axis=1).sum())

    @property
    def counted(self) -> npt.NDArray[np.int64]:
        """Seeds whose row counts, [round]."""
        found: npt.NDArray[np.int64] = np.isfinite(self.values["kept"]).sum(axis=0)
        return found


@dataclass(frozen=True, eq=False)
class Study:
    """All chains of one cell, and the names of pairs (``"p:q"``) and layers."""

    chains: Sequence[Chains]
    pairs: tuple[str, ...]
    layers: tuple[str, ...]

    @property
    def scopes(self) -> list[str]:
        """Those with a row that counts, the paper's first."""
        have = {one.scope for one in self.chains if one.seeds}
        return [s for s in SCOPES if s in have] + sorted(have - {*SCOPES})

    @property
    def pair(self) -> str:
        """The pair of figures that show one: ``PAIR``, or the first there is."""
        return PAIR if PAIR in self.pairs else self.pairs[0]

    def checked(self, pair: str | None) -> str:
        """``pair``; None: the one of figures that show one.

        Raises:
            UsageError: it is not in the grid.
        """
        if pair is not None and pair not in self.pairs:
            raise UsageError(f"pair {pair!r} is not in the grid (there: {', '.join(self.pairs)})")
        return self.pair if pair is None else pair

    def of(self, scope: str) -> list[Chains]:
        """Chains of ``scope`` in order."""
        return sorted((c for c in self.chains if c.scope == scope), key=lambda c: c.variant.order)

    def main(self, scope: str) -> list[Chains]:
        """Of each method the paper's variants, or all where it has none of those."""
        own = self.of(scope)
        paper = {chains.variant.method for chains in own if chains.variant in PAPER}
        return [c for c in own if c.variant in PAPER or c.variant.method not in paper]


Quantity = Callable[[Chains], F64]
"""What a line shows: [seed, round] of chains."""


def kept_share(chains: Chains) -> F64:
    """Share of the weights that a round trains, [seed, round]."""
    return chains["kept"] / chains["weights"]


def left_share(chains: Chains) -> F64:
    """Share of the weights that a round's pruning leaves, [seed, round]."""
    return chains["left"] / chains["weights"]


def index_of(study: Study, pair: str) -> Quantity:
    """The PQ index at ``pair`` of the weights that a round trained."""
    place = study.pairs.index(pair)
    return lambda chains: chains["pqi"][:, :, place]


def index_label(pair: str) -> str:
    """As the name of an axis, in two lines: PQ index, and its powers."""
    return f"PQ index\n({pair_text(pair)})"


def pair_text(pair: str) -> str:
    """``"0.5:1"`` -> ``"p = 0.5, q = 1"``."""
    p, q = powers(pair)
    return f"p = {p:g}, q = {q:g}"


def powers(pair: str) -> tuple[float, float]:
    """``"0.5:1"`` -> ``(0.5, 1.0)``.

    Raises:
        UsageError: it is no such text.
    """
    p, _, q = pair.partition(":")
    try:
        return float(p), float(q)
    except ValueError:
        raise UsageError(f"pair {pair!r} is not p:q, two numbers such as {PAIR}") from None


def setting(key: str, value: float) -> str:
    """``"η = 0.5"``."""
    return f"{SIGNS[key]} = {value:g}"


def read_study(rows: pa.Table, grid: Sequence[str], layers: Sequence[str] = ()) -> Study:
    """The chains in ``rows`` (the study's, of one cell).

    Args:
        rows: at least one; ``mask`` and ``seconds`` are not needed.
        grid: the pairs ``"p:q"`` of the columns ``pqi`` and ``retain``, in their order.
        layers: names of the layers of the columns ``layer_*``, in their order; none: those
            columns are not read.

    Raises:
        UsageError: when there are no rows or pairs, or lists of another length than those named.
    """
    if not len(rows):
        raise UsageError("no rows to draw: the run has no finished round yet")
    if not grid:
        raise UsageError("no pairs p:q of the PQ index are named: give the grid of the run")
    sizes: dict[str, tuple[int, ...]] = {"pqi": (len(grid),), "retain": (len(grid),)}
    if layers:
        sizes |= {"layer_kept": (len(layers),), "layer_pqi": (len(layers), len(grid))}
    columns = {
        name: _numbers(rows, name) for name in (*_NUMBERS, *_COUNTS, *_SETTINGS, "round", "restart")
    }
    columns |= {name: _lists(rows, name, sizes[name]) for name in _LISTS if name in sizes}
    ok = rows["status"].to_numpy() == "ok"
    groups: dict[tuple[Variant, str], list[int]] = {}
    for place, (method, scope) in enumerate(zip(rows["method"], rows["scope"], strict=True)):
        given = {key: _setting(columns[key][place]) for key in _SETTINGS}
        groups.setdefault((Variant(method.as_py(), **given), scope.as_py()), []).append(place)
    length = int(columns["round"].max()) + 1
    found = [_chains(*key, columns, np.array(own), ok, length) for key, own in groups.items()]
    return Study(found, tuple(grid), tuple(layers))


def _setting(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _chains(
    variant: Variant,
    scope: str,
    columns: Mapping[str, F64],
    own: npt.NDArray[np.int64],
    ok: npt.NDArray[np.bool_],
    length: int,
) -> Chains:
    """Rows ``own`` laid out by seed and round; rows that diverged stay NaN."""
    seeds, seed = np.unique(columns["restart"][own], return_inverse=True)
    turn = columns["round"][own].astype(np.int64)
    good = ok[own]
    values = {}
    for name in (*_NUMBERS, *_COUNTS, *(key for key in _LISTS if key in columns)):
        values[name] = np.full((len(seeds), length, *columns[name].shape[1:]), np.nan)
        values[name][seed[good], turn[good]] = columns[name][own[good]]
    return Chains(variant, scope, values, int((~good).sum()))


def _numbers(rows: pa.Table, name: str) -> F64:
    """A column as float64, NaN for null."""
    values = rows[name].to_pylist()
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _lists(rows: pa.Table, name: str, size: tuple[int, ...]) -> F64:
    """A list column, [row, *size], NaN for null.

    Raises:
        UsageError: a list has another length.
    """
    length = int(np.prod(size))
    found = np.full((len(rows), length), np.nan)
    for place, values in enumerate(rows[name].to_pylist()):
        if values is None or not len(values):
            continue
        if len(values) != length:
            raise UsageError(
                f"column {name!r} has {len(values)} entries a row, the names given make {length}: "
                "give the grid and the layers of the run"
            )
        found[place] = [np.nan if value is None else value for value in values]
    return found.reshape(len(rows), *size)
