"""Numbers of "Sparsest Models Elude Pruning" (ICML 2024) to stand beside ours.

Nonzeros count weights and biases. The paper's method numbers are first nonzeros at which a
network reaches a target, best of its nine cells and one restart: at width 16 those of its
figure 8, with the width that its search had found those of its figures 11 and 17. Where it
gives no number for a method there is none here, which says nothing about that method.

They are of the Cubist Spiral, three hidden layers and the default recipe: ``is_of_paper`` says
whether a sweep is like that, and beside any other they are not shown.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from combsearch.flops import BY_ROUNDS
from combsearch.tasks import cubist_spiral


@dataclass(frozen=True)
class Published:
    """One number of the paper.

    Attributes:
        method: as ``combsearch prune`` calls it; ``"search"`` is the paper's own search.
        target: accuracy that is reached.
        nonzeros: weights and biases.
        width: of the hidden layers before pruning; None of a search over shapes.
        place: where the paper has it.
        accuracy: of that network, where the paper says.
        start: name of the initialisation (``STARTS``); ``""`` for random weights.
    """

    method: str
    target: float
    nonzeros: int
    width: int | None
    place: str
    accuracy: float | None = None
    start: str = ""

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        return asdict(self)


# The two initialisations that the paper publishes, by the digest that runs have of them.
STARTS = {
    "df26166dbdb78f9fe52e848e255e6037178fe3a69e9c0cc05d98e4bfb99110d0": "BENCH-95",
    "2fb7b2b413e3cef2c24c55a41d2930845dda10111d495587d645fc1f186b7e34": "BENCH-995",
}

_WIDE, _GIVEN = "figure 8, width 16", "figures 11 and 17, the width that its search found"

PUBLISHED = (
    Published("search", 0.95, 30, None, "sections 4 and 5"),
    Published("search", 0.995, 45, None, "sections 4 and 5"),
    Published("search", 0.95, 26, None, "sections 3.5 and 7", start="BENCH-95"),
    Published("search", 0.995, 38, None, "sections 3.5 and 7", start="BENCH-995"),
    Published("lth", 0.95, 44, 16, _WIDE),
    Published("synflow", 0.95, 51, 16, _WIDE),
    Published("rigl", 0.95, 52, 16, _WIDE),
    Published("gmp", 0.995, 61, 16, _WIDE),
    Published("iter_snip", 0.995, 78, 16, _WIDE),
    Published("rigl", 0.995, 84, 16, _WIDE),
    Published("snip", 0.95, 29, 3, _GIVEN, 0.9514),
    Published("gmp", 0.995, 40, 7, _GIVEN, 0.9968),
)

ABSENT = BY_ROUNDS
"""Methods that another paper has (SAP's, ICLR 2023) and this one has not."""

FLOPS_WIDTH, FLOPS_BUDGET = 16, 55
FLOPS_PLACE = "table 1, width 16, 55 nonzeros"
# Pruning and training together; "dense" is the network that nobody prunes.
FLOPS = {
    "lth": 3.4e9,
    "dense": 1.5e9,
    "gmp": 5.3e8,
    "rigl": 2.1e8,
    "grasp": 2.0e8,
    "snip": 1.9e8,
    "iter_snip": 1.9e8,
    "force": 1.9e8,
    "synflow": 1.9e8,
    "prospr": 1.9e8,
}


def start_name(start: str) -> str:
    """What a reader calls the initialisation with digest ``start``; ``""`` of random weights."""
    return STARTS.get(start) or start[:8]


def is_of_paper(task_digest: str, conditions: Iterable[str]) -> bool:
    """Whether runs are such as the paper has.

    Args:
        task_digest: of their task.
        conditions: names of the settings that are not at their default. Budgets may be those
            of the authors' code (``compat``); anything else makes other runs.
    """
    return set(conditions) <= {"compat"} and task_digest == _paper_task()


@functools.cache
def _paper_task() -> str:
    return cubist_spiral().digest()


def published(
    method: str, target: float, widths: Collection[int | None], start: str = ""
) -> Published | None:
    """The paper's number of a method at a target, or None where it gives none.

    Args:
        method: as ``combsearch prune`` calls it, or ``"search"``.
        target: accuracy.
        widths: of these widths only; of several the fewest nonzeros. None is that of a search.
        start: digest of the initialisation; ``""`` for random weights.
    """
    found = [
        one
        for one in PUBLISHED
        if (one.method, one.target) == (method, target)
        and one.width in widths
        and one.start == start_name(start)
    ]
    return min(found, key=lambda one: one.nonzeros, default=None)
