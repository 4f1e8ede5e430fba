"""What a run of the study trains: the task, the network, the chains, and who the run is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from combsearch.config import changed
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, Network
from combsearch.networks import NETWORKS
from combsearch.registry import nearest
from combsearch.rng import RunKeys
from combsearch.studies.networks import hidden_widths, image_network
from combsearch.studies.points import first_points, held_out
from combsearch.studies.pqi.chains import Chain, chains_of
from combsearch.studies.pqi.config import PqiConfig
from combsearch.tasks import Task, load_task
from combsearch.tasks.images import DATA_SETS, load_images
from combsearch.trainers import get_trainer
from combsearch.trainers.base import Trainer, fused_obstacle

NUMERICS = 1  # raised when a run of the same key would change


@dataclass(frozen=True, eq=False)
class PqiPlan:
    """Everything that a run will train.

    Attributes:
        config: the configuration.
        task: the task that it names, cut to its points.
        test: the points that accuracy is measured on: held out where the task has such.
        network: one network.
        chains: those of one seed.
        trainer: its name; never ``auto``.
        options: of the trainer, see ``get_trainer``.
    """

    config: PqiConfig
    task: Task
    test: Task
    network: Network
    chains: tuple[Chain, ...]
    trainer: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: PqiConfig) -> PqiPlan:
        """Load the task, make the network, choose the trainer.

        Raises:
            UsageError: one of them cannot be, or they do not fit each other.
        """
        network: Network
        if config.task in DATA_SETS:
            layer_names(config)  # a wrong name shows before anything is loaded
            images = load_images(config.task)
            # All chains of a seed see the same images.
            task = images.task(augment=config.augment, shared=True)
            network = image_network(config.network, images.x.shape[1:], images.classes)
        else:
            task = load_task(config.task)
            network = _mlp(config.network, task)
        task = first_points(task, config.points)
        if config.recipe().steps_per_epoch(task.points) == 0:
            raise UsageError(
                f"batch_size {config.batch_size} is more than the {task.points} points of"
                f" {task.name!r}"
            )
        if config.checkpoint == "best" and task.x_test is None:
            raise UsageError(
                f"task {task.name!r} has no test points, by which the best epoch is chosen;"
                " take --checkpoint last"
            )
        trainer = _trainer_name(config, network, task)
        return cls(config, task, held_out(task), network, chains_of(config), trainer)

    def get_trainer(self) -> Trainer:
        """The trainer, made anew."""
        return get_trainer(self.trainer, **self.options)

    def keys(self, seed: int, count: int) -> RunKeys:
        """Keys of ``count`` networks of a seed: they share initial weights and minibatches.

        A seed is a block of its own, so that its minibatches are others than those of the next.
        """
        cell = self.config.recipe().cell
        mask = _key_of(self.network)
        return RunKeys.make(
            self.config.seed, np.full(count, mask), [cell] * count, np.full(count, seed), block=1
        )

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are, as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # ``auto`` and what it stands for make one run
        return {
            "command": "study pqi",
            "config": settings,
            "task_digest": self.task.digest(),
            "trainer": self.trainer,
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        what = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{self.task.name}-{self.config.network}")[:60]
        settings = dataclasses.replace(self.config, trainer=self.trainer)
        return f"pqi-{what}-{settings.digest()[:8]}"


def layer_names(config: PqiConfig) -> tuple[str, ...]:
    """The prunable tensors of the network, in order; the data need not be there."""
    if config.task in DATA_SETS:
        data_set = DATA_SETS[config.task]
        shape = (len(data_set.mean), data_set.side, data_set.side)
        return image_network(config.network, shape, data_set.classes).prunable
    return tuple(f"weight{layer}" for layer in range(len(hidden_widths(config.network) or ()) + 1))


def _mlp(name: str, task: Task) -> MLP:
    widths = hidden_widths(name)
    if widths is None:
        found = f"network {name!r} is not a list of hidden widths such as 16,16,16"
        if name in NETWORKS:
            raise UsageError(
                f"{found}: {name} takes images, and task {task.name!r} has points of"
                f" {task.inputs} numbers; its networks are MLPs"
            )
        raise UsageError(f"{found}{nearest(name, NETWORKS)}, which task {task.name!r} needs")
    outputs = 1 if task.classes == 2 else task.classes
    return MLP(NetShape.from_hidden(widths, task.inputs, outputs), max(widths))


def _key_of(network: Network) -> np.uint64:
    if isinstance(network, MLP):
        return np.uint64(MaskBatch.dense_of(network.shape).keys()[0])
    return np.uint64(0)


def _trainer_name(config: PqiConfig, network: Network, task: Task) -> str:
    """The trainer that the configuration stands for; the best epoch is seen between steps."""
    nets = NetBatch.create(network, RunKeys.make(0, [], [], []))
    obstacle = fused_obstacle(nets, task, None, config.recipe())
    if config.checkpoint == "best":
        obstacle = "it runs all steps in one call, so that no best epoch is seen"
    if config.trainer == "auto":
        return "vmap" if obstacle else "sparse"
    name = get_trainer(config.trainer).name
    if name in ("cuda", "fused", "sparse") and obstacle is not None:
        raise UsageError(f"trainer {name!r} cannot do this: {obstacle}; 'vmap' and 'loop' can")
    return name
