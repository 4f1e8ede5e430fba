"""What a report says, gathered table by table, is what one table of all rows says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive_mask_report as naive
import numpy as np
import pyarrow as pa
import pytest
from searching import phase2, write_task

from combsearch import pieces as pieces_module
from combsearch.commands.mask_report import levels_report, make_report
from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.plots.runs import frontier_runs, read_runs
from combsearch.rng import RunKeys
from combsearch.rows import canonical
from combsearch.saved_network import save_network
from combsearch.search.level_results import best_run, race_loss
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.mask_training import train_shard
from combsearch.search.tally import Tally, best_of_levels, gathered, tally_of
from combsearch.search_config import ExhaustConfig
from combsearch.store import RunStore, Shard, digest


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    # Tables of a few rows, so that small runs are many of them.
    monkeypatch.setattr(pieces_module, "_ROWS", 40)
    return tmp_path


def one_start() -> MaskPlan:
    nets = NetBatch.create(
        MLP(NetShape.from_hidden((2, 2)), 16), RunKeys.make(9, [1], ["0.1:step"], [0])
    )
    save_network("start.npz", nets)
    return phase2(init="start.npz", restarts=4, target=0.7)


def every_shape(**changes: Any) -> MaskPlan:
    given: dict[str, Any] = {
        "task": "clouds.csv", "depth": 2, "width": 3, "target": 0.9, "restarts": 260,
        "min_restarts": 8, "epochs": 5, "batch_size": 16, "max_nonzeros": 12, "level_runs": 2000,
    }  # fmt: skip
    return MaskPlan.of(ExhaustConfig(**given | changes))


PLANS: dict[str, Callable[[], MaskPlan]] = {
    "plain": lambda: phase2(target=0.7),
    "no success": lambda: phase2(target=1.0, cells=("0.05:cosine",)),
    "several cells, some diverge": lambda: phase2(
        target=0.7, cells=("0.1:step", "1e8:cosine", "0.05:cosine")
    ),
    "raced": lambda: phase2(
        target=0.7, race=True, restarts=300, controls=2, epochs=20, max_nonzeros=12
    ),
    "raced, target too high": lambda: every_shape(race=True, controls=3, target=0.99),
    "one initialisation": one_start,
    "exhaust": lambda: every_shape(race=False, level_runs=300),
}


def cut(plan: MaskPlan, rows: pa.Table, bounds: list[int], folder: str) -> RunStore:
    """A run folder with the rows between each bound and the next, where both are not negative."""
    store = RunStore.open(folder, plan.identity())
    rank = rows["rank"].to_numpy()
    for first, last in itertools.pairwise(bounds):
        if 0 <= first < last:
            own = rows.slice(*_span(rank, first, last))
            store.write(Shard(first, last), own)
    return store


def _span(rank: Any, first: int, last: int) -> tuple[int, int]:
    start, stop = np.searchsorted(rank, [first, last])
    return int(start), int(stop - start)


def facts(plan: MaskPlan, store: RunStore, end: int) -> dict[str, Any]:
    """As the oracle names them."""
    tally = tally_of(plan, store, end)
    report = make_report(plan, tally, None)
    loss = race_loss(plan, tally.controls)
    assert levels_report(plan, tally_of(plan, store, end, digested=False)).items() <= report.items()
    return {
        **{name: report[name] for name in naive.facts(plan, store, end) if name in report},
        "race": None if loss is None else (loss.controls, loss.kept, loss.lost, loss.threshold),
        "best": best_run(tally.best, plan.config.target),
        "done": tally.trained(0, end),
    }


@pytest.mark.parametrize("name", PLANS)
def test_a_tally_says_what_all_rows_at_once_say(name: str) -> None:
    plan = PLANS[name]()
    rows = canonical(train_shard(plan, Shard(0, plan.masks)))
    third, half = plan.masks // 3, plan.masks // 2
    ends = {
        "whole": [0, plan.masks],
        "little": list(range(plan.masks + 1)),
        "uneven": [0, 1, third, half, plan.masks],
        "with a hole": [0, third, -1, half, plan.masks],
        "the rest": [half, plan.masks],
        "overlapping": [third, plan.masks, 0, half, third, plan.masks - 1, 0, 2],
        "nothing": [],
    }
    digests = {}
    for folder, bounds in ends.items():
        store = cut(plan, rows, bounds, folder)
        for end in (plan.masks, plan.segments[-1].rank):
            found = facts(plan, store, end)
            assert found == naive.facts(plan, store, end), (folder, end)
            digests[folder, end] = found["digest"]
    same = {digests[folder, plan.masks] for folder in ("whole", "little", "uneven", "overlapping")}
    assert same == {digest(rows)}


def test_the_runs_tested_here_hold_what_they_are_named_after() -> None:
    found = {}
    for name, make in PLANS.items():
        plan = make()
        rows = canonical(train_shard(plan, Shard(0, plan.masks)))
        found[name] = make_report(plan, gathered(plan, [rows], []), None), rows
    assert (
        found["plain"][0]["successful_orbits"] and not found["no success"][0]["successful_orbits"]
    )
    status = found["several cells, some diverge"][1]["status"].to_pylist()
    assert {"ok", "diverged"} == set(status)
    for name in ("raced", "raced, target too high"):
        race = found[name][0]["race"]
        assert race["kept"] and race["lost"]
    assert not found["raced"][0]["race"]["estimated"]
    assert found["raced, target too high"][0]["race"]["estimated"]


def test_figures_show_the_same_networks_by_the_best_of_each_level() -> None:
    plan = phase2(target=0.6, restarts=8)
    rows = canonical(train_shard(plan, Shard(0, plan.masks)))
    held = rows.filter(rows["parameters"].is_valid())
    best = best_of_levels(held)
    assert 1 < len(best) < len(held)
    shown = [held.take(pa.array(frontier_runs(read_runs(held)))),
             best.take(pa.array(frontier_runs(read_runs(best))))]  # fmt: skip
    assert shown[0].equals(shown[1]) and len(shown[0])


def test_rows_must_come_in_order() -> None:
    plan = phase2()
    rows = canonical(train_shard(plan, Shard(0, plan.masks)))
    tally = Tally(plan)
    tally.add(rows.slice(30))
    with pytest.raises(UsageError, match="come after rows that they stand before"):
        tally.add(rows.slice(0, 30))


def test_a_damaged_shard_is_named() -> None:
    plan = phase2()
    rows = canonical(train_shard(plan, Shard(0, plan.masks)))
    store = cut(plan, rows, list(range(plan.masks + 1)), "run")
    file = sorted((store.root / "shards").iterdir())[3]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CorruptDataError, match=file.name):
        tally_of(plan, store, plan.masks)
    assert tally_of(plan, store, 3).trained(0, plan.masks) == 3
