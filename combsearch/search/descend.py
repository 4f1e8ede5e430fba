"""Descend: sparse networks that exist, found by deletion from dense ones of many shapes.

A run folder holds one file a starting shape, ``descents/7x3x3.npz``: where its descent
stands, replaced after every level, and in the end the best networks of every level. When
all shapes of one depth are done, ``descents/joint-8x3x3.npz`` takes the best of all of
them further: the smallest networks need parts that no single start may have kept.
"""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch import durable
from combsearch.config import changed
from combsearch.connectivity import compact
from combsearch.errors import UsageError
from combsearch.fields import digest
from combsearch.mask import NetShape
from combsearch.nets import NetBatch
from combsearch.search import devices
from combsearch.search.beam import Scored
from combsearch.search.certify import evaluate
from combsearch.search.descent import Descent, State
from combsearch.search.plan import NUMERICS, SettingError, blame, trainer_name
from combsearch.search.running import check_unchanged
from combsearch.search.sharing import LOADING
from combsearch.search.sparse_nets import SparseNets
from combsearch.search_config import DescendConfig
from combsearch.shards import Shard
from combsearch.tasks import Task, load_task
from combsearch.trainers.base import fused_obstacle

FOLDER = "descents"
AUTO = (
    "8x2x3", "7x1x3", "7x3x3", "6x3x2", "6x3x1", "5x3x1", "5x4x1", "7x2x2", "6x2x3", "9x2x2",
    "8x3x2", "6x4x3", "4x4x2", "5x2x2", "4x2x2", "3x2x2", "5x1x3", "9x1x3", "12x1x3", "4x3x3",
)  # fmt: skip
"""Where a descent is worth starting: shapes that reach high accuracy, bottlenecks included."""
_PATTERN = re.compile(r"\d+(x\d+)*")


@dataclass(frozen=True, eq=False)
class DescendPlan:
    """What a run of descend will do.

    Attributes:
        config: the configuration.
        task: the task that it names.
        shapes: where the descents start.
        trainer: ``fused`` or ``cuda``.
    """

    config: DescendConfig
    task: Task
    shapes: tuple[NetShape, ...]
    trainer: str

    @classmethod
    def of(cls, config: DescendConfig) -> DescendPlan:
        """Load the task and read the shapes.

        Raises:
            SettingError: the task cannot be loaded or learnt by the fused trainer, or a
                shape is none, is too deep, or is named twice.
        """
        with blame("task"):
            task = load_task(config.task)
        with blame("shapes"):
            named = AUTO if config.shapes == ("auto",) else config.shapes
            shapes = tuple(_shape(text, task) for text in named)
            if len(set(shapes)) < len(shapes):
                raise UsageError(f"shapes {', '.join(named)} name one twice")
            if config.lowest > max(shape.parameters for shape in shapes):
                raise SettingError(
                    f"lowest is {config.lowest}, more than the nonzeros of any starting shape",
                    "lowest",
                )
        with blame("trainer"):
            trainer = _trainer(config.trainer, shapes, task)
        return cls(config, task, shapes, trainer)

    @property
    def settled(self) -> DescendConfig:
        """The configuration with the trainer that was chosen, so that workers need not choose."""
        return dataclasses.replace(self.config, trainer=self.trainer)

    @property
    def joints(self) -> tuple[NetShape, ...]:
        """A shape that holds all starting shapes of one depth, for each depth with several."""
        depths: dict[int, list[NetShape]] = {}
        for shape in self.shapes:
            depths.setdefault(len(shape.hidden), []).append(shape)
        return tuple(
            NetShape(tuple(max(widths) for widths in zip(*(s.widths for s in group), strict=True)))
            for _, group in sorted(depths.items())
            if len(group) > 1
        )

    def paths(self, root: Path) -> list[tuple[Path, NetShape]]:
        """The file and shape of every descent, joint ones last."""
        single = [(state_path(root, shape), shape) for shape in self.shapes]
        return single + [(state_path(root, shape, "joint-"), shape) for shape in self.joints]

    def identity(self) -> dict[str, Any]:
        """What outcomes depend on, as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # all that may be named give the same bits
        return {
            "command": "descend",
            "config": settings,
            "task_digest": self.task.digest(),
            "numerics": NUMERICS,
        }

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        task = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.task.name)[:60]
        kind = "-biases" if self.config.prune_biases else ""
        settings = devices.named_by(self.config, self.trainer)
        return f"descend-{task}{kind}-{self.config.target:g}-{digest(settings)[:8]}"


def _shape(text: str, task: Task) -> NetShape:
    if not _PATTERN.fullmatch(text.strip()):
        raise UsageError(f"shape {text!r} is not a list of hidden widths such as 7x3x3")
    shape = NetShape.parse(text.strip().replace("x", ","), task.inputs)
    nets = SparseNets.none(shape).batch()
    obstacle = fused_obstacle(nets, task, None)
    if obstacle is not None:
        raise UsageError(f"descend trains with the fused trainer: {obstacle}")
    return shape


def state_path(root: Path, shape: NetShape, prefix: str = "") -> Path:
    """The file of the descent from ``shape``."""
    return root / FOLDER / f"{prefix}{'x'.join(map(str, shape.hidden))}.npz"


def _trainer(name: str, shapes: Sequence[NetShape], task: Task) -> str:
    """``fused``, or what gives its bits on a GPU.

    Raises:
        UsageError: it is another trainer, or there is no GPU for it.
    """
    found = name
    for shape in shapes:
        found = trainer_name(name, shape, task)
        if devices.identity_name(found) != "fused":
            raise UsageError(f"trainer {name!r} cannot do this: descend takes auto, cuda or fused")
        if found == "fused":
            return found
    return found


def state_bytes(state: State, shape: NetShape) -> bytes:
    """A state as .npz; the same state gives the same bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "progress": np.array([state.turn, state.missed, state.finished], np.int64),
        "widths": np.array(shape.widths, np.int64),
    }
    for name, levels in (("pool", state.pools), ("elite", state.elites)):
        # Order is kept: a dictionary that comes back must not differ in anything.
        parts = list(levels.values())
        nets = SparseNets.concat([SparseNets.none(shape), *(part.nets for part in parts)])
        sizes = [len(part) for part in parts]
        arrays[f"{name}_nonzeros"] = np.repeat(np.array(list(levels), np.int64), sizes)
        arrays[f"{name}_correct"] = np.concatenate(
            [np.zeros(0, np.int64), *(part.correct for part in parts)]
        )
        arrays[f"{name}_params"] = nets.params
        arrays[f"{name}_masks"] = np.packbits(nets.masks, axis=1)
    file = io.BytesIO()
    write: Any = np.savez  # its stubs take the first array for an option
    write(file, **arrays)
    return file.getvalue()


