"""The rank of any mask among the orbits: its points, relabelled part by part."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.paths import Ints, Words
from combsearch.enumeration.pivots import PointClass, PointLayer
from combsearch.enumeration.points import OrbitPaths
from combsearch.kernels import orbits as kernel


def rank_orbits(
    orbits: OrbitPaths, words: Words, weights: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """int64 [mask]: the rank of each mask's orbit among those of its weight; -1 for none.

    Args:
        orbits: of the masks' shape.
        words: uint64 [mask, word], any masks.
        weights: int32 [mask], the weights that each keeps.
    """
    ranks = np.full(len(words), -1, np.int64)
    paths, layers = orbits.paths, _layers(orbits)
    fits = np.flatnonzero(weights < paths.counts.shape[1])
    found = np.empty(len(fits), np.int64)
    members = orbits.subgroups.members
    kernel.rank_points(
        paths.start, paths.target, paths.step, paths.words, paths.counts,
        orbits.groups,
        np.array([0, *itertools.accumulate(map(len, members))]),
        np.concatenate(members),
        orbits.subgroups.elements,
        np.array([_fields(layer) for layer in layers], np.int64),
        np.repeat(np.arange(len(layers)), [layer.points for layer in layers]),
        np.concatenate([np.arange(layer.points) for layer in layers]),
        _parts(orbits, layers),
        np.ascontiguousarray(words[fits]), weights[fits], found,
    )  # fmt: skip
    ranks[fits] = found
    return ranks


def _layers(orbits: OrbitPaths) -> list[PointLayer]:
    """The points layers in the order in which they are placed."""
    return list(dict.fromkeys(part.layer for part in orbits.parts))


def _fields(layer: PointLayer) -> list[list[int]]:
    rows = [[f.first, f.width, f.base, f.across, f.along] for f in layer.fields]
    return [*rows, [0] * 5][:2]


def _parts(orbits: OrbitPaths, layers: list[PointLayer]) -> Ints:
    """int64 [part, 9], as ``kernels.orbits.rank_points`` reads it."""
    starts = [0, *itertools.accumulate(layer.points for layer in layers)]
    rows = []
    for part in orbits.parts:
        layer = layers.index(part.layer)
        first = starts[layer] + part.first
        tests = _tests(part.layer, part.points)
        rows.append([*tests, layer, first, first + part.turn])
    return np.array(rows, np.int64)


def _tests(layer: PointLayer, points: PointClass) -> list[int]:
    """What tells the points of a class from the layer's other points, as six numbers."""
    code = int(points.codes[0])
    fixed, counted = 0, []
    for field, weight in zip(layer.fields, points.weights, strict=True):
        bits = (1 << field.width) - 1 << field.first
        if field.free:
            counted += [bits, weight]
        else:
            fixed |= bits
    return [fixed, code & fixed, *counted, 0, 0, 0, 0][:6]
