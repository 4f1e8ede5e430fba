"""What the page of a search shows: phase one, phase two, exhaust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from combsearch.config import SearchConfig
from combsearch.mask import MaskBatch, NetShape
from combsearch.numerals import percent, plain_percent
from combsearch.report.network.page import network_item
from combsearch.report.run.networks import Row, saved_networks
from combsearch.report.run.rows import COLUMNS, Group, RunRows, gathered
from combsearch.report.run.shown import (
    Shown,
    Status,
    bound_json,
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
from combsearch.report.run.tables import (
    dense_levels,
    hidden,
    level_rows,
    level_table,
    shape_table,
    share_rows,
)
from combsearch.search.grid import dense_grid
from combsearch.search.level_results import row_network
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.results import row_facts
from combsearch.search.saved_plan import saved_plan
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.shards import Shard
from combsearch.store import RunStore


def phase1_shown(store: RunStore, status: Status, config: SearchConfig) -> Shown:
    """What is shown of a run of phase one: its levels, and every shape by itself."""
    end = status["shapes_done"] + status["shapes_left"]
    rows = gathered(store.pieces(COLUMNS, last=end), config.target)
    shapes = rows.shapes()
    started = {shape: group.runs for shape, group in shapes.items()}
    shown = _search(store, rows, config, _dense, _dense_levels(rows, config, end), started)
    shown.what, shown.shares = "shapes", share_rows(shapes, started)
    extra = status["runs_done"] - status["runs_counted"]
    shown.counts.append(("saved above the first success", extra, "not counted and not shown"))
    if status["shape"]:
        name = ",".join(map(str, status["shape"]))
        group = shapes[name]
        assert group.best is not None
        shown.bound = bound_json("smallest success", group.best)
        shown.finding[0] = (
            f"The smallest dense shape that reached {plain_percent(config.target)} is"
            f" {hidden(name)} with {group.best.nonzeros} nonzeros: {group.successes:,} of its"
            f" {group.runs:,} runs, the best at {percent(group.best.accuracy)}."
        )
    return shown


def _dense_levels(rows: RunRows, config: SearchConfig, end: int) -> list[dict[str, Any]]:
    if not rows.groups:
        return []
    _, shape = next(iter(rows.groups))
    widths = NetShape(tuple(map(int, shape.split(","))))
    grid = dense_grid(config.width, config.depth, widths.inputs, widths.outputs)
    return dense_levels(rows.groups, Counter(grid.nonzeros[:end].tolist()), "restarts")


def _dense(row: Row) -> MaskBatch:
    return MaskBatch.dense_of(NetShape(tuple(map(int, row["shape"].split(",")))))


def masks_shown(store: RunStore, status: Status, config: Phase2Config | ExhaustConfig) -> Shown:
    """What is shown of a run of phase two or exhaust."""
    plan = saved_plan(store)
    pieces = store.pieces(COLUMNS, last=status["masks_done"] + status["masks_left"])
    rows = gathered(pieces, config.target)
    started = Counter[str]()
    for saved in pieces.ranges:
        for segment, ranks in plan.pieces(saved):
            started[",".join(map(str, segment.shape.widths))] += len(ranks) * plan.runs(segment)
    shown = _search(store, rows, config, partial(_mask, plan), status["levels"], started)
    if given_up := sum(started.values()) - rows.rows:
        shown.counts.insert(0, ("runs in all", rows.rows + given_up, ""))
    shown.counts.append(("given up by a race", given_up, "failures in every share; not drawn"))
    if status["bound"] is not None:
        best = rows.levels()[status["bound"]].best
        assert best is not None
        shown.bound = bound_json("trained bound", best)
        start = "one initialisation" if plan.fixed else "random weights"
        shown.finding[0] = (
            f"Trained bound: {best.nonzeros} nonzeros reached {plain_percent(config.target)},"
            f" {hidden(best.shape)} at {percent(best.accuracy)}, from {start};"
            f" {_below(status['levels'], best.nonzeros)}."
        )
    if plan.untried:
        shown.finding.append(
            f"Levels {plan.untried[0]} to {plan.untried[-1]} were left out by --min-nonzeros."
        )
    return shown


def _mask(plan: MaskPlan, row: Row) -> MaskBatch:
    return plan.piece_masks(*next(plan.pieces(Shard(row["rank"], row["rank"] + 1))))


def _below(levels: Sequence[Mapping[str, Any]], bound: int) -> str:
    """What is known of the levels below a bound."""
    below = [level["closed"] for level in levels if level["nonzeros"] < bound]
    if not below:
        return "no level below was trained"
    gaps = len(below) - sum(below)
    if not gaps:
        return "every level below it is closed"
    return f"{gaps} of the {len(below)} levels below {'is' if gaps == 1 else 'are'} open"


def _search(
    store: RunStore,
    rows: RunRows,
    config: Any,
    words: Callable[[Row], MaskBatch],
    levels: Sequence[Mapping[str, Any]],
    started: Mapping[str, int],
) -> Shown:
    """What searches over shapes and over masks have in common.

    Args:
        store: the run.
        rows: what its rows come to.
        config: of the search.
        words: the mask of a row.
        levels: as ``Level.to_json`` writes them.
        started: runs of each shape, those that a race gave up included.
    """
    by_level, by_shape = rows.levels(), rows.shapes()
    unnamed = unnamed_of(by_level)
    best = [one.best for level, one in by_level.items() if one.best and level not in unnamed]
    hits = [group.best for group in by_shape.values() if group.successes]
    wanted = [*important(best), *hits, *important([one.best for one in by_shape.values()])]
    figures = level_rows([one for one in levels if one["nonzeros"] not in unnamed])
    what = "shapes" if isinstance(config, SearchConfig) else "masks"
    tables = [level_table(figures, by_level, what)]
    if len(by_shape) > 1:
        tables.append(shape_table(by_shape, started))
    shown = Shown(
        finding=[_no_success(by_level, rows.rows, config.target), *unnamed_text(unnamed, by_level)],
        best=best,
        tables=tables,
        points=points_of(rows.points()),
        bins=rows.bins(),
        counts=counts_of(rows),
        levels=figures,
        runs=drawn_runs(rows),
    )
    item = partial(_item, run_name(store), config, words)
    shown.networks = saved_networks(store, wanted, item, room_for_networks(shown))
    return shown


def _item(run: str, config: Any, words: Callable[[Row], MaskBatch], row: Row) -> dict[str, Any]:
    facts = row_facts(row, config.task, config)
    nets = row_network(dict(row), config.width, words(row))
    return network_item(item_name(run, row), nets, 0, facts)


def _no_success(levels: Mapping[int, Group], rows: int, target: float) -> str:
    best = [group.best for group in levels.values() if group.best]
    if not best:
        return "All saved runs diverged." if rows else "No run is saved yet."
    top = max(best, key=lambda one: one.order)
    return (
        f"No run reached {plain_percent(target)} up to {best[-1].nonzeros} nonzeros; the best is"
        f" {hidden(top.shape)} with {top.nonzeros} nonzeros at {percent(top.accuracy)}."
    )
