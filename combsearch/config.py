"""What a run is: schedules, training recipes and the configuration of phase one.

Frozen, checked dataclasses, standard library only. A ``digest()`` leaves out every
field that equals its default, so a field added later never changes an old digest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from combsearch import fields
from combsearch.fields import (
    changed,
    check_optimiser,
    check_positive,
    check_types,
    option,
    require,
)
from combsearch.registry import nearest

__all__ = ["CELLS", "OPTIMIZERS", "SCHEDULES", "Recipe", "Schedule", "SearchConfig", "changed"]

SCHEDULES = ("constant", "cosine", "step")
OPTIMIZERS = ("sgd", "adam")
# The six pairs (rate, schedule) of the paper's search.
CELLS = (
    "0.05:constant",
    "0.05:cosine",
    "0.05:step",
    "0.1:constant",
    "0.1:cosine",
    "0.1:step",
)


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes from epoch to epoch.

    Attributes:
        name: ``constant``, ``cosine`` (to 0 over the run) or ``step``.
        milestones: epochs from which ``step`` multiplies the rate by ``factor`` once more.
        factor: what ``step`` multiplies by at a milestone.
    """

    name: str = "cosine"
    milestones: tuple[int, ...] = (15, 30)
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_types(self)
        known = ", ".join(SCHEDULES)
        require(
            self.name in SCHEDULES,
            f"unknown schedule {self.name!r}{nearest(self.name, SCHEDULES)} (known: {known})",
        )
        require(
            all(e >= 0 for e in self.milestones),
            f"schedule: milestones {self.milestones} must be epochs from 0 up",
        )
        require(0 < self.factor <= 1, f"schedule: factor is {self.factor!r}, it must be in (0, 1]")

    def rates(self, lr: float, epochs: int) -> tuple[float, ...]:
        """The learning rate of each of ``epochs`` epochs, starting from ``lr``."""
        return tuple(self._rate(lr, epoch, epochs) for epoch in range(epochs))

    def _rate(self, lr: float, epoch: int, epochs: int) -> float:
        if self.name == "cosine":
            return lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
        if self.name == "step":
            return lr * self.factor ** sum(m <= epoch for m in self.milestones)
        return lr

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Schedule:
        """The inverse of ``to_json``; absent fields take their default."""
        return fields.from_json(cls, values)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


