"""What the searches found: how few nonzeros reach a target, by training and at all.

The **trained** bound comes from rows of phase1, phase2 and exhaust: fewest nonzeros of a run
that reached the target. Their masks are eligible, so every nonzero is effective. The
**existence** bound comes from the networks that descend saved, each evaluated again on the
task's points, and from every trained success: a trained network exists. It is of any weights,
also where the trained bound is of one initialisation. Networks with pruned biases of live
neurons count in another way and are kept apart (``frontier``): they make no gap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from combsearch.frontier import KEPT, Found

TRAINED, EXISTS, PRUNED_BIASES = "trained", "exists", "exists_biases_prunable"
KINDS = (TRAINED, EXISTS, PRUNED_BIASES)


@dataclass(frozen=True)
class SearchRun:
    """A run of a search.

    Attributes:
        name: its folder.
        command: phase1, phase2, exhaust or descend.
        start: ``""`` for random weights, else the digest of the initialisation.
        runs: training runs that it rests on; None where it does not say.
        counting: ``frontier.KEPT`` or ``PRUNABLE``.
        steps: its frontier, nonzeros and accuracy both ascending.
    """

    name: str
    command: str
    start: str
    runs: int | None
    counting: str
    steps: tuple[Found, ...]

    @property
    def kind(self) -> str:
        """Which of ``KINDS`` it looks for."""
        if self.command != "descend":
            return TRAINED
        return EXISTS if self.counting == KEPT else PRUNED_BIASES

    def gives(self, kind: str, start: str) -> bool:
        """Whether its networks are of a kind, for runs from ``start``.

        What exists does not ask where training starts, nor whether anything was trained.
        """
        if kind == EXISTS:
            return self.kind in (TRAINED, EXISTS)
        return self.kind == kind and (kind != TRAINED or self.start == start)

    def lowest(self, target: float) -> Found | None:
        """Its network with the fewest nonzeros that reaches ``target``."""
        return next((found for found in self.steps if found.accuracy >= target), None)


@dataclass(frozen=True)
class Bound:
    """The fewest nonzeros at which some search reached a target.

    Attributes:
        kind: one of ``KINDS``.
        found: the network: nonzeros, accuracy, shape, effective nonzeros.
        run: folder of the search.
        runs: training runs behind it; None where the search does not say.
    """

    kind: str
    found: Found
    run: str
    runs: int | None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        facts = self.found.to_json()
        return {
            "nonzeros": facts["nonzeros"],
            "effective_nonzeros": facts["effective"],
            "accuracy": facts["accuracy"],
            "shape": facts["shape"],
            "run": self.run,
            "runs": self.runs,
        }


def lowest(searches: Iterable[SearchRun], kind: str, start: str, target: float) -> Bound | None:
    """The bound of one kind for networks from ``start``; None where no search has one.

    ``start`` matters to the trained bound alone (``SearchRun.gives``). Of equals the most
    accurate, then the first by name.
    """
    found = [
        (one, best)
        for one in searches
        if one.gives(kind, start) and (best := one.lowest(target)) is not None
    ]
    if not found:
        return None
    one, best = min(found, key=lambda pair: (pair[1].nonzeros, -pair[1].accuracy, pair[0].name))
    return Bound(kind, best, one.name, one.runs)


def rising(networks: Sequence[Found]) -> tuple[Found, ...]:
    """Those more accurate than every network with fewer nonzeros, ascending."""
    steps: list[Found] = []
    for found in sorted(networks, key=lambda one: (one.nonzeros, -one.accuracy, one.effective)):
        if not steps or found.accuracy > steps[-1].accuracy:
            steps.append(found)
    return tuple(steps)


def joined(searches: Iterable[SearchRun], kind: str, start: str) -> tuple[Found, ...]:
    """The frontier of all searches of one kind (``start`` as in ``lowest``)."""
    return rising(
        [
            dataclasses.replace(found, source=one.name)
            for one in searches
            if one.gives(kind, start)
            for found in one.steps
        ]
    )
