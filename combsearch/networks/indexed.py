"""Masked networks stored by their kept weights: values and places instead of arrays of zeros.

A layer of m x n weights that keeps k of them has k trainable numbers here, and the optimiser
touches no more. The product of a linear layer is by index as well (``sparse_weight``), a
convolution fills its filters in before it is computed. Networks side by side keep different
weights; the one with the most sets k, others fill up with places that stay 0 under the mask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from combsearch.nets import Arrays, NetBatch, as_tensor
from combsearch.networks.image_network import ImageNetwork
from combsearch.networks.layers import Initial, Source
from combsearch.networks.sparse_weight import INDEX, SparseWeight, index_of, scattered
from combsearch.rng import RunKeys

_PLACES = "places"  # flat places of the weights that a layer keeps, int64 [net, k]
Places = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class IndexedNetwork:
    """An ``ImageNetwork`` whose weights of some layers are stored by their kept entries.

    It is a ``Stateful`` network; index arrays are part of its state, so that networks side by
    side may keep different weights. Parameters have the names of the dense network's.

    Attributes:
        dense: the network with all weights.
        kept: (name, k) of each weight stored so, in order.
    """

    dense: ImageNetwork
    kept: tuple[tuple[str, int], ...]

    @property
    def prunable(self) -> tuple[str, ...]:
        """None: what is stored here is kept; ``expanded`` networks are pruned."""
        return ()

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: self.dense.parameters[name].shape for name, _ in self.kept}

    def init(self, keys: RunKeys) -> Arrays:
        """There are no initial weights without masks: ``indexed`` makes such networks."""
        raise NotImplementedError("networks stored by index are made by indexed(nets)")

    def initial_state(self, count: int) -> Arrays:
        """The dense network's; index arrays come from masks."""
        return self.dense.initial_state(count)

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """See ``Network.apply``."""
        return self.dense.run(self._source(params, state), _source(state), x, training=True)

    def evaluate(self, params: Arrays, state: Arrays, x: torch.Tensor) -> torch.Tensor:
        """See ``Stateful.evaluate``."""
        return self.dense.run(self._source(params, state), _source(state), x, training=False)[0]

    def _source(self, params: Arrays, state: Arrays) -> Source:
        def source(name: str, start: Initial) -> Any:
            shape = self._shapes.get(name)
            if shape is None:
                return params[name]
            if len(shape) == 2:
                index = {part: state[f"{name}.{part}"] for part in INDEX}
                return SparseWeight(params[name], index)
            return scattered(params[name], state[f"{name}.{_PLACES}"], shape)

        return source


def _source(arrays: Arrays) -> Source:
    return lambda name, start: arrays[name]


def kept_places(nets: NetBatch, most: float = 1.0) -> dict[str, npt.NDArray[np.int64]]:
    """Flat places of the kept weights: name -> int64 [net, k], ascending.

    A network that keeps fewer than k fills up with the last place of the array, more than once
    or beside its own; ``indexed`` masks what fills up.

    Args:
        nets: n networks (numpy).
        most: share of a layer's weights above which it is left out, since it is mostly dense.
    """
    found = {}
    for name in nets.network.prunable:
        masks = np.asarray(nets.masks[name]).reshape(len(nets), -1) != 0
        counts = masks.sum(axis=1)
        k = max(1, int(counts.max()))
        if k <= most * masks.shape[1]:
            places = np.full((len(nets), k), masks.shape[1] - 1, np.int64)
            for row, mask, count in zip(places, masks, counts, strict=True):
                row[:count] = np.flatnonzero(mask)
            found[name] = places
    return found


