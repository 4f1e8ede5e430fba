"""What a run on the spiral trains: the task, the network, the levels, and who the run is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from combsearch.config import Recipe, changed
from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.networks.dct_mlp import DctMLP
from combsearch.store import Shard
from combsearch.studies.dctps.spiral_config import SpiralConfig
from combsearch.studies.dctps.spiral_levels import Level, levels_of
from combsearch.tasks import Task, load_task
from combsearch.trainers import get_trainer
from combsearch.trainers.base import Trainer
from combsearch.trainers.fused_dct import FusedDctTrainer, dct_obstacle

NUMERICS = 1  # raised when a run of the same key would change
COMMAND = "study dctps spiral"

_PLACES = 2**15  # of the supports of one shard: some seconds a restart, whatever the shape


@dataclass(frozen=True, eq=False)
class SpiralPlan:
    """Everything that a run will train.

    Attributes:
        config: the configuration.
        task: the task that it names.
        network: one network.
        levels: in their order.
        trainer: its name; never ``auto``.
    """

    config: SpiralConfig
    task: Task
    network: DctMLP
    levels: tuple[Level, ...]
    trainer: str

    @classmethod
    def of(cls, config: SpiralConfig) -> SpiralPlan:
        """Load the task, make the network, lay out the levels, choose the trainer.

        Raises:
            UsageError: one of them cannot be, or they do not fit each other.
        """
        task = load_task(config.task)
        outputs = 1 if task.classes == 2 else task.classes
        shape = NetShape.parse(config.shape, task.inputs, outputs)
        network = DctMLP(shape, max(shape.hidden), config.alpha == "trained")
        levels = levels_of(config, network.places)
        if config.recipes()[0].steps_per_epoch(task.points) == 0:
            raise UsageError(
                f"batch_size {config.batch_size} is more than the {task.points} points of"
                f" {task.name!r}"
            )
        return cls(config, task, network, levels, _trainer_name(config, network, task))

    def get_trainer(self) -> Trainer:
        """The trainer, made anew."""
        return FusedDctTrainer() if self.trainer == "fused" else get_trainer(self.trainer)

    def recipes(self) -> dict[str, Recipe]:
        """The recipes by cell."""
        return {recipe.cell: recipe for recipe in self.config.recipes()}

    @property
    def runs_each(self) -> int:
        """Training runs of one support."""
        return len(self.config.cells) * self.config.restarts

    def level_of(self, shard: Shard) -> Level:
        """The level of a shard."""
        return next(level for level in self.levels if level.first <= shard.first < level.last)

    def shards(self) -> list[Shard]:
        """All shards, ascending; none holds ranks of two levels."""
        size = max(16, _PLACES // self.network.places // 16 * 16)
        return [
            Shard(first, min(first + size, level.last))
            for level in self.levels
            for first in range(level.first, level.last, size)
        ]

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are, as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # ``auto`` and what it stands for make one run
        return {
            "command": COMMAND,
            "config": settings,
            "task_digest": self.task.digest(),
            "trainer": self.trainer,
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        shape = "x".join(map(str, self.network.shape.hidden))
        return f"dctps-spiral-{self.config.supports}-{shape}-{self.config.digest()[:8]}"


def _trainer_name(config: SpiralConfig, network: DctMLP, task: Task) -> str:
    obstacle = dct_obstacle(network, task, None, config.recipes()[0])
    if config.trainer == "auto":
        return "vmap" if obstacle else "fused"
    if config.trainer == "fused" and obstacle:
        raise UsageError(f"trainer 'fused' cannot do this: {obstacle}; 'vmap' and 'loop' can")
    return config.trainer
