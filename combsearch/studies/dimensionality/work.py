"""The study as work on shards of a run folder: a shard is a round of all chains of a setting.

A round needs the masks that the round before it left, which its rows hold, and the weights that
it rewinds to, which stand in a file of the run folder. So the rounds of a setting go one after
the other, and settings side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from combsearch.dimension_rows import dimension_table
from combsearch.runfile import identity_digest
from combsearch.search.running import Outcome, check_unchanged
from combsearch.search.sharing import LOADING, give_way
from combsearch.search.training import committed
from combsearch.store import RunStore, Shard
from combsearch.studies.checkpoint import Halfway
from combsearch.studies.course import NONE, RoundsCourse
from combsearch.studies.dimensionality.config import ImpConfig
from combsearch.studies.dimensionality.imp import dense_masks, run_round
from combsearch.studies.dimensionality.plan import ImpPlan
from combsearch.studies.masks import Masks, unpack


@dataclass(frozen=True)
class ImpWork:
    """Trains and prunes the networks of a shard and commits their rows.

    Travels to other processes.

    Attributes:
        config: of the run.
        store: where the rows go.
        threads: of torch, in each process.
    """

    config: ImpConfig
    store: RunStore
    threads: int = 1

    def __call__(self, shard: Shard) -> Outcome:
        """See the class."""
        with LOADING:
            plan = _loaded_plan(self.config, identity_digest(self.store.identity), self.threads)
        table = committed(self.store, shard)
        if table is None:
            give_way()
            place, number = place_of(plan, shard)
            masks = self._masks(plan, shard, place, number)
            root = self.store.root
            table = dimension_table(run_round(plan, place, number, masks, root))
            self.store.write(shard, table)
            for step in plan.config.rewinds if number else (0,):
                Halfway.of(root, f"{place}-{step}", number).clear()
        return Outcome(len(table), 0, float(np.nanmax(table["accuracy"].to_numpy())))

    def _masks(self, plan: ImpPlan, shard: Shard, place: int, number: int) -> Masks:
        """What the round before left of the chains."""
        full = dense_masks(plan, plan.load(plan.settings[place]))
        if not number:
            return full
        rows = self.store.read(["mask"], shard.first - plan.chains, shard.first)
        words = rows["mask"].combine_chunks().flatten().to_numpy()
        return unpack(words.reshape(plan.chains, -1), full)


def place_of(plan: ImpPlan, shard: Shard) -> tuple[int, int]:
    """(place of the setting, round) of a shard."""
    return divmod(shard.first // plan.chains, plan.config.rounds + 1)


def all_shards(plan: ImpPlan) -> list[Shard]:
    """All shards of a run, ascending: setting by setting."""
    count = len(plan.settings) * (plan.config.rounds + 1)
    return [Shard(place * plan.chains, (place + 1) * plan.chains) for place in range(count)]


def all_rows(plan: ImpPlan) -> int:
    """Rows of the whole run."""
    return len(plan.settings) * (plan.config.rounds + 1) * plan.chains


def imp_course(plan: ImpPlan, done: Iterable[Shard]) -> RoundsCourse:
    """The rounds of a run, of which ``done`` are saved."""
    shards = all_shards(plan)
    places = np.arange(len(shards))
    first = places % (plan.config.rounds + 1) == 0
    return RoundsCourse(shards, np.where(first, NONE, places - 1), done)


@lru_cache(maxsize=1)
def _loaded_plan(config: ImpConfig, identity: str, threads: int) -> ImpPlan:
    """The plan of the run with this identity, loaded once a process."""
    import torch

    plan = ImpPlan.of(config)
    check_unchanged(getattr(config, "task", config.experiment), plan.identity(), identity)
    torch.set_num_threads(threads)
    return plan