def indexed(nets: NetBatch, places: Places) -> NetBatch:
    """Networks of an ``ImageNetwork`` (numpy), stored by index.

    Args:
        nets: n masked networks.
        places: of their kept weights, see ``kept_places``.
    """
    network = nets.network
    assert isinstance(network, ImageNetwork)
    small = IndexedNetwork(network, tuple((name, p.shape[1]) for name, p in places.items()))
    masks = {
        name: _fill_ins(places[name], a) if name in places else a for name, a in nets.masks.items()
    }

    def own(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if name not in places:
            return array
        # A place that fills up may hold a kept weight, which counts once.
        return np.where(masks[name] != 0, _taken(array, places[name]), np.float32(0))

    kinds = {
        kind: {name: own(name, a) for name, a in getattr(nets, kind).items()}
        for kind in ("params", "momenta")
    }
    return NetBatch(
        small,
        masks=masks,
        state={**nets.state, **_index_state(small, places)},
        adam=_resized(nets.adam, nets.params, own),
        **kinds,
    )


def expanded(nets: NetBatch, like: NetBatch, places: Places) -> NetBatch:
    """The inverse of ``indexed``; momenta of weights that are masked are 0.

    Args:
        nets: networks stored by index, numpy or torch.
        like: the networks that they were made of, whose masks they have.
        places: as they were made with.
    """

    def dense(name: str, array: Any) -> Any:
        if name not in places:
            return array
        shape = like.params[name].shape
        return _filled(array * nets.masks[name], places[name], shape)

    first = next(iter(nets.params.values()))
    on = like if isinstance(first, np.ndarray) else like.to_torch(first.device)
    return dataclasses.replace(
        on,
        params={name: dense(name, a) for name, a in nets.params.items()},
        momenta={name: dense(name, a) for name, a in nets.momenta.items()},
        state={name: nets.state[name] for name in like.state},
        adam=_resized(nets.adam, nets.params, dense),
    )


def _taken(array: npt.NDArray[Any], places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The entries of [net, ...] at places [net, k]."""
    return np.take_along_axis(np.asarray(array).reshape(len(array), -1), places, axis=1)


def _fill_ins(places: npt.NDArray[np.int64], masks: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """1 where a place holds a kept weight, once each: float32 [net, k]."""
    kept = _taken(masks, places) != 0
    kept[:, 1:] &= places[:, 1:] != places[:, :-1]
    return np.asarray(kept, np.float32)


def _filled(values: Any, places: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Any:
    """[net, k] values at places [net, k] of arrays of zeros; what stands twice is added up."""
    if isinstance(values, np.ndarray):
        flat = np.zeros((len(values), int(np.prod(shape[1:]))), values.dtype)
        for row, where, own in zip(flat, places, values, strict=True):
            np.add.at(row, where, own)
        return flat.reshape(shape)
    zeros = values.new_zeros(len(values), int(np.prod(shape[1:])))
    return zeros.scatter_add(1, as_tensor(places, values.device), values).view(tuple(shape))


def _index_state(network: IndexedNetwork, places: Places) -> Arrays:
    """The index arrays of all layers: name -> [net, ...]."""
    found: Arrays = {}
    for name, own in places.items():
        shape = network.dense.parameters[name].shape
        if len(shape) > 2:
            found[f"{name}.{_PLACES}"] = own
            continue
        parts = [index_of(row // shape[1], row % shape[1], (shape[0], shape[1])) for row in own]
        found |= {f"{name}.{part}": np.stack([one[part] for one in parts]) for part in INDEX}
    return found


def _resized(adam: Arrays, params: Arrays, resize: Any) -> Arrays:
    """What Adam carries, its flat squares [net, P] resized tensor by tensor."""
    if not adam:
        return {}
    squares, parts, start = adam["squares"], [], 0
    for name, a in params.items():
        size = int(np.prod(a.shape[1:]))
        part = squares[:, start : start + size].reshape(tuple(a.shape))
        parts.append(resize(name, part).reshape(len(squares), -1))
        start += size
    joined = np.concatenate(parts, 1) if isinstance(squares, np.ndarray) else torch.cat(parts, 1)
    return {**adam, "squares": joined}
