"""What a run of the PQ-index study is: a task, a network, methods, scopes, rounds and seeds.

A frozen, checked dataclass, standard library only, as ``search_config``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from combsearch import fields
from combsearch.config import Recipe, Schedule, SearchConfig
from combsearch.fields import option, require, same_option
from combsearch.registry import nearest

METHODS = ("sap", "lt", "one_shot")
SCOPES = ("global", "layer", "neuron")
CHECKPOINTS = ("best", "last")
PAPER_POWERS = ("0.5:1", "1:2")
GRID = ("0.25:0.5", "0.25:1", "0.25:2", "0.5:1", "0.5:2", "0.5:4", "1:2", "1:4", "2:4")
_WHO = "pqi"


@dataclass(frozen=True)
class PqiConfig:
    """Every method, setting, scope and seed, pruned in rounds."""

    task: str = option("fashion-mnist", "image data set, task name, pkg.module:Name or a file")
    network: str = option("mlp", "a network's name, or hidden widths such as 128,256")
    methods: tuple[str, ...] = option(METHODS, "pruning methods")
    scopes: tuple[str, ...] = option(("global",), "what a vector is: global, layer, neuron")
    powers: tuple[str, ...] = option(PAPER_POWERS, "pairs P:Q of SAP, 0 < p < q")
    etas: tuple[float, ...] = option((0.0,), "SAP: p-th powers that may be given up")
    gammas: tuple[float, ...] = option((1.0,), "SAP: share of what need not stay that goes")
    beta: float = option(0.9, "SAP: largest share that a round prunes")
    share: float = option(0.2, "lt and one_shot: share of what is left that a round prunes")
    rounds: int = option(30, "rounds of pruning after the dense network")
    seeds: int = option(4, "seeds, each with initial weights and minibatches of its own")
    epochs: int = option(200, "passes over the points, in every round")
    batch_size: int = option(250, "points a step")
    lr: float = option(0.1, "learning rate of the first epoch")
    schedule: str = option("cosine", "cosine (to 0), constant or step")
    momentum: float = option(0.9, "SGD momentum")
    nesterov: bool = option(True, "Nesterov's momentum")
    clip: float = option(1.0, "norm to which gradients are clipped; 0 for none")
    weight_decay: float = option(5e-4, "weight decay, biases included")
    checkpoint: str = option("best", "what is measured and pruned: best (on test points) or last")
    grid: tuple[str, ...] = option(GRID, "pairs P:Q at which the PQ index is measured")
    augment: bool = option(True, "flip and crop images in training, if usual for the data set")
    points: int = option(0, "training points that are used, the first; 0 takes all")
    seed: int = same_option(SearchConfig, "seed")
    trainer: str = option("auto", "auto, vmap or loop; for small MLPs also sparse and fused")

    def __post_init__(self) -> None:
        fields.check_types(self)
        methods = tuple(method.replace("-", "_") for method in self.methods)
        object.__setattr__(self, "methods", _known("methods", methods, METHODS))
        object.__setattr__(self, "scopes", _known("scopes", self.scopes, SCOPES))
        for name in ("powers", "grid"):
            object.__setattr__(self, name, _pairs(name, getattr(self, name)))
        for name in ("rounds", "seeds", "epochs", "batch_size"):
            fields.check_positive(_WHO, name, getattr(self, name))
        require(self.points >= 0, f"{_WHO}: points is {self.points}, it must be from 0 up")
        require(
            self.checkpoint in CHECKPOINTS,
            f"{_WHO}: checkpoint is {self.checkpoint!r}, it must be best or last",
        )
        require(
            0 <= self.seed <= fields.MAX_SEED, f"{_WHO}: seed is {self.seed!r}, must be 0..2^64-1"
        )
        self._check_rules()
        self.recipe()  # checks its own fields

    def _check_rules(self) -> None:
        for name in ("etas", "gammas"):
            values = getattr(self, name)
            require(bool(values), f"{_WHO}: no {name}; the default is {_DEFAULTS[name]:g}")
            for value in values:
                require(
                    0 <= value < math.inf,
                    f"{_WHO}: {name} holds {value:g}, each must be a number from 0 up",
                )
            object.__setattr__(self, name, tuple(dict.fromkeys(map(float, values))))
        require(0 <= self.beta <= 1, f"{_WHO}: beta is {self.beta:g}, it must be from 0 to 1")
        require(
            0 < self.share <= 1,
            f"{_WHO}: share is {self.share:g}, it must be above 0 and at most 1",
        )

    def recipe(self) -> Recipe:
        """How every network is trained, in every round."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=Schedule(self.schedule),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            clip=self.clip,
        )

    def grid_pairs(self) -> tuple[tuple[float, float], ...]:
        """The pairs (p, q) of ``grid``."""
        return tuple(parse_pair("grid", text) for text in self.grid)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


_DEFAULTS = {"etas": 0.0, "gammas": 1.0}


def parse_pair(name: str, text: str) -> tuple[float, float]:
    """``"0.5:1"`` as (0.5, 1.0).

    Raises:
        UsageError: it is no pair, or not 0 < p < q.
    """
    p, _, q = text.partition(":")
    try:
        pair = float(p), float(q)
    except ValueError:
        pair = math.nan, math.nan
    require(
        0 < pair[0] < pair[1] < math.inf,
        f"{_WHO}: {name} holds {text!r}, each must be P:Q with 0 < p < q, such as 0.5:1",
    )
    return pair


def pair_text(p: float, q: float) -> str:
    """``"0.5:1"`` of (0.5, 1.0)."""
    return f"{p:g}:{q:g}"


def _pairs(name: str, given: Sequence[str]) -> tuple[str, ...]:
    """Pairs in one spelling, none twice."""
    require(bool(given), f"{_WHO}: no {name}; name pairs P:Q, such as {','.join(PAPER_POWERS)}")
    return tuple(dict.fromkeys(pair_text(*parse_pair(name, text)) for text in given))


def _known(name: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """``given`` in the order of ``known``, none twice."""
    require(bool(given), f"{_WHO}: no {name} (known: {', '.join(known)})")
    for one in given:
        require(
            one in known,
            f"{_WHO}: {name} holds {one!r}{nearest(one, known)} (known: {', '.join(known)})",
        )
    return tuple(one for one in known if one in given)
