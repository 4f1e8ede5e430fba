"""The work on one shard of phase two or exhaust: train its masks, score them, commit their rows.

A restart that a race gave up has no row: that the shard is there proves that it was
started. Rows marked ``spared`` are of runs that a race would have given up, trained to
the end as a control. ``kept`` says which rows keep their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch.mask import MaskBatch
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.runfile import identity_digest
from combsearch.search import devices
from combsearch.search.initial import with_leading_block
from combsearch.search.kept import Kept, Runs
from combsearch.search.mask_plan import POOL, MaskConfig, MaskPlan, Segment
from combsearch.search.racing import Race, is_control
from combsearch.search.results import ok_rows, successes
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, clock, fewer, give_way, halvings
from combsearch.search.training import call_steps, committed, use_one_thread
from combsearch.store import RunStore, Shard, rows_table
from combsearch.trainers import Trainer

_FLOATS = 2**21  # parameters trained at once; more masks go one part after another
_MOST_POOLS = 16  # of restarts trained at once, since each has minibatches of its own


@dataclass(frozen=True)
class MaskWork:
    """Trains the masks of a shard and commits their rows; travels to other processes."""

    config: MaskConfig
    store: RunStore

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, identity_digest(self.store.identity))
        table = committed(self.store, shard)
        if table is None:
            table = train_shard(plan, shard)
            self.store.write(shard, table)
        good = int(successes(table, plan.config.target).sum())
        accuracy = np.where(ok_rows(table), table["accuracy"].to_numpy(), 0.0)
        return Outcome(plan.started(shard), good, float(accuracy.max(initial=0.0)))


@lru_cache(maxsize=1)
def _loaded_plan(config: MaskConfig, identity: str) -> MaskPlan:
    """The plan of the run with this identity, loaded once a process."""
    plan = MaskPlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    if devices.identity_name(plan.trainer) != "fused":
        use_one_thread()
    return plan


class _Part(NamedTuple):
    """The runs of some masks of a segment that were trained to the end: arrays [run]."""

    segment: Segment
    runs: Runs
    mask: npt.NDArray[np.uint64]
    spared: npt.NDArray[np.bool_]


class _Piece(NamedTuple):
    """Runs to train at once: some restarts, in all cells, of some masks of a segment."""

    segment: Segment
    ranks: range
    restarts: range


def train_shard(plan: MaskPlan, shard: Shard) -> pa.Table:
    """The rows of all masks of a shard."""
    started = clock()
    trainer = devices.searching(plan.trainer)
    parts: list[_Part] = []
    kept = Kept(plan)
    for piece in _pieces(plan, trainer, shard):
        give_way()
        part, nets = _train(plan, trainer, piece)
        kept.note(part.runs, nets)
        parts.append(part)
    return _rows(plan, parts, kept, clock() - started)


def _pieces(plan: MaskPlan, trainer: Trainer, shard: Shard) -> list[_Piece]:
    """What there is to train, in pieces that fit the memory and fill a GPU."""
    found = []
    cells = len(plan.config.cells)
    for segment, ranks in plan.pieces(shard):
        runs = plan.runs(segment) * len(ranks)
        room = devices.side_by_side(trainer, segment.shape, _FLOATS, runs)
        pools = room // (plan.block * cells * len(ranks)) if devices.on_gpu(plan.trainer) else 1
        span = plan.block * min(max(1, pools), _MOST_POOLS)
        if halvings():
            room = fewer(min(room, min(span, segment.restarts) * cells * len(ranks)))
            # A race compares the restarts of a pool.
            span = plan.block if plan.config.race else min(span, max(1, room // cells))
        for first in range(0, segment.restarts, span):
            restarts = range(first, min(first + span, segment.restarts))
            step = max(1, room // (len(restarts) * cells))
            for at in range(0, len(ranks), step):
                found.append(_Piece(segment, ranks[at : at + step], restarts))
    # Pool by pool: all masks of the shard then use the same minibatches one after the other.
    return sorted(found, key=lambda piece: piece.restarts.start)


def _train(plan: MaskPlan, trainer: Trainer, piece: _Piece) -> tuple[_Part, NetBatch]:
    """What becomes of the runs of a piece, and their networks at the end."""
    segment, ranks, restarts = piece
    masks, cells = plan.piece_masks(segment, ranks), plan.config.cells
    place = np.repeat(np.arange(len(masks)), len(restarts) * len(cells))
    cell = np.tile(np.repeat(np.arange(len(cells)), len(restarts)), len(masks))
    restart = np.tile(np.array(restarts), len(masks) * len(cells))
    mask_keys = masks.keys()[place]
    names = [cells[c] for c in cell.tolist()]
    keys = RunKeys.make(plan.config.seed, mask_keys, names, restart, plan.block)
    own = plan.config.recipes()
    recipes = [own[c] for c in cell.tolist()]
    nets = initial_nets(plan, masks[place], keys)
    if plan.config.race:
        pool = restart // POOL - restarts.start // POOL
        group = (place * (int(pool[-1]) + 1) + pool) * len(cells) + cell
        control = is_control(mask_keys, cell, restart // POOL, plan.config.controls)
        race = Race(trainer, plan.task, plan.recipe)
        nets, kept, spared = race.run(nets, recipes, keys, group, control)
    else:
        kept, spared = np.arange(len(place)), np.zeros(len(place), np.bool_)
        total = plan.recipe.total_steps(plan.task.points)
        for steps in call_steps(plan.trainer, plan.mask_work(segment) / plan.runs(segment), total):
            nets = trainer.fit(nets, plan.task, recipes, keys, steps)
    scores = trainer.score(nets, plan.task) if len(kept) else None
    correct = scores.correct if scores else np.zeros(0, np.int64)
    diverged = scores.diverged if scores else np.zeros(0, np.bool_)
    runs = Runs(ranks.start + place[kept], cell[kept], restart[kept], correct, diverged)
    return _Part(segment, runs, mask_keys[kept], spared), nets


def initial_nets(plan: MaskPlan, masks: MaskBatch, keys: RunKeys) -> NetBatch:
    """Networks at their start, one a mask: random weights by key, or the plan's own."""
    network = MLP(masks.shape, plan.config.width)
    nets = NetBatch.create(network, keys, masks)
    return nets if plan.initial is None else with_leading_block(nets, plan.initial)


def _rows(plan: MaskPlan, parts: list[_Part], kept: Kept, seconds: float) -> pa.Table:
    runs = Runs(*(np.concatenate(column) for column in zip(*(p.runs for p in parts), strict=True)))
    status = np.where(np.concatenate([p.spared for p in parts]), "spared", "ok")
    status = np.where(runs.diverged, "diverged", status)
    sizes = [len(p.mask) for p in parts]
    shapes = [",".join(map(str, p.segment.shape.widths)) for p in parts]
    names = np.array(plan.config.cells)
    return rows_table(
        rank=runs.rank,
        shape=np.repeat(shapes, sizes),
        mask=np.concatenate([p.mask for p in parts]),
        nonzeros=np.repeat([p.segment.nonzeros for p in parts], sizes),
        cell=names[runs.cell],
        restart=runs.restart,
        accuracy=runs.correct / plan.task.points,
        status=status,
        parameters=kept.parameters(runs.rank, runs.cell, runs.restart),
        seconds=seconds / max(1, len(runs.rank)),
    )
