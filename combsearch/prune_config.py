"""What a sweep over pruners is: methods, widths, budgets, cells and restarts.

A frozen, checked dataclass, standard library only, as ``search_config``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from combsearch import fields
from combsearch.config import CELLS, Recipe, SearchConfig, canonical_cells, cell_recipes
from combsearch.fields import option, require, same_option

NINE = ("gmp", "lth", "snip", "grasp", "iter_snip", "force", "synflow", "prospr", "rigl")
RANDOM = ("random_uniform", "random_epl", "random_epf", "random_erk")
PAPER_WIDTHS = (3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256)
PAPER_BUDGETS = (*range(15, 27), 30, 33, 37, 40, 44, 50, 53, 55, 57, 60, 65)
PAPER_TARGETS = (0.95, 0.995)  # accuracies that count as success
PAPER_CELLS = (*CELLS, "0.2:constant", "0.2:cosine", "0.2:step")
COMPATS = ("exact", "paper")

_GROUPS = {"all": NINE, "random": RANDOM}


def _same(name: str, default: Any = None, text: str = "") -> Any:
    return same_option(SearchConfig, name, default, text)


@dataclass(frozen=True)
class PruneConfig:
    """Every method at every width and budget, in every cell (paper, section 5).

    ``methods`` and ``pruner`` become one list in ``methods``: the nine, the random ones, a
    user's own. Where only ``pruner`` is given, it is all there is.
    """

    methods: tuple[str, ...] = option(
        NINE, "names, all (those nine), random (four random masks), or pkg.module:Name"
    )
    pruner: str = option("", "a pruner of your own, pkg.module:Name, beside --methods if given")
    widths: tuple[int, ...] = option(PAPER_WIDTHS, "neurons of each hidden layer")
    budgets: tuple[str, ...] = option(
        ("paper",), "weights to keep, or paper: 15 to 65, those below the number of weights"
    )
    restarts: int = _same("restarts", 1, "training runs a method, width, budget and cell")
    cells: tuple[str, ...] = _same("cells", PAPER_CELLS)
    depth: int = _same("depth")
    task: str = _same("task")
    init: str = option("", ".npz of a network whose leading block every run starts from")
    compat: str = option("exact", "exact (keep the budget) or paper (the authors' code)")
    epochs: int = _same("epochs")
    batch_size: int = _same("batch_size")
    momentum: float = _same("momentum")
    weight_decay: float = _same("weight_decay")
    seed: int = _same("seed")
    trainer: str = _same("trainer", text="auto, sparse, cuda, fused, vmap or loop")

    def __post_init__(self) -> None:
        # A TOML file may write budgets as numbers.
        object.__setattr__(self, "budgets", tuple(map(_text, self.budgets)))
        fields.check_types(self)
        for name in ("depth", "restarts", "epochs", "batch_size"):
            fields.check_positive("prune", name, getattr(self, name))
        require(
            self.compat in COMPATS,
            f"prune: compat is {self.compat!r}, it must be one of {', '.join(COMPATS)}",
        )
        require(
            0 <= self.seed <= fields.MAX_SEED,
            f"prune: seed is {self.seed!r}, it must be in 0..2^64-1",
        )
        fields.check_optimiser("prune", self.momentum, self.weight_decay)
        object.__setattr__(self, "methods", _methods(self.methods, self.pruner))
        object.__setattr__(self, "pruner", "")
        object.__setattr__(self, "widths", _widths(self.widths))
        object.__setattr__(self, "budgets", _budgets(self.budgets, self.depth))
        object.__setattr__(self, "cells", canonical_cells(self.cells))

    def budgets_of(self, weights: int) -> tuple[int, ...]:
        """The budgets, ascending, that networks with so many weights are pruned to.

        The paper's are those below ``weights`` that keep a path; one that is named may be all.
        """
        named = {int(b) for b in self.budgets if b != "paper" and int(b) <= weights}
        if "paper" in self.budgets:
            named |= {b for b in PAPER_BUDGETS if self.depth < b < weights}
        return tuple(sorted(named))

    def recipes(self) -> tuple[Recipe, ...]:
        """One recipe a cell, in the order of ``cells``."""
        return cell_recipes(self)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _methods(given: Sequence[str], pruner: str) -> tuple[str, ...]:
    """The nine first, then the random ones, then all others, none twice.

    Whether there are such methods shows when they are imported, which is not done here.
    """
    if pruner:
        # Not compared: the nine named one by one beside a pruner are wanted.
        given = (pruner,) if given is NINE else (*given, pruner)
    names = [name for one in given for name in _GROUPS.get(one, (one,))]
    require(bool(names), "prune: no methods; name some as snip,synflow, or all")
    ours = tuple(name for name in (*NINE, *RANDOM) if name in names)
    return (*ours, *dict.fromkeys(name for name in names if name not in ours))


def _widths(given: Sequence[int]) -> tuple[int, ...]:
    require(bool(given), "prune: no widths; name some as 3,16")
    for width in given:
        require(width >= 1, f"prune: widths holds {width}, each must be a whole number from 1 up")
    return tuple(sorted(set(given)))


def _budgets(given: Sequence[str], depth: int) -> tuple[str, ...]:
    """``paper`` first, then numbers ascending, none twice."""
    require(bool(given), "prune: no budgets; name some as 20,30, or paper")
    numbers = set()
    for budget in given:
        if budget != "paper":
            numbers.add(_budget(budget, depth + 1))
    return (*(["paper"] if "paper" in given else []), *map(str, sorted(numbers)))


def _budget(text: str, least: int) -> int:
    require(
        text.isascii() and text.isdigit() and len(text) < 10,
        f"prune: budget {text[:20]!r} is not a whole number of weights, nor the word paper",
    )
    require(
        int(text) >= least,
        f"prune: budget {int(text)} keeps no path from input to output: {least - 1} hidden layers"
        f" need at least {least} weights",
    )
    return int(text)
