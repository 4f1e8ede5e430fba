"""The small GAN's generator as .safetensors: 16-bit weights, facts as JSON.

Maps of weights are stored as float16, which moves a pixel by about one of 255 levels at most;
scales, shifts and batch statistics, which are few, stay float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from combsearch.errors import UsageError
from combsearch.generators.base import F32, U8, Labels, check_inputs, in_batches
from combsearch.generators.small_gan import SmallGenerator, SmallShape
from combsearch.generators.weights import Weights, fit
from combsearch.saved_network.safetensors_file import safetensors_bytes

KIND = "combsearch small GAN 1"
_AT_ONCE = 250
_MAPS = 3  # inner maps of each network


@dataclass(frozen=True, eq=False)
class SmallImages:
    """``Generator`` of the small GAN; ``about`` says how it was trained."""

    network: SmallGenerator
    class_names: tuple[str, ...]
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Stand-in, and for what data set."""
        return f"small GAN ({self.about.get('data', 'unknown data')})"

    @property
    def latent(self) -> int:
        """Latent coordinates."""
        return self.network.shape.latent

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.network.shape.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        shape = self.network.shape
        return shape.channels, shape.side, shape.side

    def images(self, z: F32, labels: Labels) -> U8:
        """See ``Generator``."""
        check_inputs(self, z, labels)
        found = list(in_batches(z, labels, _AT_ONCE, self._batch))
        return np.concatenate(found) if found else np.empty((0, *self.image_shape), np.uint8)

    @torch.inference_mode()
    def _batch(self, z: F32, labels: Labels) -> F32:
        classes = torch.from_numpy(labels.astype(np.int64))
        found: F32 = self.network(torch.from_numpy(np.ascontiguousarray(z)), classes).numpy()
        return found


def small_bytes(
    network: SmallGenerator, class_names: tuple[str, ...], about: Mapping[str, Any]
) -> bytes:
    """The file of a trained generator.

    Args:
        about: facts of the training (data set, steps, seed, ..), JSON values.
    """
    facts = {
        "kind": KIND,
        "shape": asdict(network.shape),
        "class_names": list(class_names),
        "about": dict(about),
    }
    return safetensors_bytes(_arrays(network), json.dumps(facts))


def not_storable(network: SmallGenerator) -> str | None:
    """The first tensor with numbers that a file cannot hold, which are not finite or too large."""
    with np.errstate(over="ignore"):
        arrays = _arrays(network)
    return next((name for name, values in arrays.items() if not np.isfinite(values).all()), None)


def small_images(weights: Weights) -> SmallImages:
    """The generator in a file whose facts are of ``KIND``.

    Raises:
        UsageError: facts that are incomplete, or weights that do not fit them.
    """
    try:
        facts = weights.facts
        shape, names = _shape(facts["shape"]), tuple(map(str, facts["class_names"]))
        about = dict(facts["about"])
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise UsageError(
            f"{weights.path} says it is a {KIND}, but its facts are not ({error})"
        ) from None
    if names and len(names) != shape.classes:
        raise UsageError(f"{weights.path}: {len(names)} class names for {shape.classes} classes")
    try:
        with torch.device("meta"):  # facts may name sizes that no memory holds
            unfilled = SmallGenerator(shape)
    except (RuntimeError, TypeError) as error:  # torch counts numbers in 64 bits
        raise UsageError(f"{weights.path}: no network has the sizes {shape}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in _kept(unfilled).items()}
    tensors = fit(weights, expected)
    network = SmallGenerator(shape).eval().requires_grad_(False)
    network.load_state_dict(tensors, strict=False)
    return SmallImages(network, names, about)


def _shape(facts: Mapping[str, Any]) -> SmallShape:
    """The sizes that a file states; a number that is not whole is a ``ValueError``."""
    sizes = {field.name: facts[field.name] for field in fields(SmallShape)}
    for name, size in sizes.items():
        many = name in ("widths", "critic")
        if many and len(size) != _MAPS:
            raise ValueError(f"{name} are {len(size)}, expected {_MAPS}")
        if not all(type(one) is int for one in (size if many else [size])):
            raise ValueError(f"{name} is {size!r}, expected whole numbers")
        sizes[name] = tuple(size) if many else size
    return SmallShape(**sizes)


def _arrays(network: SmallGenerator) -> dict[str, np.ndarray[Any, Any]]:
    """What a file holds, as it holds it."""
    return {
        name: tensor.numpy().astype(np.float16 if tensor.dim() > 1 and "norm" not in name else None)
        for name, tensor in _kept(network).items()
    }


def _kept(network: SmallGenerator) -> dict[str, Tensor]:
    """What a file holds: all but counts of batches."""
    state = network.state_dict()
    return {name: tensor for name, tensor in state.items() if tensor.dtype.is_floating_point}
