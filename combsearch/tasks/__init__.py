"""Tasks by name, by ``pkg.module:Name`` or from a file. Needs numpy only.

A new built-in task is one function without arguments and one line in ``TASKS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from combsearch.errors import CombsearchError, UsageError
from combsearch.registry import import_object, lookup
from combsearch.tasks.base import Task
from combsearch.tasks.cubist_spiral import cubist_spiral
from combsearch.tasks.embedded_spiral import FEWEST, KINDS, MOST, embedded_spiral, named_spiral
from combsearch.tasks.from_file import SUFFIXES, task_from_file
from combsearch.tasks.images import DATA_SETS, load_images
from combsearch.tasks.smooth_spiral import smooth_spiral
from combsearch.tasks.toys import checkerboard, circles, moons, xor

__all__ = [
    "TASKS",
    "Task",
    "checkerboard",
    "circles",
    "cubist_spiral",
    "embedded_spiral",
    "load_task",
    "moons",
    "smooth_spiral",
    "task_from_file",
    "xor",
]

TASKS: Mapping[str, Callable[[], Task]] = MappingProxyType(
    {
        "cubist_spiral": cubist_spiral,
        "smooth_spiral": smooth_spiral,
        "xor": xor,
        "circles": circles,
        "moons": moons,
        "checkerboard": checkerboard,
    }
)


def load_task(spec: str) -> Task:
    """The task that ``spec`` names.

    A registered name (``TASKS``), a spiral in D inputs (``embedded_spiral``), an
    image data set (``images.DATA_SETS``), a path ending in .npz or .csv, or
    ``pkg.module:Name`` of a Task or of a function without arguments that returns
    one.

    Raises:
        UsageError: for an unknown name, a bad file, or an object that is no task.
    """
    if spec.lower().endswith(SUFFIXES):
        return task_from_file(spec)
    if ":" in spec:
        return _imported(spec)
    if spec in DATA_SETS:
        return load_images(spec).task()
    if (spiral := named_spiral(spec)) is not None:
        return spiral
    try:
        return lookup("task", spec, TASKS)()
    except UsageError as error:
        spirals = ", ".join(f"spiral_{kind}_D" for kind in KINDS)
        raise UsageError(
            f"{error}; or an image data set ({', '.join(DATA_SETS)}), {spirals} with D from"
            f" {FEWEST} to {MOST}, a path ending in .npz or .csv, or pkg.module:Name"
        ) from None


def _imported(spec: str) -> Task:
    """The user's own task, made by calling the object if it is not one already."""
    found = import_object("task", spec)
    if callable(found):
        try:
            found = found()
        except CombsearchError:
            raise
        except Exception as error:  # a user's function may fail in any way
            reason = " ".join(str(error).split())
            raise UsageError(f"task {spec!r} failed: {type(error).__name__}: {reason}") from error
    if not isinstance(found, Task):
        raise UsageError(
            f"task {spec!r} is of type {type(found).__name__}, expected a combsearch Task or a "
            "function without arguments that returns one"
        )
    return found
