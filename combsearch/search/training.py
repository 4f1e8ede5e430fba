"""The work on one shard: train its shapes, score them, commit their rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.config import SearchConfig
from combsearch.errors import CorruptDataError
from combsearch.mask import MaskBatch
from combsearch.nets import NetBatch, Scores
from combsearch.rng import RESTART_BLOCK
from combsearch.runfile import identity_digest
from combsearch.search import devices
from combsearch.search.plan import LANES, Plan, dense_nets
from combsearch.search.results import successes
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, clock, fewer, give_way
from combsearch.shards import range_name
from combsearch.store import RunStore, Shard, rows_table
from combsearch.trainers import Trainer, get_trainer

F32 = npt.NDArray[np.float32]

_FLOATS = 2**22  # parameters trained at once; more restarts go one part after another
_CALL_WORK = 1e11  # multiply-adds of one call of the kernel, since no signal interrupts it


@dataclass(frozen=True)
class Work:
    """Trains the shapes of a shard and commits their rows; travels to other processes."""

    config: SearchConfig
    store: RunStore

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        table = committed(self.store, shard)
        if table is None:
            with LOADING:
                plan = _loaded_plan(self.config, identity_digest(self.store.identity))
            table = pa.concat_tables(train_shape(plan, r) for r in range(shard.first, shard.last))
            self.store.write(shard, table)
        good = int(successes(table, self.config.target).sum())
        return Outcome(len(table), good, float(pc.max(table["accuracy"]).as_py()))


def committed(store: RunStore, shard: Shard) -> pa.Table | None:
    """Accuracy and status of a shard that another process has finished in the meantime."""
    start = range_name(shard)  # by name: to parse thousands of them takes too long
    if not any(name.startswith(start) for name in os.listdir(store.root / "shards")):
        return None
    try:
        return store.read(["accuracy", "status"], shard.first, shard.last)
    except CorruptDataError:
        return None  # to write the shard again sets the damaged file aside


@lru_cache(maxsize=1)
def _loaded_plan(config: SearchConfig, identity: str) -> Plan:
    """The plan of the run with this identity, loaded once a process."""
    plan = Plan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    if devices.identity_name(plan.trainer) != "fused":
        use_one_thread()
    return plan


def use_one_thread() -> None:
    """A process is a core, and the number of threads would show in the last bits of torch."""
    import torch

    torch.set_num_threads(1)


class _Best(NamedTuple):
    """Sorts before a worse network: more points wrong, then a later cell or restart."""

    wrong: int
    cell: int
    restart: int
    parameters: F32


def train_shape(plan: Plan, rank: int) -> pa.Table:
    """The rows of all restarts of one shape, with the parameters of the best."""
    started = clock()
    shape, cells, restarts = plan.grid.shape(rank), plan.cells, plan.config.restarts
    correct = np.empty((len(cells), restarts), np.int64)
    diverged = np.empty((len(cells), restarts), np.bool_)
    found: list[_Best] = []
    trainer = get_trainer(plan.trainer)
    for part in _parts(plan, trainer, rank):
        give_way()
        nets, scores = _train(plan, trainer, rank, part)
        columns = slice(part.start, part.stop)
        correct[:, columns] = scores.correct.reshape(len(cells), -1)
        diverged[:, columns] = scores.diverged.reshape(len(cells), -1)
        found += _best(nets, scores, part)
    parameters: list[F32 | None] = [None] * correct.size
    if found:
        best = min(found, key=lambda b: b[:3])
        parameters[best.cell * restarts + best.restart] = best.parameters
    return rows_table(
        rank=np.full(correct.size, rank),
        shape=",".join(map(str, shape.widths)),
        mask=MaskBatch.dense_of(shape).keys()[0],
        nonzeros=shape.dense_nonzeros,
        cell=[cell for cell in cells for _ in range(restarts)],
        restart=np.tile(np.arange(restarts), len(cells)),
        accuracy=correct.reshape(-1) / plan.task.points,
        status=np.where(diverged.reshape(-1), "diverged", "ok"),
        parameters=parameters,
        seconds=(clock() - started) / correct.size,
    )


def _parts(plan: Plan, trainer: Trainer, rank: int) -> Iterator[range]:
    """The restarts of a shape in ranges that fit the memory and fill a GPU.

    Whole blocks, which share their minibatches, unless memory has run out.
    """
    shape, runs = plan.grid.shape(rank), plan.runs_per_shape
    room = devices.side_by_side(trainer, shape, _FLOATS, runs)
    step = RESTART_BLOCK * max(1, room // (RESTART_BLOCK * len(plan.cells)))
    step = fewer(min(step, plan.config.restarts))
    for first in range(0, plan.config.restarts, step):
        yield range(first, min(first + step, plan.config.restarts))


def _train(plan: Plan, trainer: Trainer, rank: int, restarts: range) -> tuple[NetBatch, Scores]:
    """Trained networks of these restarts, all cells, in canonical order."""
    nets, keys = dense_nets(plan.grid.shape(rank), plan.config, restarts)
    recipes = [plan.recipe.with_cell(cell) for cell in plan.cells for _ in restarts]
    total = plan.recipe.total_steps(plan.task.points)
    for steps in call_steps(plan.trainer, plan.group_work(rank) / LANES, total):
        nets = trainer.fit(nets, plan.task, recipes, keys, steps)
    return nets, trainer.score(nets, plan.task)


def call_steps(trainer: str, run_work: float, total: int) -> Iterator[slice]:
    """The ``total`` steps in pieces that are short enough for one call of the kernel.

    Args:
        trainer: its name; torch is interrupted at any step.
        run_work: multiply-adds of one whole run.
        total: steps of a run.
    """
    calls = 1 if trainer != "fused" else -(-run_work * LANES // _CALL_WORK)
    size = -(-total // min(max(1, int(calls)), total))
    for first in range(0, total, size):
        yield slice(first, min(first + size, total))


def _best(nets: NetBatch, scores: Scores, restarts: range) -> list[_Best]:
    """The best network, or none: one that diverged is nobody's, whatever it answers."""
    index = int(np.argmax(np.where(scores.diverged, -1, scores.correct)))
    if scores.diverged[index]:
        return []
    cell, place = divmod(index, len(restarts))
    wrong = scores.points - int(scores.correct[index])
    return [_Best(wrong, cell, restarts[place], flat_parameters(nets, index))]


def flat_parameters(nets: NetBatch, index: int) -> F32:
    """float32 [parameter] of one network: weight0 row-major, bias0, weight1, ..."""
    layers = range(len(nets.params) // 2)
    names = [f"{kind}{layer}" for layer in layers for kind in ("weight", "bias")]
    return np.concatenate([np.ravel(nets.params[name][index]) for name in names])
