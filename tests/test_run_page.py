"""What the page of a run shows, against plain loops over all rows of it."""

from __future__ import annotations

import base64
import bisect
import itertools
import json
import math
import re
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from searching import phase2, small_config, write_task

from combsearch import pieces as pieces_module
from combsearch.commands.descend import descend_command
from combsearch.commands.options import Options
from combsearch.commands.runs import run_status
from combsearch.errors import CorruptDataError, UsageError
from combsearch.frontier import excluded_probability, success_interval
from combsearch.mask import MaskBatch
from combsearch.report.run import descend as run_descend
from combsearch.report.run import networks as run_networks
from combsearch.report.run import rows as run_rows
from combsearch.report.run import shown as run_shown
from combsearch.report.run import tables as run_tables
from combsearch.report.run.data import run_data
from combsearch.report.run.page import run_page
from combsearch.rows import canonical
from combsearch.search import descent
from combsearch.search.descend import DescendPlan, read_state
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.mask_training import train_shard
from combsearch.search.plan import Plan
from combsearch.search_config import DescendConfig
from combsearch.store import RunStore, Shard, rows_table

Row = dict[str, Any]
ODD = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    # Tables of a few rows, so that small runs are many of them.
    monkeypatch.setattr(pieces_module, "_ROWS", 40)
    return tmp_path


def shown(store: RunStore) -> Row:
    """The data of a page; they must be JSON, and always the same."""
    data = run_data(store, run_status(store)[0])
    assert data == run_data(store, run_status(store)[0])
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    return data


# ---- runs ------------------------------------------------------------------------------


def dense_run(name: str = "dense", parts: int = 5, **changes: Any) -> RunStore:
    """Phase one with rows that nobody trained: some diverge, one shape has nothing else."""
    plan = Plan.of(small_config("clouds.csv", full=True, restarts=6, **changes))
    store, rng = RunStore.open(name, plan.identity()), np.random.default_rng(3)
    tables = [_dense_rows(plan, rank, rng) for rank in range(len(plan.grid))]
    ends = np.linspace(0, len(tables), parts + 1).astype(int).tolist()
    for first, last in itertools.pairwise(ends):
        store.write(Shard(first, last), canonical(pa.concat_tables(tables[first:last])))
    return store


def _dense_rows(plan: Plan, rank: int, rng: np.random.Generator) -> pa.Table:
    shape, runs = plan.grid.shape(rank), 6 * len(plan.cells)
    accuracy = rng.integers(40, 97, runs) / 96  # ties are many
    lost = rng.random(runs) < (1.0 if rank == 4 else 0.2)
    best = -1 if lost.all() else int(np.argmax(np.where(lost, -1, accuracy)))
    values = rng.normal(size=(runs, shape.parameters)).astype(np.float32)
    return rows_table(
        rank=np.full(runs, rank),
        shape=",".join(map(str, shape.widths)),
        mask=MaskBatch.dense_of(shape).keys()[0],
        nonzeros=shape.dense_nonzeros,
        cell=[cell for cell in plan.cells for _ in range(6)],
        restart=np.tile(np.arange(6), len(plan.cells)),
        accuracy=np.where(lost & (rng.random(runs) < 0.5), np.nan, accuracy),
        status=np.where(lost, "diverged", "ok"),
        parameters=[values[run] if run == best else None for run in range(runs)],
    )


def mask_run(plan: MaskPlan, name: str = "masks", last: int | None = None) -> RunStore:
    store = RunStore.open(name, plan.identity())
    for shard in [Shard(0, 3), Shard(3, last or plan.masks)]:
        store.write(shard, canonical(train_shard(plan, shard)))
    return store


def naive_rows(store: RunStore) -> list[Row]:
    rows: list[Row] = store.read().to_pylist()
    return rows


def counts(row: Row) -> bool:
    return row["status"] not in ("diverged", "collapsed") and math.isfinite(row["accuracy"])


# ---- oracles ---------------------------------------------------------------------------


def decoded(points: Row) -> list[tuple[Any, ...]]:
    """(nonzeros, accuracy, details ...) of every point."""
    nonzeros = np.frombuffer(base64.b64decode(points["nonzeros"]), "<i4").tolist()
    accuracy = np.frombuffer(base64.b64decode(points["accuracy"]), "<f8").tolist()
    columns = []
    for detail in points["details"]:
        values = np.frombuffer(base64.b64decode(detail["values"]), "<i4").tolist()
        columns.append([detail["labels"][v] if "labels" in detail else v for v in values])
    return list(zip(nonzeros, accuracy, *columns, strict=True))


