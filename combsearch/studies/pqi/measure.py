"""PQ index, SAP's bound and Gini index of trained networks: of all weights, and by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.nets import NetBatch
from combsearch.sparsity.magnitudes import Floats
from combsearch.sparsity.pq_index import gini, pq_indices

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Measured:
    """What is known of the kept weights of one network.

    Attributes:
        kept: how many there are.
        pqi: PQ index by pair: float64 [pair].
        retain: SAP's bound of how many must stay, eta 0: float64 [pair].
        gini: Gini index.
        layer_kept: int32 [layer].
        layer_pqi: float64 [layer, pair].
        layer_gini: float64 [layer].
    """

    kept: int
    pqi: Floats
    retain: Floats
    gini: float
    layer_kept: npt.NDArray[np.int32]
    layer_pqi: Floats
    layer_gini: Floats


def measured(nets: NetBatch, pairs: Pairs) -> list[Measured]:
    """The measures of n networks (numpy), one by one.

    Only what the masks keep is looked at, so that pruned networks take little time.
    """
    return [_one(nets, place, pairs) for place in range(len(nets))]


def _one(nets: NetBatch, place: int, pairs: Pairs) -> Measured:
    names = nets.network.prunable
    layers = [_kept(nets.params[name][place], nets.masks[name][place]) for name in names]
    whole = np.concatenate(layers)
    pqi = pq_indices(whole, pairs)
    return Measured(
        kept=len(whole),
        pqi=pqi,
        retain=len(whole) * (1 - pqi) ** np.array([p * q / (q - p) for p, q in pairs]),
        gini=float(gini(whole)) if len(whole) else 0.0,
        layer_kept=np.array([len(layer) for layer in layers], np.int32),
        layer_pqi=np.stack([pq_indices(layer, pairs) for layer in layers]),
        layer_gini=np.array([float(gini(layer)) if len(layer) else 0.0 for layer in layers]),
    )


def _kept(weights: npt.NDArray[Any], mask: npt.NDArray[Any]) -> Floats:
    return np.asarray(weights[mask != 0], np.float64)
