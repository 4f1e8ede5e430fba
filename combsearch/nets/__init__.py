"""Networks, batches of them, and their accuracy.

A ``Network`` is written for one network; ``torch.func.vmap`` lifts it to thousands. A
``NetBatch`` holds n of them as dictionaries of named arrays with a leading batch axis::

    params["weight1"]   float32 [net, out, in]     params["bias1"]   float32 [net, out]
    masks, momenta      the same names and shapes
    state               what a network carries besides parameters, often nothing
    adam                what Adam carries besides momenta, nothing without it

Arrays are numpy's, or torch's on a device while a trainer or pruner works on them.
torch is imported only where it is needed.
"""

from __future__ import annotations

from combsearch.nets.arrays import Arrays, as_tensor, symmetric
from combsearch.nets.batch import NetBatch
from combsearch.nets.mlp import MLP, flat_arrays, mask_arrays
from combsearch.nets.network import Network, Stateful, evaluate, mean_loss
from combsearch.nets.scores import Scores, score

__all__ = [
    "MLP",
    "Arrays",
    "NetBatch",
    "Network",
    "Scores",
    "Stateful",
    "as_tensor",
    "evaluate",
    "flat_arrays",
    "mask_arrays",
    "mean_loss",
    "score",
    "symmetric",
]