def hidden(shape: str) -> str:
    return "(" + ",".join(shape.split(",")[1:-1]) + ")"


def check_frontier(data: Row, rows: list[Row]) -> None:
    best: dict[int, float] = {}
    for row in filter(counts, rows):
        best[row["nonzeros"]] = max(best.get(row["nonzeros"], -1), row["accuracy"])
    assert [(one["nonzeros"], one["accuracy"]) for one in data["best"]] == sorted(best.items())
    steps: list[list[float]] = []
    for nonzeros, accuracy in sorted(best.items()):
        if not steps or accuracy > steps[-1][1]:
            steps.append([nonzeros, accuracy])
    assert data["frontier"] == steps
    for one in data["best"]:
        details = dict(one["details"])
        assert any(
            counts(row)
            and (row["nonzeros"], row["accuracy"]) == (one["nonzeros"], one["accuracy"])
            and hidden(row["shape"]) == details["shape"]
            and (row["cell"], str(row["restart"])) == (details["recipe"], details["restart"])
            for row in rows
        )


def check_networks(data: Row, rows: list[Row]) -> None:
    """Every network is that of a row with the accuracy that the table states."""
    held = {
        (row["accuracy"], row["cell"], row["restart"], row["nonzeros"]): row
        for row in rows
        if row["parameters"] is not None
    }
    for item in data["networks"]:
        about = item["file"]
        nonzeros = int(re.search(r" (\d+) nonzeros", item["name"])[1])  # type: ignore[index]
        row = held[about["accuracy"], about["cell"], about["restart"], nonzeros]
        widths = item["network"]["widths"]
        assert widths == list(map(int, row["shape"].split(",")))
        values = [*item["network"]["weights"], *item["network"]["biases"]]
        assert sum(len(layer[-1]) for layer in values) == row["nonzeros"]
        flat = np.array(row["parameters"], np.float32)
        start = 0
        for layer, (fan, out) in enumerate(itertools.pairwise(widths)):
            places, columns, weights = item["network"]["weights"][layer]
            matrix = flat[start : start + out * fan].reshape(out, fan)
            assert matrix[places, columns].tolist() == np.float32(weights).tolist()
            start += out * fan
            places, biases = item["network"]["biases"][layer]
            assert flat[start : start + out][places].tolist() == np.float32(biases).tolist()
            start += out
    for table in data["tables"]:
        names = [column["name"] for column in table["columns"]]
        at = names.index("best accuracy")
        for row, place in zip(table["rows"], table["networks"], strict=True):
            if place >= 0:
                assert data["networks"][place]["file"]["accuracy"] == row[at]


def naive_bins(bins: Row, rows: list[Row]) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for row in filter(counts, rows):
        column = bisect.bisect_right(bins["nonzeros"], row["nonzeros"]) - 1
        place = bisect.bisect_right(bins["accuracy"][:-1], row["accuracy"]) - 1
        found[column, place] += 1
    return found


# ---- tests -----------------------------------------------------------------------------


def test_phase_one_says_what_its_rows_say() -> None:
    store = dense_run(target=0.95)
    rows, data = naive_rows(store), shown(store)
    check_frontier(data, rows)
    check_networks(data, rows)
    lost = sum(row["status"] == "diverged" for row in rows)
    assert [one[:2] for one in data["counts"]] == [["rows saved", len(rows)], ["diverged", lost]]
    assert data["runs"] == len(rows) - lost and data["bins"] is None
    names = ("nonzeros", "accuracy", "shape", "cell", "restart")
    told = [tuple(row[name] for name in names) for row in filter(counts, rows)]
    told = [(n, a, hidden(shape), *rest) for n, a, shape, *rest in told]
    assert sorted(decoded(data["points"])) == sorted(told)
    assert data["finished"] and data["progress"]["done"] == data["progress"]["whole"] == 9
    assert data["kind"].startswith("Phase one") and "--full" in data["made_by"]


