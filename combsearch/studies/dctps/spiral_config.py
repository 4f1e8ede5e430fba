"""What a run on the Cubist Spiral is: a shape, budgets, and where the supports come from.

A frozen, checked dataclass, standard library only, as ``search_config``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from combsearch import fields
from combsearch.config import Recipe, SearchConfig, canonical_cells, cell_recipes
from combsearch.fields import option, require, same_option
from combsearch.registry import nearest

SUPPORTS = ("random", "search")
ALPHAS = ("trained", "fixed")
TRAINERS = ("auto", "fused", "vmap", "loop")
_WHO = "SpiralConfig"
MOST = 10**6
"""Supports of one level."""


@dataclass(frozen=True)
class SpiralConfig:
    """Supports of every budget on a fixed dense offset, each trained from several seeds."""

    task: str = option("cubist_spiral", "task name, pkg.module:Name or a file")
    shape: str = option("16,16,16", "hidden widths, such as 3,3,3")
    supports: str = option("random", "random, or search: grown and shrunk from the best")
    budgets: str = option("1-60", "places kept, in this order: 1-60, or 1-24,23-10 (search)")
    tries: int = option(32, "supports a budget")
    exhaust: int = option(0, "budgets up to which every support is tried")
    beam: int = option(32, "search: best supports that the next are made from, at least")
    restarts: int = option(2, "seeds a support, with biases and minibatches of their own")
    alpha: str = option("trained", "scale of the offset, one a layer: trained or fixed (1)")
    cells: tuple[str, ...] = option(("0.05:cosine",), "learning rates and schedules")
    epochs: int = option(50, "passes over the points")
    batch_size: int = option(128, "points a step")
    momentum: float = option(0.9, "SGD momentum")
    weight_decay: float = option(5e-4, "weight decay of all that is trained")
    seed: int = same_option(SearchConfig, "seed")
    trainer: str = option("auto", "auto, fused, vmap or loop")

    def __post_init__(self) -> None:
        fields.check_types(self)
        for name, known in (("supports", SUPPORTS), ("alpha", ALPHAS), ("trainer", TRAINERS)):
            value = getattr(self, name)
            require(
                value in known,
                f"{_WHO}: {name} is {value!r}{nearest(value, known)} (known: {', '.join(known)})",
            )
        for name in ("tries", "beam", "restarts", "epochs", "batch_size"):
            fields.check_positive(_WHO, name, getattr(self, name))
        require(self.tries <= MOST, f"{_WHO}: tries is {self.tries}, it must be at most {MOST}")
        require(self.exhaust >= 0, f"{_WHO}: exhaust is {self.exhaust}, it must be from 0 up")
        require(
            0 <= self.seed <= fields.MAX_SEED, f"{_WHO}: seed is {self.seed!r}, must be 0..2^64-1"
        )
        self._check_budgets()
        object.__setattr__(self, "cells", canonical_cells(self.cells))
        self.recipes()  # check their own fields

    def _check_budgets(self) -> None:
        path = self.path()
        if self.supports == "random":
            require(
                len(set(path)) == len(path),
                f"{_WHO}: budgets are {self.budgets!r}: of random supports each may come once",
            )
            return
        for before, budget in itertools.pairwise(path):
            require(
                abs(budget - before) == 1,
                f"{_WHO}: budgets are {self.budgets!r}: a search goes from {before} to {before - 1}"
                f" or {before + 1} places, not to {budget}",
            )

    def path(self) -> tuple[int, ...]:
        """The budgets in their order: ``"1-3,2"`` is (1, 2, 3, 2)."""
        return tuple(budget for part in self.budgets.split(",") for budget in _span(part))

    def recipes(self) -> tuple[Recipe, ...]:
        """How networks are trained: one a cell, in the order of ``cells``."""
        return cell_recipes(self)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


def _span(text: str) -> range:
    """``"1-3"`` as 1, 2, 3; ``"3-1"`` as 3, 2, 1; ``"2"`` as 2."""
    first, dash, last = text.strip().partition("-")
    try:
        ends = int(first), int(last if dash else first)
    except ValueError:
        ends = 0, 0
    require(
        min(ends) >= 1,
        f"{_WHO}: budgets hold {text.strip()!r}, each must be a number from 1 up or FIRST-LAST,"
        " such as 1-60",
    )
    step = 1 if ends[0] <= ends[1] else -1
    return range(ends[0], ends[1] + step, step)
