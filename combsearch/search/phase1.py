"""Phase one: which dense shape with the fewest nonzeros learns the task.

Every shape of the grid is trained in every cell, level by level in increasing
nonzeros, until a level holds a success (paper, section 4: a grid over all widths).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from combsearch.config import Recipe, SearchConfig, changed
from combsearch.errors import RunMismatchError
from combsearch.frontier import success_interval
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.search.grid import Grid, dense_grid, shards
from combsearch.store import RunStore, Shard, rows_table
from combsearch.tasks import Task, load_task
from combsearch.trainers import get_trainer

NUMERICS = 1  # raised only when the outcome of a run with the same key would change
SHARD_WORK = 1e11  # multiply-adds of a shard: about three seconds of a core

T = TypeVar("T")


class Engine(Protocol):
    """Where shards run; see ``combsearch.engines``."""

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Iterator[tuple[Shard, T]]:
        """(shard, work(shard)) as they finish; ``shards`` is asked for more while it runs."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a finished shard reports; its rows are in the store."""

    runs: int
    successes: int
    best: float


@dataclass(frozen=True, eq=False)
class Plan:
    """A configuration with its task, its grid and its order of work."""

    config: SearchConfig
    task: Task
    grid: Grid
    trainer: str

    @classmethod
    def of(cls, config: SearchConfig) -> Plan:
        """Load the task and choose the trainer.

        Raises:
            UsageError: the task cannot be loaded, or the trainer cannot serve it.
        """
        task = load_task(config.task)
        outputs = 1 if task.classes == 2 else task.classes
        grid = dense_grid(config.width, config.depth, task.inputs, outputs)
        return cls(config, task, grid, _trainer_name(config, grid, task))

    @property
    def runs_per_shape(self) -> int:
        """Restarts of a shape, all cells together."""
        return self.config.restarts * len(self.config.cells)

    def recipe(self) -> Recipe:
        """What all cells share."""
        return self.config.recipes()[0]

    def samples(self) -> int:
        """Samples that one run trains on."""
        recipe = self.recipe()
        return recipe.total_steps(self.task.points) * recipe.batch_size

    def shards(self) -> Iterator[Shard]:
        """All shards in order of work."""
        return shards(self.grid, self.runs_per_shape, self.samples(), SHARD_WORK)

    def identity(self) -> dict[str, Any]:
        """Everything that the rows depend on."""
        return {
            "command": "phase1",
            "config": changed(self.config),
            "task_digest": self.task.digest(),
            "trainer": self.trainer,
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        config = self.config
        return f"phase1-{self.task.name}-w{config.width}-{config.target:g}-{config.digest()[:8]}"


def _trainer_name(config: SearchConfig, grid: Grid, task: Task) -> str:
    """The trainer itself where ``auto`` leaves the choice open."""
    if config.trainer != "auto":
        return get_trainer(config.trainer).name
    from combsearch.trainers.auto import AutoTrainer

    return AutoTrainer().choose(_nets(grid.shape(0), config, 1)[0], task).name


def _nets(shape: NetShape, config: SearchConfig, restarts: int) -> tuple[NetBatch, RunKeys]:
    """Dense networks of one shape in canonical order (cells by name, then restarts)."""
    cells = sorted(config.cells, key=str.encode)
    mask = MaskBatch.dense_of(shape)
    keys = RunKeys.make(
        config.seed,
        np.repeat(mask.keys(), restarts * len(cells)),
        [cell for cell in cells for _ in range(restarts)],
        np.tile(np.arange(restarts), len(cells)),
    )
    return NetBatch.create(MLP(shape, config.width), keys, mask), keys


@lru_cache(maxsize=1)
def _plan(config: SearchConfig) -> Plan:
    return Plan.of(config)


@dataclass(frozen=True)
class Work:
    """Trains the shapes of a shard and commits their rows; travels to other processes."""

    config: SearchConfig
    store: RunStore

    def __call__(self, shard: Shard) -> Outcome:
        plan = _plan(self.config)
        if plan.identity() != self.store.identity:
            raise RunMismatchError(
                f"task {self.config.task!r} changed while the run was going on:"
                " restore it and repeat the command, or start another run"
            )
        table = pa.concat_tables(train_shape(plan, rank) for rank in range(shard.first, shard.last))
        self.store.write(shard, table)
        good = int(successes(table, self.config.target).sum())
        return Outcome(len(table), good, float(pc.max(table["accuracy"]).as_py()))


def train_shape(plan: Plan, rank: int) -> pa.Table:
    """The rows of all restarts of one shape, with the parameters of the best."""
    started = time.perf_counter()
    config, shape = plan.config, plan.grid.shape(rank)
    nets, keys = _nets(shape, config, config.restarts)
    cells = [cell for cell in sorted(config.cells, key=str.encode) for _ in range(config.restarts)]
    trainer = get_trainer(plan.trainer)
    nets = trainer.fit(nets, plan.task, [plan.recipe().with_cell(cell) for cell in cells], keys)
    scores = trainer.score(nets, plan.task)
    # A diverged network is nobody's best, whatever it happens to answer.
    best = int(np.argmax(np.where(scores.diverged, -1, scores.correct)))
    parameters = [None] * len(nets)
    parameters[best] = flat_parameters(nets, best)
    return rows_table(
        rank=np.full(len(nets), rank),
        shape=",".join(map(str, shape.widths)),
        mask=keys.mask,
        nonzeros=shape.dense_nonzeros,
        cell=cells,
        restart=keys.restart,
        accuracy=scores.accuracy,
        status=np.where(scores.diverged, "diverged", "ok"),
        parameters=parameters,
        seconds=(time.perf_counter() - started) / len(nets),
    )


def flat_parameters(nets: NetBatch, index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 [parameter] of one network: weight0 row-major, bias0, weight1, ..."""
    layers = range(len(nets.params) // 2)
    names = [f"{kind}{layer}" for layer in layers for kind in ("weight", "bias")]
    return np.concatenate([np.ravel(nets.params[name][index]) for name in names])


def successes(rows: pa.Table, target: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """bool [row]: runs that reached the target and did not diverge."""
    ok = pc.equal(rows["status"], "ok").to_numpy()
    return np.asarray(ok & (rows["accuracy"].to_numpy() >= target))


def search(
    plan: Plan, store: RunStore, engine: Engine, progress: Callable[[Shard, Outcome], None]
) -> None:
    """Train what is missing, up to the first level with a success (``full``: everything).

    A shard of a later level may be begun before the earlier ones are finished, so that
    no core waits; it is kept but does not count.
    """
    stop = _Stop(plan, store)
    for shard, outcome in engine.run(Work(plan.config, store), stop.todo()):
        stop.note(shard, outcome)
        progress(shard, outcome)


class _Stop:
    """Gives out the missing shards until a level that holds a success is given out whole."""

    def __init__(self, plan: Plan, store: RunStore) -> None:
        self._plan = plan
        self._missing = store.missing(plan.shards())
        found = None if plan.config.full else first_success(store.read(), plan.config.target)
        self._last = len(plan.grid) if found is None else plan.grid.level_end(found)

    def todo(self) -> Iterator[Shard]:
        for shard in self._missing:
            if shard.first >= self._last:
                return
            yield shard

    def note(self, shard: Shard, outcome: Outcome) -> None:
        if outcome.successes and not self._plan.config.full:
            level = int(self._plan.grid.nonzeros[shard.first])
            self._last = min(self._last, self._plan.grid.level_end(level))


def first_success(rows: pa.Table, target: float) -> int | None:
    """The fewest nonzeros of a success, or None."""
    good = successes(rows, target)
    return int(rows["nonzeros"].to_numpy()[good].min()) if good.any() else None


def counted(plan: Plan, store: RunStore) -> pa.Table:
    """The rows of the result: all levels up to the first with a success."""
    rows = store.read()
    level = None if plan.config.full else first_success(rows, plan.config.target)
    return rows if level is None else rows.slice(0, int((rows["rank"].to_numpy() < plan.grid.level_end(level)).sum()))


@dataclass(frozen=True)
class ShapeResult:
    """All restarts of one shape."""

    shape: tuple[int, ...]
    nonzeros: int
    accuracy: float
    successes: int
    restarts: int

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson 95% interval of the success probability."""
        return success_interval(self.successes, self.restarts)


def shape_results(rows: pa.Table, target: float) -> list[ShapeResult]:
    """One result a shape, in order of rank."""
    ranks, first, count = np.unique(rows["rank"].to_numpy(), return_index=True, return_counts=True)
    if not len(ranks):
        return []
    accuracy = np.where(pc.equal(rows["status"], "ok").to_numpy(), rows["accuracy"].to_numpy(), 0.0)
    best = np.maximum.reduceat(accuracy, first)
    good = np.add.reduceat(successes(rows, target).astype(np.int64), first)
    shapes = rows["shape"].take(pa.array(first)).to_pylist()
    nonzeros = rows["nonzeros"].to_numpy()[first]
    return [
        ShapeResult(tuple(map(int, s.split(","))), int(n), float(a), int(g), int(c))
        for s, n, a, g, c in zip(shapes, nonzeros, best, good, count, strict=True)
    ]


def winner(results: list[ShapeResult]) -> ShapeResult | None:
    """The successful shape with the fewest nonzeros; then most successes, then accuracy."""
    good = [r for r in results if r.successes]
    return min(good, key=lambda r: (r.nonzeros, -r.successes, -r.accuracy), default=None)


def runners_up(results: list[ShapeResult], count: int = 5) -> list[ShapeResult]:
    """The most accurate shapes but the winner; ties to fewer nonzeros."""
    first = winner(results)
    others = [r for r in results if r is not first]
    return sorted(others, key=lambda r: (-r.accuracy, r.nonzeros))[:count]


def best_network(rows: pa.Table, result: ShapeResult) -> NetBatch:
    """The most accurate network of a shape, as saved in its row."""
    own = rows.filter(pc.equal(rows["shape"], ",".join(map(str, result.shape))))
    saved = own.filter(pc.is_valid(own["parameters"]))["parameters"]
    flat = saved[0].values.to_numpy()
    shape = NetShape(result.shape)
    params, start = {}, 0
    for layer, (out, fan) in enumerate(shape.layers):
        for name, size in ((f"weight{layer}", (out, fan)), (f"bias{layer}", (out,))):
            end = start + int(np.prod(size))
            params[name], start = flat[start:end].reshape(1, *size), end
    ones = {name: np.ones_like(p) for name, p in params.items()}
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    return NetBatch(MLP(shape), params, ones, zeros)
