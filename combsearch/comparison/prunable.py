"""What can still be pruned from a trained network without its falling under a target.

First everything that the output cannot depend on goes: disconnected parameters, and neurons
whose value is the same at every point, which move into the biases that they feed. Then, one
after another, the weight whose removal leaves the best accuracy on the task's points, until
the next one would fall under the target. Nothing is trained again and no bias is adjusted;
a neuron that loses its last input or output goes with its bias, as in the search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.connectivity import biases_kept, compact
from combsearch.nets import NetBatch
from combsearch.search.sparse_nets import SparseNets, cut_chunks, tidied
from combsearch.tasks.base import Task
from combsearch.trainers import get_trainer

_SCORED = 128  # networks scored in one call, cut to the widths that they need


@dataclass(frozen=True, eq=False)
class Prunable:
    """What the deletions left.

    Attributes:
        nonzeros: weights and biases of the smallest network that still reaches the target.
        accuracy: of that network.
        connected: nonzeros before the first weight was deleted.
        nets: that network, a batch of one.
    """

    nonzeros: int
    accuracy: float
    connected: int
    nets: NetBatch


def prunable(nets: NetBatch, task: Task, target: float, index: int = 0) -> Prunable | None:
    """Delete greedily from one MLP of ``nets`` (module docstring); None if it is under the target.

    Args:
        nets: MLPs.
        task: whose training points count.
        target: accuracy in (0, 1] to keep.
        index: which of the networks.

    Raises:
        UsageError: the networks are not MLPs.
    """
    one = compact(nets, index)
    # Where a bias was pruned, a constant neuron cannot move into it: one may come back.
    free = not bool(biases_kept(one)[0])
    best, _ = tidied(SparseNets.of(one), free)
    accuracy, connected = float(_accuracy(best, task)[0]), int(best.nonzeros()[0])
    if accuracy < target:
        return None
    while True:
        smaller = _one_weight_less(best, free)
        scores = _accuracy(smaller, task)
        if not len(scores) or scores.max() < target:
            return Prunable(int(best.nonzeros()[0]), accuracy, connected, best.batch())
        # Of equally accurate ones that with the fewest nonzeros, then the first.
        chosen = int(np.lexsort((smaller.nonzeros(), -scores))[0])
        best, accuracy = smaller[chosen : chosen + 1], float(scores[chosen])


def _one_weight_less(nets: SparseNets, prune_biases: bool) -> SparseNets:
    """Every network that one deleted weight makes of ``nets`` (one network), in flat order."""
    kept = np.flatnonzero(nets.masks[0])
    copies = SparseNets(nets.shape, nets.params[[0] * len(kept)], nets.masks[[0] * len(kept)])
    each = np.arange(len(kept))
    copies.params[each, kept], copies.masks[each, kept] = 0, False
    weights = ~_is_bias(nets)[kept]
    smaller, alive = tidied(copies[weights], prune_biases)
    return smaller[alive]


def _is_bias(nets: SparseNets) -> npt.NDArray[np.bool_]:
    """bool [parameter]: places of biases in the flat layout."""
    parts = [[False] * (rows * cols) + [True] * rows for rows, cols in nets.shape.layers]
    return np.array([place for part in parts for place in part], np.bool_)


def _accuracy(nets: SparseNets, task: Task) -> npt.NDArray[np.float64]:
    """float64 [net]: share of the points of ``task`` classified right; 0 of one that diverged."""
    accuracy = np.zeros(len(nets))
    for rows, shape in cut_chunks(nets, _SCORED):
        found = get_trainer("auto").score(nets[rows].resized(shape).batch(), task)
        accuracy[rows] = np.where(found.diverged, 0.0, found.accuracy)
    return accuracy