def test_shares_of_levels_and_shapes_are_those_of_plain_counts() -> None:
    store = dense_run(target=0.95)
    rows, data = naive_rows(store), shown(store)

    def good(own: list[Row]) -> int:
        return sum(counts(row) and row["accuracy"] >= 0.95 for row in own)

    for level in data["levels"]:
        own = [row for row in rows if row["nonzeros"] == level["nonzeros"]]
        shapes = Counter(row["shape"] for row in own)
        assert (level["started"], level["successes"]) == (len(own), good(own))
        assert level["interval"] == list(success_interval(good(own), len(own)))
        assert level["masks"] == len(shapes) and level["restarts"] == min(shapes.values())
        limits: list[float | None] = [None, None]
        if not good(own):
            each = min(shapes.values())
            limits = [excluded_probability(each, orbits=n) for n in (1, len(shapes))]
        assert [level["each"], level["whole"]] == limits
    assert {level["successes"] > 0 for level in data["levels"]} == {True, False}
    by_shape = {row[0]: row for row in data["tables"][1]["rows"]}
    for shape in {row["shape"] for row in rows}:
        own = [row for row in rows if row["shape"] == shape]
        best = max((row["accuracy"] for row in own if counts(row)), default=None)
        ends = list(success_interval(good(own), len(own)))
        share = good(own) / len(own)
        expected = [best, len(own), good(own), share, ends]
        assert [by_shape[hidden(shape)][0], *by_shape[hidden(shape)][2:]] == [
            hidden(shape), *expected
        ]  # fmt: skip
    hits = [row for row in data["tables"][1]["rows"] if row[4]]
    near = [row for row in data["tables"][1]["rows"] if not row[4] and row[1] <= hits[-1][1]]
    near = sorted(near, key=lambda row: -(row[2] or 0))[:6]
    assert len(hits) > 1 and len(data["shares"]) == len(hits) + len(near)
    told = [(one["shape"], one["runs"], one["successes"]) for one in data["shares"]]
    assert sorted(told) == sorted((row[0], row[3], row[4]) for row in hits + near)
    assert None in [row[2] for row in by_shape.values()]  # a shape that only diverged


def test_shapes_are_not_drawn_where_at_most_one_of_them_succeeds() -> None:
    def drawn(successes: list[int]) -> list[int]:
        groups = {}
        for place, hits in enumerate(successes):
            best = run_rows.Best(0.5 + place / 99, 9 + place, True, f"2,{place},1", "", 0, place)
            groups[best.shape] = run_rows.Group(8, hits, best)
        rows = run_tables.share_rows(groups, dict.fromkeys(groups, 8))
        return [row["nonzeros"] - 9 for row in rows]

    assert drawn([0] * 40) == drawn([0] * 30 + [3] + [0] * 9) == []
    # All successes, the six best misses below the last of them, and none above it.
    assert drawn([1] + [0] * 8 + [2] + [0] * 30) == [0, 3, 4, 5, 6, 7, 8, 9]
    assert drawn([0] * 10 + [1] * 40) == list(range(4, 30))


