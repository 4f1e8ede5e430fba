"""The soak of scale, at a small one: real shards of a real plan, and figures that agree."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from soak import scale

from combsearch.rows import canonical
from combsearch.search import devices, mask_plan
from combsearch.search.results import successes
from combsearch.store import digest

SPACE = 22


@pytest.fixture(autouse=True)
def little_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_plan, "SHARD_WORK", 2e11)
    monkeypatch.setattr(devices, "_SHARD_WORK", 1e12)
    monkeypatch.setattr(scale, "_RARE", 1e-3)


def test_rows_made_up_are_those_of_their_ranks_wherever_shards_are_cut() -> None:
    plan = scale.plan_of(SPACE)
    lots = plan.lots[-12:]
    rows = scale.made_up_rows(plan, lots)
    assert len(rows) == sum(map(plan.started, lots)) and canonical(rows) is rows
    parts = [scale.made_up_rows(plan, lots[:5]), scale.made_up_rows(plan, lots[5:])]
    assert digest(rows) == digest(pa.concat_tables(parts))
    held = rows["parameters"].is_valid().to_numpy()
    assert len(lots) <= held.sum() < len(rows) / 10
    assert (held | ~successes(rows, plan.config.target)).all()


def test_the_soak_writes_reads_and_reports(tmp_path: Path) -> None:
    count = 10_000
    found = scale.scale_soak(
        tmp_path, count, space=SPACE, measure=lambda function, *words: function(*words)
    )
    plan = scale.plan_of(SPACE)
    assert found["plan"]["masks"] == plan.masks
    assert found["plan"]["runs"] == plan.masks * scale.RESTARTS
    for name, shards in (("cpu", plan.lots), ("gpu", scale.gpu_shards(plan))):
        measured, run = found[name]["measured"], found[name]["all_rows"]
        rows = [point["rows"] for point in measured]
        assert rows == sorted(rows) and rows[0] < count <= rows[-1]
        assert all(point["bound"] is not None for point in measured[1:])
        assert run["files_in_one_folder"] == len(shards)
        assert run["bytes_a_row"] == round(measured[-1]["bytes"] / rows[-1], 3)
        stored = list((tmp_path / name / "shards").iterdir())
        assert len(stored) == measured[-1]["files"]
        assert sum(file.stat().st_size for file in stored) == measured[-1]["bytes"]
    assert found["cpu"]["measured"][-1]["files"] > 2 * found["gpu"]["measured"][-1]["files"]
    assert found["eight_gpus"]["rows_a_second"] == 8 * 34_000
