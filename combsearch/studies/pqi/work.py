"""The study as work on shards of a run folder: a shard is one round of all chains of a seed.

A round needs the masks that the round before it left, which its rows hold, and one-shot pruning
the dense network of its seed, which stands in a file of the run folder. So the rounds of a seed
go one after the other, and seeds side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from combsearch.nets import NetBatch
from combsearch.pqi_rows import pqi_table
from combsearch.runfile import identity_digest
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, give_way
from combsearch.search.training import committed
from combsearch.store import RunStore, Shard
from combsearch.studies.checkpoint import Halfway, keep_dense, kept_dense
from combsearch.studies.course import NONE, RoundsCourse
from combsearch.studies.masks import Masks, unpack
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import dense_masks, networks, run_round
from combsearch.studies.pqi.training import train


@dataclass(frozen=True)
class PqiWork:
    """Trains, measures and prunes the networks of a shard and commits their rows.

    Travels to other processes.

    Attributes:
        config: of the run.
        store: where the rows go.
        threads: of torch, in each process.
    """

    config: PqiConfig
    store: RunStore
    threads: int = 1

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, identity_digest(self.store.identity), self.threads)
        table = committed(self.store, shard)
        if table is None:
            give_way()
            number, seed = place_of(plan, shard)
            masks = self._masks(plan, shard, number)
            dense = self._dense(plan, seed) if number else None
            halfway = Halfway.of(self.store.root, seed, number)
            columns, nets = run_round(plan, seed, number, masks, dense, halfway)
            if not number:
                keep_dense(self.store.root, seed, nets[np.array([0])])
            table = pqi_table(columns)
            self.store.write(shard, table)
            halfway.clear()
        return Outcome(len(table), 0, float(np.nanmax(table["accuracy"].to_numpy())))

    def _masks(self, plan: PqiPlan, shard: Shard, number: int) -> Masks:
        """What the round before left of the chains."""
        full = dense_masks(plan)
        if not number:
            return full
        before = shard_of(plan, number - 1, place_of(plan, shard)[1])
        rows = self.store.read(["mask"], before.first, before.last)
        words = rows["mask"].combine_chunks().flatten().to_numpy()
        return unpack(words.reshape(len(plan.chains), -1), full)

    def _dense(self, plan: PqiPlan, seed: int) -> NetBatch | None:
        """The checkpoint of the dense network; trained again where its file is gone."""
        if not any(chain.by_dense for chain in plan.chains):
            return None
        one = {name: mask[:1] for name, mask in dense_masks(plan).items()}
        start = networks(plan, seed, one)
        found = kept_dense(self.store.root, seed, start)
        if found is None:
            found = train(plan, start, seed).checkpoint
            keep_dense(self.store.root, seed, found)
        return found


def place_of(plan: PqiPlan, shard: Shard) -> tuple[int, int]:
    """(round, seed) of a shard."""
    return divmod(shard.first // len(plan.chains), plan.config.seeds)


def shard_of(plan: PqiPlan, number: int, seed: int) -> Shard:
    """The shard of a round of a seed."""
    first = (number * plan.config.seeds + seed) * len(plan.chains)
    return Shard(first, first + len(plan.chains))


def all_shards(plan: PqiPlan) -> list[Shard]:
    """All shards of a run, ascending: round by round."""
    rounds, seeds = plan.config.rounds + 1, plan.config.seeds
    return [shard_of(plan, number, seed) for number in range(rounds) for seed in range(seeds)]


@lru_cache(maxsize=1)
def _loaded_plan(config: PqiConfig, identity: str, threads: int) -> PqiPlan:
    """The plan of the run with this identity, loaded once a process."""
    import torch

    plan = PqiPlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    torch.set_num_threads(threads)
    return plan


def pqi_course(plan: PqiPlan, done: Iterable[Shard]) -> RoundsCourse:
    """The rounds of a run, of which ``done`` are saved."""
    shards = all_shards(plan)
    before = np.arange(len(shards)) - plan.config.seeds
    return RoundsCourse(shards, np.where(before < 0, NONE, before), done)
