"""What a run of the study trains: the task and its parts, the networks, and who the run is."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from combsearch.baselines import get_pruner
from combsearch.baselines.random_mask import RandomMask
from combsearch.config import changed
from combsearch.errors import UsageError
from combsearch.networks import ImageNetwork
from combsearch.networks.offset import DctOffset
from combsearch.pruning import Pruner
from combsearch.registry import nearest
from combsearch.rng import RunKeys, epoch_order
from combsearch.studies.dctps.config import DctpsConfig, Setting, settings_of
from combsearch.studies.dctps.methods import Method
from combsearch.studies.networks import image_network
from combsearch.studies.points import first_points, held_out
from combsearch.tasks import Task
from combsearch.tasks.images import DATA_SETS, load_images
from combsearch.trainers import get_trainer
from combsearch.trainers.base import Trainer

NUMERICS = 1  # raised when a run of the same key would change

_GAINS = {"kaiming": math.sqrt(6), "torch": 1.0}
_SPLIT = 2**64 - 1  # the block of the order that validation points come from: no seed has it
_CELL = "dctps"  # of all keys: methods of one seed share what they draw, whatever their rate


@dataclass(frozen=True, eq=False)
class DctpsPlan:
    """Everything that a run will train.

    Attributes:
        config: the configuration.
        task_digest: of the task that it names, cut to its points. The task itself is not kept,
            which would hold all images twice.
        training: its training part; ``x_test`` are its validation points.
        test: the test points, as a task.
        settings: methods by densities.
        trainer: its name; never ``auto``.
        image_shape: (channels, height, width).
        options: of the trainer, see ``get_trainer``.
    """

    config: DctpsConfig
    task_digest: str
    training: Task
    test: Task
    settings: tuple[Setting, ...]
    trainer: str
    image_shape: tuple[int, int, int]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: DctpsConfig) -> DctpsPlan:
        """Load the task, hold validation points out, check that all networks can be made.

        Raises:
            UsageError: something cannot be, or does not fit.
        """
        if config.task not in DATA_SETS:
            raise UsageError(
                f"task is {config.task!r}{nearest(config.task, DATA_SETS)}, it must be an"
                f" image data set (known: {', '.join(DATA_SETS)})"
            )
        data_set = DATA_SETS[config.task]
        shape = (len(data_set.mean), data_set.side, data_set.side)
        # A wrong name shows before anything is loaded.
        _check_budgets(config, image_network(config.network, shape, data_set.classes))
        images = load_images(config.task)
        task = first_points(images.task(augment=config.augment, shared=True), config.points)
        training = _split(task, config)
        if training.points < config.batch_size:
            raise UsageError(
                f"batch_size {config.batch_size} is more than the {training.points} points of"
                f" {task.name!r} that validation leaves for training"
            )
        settings, test, digest = settings_of(config), held_out(task), task.digest()
        return cls(config, digest, training, test, settings, _trainer_name(config), shape)

    def get_trainer(self) -> Trainer:
        """The trainer, made anew."""
        return get_trainer(self.trainer, **self.options)

    def network(self, method: Method) -> ImageNetwork:
        """What the networks of a method are."""
        config = self.config
        offset = DctOffset(method.trainable, config.form) if method.offset else None
        gain = _GAINS[config.init]
        return image_network(config.network, self.image_shape, self.training.classes, gain, offset)

    def pruner(self, method: Method) -> Pruner | None:
        """What makes the mask of a method; None for ``dense``."""
        return pruner_of(self.config, method, self.training.classes)

    def keys(self, seed: int) -> RunKeys:
        """The key of a network of a seed: the same for all methods.

        A seed is a block of its own, so that its minibatches are others than those of the next.
        """
        zero = np.zeros(1, np.uint64)
        return RunKeys.make(self.config.seed, zero, [_CELL], np.array([seed]), block=1)

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are, as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # ``auto`` and what it stands for make one run
        return {
            "command": "study dctps",
            "config": settings,
            "task_digest": self.task_digest,
            "trainer": self.trainer,
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        what = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{self.training.name}-{self.config.network}")[:60]
        settings = dataclasses.replace(self.config, trainer=self.trainer)
        return f"dctps-{what}-{settings.digest()[:8]}"


def pruner_of(config: DctpsConfig, method: Method, classes: int) -> Pruner | None:
    """What makes the masks of a method, for a task of so many classes; None for ``dense``."""
    batches = config.force_batches or max(1, classes // 10)
    options: dict[str, dict[str, Any]] = {
        "snip": {},
        "iter_snip": {"steps": config.iter_snip_steps, "batches": batches},
        "force": {"steps": config.force_steps, "batches": batches},
        "synflow": {"steps": config.synflow_steps},
        "rigl": {
            "interval": config.rigl_interval,
            "fraction": config.rigl_fraction,
            "end": config.rigl_end,
            "allocation": method.allocation,
            "rounding": config.rounding,
        },
    }
    if method.support in options:
        return get_pruner(method.support, **options[method.support])
    return RandomMask(method.allocation, config.rounding) if method.allocation else None


def weights_of(network: ImageNetwork) -> int:
    """Prunable weights."""
    return sum(math.prod(network.parameters[name].shape) for name in network.prunable)


def _check_budgets(config: DctpsConfig, network: ImageNetwork) -> None:
    """Refuse budgets that leave no weight for a layer that must have one."""
    weights, layers = weights_of(network), len(network.prunable)
    for setting in settings_of(config):
        budget = setting.budget(weights)
        if setting.method.allocation is not None and budget < layers:
            raise UsageError(
                f"{setting.text} of {weights:,} weights is a budget of {budget}, fewer than"
                f" one for each of the {layers} layers of {config.network!r}; the least density"
                f" is {_least_percent(layers, weights)}%"
            )


def _least_percent(layers: int, weights: int) -> str:
    """The least density that has a weight a layer, in percent, rounded up to four digits."""
    exact = 100 * layers / weights
    unit = 10.0 ** (math.floor(math.log10(exact)) - 3)
    return f"{math.ceil(exact / unit - 1e-9) * unit:.4g}"


def _split(task: Task, config: DctpsConfig) -> Task:
    """The training part of ``task``, its validation points in place of its test points.

    They are drawn from the run's seed alone, so that all networks hold out the same.
    """
    count = round(config.validation * task.points)
    if not 0 < count < task.points:
        raise UsageError(
            f"validation {config.validation:g} of {task.points} points leaves"
            f" {task.points - count} to train and {count} to choose the epoch by"
        )
    order = epoch_order(config.seed, _SPLIT, 0, task.points)
    valid, train = np.sort(order[:count]), np.sort(order[count:])
    return dataclasses.replace(
        task, x=task.x[train], y=task.y[train], x_test=task.x[valid], y_test=task.y[valid]
    )


def _trainer_name(config: DctpsConfig) -> str:
    """The trainer that the configuration stands for."""
    if config.trainer != "auto":
        return config.trainer
    return "vmap" if torch.cuda.is_available() else "indexed"
