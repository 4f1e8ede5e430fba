"""A user's own torch module as DCT plus sparse: every linear and convolutional layer replaced.

    small = dct_plus_sparse(model, density=0.01)

``small`` has the layers of ``networks.dct_modules`` in place of ``nn.Linear`` and ``nn.Conv2d``,
their supports drawn at random by an allocation of ``baselines.layer_budgets``, S initially 0.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn
from torch.nn.parameter import UninitializedParameter

from combsearch.baselines.layer_budgets import counts_of
from combsearch.errors import UsageError
from combsearch.networks.dct_modules import (
    DctSparseConv2d,
    DctSparseLinear,
    square,
    whole_padding,
)

_HAVE = (
    "Linear and Conv2d (zeros around it, dilation 1, square kernel, stride and padding) have a form"
    " with the cosine transform"
)
_WAY_OUT = "name what shall stay as it is in keep"
_NORMALISATION = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_TOP = "the module itself"
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class _Options:
    alpha: float
    trainable: bool
    form: str


def dct_plus_sparse(
    module: nn.Module,
    density: float,
    allocation: str = "epl",
    seed: int = 0,
    *,
    alpha: float = 1.0,
    trainable: bool = True,
    form: str = "auto",
    keep: Collection[str] = (),
) -> nn.Module:
    """A copy of ``module`` with DCT plus sparse in place of all its linear and conv layers.

    Weights of the replaced layers are gone: S starts at 0. Biases and all else are copied.

    Args:
        module: any; stays as it is.
        density: share of the replaced weights that all S together keep, above 0 and up to 1,
            spent exactly.
        allocation: how layers share them: ``epl``, ``epf``, ``erk`` or ``uniform``.
        seed: of the random supports.
        alpha: what the factors of the transforms start with.
        trainable: whether they are trained.
        form: of the transforms, see ``dct_modules``.
        keep: paths of layers that stay as they are, with all below them, wherever they stand.

    Raises:
        UsageError: a density out of range or below one weight a layer, no layer to replace, or
            one with weights that has no such form; it is named.
    """
    if isinstance(density, bool) or not 0 < density <= 1:
        raise UsageError(f"density is {density!r}, it must be a share above 0 and up to 1")
    if seed != int(seed) or not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed}, it must be a whole number in 0 to 2**64 - 1")
    layers = _replaced(module, keep)
    shapes = [tuple(layer.weight.shape) for layer in layers.values()]
    counts = _counts(shapes, density, allocation)
    new = copy.deepcopy(module)
    options = _Options(alpha, trainable, form)
    made: dict[int, nn.Module] = {}
    for number, (path, count) in enumerate(zip(layers, counts, strict=True)):
        old = new.get_submodule(path)
        random = np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))
        size = math.prod(shapes[number])
        places = random.choice(size, int(count), replace=False).astype(np.int64)
        made[id(old)] = _layer(old, places, options)
    return made[id(new)] if id(new) in made else _with(new, made)


def _counts(
    shapes: list[tuple[int, ...]], density: float, allocation: str
) -> npt.NDArray[np.int64]:
    """Weights to keep in each layer, int64 [layer]."""
    weights = sum(map(math.prod, shapes))
    budget = round(density * weights)
    if budget < len(shapes):
        least = math.ceil(1e6 * len(shapes) / weights) / 1e6
        raise UsageError(
            f"density {density:g} of {weights:,} weights is a budget of {budget}, less than one"
            f" for each of {len(shapes)} layers; take a density from {least:g} up"
        )
    return counts_of(shapes, budget, allocation)


def _replaced(module: nn.Module, keep: Collection[str]) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers to replace by path, each once, after a look at all the others.

    Raises:
        UsageError: see ``dct_plus_sparse``.
    """
    known = dict(module.named_modules(remove_duplicate=False))
    unknown = sorted(set(keep) - set(known))
    if unknown:
        raise UsageError(f"keep names {', '.join(unknown)}: the module has no such layer")
    kept = {id(layer) for path in keep for layer in known[path].modules()}
    found: dict[str, nn.Linear | nn.Conv2d] = {}
    owners = _owners(module)
    for path, layer in module.named_modules():
        if id(layer) in kept:
            continue
        why = _obstacle(layer)
        if why is not None:
            raise UsageError(f"{_named(path, layer)} {why}; {_HAVE}; {_WAY_OUT}")
        if isinstance(layer, nn.Linear | nn.Conv2d):
            others = {other for p in layer.parameters() for other in owners[id(p)]} - {path}
            if others:
                raise UsageError(
                    f"{_named(path, layer)} shares its weights or bias with"
                    f" {min(others) or _TOP}, which DCT plus sparse cannot; {_WAY_OUT}"
                )
            found[path] = layer
    if not found:
        raise UsageError(f"there is no layer to replace; {_HAVE}")
    return found


