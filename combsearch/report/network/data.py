"""Networks for a page: only what their masks keep, so that hundreds fit into one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.nets import MLP, Arrays, NetBatch

WIDEST = 64
"""Neurons of a layer that a page draws; wider layers lose the neurons that nothing is kept of."""


def network_json(nets: NetBatch, index: int = 0) -> dict[str, Any]:
    """One MLP of ``nets`` as JSON values.

    Returns:
        ``widths`` with inputs and outputs; for each layer ``weights`` ``[row, column, value]``
        and ``biases`` ``[row, value]``, three and two lists of equal length that hold what the
        masks keep. Values are float32, written with as many digits as tell them apart.

    Raises:
        UsageError: a layer keeps parts of more than ``WIDEST`` neurons, or ``nets`` are no MLPs.
    """
    if not isinstance(nets.network, MLP):
        raise UsageError(f"a page shows an MLP, not a {type(nets.network).__name__}")
    one = nets[index : index + 1].numpy()
    drawn = _drawn(one.masks, nets.network.shape.widths)
    weights, biases = [], []
    for layer, (columns, rows) in enumerate(itertools.pairwise(drawn)):
        own = np.ix_(rows, columns)
        mask, value = (part[f"weight{layer}"][0][own] for part in (one.masks, one.params))
        kept = np.nonzero(mask)
        weights.append([*(places.tolist() for places in kept), _digits(value[kept])])
        mask, value = (part[f"bias{layer}"][0][rows] for part in (one.masks, one.params))
        kept = np.nonzero(mask)
        biases.append([kept[0].tolist(), _digits(value[kept])])
    return {"widths": [len(neurons) for neurons in drawn], "weights": weights, "biases": biases}


def _digits(values: Any) -> list[float]:
    """Float32 numbers as the shortest decimals that give them back: 0.1 and not 0.10000000149."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _drawn(masks: Arrays, widths: Sequence[int]) -> list[npt.NDArray[np.intp]]:
    """Neurons of every layer that are drawn: all, of wide networks those that keep something."""
    drawn = [np.arange(width) for width in widths]
    if max(widths) > WIDEST:
        for layer in range(1, len(widths) - 1):
            before, behind = masks[f"weight{layer - 1}"][0], masks[f"weight{layer}"][0]
            own = masks[f"bias{layer - 1}"][0] != 0
            drawn[layer] = np.flatnonzero(before.any(axis=1) | own | behind.any(axis=0))
    most = max(map(len, drawn))
    if most > WIDEST:
        raise UsageError(
            f"the network keeps {most} neurons of a layer, and a page draws at most {WIDEST};"
            " prune it, or fold it with combsearch.connectivity.compact"
        )
    return drawn
