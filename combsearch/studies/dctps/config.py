"""What a run of the study of DCT plus sparse is: a task, a network, methods, densities, seeds.

A frozen, checked dataclass, standard library only, as ``search_config``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from combsearch import fields
from combsearch.config import OPTIMIZERS, SCHEDULES, Recipe, Schedule, SearchConfig
from combsearch.errors import UsageError
from combsearch.fields import option, require, same_option
from combsearch.registry import nearest
from combsearch.studies.dctps.methods import DENSE, Method, parse_method

METHODS = (
    "dctps+epl", "epl", "erk", "uniform", "force", "synflow", "rigl", "dctps+rigl",
)  # fmt: skip
DENSITIES = (5.0, 1.0, 0.5, 0.2, 0.1)
INITIALS = ("kaiming", "torch")
FORMS = ("auto", "matrix", "fast")
ROUNDINGS = ("exact", "authors")
TRAINERS = ("auto", "indexed", "vmap", "loop")
_WHO = "dctps"
_RATES = {"adam": (0.001, 0.001), "sgd": (0.1, 0.03)}  # of the paper: plain, with a transform
_CHOICES = {
    "optimizer": OPTIMIZERS,
    "schedule": ("auto", *SCHEDULES),
    "init": INITIALS,
    "form": FORMS,
    "rounding": ROUNDINGS,
    "trainer": TRAINERS,
}


@dataclass(frozen=True)
class DctpsConfig:
    """Every method at every density, from every seed."""

    task: str = option("fashion-mnist", "image data set")
    network: str = option("300,100", "a network's name, or hidden widths such as 300,100")
    methods: tuple[str, ...] = option(
        METHODS, "ways to be sparse, [dctps+|dctps_fixed+]SUPPORT, or dense"
    )
    densities: tuple[float, ...] = option(DENSITIES, "shares of the weights that stay, in percent")
    seeds: int = option(5, "seeds, each with initial weights and minibatches of its own")
    optimizer: str = option("adam", "adam or sgd")
    lr: float = option(
        0.0, "learning rate of the first epoch; 0 takes the paper's: adam 0.001, sgd 0.1, with a"
        " transform 0.03",
    )  # fmt: skip
    schedule: str = option("auto", "constant, cosine or step; auto: constant of adam, step of sgd")
    milestones: tuple[int, ...] = option((120, 160), "epochs at which step lowers the rate")
    factor: float = option(0.1, "what step multiplies the rate by at a milestone")
    epochs: int = option(200, "passes over the training points")
    batch_size: int = option(128, "points a step")
    momentum: float = option(0.9, "SGD momentum, Adam's first beta")
    weight_decay: float = option(5e-4, "weight decay, biases included")
    init: str = option("kaiming", "initial weights without a transform: kaiming or torch")
    form: str = option("auto", "how transforms are computed: auto, matrix or fast")
    rounding: str = option(
        "exact", "weights by layer: exact spends the whole budget, authors as the authors' code"
    )
    force_steps: int = option(60, "steps of force")
    force_batches: int = option(
        0, "minibatches a step of force and iter_snip; 0: a tenth of the classes"
    )
    synflow_steps: int = option(100, "steps of synflow")
    iter_snip_steps: int = option(60, "steps of iter_snip")
    rigl_interval: int = option(100, "steps between two moves of rigl")
    rigl_fraction: float = option(0.3, "share of a layer's weights that rigl moves at first")
    rigl_end: float = option(0.75, "share of the training after which rigl moves none")
    validation: float = option(0.1, "share of the training points held out to choose the epoch")
    augment: bool = option(True, "flip and crop images in training, if usual for the data set")
    points: int = option(0, "training points that are used, the first; 0 takes all")
    seed: int = same_option(SearchConfig, "seed")
    trainer: str = option("auto", "indexed, vmap or loop; auto: vmap with a GPU, else indexed")

    def __post_init__(self) -> None:
        fields.check_types(self)
        object.__setattr__(self, "methods", _methods(self.methods))
        object.__setattr__(self, "densities", _densities(self.densities))
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            require(
                value in known,
                f"{_WHO}: {name} is {value!r}{nearest(value, known)}, it must be one of"
                f" {', '.join(known)}",
            )
        for name in (
            "seeds", "epochs", "batch_size", "force_steps", "synflow_steps", "iter_snip_steps",
            "rigl_interval",
        ):  # fmt: skip
            fields.check_positive(_WHO, name, getattr(self, name))
        for name in ("points", "force_batches"):
            value = getattr(self, name)
            require(value >= 0, f"{_WHO}: {name} is {value}, it must be from 0 up")
        self._check_shares()
        require(
            0 <= self.seed <= fields.MAX_SEED, f"{_WHO}: seed is {self.seed!r}, must be 0..2^64-1"
        )
        for method in self.parsed():
            self.recipe(method)  # checks its own fields

    def _check_shares(self) -> None:
        for name in ("rigl_fraction", "rigl_end"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{_WHO}: {name} is {value:g}, it must be from 0 to 1")
        require(
            0 < self.validation < 1,
            f"{_WHO}: validation is {self.validation:g}, it must be a share above 0 and below 1",
        )
        require(
            0 <= self.lr < math.inf,
            f"{_WHO}: lr is {self.lr:g}, it must be positive, or 0 for the paper's",
        )

    def parsed(self) -> tuple[Method, ...]:
        """The methods, in order."""
        return tuple(map(parse_method, self.methods))

    def recipe(self, method: Method) -> Recipe:
        """How the networks of a method are trained."""
        name = self.schedule
        if name == "auto":
            name = "constant" if self.optimizer == "adam" else "step"
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr or _RATES[self.optimizer][method.offset],
            schedule=Schedule(name, self.milestones, self.factor),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            optimizer=self.optimizer,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


@dataclass(frozen=True)
class Setting:
    """A method at a density.

    Attributes:
        method: of ``DctpsConfig.methods``.
        density: in percent.
    """

    method: Method
    density: float

    @property
    def text(self) -> str:
        """As ``"dctps+epl at 0.5%"``."""
        return f"{self.method.text} at {self.density:g}%"

    def budget(self, weights: int) -> int:
        """How many of so many weights stay, at least 1."""
        return max(1, round(self.density / 100 * weights))


def settings_of(config: DctpsConfig) -> tuple[Setting, ...]:
    """Methods by densities in order; ``dense`` has one density, 100."""
    return tuple(
        Setting(method, density)
        for method in config.parsed()
        for density in ((100.0,) if method.support == DENSE else config.densities)
    )


def all_rows(config: DctpsConfig) -> int:
    """Rows of the whole run."""
    return len(settings_of(config)) * config.seeds


def _methods(given: Sequence[str]) -> tuple[str, ...]:
    """Methods in one spelling, none twice."""
    require(bool(given), f"{_WHO}: no methods; name some, such as {','.join(METHODS)}")
    try:
        return tuple(dict.fromkeys(parse_method(text).text for text in given))
    except UsageError as error:
        raise UsageError(f"{_WHO}: {error}") from None


def _densities(given: Sequence[float]) -> tuple[float, ...]:
    """Densities in percent, none twice."""
    require(bool(given), f"{_WHO}: no densities; name some in percent, such as 5,1,0.1")
    for value in given:
        require(
            0 < value <= 100,
            f"{_WHO}: densities holds {value:g}, each is in percent: above 0 and at most 100",
        )
    return tuple(dict.fromkeys(map(float, given)))
