"""Points of a task for a page: the numbers themselves, thinned where there are too many."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from combsearch.report.points import encoded, task_json
from combsearch.tasks import Task, load_task


def make_task(points: int, inputs: int = 2, classes: int = 2) -> Task:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(points, inputs)).astype(np.float32)
    return Task("noise", x, rng.integers(0, classes, points).astype(np.uint8), classes=classes)


def arrays(shown: dict[str, Any]) -> tuple[Any, Any]:
    x = np.frombuffer(base64.b64decode(shown["x"]), "<f4").reshape(-1, shown["inputs"])
    return x, np.frombuffer(base64.b64decode(shown["y"]), np.uint8)


@pytest.mark.parametrize(("inputs", "classes"), [(2, 2), (1, 3), (5, 10)])
def test_points_come_back_to_the_bit(inputs: int, classes: int) -> None:
    task = make_task(300, inputs, classes)
    shown = json.loads(json.dumps(task_json(task)))
    x, y = arrays(shown)
    np.testing.assert_array_equal(x, task.x)
    np.testing.assert_array_equal(y, task.y)
    facts = {name: shown[name] for name in ("name", "inputs", "classes", "points", "shown")}
    assert facts == {
        "name": "noise", "inputs": inputs, "classes": classes, "points": 300, "shown": 300,
    }  # fmt: skip


@pytest.mark.parametrize("most", [1, 2, 3, 7, 599, 600, 601, 10_000])
def test_at_most_so_many_numbers_in_the_order_of_the_task(most: int) -> None:
    task = make_task(300)
    shown = task_json(task, most)
    x, y = arrays(shown)
    assert len(x) == len(y) == shown["shown"] == min(300, max(1, most // 2))
    assert shown["points"] == 300 and shown == task_json(task, most)
    places = [int(np.flatnonzero((task.x == row).all(axis=1))[0]) for row in x]
    assert places == sorted(set(places))
    np.testing.assert_array_equal(y, task.y[places])


def test_a_choice_of_points_is_of_all_parts_and_classes() -> None:
    """Also where classes take turns, so that every second point is of one."""
    turns = Task(
        "turns", np.arange(6000, dtype=np.float32)[:, None], (np.arange(6000) % 2).astype(np.uint8)
    )
    x, y = arrays(task_json(turns, 3000))
    assert 0.45 < y.mean() < 0.55
    counts = np.histogram(x, bins=10, range=(0, 6000))[0]
    assert counts.min() > 240 and counts.sum() == 3000


def test_the_spiral_of_the_paper_is_whole() -> None:
    shown = task_json(load_task("cubist_spiral"))
    assert shown["shown"] == shown["points"] == 49982


def test_bytes_are_little_endian_and_row_by_row() -> None:
    assert base64.b64decode(encoded(np.array([[1, 2], [3, 4]], "<f4")))[4:8] == b"\0\0\0\x40"
    swapped = np.asfortranarray(np.array([[1, 2], [3, 4]], "<f4"))
    task = Task("t", swapped, np.array([0, 1], np.uint8), classes=2)
    np.testing.assert_array_equal(arrays(task_json(task))[0], [[1, 2], [3, 4]])