@pytest.mark.parametrize("columns", [240, 3])
def test_many_runs_become_bins_that_hold_each_of_them(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(run_rows, "MOST_POINTS", 20)
    monkeypatch.setattr(run_rows, "MOST_COLUMNS", columns)
    store = dense_run(parts=2)
    rows, data = naive_rows(store), shown(store)
    bins = data["bins"]
    assert data["points"] is None and len(bins["nonzeros"]) - 1 <= columns
    found = dict(zip(zip(bins["column"], bins["row"], strict=True), bins["count"], strict=True))
    assert found == naive_bins(bins, rows)
    assert sum(bins["count"]) == data["runs"] == sum(map(counts, rows))
    for edges in (bins["nonzeros"], bins["accuracy"]):
        assert edges == sorted(set(edges))
    check_frontier(data, rows)


def test_columns_hold_every_number_between_their_ends() -> None:
    for low, high in ((5, 5), (9, 300), (1, 149), (0, 9000), (1, 100_000), (3, 2_000_000_000)):
        edges = run_rows.column_edges(low, high)
        assert edges[0] == low and edges[-1] == high + 1 and (np.diff(edges) > 0).all()
        assert len(edges) - 1 <= run_rows.MOST_COLUMNS


@pytest.mark.parametrize(
    "plan",
    [
        {"target": 0.7},
        {"target": 0.7, "race": True, "restarts": 300, "controls": 2, "epochs": 20,
         "max_nonzeros": 12, "every_level": True},
        {"target": 1.0, "cells": ("0.05:cosine",)},
    ],
    ids=["plain", "raced", "no success"],
)  # fmt: skip
def test_masks_say_what_their_rows_say(plan: dict[str, Any]) -> None:
    made = phase2(**plan)
    store = mask_run(made)
    status, data = run_status(store)[0], shown(store)
    end = status["masks_done"] + status["masks_left"]
    rows = [row for row in naive_rows(store) if row["rank"] < end]
    check_frontier(data, rows)
    check_networks(data, rows)
    assert data["runs"] == sum(map(counts, rows))
    assert len(data["levels"]) == len(status["levels"])
    for level, stated in zip(data["levels"], status["levels"], strict=True):
        assert (level["started"], level["successes"]) == (stated["started"], stated["successes"])
    counted = {name: number for name, number, _ in data["counts"]}
    started = sum(level["started"] for level in status["levels"])
    assert counted.get("given up by a race", 0) == started - len(rows)
    assert counted.get("runs in all", len(rows)) == started
    assert counted.get("spared", 0) == sum(row["status"] == "spared" for row in rows)
    assert (started > len(rows)) == made.config.race
    if status["bound"] is None:
        assert data["bound"] is None and data["finding"][0].startswith("No run reached 100%")
    else:
        assert data["bound"]["nonzeros"] == status["bound"]
        assert data["bound"]["accuracy"] == max(
            row["accuracy"] for row in rows if counts(row) and row["nonzeros"] == status["bound"]
        )
        assert f"Trained bound: {status['bound']} nonzeros" in data["finding"][0]


def test_masks_of_more_classes_than_the_fused_trainer_takes(in_a_folder: Path) -> None:
    (in_a_folder / "three_clouds.py").write_text(
        "import numpy as np\nfrom combsearch import Task\n"
        "Y = np.arange(60, dtype=np.uint8) % 3\n"
        "X = np.stack([Y == 0, Y == 1], axis=1).astype(np.float32)\n"
        "THREE = Task('three', X, Y, classes=3)\n"
    )
    plan = phase2(task="three_clouds:THREE", shape="2", restarts=1, epochs=1)
    assert plan.trainer == "vmap"
    store = mask_run(plan, last=6)
    data = shown(store)
    check_networks(data, naive_rows(store))
    assert data["task"]["classes"] == 3 and data["networks"][0]["network"]["widths"][-1] == 3


def test_a_search_that_goes_on_says_what_is_left() -> None:
    plan = phase2(target=1.0)
    store = mask_run(plan, last=plan.masks - 5)
    data = shown(store)
    assert not data["finished"]
    assert data["progress"] == {
        "done": plan.masks - 5, "whole": plan.masks, "unit": "masks", "at_most": True
    }  # fmt: skip
    assert data["levels"][-1]["restarts"] == 0  # not all of the level are trained
    assert data["levels"][-1]["each"] is None


def test_a_run_without_any_row_has_a_page() -> None:
    store = RunStore.open("empty", phase2().identity())
    data = shown(store)
    assert data["finding"] == ["No run is saved yet."] and data["best"] == data["networks"] == []
    assert data["points"] is None and data["bins"] is None
    assert run_page(store, run_status(store)[0])
    dense = RunStore.open("none", Plan.of(small_config("clouds.csv")).identity())
    assert shown(dense)["levels"] == []


def test_a_task_that_is_no_longer_there_is_no_reason_to_show_nothing(in_a_folder: Path) -> None:
    store = dense_run()
    write_task(in_a_folder / "clouds.csv", 50)
    data = shown(store)
    assert data["task"] is None and "is not what it was" in data["missing"] and data["networks"]
    (in_a_folder / "clouds.csv").unlink()
    assert "not to be had here" in shown(store)["missing"]


def test_a_sweep_says_what_its_status_says(root: Path) -> None:
    store = RunStore.attach(root / "results" / "prune-bench-95")
    status = run_status(store)[0]
    rows, data = naive_rows(store), run_data(store, status)
    stated = [
        [group["method"], group["width"], one["budget"], one["accuracy"], one.get("nonzeros"),
         one["runs"]]
        for group in status["groups"] for one in group["budgets"]
    ]  # fmt: skip
    assert data["tables"][0]["rows"] == stated
    assert data["runs"] == sum(map(counts, rows)) < len(rows)
    assert sorted(p[:2] for p in decoded(data["points"])) == sorted(
        (row["nonzeros"], row["accuracy"]) for row in rows if counts(row)
    )
    check_frontier(data, rows)
    assert data["target"] is None and data["bound"] is None and data["levels"] == []
    saved = {(r["method"], r["width"], r["budget"], r["accuracy"]) for r in rows if r["parameters"]}
    for row, place in zip(data["tables"][0]["rows"], data["tables"][0]["networks"], strict=True):
        if place >= 0:
            about = data["networks"][place]["file"]
            told = (about["method"], about["width"], about["budget"], about["accuracy"])
            assert told == tuple(row[:4]) and told in saved


def test_a_descent_is_shown_while_it_goes_on_and_when_it_is_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(descent, "TURNS", 0)
    monkeypatch.setattr(descent, "_LAST_POLISH", 3)
    config = DescendConfig(
        task="clouds.csv", shapes=("2x2", "1x3"), restarts=16, beam=2, retrain_epochs=1, target=0.75
    )
    folder = Path(descend_command(config, Options(runs="runs", jobs=1, json=True))["run_folder"])
    store = RunStore.attach(folder)
    summary = json.loads((folder / "summary.json").read_bytes())
    data = shown(store)
    assert data["finished"] and data["bound"]["nonzeros"] == summary["lowest"]["nonzeros"]
    expected = [(one["nonzeros"], one["accuracy"]) for one in summary["frontier"]]
    assert [(one["nonzeros"], one["accuracy"]) for one in data["best"]] == expected
    assert len(decoded(data["points"])) == sum(len(s["frontier"]) for s in summary["by_shape"])
    assert len(data["networks"]) == len(expected)
    (folder / "frontier" / f"{expected[0][0]}.npz").unlink()
    assert next(one["network"] for one in shown(store)["best"]) == run_networks.NOT_SAVED
    (folder / "summary.json").unlink()  # what is there before the end
    going = shown(store)
    best: dict[int, float] = {}
    for path, shape in DescendPlan.of(config).paths(folder):
        state = read_state(path, shape)
        assert state is not None
        for level, scored in state.elites.items():
            best[level] = max(best.get(level, 0), int(scored.correct.max()) / 96)
    assert [(one["nonzeros"], one["accuracy"]) for one in going["best"]] == sorted(best.items())
    for one, item in zip(going["best"], going["networks"], strict=True):
        kept = [*item["network"]["weights"], *item["network"]["biases"]]
        assert sum(len(layer[-1]) for layer in kept) == one["nonzeros"]
    assert not run_descend.descents_of(store).finished
    (folder / "descents" / "1x3.npz").unlink()
    assert not shown(store)["finished"] and shown(store)["progress"]["done"] == 2
    sound: Row = {"nonzeros": 9, "accuracy": 0.5, "shape": [2, 1, 1], "start": [2, 1, 1]}
    wrong: list[Row] = [
        {"accuracy": math.nan}, {"accuracy": 1e308}, {"nonzeros": 10**30}, {"start": 0},
    ]  # fmt: skip
    for changes in wrong:
        by_shape = [{"shape": [2, 1, 1], "joint": False, "frontier": {}}]
        damaged = {"by_shape": by_shape, "frontier": [sound | changes]}
        (folder / "summary.json").write_text(json.dumps(damaged))
        with pytest.raises(CorruptDataError, match=r"summary\.json is damaged"):
            run_descend.descents_of(store)
    (folder / "summary.json").write_text('{"by_shape": 1}')
    with pytest.raises(CorruptDataError, match=r"summary\.json is damaged"):
        run_data(store, run_status(store)[0])


def test_networks_that_have_no_room_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = dense_run()
    every = shown(store)
    monkeypatch.setattr(run_networks, "MOST_NETWORKS", 2)
    few = shown(store)
    assert len(few["networks"]) == 2 < len(every["networks"])
    places = few["tables"][1]["networks"]
    assert set(places) == {0, 1, run_networks.LEFT_OUT, run_networks.NOT_SAVED}
    top = max(few["best"], key=lambda one: one["accuracy"])
    assert top["network"] >= 0  # the best go first
    size = len(json.dumps(every["networks"][0]))
    networks = run_networks.Networks(room=size + 10)
    networks.add((0, "", 0), lambda: every["networks"][0])
    networks.add((1, "", 0), lambda: every["networks"][0])
    assert len(networks.items) == 1 and networks.room == 10


def test_of_many_shapes_those_around_the_first_success_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_tables, "MOST_ROWS", 6)
    data = shown(dense_run(target=0.95))
    table = data["tables"][1]
    assert len(table["rows"]) <= 6 and "of 9 shapes" in table["note"]
    hits = [row for row in table["rows"] if row[4]]
    assert 0 < len(hits) <= 4
    assert [row[1] for row in table["rows"]] == sorted(row[1] for row in table["rows"])


