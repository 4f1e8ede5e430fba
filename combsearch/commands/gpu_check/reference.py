"""What the CPU makes of the cases: made once, kept in the .npz beside this file.

``python results/gpu/reference.py`` writes it anew; that takes numba, reading it does not.
"""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch.commands.gpu_check.cases import Case, Made, checksums, flat
from combsearch.durable import write_bytes
from combsearch.nets import NetBatch
from combsearch.tasks.base import Task
from combsearch.trainers.base import Trainer

PATH = Path(__file__).with_name("reference.npz")
SHOWN = 2048  # parameters of a wide network that are kept

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Reference:
    """Arrays by ``case/what``, and what they were made with.

    Attributes:
        arrays: ``w1``, ``v1`` after the first segment and so on, ``correct``, ``finite``,
            ``checksums``; of which a case has those that it is compared by. The points, ``x``
            and ``y``, come along: another machine's libraries may round their sines otherwise.
        about: seed, versions, machine, and the digest of what each case starts from.
    """

    arrays: dict[str, Array]
    about: dict[str, Any]

    @property
    def task(self) -> Task:
        """The task that the networks were trained on."""
        return Task(self.about["task"], self.arrays["x"], self.arrays["y"])

    def of(self, case: Case, made: Made, task: Task) -> dict[str, Array]:
        """The arrays of ``case``.

        Raises:
            ValueError: this machine makes other networks than those of the reference.
        """
        found, kept = made.digest(task), self.about["digests"].get(case.name)
        if found != kept:
            raise ValueError(
                f"case {case.name!r} starts from {found} here and from {kept} in the reference:"
                " the networks differ before any training"
            )
        start = f"{case.name}/"
        return {n.removeprefix(start): a for n, a in self.arrays.items() if n.startswith(start)}

    def write(self, path: Path) -> None:
        """Save as .npz."""
        buffer = io.BytesIO()
        about = np.frombuffer(json.dumps(self.about).encode(), np.uint8)
        np.savez_compressed(buffer, about=about, **self.arrays)  # type: ignore[arg-type]
        write_bytes(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path = PATH) -> Reference:
        """The inverse of ``write``."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(arrays, json.loads(arrays.pop("about").tobytes()))


Compute = Callable[[Case, Made, Task, Trainer], dict[str, Array]]


def trained(case: Case, made: Made, task: Task, trainer: Trainer) -> dict[str, Array]:
    """Weights and momenta after each segment, and the last score."""
    nets, arrays = made.nets, {}
    for number, steps in enumerate(case.segments, 1):
        nets = trainer.fit(nets, task, made.recipes, made.keys, slice(*steps))
        arrays[f"w{number}"], arrays[f"v{number}"] = flat(nets)
    return {**arrays, **_scores(nets, task, trainer)}


def whole_runs(case: Case, made: Made, task: Task, trainer: Trainer) -> dict[str, Array]:
    """Right answers and checksums after the last segment."""
    nets = made.nets
    for steps in case.segments:
        nets = trainer.fit(nets, task, made.recipes, made.keys, slice(*steps))
    return {**_scores(nets, task, trainer), "checksums": checksums(flat(nets)[0])}


def shown(case: Case, made: Made, task: Task, trainer: Trainer) -> dict[str, Array]:
    """Some of the weights and momenta after each segment."""
    arrays = {n: a for n, a in trained(case, made, task, trainer).items() if n[0] in "wv"}
    return {name: some_of(a) for name, a in arrays.items()}


def some_of(parameters: Array) -> Array:
    """At most ``SHOWN`` columns of [n, parameter], evenly spread."""
    columns = np.linspace(0, parameters.shape[1] - 1, SHOWN).astype(np.int64)
    return np.asarray(parameters[:, np.unique(columns)])


def _scores(nets: NetBatch, task: Task, trainer: Trainer) -> dict[str, Array]:
    scores = trainer.score(nets, task)
    return {"correct": scores.correct.astype(np.int32), "finite": ~scores.diverged}


def make(jobs: Sequence[tuple[Case, Compute, Trainer]], task: Task) -> Reference:
    """The reference of some cases, each by its way and trainer."""
    arrays: dict[str, Array] = {"x": task.x, "y": task.y}
    digests: dict[str, str] = {}
    for case, compute, trainer in jobs:
        made = case.made()
        digests[case.name] = made.digest(task)
        found = compute(case, made, task, trainer)
        arrays.update({f"{case.name}/{name}": array for name, array in found.items()})
    return Reference(arrays, {**_made_with(), "task": task.name, "digests": digests})


def _made_with() -> dict[str, Any]:
    import numba
    import torch

    from combsearch import __version__
    from combsearch.commands.gpu_check.cases import SEED
    from combsearch.commands.provenance import processor

    return {
        "seed": SEED,
        "processor": processor(),
        "versions": {
            "combsearch": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": numba.__version__,
            "torch": torch.__version__,
        },
    }
