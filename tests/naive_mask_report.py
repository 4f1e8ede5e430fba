"""What phase two and exhaust report, from one table of all rows: as it was before tallies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.frontier import Bound, Level, Trial
from combsearch.search.level_results import RaceLoss, _space, _trial_name
from combsearch.search.mask_plan import POOL, MaskPlan
from combsearch.search.racing import is_control
from combsearch.search.results import ok_rows, successes
from combsearch.store import RunStore, digest


def facts(plan: MaskPlan, store: RunStore, end: int) -> dict[str, Any]:
    """What a report says of the rows below rank ``end``, under the names it has there."""
    rows = store.read(last=end)
    saved = np.zeros(plan.masks, np.bool_)
    for shard in store.verify(quarantine=False).valid:
        saved[shard.first : shard.last] = True
    saved[end:] = False
    loss = race_loss(plan, rows)
    kept = 1.0 if not plan.config.race else loss.at_least if loss else 0.0
    bound = found_bound(plan, rows, saved, kept)
    good = successful_masks(rows, plan.config.target)
    return {
        **bound.to_json(),
        "successful_orbits": {str(nonzeros): count for nonzeros, count in good.items()},
        "race": None if loss is None else (loss.controls, loss.kept, loss.lost, loss.threshold),
        "best": best_run(rows, plan.config.target),
        "trained": sum(level.started for level in bound.levels),
        "rows": len(rows),
        "core_seconds": round(float(np.sum(rows["seconds"].to_numpy())), 3),
        "digest": digest(rows),
        "done": int(saved.sum()),
    }


def found_bound(plan: MaskPlan, rows: pa.Table, saved: npt.NDArray[np.bool_], kept: float) -> Bound:
    """The trained bound of a run, with what was tried on each level that has a trained mask.

    Args:
        plan: of the run.
        rows: those that count.
        saved: bool [rank]: masks whose shard is there.
        kept: share of successes that a race keeps, 1 without one.
    """
    nonzeros = rows["nonzeros"].to_numpy()
    good, sound = successes(rows, plan.config.target), ok_rows(rows)
    accuracy = np.where(sound, rows["accuracy"].to_numpy(), 0.0)
    levels = []
    for level in plan.levels():
        own = nonzeros == level
        segments = [s for s in plan.segments if s.nonzeros == level]
        first, last = segments[0].rank, segments[-1].rank + segments[-1].masks
        trained, runs = int(saved[first:last].sum()), plan.runs(segments[0])
        if not trained:
            continue
        trial = Trial(
            restarts=runs if trained == last - first else 0,
            started=trained * runs,
            finished=int(own.sum()),
            successes=int((own & good).sum()),
            best_accuracy=float(accuracy[own].max(initial=0.0)),
            kept=max(kept, 1e-9),
        )
        levels.append(Level(level, last - first, {_trial_name(plan): trial}))
    return Bound(plan.task.name, plan.config.target, _space(plan), levels=tuple(levels))


def successful_masks(rows: pa.Table, target: float) -> dict[int, int]:
    """nonzeros -> masks with a run that reached the target."""
    good = successes(rows, target)
    nonzeros, rank = rows["nonzeros"].to_numpy()[good], rows["rank"].to_numpy()[good]
    pairs = np.unique(np.stack([nonzeros, rank]), axis=1)[0]
    values, counts = np.unique(pairs, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def race_loss(plan: MaskPlan, rows: pa.Table) -> RaceLoss | None:
    """What racing lost in this run; None: no race, or no control that does better than chance."""
    if not plan.config.race:
        return None
    mask, restart = rows["mask"].to_numpy(), rows["restart"].to_numpy()
    cells = pc.index_in(rows["cell"], value_set=pa.array(plan.config.cells)).to_numpy()
    control = np.zeros(len(rows), np.bool_)
    places = np.unique(np.stack([cells, restart // POOL]), axis=1).T if len(rows) else ()
    for cell, pool in places:
        own = (cells == cell) & (restart // POOL == pool)
        control[own] = is_control(mask[own], int(cell), int(pool), plan.config.controls)
    control &= ok_rows(rows)
    if not control.any():
        return None
    accuracy = rows["accuracy"].to_numpy()[control]
    spared = pc.equal(rows["status"], "spared").to_numpy()[control]
    reach = np.sort(accuracy)[::-1][min(30, len(accuracy)) - 1]
    threshold = min(plan.config.target, float(reach))
    if threshold <= np.bincount(plan.task.y).max() / plan.task.points:
        return None  # what always answers alike gets as far
    there = accuracy >= threshold
    races = {*zip(mask[control].tolist(), cells[control], restart[control] // POOL, strict=True)}
    kept, lost = int((there & ~spared).sum()), int((there & spared).sum())
    return RaceLoss(len(races), kept, lost, threshold, threshold < plan.config.target)


def best_run(rows: pa.Table, target: float) -> dict[str, Any] | None:
    """The row of the sparsest success, then the most accurate; without one the best of all."""
    held = rows.filter(pc.and_(pc.is_valid(rows["parameters"]), pa.array(ok_rows(rows))))
    if not len(held):
        return None
    accuracy, nonzeros = held["accuracy"].to_numpy(), held["nonzeros"].to_numpy()
    good = accuracy >= target
    order = np.lexsort((held["rank"].to_numpy(), -accuracy, np.where(good, nonzeros, 0), ~good))
    row: dict[str, Any] = held.slice(int(order[0]), 1).to_pylist()[0]
    return row
