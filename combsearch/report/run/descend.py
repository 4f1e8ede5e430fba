"""What a run of descend found: the best network of every level, from every starting shape.

A finished run says so in its summary, and has its networks in ``frontier``; of one that goes
on, the saved states of its descents say how far they are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from combsearch import fields
from combsearch.connectivity import compact
from combsearch.errors import CorruptDataError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.saved_network import load_network
from combsearch.search.descend import DescendPlan, read_state
from combsearch.search.descent import State, best_of
from combsearch.search_config import DescendConfig
from combsearch.store import RunStore

SUMMARY, FRONTIER = "summary.json", "frontier"

_MOST = 2**31  # nonzeros, which a page holds in 32 bits

Widths = tuple[int, ...]


class Point(NamedTuple):
    """The best that one descent has at a level."""

    nonzeros: int
    accuracy: float
    start: str


@dataclass(frozen=True)
class Level:
    """The best of all descents at one number of nonzeros; ``nets`` loads its network."""

    nonzeros: int
    accuracy: float
    shape: Widths
    start: str
    nets: Callable[[], NetBatch | None]


@dataclass
class Descents:
    """What a run found so far; ``finished`` when its summary says so."""

    finished: bool
    points: list[Point] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)


def descents_of(store: RunStore) -> Descents:
    """What the folder of a run of descend says.

    Raises:
        CorruptDataError: its summary is damaged.
    """
    path = store.root / SUMMARY
    if not path.is_file():
        return _going_on(store)
    try:
        return _finished(store.root, json.loads(path.read_bytes()))
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
        RecursionError,
    ) as error:  # fmt: skip
        raise CorruptDataError(
            f"{path} is damaged ({error!r}); repeat the command that made the run to write it anew"
        ) from error


def start_text(shape: Widths, joint: bool) -> str:
    """``"(7,3,3)"``, or ``"joint (8,3,3)"`` of a descent that joins others."""
    return f"{'joint ' * joint}({','.join(map(str, shape[1:-1]))})"


def _finished(root: Path, summary: Mapping[str, Any]) -> Descents:
    found, starts = Descents(finished=True), dict[Widths, str]()
    for one in summary["by_shape"]:
        shape = tuple(map(int, one["shape"]))
        starts[shape] = start_text(shape, bool(one["joint"]))
        for nonzeros, accuracy in one["frontier"].items():
            found.points.append(Point(int(nonzeros), float(accuracy), starts[shape]))
    for one in summary["frontier"]:
        path = root / FRONTIER / f"{int(one['nonzeros'])}.npz"
        found.levels.append(
            Level(
                int(one["nonzeros"]), float(one["accuracy"]), tuple(map(int, one["shape"])),
                starts[tuple(map(int, one["start"]))], partial(_load, path),
            )
        )  # fmt: skip
    told = [(one.nonzeros, one.accuracy) for one in found.points]
    told += [(one.nonzeros, one.accuracy) for one in found.levels]
    for nonzeros, accuracy in told:
        if not (0 <= nonzeros < _MOST and 0 <= accuracy <= 1):
            raise ValueError(f"{nonzeros} nonzeros at {accuracy}")
    return found


def _load(path: Path) -> NetBatch | None:
    return load_network(path) if path.is_file() else None


def _going_on(store: RunStore) -> Descents:
    config = fields.from_json(DescendConfig, store.identity["config"])
    plan = DescendPlan.of(dataclasses.replace(config, trainer="fused"))
    found, best = Descents(finished=False), dict[int, Level]()
    for path, shape in plan.paths(store.root):
        state = read_state(path, shape)
        if state is None:
            continue
        start = start_text(shape.widths, path.name.startswith("joint-"))
        for level in _levels(state, plan.task.points, start, config.width):
            found.points.append(Point(level.nonzeros, level.accuracy, start))
            if level.nonzeros not in best or level.accuracy > best[level.nonzeros].accuracy:
                best[level.nonzeros] = level
    found.levels = [best[nonzeros] for nonzeros in sorted(best)]
    return found


def _itself(nets: NetBatch) -> NetBatch:
    return nets


def _levels(state: State, points: int, start: str, width: int) -> list[Level]:
    levels = []
    for nonzeros, scored in best_of(state).items():
        if scored.correct[0] < 0:  # it diverged
            continue
        nets = compact(scored.nets[:1].batch(width))
        assert isinstance(nets.network, MLP)
        shape: NetShape = nets.network.shape
        accuracy = int(scored.correct[0]) / points
        levels.append(Level(nonzeros, accuracy, shape.widths, start, partial(_itself, nets)))
    return levels
