"""The runs behind the marks of a comparison: facts, lines through them, their networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.comparison import Group, Tries, sparsest_saved
from combsearch.comparison.saved import Json
from combsearch.comparison.tries import methods_of, widths_of
from combsearch.errors import CorruptDataError, UsageError
from combsearch.prune_rows import saved_net
from combsearch.report.network.page import network_item

FIELDS = (
    "method", "width", "budget", "cell", "restart", "nonzeros", "effective_nonzeros", "accuracy",
    "run",
)  # fmt: skip
"""What is told about a run; all but the method stand so in a comparison's facts."""

Place = tuple[Any, ...]
"""A run: the values of ``FIELDS``."""


@dataclass(eq=False)
class Points:
    """Runs, each once, and where their networks are.

    Attributes:
        places: of each run its number.
        nets: by number, the sweep's row that holds its network.
        instead: by number of a run that was not saved, that of the one saved in its stead.
    """

    places: dict[Place, int] = field(default_factory=dict)
    nets: dict[int, tuple[Group, int, int]] = field(default_factory=dict)
    instead: dict[int, int] = field(default_factory=dict)

    def number(self, run: Place) -> int:
        """The number of a run, new or known."""
        return self.places.setdefault(run, len(self.places))

    def of_facts(self, method: str, facts: Mapping[str, Any] | None) -> int | None:
        """The number of a run by the facts that the file gives about it; None of None."""
        if facts is None:
            return None
        return self.number((method, *(facts[name] for name in FIELDS[1:])))

    def of_try(self, group: Group, tries: Tries, place: int) -> int:
        """The number of one of ``tries``, its network noted, or the one saved in its stead."""
        number = self.of_facts(str(tries.method[place]), tries.facts(place))
        assert number is not None
        if tries.saved[place]:
            self.nets[number] = (group, int(tries.source[place]), int(tries.row[place]))
        return number

    def columns(self) -> Json:
        """By the names of ``FIELDS`` a list each, texts as their places in ``texts``."""
        texts: dict[str, int] = {}
        rows = [
            [texts.setdefault(one, len(texts)) if isinstance(one, str) else one for one in place]
            for place in self.places
        ]
        lists = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in FIELDS]
        return {**dict(zip(FIELDS, lists, strict=True)), "texts": list(texts)}

    def item(self, number: int, task: str) -> Json:
        """The network of a run as ``Network.open`` takes it.

        Raises:
            UsageError: it is wider than a page draws.
            CorruptDataError: it is damaged.
        """
        group, source, row = self.nets[number]
        run = group.runs[source]
        told = run.rows.slice(row, 1).to_pylist()[0]
        facts: dict[str, str | int | float] = {
            "task": task,
            "accuracy": float(told["accuracy"]),
            **{name: told[name] for name in ("method", "width", "budget", "cell", "restart")},
            "seed": run.seed,
            "run": run.name,
        }
        name = f"{told['method']} width {told['width']} budget {told['budget']}"
        try:
            nets = saved_net(told)
        except UsageError as error:
            raise CorruptDataError(f"{run.name}, row {row}: {error}") from error
        return network_item(name, nets, 0, facts)


@dataclass(frozen=True)
class Line:
    """Runs of a method, ascending in nonzeros and accuracy; width None: of all widths."""

    method: str
    width: int | None
    steps: tuple[int, ...]

    def to_json(self) -> Json:
        """A dict of JSON values."""
        return {"method": self.method, "width": self.width, "steps": list(self.steps)}


def rises(
    nonzeros: npt.NDArray[Any],
    accuracy: npt.NDArray[np.float64],
    ties: Sequence[npt.NDArray[Any]] = (),
) -> list[int]:
    """Places of the runs at which the best accuracy of any run so far rises (``frontier``).

    Args:
        nonzeros, accuracy: [run].
        ties: of equals the one that is smallest in the first of these, then the next, ...
    """
    order = np.lexsort((*reversed(ties), -accuracy, nonzeros))
    best = np.maximum.accumulate(accuracy[order])
    return [int(place) for place in order[np.flatnonzero(np.diff(best, prepend=-np.inf) > 0)]]


