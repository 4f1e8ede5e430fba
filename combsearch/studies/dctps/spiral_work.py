"""The study on the spiral as work on shards of a run folder: supports of one level.

A level that is grown or shrunk needs the rows of all earlier levels of its budget and of the one
before, so that levels go one after the other and the shards of a level side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from combsearch.dctps_spiral_rows import dctps_spiral_table
from combsearch.nets import NetBatch
from combsearch.networks.dct_mlp import DctMLP
from combsearch.rng import RunKeys
from combsearch.runfile import identity_digest
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, clock, give_way
from combsearch.search.training import committed
from combsearch.store import RunStore, Shard
from combsearch.studies.course import NONE, RoundsCourse
from combsearch.studies.dctps.spiral_config import SpiralConfig
from combsearch.studies.dctps.spiral_levels import (
    Level,
    Supports,
    fixed_supports,
    next_supports,
    support_keys,
)
from combsearch.studies.dctps.spiral_plan import SpiralPlan

Support = tuple[int, ...]


@dataclass(frozen=True)
class SpiralWork:
    """Trains the supports of a shard and commits their rows; travels to other processes.

    Attributes:
        config: of the run.
        store: where the rows go.
        threads: of torch, in each process.
    """

    config: SpiralConfig
    store: RunStore
    threads: int = 1

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, identity_digest(self.store.identity), self.threads)
        table = committed(self.store, shard)
        if table is None:
            give_way()
            level = plan.level_of(shard)
            chosen = slice(shard.first - level.first, shard.last - level.first)
            supports = level_supports(plan, self.store, level)[chosen]
            table = dctps_spiral_table(trained(plan, level, supports, shard.first))
            self.store.write(shard, table)
        return Outcome(len(table), 0, float(np.nanmax(table["accuracy"].to_numpy())))


def level_supports(plan: SpiralPlan, store: RunStore, level: Level) -> Supports:
    """The supports of a level, from the rows of those before it."""
    places, config = plan.network.places, plan.config
    if level.origin in ("all", "drawn"):
        return fixed_supports(level, places, config.seed)
    before = plan.levels[level.number - 1].budget
    earlier = plan.levels[: level.number]
    rows = _rows(store, [one for one in earlier if one.budget == before])
    own = _rows(store, [one for one in earlier if one.budget == level.budget])
    tried = set(_by_support(own))
    return next_supports(level, places, config.seed, best_first(rows), tried, config.beam)


def best_first(rows: pa.Table) -> list[Support]:
    """Supports by the best accuracy of their runs, then the mean; equal ones by rank."""
    ranked = [
        (-max(found), -float(np.mean(found)), place, support)
        for place, (support, found) in enumerate(_by_support(rows).items())
    ]
    return [support for *_, support in sorted(ranked)]


def _by_support(rows: pa.Table) -> dict[Support, list[float]]:
    """The accuracies of each support, by rank; of a diverged run 0."""
    found: dict[Support, list[float]] = {}
    ok = [status == "ok" for status in rows["status"].to_pylist()]
    for support, accuracy, sound in zip(
        rows["support"].to_pylist(), rows["accuracy"].to_pylist(), ok, strict=True
    ):
        found.setdefault(tuple(support), []).append(accuracy if sound else 0.0)
    return found


def _rows(store: RunStore, levels: Sequence[Level]) -> pa.Table:
    columns = ["rank", "accuracy", "status", "support"]
    empty = store.read(columns, 0, 0)
    return pa.concat_tables(
        [empty, *(store.read(columns, one.first, one.last) for one in levels if one.size)]
    )


def trained(plan: SpiralPlan, level: Level, supports: Supports, first: int) -> dict[str, Any]:
    """The columns of ``dctps_spiral_rows`` for all runs of some supports of a level.

    Args:
        plan: of the run.
        level: theirs.
        supports: some of it.
        first: rank of the first of them.
    """
    started = clock()
    config, network, each = plan.config, plan.network, plan.runs_each
    place = np.repeat(np.arange(len(supports)), each)
    recipes = plan.recipes()
    cells = np.tile(np.repeat(list(recipes), config.restarts), len(supports)).tolist()
    restarts = np.tile(np.arange(config.restarts), len(supports) * len(recipes))
    own = supports[place]
    # A restart is a block of its own: supports of weights alone differ in minibatches only.
    keys = RunKeys.make(
        config.seed, support_keys(own, network.shape.widths), cells, restarts, block=1
    )
    nets = NetBatch.create(network, keys, network.masks(own))
    trainer = plan.get_trainer()
    found = trainer.fit(nets, plan.task, [recipes[cell] for cell in cells], keys)
    scores = trainer.score(found, plan.task)
    biases = network.biases()[own].sum(axis=1)
    return {
        "rank": first + place,
        "level": level.number,
        "budget": level.budget,
        "parameters": level.budget + network.scales,
        "weights": level.budget - biases,
        "biases": biases,
        "origin": level.origin,
        "cell": cells,
        "restart": restarts,
        "accuracy": scores.accuracy,
        "status": np.where(scores.diverged, "diverged", "ok"),
        "support": list(own),
        "values": list(_values(network, found, own)),
        "alphas": list(_alphas(network, found)),
        "seconds": np.full(len(place), (clock() - started) / len(place)),
    }


def _values(network: DctMLP, nets: NetBatch, supports: Supports) -> npt.NDArray[np.float32]:
    """The numbers at the places of a support a network: float32 [net, place]."""
    layers = range(len(network.shape.layers))
    names = [f"{kind}{layer}" for layer in layers for kind in ("weight", "bias")]
    flat = [np.asarray(nets.params[name]).reshape(len(nets), -1) for name in names]
    return np.take_along_axis(np.concatenate(flat, axis=1), supports, axis=1)


def _alphas(network: DctMLP, nets: NetBatch) -> npt.NDArray[np.float32]:
    """float32 [net, layer]."""
    layers = range(len(network.shape.layers))
    ones = np.ones(len(nets), np.float32)
    return np.stack([nets.params.get(f"alpha{layer}", ones) for layer in layers], axis=1)


@lru_cache(maxsize=1)
def _loaded_plan(config: SpiralConfig, identity: str, threads: int) -> SpiralPlan:
    """The plan of the run with this identity, loaded once a process."""
    import torch

    plan = SpiralPlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    torch.set_num_threads(threads)
    return plan


class LevelsCourse(RoundsCourse):
    """All shards count; one is given out once all those that it depends on are saved."""

    def __init__(self, plan: SpiralPlan, done: Iterable[Shard]) -> None:
        shards = plan.shards()
        RoundsCourse.__init__(self, shards, np.full(len(shards), NONE), done)
        self._number = np.array([plan.level_of(shard).number for shard in shards])
        self._free = np.array([level.origin in ("all", "drawn") for level in plan.levels])

    def todo(self) -> Iterator[Shard]:
        """The shards that may be trained now; asked again, those that became possible."""
        return _Ready(self._shards, self._done, self._number, self._free, self._own)

    def missing(self) -> list[list[Shard]]:
        """What is to be trained: levels that wait for others are one list."""
        places = np.flatnonzero(self._left).tolist()
        if self._free[self._number[places]].all():
            return [[self._shards[place]] for place in places]
        # What waits needs all earlier levels: together they are one piece of work.
        return [[self._shards[place] for place in places]]


class _Ready(Iterator[Shard]):
    """Shards whose earlier levels are saved; it may have more after it had none."""

    def __init__(
        self,
        shards: Sequence[Shard],
        done: npt.NDArray[np.bool_],
        number: npt.NDArray[np.int64],
        free: npt.NDArray[np.bool_],
        own: npt.NDArray[np.bool_],
    ) -> None:
        self._shards, self._done, self._number, self._free = shards, done, number, free
        self._given = done | ~own

    def __next__(self) -> Shard:
        left = np.flatnonzero(~self._given)
        if not len(left):
            raise StopIteration
        open_levels = self._number[~self._done]
        first_open = int(open_levels.min())
        ready = self._free[self._number[left]] | (self._number[left] <= first_open)
        free = left[ready]
        if not len(free):
            raise StopIteration
        place = int(free[0])
        self._given[place] = True
        shard: Shard = self._shards[place]
        return shard