def test_of_many_numbers_of_nonzeros_the_frontier_and_some_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = shown(dense_run(target=0.99))
    monkeypatch.setattr(run_shown, "MOST_LEVELS", 6)
    data = shown(dense_run(target=0.99))
    numbers = [one["nonzeros"] for one in data["best"]]
    left = {one["nonzeros"] for one in every["best"]} - set(numbers)
    assert left and {step[0] for step in every["frontier"]} <= set(numbers)
    assert data["frontier"] == every["frontier"] and data["bins"] == every["bins"]
    for part in ("best", "levels"):
        kept = [one for one in every[part] if one["nonzeros"] not in left]
        assert [one["nonzeros"] for one in data[part]] == [one["nonzeros"] for one in kept]
    rows = [row for row in every["tables"][0]["rows"] if row[0] not in left]
    assert data["tables"][0]["rows"] == rows
    assert data["finding"][:-1] == every["finding"]
    assert data["finding"][-1].startswith(f"Runs have {len(rows) + len(left)} different numbers")


def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_rows, "MOST_POINTS", 200)
    rows = dense_run().read()

    def peak(times: int) -> int:
        def tables() -> Iterator[pa.Table]:
            for _ in range(times):
                yield rows.take(pa.array(range(len(rows))))

        tracemalloc.start()
        before = pa.total_allocated_bytes()
        found = run_rows.gathered(tables(), 0.9)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.rows == times * len(rows) and found.bins() is not None
        assert pa.total_allocated_bytes() - before < rows.nbytes  # nothing of it is kept
        return most

    peak(40)  # what is made once is made here
    assert peak(200) < 1.2 * peak(40)


