"""What phase two and exhaust train: masks of one shape or of all, level by level, in shards.

A level is a run of ranks; inside it the masks of one shape are a segment. Both searches
are one plan: phase two has one shape and the same restarts everywhere, exhaust all
shapes and restarts that depend on how many masks a level holds.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from combsearch.canonical import canonical_form
from combsearch.config import Recipe, changed
from combsearch.counting import orbits_over_shapes, smallest_nonzeros
from combsearch.enumeration import mask_space
from combsearch.fields import digest
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import NetBatch
from combsearch.saved_network import load_network
from combsearch.search import devices
from combsearch.search.grid import sample_work
from combsearch.search.initial import check_initial, network_digest
from combsearch.search.plan import NUMERICS, SettingError, blame, check_counts, trainer_name
from combsearch.search.racing import race_share
from combsearch.search_config import ExhaustConfig, Phase2Config
from combsearch.store import Shard
from combsearch.tasks import Task, load_task

POOL = 256
"""Restarts of a mask and cell that share minibatches, and that race against each other."""

SHARD_WORK = 4e11  # multiply-adds of a shard: about ten seconds of a core,
_MOST_SHARD_WORK = 30 * SHARD_WORK  # up to five minutes where there would be more than
_SHARDS = 10_000  # shards
_MOST_SHARD_MASKS = 2**16  # of one shard: bounds its memory
_MOST_RUNS = 10**8  # of one mask

MaskConfig = Phase2Config | ExhaustConfig


@dataclass(frozen=True)
class Segment:
    """The masks of one shape in one level.

    Attributes:
        nonzeros: the level.
        shape: neurons a layer.
        rank: of the first mask, in the whole search.
        local: rank of the first mask among all of its shape.
        masks: how many.
        restarts: training runs a mask and cell.
    """

    nonzeros: int
    shape: NetShape
    rank: int
    local: int
    masks: int
    restarts: int


@dataclass(frozen=True, eq=False)
class MaskPlan:
    """Everything that a run of phase two or exhaust will train.

    Attributes:
        config: the configuration.
        task: the task that it names.
        trainer: what ``get_trainer`` knows the trainer by; never ``auto``.
        segments: ascending in nonzeros, then in the widths.
        initial: a network whose leading block every run starts from, or None.
        fixed: runs start from such a network; a saved run is looked at without it.
        untried: levels of the space below the first segment, which are left out.
    """

    config: MaskConfig
    task: Task
    trainer: str
    segments: tuple[Segment, ...]
    initial: NetBatch | None = None
    fixed: bool = False
    untried: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: MaskConfig) -> MaskPlan:
        """Load the task, count the masks, choose the trainer.

        Raises:
            SettingError: the task cannot be loaded, there is no such mask, a batch does not
                fit the task, or the trainer cannot serve them.
        """
        with blame("task"):
            task = load_task(config.task)
        check_counts(config, task, _MOST_RUNS)
        initial: NetBatch | None = None
        untried: tuple[int, ...] = ()
        if isinstance(config, Phase2Config):
            segments, initial, untried = _one_shape(config, task)
        else:
            segments = _all_shapes(config, task)
        with blame("trainer"):
            trainer = trainer_name(config.trainer, _hull(segments), task)
        return cls(config, task, trainer, segments, initial, initial is not None, untried)

    @property
    def command(self) -> str:
        """The command that such a run belongs to."""
        return "phase2" if isinstance(self.config, Phase2Config) else "exhaust"

    @property
    def symmetry(self) -> str:
        """Which masks there are, see ``enumeration``."""
        if isinstance(self.config, ExhaustConfig):
            return "full"
        # From one initialisation the members of an orbit train apart.
        fixed = self.config.init and self.config.symmetry == "full"
        return "rows" if fixed else self.config.symmetry

    @property
    def block(self) -> int:
        """Restarts that share minibatches; from one initialisation only these tell them apart."""
        return 1 if self.fixed else POOL

    @property
    def masks(self) -> int:
        """How many there are, all levels together."""
        last = self.segments[-1]
        return last.rank + last.masks

    @property
    def recipe(self) -> Recipe:
        """What all cells share."""
        return self.config.recipes()[0]

    @property
    def settled(self) -> MaskConfig:
        """The configuration with the trainer that was chosen, so that workers need not choose."""
        return dataclasses.replace(self.config, trainer=self.trainer)

    def levels(self) -> list[int]:
        """Nonzeros of all levels, ascending."""
        return sorted({segment.nonzeros for segment in self.segments})

    def runs(self, segment: Segment) -> int:
        """Training runs a mask, all cells together."""
        return segment.restarts * len(self.config.cells)

    def mask_work(self, segment: Segment) -> float:
        """Multiply-adds of all runs of one mask."""
        samples, share = self._samples_and_share
        return sample_work(segment.shape) * samples * self.runs(segment) * share

    @cached_property
    def _samples_and_share(self) -> tuple[int, float]:
        """Samples that a run trains on, and the share of them where races give runs up."""
        samples = self.recipe.total_steps(self.task.points) * self.recipe.batch_size
        return samples, race_share(self.config.controls) if self.config.race else 1.0

    def work(self, shard: Shard) -> float:
        """Multiply-adds of all runs of a shard."""
        return sum(self.mask_work(segment) * len(ranks) for segment, ranks in self.pieces(shard))

    def started(self, shard: Shard) -> int:
        """Training runs of a shard, those that a race gives up included."""
        return sum(self.runs(segment) * len(ranks) for segment, ranks in self.pieces(shard))

    @cached_property
    def shards(self) -> list[Shard]:
        """All shards, ascending, none across levels: a lot each, for a GPU many lots."""
        if not devices.on_gpu(self.trainer):
            return self.lots
        levels = [next(self.pieces(lot))[0].nonzeros for lot in self.lots]
        costs = [self.work(lot) for lot in self.lots]
        return devices.joined(self.lots, levels, costs, [self.started(lot) for lot in self.lots])

    @cached_property
    def lots(self) -> list[Shard]:
        """Ranges of ranks of about ``SHARD_WORK`` or more, whatever trains them.

        Each keeps the parameters of its best run, so that they do not depend on the shards.
        """
        total = sum(self.mask_work(segment) * segment.masks for segment in self.segments)
        size = max(SHARD_WORK, min(total / _SHARDS, _MOST_SHARD_WORK))
        cuts = [0]
        work = 0.0
        level = self.segments[0].nonzeros
        for segment in self.segments:
            if segment.nonzeros != level:
                level, work = segment.nonzeros, 0.0
                if cuts[-1] != segment.rank:
                    cuts.append(segment.rank)
            cost, rank, end = self.mask_work(segment), segment.rank, segment.rank + segment.masks
            while rank < end:
                room = max(1, int((size - work) // cost))
                step = min(room, end - rank, cuts[-1] + _MOST_SHARD_MASKS - rank)
                rank, work = rank + step, work + step * cost
                if work + cost > size or rank - cuts[-1] >= _MOST_SHARD_MASKS:
                    cuts.append(rank)
                    work = 0.0
        if cuts[-1] != self.masks:
            cuts.append(self.masks)
        return [Shard(a, b) for a, b in itertools.pairwise(cuts)]

    @cached_property
    def _starts(self) -> list[int]:
        """First ranks of the segments: pieces are asked for by every shard of tens of thousands."""
        return [segment.rank for segment in self.segments]

    def pieces(self, shard: Shard) -> Iterator[tuple[Segment, range]]:
        """(segment, ranks of it) that make up a shard, ascending."""
        place = bisect.bisect_right(self._starts, shard.first) - 1
        while place < len(self.segments) and self._starts[place] < shard.last:
            segment = self.segments[place]
            end = min(shard.last, segment.rank + segment.masks)
            yield segment, range(max(shard.first, segment.rank), end)
            place += 1

    def piece_masks(self, segment: Segment, ranks: range) -> MaskBatch:
        """The masks of these ranks, in canonical form where orbits are reduced."""
        config = self.config
        most, unused = config.max_nonzeros or None, config.unused_inputs
        space = mask_space(segment.shape, self.symmetry, most, unused_inputs=unused)
        local = segment.local - segment.rank
        masks = space.masks(ranks.start + local, ranks.stop + local)
        return canonical_form(masks) if self.symmetry == "full" else masks

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are, as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # ``auto`` and what it stands for make one run
        found = {
            "command": self.command,
            "config": settings,
            "task_digest": self.task.digest(),
            "trainer": devices.identity_name(self.trainer),
            "numerics": NUMERICS,
        }
        if self.initial is not None:
            found["init_digest"] = network_digest(self.initial)
            settings.pop("init")  # what is in the file counts, not where it lies
            settings["symmetry"] = self.symmetry
        return found

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it."""
        config = self.config
        task = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.task.name)[:60]
        own = config.shape.replace(",", "x") if isinstance(config, Phase2Config) else "all"
        settings = devices.named_by(config, self.trainer)
        return f"{self.command}-{task}-{own}-{config.target:g}-{digest(settings)[:8]}"


