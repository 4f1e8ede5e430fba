"""The most accurate network of every number of nonzeros: ``Frontier``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError, UsageError

KEPT, PRUNABLE = "biases kept", "biases prunable"
COUNTINGS = (KEPT, PRUNABLE)


def frontier(
    nonzeros: npt.NDArray[Any], accuracy: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Best accuracy of any run with at most that many nonzeros, where it rises.

    Args:
        nonzeros, accuracy: [run].

    Returns:
        (nonzeros, accuracy), both strictly ascending.
    """
    order = np.lexsort((-accuracy, nonzeros))
    best = np.maximum.accumulate(accuracy[order])
    rises = np.flatnonzero(np.diff(best, prepend=-np.inf) > 0)
    return nonzeros[order][rises], best[rises]


@dataclass(frozen=True)
class Found:
    """A network that some run found.

    Attributes:
        nonzeros: weights and biases that are kept.
        accuracy: share of the training points classified right.
        shape: neurons a layer, inputs and outputs too.
        effective: effective nonzeros; ``nonzeros`` when not given.
        source: where it comes from, such as a run folder or a file.
    """

    nonzeros: int
    accuracy: float
    shape: tuple[int, ...]
    effective: int = -1
    source: str = ""

    def __post_init__(self) -> None:
        if self.effective == -1:
            object.__setattr__(self, "effective", self.nonzeros)
        if not 0 <= self.effective <= self.nonzeros or not 0 <= self.accuracy <= 1:
            raise UsageError(f"{self} needs 0 <= effective <= nonzeros and an accuracy in [0, 1]")

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Found:
        """The inverse of ``to_json``."""
        return cls(**{**values, "shape": tuple(map(int, values["shape"]))})


def _rank(found: Found) -> tuple[Any, ...]:
    """A total order, the best last: what a merge keeps must not depend on who came first."""
    return (found.accuracy, -found.nonzeros, -found.effective, found.shape, found.source)


@dataclass(frozen=True)
class Frontier:
    """The most accurate network of every number of nonzeros.

    Attributes:
        counting: ``KEPT`` or ``PRUNABLE``.
        by_nonzeros: one network each number of nonzeros, ascending.
        by_effective: one each number of effective nonzeros, ascending.
    """

    counting: str = KEPT
    by_nonzeros: tuple[Found, ...] = ()
    by_effective: tuple[Found, ...] = ()

    def __post_init__(self) -> None:
        check_counting(self.counting)

    @classmethod
    def of(cls, networks: Iterable[Found], counting: str = KEPT) -> Frontier:
        """The frontier of single networks."""
        by_nonzeros: dict[int, Found] = {}
        by_effective: dict[int, Found] = {}
        for found in networks:
            for table, level in ((by_nonzeros, found.nonzeros), (by_effective, found.effective)):
                table[level] = max(table.get(level, found), found, key=_rank)
        ordered = [tuple(table[k] for k in sorted(table)) for table in (by_nonzeros, by_effective)]
        return cls(counting, *ordered)

    @classmethod
    def of_runs(
        cls,
        shape: Sequence[int],
        nonzeros: npt.NDArray[Any],
        accuracy: npt.NDArray[np.float64],
        source: str = "",
    ) -> Frontier:
        """The frontier of runs of eligible masks of one shape, where every parameter counts.

        Args:
            shape: neurons a layer, inputs and outputs too.
            nonzeros, accuracy: [run]; leave out those that diverged.
            source: where they come from.
        """
        order = np.lexsort((-accuracy, nonzeros))
        levels, first = np.unique(nonzeros[order], return_index=True)
        best = accuracy[order][first]
        pairs = zip(levels.tolist(), best.tolist(), strict=True)
        return cls.of(Found(n, a, tuple(shape), source=source) for n, a in pairs)

    def merge(self, *others: Frontier) -> Frontier:
        """The frontier of everything that these are frontiers of.

        Raises:
            UsageError: they count nonzeros in different ways.
        """
        for other in others:
            check_same("frontiers", {"counting": (self.counting, other.counting)})
        all_of = (self, *others)
        found = [f for one in all_of for f in (*one.by_nonzeros, *one.by_effective)]
        return Frontier.of(found, self.counting)

    def steps(self, effective: bool = False) -> list[Found]:
        """The networks that are more accurate than every one with fewer nonzeros."""
        networks = self.by_effective if effective else self.by_nonzeros
        rising, best = [], -1.0
        for found in networks:
            if found.accuracy > best:
                rising.append(found)
                best = found.accuracy
        return rising

    def lowest(self, target: float, effective: bool = False) -> Found | None:
        """The network with the fewest (effective) nonzeros that reaches ``target``, or None."""
        networks = self.by_effective if effective else self.by_nonzeros
        return next((found for found in networks if found.accuracy >= target), None)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        return {
            "counting": self.counting,
            "by_nonzeros": [found.to_json() for found in self.by_nonzeros],
            "by_effective": [found.to_json() for found in self.by_effective],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Frontier:
        """The inverse of ``to_json``.

        Raises:
            CorruptDataError: ``values`` are not a frontier.
        """
        try:
            found = [*values["by_nonzeros"], *values["by_effective"]]
            return cls.of(map(Found.from_json, found), values["counting"])
        except (LookupError, TypeError, ValueError, UsageError) as error:
            raise CorruptDataError(f"not a saved frontier: {error!r}") from error


def check_counting(counting: str) -> None:
    """UsageError unless ``counting`` is one of the two ways."""
    if counting not in COUNTINGS:
        raise UsageError(f"nonzeros are counted as one of {COUNTINGS}, not {counting!r}")


def check_same(kind: str, pairs: Mapping[str, tuple[object, object]]) -> None:
    """UsageError where two things to be merged differ in what must be the same."""
    for name, (first, second) in pairs.items():
        if first != second:
            raise UsageError(f"cannot merge {kind} of different {name}: {first!r} and {second!r}")
