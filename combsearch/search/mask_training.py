"""The work on one shard of phase two or exhaust: train its masks, score them, commit their rows.

A restart that a race gave up has no row: that the shard is there proves that it was
started. Rows marked ``spared`` are of runs that a race would have given up, trained to
the end as a control. Parameters are kept for the best run of a mask that reached the
target, and for the best of the shard.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
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
from combsearch.search.mask_plan import POOL, MaskConfig, MaskPlan, Segment
from combsearch.search.racing import Race, is_control
from combsearch.search.results import ok_rows, successes
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.training import (
    call_steps,
    committed,
    flat_parameters,
    use_one_thread,
)
from combsearch.store import RunStore, Shard, rows_table
from combsearch.trainers import get_trainer

F32 = npt.NDArray[np.float32]

_FLOATS = 2**21  # parameters trained at once; more masks go one part after another


@dataclass(frozen=True)
class MaskWork:
    """Trains the masks of a shard and commits their rows; travels to other processes."""

    config: MaskConfig
    store: RunStore

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        plan = _loaded_plan(self.config, identity_digest(self.store.identity))
        table = committed(self.store, shard)
        if table is None:
            table = train_shard(plan, shard)
            self.store.write(shard, table)
        runs = sum(plan.runs(segment) * len(ranks) for segment, ranks in plan.pieces(shard))
        good = int(successes(table, plan.config.target).sum())
        accuracy = np.where(ok_rows(table), table["accuracy"].to_numpy(), 0.0)
        return Outcome(runs, good, float(accuracy.max(initial=0.0)))


@lru_cache(maxsize=1)
def _loaded_plan(config: MaskConfig, identity: str) -> MaskPlan:
    """The plan of the run with this identity, loaded once a process."""
    plan = MaskPlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    if plan.trainer != "fused":
        use_one_thread()
    return plan


class _Part(NamedTuple):
    """The runs of some masks of a segment that were trained to the end: arrays [run]."""

    segment: Segment
    rank: npt.NDArray[np.int64]
    mask: npt.NDArray[np.uint64]
    cell: npt.NDArray[np.int64]
    restart: npt.NDArray[np.int64]
    correct: npt.NDArray[np.int64]
    diverged: npt.NDArray[np.bool_]
    spared: npt.NDArray[np.bool_]


class _Best(NamedTuple):
    """The best run of a mask; sorts before a worse one: more points wrong, later cell, restart."""

    wrong: int
    cell: int
    restart: int
    parameters: F32


def train_shard(plan: MaskPlan, shard: Shard) -> pa.Table:
    """The rows of all masks of a shard."""
    started = time.perf_counter()
    parts: list[_Part] = []
    best: dict[int, _Best] = {}
    batches = [
        (segment, ranks.start, plan.piece_masks(segment, ranks))
        for segment, ranks in plan.pieces(shard)
    ]
    # Pool by pool: all masks of the shard then use the same minibatches one after the other.
    most = max(segment.restarts for segment, *_ in batches)
    for first in range(0, most, plan.block):
        for segment, rank, masks in batches:
            restarts = range(first, min(first + plan.block, segment.restarts))
            if restarts:
                for start, some in _chunks(plan, masks, len(restarts)):
                    parts.append(_train(plan, segment, rank + start, some, restarts, best))
    return _rows(plan, parts, best, time.perf_counter() - started)


def _chunks(plan: MaskPlan, masks: MaskBatch, restarts: int) -> Iterator[tuple[int, MaskBatch]]:
    """(place of the first, masks) in pieces that fit the memory."""
    runs = restarts * len(plan.config.cells)
    step = max(1, _FLOATS // (runs * masks.shape.parameters))
    for start in range(0, len(masks), step):
        yield start, masks[start : start + step]


def _train(
    plan: MaskPlan,
    segment: Segment,
    rank: int,
    masks: MaskBatch,
    restarts: range,
    best: dict[int, _Best],
) -> _Part:
    """Train these restarts of ``masks`` in all cells; notes the best of each mask in ``best``."""
    cells = plan.config.cells
    runs = len(restarts) * len(cells)
    place = np.repeat(np.arange(len(masks)), runs)
    cell = np.tile(np.repeat(np.arange(len(cells)), len(restarts)), len(masks))
    restart = np.tile(np.array(restarts), len(masks) * len(cells))
    mask_keys = masks.keys()[place]
    names = [cells[c] for c in cell]
    keys = RunKeys.make(plan.config.seed, mask_keys, names, restart, plan.block)
    own = plan.config.recipes()
    recipes = [own[c] for c in cell]
    nets = initial_nets(plan, masks[place], keys)
    trainer = get_trainer(plan.trainer)
    if plan.config.race:
        pool = restarts.start // POOL
        control = np.array(
            [is_control(mask_keys, c, pool, plan.config.controls) for c in range(len(cells))]
        )[cell, np.arange(len(cell))]
        race = Race(trainer, plan.task, plan.recipe)
        nets, kept, spared = race.run(nets, recipes, keys, place * len(cells) + cell, control)
    else:
        kept, spared = np.arange(len(place)), np.zeros(len(place), np.bool_)
        total = plan.recipe.total_steps(plan.task.points)
        for steps in call_steps(plan.trainer, plan.mask_work(segment) / plan.runs(segment), total):
            nets = trainer.fit(nets, plan.task, recipes, keys, steps)
    scores = trainer.score(nets, plan.task) if len(kept) else None
    correct = scores.correct if scores else np.zeros(0, np.int64)
    diverged = scores.diverged if scores else np.zeros(0, np.bool_)
    part = _Part(
        segment, rank + place[kept], mask_keys[kept], cell[kept], restart[kept], correct,
        diverged, spared,
    )  # fmt: skip
    _note_best(plan, part, nets, best)
    return part


def initial_nets(plan: MaskPlan, masks: MaskBatch, keys: RunKeys) -> NetBatch:
    """Networks at their start, one a mask: random weights by key, or the plan's own."""
    network = MLP(masks.shape, plan.config.width)
    nets = NetBatch.create(network, keys, masks)
    return nets if plan.initial is None else with_leading_block(nets, plan.initial)