def _hull(segments: Sequence[Segment]) -> NetShape:
    """The smallest shape that holds those of all segments."""
    widths = zip(*{segment.shape.widths for segment in segments}, strict=True)
    return NetShape(tuple(max(layer) for layer in widths))


def _one_shape(
    config: Phase2Config, task: Task
) -> tuple[tuple[Segment, ...], NetBatch | None, tuple[int, ...]]:
    """(segments, initial network, levels below ``min_nonzeros``)."""
    outputs = 1 if task.classes == 2 else task.classes
    if not config.shape:
        raise SettingError("no shape: name one as --shape 7,3,3, or a run with --from", "shape")
    with blame("shape"):
        shape = NetShape.parse(config.shape, task.inputs, outputs)
    initial = None
    symmetry = config.symmetry
    if config.init and config.race:
        raise SettingError(
            "race is not possible from one initialisation: its restarts differ by minibatches"
            " alone; leave out --race or --init",
            "race",
        )
    if config.init:
        with blame("init"):
            initial = load_network(config.init)
            check_initial(initial, shape)
        symmetry = "rows" if symmetry == "full" else symmetry
    _check_budget(config, shape, f"shape ({shape})")
    most, unused = config.max_nonzeros or None, config.unused_inputs
    with blame("shape"):
        space = mask_space(shape, symmetry, most, unused_inputs=unused)
    levels = {n: count for n, count in space.levels().items() if n >= config.min_nonzeros}
    if not levels:
        raise SettingError(
            f"min_nonzeros is {config.min_nonzeros}, shape ({shape}) has no mask with so many"
            f" (dense it has {shape.dense_nonzeros})",
            "min_nonzeros",
        )
    segments, rank = [], 0
    for nonzeros, count in levels.items():
        start = space.level_start(nonzeros)
        segments.append(Segment(nonzeros, shape, rank, start, count, config.restarts))
        rank += count
    untried = tuple(n for n in space.levels() if n < config.min_nonzeros)
    return tuple(segments), initial, untried


