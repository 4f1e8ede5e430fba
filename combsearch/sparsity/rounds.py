"""One round of pruning for many networks at once: the smallest magnitudes go, so many a vector.

The scope says what a vector is ("Pruning Deep Neural Networks from a Sparsity Perspective",
ICLR 2023, its ablation of scopes). Weights are tensors [net, out, in, ...]; they are taken
apart into blocks [net, vector, entry]::

    global   all tensors of a network       one block  [net, 1, all entries]
    layer    a tensor                       a block each [net, 1, out x in x ...]
    neuron   an output row, or a filter     a block each [net, out, in x ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.registry import nearest
from combsearch.sparsity.rules import Bits, Integers, Rule

SCOPES = ("global", "layer", "neuron")

Blocks = list[npt.NDArray[Any]]


def prune_round(
    weights: Mapping[str, npt.NDArray[Any]],
    masks: Mapping[str, npt.NDArray[Any]],
    names: Sequence[str],
    rule: Rule,
    scope: str = "global",
    down_to: npt.ArrayLike | None = None,
) -> dict[str, Bits]:
    """The masks after one round.

    Of entries of one size the first stay; NaN counts as smallest.

    Args:
        weights: name -> [net, out, ...], at least the tensors of ``names``.
        masks: what is left of them: name -> the same shape, 0 for what is gone.
        names: of the prunable tensors, in the order in which their entries are counted.
        rule: how many entries of each vector go.
        scope: what a vector is, one of ``SCOPES``.
        down_to: entries to end at, int [net] or one for all; None where rounds go on for
            good. A round that would go lower takes from each vector the same share of what
            it would; where ``rule`` takes nothing more, the rest goes at once, from each
            vector the same share of what is left of it.

    Returns:
        Name -> bool, the shape of its weights.

    Raises:
        UsageError: no such scope, no names, or masks or ``down_to`` that do not fit.
    """
    check_scope(scope)
    _check_tensors(weights, masks, names)
    blocks = _blocks([np.asarray(weights[name]) for name in names], scope)
    kept = _blocks([np.asarray(masks[name]) != 0 for name in names], scope)
    parts = [rule.counts(block, bits) for block, bits in zip(blocks, kept, strict=True)]
    if down_to is not None:
        parts = _ending_at(parts, kept, down_to)
    left = [
        largest(block, bits, bits.sum(axis=-1) - part)
        for block, bits, part in zip(blocks, kept, parts, strict=True)
    ]
    return _tensors(left, {name: np.shape(weights[name]) for name in names}, scope)


def largest(weights: npt.NDArray[Any], kept: Bits, keep: Integers) -> Bits:
    """bool [..., d]: the ``keep`` [...] largest magnitudes of each vector among its ``kept``.

    Args:
        weights: [..., d].
        kept: [..., d]; what is not kept does not come back.
        keep: how many stay, at most as many as are kept.
    """
    sizes = np.abs(weights)
    order = np.argsort(
        -np.where(kept, np.where(np.isnan(sizes), -1, sizes), -2), axis=-1, kind="stable"
    )
    found = np.zeros(kept.shape, np.bool_)
    staying = np.arange(kept.shape[-1]) < np.asarray(keep)[..., None]
    np.put_along_axis(found, order, staying, axis=-1)
    return found


def shared_out(counts: Integers, total: Integers) -> Integers:
    """``total`` [net] shared out in proportion to ``counts`` [net, vector], never above them.

    Rounded down, then one more where the largest remainders are, ties by place. A total as
    large as the sum of the counts leaves them as they are.
    """
    whole = counts.sum(axis=1, keepdims=True)
    wanted = np.minimum(total[:, None], whole)
    shares, remainders = np.divmod(counts * wanted, np.maximum(whole, 1))
    missing = wanted - shares.sum(axis=1, keepdims=True)
    order = np.argsort(-remainders, axis=1, kind="stable")
    more = np.zeros_like(shares)
    np.put_along_axis(more, order, np.arange(counts.shape[1]) < missing, axis=1)
    return np.asarray(shares + more, np.int64)


def check_scope(scope: str) -> None:
    """UsageError unless ``scope`` is one of ``SCOPES``."""
    if scope not in SCOPES:
        raise UsageError(
            f"unknown scope {scope!r}{nearest(scope, SCOPES)} (known: {', '.join(SCOPES)})"
        )


def _check_tensors(
    weights: Mapping[str, npt.NDArray[Any]],
    masks: Mapping[str, npt.NDArray[Any]],
    names: Sequence[str],
) -> None:
    if not names:
        raise UsageError("names is empty, it must name the tensors that a round may prune")
    for name in names:
        shapes = [np.shape(arrays[name]) if name in arrays else None for arrays in (weights, masks)]
        if shapes[0] is None or shapes[0] != shapes[1] or len(shapes[0]) < 2:
            raise UsageError(
                f"weights of {name!r} have shape {shapes[0]}, their mask {shapes[1]}: both must"
                " be there and [net, out, ...]"
            )


def _blocks(tensors: Blocks, scope: str) -> Blocks:
    """Tensors [net, out, ...] as blocks [net, vector, entry] (module docstring)."""
    if scope == "neuron":
        return [tensor.reshape(*tensor.shape[:2], -1) for tensor in tensors]
    flat = [tensor.reshape(len(tensor), 1, -1) for tensor in tensors]
    return [np.concatenate(flat, axis=2)] if scope == "global" else flat


def _tensors(blocks: Blocks, shapes: Mapping[str, tuple[int, ...]], scope: str) -> dict[str, Bits]:
    """The inverse of ``_blocks``, by name."""
    if scope == "global":
        sizes = [int(np.prod(shape[1:])) for shape in shapes.values()]
        blocks = np.split(blocks[0], np.cumsum(sizes)[:-1], axis=2)
    pairs = zip(shapes.items(), blocks, strict=True)
    return {name: block.reshape(shape) for (name, shape), block in pairs}


def _ending_at(parts: list[Integers], kept: Blocks, down_to: npt.ArrayLike) -> list[Integers]:
    """``parts`` [net, vector] of each block such that no network ends below ``down_to``."""
    counts = np.concatenate(parts, axis=1)
    left = np.concatenate([bits.sum(axis=-1) for bits in kept], axis=1)
    goal = np.asarray(down_to)
    if goal.dtype.kind not in "iu" or goal.shape not in ((), (len(left),)) or (goal < 0).any():
        raise UsageError(
            f"down_to is {down_to!r}, it must be a whole number of entries, 0 or more, for each"
            f" of {len(left)} networks, or one for all"
        )
    surplus = np.maximum(left.sum(axis=1) - goal, 0)
    stuck = counts.sum(axis=1) == 0
    counts = shared_out(np.where(stuck[:, None], left, counts), surplus)
    return np.split(counts, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)
