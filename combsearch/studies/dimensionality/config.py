"""What a run of the dimensionality study is: data by dimension, networks by width, IMP, seeds.

Frozen, checked dataclasses, standard library only, as ``search_config``. ``ImpConfig`` holds
what all experiments share; each experiment is a class of its own, with its own defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from combsearch import fields
from combsearch.config import Recipe, Schedule, SearchConfig
from combsearch.fields import option, require, same_option

EMBEDDINGS = ("linear", "distractors", "both")
_WHO = "dimensionality"
_MOST_ROUNDS = 10_000  # a shard each: more do not fit the memory that lists them
_LARGEST_SIDE = 4096  # pixels


@dataclass(frozen=True)
class ImpConfig:
    """Iterative magnitude pruning with weight rewinding, for every width, dimension and seed.

    Abstract: a run is of one of the experiments below.
    """

    experiment: ClassVar[str] = ""

    widths: tuple[str, ...] = option(("16",), "networks: a width each")
    dimensions: tuple[int, ...] = option((16, 32, 64, 128), "dimensions of the data")
    rounds: int = option(25, "rounds of pruning after the dense network")
    seeds: int = option(3, "seeds, each with initial weights of its own")
    share: float = option(0.2, "share of what is left that a round prunes")
    rewinds: tuple[int, ...] = option((0,), "steps that weights are rewound to, each a chain")
    keep: tuple[str, ...] = option(("",), "layers that are never pruned, by name")
    tolerances: tuple[float, ...] = option((0.005,), "accuracy that matching may lose, each apart")
    epochs: int = option(160, "passes over the points, in every round")
    batch_size: int = option(128, "points a step")
    lr: float = option(0.1, "learning rate of the first epoch")
    schedule: str = option(
        "cosine", "cosine (to 0), constant, or step (a tenth from epochs 15 and 30)"
    )
    momentum: float = option(0.9, "SGD momentum; Adam's first beta")
    nesterov: bool = option(False, "Nesterov's momentum")
    clip: float = option(0.0, "norm to which gradients are clipped; 0 for none")
    weight_decay: float = option(1e-4, "weight decay, biases included")
    optimizer: str = option("sgd", "sgd or adam")
    seed: int = same_option(SearchConfig, "seed")
    trainer: str = option("auto", "auto, vmap or loop; for small MLPs also sparse and fused")

    def __post_init__(self) -> None:
        given: Any = self.widths  # a TOML file may have them as numbers
        if isinstance(given, tuple):
            widths = tuple(str(one) if type(one) is int else one for one in given)
            object.__setattr__(self, "widths", widths)
        fields.check_types(self)
        self._check_lists()
        for name in ("rounds", "seeds", "epochs", "batch_size"):
            fields.check_positive(_WHO, name, getattr(self, name))
        require(
            self.rounds <= _MOST_ROUNDS,
            f"{_WHO}: rounds is {self.rounds}, it must be at most {_MOST_ROUNDS}",
        )
        require(0 < self.share < 1, f"{_WHO}: share is {self.share:g}, it must be between 0 and 1")
        require(
            0 <= self.seed <= fields.MAX_SEED, f"{_WHO}: seed is {self.seed!r}, must be 0..2^64-1"
        )
        self.recipe()  # checks its own fields
        self._check_own()

    def _check_lists(self) -> None:
        for name in ("widths", "dimensions", "rewinds", "tolerances"):
            self._check_some(name)
        for name, least in (("dimensions", 1), ("rewinds", 0)):
            for value in getattr(self, name):
                require(
                    least <= value,
                    f"{_WHO}: {name} holds {value!r}, each must be from {least} up",
                )
        for value in self.tolerances:
            require(
                0 <= value < 1,
                f"{_WHO}: tolerances holds {value!r}, each must be from 0 up and below 1: an"
                " accuracy, 0.005 is half a point",
            )
        object.__setattr__(self, "tolerances", tuple(map(float, self.tolerances)))
        keep = tuple(dict.fromkeys(name for name in self.keep if name))
        object.__setattr__(self, "keep", keep or ("",))

    def _check_some(self, name: str) -> None:
        """Leave out of a list what it repeats, and refuse an empty one."""
        values = tuple(dict.fromkeys(getattr(self, name)))
        object.__setattr__(self, name, values)
        require(bool(values), f"{_WHO}: no {name}, name at least one")

    def _check_own(self) -> None:
        """Check what the experiment adds."""

    @property
    def kept_layers(self) -> tuple[str, ...]:
        """The names in ``keep``."""
        return tuple(name for name in self.keep if name)

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
            optimizer=self.optimizer,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values, every field written."""
        return fields.to_json(self)

    def digest(self) -> str:
        """16 hex characters that name the fields which differ from their default."""
        return fields.digest(self)


def _same(name: str, default: Any = None, text: str = "") -> Any:
    return same_option(ImpConfig, name, default, text)


