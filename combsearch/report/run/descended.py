"""What the page of a run of descend shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from combsearch.numerals import percent, plain_percent
from combsearch.report.network.page import network_item
from combsearch.report.run.descend import Descents, Level, descents_of
from combsearch.report.run.networks import Networks
from combsearch.report.run.rows import Best
from combsearch.report.run.shown import (
    Shown,
    Status,
    bound_json,
    coded,
    point_columns,
    run_name,
    unnamed_levels,
    unnamed_text,
)
from combsearch.report.run.tables import Table, hidden
from combsearch.saved_network import run_facts
from combsearch.search_config import DescendConfig
from combsearch.store import RunStore


def descend_shown(store: RunStore, status: Status, config: DescendConfig) -> Shown:
    """What is shown of a run of descend, finished or not."""
    found = descents_of(store)
    unnamed = unnamed_levels({level.nonzeros: level.accuracy for level in found.levels})
    named = [level for level in found.levels if level.nonzeros not in unnamed]
    networks, best = _networks(named, run_name(store), config)
    lowest = next((one for one in best if one.accuracy >= config.target), None)
    target = plain_percent(config.target)
    finding = f"No network reached {target} yet."
    if lowest:
        finding = (
            f"Existence bound: {lowest.nonzeros} nonzeros reach {target}, {hidden(lowest.shape)} at"
            f" {percent(lowest.accuracy)}, found by deletion."
        )
    return Shown(
        finding=[finding, *unnamed_text(unnamed, found.levels)],
        best=best,
        tables=[_level_table(best), _starts_table(found, config.target)],
        networks=networks,
        points=_points(found),
        bound=bound_json("existence bound", lowest) if lowest else None,
        runs=len(found.points),
        finished=found.finished or None,
    )


def _networks(
    levels: Sequence[Level], run: str, config: DescendConfig
) -> tuple[Networks, list[Best]]:
    """The networks of levels, and the best of each; ``cell`` is where its descent began."""
    networks, best = Networks(), []
    for level in levels:
        nets = level.nets()
        shape = ",".join(map(str, level.shape))
        one = Best(
            level.accuracy, level.nonzeros, nets is not None, shape, level.start, 0, level.nonzeros
        )
        best.append(one)
        if nets is not None:
            facts = run_facts(task=config.task, accuracy=level.accuracy, seed=config.seed)
            title = f"{run}, {level.nonzeros} nonzeros {hidden(shape)}"
            networks.add(one.key, partial(network_item, title, nets, 0, facts))
    return networks, best


def _level_table(best: list[Best]) -> Table:
    columns = (
        ("nonzeros", "whole"), ("shape", "text"), ("accuracy", "percent"), ("descent from", "text"),
    )  # fmt: skip
    rows = [[one.nonzeros, hidden(one.shape), one.accuracy, one.cell] for one in best]
    return Table("By nonzeros", columns, rows, best, "Best network of each level.")


def _starts_table(found: Descents, target: float) -> Table:
    starts: dict[str, list[Any]] = {}
    for point in found.points:
        starts.setdefault(point.start, []).append(point)
    rows = [
        [
            start, len(own),
            min((p.nonzeros for p in own if p.accuracy >= target), default=None),
            max(p.accuracy for p in own),
        ]
        for start, own in starts.items()
    ]  # fmt: skip
    columns = (
        ("descent from", "text"), ("levels", "whole"), ("fewest nonzeros at target", "whole"),
        ("best accuracy", "percent"),
    )  # fmt: skip
    note, sort = "What each descent came to.", ("fewest nonzeros at target", False)
    return Table("By starting shape", columns, rows, [], note, sort)


def _points(found: Descents) -> dict[str, Any]:
    details = [coded("descent from", [point.start for point in found.points])]
    nonzeros = np.array([point.nonzeros for point in found.points], np.int64)
    accuracy = np.array([point.accuracy for point in found.points], np.float64)
    return point_columns(nonzeros, accuracy, details)
