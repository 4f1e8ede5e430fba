"""Where one form of a layer of DCT plus sparse becomes the faster one, from points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def crossovers(
    transform: Sequence[dict[str, Any]],
    sparse: Sequence[dict[str, Any]],
    steps: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Where the second form takes as long as the first.

    Returns:
        ``transform``: size of square layers from which the fast form is faster; ``sparse``: by
        ``"inputs x outputs"``, the density up to which the index is; ``steps``: the same of
        training. None where no measured point is on the other side.
    """
    square = [p for p in transform if p["inputs"] == p["outputs"]]
    sizes = [p["inputs"] for p in square]
    by_size: dict[str, list[dict[str, Any]]] = {}
    for p in sparse:
        by_size.setdefault(f"{p['inputs']} x {p['outputs']}", []).append(p)
    return {
        "transform": crossing(sizes, [p["ratio"] for p in square]),
        "sparse": {name: _up_to(own) for name, own in by_size.items()},
        "steps": _up_to(steps),
    }


def _up_to(points: Sequence[dict[str, Any]]) -> float | None:
    return crossing([p["density"] for p in points], [1 / p["ratio"] for p in points])


def crossing(x: Sequence[float], ratio: Sequence[float]) -> float | None:
    """The x from which on ``ratio`` stays below 1, between points straight in logarithms.

    None where the last is not below 1; the first x where all are.
    """
    if not ratio or ratio[-1] >= 1:
        return None
    above = [i for i, one in enumerate(ratio) if one >= 1]
    if not above:
        return float(x[0])
    i = above[-1]
    here, there = math.log(ratio[i]), math.log(ratio[i + 1])
    share = here / (here - there)
    return float(x[i] * (x[i + 1] / x[i]) ** share)
