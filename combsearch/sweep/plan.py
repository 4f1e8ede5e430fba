"""What a sweep trains: every method, width and budget, by rank, and the shards of it.

A rank is one (method, width, budget): method by method, widths ascending, budgets
ascending. The ranks of one method and width are a group. A group is trained in chunks of a
few ranks; what a chunk holds depends on the sizes alone, since a network's last bits may
depend on who is scored beside it. A shard is one chunk or several of one group.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from combsearch.config import changed
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.prune_config import PruneConfig
from combsearch.rng import RESTART_BLOCK, RunKeys
from combsearch.saved_network import load_network
from combsearch.search.devices import identity_name
from combsearch.search.initial import network_digest, with_leading_block
from combsearch.search.plan import blame, check_counts, trainer_name
from combsearch.store import Shard
from combsearch.sweep.checks import check_budgets, check_initial, check_size
from combsearch.sweep.cost import TRAIN_DENSE, dense_seconds, run_seconds
from combsearch.sweep.sources import short_digest, source_digests
from combsearch.tasks import Task, load_task

NUMERICS = 1  # raised when a run of the same key, or the cut of chunks, would change

SHARD_SECONDS = 40.0  # of a core
_CHUNK = (72, 2**20)  # (runs, parameters) of a chunk, as far as it holds several budgets,
_DENSE_CHUNK = (512, 2**23)  # and of a method that trains dense first, once for all of them
_MOST_FLOATS = 2**24  # parameters trained at once: a larger rank goes in parts
_MOST_RUNS = 10**6  # of one rank


@dataclass(frozen=True)
class Group:
    """The ranks of one method and width.

    Attributes:
        method: its name.
        width: neurons of each hidden layer.
        shape: of the dense networks.
        budgets: weights to keep, ascending, one a rank.
        rank: of the first budget.
    """

    method: str
    width: int
    shape: NetShape
    budgets: tuple[int, ...]
    rank: int

    @property
    def ranks(self) -> range:
        """Those of its budgets."""
        return range(self.rank, self.rank + len(self.budgets))


@dataclass(frozen=True, eq=False)
class PrunePlan:
    """Everything that a sweep will train.

    Attributes:
        config: the configuration.
        task: the task that it names.
        trainer: what ``get_trainer`` knows the trainer by; never ``auto``.
        groups: by rank.
        initial: a network whose leading block every run starts from, or None.
        fixed: runs start from such a network; a saved run is looked at without it.
        sources: sha256 of the file that each of a user's own pruners is in.
    """

    config: PruneConfig
    task: Task
    trainer: str
    groups: tuple[Group, ...]
    initial: NetBatch | None = None
    fixed: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: PruneConfig) -> PrunePlan:
        """Load the task, the pruners and the initial weights; choose the trainer.

        Raises:
            SettingError: one of them cannot be, or does not fit the rest.
        """
        plan = cls.saved(config)
        with blame("methods"):
            sources = source_digests(config.methods)
        with blame("init"):
            initial = load_network(config.init) if config.init else None
            if initial is not None:
                check_initial(initial, [group.shape for group in plan.groups])
        fixed = initial is not None
        return dataclasses.replace(plan, initial=initial, fixed=fixed, sources=sources)

    @classmethod
    def saved(cls, config: PruneConfig) -> PrunePlan:
        """The plan of a saved run, to be looked at: without pruners and initial weights.

        Raises:
            SettingError: as ``of``.
        """
        with blame("task"):
            task = load_task(config.task)
        check_counts(config, task, _MOST_RUNS, ": the runs of a budget are saved in one piece")
        groups = _groups(config, task)
        with blame("trainer"):
            widest = max((group.shape for group in groups), key=lambda shape: shape.parameters)
            trainer = trainer_name(config.trainer, widest, task, "sparse")
        return cls(config, task, trainer, groups)

    @property
    def ranks(self) -> int:
        """How many there are."""
        return self.groups[-1].ranks.stop

    @property
    def runs_per_rank(self) -> int:
        """Restarts, all cells together."""
        return self.config.restarts * len(self.config.cells)

    @property
    def samples(self) -> int:
        """Samples that one run trains on."""
        recipe = self.config.recipes()[0]
        return recipe.total_steps(self.task.points) * recipe.batch_size

    def group_of(self, rank: int) -> Group:
        """The group that a rank is in."""
        place = int(np.searchsorted(self._starts, rank, side="right")) - 1
        return self.groups[place]

    def chunks(self, group: Group) -> Iterator[range]:
        """The ranks of a group in the pieces that are trained together."""
        size = self._chunk_ranks(group)
        for first in range(group.rank, group.ranks.stop, size):
            yield range(first, min(first + size, group.ranks.stop))

    def parts(self, group: Group) -> list[slice]:
        """The runs of one rank in parts that fit the memory; one where it does as a whole.

        Whole cells, or, where a cell alone is too large, blocks of its restarts.
        """
        room, runs = max(1, _MOST_FLOATS // group.shape.parameters), self.runs_per_rank
        restarts = self.config.restarts
        if restarts <= room:
            size = room // restarts * restarts
            return [slice(a, min(a + size, runs)) for a in range(0, runs, size)]
        size = max(1, room // RESTART_BLOCK * RESTART_BLOCK)
        return [
            slice(cell + a, cell + min(a + size, restarts))
            for cell in range(0, runs, restarts)
            for a in range(0, restarts, size)
        ]

    @cached_property
    def shards(self) -> list[Shard]:
        """All shards, ascending in rank: whole chunks, of about ``SHARD_SECONDS``."""
        found = []
        for group in self.groups:
            cuts, work = [group.rank], 0.0
            for ranks in self.chunks(group):
                seconds = self.seconds(group, ranks)
                if work and work + seconds > SHARD_SECONDS:
                    cuts.append(ranks.start)
                    work = 0.0
                work += seconds
            cuts.append(group.ranks.stop)
            found += [Shard(a, b) for a, b in itertools.pairwise(cuts)]
        return found

    def shard_chunks(self, shard: Shard) -> Iterator[range]:
        """The chunks of a shard; ranks that it shares with a chunk only in part make up one."""
        for ranks in self.chunks(self.group_of(shard.first)):
            own = range(max(ranks.start, shard.first), min(ranks.stop, shard.last))
            if own:
                yield own

    def shard_seconds(self, shard: Shard) -> float:
        """Seconds of a core that a shard is thought to take."""
        group = self.group_of(shard.first)
        return sum(self.seconds(group, ranks) for ranks in self.shard_chunks(shard))

    def seconds(self, group: Group, ranks: range) -> float:
        """Seconds of a core that a chunk is thought to take."""
        weights, samples = group.shape.weights, self.samples
        own = [run_seconds(group.method, weights, self.budget(r), samples) for r in ranks]
        dense = dense_seconds(group.method, weights, samples)
        return self.runs_per_rank * (sum(own) + dense)

    def budget(self, rank: int) -> int:
        """The weights to keep of a rank."""
        group = self.group_of(rank)
        return group.budgets[rank - group.rank]

    def dense_nets(self, group: Group) -> tuple[NetBatch, RunKeys]:
        """The networks that every rank of a group starts from: cells, then restarts.

        They are those of any method and budget of that width, so that results are paired.
        From one initialisation, restarts differ by their minibatches.
        """
        config, mask = self.config, MaskBatch.dense_of(group.shape)
        keys = RunKeys.make(
            config.seed,
            np.repeat(mask.keys(), self.runs_per_rank),
            [cell for cell in config.cells for _ in range(config.restarts)],
            np.tile(np.arange(config.restarts), len(config.cells)),
            RESTART_BLOCK if self.initial is None else 1,
        )
        nets = NetBatch.create(MLP(group.shape, group.width), keys)
        return (nets if self.initial is None else with_leading_block(nets, self.initial)), keys

    def identity(self) -> dict[str, Any]:
        """What the rows are and which there are, as JSON."""
        settings = changed(self.config)
        settings.pop("trainer", None)  # ``auto`` and what it stands for make one run
        found = {
            "command": "prune",
            "config": settings,
            "task_digest": self.task.digest(),
            "trainer": identity_name(self.trainer),
            "numerics": NUMERICS,
        }
        if self.initial is not None:
            found["init_digest"] = network_digest(self.initial)
            settings.pop("init")  # what is in the file counts, not where it lies
        if self.sources:
            found["pruners"] = dict(self.sources)
        return found

    def name(self) -> str:
        """A run's name made from its configuration, so that the same command finds it.

        A user's own pruner that was edited starts a new run.
        """
        task = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.task.name)[:60]
        files = f"-{short_digest(self.sources)}" if self.sources else ""
        # ``auto`` is ``sparse`` here, whose rows are others.
        settings = dataclasses.replace(self.config, trainer=identity_name(self.config.trainer))
        return f"prune-{task}-{settings.digest()[:8]}{files}"

    @cached_property
    def _starts(self) -> list[int]:
        return [group.rank for group in self.groups]

    def _chunk_ranks(self, group: Group) -> int:
        """Budgets of a chunk."""
        runs, floats = _DENSE_CHUNK if group.method in TRAIN_DENSE else _CHUNK
        return max(1, min(runs, floats // group.shape.parameters) // self.runs_per_rank)


def _groups(config: PruneConfig, task: Task) -> tuple[Group, ...]:
    outputs = 1 if task.classes == 2 else task.classes
    shapes = {
        width: NetShape.from_hidden((width,) * config.depth, task.inputs, outputs)
        for width in config.widths
    }
    check_size(shapes, _MOST_FLOATS)
    budgets = {width: config.budgets_of(shape.weights) for width, shape in shapes.items()}
    check_budgets(config, shapes, budgets)
    groups, rank = [], 0
    for method in config.methods:
        for width, shape in shapes.items():
            groups.append(Group(method, width, shape, budgets[width], rank))
            rank += len(budgets[width])
    return tuple(groups)
