"""Toy tasks of 4,096 points in two columns, 2,048 points a class, classes well apart.

Each is the same on every machine and for ever: the draws are the raw 64-bit
words of a Philox generator, whose stream numpy keeps, turned into uniforms
here, because numpy may change its own methods. Columns are standardised.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from combsearch.tasks.base import Task, standardised

POINTS = 4_096
SEED = 20_240_721
CELLS = 4  # of the checkerboard, along one side


def xor() -> Task:
    """Class 1 where the two inputs differ in sign; no input within 0.1 of 0 before scaling."""
    quadrant = np.arange(POINTS) % 4
    signs = np.stack([1 - 2 * (quadrant % 2), 1 - 2 * (quadrant // 2)], axis=1)
    points = signs * (0.1 + 0.9 * _uniform(0, 2))
    return _task("xor", points, signs[:, 0] != signs[:, 1])


def circles() -> Task:
    """Class 1 is a ring of radius 0.5 inside class 0, a ring of radius 1; both ± 0.1."""
    u = _uniform(1, 2)
    inner = np.arange(POINTS) % 2 == 1
    radius = np.where(inner, 0.5, 1.0) + 0.1 * (2 * u[:, 0] - 1)
    return _task("circles", _polar(radius, 2 * math.pi * u[:, 1]), inner)


def moons() -> Task:
    """Two half circles of radius 1 that reach into each other; each coordinate ± 0.1.

    Class 0 is the upper half circle around (0, 0), class 1 the lower one around (1, 0.5).
    """
    u = _uniform(2, 3)
    lower = np.arange(POINTS) % 2 == 1
    arc = _polar(np.ones(POINTS), math.pi * u[:, 0])
    points = np.where(lower[:, None], [1, 0.5] - arc, arc) + 0.1 * (2 * u[:, 1:] - 1)
    return _task("moons", points, lower)


def checkerboard() -> Task:
    """4 × 4 cells, neighbours of different class, a margin of a tenth of a cell inside each."""
    cell = np.arange(POINTS) % CELLS**2
    corner = np.stack([cell % CELLS, cell // CELLS], axis=1)
    points = corner + 0.1 + 0.8 * _uniform(3, 2)
    return _task("checkerboard", points, corner.sum(axis=1) % 2 == 1)


def _uniform(stream: int, columns: int) -> npt.NDArray[np.float64]:
    """Draws [POINTS, columns] in [0, 1) with 53 bits; another ``stream``, other draws."""
    words = np.random.Philox(key=SEED + stream).random_raw(POINTS * columns)
    top = (words >> np.uint64(11)).astype(np.float64)
    return top.reshape(POINTS, columns) * 2.0**-53


def _polar(
    radius: npt.NDArray[np.float64], angle: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Points [n, 2] at ``radius`` [n] and ``angle`` [n] in radians."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _task(name: str, points: npt.NDArray[np.float64], is_one: npt.NDArray[np.bool_]) -> Task:
    return Task(name, standardised(points), is_one.astype(np.uint8))
