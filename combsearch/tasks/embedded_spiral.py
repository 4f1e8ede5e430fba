"""The Cubist Spiral in more inputs: data whose sparsest network by dimension can be known.

Points, their order and their labels are those of ``cubist_spiral``; only the columns differ.
D is the number of inputs, 2 to 16 (what the compiled trainers take):

``spiral_linear_D``
    x' = x Mᵀ with M [D, 2] of standard normals: a plane in D dimensions. Any two columns
    determine the point, so a network that may leave inputs unused can do with two, and each
    column is one more direction that a neuron gets for a single weight.
``spiral_distractors_D``
    The two columns of the spiral, then D - 2 columns of N(0, 1) noise that are independent of
    the label. The sparsest network ignores the noise: its size should not depend on D.
``spiral_both_D``
    The columns with distractors, times a random orthogonal matrix [D, D]. Each spiral
    coordinate is then a sum over all D columns, so no choice of fewer determines the point
    (at a target below 1 a network may still leave out columns that matter little).

Row i of M and noise column i depend on i alone. So with ``linear`` and ``distractors`` D + 1
inputs are those of D and one column more, and where networks may leave inputs unused the
sparsest size never rises with D. The orthogonal matrix is drawn anew for every D. With
``linear`` and ``both``, D = 2 is the spiral under a linear map of the plane; with
``distractors`` it is the Cubist Spiral itself.
"""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.rng import text_key
from combsearch.tasks.base import Task, standardised
from combsearch.tasks.cubist_spiral import cubist_spiral

KINDS = ("linear", "distractors", "both")
FEWEST, MOST = 2, 16
SEED = 0

Floats = npt.NDArray[np.float64]


def named_spiral(name: str) -> Task | None:
    """The task that ``name`` means, such as ``spiral_linear_3``; None for another name.

    Raises:
        UsageError: D is out of range.
    """
    found = re.fullmatch(rf"spiral_({'|'.join(KINDS)})_(0|[1-9]\d*)", name, re.ASCII)
    return embedded_spiral(found[1], int(found[2])) if found else None


def embedded_spiral(kind: str, dimension: int) -> Task:
    """49,982 points in ``dimension`` columns, each with mean 0 and standard deviation 1.

    Args:
        kind: one of ``KINDS``, see the module.
        dimension: D, 2 to 16.

    Raises:
        UsageError: ``kind`` or ``dimension`` is none of these.
    """
    if kind not in KINDS:
        raise UsageError(f"embedding {kind!r} is none of {', '.join(KINDS)}")
    name = f"spiral_{kind}_{dimension}"
    if not FEWEST <= dimension <= MOST:
        raise UsageError(
            f"task {name!r}: the Cubist Spiral is embedded in {FEWEST} to {MOST} dimensions, not"
            f" {dimension}; take one such as spiral_{kind}_{min(max(dimension, FEWEST), MOST)}"
        )
    spiral = cubist_spiral()
    if kind == "linear":
        matrix = np.stack([_normals("linear", row, 2) for row in range(dimension)])
        x = standardised(_combined(spiral.x, matrix))
    else:
        noise = [_normals("distractor", c, spiral.points) for c in range(dimension - 2)]
        x = np.column_stack([spiral.x, *(standardised(one[:, None]) for one in noise)])
        if kind == "both":
            x = standardised(_combined(x, _orthogonal(dimension)))
    return Task(name, x, spiral.y)


def _combined(points: npt.NDArray[np.float32], matrix: Floats) -> Floats:
    """``points`` [n, in] times the transposed ``matrix`` [out, in], in float64.

    Sum by sum in a fixed order: the same bits whatever a machine's matrix product does.
    """
    wide = points.astype(np.float64)
    columns = []
    for row in matrix:
        column = wide[:, 0] * row[0]
        for weight, values in zip(row[1:], wide.T[1:], strict=True):
            column = column + weight * values
        columns.append(column)
    return np.stack(columns, axis=1)


def _orthogonal(size: int) -> Floats:
    """A random orthogonal matrix [size, size], Haar distributed.

    Rows of normals made orthonormal one after the other: the QR decomposition whose R has a
    positive diagonal (Mezzadri 2007, "How to generate random matrices from the classical
    compact groups"). Each is made orthogonal twice, which reaches the last bits.
    """
    rows: list[Floats] = []
    for number in range(size):
        row = _normals(f"rotation {size}", number, size)
        for other in (*rows, *rows):
            row = row - math.fsum(row * other) * other
        rows.append(row / math.sqrt(math.fsum(row * row)))
    return np.stack(rows)


def _normals(stream: str, number: int, count: int) -> Floats:
    """Standard normals [count] that depend on ``stream`` and ``number`` alone (Box and Muller).

    From raw words of a Philox generator, whose stream numpy keeps, as in ``toys``.
    """
    key = np.array([text_key(f"embedded spiral {stream} {SEED}"), number], np.uint64)
    words = np.random.Philox(key=key).random_raw(2 * -(-count // 2))
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(uniform[::2])), 2 * math.pi * uniform[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count]
