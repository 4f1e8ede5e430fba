"""The study as work on shards of a run folder: a shard is one network, and waits for no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from combsearch.dctps_rows import dctps_table
from combsearch.runfile import identity_digest
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, give_way
from combsearch.search.training import committed
from combsearch.store import RunStore, Shard
from combsearch.studies.checkpoint import Halfway
from combsearch.studies.course import NONE, RoundsCourse
from combsearch.studies.dctps.config import DctpsConfig, all_rows
from combsearch.studies.dctps.plan import DctpsPlan
from combsearch.studies.dctps.training import run_network


@dataclass(frozen=True)
class DctpsWork:
    """Trains the network of a shard and commits its row.

    Travels to other processes.

    Attributes:
        config: of the run.
        store: where the rows go.
        threads: of torch, in each process.
    """

    config: DctpsConfig
    store: RunStore
    threads: int = 1

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, identity_digest(self.store.identity), self.threads)
        table = committed(self.store, shard)
        if table is None:
            give_way()
            place, seed = place_of(plan.config, shard)
            halfway = Halfway.of(self.store.root, place, seed)
            table = dctps_table(run_network(plan, place, seed, halfway))
            self.store.write(shard, table)
            halfway.clear()
        return Outcome(len(table), 0, float(table["accuracy"][0].as_py()))


def place_of(config: DctpsConfig, shard: Shard) -> tuple[int, int]:
    """(place of the setting, seed) of a shard."""
    return divmod(shard.first, config.seeds)


@lru_cache(maxsize=1)
def _loaded_plan(config: DctpsConfig, identity: str, threads: int) -> DctpsPlan:
    """The plan of the run with this identity, loaded once a process."""
    import torch

    plan = DctpsPlan.of(config)
    check_unchanged(config.task, plan.identity(), identity)
    torch.set_num_threads(threads)
    return plan


def dctps_course(config: DctpsConfig, done: Iterable[Shard]) -> RoundsCourse:
    """The networks of a run, of which ``done`` are saved."""
    shards = [Shard(rank, rank + 1) for rank in range(all_rows(config))]
    return RoundsCourse(shards, np.full(len(shards), NONE), done)
