"""Where a seed stands by the files of its rounds, and what it goes on with.

PyTorch and numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from one_shot import Goes, is_needed, stand_in
from round_files import (
    MOST,
    About,
    one_shot_path,
    read_one_shot,
    read_rounds,
    rounds_files,
)

from combsearch.errors import CorruptDataError, UsageError
from combsearch.nets import NetBatch
from combsearch.studies.masks import Masks, pack, unpack
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import dense_masks


@dataclass
class State:
    """Where a seed stands.

    Attributes:
        number: of the next round.
        masks: that it trains, as ``run_round`` takes them.
        goes: when one-shot pruning takes each weight; None before the dense network is trained,
            and where no chain needs it.
    """

    number: int
    masks: Masks
    goes: Goes | None = None

    def networks(self) -> int:
        """How many different ones the next round trains."""
        return len({words.tobytes() for words in pack(self.masks)})

    def dense(self, plan: PqiPlan, seed: int) -> NetBatch | None:
        """What one-shot pruning goes by, if it is known."""
        return None if self.goes is None else stand_in(plan, seed, self.goes)


def check_size(plan: PqiPlan) -> None:
    """The masks of a round must fit a file that travels."""
    weights = sum(mask[0].size for mask in dense_masks(plan).values())
    size = len(plan.chains) * weights / 8
    if size > MOST:
        raise UsageError(
            f"{len(plan.chains)} chains of {weights:,} weights: the masks of a round may come to"
            f" {size / 1e6:.1f} MB, a file holds {MOST / 1e6:.1f}; take fewer --scopes or"
            " --methods in a run"
        )


def take_up(plan: PqiPlan, about: About, folders: Sequence[Path]) -> State:
    """Where a seed stands, by the last of its rounds in these folders.

    Raises:
        RunMismatchError: that is of another run.
        CorruptDataError: its file is damaged.
        UsageError: a folder is not there, or holds too little to go on.
    """
    for folder in folders[1:]:
        if not rounds_files(folder, "seed", about.number):
            raise UsageError(
                f"--from {folder} has no rounds of seed {about.number}; name folders that were"
                " --out before"
            )
    files = [path for folder in folders for path in rounds_files(folder, "seed", about.number)]
    found = [(max(rounds.columns), rounds) for rounds in map(read_rounds, files)]
    full = dense_masks(plan)
    for _, rounds in found:
        about.check_same(rounds.about, rounds.path)
    if not found:
        return State(0, full)
    number, rounds = max(found, key=lambda pair: pair[0])
    words = rounds.columns[number].get("mask", np.zeros(0))
    if words.dtype != np.uint64 or words.shape != pack(full).shape:
        raise CorruptDataError(f"{rounds.path} has no masks of this network; fetch it again")
    goes = _goes(plan, about, folders) if is_needed(plan) else None
    return State(number + 1, unpack(words, full), goes)


def _goes(plan: PqiPlan, about: About, folders: Sequence[Path]) -> Goes:
    paths = [one_shot_path(folder, about.number) for folder in folders]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise UsageError(
            f"{paths[0].name} is in none of {', '.join(map(str, folders))}: one-shot pruning goes"
            " by it; every folder that was --out has it"
        )
    goes, its = read_one_shot(path)
    about.check_same(its, path)
    count = sum(mask[0].size for mask in dense_masks(plan).values())
    scopes = {chain.scope for chain in plan.chains if chain.by_dense}
    if goes.keys() != scopes or any(
        a.dtype != np.uint8 or a.shape != (count,) for a in goes.values()
    ):
        raise CorruptDataError(f"{path} is not of this network; fetch it again")
    return goes
