"""What a run is: schedules, training recipes and the configuration of phase one.

Frozen, checked dataclasses, standard library only. A ``digest()`` leaves out every
field that equals its default, so a field added later never changes an old digest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from combsearch.errors import UsageError
from combsearch.registry import nearest

SCHEDULES = ("constant", "cosine", "step")
# The six pairs (rate, schedule) of the paper's search.
CELLS = (
    "0.05:constant",
    "0.05:cosine",
    "0.05:step",
    "0.1:constant",
    "0.1:cosine",
    "0.1:step",
)
_MAX_SEED = 2**64 - 1

T = TypeVar("T")


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise UsageError(message)


def _positive(owner: str, name: str, value: int) -> None:
    _require(value >= 1, f"{owner}: {name} is {value!r}, it must be a whole number from 1 up")


def _check_optimiser(owner: str, momentum: float, weight_decay: float) -> None:
    _require(0 <= momentum < 1, f"{owner}: momentum is {momentum!r}, it must be in [0, 1)")
    _require(
        0 <= weight_decay < math.inf,
        f"{owner}: weight_decay is {weight_decay!r}, it must be 0 or positive",
    )


def _check_types(config: Any) -> None:
    """Refuse a value of another type than the field's default (an int passes for a float)."""
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if not _same_type(value, spec.default):
            kind = type(spec.default).__name__
            raise UsageError(
                f"{type(config).__name__}: {spec.name} is {value!r}, it must be {_KINDS[kind]}"
            )


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "tuple": "a list",
    "Schedule": "a Schedule",
}


def _same_type(value: Any, default: Any) -> bool:
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(_same_type(v, default[0]) for v in value)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return isinstance(value, type(default))


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
        _check_types(self)
        known = ", ".join(SCHEDULES)
        _require(
            self.name in SCHEDULES,
            f"unknown schedule {self.name!r}{nearest(self.name, SCHEDULES)} (known: {known})",
        )
        _require(
            all(e >= 0 for e in self.milestones),
            f"schedule: milestones {self.milestones} must be epochs from 0 up",
        )
        _require(0 < self.factor <= 1, f"schedule: factor is {self.factor!r}, it must be in (0, 1]")

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
        return _to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Schedule:
        """The inverse of ``to_json``; absent fields take their default."""
        return _from_json(cls, values)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return _digest(self)


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: SGD with momentum and weight decay on minibatches.

    Attributes:
        epochs: passes over the points.
        batch_size: points a step; the incomplete last batch of an epoch is dropped.
        lr: learning rate of the first epoch.
        schedule: how the rate changes.
        momentum: SGD momentum, no dampening.
        weight_decay: added as ``weight_decay * w`` to the gradient, biases included.
    """

    epochs: int = 50
    batch_size: int = 128
    lr: float = 0.05
    schedule: Schedule = Schedule()
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        _check_types(self)
        _positive("recipe", "epochs", self.epochs)
        _positive("recipe", "batch_size", self.batch_size)
        _check_optimiser("recipe", self.momentum, self.weight_decay)
        _require(
            0 < self.lr < math.inf, f"recipe: lr is {self.lr!r}, it must be positive and finite"
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
        _require(
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
        return _to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of ``to_json``; absent fields take their default."""
        return _from_json(cls, values)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return _digest(self)


def _option(default: T, text: str) -> T:
    """A field of ``SearchConfig``; the command line makes its option from ``help``."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class SearchConfig:
    """Phase one: a grid over dense shapes, each trained in every cell (paper, section 4)."""

    task: str = _option("cubist_spiral", "task name, pkg.module:Name, or a .npz or .csv file")
    width: int = _option(16, "largest hidden width; also the width whose initialisation is used")
    depth: int = _option(3, "hidden layers")
    target: float = _option(0.995, "accuracy that makes a restart a success")
    restarts: int = _option(32, "training runs a shape and cell")
    cells: tuple[str, ...] = _option(CELLS, "pairs RATE:SCHEDULE")
    epochs: int = _option(50, "passes over the points")
    batch_size: int = _option(128, "points a step")
    momentum: float = _option(0.9, "SGD momentum")
    weight_decay: float = _option(5e-4, "weight decay, biases included")
    seed: int = _option(0, "run seed")
    full: bool = _option(False, "train every shape, also above the first level with a success")
    trainer: str = _option("auto", "auto, fused, vmap or loop")

    def __post_init__(self) -> None:
        _check_types(self)
        for name in ("width", "depth", "restarts", "epochs", "batch_size"):
            _positive("search", name, getattr(self, name))
        _require(0 < self.target <= 1, f"search: target is {self.target!r}, it must be in (0, 1]")
        _require(
            0 <= self.seed <= _MAX_SEED, f"search: seed is {self.seed!r}, it must be in 0..2^64-1"
        )
        _check_optimiser("search", self.momentum, self.weight_decay)
        _require(bool(self.cells), f"search: no cells; the default is {','.join(CELLS)}")
        # One spelling and one order: a run's key holds the cell's name.
        cells = sorted((recipe.cell for recipe in self.recipes()), key=str.encode)
        repeated = sorted({c for c in cells if cells.count(c) > 1})
        _require(not repeated, f"search: cells {repeated} are named twice")
        object.__setattr__(self, "cells", tuple(cells))

    def recipes(self) -> tuple[Recipe, ...]:
        """One recipe a cell, in the order of ``cells``."""
        base = Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        return tuple(base.with_cell(cell) for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return _to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchConfig:
        """The inverse of ``to_json``; absent fields take their default."""
        return _from_json(cls, values)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return _digest(self)


def _to_json(config: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(config, f.name), f.default) for f in dataclasses.fields(config)}


def _plain(value: Any, default: Any) -> Any:
    """``value`` as JSON knows it; 1 and 1.0 in a float field are written alike."""
    if dataclasses.is_dataclass(value):
        return _to_json(value)
    if isinstance(value, tuple):
        return list(value)
    return float(value) if isinstance(default, float) else value


def _from_json(cls: type[T], values: Mapping[str, Any]) -> T:
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UsageError(
                f"unknown {cls.__name__} field {name!r}{nearest(name, known)}"
                f" (known: {', '.join(known)})"
            )
    return cls(**{name: _revive(value, known[name].default) for name, value in values.items()})


def _revive(value: Any, default: Any) -> Any:
    if isinstance(default, Schedule) and isinstance(value, Mapping):
        return Schedule.from_json(value)
    return tuple(value) if isinstance(value, list) else value


def _digest(config: Any) -> str:
    text = json.dumps(changed(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed(config: Any) -> dict[str, Any]:
    """The fields that differ from their default, nested configurations likewise."""
    different: dict[str, Any] = {}
    for spec in dataclasses.fields(config):
        value = getattr(config, spec.name)
        if value != spec.default:
            nested = dataclasses.is_dataclass(value)
            different[spec.name] = changed(value) if nested else _plain(value, spec.default)
    return different
