"""One network in an .npz file: ``weight0`` [out, in], ``bias0`` [out], ``mask0``, ..."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays, NetBatch


def save_network(path: Path | str, nets: NetBatch, index: int = 0) -> None:
    """Write one MLP of ``nets`` as .npz: weight0 [out, in], bias0 [out], mask0, bias_mask0, ..."""
    if not isinstance(nets.network, MLP):
        raise UsageError(f"cannot save a {type(nets.network).__name__} as .npz, only an MLP")
    one = nets[index : index + 1].numpy()
    arrays: dict[str, Any] = {name: a[0] for name, a in one.params.items()}
    for name, mask in one.masks.items():
        arrays[_mask_name(name)] = mask[0].astype(np.uint8)
    np.savez(path, **arrays)


def _mask_name(param: str) -> str:
    return param.replace("weight", "mask").replace("bias", "bias_mask")


def load_network(path: Path | str, init_width: int = 16) -> NetBatch:
    """The MLP in a .npz file as a batch of one, momenta 0.

    The file holds ``weight0`` [out, in], ``bias0`` [out], ... and, if pruned, ``mask0``,
    ``bias_mask0``, ... Without masks a weight is kept when it is not 0 and a bias when its
    row keeps a weight.

    Raises:
        UsageError: when there is no such file.
        CorruptDataError: when it is not such a network.
    """
    arrays = _read_npz(Path(path))
    try:
        shape, params = _saved_params(arrays)
        masks = _saved_masks(arrays, params)
    except (ValueError, UsageError) as error:
        raise CorruptDataError(f"{path} is not a saved network: {error}") from error
    return NetBatch(
        MLP(shape, init_width),
        {name: (p * masks[name])[None] for name, p in params.items()},
        {name: mask[None] for name, mask in masks.items()},
        {name: np.zeros_like(p)[None] for name, p in params.items()},
    )


def _saved_params(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[NetShape, Arrays]:
    """Shape and parameters (no batch axis) of a saved network; ValueError when they do not fit."""
    layers = sum(name.startswith("weight") for name in arrays)
    if layers < 2:
        raise ValueError(f"no weight0 and weight1 among {sorted(arrays)}")
    params: Arrays = {}
    for name in (f"{kind}{layer}" for layer in range(layers) for kind in ("weight", "bias")):
        if name not in arrays or arrays[name].dtype.kind not in "fiu":
            raise ValueError(f"{name} is missing or not an array of numbers")
        with np.errstate(over="ignore"):
            params[name] = arrays[name].astype(np.float32)
        if (
            params[name].ndim != 1 + name.startswith("weight")
            or not np.isfinite(params[name]).all()
        ):
            raise ValueError(f"{name} has {params[name].ndim} axes or a number that is not finite")
    widths = [len(params[f"bias{layer}"]) for layer in range(layers)]
    shape = NetShape((params["weight0"].shape[1], *widths))
    found = [params[f"weight{layer}"].shape for layer in range(layers)]
    if found != list(shape.layers):
        raise ValueError(f"weights {found} and biases {widths} do not chain")
    return shape, params


def _saved_masks(arrays: Mapping[str, npt.NDArray[Any]], params: Arrays) -> Arrays:
    """0/1 float32 masks of a saved network, by default the search's rule; may raise ValueError."""
    masks: Arrays = {}
    for name, param in params.items():
        live = masks[name.replace("bias", "weight")].any(axis=1) if "bias" in name else param != 0
        mask = arrays.get(_mask_name(name), live)
        if (
            mask.shape != param.shape
            or mask.dtype.kind not in "biuf"
            or ((mask != 0) & (mask != 1)).any()
        ):
            raise ValueError(f"{_mask_name(name)} is not a 0/1 array {param.shape}")
        masks[name] = mask.astype(np.float32)
    return masks


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise UsageError(f"there is no file {path}; it must be a network saved as .npz")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except Exception as error:  # zipfile and numpy raise many kinds on damaged files
        raise CorruptDataError(f"{path} is not a readable .npz file: {error}") from error
