"""A configuration of phase one with its task, its shapes and the order of their training."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from combsearch.config import Recipe, SearchConfig, changed
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RESTART_BLOCK, RunKeys
from combsearch.search import devices
from combsearch.search.grid import (
    MAX_DEPTH,
    Floats,
    Grid,
    Integers,
    dense_grid,
    shard_starts,
    shards,
)
from combsearch.store import Shard
from combsearch.tasks import Task, load_task
from combsearch.trainers import get_trainer
from combsearch.trainers.base import fused_obstacle

NUMERICS = 1  # raised only when the outcome of a run with the same key would change
SHARD_WORK = 1e11  # multiply-adds of a shard: about three seconds of a core
LANES = 16  # networks that train together whether or not there are so many
_MOST_RUNS = 10**7  # of one shape, all cells together


class SettingError(UsageError):
    """A setting that is valid by itself does not fit the rest; ``field`` is its name."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run of phase one will do.

    Attributes:
        config: the configuration.
        task: the task that it names.
        grid: the shapes, by rank.
        trainer: what ``get_trainer`` knows the trainer by; never ``auto``.
    """

    config: SearchConfig
    task: Task
    grid: Grid
    trainer: str

    @classmethod
    def of(cls, config: SearchConfig) -> Plan:
        """Load the task and choose the trainer.

        Raises:
            SettingError: the task cannot be loaded, there are too many shapes, a batch
                does not fit the task, or the trainer cannot serve them.
        """
        with blame("task"):
            task = load_task(config.task)
        outputs = 1 if task.classes == 2 else task.classes
        with blame("depth" if config.depth > MAX_DEPTH else "width"):
            grid = dense_grid(config.width, config.depth, task.inputs, outputs)
        check_counts(config, task, _MOST_RUNS, ": a shape is saved in one piece")
        with blame("trainer"):
            trainer = trainer_name(config.trainer, grid.shape(len(grid) - 1), task, "fused")
        return cls(config, task, grid, trainer)

    @property
    def settled(self) -> SearchConfig:
        """The configuration with the trainer that was chosen, so that workers need not choose."""
        return dataclasses.replace(self.config, trainer=self.trainer)

    @property
    def cells(self) -> list[str]:
        """The cells, in the order of saved rows."""
        return list(self.config.cells)

    @property
    def runs_per_shape(self) -> int:
        """Restarts of a shape, all cells together."""
        return self.config.restarts * len(self.config.cells)

    @property
    def recipe(self) -> Recipe:
        """What all cells share."""
        return self.config.recipes()[0]

    @property
    def samples(self) -> int:
        """Samples that one run trains on."""
        return self.recipe.total_steps(self.task.points) * self.recipe.batch_size

    @cached_property
    def work(self) -> Floats:
        """float64 [rank]: multiply-adds of all runs of a shape."""
        return self.grid.sample_work() * float(self.samples * self._lanes())

    @cached_property
    def shard_starts(self) -> Integers:
        """int64 [shard + 1]: see ``grid.shard_starts``."""
        return shard_starts(self.grid, self.work, SHARD_WORK)

    def group_work(self, rank: int) -> float:
        """Multiply-adds of LANES runs of a shape, which train in one go."""
        return float(self.work[rank]) * LANES / self._lanes()

    def shards(self) -> Iterator[Shard]:
        """All shards in order of work."""
        return shards(self.shard_starts)

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are (``target`` and ``full`` decide that), as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # ``auto`` and what it stands for make one run
        return {
            "command": "phase1",
            "config": settings,
            "task_digest": self.task.digest(),
            "trainer": devices.identity_name(self.trainer),
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        config = self.config
        task = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.task.name)[:60]
        settings = devices.named_by(config, self.trainer)
        return f"phase1-{task}-w{config.width}-{config.target:g}-{settings.digest()[:8]}"

    def _lanes(self) -> int:
        """Networks that a shape costs, padding included: restart blocks train apart."""
        blocks, rest = divmod(self.config.restarts, RESTART_BLOCK)
        return blocks * self._padded(RESTART_BLOCK) + self._padded(rest)

    def _padded(self, restarts: int) -> int:
        return -(-restarts * len(self.config.cells) // LANES) * LANES


def dense_nets(shape: NetShape, config: SearchConfig, restarts: range) -> tuple[NetBatch, RunKeys]:
    """Dense networks of one shape and their keys, in canonical order: cells, then restarts."""
    cells = list(config.cells)
    mask = MaskBatch.dense_of(shape)
    keys = RunKeys.make(
        config.seed,
        np.repeat(mask.keys(), len(restarts) * len(cells)),
        [cell for cell in cells for _ in restarts],
        np.tile(np.array(restarts), len(cells)),
    )
    return NetBatch.create(MLP(shape, config.width), keys, mask), keys


def check_counts(config: Any, task: Task, most_runs: int, why: str = "") -> None:
    """Refuse more runs than ``most_runs`` of one thing, all cells together, and too large batches.

    Raises:
        SettingError: with ``why`` there can be no more runs.
    """
    if config.restarts * len(config.cells) > most_runs:
        raise SettingError(
            f"restarts is {config.restarts}, with {len(config.cells)} cells it must be at most"
            f" {most_runs // len(config.cells)}{why}",
            "restarts",
        )
    if config.batch_size > task.points:
        raise SettingError(
            f"batch_size is {config.batch_size}, more than the {task.points} points of task"
            f" {task.name!r}",
            "batch_size",
        )


def trainer_name(name: str, shape: NetShape, task: Task, compiled: str = "") -> str:
    """The trainer that ``name`` stands for, if it can train up to ``shape``; never ``auto``.

    Args:
        name: of a trainer.
        shape: as wide as the widest, layer by layer.
        task: what is learned.
        compiled: what ``auto`` stands for where a compiled trainer can serve. By default a
            GPU is taken where there is one. That does not pay where few runs are trained
            at a time: restarts of one block, or the budgets of a pruner.

    Raises:
        UsageError: it cannot, or there is none of that name, or no GPU for it.
    """
    nets = NetBatch.create(MLP(shape), RunKeys.make(0, [], [], []))
    devices.check_gpu(name, shape)
    if name == "auto" and compiled and fused_obstacle(nets, task, None) is None:
        return get_trainer(compiled).name  # its settings are looked at now
    if name == "auto":
        from combsearch.trainers.auto import AutoTrainer

        return AutoTrainer().choose(nets, task).name
    obstacle = fused_obstacle(nets, task, None)
    if get_trainer(name).name in ("cuda", "fused", "sparse") and obstacle is not None:
        raise UsageError(f"trainer {name!r} cannot do this: {obstacle}; 'vmap' and 'loop' can")
    return name


@contextmanager
def blame(field: str) -> Iterator[None]:
    """A ``UsageError`` of this block as a ``SettingError`` of ``field``."""
    try:
        yield
    except UsageError as error:
        raise SettingError(str(error), field) from error
