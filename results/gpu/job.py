"""What is to be trained: a file of packed masks, or some masks of it with more restarts.

Needs PyTorch and numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from combsearch import fields
from combsearch.config import Recipe
from combsearch.errors import RunMismatchError, UsageError
from combsearch.mask import MaskBatch
from combsearch.packed_masks import PackedMasks, pieces
from combsearch.rng import text_key
from combsearch.runfile import identity_digest
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.tasks import Task, load_task

Ranks = npt.NDArray[np.int64]
_KINDS: dict[str, Any] = {"phase2": Phase2Config, "exhaust": ExhaustConfig}
_FACTS = {"command", "config", "identity", "block", "restarts", "cuts"}  # what ``masks.py`` adds
_CUT = 4096  # picked masks after which a job may be cut


@dataclass(frozen=True, eq=False)
class Job:
    """Training runs in a fixed order, cut into pieces that can be done alone.

    Attributes:
        name: ``search``, or that of a round.
        masks: the file.
        config: of the search that the file was made for.
        task: that it names.
        block: restarts that share minibatches.
        restarts: nonzeros -> restarts a mask and cell.
        cuts: ascending places, from 0, between which the best network is kept.
        first_restart: number of the first restart.
        picked: int64 [place], the ranks of the masks, ascending; None for all of the file.
    """

    name: str
    masks: PackedMasks
    config: Any
    task: Task
    block: int
    restarts: dict[int, int]
    cuts: list[int]
    first_restart: int = 0
    picked: Ranks | None = None
    cells: npt.NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        cells = np.array([text_key(cell) for cell in self.config.cells], np.uint64)
        object.__setattr__(self, "cells", cells)

    @classmethod
    def of(cls, masks: PackedMasks) -> Job:
        """Everything that a file of ``masks.py`` holds.

        Raises:
            RunMismatchError: the task is not the one that the file was made for.
            UsageError: the file is not of ``masks.py``.
        """
        facts = masks.facts
        if not facts.keys() >= _FACTS:
            raise UsageError(f"{masks.path} has masks alone: make it with results/gpu/masks.py")
        config = fields.from_json(_KINDS[facts["command"]], facts["config"])
        task = load_task(config.task)
        if task.digest() != facts["identity"]["task_digest"]:
            raise RunMismatchError(f"{masks.path} was made for another task {config.task!r}")
        restarts = {int(nonzeros): n for nonzeros, n in facts["restarts"].items()}
        return cls("search", masks, config, task, facts["block"], restarts, facts["cuts"])

    def again(self, name: str, picked: Ranks, first_restart: int, restarts: int) -> Job:
        """Further restarts of some masks, none of them raced."""
        cuts = [*range(0, len(picked), _CUT), len(picked)]
        return Job(
            name, self.masks, self.config, self.task, self.block,
            dict.fromkeys(self.restarts, restarts), cuts, first_restart, picked,
        )  # fmt: skip

    def __len__(self) -> int:
        return self.cuts[-1]

    @property
    def raced(self) -> bool:
        """Whether restarts race."""
        return self.picked is None and bool(self.config.race)

    @property
    def digest(self) -> str:
        """What pieces of this job are known by: 64 hex characters."""
        more = None
        if self.picked is not None:
            more = [
                self.name,
                self.picked.tolist(),
                self.first_restart,
                max(self.restarts.values()),
            ]
        return identity_digest({"search": self.masks.facts["identity"], "again": more})

    def recipes(self) -> tuple[Recipe, ...]:
        """One recipe a cell."""
        found: tuple[Recipe, ...] = self.config.recipes()
        return found

    def runs(self, first: int, last: int) -> int:
        """Training runs of the masks at these places, all started."""
        if self.picked is not None:
            return (last - first) * max(self.restarts.values()) * len(self.cells)
        stretches = pieces(self.masks.stretches, first, last)
        return sum(s.masks * self.restarts[s.nonzeros] for s in stretches) * len(self.cells)

    def read(self, first: int, last: int) -> Iterator[tuple[int, Ranks, MaskBatch]]:
        """(nonzeros, ranks, masks) of these places, ascending; a batch has one shape."""
        if self.picked is None:
            for piece, masks in self.masks.read(first, last):
                yield piece.nonzeros, np.arange(piece.rank, piece.last), masks
            return
        own = self.picked[first:last]
        for stretch in self.masks.stretches:
            low, high = np.searchsorted(own, [stretch.rank, stretch.last])
            if low < high:
                yield stretch.nonzeros, own[low:high], self.some(own[low:high])

    def levels(self, ranks: Ranks) -> Ranks:
        """int64 [rank]: the nonzeros of the masks of these ranks."""
        ends = np.array([stretch.last for stretch in self.masks.stretches])
        nonzeros = np.array([stretch.nonzeros for stretch in self.masks.stretches])
        return nonzeros[np.searchsorted(ends, ranks, side="right")]

    def level(self, place: int) -> int:
        """The nonzeros of the mask at a place."""
        rank = place if self.picked is None else self.picked[place]
        return int(self.levels(np.array([rank]))[0])

    def end(self, success: int | None) -> int:
        """The place after the last to be trained, when this level is the first with a success."""
        if success is None or self.config.every_level or self.picked is not None:
            return len(self)
        levels = sorted(self.restarts)
        last = levels[min(levels.index(success) + self.config.beyond, len(levels) - 1)]
        return max(s.last for s in self.masks.stretches if s.nonzeros == last)

    def some(self, ranks: Ranks) -> MaskBatch:
        """The masks of some ranks, ascending, of one stretch."""
        block = self.masks.block
        parts = []
        for number in np.unique(ranks // block):
            own = ranks[ranks // block == number]
            ((_, found),) = self.masks.read(int(own[0]), int(own[-1]) + 1)
            parts.append(found[own - own[0]])
        return MaskBatch(parts[0].shape, np.concatenate([part.words for part in parts]))


def open_job(path: str | Path) -> Job:
    """The job of a file of ``masks.py``."""
    return Job.of(PackedMasks.open(path))
