"""The Cubist Spiral: two interleaved polylines, one a class.

"Sparsest Models Elude Pruning" (Zhang & Papyan, ICML 2024). Each arm is a
polyline of 17 vertices, so that a small network of ReLUs can follow it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from combsearch.tasks.base import Task, standardised

VERTICES = 17  # of one arm
PUSH = 15.0  # distance of an arm from the centre line: arm a outwards, arm b inwards
POINTS_ASKED = 25_000  # an arm; rounding down in each segment leaves 24,991


def spiral_angles(n: int) -> npt.NDArray[np.float64]:
    """``n`` evenly spaced angles [n] along the spiral, in radians: two turns from 1.4 π."""
    return np.linspace(math.pi, 5 * math.pi, n) + 0.4 * math.pi


def centre_radius(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Radius [n] of the centre line, 10 θ + π, at ``angles`` [n] in radians."""
    return 10 * angles + math.pi


def cubist_spiral() -> Task:
    """49,982 points in 2 columns: arm a (class 0, pushed outwards), then arm b (class 1).

    The points are cast to float32 and then standardised, as in the paper: each
    column has mean 0 and sample standard deviation 1.
    """
    return spiral_task("cubist_spiral", _arm(PUSH), _arm(-PUSH))


def spiral_task(name: str, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> Task:
    """The standardised task whose class 0 is arm ``a`` [n, 2] and class 1 arm ``b`` [m, 2]."""
    y = np.repeat(np.array([0, 1], np.uint8), [len(a), len(b)])
    return Task(name, standardised(np.concatenate([a, b]).astype(np.float32)), y)


def _arm(push: float) -> npt.NDArray[np.float64]:
    """Points [24991, 2] of one arm, segment after segment."""
    angles = spiral_angles(VERTICES)
    radius = centre_radius(angles) + push
    vertices = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    steps = np.diff(vertices, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    counts = (lengths / lengths.sum() * POINTS_ASKED).astype(int)
    segments = zip(vertices[:-1], vertices[1:], counts, strict=True)
    return np.concatenate([_segment(start, end, int(n)) for start, end, n in segments])


def _segment(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], n: int
) -> npt.NDArray[np.float64]:
    """``n`` evenly spaced points [n, 2] from ``end`` back to ``start``, both included."""
    t = np.linspace(0, 1, n)[:, None]
    return t * start + (1 - t) * end
