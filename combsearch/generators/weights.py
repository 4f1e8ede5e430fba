"""Tensors of a file that a user brings, and whether they fit an architecture.

No code in the file is ever run: ``.safetensors`` holds none, and of ``torch.save`` files only
tensors in plain containers are read.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from combsearch.durable import translated_errors
from combsearch.errors import UsageError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_FACTS = "combsearch"  # where our own files say what they are
_NESTED = "state_dict"  # checkpoints that hold more than weights call them so
_PARALLEL = "module."  # what data-parallel training puts before every name

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Weights:
    """Named tensors of a file.

    Attributes:
        path: of the file.
        tensors: by name, as they are stored.
        facts: what the file says of itself, if it is one of ours; else empty.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """The tensors in a ``.safetensors`` file or a state dict that ``torch.save`` wrote.

    Raises:
        UsageError: another ending, no such file, or one that holds something else.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} must end in {', '.join(SUFFIXES)}, as files of weights do")
    with translated_errors(path):
        if not path.is_file():
            raise UsageError(f"there is no file {path}; give one that holds a generator's weights")
        with path.open("rb"):  # so that "permission denied" is told as such
            pass
    try:
        if path.suffix.lower() == ".safetensors":
            return _read_safetensors(path)
        return Weights(path, _state_dict(path, _load_plain(path)), {})
    except UsageError:
        raise
    except Exception as error:  # both libraries raise many kinds on what is no such file
        raise UsageError(
            f"{path} is not a readable file of weights ({type(error).__name__}): it must be"
            " .safetensors, or a state dict of tensors as torch.save writes it, without objects"
        ) from error


def fit(
    weights: Weights, expected: Shapes, ignored: frozenset[str] = frozenset()
) -> dict[str, Tensor]:
    """The expected tensors as float32.

    Args:
        expected: shape of every tensor that must be there.
        ignored: names that may be there besides.

    Raises:
        UsageError: names the first tensor that is missing, has another shape, is not of real
            numbers, or is not finite; then the first that is not expected.
    """
    found = {}
    for name, shape in expected.items():
        tensor = tensor_of(weights, name)
        if tuple(tensor.shape) != tuple(shape):
            raise UsageError(
                f"{weights.path}: {name} has shape {list(tensor.shape)}, expected {list(shape)}"
            )
        if not tensor.dtype.is_floating_point:
            raise UsageError(f"{weights.path}: {name} is {tensor.dtype}, expected real numbers")
        found[name] = tensor.to(torch.float32)
        if not bool(torch.isfinite(found[name]).all()):
            raise UsageError(f"{weights.path}: {name} has numbers that are not finite")
    for name, tensor in weights.tensors.items():
        if name not in expected and name not in ignored:
            raise UsageError(
                f"{weights.path}: {name} {list(tensor.shape)} is unexpected, this architecture has"
                f" no such tensor"
            )
    return found


def tensor_of(weights: Weights, name: str) -> Tensor:
    """The tensor called ``name``.

    Raises:
        UsageError: it is missing.
    """
    if name not in weights.tensors:
        raise UsageError(f"{weights.path}: {name} is missing")
    return weights.tensors[name]


def sizes_of(weights: Weights, name: str, axes: int) -> tuple[int, ...]:
    """The shape of the tensor called ``name``, which tells ``axes`` sizes of an architecture.

    Raises:
        UsageError: it is missing, has another number of axes, or one of length 0.
    """
    shape = tuple(tensor_of(weights, name).shape)
    if len(shape) != axes or min(shape) < 1:
        raise UsageError(
            f"{weights.path}: {name} has shape {list(shape)}, expected {axes} axes, none of them"
            " empty"
        )
    return shape


def _read_safetensors(path: Path) -> Weights:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = (file.metadata() or {}).get(_FACTS)
    facts = json.loads(text) if text is not None else {}
    return Weights(path, tensors, facts if isinstance(facts, dict) else {})


def _load_plain(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old formats of storage
        return torch.load(path, map_location="cpu", weights_only=True)


def _is_dense(tensor: Tensor) -> bool:
    """Whether the file holds all its numbers: a few bytes must not stand for terabytes."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _state_dict(path: Path, held: object) -> dict[str, Tensor]:
    if isinstance(held, Mapping) and isinstance(held.get(_NESTED), Mapping):
        held = held[_NESTED]
    if not isinstance(held, Mapping) or not held:
        found = "nothing" if held == {} else type(held).__name__
        raise UsageError(f"{path} holds {found}, expected a state dict of tensors")
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UsageError(
                f"{path}: entry {name!r} is {type(value).__name__}, expected named tensors only"
            )
        if not _is_dense(value):
            raise UsageError(
                f"{path}: {name} {list(value.shape)} does not hold a number for every place (it is"
                " sparse, repeated or without data)"
            )
    if all(name.startswith(_PARALLEL) for name in held):
        return {name[len(_PARALLEL) :]: tensor for name, tensor in held.items()}
    return dict(held)
