"""The points of a task for a page: what the drawn networks classify."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.tasks import Task

MOST_NUMBERS = 100_000
"""Inputs of all points together that a page carries; larger tasks are thinned."""


def task_json(task: Task, most: int = MOST_NUMBERS) -> dict[str, Any]:
    """A task as JSON values.

    Returns:
        ``name``, ``inputs``, ``classes``; ``x`` (float32 [n, inputs]) and ``y`` (uint8 [n]) as
        base64 of little-endian bytes, row-major; ``shown`` (n) of ``points``, in their order:
        all, or a choice where they are more than ``most`` numbers.
    """
    places = _chosen(task.points, max(1, most // task.inputs))
    x = np.ascontiguousarray(task.x[places], dtype="<f4")
    y = np.ascontiguousarray(task.y[places], dtype=np.uint8)
    return {
        "name": task.name,
        "inputs": task.inputs,
        "classes": task.classes,
        "points": task.points,
        "shown": len(x),
        "x": encoded(x),
        "y": encoded(y),
    }


def _chosen(points: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many places of points, always the same, ascending.

    Drawn: every second point may be of one class.
    """
    if points <= most:
        return np.arange(points)
    return np.sort(np.random.default_rng(0).choice(points, most, replace=False))


def encoded(array: npt.NDArray[Any]) -> str:
    """The bytes of ``array`` as base64."""
    return base64.b64encode(array.tobytes()).decode()
