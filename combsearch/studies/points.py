"""Which points of a task a study trains on, and which it holds out."""

from __future__ import annotations

import dataclasses

from combsearch.errors import UsageError
from combsearch.tasks import Task


def first_points(task: Task, points: int) -> Task:
    """``task`` with its first ``points`` training points; 0 takes all.

    Raises:
        UsageError: it has fewer.
    """
    if points > task.points:
        raise UsageError(f"points is {points}, task {task.name!r} has {task.points}")
    if not points or points == task.points:
        return task
    return dataclasses.replace(task, x=task.x[:points], y=task.y[:points])


def held_out(task: Task) -> Task:
    """The held-out points of ``task`` as a task; ``task`` itself where there are none."""
    if task.x_test is None or task.y_test is None:
        return task
    return Task(f"{task.name}, test", task.x_test, task.y_test, classes=task.classes)