@dataclass(frozen=True)
class ExtrinsicConfig(ImpConfig):
    """Images resized by nearest neighbour: the dimension is their height and width."""

    experiment: ClassVar[str] = "extrinsic"

    task: str = option("cifar10", "image data set")
    network: str = option("resnet20", "resnet20 or another depth 6n + 2, or mlp")
    widths: tuple[str, ...] = _same("widths", ("16", "32", "64"), "ResNet widths; of mlp as 64x32")
    rewinds: tuple[int, ...] = _same("rewinds", (500,))
    augment: bool = option(True, "flip and crop images in training, if usual for the data set")
    points: int = option(0, "training images that are used, the first; 0 takes all")

    def _check_own(self) -> None:
        require(self.points >= 0, f"{_WHO}: points is {self.points}, it must be from 0 up")
        side = max(self.dimensions)
        require(
            side <= _LARGEST_SIDE,
            f"{_WHO}: dimensions holds {side}, images have sides of 1 to {_LARGEST_SIDE} pixels",
        )


@dataclass(frozen=True)
class IntrinsicConfig(ImpConfig):
    """Images of a class-conditional generator whose latent coordinates from d on are 0."""

    experiment: ClassVar[str] = "intrinsic"

    generator: str = option("", "generator's weights: .safetensors or .pt, see generator train")
    network: str = same_option(ExtrinsicConfig, "network")
    widths: tuple[str, ...] = _same("widths", ("8", "16", "32"), "ResNet widths; of mlp as 64x32")
    rewinds: tuple[int, ...] = _same("rewinds", (500,))
    points: int = option(50_000, "training images that are generated")
    test_points: int = option(10_000, "test images that are generated")

    def _check_own(self) -> None:
        for name in ("points", "test_points"):
            fields.check_positive(_WHO, name, getattr(self, name))


@dataclass(frozen=True)
class LinearConfig(ImpConfig):
    """x = A z, label sign(h z), of whose coordinates t are kept: the dimension is t."""

    experiment: ClassVar[str] = "task"

    widths: tuple[str, ...] = _same(
        "widths", ("256x128", "512x256", "1024x512"), "MLPs, hidden widths such as 256x128"
    )
    inputs: int = option(1024, "D, coordinates of x")
    latent: int = option(128, "d, coordinates of z")
    points: int = option(25_600, "fresh points an epoch")
    test_points: int = option(20_000, "test points")
    scale: bool = option(True, "divide x by its standard deviation; the paper's x is larger")
    epochs: int = _same("epochs", 22)
    batch_size: int = _same("batch_size", 256)
    weight_decay: float = _same("weight_decay", 0.0)

    def _check_own(self) -> None:
        for name in ("inputs", "latent", "points", "test_points"):
            fields.check_positive(_WHO, name, getattr(self, name))
        require(
            self.latent <= self.inputs,
            f"{_WHO}: latent is {self.latent}, above the {self.inputs} inputs that it lies in",
        )
        most = max(self.dimensions)
        require(
            most <= self.latent,
            f"{_WHO}: dimensions holds {most}, the space of z has {self.latent} coordinates"
            " (--latent)",
        )


@dataclass(frozen=True)
class SpiralConfig(ImpConfig):
    """The Cubist Spiral in more inputs, where the sparsest size is known by search."""

    experiment: ClassVar[str] = "spiral"

    embedding: str = option("linear", "linear, distractors or both")
    widths: tuple[str, ...] = _same("widths", ("16x16x16",), "MLPs, hidden widths as 16x16x16")
    dimensions: tuple[int, ...] = _same("dimensions", (2, 3, 4, 6, 8), "inputs, 2 to 16")
    seeds: int = _same("seeds", 16)
    rounds: int = _same("rounds", 24)
    targets: tuple[float, ...] = option((0.95,), "accuracies whose sparsest success is reported")
    epochs: int = same_option(SearchConfig, "epochs")
    lr: float = _same("lr", 0.05)
    weight_decay: float = same_option(SearchConfig, "weight_decay")

    def _check_own(self) -> None:
        require(
            self.embedding in EMBEDDINGS,
            f"{_WHO}: embedding is {self.embedding!r}, it must be one of {', '.join(EMBEDDINGS)}",
        )
        self._check_some("targets")
        for target in self.targets:
            require(0 < target <= 1, f"{_WHO}: targets holds {target!r}, each must be in (0, 1]")
        wrong = [d for d in self.dimensions if not 2 <= d <= 16]
        require(
            not wrong,
            f"{_WHO}: dimensions holds {wrong[:1]}, the spiral lies in 2 to 16 inputs",
        )


CONFIGS = {
    kind.experiment: kind for kind in (ExtrinsicConfig, IntrinsicConfig, LinearConfig, SpiralConfig)
}
"""By experiment, as the command line names them."""