def with_leading_block(nets: NetBatch, initial: NetBatch) -> NetBatch:
    """``nets`` with the leading block of the first of ``initial``, a wider MLP, masked."""
    params = {}
    for name, mask in nets.masks.items():
        block = tuple(slice(0, size) for size in mask.shape[1:])
        params[name] = initial.params[name][0][block] * mask
    return NetBatch(nets.network, params, nets.masks, nets.momenta)


def _note_best(plan: MaskPlan, part: _Part, nets: NetBatch, best: dict[int, _Best]) -> None:
    """One that diverged is nobody's best, whatever it answers."""
    wrong = plan.task.points - part.correct
    order = np.lexsort((part.restart, part.cell, wrong, part.diverged, part.rank))
    _, first = np.unique(part.rank[order], return_index=True)
    for run in order[first]:
        rank = int(part.rank[run])
        found = (int(wrong[run]), int(part.cell[run]), int(part.restart[run]))
        if not part.diverged[run] and (rank not in best or found < best[rank][:3]):
            best[rank] = _Best(*found, flat_parameters(nets, int(run)))


def _rows(plan: MaskPlan, parts: list[_Part], best: dict[int, _Best], seconds: float) -> pa.Table:
    rank = np.concatenate([p.rank for p in parts])
    cell = np.concatenate([p.cell for p in parts])
    restart = np.concatenate([p.restart for p in parts])
    correct = np.concatenate([p.correct for p in parts])
    status = np.where(np.concatenate([p.spared for p in parts]), "spared", "ok")
    status = np.where(np.concatenate([p.diverged for p in parts]), "diverged", status)
    shapes = [",".join(map(str, p.segment.shape.widths)) for p in parts]
    names = np.array(plan.config.cells)
    return rows_table(
        rank=rank,
        shape=np.repeat(shapes, [len(p.rank) for p in parts]),
        mask=np.concatenate([p.mask for p in parts]),
        nonzeros=np.concatenate([np.full(len(p.rank), p.segment.nonzeros) for p in parts]),
        cell=names[cell],
        restart=restart,
        accuracy=correct / plan.task.points,
        status=status,
        parameters=_saved(plan, best, rank, cell, restart),
        seconds=seconds / max(1, len(rank)),
    )


def _saved(
    plan: MaskPlan,
    best: dict[int, _Best],
    rank: npt.NDArray[np.int64],
    cell: npt.NDArray[np.int64],
    restart: npt.NDArray[np.int64],
) -> list[F32 | None]:
    """Parameters of the rows that keep theirs: see the module."""
    points, target = plan.task.points, plan.config.target
    saved = {r: b for r, b in best.items() if (points - b.wrong) / points >= target}
    if best:
        top = min(best, key=lambda r: (best[r][:3], r))
        saved[top] = best[top]
    wanted = {(r, b.cell, b.restart): b.parameters for r, b in saved.items()}
    keys = zip(rank.tolist(), cell.tolist(), restart.tolist(), strict=True)
    return [wanted.get(key) for key in keys]
