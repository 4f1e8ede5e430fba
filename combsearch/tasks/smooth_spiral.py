"""The smooth spiral: the Cubist Spiral before its arms are cut into straight pieces.

The paper shows it (figure 2) and gives no formula of its own, so these are this
project's choices, all taken over from the Cubist Spiral:

* the centre line is r = 10 θ + π with θ running continuously over the same two
  turns, 1.4 π to 5.4 π;
* the arms are pushed out and in by 15 along the radius. The polylines' vertices
  lie on these very curves;
* an arm has as many points as a Cubist arm, 24,991, both ends included, evenly
  spaced by arc length: the density along an arm is constant there too;
* float32, then each column standardised (mean 0, sample standard deviation 1).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from combsearch.tasks.base import Task
from combsearch.tasks.cubist_spiral import PUSH, centre_radius, spiral_angles, spiral_task

POINTS_AN_ARM = 24_991
SLOPE = 10.0  # dr/dθ of the centre line, and so of both arms
NEWTON_STEPS = 5  # one more than it takes to reach the last bits of float64


def smooth_spiral() -> Task:
    """49,982 points in 2 columns: arm a (class 0, pushed outwards), then arm b (class 1)."""
    return spiral_task("smooth_spiral", _arm(PUSH), _arm(-PUSH))


def _arm(push: float) -> npt.NDArray[np.float64]:
    """Points [24991, 2] of one arm, evenly spaced by arc length."""
    first, last = centre_radius(spiral_angles(2)) + push
    wanted = np.linspace(_arc_length(first), _arc_length(last), POINTS_AN_ARM)
    radius = np.sqrt(2 * SLOPE * wanted)  # the arc length is about r² / (2 · slope)
    for _ in range(NEWTON_STEPS):
        radius -= (_arc_length(radius) - wanted) * SLOPE / np.hypot(radius, SLOPE)
    angles = (radius - push - math.pi) / SLOPE
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _arc_length(radius: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Length of r = slope · θ from the origin out to ``radius``: ∫ √(r² + slope²) dr / slope."""
    return radius * np.hypot(radius, SLOPE) / (2 * SLOPE) + SLOPE / 2 * np.arcsinh(radius / SLOPE)
