"""Networks for a page: only what their masks keep, so that hundreds fit into one."""

from __future__ import annotations

from typing import Any

import numpy as np

from combsearch.errors import UsageError
from combsearch.nets import MLP, NetBatch

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
    widths = list(nets.network.shape.widths)
    weights, biases = [], []
    for layer in range(len(widths) - 1):
        mask, value = one.masks[f"weight{layer}"][0], one.params[f"weight{layer}"][0]
        rows, columns = np.nonzero(mask)
        weights.append([rows.tolist(), columns.tolist(), _digits(value[rows, columns])])
        mask, value = one.masks[f"bias{layer}"][0], one.params[f"bias{layer}"][0]
        (rows,) = np.nonzero(mask)
        biases.append([rows.tolist(), _digits(value[rows])])
    network = {"widths": widths, "weights": weights, "biases": biases}
    return _narrow(network) if max(widths) > WIDEST else network


def _digits(values: Any) -> list[float]:
    """Float32 numbers as the shortest decimals that give them back: 0.1 and not 0.10000000149."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _narrow(network: dict[str, Any]) -> dict[str, Any]:
    """The same without hidden neurons that nothing is kept of."""
    widths, weights, biases = network["widths"], network["weights"], network["biases"]
    kept: list[list[int]] = [list(range(widths[0]))]
    for layer in range(1, len(widths) - 1):
        rows, columns, own = weights[layer - 1][0], weights[layer][1], biases[layer - 1][0]
        kept.append(sorted({*rows, *columns, *own}))
    kept.append(list(range(widths[-1])))
    if max(map(len, kept)) > WIDEST:
        raise UsageError(
            f"the network keeps {max(map(len, kept))} neurons of a layer, and a page draws at most"
            f" {WIDEST}; prune it, or fold it with combsearch.connectivity.compact"
        )
    place = [{neuron: at for at, neuron in enumerate(own)} for own in kept]
    for layer in range(len(weights)):
        rows, columns, _ = weights[layer]
        weights[layer][0] = [place[layer + 1][row] for row in rows]
        weights[layer][1] = [place[layer][column] for column in columns]
        biases[layer][0] = [place[layer + 1][row] for row in biases[layer][0]]
    return {"widths": list(map(len, kept)), "weights": weights, "biases": biases}