def read_state(path: Path, shape: NetShape) -> State | None:
    """Where the descent from ``shape`` stands; None when there is no whole file of it."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        if tuple(arrays["widths"].tolist()) != shape.widths:
            return None
        turn, missed, finished = arrays["progress"].tolist()
        pools, elites = (_levels(arrays, name, shape) for name in ("pool", "elite"))
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return State(turn, missed, bool(finished), pools, elites)


def _levels(arrays: dict[str, npt.NDArray[Any]], name: str, shape: NetShape) -> dict[int, Scored]:
    params, correct = arrays[f"{name}_params"], arrays[f"{name}_correct"]
    masks = np.unpackbits(arrays[f"{name}_masks"], axis=1, count=shape.parameters)
    whole = Scored(SparseNets(shape, params, masks.astype(np.bool_)), correct)
    nonzeros = arrays[f"{name}_nonzeros"]
    if params.shape != masks.shape or not len(params) == len(correct) == len(nonzeros):
        raise ValueError("arrays differ in length")
    order = list(dict.fromkeys(nonzeros.tolist()))
    return {level: whole[np.flatnonzero(nonzeros == level)] for level in order}


@dataclass(frozen=True)
class Descended:
    """What a finished descent reports.

    Attributes:
        steps: levels done now, the dense networks included.
    """

    steps: int


@dataclass(frozen=True)
class DescendWork:
    """Does the descents of a shard and saves every level; travels to other processes.

    A shard is a range of places in ``DescendPlan.paths``; joint ones come after all others.

    Attributes:
        config: the configuration.
        root: the run folder.
        identity: ``identity_digest`` of the run.
    """

    config: DescendConfig
    root: Path
    identity: str

    def __call__(self, shard: Shard) -> Descended:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, self.identity)
        return Descended(sum(self._descend(plan, k) for k in range(shard.first, shard.last)))

    def _descend(self, plan: DescendPlan, index: int) -> int:
        path, shape = plan.paths(self.root)[index]
        descent = Descent(shape, plan.task, plan.config)
        state = read_state(path, shape)
        steps = 0
        while state is None or not state.finished:
            if state is not None:
                state = descent.step(state)
            elif index < len(plan.shapes):
                state = descent.start()
            else:
                state = descent.join(self._parts(plan, len(shape.hidden)))
            there = read_state(path, shape)
            if there is not None and there.finished:
                return steps  # by another process, which was quicker
            durable.write_bytes(path, state_bytes(state, shape))
            steps += 1
        return steps

    def _parts(self, plan: DescendPlan, depth: int) -> list[State]:
        """The descents from shapes of so many hidden layers, finished here if they are not."""
        parts = []
        for index, (path, shape) in enumerate(plan.paths(self.root)[: len(plan.shapes)]):
            if len(shape.hidden) == depth:
                state = read_state(path, shape)
                if state is None or not state.finished:
                    self._descend(plan, index)
                    state = read_state(path, shape)
                assert state is not None
                parts.append(state)
        return parts


@lru_cache(maxsize=1)
def _loaded_plan(config: DescendConfig, identity: str) -> DescendPlan:
    """The plan of the run with this identity, loaded once a process."""
    plan = DescendPlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    return plan


@dataclass(frozen=True, eq=False)
class Proved:
    """A network on its live neurons, and what plain PyTorch says of it.

    Attributes:
        nets: a batch of one.
        nonzeros: weights and biases that are kept.
        correct: points right in float32 and in float64, the lower of the two.
    """

    nets: NetBatch
    nonzeros: int
    correct: int


_CANDIDATES = 4  # networks of a level that are evaluated again: rounding may reorder them


def proved(state: State, task: Task, init_width: int) -> list[Proved]:
    """The best network of every level of a descent, ascending in nonzeros, evaluated again."""
    found = []
    for level in sorted(state.elites):
        nets = state.elites[level].nets[:_CANDIDATES].batch(init_width)
        each = [_prove(compact(nets, index), level, task) for index in range(len(nets))]
        found.append(max(each, key=lambda one: one.correct))
    return found


def _prove(nets: NetBatch, level: int, task: Task) -> Proved:
    scores = evaluate(nets, task)
    return Proved(nets, level, min(scores.correct_float32, scores.correct_float64))