def lines_of_tries(points: Points, group: Group) -> list[Line]:
    """Of every method at every width, and of all of them, as the figures draw them."""
    return [
        Line(method, width, tuple(points.of_try(group, own, place) for place in _steps(own)))
        for method, width, own in _parts(group.tries)
    ]


def _parts(tries: Tries) -> Iterator[tuple[str, int | None, Tries]]:
    for method in methods_of(tries):
        own = tries.of_method(method)
        yield method, None, own.ok
        for width in widths_of(own):
            yield method, width, own.of_method(method, width).ok


def _steps(own: Tries) -> list[int]:
    names = np.array(own.names)[own.source]
    ties = (
        ~own.saved, own.effective_nonzeros, own.width, own.budget, own.cell, own.restart, names,
    )  # fmt: skip
    return rises(own.nonzeros, own.accuracy, ties)


def lines_of_file(points: Points, entries: Iterable[Json], by_budget: Iterable[Json]) -> list[Line]:
    """The same from the runs that a file names: the best of each budget, the first successes."""
    named: dict[str, dict[int, None]] = {}
    widths: dict[str, set[int]] = {}
    for one in (*entries, *by_budget):
        runs = named.setdefault(one["method"], {})
        if one["width"] is not None:
            widths.setdefault(one["method"], set()).add(one["width"])
        for what in ("first", "first_effective", "first_budget", "best"):
            number = points.of_facts(one["method"], one.get(what))
            if number is not None:
                runs[number] = None
    rows = list(points.places)
    lines = []
    for method, runs in named.items():
        for width in (None, *sorted(widths.get(method, ()))):
            own = sorted(n for n in runs if width in (None, rows[n][1]))
            facts = [dict(zip(FIELDS, rows[n], strict=True)) for n in own]
            nonzeros = np.array([one["nonzeros"] for one in facts], np.int64)
            accuracy = np.array([one["accuracy"] for one in facts], np.float64)
            effective = np.array([one["effective_nonzeros"] for one in facts], np.int64)
            steps = rises(nonzeros, accuracy, (effective,))
            lines.append(Line(method, width, tuple(own[place] for place in steps)))
    return lines


def note_saved(points: Points, group: Group) -> None:
    """Note the networks of all runs of ``group`` among ``points``, or of those in their stead.

    In the stead of a run that was not saved stands the most accurate saved one of the same
    method, width and budget.
    """
    own = set(group.tries.names)
    tries = group.tries.ok
    saved = {points_key(tries, place): place for place in np.flatnonzero(tries.saved).tolist()}
    best: dict[tuple[str, int, int], int] = {}
    for place in saved.values():
        rank = (str(tries.method[place]), int(tries.width[place]), int(tries.budget[place]))
        known = best.get(rank)
        if known is None or _order(tries, place) < _order(tries, known):
            best[rank] = place
    for run, number in list(points.places.items()):
        if run[-1] not in own or number in points.nets:
            continue
        if run in saved:
            points.of_try(group, tries, saved[run])
        elif (other := best.get(run[:3])) is not None:
            points.instead[number] = points.of_try(group, tries, other)


def points_key(tries: Tries, place: int) -> Place:
    """A run of ``tries`` as ``Points`` know it."""
    facts = tries.facts(place)
    assert facts is not None
    return (str(tries.method[place]), *(facts[name] for name in FIELDS[1:]))


def _order(tries: Tries, place: int) -> tuple[Any, ...]:
    return (-tries.accuracy[place], *points_key(tries, place)[1:])


def saved_success(points: Points, group: Group, entry: Json) -> int | None:
    """The sparsest saved run that reaches an entry's target, else its most accurate saved one."""
    tries = group.tries.of_method(entry["method"], entry["width"])
    if entry["reached"]:
        found = sparsest_saved(tries, entry["target"])
        return None if found is None else points.of_try(group, found, 0)
    saved = tries[tries.saved]
    place = saved.most_accurate()
    return None if place is None else points.of_try(group, saved, place)