def test_a_name_is_text_wherever_it_stands() -> None:
    store = dense_run(ODD)
    made = run_page(store, run_status(store)[0])
    assert made == run_page(store, run_status(store)[0])
    text = made.decode()
    assert ODD not in text and "<img" not in text
    assert "<title>&lt;img src=x onerror=alert(1)&gt;: phase1</title>" in text
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block is not None and json.loads(block[1])["name"] == ODD


def test_a_live_page_has_its_script_and_no_other_difference() -> None:
    store = dense_run()
    status = run_status(store)[0]
    still, live = run_page(store, status).decode(), run_page(store, status, live=True).decode()
    assert "const Live" in live and "const Live" not in still
    assert "connect-src 'self'" in live and "connect-src" not in still


def test_damage_beside_the_rows_is_told(root: Path, in_a_folder: Path) -> None:
    store = dense_run()
    folder = in_a_folder / store.root
    assert shown(store)["damaged"] == []
    (folder / "summary.json").write_text("{}")
    assert [text.split(",")[0] for text in shown(store)["damaged"]] == ["best.npz is missing"]
    (folder / "summary.json").write_text("{")
    (folder / "best.npz").write_bytes(b"PK")
    texts = shown(store)["damaged"]
    assert [text.split(",")[0] for text in texts] == [
        "summary.json is damaged", "best.npz is damaged"
    ]  # fmt: skip
    (folder / "summary.json").write_text("{}")
    shutil.copy(root / "results" / "phase1-0.95" / "best.npz", folder / "best.npz")
    assert shown(store)["damaged"] == []


def test_runs_of_studies_and_damaged_ones_are_refused() -> None:
    identity = {"command": "study pqi", "config": {}, "numerics": 1, "task_digest": ""}
    study = RunStore.open("study", identity)
    with pytest.raises(UsageError, match=r"is a run of `study pqi`.* `combsearch plot study`"):
        run_data(study, {})
    other = RunStore.open("other", identity | {"command": "bake"})
    with pytest.raises(UsageError, match="'bake'; pages show runs of phase1"):
        run_data(other, {})
    store = dense_run()
    status = run_status(store)[0]
    path = next((store.root / "shards").iterdir())
    path.write_bytes(path.read_bytes()[:-9] + b"?" * 9)
    with pytest.raises(CorruptDataError, match=path.name):
        run_data(store, status)
