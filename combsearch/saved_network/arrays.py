"""From a network to named arrays and back, whatever file they lie in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch

Named = dict[str, npt.NDArray[Any]]

MAX_BYTES = 2**28  # of all arrays together, unpacked: 67 million float32 numbers
ARRAY = re.compile(r"(?:weight|bias|mask|bias_mask)\d{1,3}")


def network_arrays(nets: NetBatch, index: int) -> Named:
    """The arrays of one MLP: float32 weights and biases, uint8 masks.

    Raises:
        UsageError: the network is no MLP.
    """
    if not isinstance(nets.network, MLP):
        raise UsageError(f"cannot save a {type(nets.network).__name__}, only an MLP")
    one = nets[index : index + 1].numpy()
    named: Named = {name: a[0] for name, a in one.params.items()}
    for name, mask in one.masks.items():
        named[_mask_name(name)] = mask[0].astype(np.uint8)
    return named


def network_of(named: Mapping[str, npt.NDArray[Any]], init_width: int) -> NetBatch:
    """The MLP that ``named`` holds, as a batch of one, momenta 0.

    Without masks a weight is kept when it is not 0 and a bias when its row keeps a weight.

    Raises:
        ValueError, UsageError: the arrays are not those of an MLP.
    """
    shape, params = _params(named)
    masks = _masks(named, params)
    return NetBatch(
        MLP(shape, init_width),
        {name: (p * masks[name])[None] for name, p in params.items()},
        {name: mask[None] for name, mask in masks.items()},
        {name: np.zeros_like(p)[None] for name, p in params.items()},
    )


def _mask_name(param: str) -> str:
    return param.replace("weight", "mask").replace("bias", "bias_mask")


def _params(named: Mapping[str, npt.NDArray[Any]]) -> tuple[NetShape, Arrays]:
    """Shape and parameters (no batch axis); ValueError when they do not fit."""
    layers = sum(name.startswith("weight") for name in named)
    if layers < 2:
        there = ", ".join(sorted(named)) or "none"
        raise ValueError(f"weight0 and weight1 are missing (arrays of a network in it: {there})")
    params: Arrays = {}
    for name in (f"{kind}{layer}" for layer in range(layers) for kind in ("weight", "bias")):
        if name not in named or named[name].dtype.kind not in "fiu":
            raise ValueError(f"{name} is missing or not an array of numbers")
        with np.errstate(over="ignore", invalid="ignore"):
            params[name] = named[name].astype(np.float32)
        axes = 1 + name.startswith("weight")
        if params[name].ndim != axes:
            raise ValueError(f"{name} has {params[name].ndim} axes, expected {axes}")
        if not np.isfinite(params[name]).all():
            raise ValueError(f"{name} has a number that is not finite")
    widths = [len(params[f"bias{layer}"]) for layer in range(layers)]
    shape = NetShape((params["weight0"].shape[1], *widths))
    found = [params[f"weight{layer}"].shape for layer in range(layers)]
    if found != list(shape.layers):
        raise ValueError(f"weights {found} and biases {widths} do not chain")
    return shape, params


def _masks(named: Mapping[str, npt.NDArray[Any]], params: Arrays) -> Arrays:
    """0/1 float32 masks, by default the search's rule; ValueError when they do not fit."""
    masks: Arrays = {}
    for name, param in params.items():
        live = masks[name.replace("bias", "weight")].any(axis=1) if "bias" in name else param != 0
        mask = named.get(_mask_name(name), live)
        if (
            mask.shape != param.shape
            or mask.dtype.kind not in "biuf"
            or ((mask != 0) & (mask != 1)).any()
        ):
            raise ValueError(f"{_mask_name(name)} is not a 0/1 array {param.shape}")
        masks[name] = mask.astype(np.float32)
    return masks
