"""Runs that start from given weights: those of a saved network, or its leading block."""

from __future__ import annotations

import hashlib

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch


def network_digest(nets: NetBatch) -> str:
    """sha256 (64 hex characters) of the parameters of ``nets``, their names and shapes."""
    whole = hashlib.sha256()
    for name, array in sorted(nets.params.items()):
        whole.update(f"{name} {array.shape}\n".encode() + array.astype("<f4").tobytes())
    return whole.hexdigest()


def check_initial(initial: NetBatch, shape: NetShape) -> None:
    """Refuse a network that has no leading block of this shape.

    Raises:
        UsageError: naming both shapes.
    """
    assert isinstance(initial.network, MLP)
    wide = initial.network.shape
    fits = len(wide.widths) == len(shape.widths) and all(
        a >= b for a, b in zip(wide.widths, shape.widths, strict=True)
    )
    if not fits or wide.inputs != shape.inputs or wide.outputs != shape.outputs:
        raise UsageError(
            f"init holds a network {wide.to_json()}, the leading block of which is to be"
            f" {shape.to_json()}: it must have as many layers and be as wide"
        )


def with_leading_block(nets: NetBatch, initial: NetBatch) -> NetBatch:
    """``nets`` with the leading block of the first of ``initial``, a wider MLP, masked."""
    params = {}
    for name, mask in nets.masks.items():
        block = tuple(slice(0, size) for size in mask.shape[1:])
        params[name] = initial.params[name][0][block] * mask
    return NetBatch(nets.network, params, nets.masks, nets.momenta)
