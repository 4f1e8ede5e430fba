"""The searches' lines beside those of pruners, and the networks that the searches saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from combsearch.comparison import SearchRun
from combsearch.comparison.bounds import EXISTS, TRAINED
from combsearch.comparison.saved import Json
from combsearch.connectivity import effective_nonzeros, nonzeros
from combsearch.errors import UsageError
from combsearch.frontier import Found
from combsearch.nets import MLP
from combsearch.report.comparison.points import rises
from combsearch.report.comparison.runs import Opened
from combsearch.report.network.page import network_item
from combsearch.saved_network import SavedNetwork, read_network

KINDS = (TRAINED, EXISTS)
"""Bounds that gaps are taken to and that have a line, in this order."""

_SAME = 1e-6  # between two accuracies of one network

Step = list[Any]
"""Nonzeros, effective nonzeros, accuracy, run, shape, place of the network or None."""


@dataclass(eq=False)
class SearchNetworks:
    """Networks of searches, each once, as ``Network.open`` takes them.

    Attributes:
        items: the networks.
        places: of each step that was looked for its place there, None where it was not saved.
    """

    items: list[Json] = field(default_factory=list)
    places: dict[tuple[str, Found], int | None] = field(default_factory=dict)

    def lines(self, opened: Opened, bounds: Sequence[Json]) -> list[Json]:
        """The frontier of all searches of a kind; without them the bounds of the file.

        What exists has a line where it says more than what was trained.
        """
        start = bounds[0]["init_digest"] or ""
        lines: list[Json] = []
        for kind in KINDS:
            if opened.searches is None:
                steps = _steps_of_file(kind, bounds)
            else:
                steps = [self._step(opened, *one) for one in _joined(opened.searches, kind, start)]
            lines.append({"kind": kind, "any_weights": bool(start), "steps": steps})
        trained, exists = ([step[:3] for step in line["steps"]] for line in lines)
        kept = lines if exists != trained else lines[:1]
        return [line for line in kept if line["steps"]]

    def _step(self, opened: Opened, search: SearchRun, found: Found) -> Step:
        key = search.name, found
        if key not in self.places:
            self.places[key] = self._add(opened, search, found)
        numbers = (found.nonzeros, found.effective, found.accuracy)
        return [*numbers, search.name, list(found.shape), self.places[key]]

    def _add(self, opened: Opened, search: SearchRun, found: Found) -> int | None:
        assert opened.task is not None
        source = Path(found.source)
        for path in sorted(source.glob("best*.npz")) if source.is_dir() else [source]:
            saved = read_network(path)
            if not _is(saved, found):
                continue
            name = f"{search.command} {found.nonzeros} nonzeros"
            about = {**saved.about, "task": opened.task.name, "accuracy": found.accuracy}
            try:
                item = network_item(name, saved.nets, 0, about)
            except UsageError:
                return None  # wider than a page draws
            self.items.append(item | {"about": [*item["about"], ["run", search.name]]})
            return len(self.items) - 1
        return None


def _is(saved: SavedNetwork, found: Found) -> bool:
    """Whether this is the network of a step: the best one of a run is not that of all its steps."""
    nets, told = saved.nets, saved.about.get("accuracy", found.accuracy)
    assert isinstance(nets.network, MLP)
    own = (int(nonzeros(nets)[0]), int(effective_nonzeros(nets)[0]), nets.network.shape.widths)
    same = own == (found.nonzeros, found.effective, found.shape)
    return same and isinstance(told, int | float) and abs(told - found.accuracy) < _SAME


def _joined(searches: Sequence[SearchRun], kind: str, start: str) -> list[tuple[SearchRun, Found]]:
    """The steps of ``comparison.joined`` with the search that each comes from."""
    pairs = [
        (search, found)
        for search in searches
        if search.gives(kind, start)
        for found in search.steps
    ]
    if not pairs:
        return []
    numbers = np.array([found.nonzeros for _, found in pairs], np.int64)
    accuracy = np.array([found.accuracy for _, found in pairs], np.float64)
    effective = np.array([found.effective for _, found in pairs], np.int64)
    return [pairs[place] for place in rises(numbers, accuracy, (effective,))]


def _steps_of_file(kind: str, bounds: Sequence[Json]) -> list[Step]:
    steps: list[Step] = []
    for one in (bound[kind] for bound in bounds if bound[kind]):
        if not steps or one["accuracy"] > steps[-1][2]:
            numbers = (one["nonzeros"], one["effective_nonzeros"], one["accuracy"])
            steps.append([*numbers, one["run"], one["shape"], None])
    return steps