@dataclass(frozen=True)
class Recipe:
    """How one network is trained on minibatches: by SGD with momentum, or by Adam.

    ``trainers.base`` writes the steps down. Compiled trainers take plain SGD only.

    Attributes:
        epochs: passes over the points.
        batch_size: points a step; the incomplete last batch of an epoch is dropped.
        lr: learning rate of the first epoch.
        schedule: how the rate changes.
        momentum: SGD momentum, no dampening; Adam's first beta (its second is 0.999).
        weight_decay: added as ``weight_decay * w`` to the gradient, biases included.
        nesterov: SGD looks ahead along its momentum.
        clip: a longer gradient, of all parameters of a network together and before weight
            decay is added, is scaled down to this norm; 0 leaves it.
        optimizer: ``sgd`` or ``adam``.
    """

    epochs: int = 50
    batch_size: int = 128
    lr: float = 0.05
    schedule: Schedule = Schedule()
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    clip: float = 0.0
    optimizer: str = "sgd"

    def __post_init__(self) -> None:
        check_types(self)
        check_positive("recipe", "epochs", self.epochs)
        check_positive("recipe", "batch_size", self.batch_size)
        check_optimiser("recipe", self.momentum, self.weight_decay)
        require(
            0 < self.lr < math.inf, f"recipe: lr is {self.lr!r}, it must be positive and finite"
        )
        self._check_rule()

    def _check_rule(self) -> None:
        known = ", ".join(OPTIMIZERS)
        require(
            self.optimizer in OPTIMIZERS,
            f"recipe: unknown optimizer {self.optimizer!r}{nearest(self.optimizer, OPTIMIZERS)}"
            f" (known: {known})",
        )
        require(
            0 <= self.clip < math.inf,
            f"recipe: clip is {self.clip!r}, it must be a norm, or 0 for no clipping",
        )
        require(
            not self.nesterov or (self.optimizer == "sgd" and self.momentum > 0),
            f"recipe: nesterov needs optimizer 'sgd' and a momentum above 0, not"
            f" {self.optimizer!r} and {self.momentum!r}",
        )

    @property
    def cell(self) -> str:
        """The pair (rate, schedule) as text, such as ``"0.05:cosine"``."""
        short = f"{self.lr:g}"
        return f"{short if float(short) == self.lr else repr(float(self.lr))}:{self.schedule.name}"

    def with_cell(self, cell: str) -> Recipe:
        """This recipe at the rate and schedule that ``cell`` (``"0.1:step"``) names.

        Raises:
            UsageError: when ``cell`` is not ``RATE:SCHEDULE``.
        """
        rate, colon, name = cell.partition(":")
        try:
            lr = float(rate)
        except ValueError:
            colon = ""
        require(
            bool(colon), f"cell {cell!r} is not RATE:SCHEDULE, such as '0.05:cosine' or '0.1:step'"
        )
        schedule = dataclasses.replace(self.schedule, name=name)
        return dataclasses.replace(self, lr=lr, schedule=schedule)

    def rates(self) -> tuple[float, ...]:
        """The learning rate of each epoch."""
        return self.schedule.rates(self.lr, self.epochs)

    def steps_per_epoch(self, points: int) -> int:
        """Optimiser steps an epoch over ``points`` points; whole batches only."""
        return points // self.batch_size

    def total_steps(self, points: int) -> int:
        """Optimiser steps of the whole run over ``points`` points."""
        return self.epochs * self.steps_per_epoch(points)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of ``to_json``; absent fields take their default."""
        return fields.from_json(cls, values)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


def canonical_cells(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Cells in one spelling and one order: a run's key holds the cell's name.

    Raises:
        UsageError: there are none, one is not ``RATE:SCHEDULE``, or one is named twice.
    """
    require(bool(cells), f"search: no cells; the default is {','.join(CELLS)}")
    found = sorted((Recipe().with_cell(cell).cell for cell in cells), key=str.encode)
    repeated = sorted({c for c in found if found.count(c) > 1})
    require(not repeated, f"search: cells {repeated} are named twice")
    return tuple(found)


def cell_recipes(config: Any) -> tuple[Recipe, ...]:
    """One recipe a cell of a search's configuration, in the order of its cells."""
    base = Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    return tuple(base.with_cell(cell) for cell in config.cells)


@dataclass(frozen=True)
class SearchConfig:
    """Phase one: a grid over dense shapes, each trained in every cell (paper, section 4)."""

    task: str = option("cubist_spiral", "task name, pkg.module:Name, or a .npz or .csv file")
    width: int = option(16, "largest hidden width; also the width whose initialisation is used")
    depth: int = option(3, "hidden layers")
    target: float = option(0.995, "accuracy that makes a restart a success")
    restarts: int = option(32, "training runs a shape and cell")
    cells: tuple[str, ...] = option(CELLS, "pairs RATE:SCHEDULE")
    epochs: int = option(50, "passes over the points")
    batch_size: int = option(128, "points a step")
    momentum: float = option(0.9, "SGD momentum")
    weight_decay: float = option(5e-4, "weight decay, biases included")
    seed: int = option(0, "run seed")
    full: bool = option(False, "train every shape, also above the first level with a success")
    trainer: str = option("auto", "auto, cuda, fused, vmap or loop")

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("width", "depth", "restarts", "epochs", "batch_size"):
            check_positive("search", name, getattr(self, name))
        require(0 < self.target <= 1, f"search: target is {self.target!r}, it must be in (0, 1]")
        require(
            0 <= self.seed <= fields.MAX_SEED,
            f"search: seed is {self.seed!r}, it must be in 0..2^64-1",
        )
        check_optimiser("search", self.momentum, self.weight_decay)
        object.__setattr__(self, "cells", canonical_cells(self.cells))

    def recipes(self) -> tuple[Recipe, ...]:
        """One recipe a cell, in the order of ``cells``."""
        return cell_recipes(self)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchConfig:
        """The inverse of ``to_json``; absent fields take their default."""
        return fields.from_json(cls, values)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)