def _owners(module: nn.Module) -> dict[int, list[str]]:
    """Paths of the modules that hold each parameter, by its id; a shared module counts once."""
    found: dict[int, list[str]] = {}
    for path, layer in module.named_modules():
        for parameter in layer.parameters(recurse=False):
            found.setdefault(id(parameter), []).append(path)
    return found


def _named(path: str, layer: nn.Module) -> str:
    where = f"layer {path!r}" if path else _TOP
    return f"{where}, of type {type(layer).__name__},"


def _obstacle(layer: nn.Module) -> str | None:
    """Why ``layer`` cannot be replaced though it has weights, or None."""
    # A subclass computes something else with its weight, such as a parametrised one.
    if type(layer) is nn.Linear or type(layer) is nn.Conv2d:
        return _layer_obstacle(layer)
    if isinstance(layer, (*_NORMALISATION, DctSparseLinear, DctSparseConv2d)):
        return None
    for name, parameter in layer.named_parameters(recurse=False):
        if isinstance(parameter, UninitializedParameter):
            return f"has no sizes yet ({name}): pass a batch through the module first"
        if parameter.dim() > 1:
            return f"has weights ({name} {list(parameter.shape)}) but no DCT form"
    if isinstance(layer, nn.Linear | nn.Conv2d):
        return "makes its weights in a way of its own, which has no DCT form"
    return None


def _layer_obstacle(layer: nn.Linear | nn.Conv2d) -> str | None:
    if any(getattr(layer, name) for name in _HOOKS):
        return "has hooks, which would be lost"
    if not {name for name, _ in layer.named_parameters()} <= {"weight", "bias"}:
        return "has parameters besides weight and bias"
    return _conv_obstacle(layer) if isinstance(layer, nn.Conv2d) else None


def _conv_obstacle(layer: nn.Conv2d) -> str | None:
    if layer.padding_mode != "zeros":
        return f"pads with padding_mode {layer.padding_mode!r}"
    if set(layer.dilation) != {1}:
        return f"has dilation {layer.dilation}"
    try:
        size, stride = square("kernel_size", layer.kernel_size), square("stride", layer.stride)
        whole_padding(layer.padding, size, stride)
    except UsageError as error:
        return f"has another form: {error}"
    return None


def _layer(old: nn.Module, places: npt.NDArray[np.int64], options: _Options) -> nn.Module:
    """The layer in place of ``old``, its S 0 at flat ``places`` of the weight."""
    assert isinstance(old, nn.Linear | nn.Conv2d)
    weight, bias = old.weight, old.bias
    rows, columns = np.divmod(places, math.prod(weight.shape[1:]))
    shared: dict[str, Any] = {
        "rows": rows, "columns": columns, "bias": bias is not None, "alpha": options.alpha,
        "trainable": options.trainable, "form": options.form, "device": weight.device,
        "dtype": weight.dtype,
    }  # fmt: skip
    new: DctSparseLinear | DctSparseConv2d
    if isinstance(old, nn.Linear):
        new = DctSparseLinear(old.in_features, old.out_features, **shared)
    else:
        own: dict[str, Any] = {
            name: getattr(old, name) for name in ("kernel_size", "stride", "padding", "groups")
        }
        new = DctSparseConv2d(old.in_channels, old.out_channels, **own, **shared)
    if bias is not None:
        new.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return new.train(old.training)


def _with(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    """``module`` with its layers replaced wherever they stand, more than once perhaps."""
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if id(child) in made:
                setattr(parent, name, made[id(child)])
    return module
