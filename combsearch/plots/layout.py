r"""Where the neurons and lines of a drawn network lie, in inches from the lower left.

A column a layer, a picture a neuron, lines from right sides to left sides:

    x1 [ ]---[ ]--.  [ ]---[     ]
          \/         \/     | out |
          /\         /\     |     |
    x2 [ ]---[ ]--'--[ ]---[     ]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path

from combsearch.plots.style import PAGE

_OUTPUT = 1.35  # side of the output's picture
TOP, FOOT, MARGIN = 0.48, 0.52, 0.28  # above the pictures, below them, left of the title


@dataclass(frozen=True)
class Box:
    """Where a neuron's picture lies: centre and side."""

    x: float
    y: float
    side: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, as imshow takes them."""
        half = self.side / 2
        return self.x - half, self.x + half, self.y - half, self.y + half


Column: TypeAlias = "dict[int, Box]"  # by neuron: those not drawn are absent


def lay_out(
    columns: Sequence[npt.NDArray[np.int64]],
) -> tuple[list[Column], float, float]:
    """A box for every neuron drawn, by layer and neuron, and the figure's width and height."""
    tallest = max(len(neurons) for neurons in columns)
    body = min(max(0.62 * tallest, 2.4), 6.8)
    height = body + TOP + FOOT
    width = max(PAGE, 1.15 * len(columns) + _OUTPUT)
    first, last = MARGIN + 0.5, width - 0.12 - _OUTPUT / 2
    pitch = (last - _OUTPUT / 2 + 0.3 - first) / (len(columns) - 1)
    boxes = []
    for layer, neurons in enumerate(columns):
        is_output = layer == len(columns) - 1
        gap = min(body / max(len(neurons), 1), 0.95)
        side = _OUTPUT if is_output else min(0.84 * gap, 0.66, 0.5 * pitch)
        x = last if is_output else first + pitch * layer
        middle = FOOT + body / 2
        boxes.append(
            {
                int(neuron): Box(x, middle + gap * ((len(neurons) - 1) / 2 - place), side)
                for place, neuron in enumerate(neurons)
            }
        )
    return boxes, width, height


def edge_path(left: Column, into: int, right: Column, out: int) -> Path:
    """From the right side of one picture to the left side of another.

    Lines leave and arrive side by side, in the order of the neurons they lead to.
    """
    start, end = left[into], right[out]
    x0, x1 = start.x + start.side / 2, end.x - end.side / 2
    y0 = start.y + _port(list(right), out, start.side)
    y1 = end.y + _port(list(left), into, end.side)
    bend = 0.45 * (x1 - x0)
    points = [(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
    return Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])


def _port(neurons: Sequence[int], neuron: int, side: float) -> float:
    if len(neurons) == 1:
        return 0.0
    return 0.68 * side * (0.5 - neurons.index(neuron) / (len(neurons) - 1))
