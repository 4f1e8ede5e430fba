"""Direct hill-climbing of accuracy: move a few parameters, keep what is not worse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from combsearch.rng import as_philox_key, mix64, philox4x32
from combsearch.search.beam import FUSED, Scored, scored
from combsearch.search.sparse_nets import F32, SparseNets
from combsearch.tasks.base import Task
from combsearch.trainers import Trainer

_TAG = np.uint64(0x706F6C697368)  # keeps these draws apart from all other uses of a seed
_FEW = (1.5, 4.0, 1e9)  # parameters that a move changes, on average: half, some, the rest
_SIZES = (1e-4, 0.1, 0.5)  # least, first and largest size of a move, of a parameter's own


def polished(
    found: Scored, task: Task, steps: int, seed: int, stream: int, trainer: Trainer = FUSED
) -> Scored:
    """Each network after ``steps`` random moves, of which those that lose points are undone.

    Moves grow after a success and shrink after a failure, network by network.

    Args:
        found: networks and their scores.
        task: every one of its points counts.
        steps: moves.
        seed: run seed.
        stream: different numbers give independent moves.
        trainer: scores.
    """
    nets, correct = found.nets, found.correct.copy()
    params = nets.params.copy()
    size = np.full(len(found), _SIZES[1], np.float32)
    for step in range(steps if len(found) else 0):
        moves = _moves(nets.masks, seed, stream, step) * size[:, None]
        tried = (params + moves * (np.abs(params) + 0.1)).astype(np.float32)
        got = scored(SparseNets(nets.shape, tried, nets.masks), task, trainer).correct
        kept = got >= correct
        params[kept], correct[kept] = tried[kept], got[kept]
        size = np.clip(size * np.where(kept, 1.5, 0.9), _SIZES[0], _SIZES[2]).astype(np.float32)
    return Scored(SparseNets(nets.shape, params, nets.masks), correct)


def _moves(masks: npt.NDArray[np.bool_], seed: int, stream: int, step: int) -> F32:
    """Normal numbers for some kept parameters of each network, else 0: [net, parameter]."""
    count, width = masks.shape
    u = _uniform(seed, stream, step, count, 3 * width + 1)
    radius, angle, chance = (u[:, k * width : (k + 1) * width] for k in range(3))
    normal = np.sqrt(-2 * np.log(radius)) * np.cos(np.float32(2 * np.pi) * angle)
    few = np.select([u[:, -1:] < 0.5, u[:, -1:] < 0.8], _FEW[:2], _FEW[2])
    chosen = masks & (chance * masks.sum(axis=1, keepdims=True) < few)
    return np.where(chosen, normal, 0).astype(np.float32)


def _uniform(seed: int, stream: int, step: int, rows: int, columns: int) -> F32:
    """Uniform numbers in (0, 1) with 24 bits: float32 [row, column]."""
    quads = -(-columns // 4)
    counter = np.zeros((rows, quads, 4), np.uint32)
    counter[..., 0], counter[..., 1] = step, stream
    counter[..., 2], counter[..., 3] = np.arange(rows)[:, None], np.arange(quads)
    key = as_philox_key(mix64(mix64(np.uint64(seed)) ^ _TAG))
    words = philox4x32(counter, key).reshape(rows, -1)[:, :columns]
    # Half a step up, so that 0 is never drawn; the top value still rounds below 1.
    return ((words >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2**-23)
