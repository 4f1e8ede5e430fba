"""What the page of a sweep over pruners shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from combsearch.numerals import count
from combsearch.prune_config import PruneConfig
from combsearch.prune_rows import saved_net
from combsearch.report.network.page import network_item
from combsearch.report.run.networks import Row, saved_networks
from combsearch.report.run.rows import COLUMNS, PRUNED, Group, RunRows, gathered
from combsearch.report.run.shown import (
    Shown,
    Status,
    counts_of,
    drawn_runs,
    important,
    item_name,
    points_of,
    room_for_networks,
    run_name,
    unnamed_of,
    unnamed_text,
)
from combsearch.report.run.tables import Table
from combsearch.saved_network import run_facts
from combsearch.store import RunStore

Names = dict[int, list[Any]]
"""Method, width and budget of every rank."""


def prune_shown(store: RunStore, status: Status, config: PruneConfig) -> Shown:
    """What is shown of a sweep; targets and bounds are the business of a comparison."""
    rows = gathered(store.pieces([*COLUMNS, *PRUNED]), None)
    levels = rows.levels()
    unnamed = unnamed_of(levels)
    named = {level: group for level, group in levels.items() if level not in unnamed}
    best = [group.best for group in named.values() if group.best]
    budgets = [group.best for group in rows.ranks.values()]
    names: Names = dict(
        enumerate(
            [group["method"], group["width"], budget["budget"]]
            for group in status["groups"]
            for budget in group["budgets"]
        )
    )
    start = "one initialisation" if "init_digest" in store.identity else "random weights"
    methods, widths = count(len(config.methods), "method"), count(len(config.widths), "width")
    above = ("above their budget", rows.above_budget, "count for no budget, but are drawn")
    shown = Shown(
        finding=[
            f"{methods} at {widths}, from {start}. Targets and the distance to the bound are on the"
            " page of a comparison.",
            *unnamed_text(unnamed, levels),
        ],
        best=best,
        tables=[_budget_table(rows, names), _level_table(named, names)],
        points=points_of(rows.points()),
        bins=rows.bins(),
        counts=[*counts_of(rows), above],
        runs=drawn_runs(rows),
    )
    wanted = [*important(best), *important(budgets)]
    item = partial(_item, run_name(store), config)
    shown.networks = saved_networks(store, wanted, item, room_for_networks(shown))
    return shown


def _item(run: str, config: PruneConfig, row: Row) -> dict[str, Any]:
    facts = run_facts(
        task=config.task,
        accuracy=row["accuracy"],
        recipe=config.recipes()[0].with_cell(row["cell"]),
        seed=config.seed,
        restart=row["restart"],
    )
    facts |= {"method": row["method"], "width": row["width"], "budget": row["budget"]}
    return network_item(f"{item_name(run, row)}, {row['method']}", saved_net(row), 0, facts)


def _budget_table(rows: RunRows, names: Names) -> Table:
    columns = (
        ("method", "text"), ("width", "whole"), ("budget", "whole"), ("best accuracy", "percent"),
        ("nonzeros", "whole"), ("runs", "whole"),
    )  # fmt: skip
    lines, bests = [], []
    for rank, group in sorted(rows.ranks.items()):
        best = group.best
        found = [best.accuracy, best.nonzeros] if best else [None, None]
        lines.append([*names[rank], *found, group.runs])
        bests.append(best)
    note = (
        "Best run of each budget, of those that keep to it. A budget counts weights, nonzeros"
        " count biases too."
    )
    return Table("By method, width and budget", columns, lines, bests, note)


def _level_table(levels: Mapping[int, Group], names: Names) -> Table:
    columns = (
        ("nonzeros", "whole"), ("best accuracy", "percent"), ("method", "text"),
        ("width", "whole"), ("budget", "whole"), ("runs", "whole"),
    )  # fmt: skip
    lines, bests = [], []
    for level, group in levels.items():
        if group.best:
            found = [level, group.best.accuracy, *names[group.best.rank], group.runs]
            lines.append(found)
            bests.append(group.best)
    note = "Best run of each number of nonzeros, whatever its budget."
    return Table("By nonzeros", columns, lines, bests, note)
