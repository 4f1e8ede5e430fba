"""What a level of the beam is made with: score, drop duplicates, retrain, keep a varied best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.canonical import canonical_form
from combsearch.config import Recipe
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RESTART_BLOCK, RunKeys
from combsearch.search import devices
from combsearch.search.sharing import give_way
from combsearch.search.sparse_nets import Integers, SparseNets, cut_chunks, layers_of
from combsearch.tasks.base import Task
from combsearch.trainers import Trainer
from combsearch.trainers.fused import FusedTrainer

FUSED = FusedTrainer()
"""What trains where nothing else is named; another one here must give the same bits."""

_SCORED, _TRAINED = 128, 16  # networks of one call: cut to the widths that they need
_DENSE = 64  # dense networks of one call, since no signal interrupts it


@dataclass(frozen=True, eq=False)
class Scored:
    """Networks and the points that each gets right, int64 [net]; -1 for one that diverged."""

    nets: SparseNets
    correct: Integers

    def __len__(self) -> int:
        return len(self.correct)

    def __getitem__(self, index: slice | npt.NDArray[Any]) -> Scored:
        return Scored(self.nets[index], self.correct[index])

    def best_first(self) -> Scored:
        """Most points right first, equal ones in their order."""
        return self[np.argsort(-self.correct, kind="stable")]

    @staticmethod
    def concat(parts: Sequence[Scored]) -> Scored:
        """All of ``parts``, one at least, in order."""
        nets = SparseNets.concat([part.nets for part in parts])
        return Scored(nets, np.concatenate([part.correct for part in parts]))


def scored(nets: SparseNets, task: Task, trainer: Trainer = FUSED) -> Scored:
    """``nets`` with the points of ``task`` that they get right."""
    correct = np.zeros(len(nets), np.int64)
    for rows, shape in _chunks(nets, _SCORED, trainer):
        found = trainer.score(nets[rows].resized(shape).batch(), task)
        correct[rows] = np.where(found.diverged, -1, found.correct)
    return Scored(nets, correct)


def dense_start(
    shape: NetShape,
    task: Task,
    recipe: Recipe,
    restarts: int,
    init_width: int,
    seed: int,
    trainer: Trainer = FUSED,
) -> SparseNets:
    """Dense networks trained from random weights; the runs are those of phase one."""
    mask = MaskBatch.dense_of(shape)
    cells = [recipe.cell] * restarts
    keys = RunKeys.make(seed, np.repeat(mask.keys(), restarts), cells, np.arange(restarts))
    parts = []
    size = devices.side_by_side(trainer, shape, _DENSE * shape.parameters, restarts)
    for first in range(0, restarts, size):
        part = keys[slice(first, first + size)]
        nets = NetBatch.create(MLP(shape, init_width), part, mask)
        parts.append(SparseNets.of(trainer.fit(nets, task, recipe, part)))
    return SparseNets.concat(parts)


def trained(
    nets: SparseNets,
    task: Task,
    recipes: Sequence[Recipe],
    seed: int,
    block: int,
    trainer: Trainer = FUSED,
) -> SparseNets:
    """Every network trained on by every recipe: all by the first, all by the second, ...

    Momenta start at 0. All see the minibatches of one ``block`` of restarts.
    """
    params = np.tile(nets.params, (len(recipes), 1))
    lanes = SparseNets(nets.shape, params, np.tile(nets.masks, (len(recipes), 1)))
    for rows, shape in _chunks(lanes, _TRAINED, trainer):
        part = lanes[rows].resized(shape)
        each = [recipes[row // len(nets)] for row in rows]
        zeros = np.zeros(len(rows), np.int64)
        keys = RunKeys.make(seed, zeros, [""] * len(rows), zeros + block * RESTART_BLOCK)
        after = trainer.fit(part.batch(), task, each, keys)
        params[rows] = SparseNets.of(after).resized(nets.shape).params
    return lanes


def retrained(
    before: Scored,
    task: Task,
    recipes: Sequence[Recipe],
    seed: int,
    block: int,
    trainer: Trainer = FUSED,
) -> Scored:
    """Each network as one of ``recipes`` makes it or as it was, whichever is right most often.

    Of equals the trained one is taken: it has the wider margins.
    """
    after = scored(trained(before.nets, task, recipes, seed, block, trainer), task, trainer)
    count = len(before)
    correct = np.concatenate([after.correct, before.correct]).reshape(-1, count)
    params = np.concatenate([after.nets.params, before.nets.params])
    chosen = params[correct.argmax(axis=0) * count + np.arange(count)]
    nets = SparseNets(before.nets.shape, chosen, before.nets.masks)
    return Scored(nets, correct.max(axis=0))


def _chunks(nets: SparseNets, size: int, trainer: Trainer) -> Iterator[tuple[Integers, NetShape]]:
    """Networks for one call, and the shape to give them: of a GPU all that fit, uncut.

    A kernel of a GPU is compiled for one shape; so there is one for all levels.
    """
    chunks = cut_chunks(nets, size)
    if hasattr(trainer, "wave"):
        step = devices.side_by_side(trainer, nets.shape, 0, len(nets))
        rows = np.arange(len(nets))
        chunks = ((rows[at : at + step], nets.shape) for at in range(0, len(nets), step))
    for chunk in chunks:
        give_way()
        yield chunk


def distinct(found: Scored, copies: int) -> Scored:
    """Best first; of networks whose masks are relabellings of each other ``copies`` at most."""
    found = found.best_first()
    if not len(found):
        return found
    return found[_place_in_group(orbits(found.nets)) < copies]


def varied(found: Scored, count: int) -> Scored:
    """``count`` of networks that come best first; one shape of live neurons has a quarter.

    Where that leaves room, the best of the others fill it.
    """
    if len(found) <= count:
        return found
    _, kind = np.unique(found.nets.live(), axis=0, return_inverse=True)
    beyond = _place_in_group(kind.reshape(-1)) >= -(-count // 4)
    return found[np.sort(np.argsort(beyond, kind="stable")[:count])]


def orbits(nets: SparseNets) -> Integers:
    """int64 [net]: equal just where relabelling hidden neurons makes the masks equal."""
    live = [max(1, int(width)) for width in nets.live().max(axis=0)]
    shape = NetShape.from_hidden(live, nets.shape.inputs, nets.shape.outputs)
    kept = layers_of(shape, nets.resized(shape).masks)
    matrices = [weight for weight, _ in kept]
    if any((bias != weight.any(axis=2)).any() for weight, bias in kept):
        shape, matrices = _with_bias_neurons(shape, kept)
    words = canonical_form(MaskBatch.from_dense(shape, matrices)).words
    _, orbit = np.unique(words, axis=0, return_inverse=True)
    return np.asarray(orbit.reshape(-1), np.int64)


def _with_bias_neurons(shape: NetShape, kept: list[tuple[Any, Any]]) -> tuple[NetShape, list[Any]]:
    """Masks in which biases are weights: of an input that is 1 and one more neuron a layer.

    These neurons form a chain from that input. No relabelling can take another neuron for
    one of them, since a neuron that gets nothing but a bias was folded away.
    """
    matrices = []
    for layer, (weight, bias) in enumerate(kept):
        last = layer == len(kept) - 1
        wide = np.zeros((len(weight), weight.shape[1] + (not last), weight.shape[2] + 1), np.bool_)
        wide[:, : weight.shape[1], :-1] = weight
        wide[:, : weight.shape[1], -1] = bias
        if not last:
            wide[:, -1, -1] = True
        matrices.append(wide)
    hidden = [width + 1 for width in shape.hidden]
    return NetShape.from_hidden(hidden, shape.inputs + 1, shape.outputs), matrices


def _place_in_group(group: Integers) -> Integers:
    """int64 [n]: how many earlier entries are equal."""
    order = np.argsort(group, kind="stable")
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.searchsorted(group[order], group[order])
    return place