def _all_shapes(config: ExhaustConfig, task: Task) -> tuple[Segment, ...]:
    outputs = 1 if task.classes == 2 else task.classes
    narrowest = NetShape.from_hidden((1,) * config.depth, task.inputs, outputs)
    _check_budget(config, narrowest, f"a network of {config.depth} hidden layers")
    counts = orbits_over_shapes(
        config.max_nonzeros, config.depth, task.inputs, outputs, config.width,
        unused_inputs=config.unused_inputs,
    )  # fmt: skip
    by_level: dict[int, list[tuple[NetShape, int, int]]] = {}
    for shape in sorted(counts, key=lambda s: s.widths):
        local = 0
        for nonzeros in sorted(counts[shape]):
            if masks := counts[shape][nonzeros]:
                by_level.setdefault(nonzeros, []).append((shape, local, masks))
                local += masks
    segments, rank = [], 0
    for nonzeros in sorted(by_level):
        restarts = level_restarts(config, sum(masks for *_, masks in by_level[nonzeros]))
        for shape, local, masks in by_level[nonzeros]:
            segments.append(Segment(nonzeros, shape, rank, local, masks, restarts))
            rank += masks
    return tuple(segments)


def level_restarts(config: ExhaustConfig, masks: int) -> int:
    """Training runs a mask and cell in a level of so many masks; whole pools where they can be."""
    share = config.level_runs // (masks * len(config.cells))
    restarts = min(config.restarts, max(config.min_restarts, share))
    return restarts // POOL * POOL if restarts > POOL else restarts


def _check_budget(config: MaskConfig, shape: NetShape, what: str) -> None:
    """Refuse a last level that no mask of ``shape`` reaches down to; ``what`` names it."""
    least = smallest_nonzeros(shape, unused_inputs=config.unused_inputs)
    if 0 < config.max_nonzeros < least:
        used = ", and one input is used" if config.unused_inputs else ""
        raise SettingError(
            f"max_nonzeros is {config.max_nonzeros}, {what} needs at least {least}:"
            f" every neuron keeps an input, an output and its bias{used}",
            "max_nonzeros",
        )
