"""What runs of phase two, exhaust and descend are, beside phase one's ``SearchConfig``.

Options that several searches have are written once and taken over by name. Frozen,
checked dataclasses, standard library only, as ``config``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from combsearch import fields
from combsearch.config import Recipe, SearchConfig, canonical_cells, cell_recipes
from combsearch.fields import option, require, same_option

SYMMETRIES = ("full", "rows", "none")
_UNUSED = "also masks that leave inputs unused"
_BEST_CELL = ("0.05:cosine",)  # of the six, the one in which most dense shapes succeed


def _same(name: str, default: Any = None, text: str = "") -> Any:
    return same_option(SearchConfig, name, default, text)


@dataclass(frozen=True)
class Phase2Config:
    """Phase two: every mask of one shape, level by level (paper, section 4).

    Without ``every_level`` the search ends ``beyond`` levels after the first with a success.
    """

    shape: str = option("", "hidden widths such as 7,3,3")
    task: str = _same("task")
    width: int = _same("width", text="width of the network whose initialisation is used")
    target: float = _same("target")
    restarts: int = _same("restarts", 4, "training runs a mask and cell")
    cells: tuple[str, ...] = _same("cells")
    max_nonzeros: int = option(0, "last level to train; 0 takes all")
    min_nonzeros: int = option(0, "first level to train; 0 takes all")
    every_level: bool = option(False, "train every level, also above the first with a success")
    beyond: int = option(0, "levels to train above the first with a success")
    symmetry: str = option(
        "full", "masks to train: full (one an orbit), rows (the paper's order) or none (every one)"
    )
    unused_inputs: bool = option(False, _UNUSED)
    init: str = option("", ".npz of a wide network whose leading block every run starts from")
    race: bool = option(False, "train short runs first and only the better half on, five times")
    controls: int = option(32, "one race in so many goes on in full, to measure what racing loses")
    epochs: int = _same("epochs")
    batch_size: int = _same("batch_size")
    momentum: float = _same("momentum")
    weight_decay: float = _same("weight_decay")
    seed: int = _same("seed")
    trainer: str = _same("trainer")

    def __post_init__(self) -> None:
        _check(self, ("width", "restarts", "epochs", "batch_size", "controls"))
        require(
            self.symmetry in SYMMETRIES,
            f"search: symmetry is {self.symmetry!r}, it must be one of {', '.join(SYMMETRIES)}",
        )

    def recipes(self) -> tuple[Recipe, ...]:
        """One recipe a cell, in the order of ``cells``."""
        return cell_recipes(self)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)


@dataclass(frozen=True)
class ExhaustConfig:
    """Every mask of every shape, level by level, to the first level with a success.

    A level's restarts are ``level_runs`` shared by its masks and cells, but
    ``restarts`` a mask and cell at most and ``min_restarts`` at least.
    """

    task: str = _same("task")
    width: int = _same("width", text="largest hidden width; its initialisation is used")
    depth: int = _same("depth")
    target: float = _same("target", 0.95)
    max_nonzeros: int = option(24, "last level to train")
    restarts: int = _same("restarts", 3072, "most training runs a mask and cell")
    min_restarts: int = option(16, "fewest training runs a mask and cell")
    level_runs: int = option(4_000_000, "training runs to share among the masks of a level")
    unused_inputs: bool = option(False, _UNUSED)
    cells: tuple[str, ...] = _same("cells", _BEST_CELL)
    every_level: bool = option(False, "train every level, also above the first with a success")
    beyond: int = option(0, "levels to train above the first with a success")
    race: bool = option(True, "train short runs first and only the better half on, five times")
    controls: int = option(32, "one race in so many goes on in full, to measure what racing loses")
    epochs: int = _same("epochs")
    batch_size: int = _same("batch_size")
    momentum: float = _same("momentum")
    weight_decay: float = _same("weight_decay")
    seed: int = _same("seed")
    trainer: str = _same("trainer")

    def __post_init__(self) -> None:
        counts = "width depth max_nonzeros restarts min_restarts level_runs epochs batch_size"
        _check(self, (*counts.split(), "controls"))

    def recipes(self) -> tuple[Recipe, ...]:
        """One recipe a cell, in the order of ``cells``."""
        return cell_recipes(self)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)


@dataclass(frozen=True)
class DescendConfig:
    """A beam search from dense networks that reach the target, one deletion at a time."""

    task: str = _same("task")
    target: float = _same("target")
    shapes: tuple[str, ...] = option(
        ("auto",), "starting shapes as 7x3x3, or auto for all that are worth starting from"
    )
    width: int = _same("width", text="width of the network whose initialisation is used")
    restarts: int = _same("restarts", 1024, "dense training runs a starting shape")
    beam: int = option(256, "networks kept at each level")
    retrain_epochs: int = option(15, "passes over the points after each deletion")
    prune_biases: bool = option(False, "delete biases too, and count only those that are kept")
    lowest: int = option(0, "nonzeros to stop at; 0 goes down while the target is reached")
    seed: int = _same("seed")
    trainer: str = _same("trainer", text="auto, cuda or fused; these give the same results")

    def __post_init__(self) -> None:
        _check(self, ("width", "restarts", "beam", "retrain_epochs"))
        require(bool(self.shapes), "search: no starting shapes; name some as 7x3x3,6x3x2, or auto")

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)


def _check(config: Any, counts: tuple[str, ...]) -> None:
    """What all searches ask of their settings; cells become canonical."""
    fields.check_types(config)
    for name in counts:
        fields.check_positive("search", name, getattr(config, name))
    for name in ("max_nonzeros", "min_nonzeros", "beyond", "lowest"):
        value = getattr(config, name, 0)
        require(value >= 0, f"search: {name} is {value!r}, it must be a whole number from 0 up")
    require(0 < config.target <= 1, f"search: target is {config.target!r}, it must be in (0, 1]")
    require(
        0 <= config.seed <= fields.MAX_SEED,
        f"search: seed is {config.seed!r}, it must be in 0..2^64-1",
    )
    if hasattr(config, "momentum"):
        fields.check_optimiser("search", config.momentum, config.weight_decay)
        object.__setattr__(config, "cells", canonical_cells(config.cells))
