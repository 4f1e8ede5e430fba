"""What a run of the study trains: settings, networks, data, and who the run is."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from combsearch.config import changed
from combsearch.errors import RunMismatchError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, Network
from combsearch.networks import Dense, ImageNetwork, get_network
from combsearch.rng import RunKeys
from combsearch.studies.dimensionality.config import (
    ExtrinsicConfig,
    ImpConfig,
    IntrinsicConfig,
)
from combsearch.studies.dimensionality.data import Fixed, Source, data_identity, load_source
from combsearch.trainers import get_trainer
from combsearch.trainers.base import Trainer, fused_obstacle

NUMERICS = 1  # raised when a run of the same key would change
_GENERAL = ("loop", "vmap", "cuda", "fused", "sparse")  # the most general first
_ANALYSIS = ("trainer", "tolerances", "targets")  # settings that no row depends on


@dataclass(frozen=True)
class Setting:
    """Networks of one width on data of one dimension."""

    width: str
    dimension: int


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a setting trains.

    Attributes:
        network: one network.
        source: its data.
        names: the tensors that are pruned, in order.
    """

    network: Network
    source: Source
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ImpPlan:
    """Everything that a run will train.

    Attributes:
        config: the configuration.
        settings: widths by dimensions.
        trainer: its name; never ``auto``.
        data: what the data are made of, see ``data_identity``.
        options: of the trainer, see ``get_trainer``.
    """

    config: ImpConfig
    settings: tuple[Setting, ...]
    trainer: str
    data: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: ImpConfig) -> ImpPlan:
        """Check the data, make a network of every width, choose the trainer.

        Raises:
            UsageError: one of them cannot be, or they do not fit each other.
        """
        for width in config.widths:
            hidden(width, config)  # a wrong width shows before anything is loaded
        data = data_identity(config)
        settings = tuple(Setting(w, d) for w in config.widths for d in config.dimensions)
        # Of the smallest images: what takes those takes the others.
        source = _kept(config, min(config.dimensions), _text(data))
        trainers = {
            _trainer_name(config, Loaded(*_network(config, width, source)))
            for width in config.widths
        }
        _check_steps(config, source)
        return cls(config, settings, min(trainers, key=_GENERAL.index), data)

    @property
    def chains(self) -> int:
        """Chains of a setting: seeds for every step that is rewound to."""
        return len(self.config.rewinds) * self.config.seeds

    def load(self, setting: Setting) -> Loaded:
        """The network and data of a setting; the last data loaded are kept."""
        source = _kept(self.config, setting.dimension, _text(self.data))
        return Loaded(*_network(self.config, setting.width, source))

    def get_trainer(self) -> Trainer:
        """The trainer, made anew."""
        return get_trainer(self.trainer, **self.options)

    def keys(self, network: Network) -> RunKeys:
        """Keys of the networks of all seeds, which share minibatches: they go side by side."""
        seeds = self.config.seeds
        mask = MaskBatch.dense_of(network.shape).keys()[0] if isinstance(network, MLP) else 0
        cell = self.config.recipe().cell
        restarts = np.arange(seeds)
        masks = np.full(seeds, mask, np.uint64)
        return RunKeys.make(self.config.seed, masks, [cell] * seeds, restarts, block=seeds)

    def total_steps(self, source: Source) -> int:
        """Steps of the whole training."""
        return self.config.recipe().total_steps(source.points)

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are, as JSON."""
        settings = changed(self.config)
        for name in _ANALYSIS:
            settings.pop(name, None)
        settings.pop("generator", None)  # what is in the file counts, not where it lies
        return {
            "command": command_of(self.config),
            "config": settings,
            "data": dict(self.data),
            "trainer": self.trainer,
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        config = self.config
        what = getattr(config, "task", "") or getattr(config, "embedding", "")
        what = re.sub(r"[^A-Za-z0-9_.-]+", "-", what)[:60]
        plain = {name: getattr(type(config)(), name) for name in _ANALYSIS if hasattr(config, name)}
        settings = dataclasses.replace(config, **{**plain, "trainer": self.trainer})
        return "-".join(filter(None, (config.experiment, what, settings.digest()[:8])))


def command_of(config: ImpConfig) -> str:
    """The command that such a run belongs to."""
    return f"study dimensionality {config.experiment}"


def hidden(width: str, config: ImpConfig) -> tuple[int, ...]:
    """``"256x128"`` as (256, 128), or the width of a ResNet as one number.

    Raises:
        UsageError: it is no such text.
    """
    resnet = isinstance(config, (ExtrinsicConfig, IntrinsicConfig)) and config.network != "mlp"
    parts = width.split("x")
    plain = all(re.fullmatch("0*[1-9][0-9]{0,8}", part) for part in parts)
    if plain and not (resnet and len(parts) > 1):
        return tuple(map(int, parts))
    example = "a whole number such as 16" if resnet else "hidden widths such as 256x128"
    raise UsageError(f"widths holds {width!r}, each must be {example}")


@lru_cache(maxsize=1)
def _kept(config: ImpConfig, dimension: int, data: str) -> Source:
    """``load_source``, of data whose identity is ``data`` (JSON)."""
    source = load_source(config, dimension)
    # A generator may be trained again into its file while a run goes on; data sets stay.
    if isinstance(config, IntrinsicConfig) and _text(data_identity(config)) != data:
        raise RunMismatchError(
            f"the generator {config.generator!r} changed while the run was going on: restore it"
            " and repeat the command, or start another run"
        )
    return source


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True)


def _network(
    config: ImpConfig, width: str, source: Source
) -> tuple[Network, Source, tuple[str, ...]]:
    widths, task = hidden(width, config), source.test
    network: Network
    if source.image_shape is None:
        outputs = 1 if task.classes == 2 else task.classes
        shape = NetShape.from_hidden(widths, task.inputs, outputs)
        network = MLP(shape, max(widths))
    elif getattr(config, "network", "") == "mlp":
        network = ImageNetwork(Dense(widths), source.image_shape, task.classes)
    else:
        network = get_network(_resnet(config, widths[0]), source.image_shape, task.classes)
    return network, source, _pruned_names(config, network)


def _resnet(config: ImpConfig, width: int) -> str:
    """The name of a ResNet for small images, as ``get_network`` knows it."""
    name = str(getattr(config, "network", ""))
    if not re.fullmatch(r"resnet[0-9]+", name):
        raise UsageError(
            f"network is {name!r}, it must be mlp or a ResNet for small images by its depth 6n + 2,"
            " such as resnet8 or resnet20"
        )
    return f"{name}x{width}"


def _pruned_names(config: ImpConfig, network: Network) -> tuple[str, ...]:
    """The tensors that rounds prune: the prunable ones but those of the layers kept."""
    layers = {name.removesuffix(".weight"): name for name in network.prunable}
    for layer in config.kept_layers:
        if layer not in layers:
            raise UsageError(
                f"keep names {layer!r}, which is no layer (known: {', '.join(layers)})"
            )
    left = tuple(name for layer, name in layers.items() if layer not in config.kept_layers)
    if not left:
        raise UsageError(f"keep names all layers ({', '.join(layers)}): nothing is left to prune")
    return left


def _check_steps(config: ImpConfig, source: Source) -> None:
    recipe = config.recipe()
    total = recipe.total_steps(source.points)
    if total == 0:
        raise UsageError(
            f"batch_size {config.batch_size} is more than the {source.points} points of an epoch"
        )
    late = [step for step in config.rewinds if step >= total]
    if late:
        raise UsageError(
            f"rewinds holds {late[0]}, training has {total} steps: rewind to an earlier one, or"
            " take more epochs"
        )


def _trainer_name(config: ImpConfig, found: Loaded) -> str:
    """The trainer that the configuration stands for."""
    nets = NetBatch.create(found.network, RunKeys.make(0, [], [], []))
    obstacle = fused_obstacle(nets, found.source.test, None, config.recipe())
    if isinstance(found.source, Fixed) and found.source.task.augmentation is not None:
        obstacle = "it trains on points as they are, without augmentation"
    if config.trainer == "auto":
        return "vmap" if obstacle else "sparse"
    name = get_trainer(config.trainer).name
    if name not in _GENERAL:
        raise UsageError(f"trainer {name!r} is not one of auto, {', '.join(_GENERAL)}")
    if name in ("cuda", "fused", "sparse") and obstacle is not None:
        raise UsageError(f"trainer {name!r} cannot do this: {obstacle}; 'vmap' and 'loop' can")
    return name
