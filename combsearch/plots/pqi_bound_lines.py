"""What the figure of the PQ index beside the sparsest network draws: its lines and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_hex

from combsearch.errors import UsageError
from combsearch.frontier import frontier
from combsearch.numerals import plain_percent
from combsearch.plots.methods import Look
from combsearch.plots.pqi_curves import Chains, Study, index_of
from combsearch.plots.pqi_panels import Lines, variant_looks

F64 = npt.NDArray[np.float64]

_MARKS = "osD^vPX*"
_SHADES = (0.2, 0.42, 0.6)  # of the bounds, the highest target darkest
COUNTED = {
    "kept": "weights left, biases not counted",
    "nonzeros": "weights and biases left",
    "effective": "effective weights and biases left",
}
"""What the horizontal axis may count: columns of the rows, and its name."""


@dataclass(frozen=True)
class Bound:
    """What the search found for one target: ``trained`` and ``exists``, in the axis' unit."""

    target: float
    trained: float
    exists: float
    shade: float

    @property
    def label(self) -> str:
        """In the key."""
        return f"{plain_percent(self.target)}: trained {self.trained:g}, exists {self.exists:g}"


@dataclass(frozen=True, eq=False)
class Row:
    """Frames side by side: the lines of one variant by network, or of one network by variant."""

    name: str
    lines: Sequence[Line]


@dataclass(frozen=True, eq=False)
class Line:
    """One line: its chains, and what x counts of them, [seed, round], NaN where not above 0."""

    study: Study
    chains: Chains
    look: Look
    x: F64

    def index(self, pair: str) -> F64:
        """PQ index, [seed, round]."""
        return index_of(self.study, pair)(self.chains)

    def stay(self, pair: str) -> F64:
        """What must stay by SAP's bound, [seed, round]: its share of the weights, times x."""
        retain = self.chains["retain"][:, :, self.study.pairs.index(pair)]
        with np.errstate(divide="ignore", invalid="ignore"):  # where no weight is left
            share = retain / self.chains["kept"]
        return np.where(share > 0, share * self.x, np.nan)

    @property
    def best(self) -> tuple[F64, F64]:
        """x and best accuracy where it rises, over all seeds and rounds."""
        accuracy = self.chains["best_accuracy"]
        there = np.isfinite(self.x) & np.isfinite(accuracy)
        return frontier(self.x[there], accuracy[there])


def read_bounds(bounds: Mapping[str, tuple[float, float]]) -> list[Bound]:
    """By rising target, the highest darkest.

    Raises:
        UsageError: a target is no percentage, or there are more than can be told apart.
    """
    found = sorted((_target(text), *ends) for text, ends in bounds.items())
    if len(found) > len(_SHADES):
        raise UsageError(f"{len(found)} targets: {len(_SHADES)} at most can be told apart")
    shades = _SHADES[1:] if len(found) == 1 else _SHADES
    return [
        Bound(target, trained, exists, shade)
        for (target, trained, exists), shade in zip(found, shades, strict=False)
    ]


def _target(text: str) -> float:
    try:
        target = float(text.removesuffix("%")) / 100
    except ValueError:
        target = -1.0
    if not text.endswith("%") or not 0 < target <= 1:
        raise UsageError(f"target {text!r} is no percentage: write one such as 99.5%")
    return target


def lay_rows(
    studies: Mapping[str, Study], scope: str, column: str
) -> tuple[list[Row], Sequence[tuple[str, Look]]]:
    """Rows of frames and their key: of one network one row, of several a row a variant.

    Raises:
        UsageError: there is no row that counts, or ``column`` is not known.
    """
    chains = {name: Lines.of(study, scope).chains for name, study in studies.items()}
    variants = dict.fromkeys(one.variant for own in chains.values() for one in own)
    ordered = sorted(variants, key=lambda variant: variant.order)
    by_variant, by_name = variant_looks(ordered), _network_looks(list(studies))
    single = len(studies) == 1
    rows: dict[str, list[Line]] = {} if not single else {"": []}
    for variant in ordered:
        for name, own in chains.items():
            look = by_variant[variant] if single else by_name[name]
            rows.setdefault("" if single else variant.name, []).extend(
                Line(studies[name], one, look, _counts(one, column, name))
                for one in own
                if one.variant == variant
            )
    key = {variant.name: look for variant, look in by_variant.items()} if single else by_name
    return [Row(name, lines) for name, lines in rows.items()], list(key.items())


def _network_looks(names: Sequence[str]) -> dict[str, Look]:
    """Dark to light, in the order in which they come."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, len(names)))
    return {
        name: Look(to_hex(shade), _MARKS[place % len(_MARKS)])
        for place, (name, shade) in enumerate(zip(names, shades, strict=True))
    }


def _counts(chains: Chains, column: str, name: str) -> F64:
    """``column``, [seed, round], NaN where it is 0.

    Raises:
        UsageError: it is not known of this network.
    """
    found = chains[column]
    if (found < 0).any():
        raise UsageError(f"{column} of {name!r} are not known (-1): draw over column 'kept'")
    return np.where(found > 0, found, np.nan)
