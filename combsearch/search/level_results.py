"""What the rows of phase two and exhaust say of each level, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.frontier import Bound, Level, Trial, success_interval
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, mask_arrays
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.results import ok_rows
from combsearch.search.tally import Controls, LevelTally, Tally
from combsearch.search_config import ExhaustConfig

_LEAST_KEPT = 1e-9  # where no control says what a race keeps: then nothing is excluded
_ENOUGH = 30  # control runs that say what a race keeps


@dataclass(frozen=True)
class RaceLoss:
    """What racing loses, measured on the races that were run in full.

    Attributes:
        controls: races that were run in full.
        kept, lost: runs of them that reached ``threshold`` and would have been kept, or not.
        threshold: the target, or where fewer than 30 control runs reach it, the accuracy
            that 30 of them do reach; then what racing loses at the target is an estimate.
        estimated: the threshold is not the target.
    """

    controls: int
    kept: int
    lost: int
    threshold: float
    estimated: bool

    @property
    def at_least(self) -> float:
        """Lower limit of the share that is kept, true with 99%."""
        return success_interval(self.kept, self.kept + self.lost, 0.98)[0]

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson 95% interval of the share that is kept."""
        return success_interval(self.kept, self.kept + self.lost)


def found_bound(plan: MaskPlan, tally: Tally, kept: float) -> Bound:
    """The trained bound of a run, with what was tried on each level that has a trained mask.

    Args:
        plan: of the run.
        tally: of the rows that count.
        kept: share of successes that a race keeps, 1 without one.
    """
    levels = []
    for level in plan.levels():
        segments = [s for s in plan.segments if s.nonzeros == level]
        first, last = segments[0].rank, segments[-1].rank + segments[-1].masks
        trained, runs = tally.trained(first, last), plan.runs(segments[0])
        if not trained:
            continue
        own = tally.levels.get(level, LevelTally())
        trial = Trial(
            restarts=runs if trained == last - first else 0,
            started=trained * runs,
            finished=own.finished,
            successes=own.successes,
            best_accuracy=own.best,
            kept=max(kept, _LEAST_KEPT),
        )
        levels.append(Level(level, last - first, {_trial_name(plan): trial}))
    return Bound(plan.task.name, plan.config.target, _space(plan), levels=tuple(levels))


def _trial_name(plan: MaskPlan) -> str:
    """Trials of one name are the same random numbers."""
    config = plan.config
    how = f"seed {config.seed}, {' '.join(config.cells)}, {config.epochs} epochs"
    return how + (", raced" if config.race else "")


def _space(plan: MaskPlan) -> str:
    config = plan.config
    inputs = ", inputs used or not" if config.unused_inputs else ""
    if isinstance(config, ExhaustConfig):
        return f"all shapes, {config.depth} hidden layers of up to {config.width}{inputs}"
    start = ", one initialisation" if plan.fixed else ""
    return f"shape ({config.shape}), symmetry {plan.symmetry}{start}{inputs}"


def successful_masks(tally: Tally) -> dict[int, int]:
    """nonzeros -> masks with a run that reached the target; levels without are left out."""
    return {level: own.masks for level, own in sorted(tally.levels.items()) if own.masks}


def race_loss(plan: MaskPlan, controls: Controls) -> RaceLoss | None:
    """What racing lost in this run; None: no race, or no control that does better than chance."""
    if not plan.config.race or not controls.races:
        return None
    reach = controls.reached_by(_ENOUGH)
    threshold = min(plan.config.target, reach)
    if threshold <= np.bincount(plan.task.y).max() / plan.task.points:
        return None  # what always answers alike gets as far
    there = controls.accuracy >= threshold
    kept, lost = int(controls.kept[there].sum()), int(controls.lost[there].sum())
    return RaceLoss(controls.races, kept, lost, threshold, threshold < plan.config.target)


def best_run(rows: pa.Table, target: float) -> dict[str, Any] | None:
    """The row of the sparsest success, then the most accurate; without one the best of all.

    Args:
        rows: of a run, or the best of each level alone.
        target: accuracy of a success.
    """
    held = rows.filter(pc.and_(pc.is_valid(rows["parameters"]), pa.array(ok_rows(rows))))
    if not len(held):
        return None
    accuracy, nonzeros = held["accuracy"].to_numpy(), held["nonzeros"].to_numpy()
    good = accuracy >= target
    order = np.lexsort((held["rank"].to_numpy(), -accuracy, np.where(good, nonzeros, 0), ~good))
    row: dict[str, Any] = held.slice(int(order[0]), 1).to_pylist()[0]
    return row


def row_network(row: dict[str, Any], width: int, words: MaskBatch) -> NetBatch:
    """The network whose parameters a row holds, with its mask."""
    shape = NetShape(tuple(map(int, row["shape"].split(","))))
    flat, params, start = np.array(row["parameters"], np.float32), {}, 0
    for layer, (out, fan) in enumerate(shape.layers):
        for name, size in ((f"weight{layer}", (out, fan)), (f"bias{layer}", (out,))):
            end = start + int(np.prod(size))
            params[name], start = flat[start:end].reshape(1, *size), end
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    return NetBatch(MLP(shape, width), params, dict(mask_arrays(words)), zeros)
