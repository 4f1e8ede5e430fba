"""The data of an atlas: every mask once, with what a walk over all rows says of it."""

from __future__ import annotations

import base64
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atlas_rows import saved_run
from searching import phase2, run_json, write_task

from combsearch import cli
from combsearch.canonical import canonical_form
from combsearch.enumeration import mask_space
from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.report.atlas import data as atlas_data
from combsearch.report.atlas import page as atlas_page
from combsearch.report.atlas.data import Atlas, read_atlas
from combsearch.report.atlas.neighbours import NOWHERE, one_weight_fewer
from combsearch.report.atlas.page import atlas_json
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import ExhaustConfig
from combsearch.store import RunStore

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    return tmp_path


def exhaust(**changes: Any) -> MaskPlan:
    given: Json = {
        "task": "clouds.csv", "depth": 2, "width": 3, "target": 0.9, "restarts": 8, "epochs": 5,
        "batch_size": 16, "max_nonzeros": 14, "race": False,
    }  # fmt: skip
    return MaskPlan.of(ExhaustConfig(**given | changes))


def numbers(text: str, kind: str) -> Any:
    return np.frombuffer(base64.b64decode(text), kind)


# ---- an oracle in plain Python ---------------------------------------------------------


def naive_masks(plan: MaskPlan, shape: NetShape, found: Json) -> list[Json]:
    """What every mask of the shape must come to, by a walk over the whole space and all rows."""
    unused = plan.config.unused_inputs
    space = mask_space(shape, plan.symmetry, unused_inputs=unused)
    rows = [row for row in found["rows"] if row["shape"] == ",".join(map(str, shape.widths))]
    levels = [level["nonzeros"] for level in found["levels"]]
    every = []
    for rank in range(len(space)):
        mask = space.masks(rank, rank + 1)
        mask = canonical_form(mask) if plan.symmetry == "full" else mask
        if int(mask.nonzeros()[0]) not in levels:
            continue
        own = [row for row in rows if row["mask"] == int(mask.keys()[0])]
        sound = [row for row in own if row["status"] != "diverged"]
        held = [row for row in sound if row["parameters"] is not None]
        every.append(
            {
                "rank": rank,
                "bits": [int(bit) for layer in mask.dense() for bit in layer.reshape(-1)],
                "runs": len(own),
                "successes": sum(row["accuracy"] >= plan.config.target for row in sound),
                "accuracy": max((row["accuracy"] for row in sound), default=None),
                "network": max((row["accuracy"] for row in held), default=None),
            }
        )
    return every


def decoded(data: Json) -> list[Json]:
    """The same from the page's data, bit by bit."""
    shape = NetShape.from_json(data["shape"])
    size = -(-shape.weights // 8)
    raw = base64.b64decode(data["masks"])
    ranks = [lv["rank"] + place for lv in data["levels"] for place in range(lv["masks"])]
    runs, successes = (numbers(data[name], "<u4").tolist() for name in ("runs", "successes"))
    accuracy = numbers(data["accuracy"], "<f8").tolist()
    stated = {place: dict(item["file"])["accuracy"] for place, item in data["networks"]}
    return [
        {
            "rank": rank,
            "bits": [raw[place * size + bit // 8] >> bit % 8 & 1 for bit in range(shape.weights)],
            "runs": runs[place],
            "successes": successes[place],
            "accuracy": None if math.isnan(accuracy[place]) else accuracy[place],
            "network": stated.get(place),
        }
        for place, rank in enumerate(ranks)
    ]


def checked(plan: MaskPlan, store: RunStore, shape: str) -> tuple[Atlas, Json]:
    atlas = read_atlas(store, shape)
    data: Json = json.loads(json.dumps(atlas_json(atlas, store), allow_nan=False))
    known = {**data, "rows": store.read().to_pylist()}
    assert decoded(data) == naive_masks(plan, atlas.shape, known)
    return atlas, data


PLANS: dict[str, Any] = {
    "full": phase2,
    "rows": lambda: phase2(symmetry="rows"),
    "every mask": lambda: phase2(symmetry="none"),
    "from some level on": lambda: phase2(shape="3,2", min_nonzeros=14, max_nonzeros=16),
    "unused inputs": lambda: phase2(shape="3,2", unused_inputs=True),
    "all shapes": exhaust,
}


@pytest.mark.parametrize("name", PLANS)
def test_a_map_says_of_each_mask_what_all_rows_say(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("combsearch.pieces._ROWS", 7)  # many tables of a few rows
    plan = PLANS[name]()
    third, most = plan.masks // 3, plan.masks - 1
    store = saved_run(plan, "run", [(0, third), (third, 2 * third), (2 * third + 1, most)])
    atlas, data = checked(plan, store, "3,2" if name == "all shapes" else "")
    left = {2 * third, most}
    places = {s.rank + n: s.masks for s in atlas.segments for n in range(s.masks)}
    assert numbers(data["trained"], "u1").tolist() == [rank not in left for rank in places]
    assert data["symmetry"] == plan.symmetry
    assert data["networks"] and not any(math.isnan(w) for w in weights_of(data))


def weights_of(data: Json) -> list[float]:
    return [
        w for _, item in data["networks"] for layer in item["network"]["weights"] for w in layer[2]
    ]


def test_orbit_sizes_add_up_to_all_masks() -> None:
    plan = phase2(shape="3,2")
    _, data = checked(plan, saved_run(plan, "run", [(0, 9)]), "")
    every = len(mask_space(NetShape.from_hidden((3, 2)), "none"))
    assert sum(numbers(data["sizes"], "<f8")) == every
    apart = phase2(symmetry="none")
    assert checked(apart, saved_run(apart, "apart", [(0, 9)]), "")[1]["sizes"] is None


@pytest.mark.parametrize("options", [{}, {"unused_inputs": True}, {"symmetry": "none"}])
def test_steps_lead_to_the_mask_that_is_left_without_a_weight(options: Json) -> None:
    plan = phase2(shape="3,2", min_nonzeros=15, **options)
    atlas, _ = checked(plan, saved_run(plan, "run", [(0, 9)]), "")
    found = one_weight_fewer(atlas, 10**6)
    assert found is not None
    place = {tuple(words): n for n, words in enumerate(atlas.masks.words.tolist())}
    starts = np.cumsum([0, *(segment.masks for segment in atlas.segments)]).tolist()
    entries = iter(found.tolist())
    for words in atlas.masks.words.tolist():
        for bit in range(atlas.shape.weights):
            if words[0] >> bit & 1:
                left = MaskBatch(atlas.shape, np.array([[words[0] ^ (1 << bit)]], np.uint64))
                form = left if plan.symmetry == "none" else canonical_form(left)
                there = place.get(tuple(form.words[0].tolist()))
                level = [n for n, s in enumerate(starts[:-1]) if there is not None and s <= there]
                wanted = NOWHERE if there is None else there - starts[level[-1]]
                assert next(entries) == wanted
    assert next(entries, None) is None
    assert {*found.tolist()} > {NOWHERE, 0}
    assert one_weight_fewer(atlas, len(found) - 1) is None


def test_masks_with_rows_in_order_have_no_steps() -> None:
    plan = phase2(symmetry="rows")
    assert checked(plan, saved_run(plan, "run", [(0, 9)]), "")[1]["fewer"] is None


# ---- networks --------------------------------------------------------------------------


def test_networks_are_the_best_of_levels_then_successes(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = phase2(shape="3,2", target=0.8)
    store = saved_run(plan, "run", [(0, 30), (30, plan.masks)])
    levels: dict[int, dict[int, float]] = {}
    for row in store.read().to_pylist():
        if row["status"] != "diverged" and row["parameters"] is not None:
            own = levels.setdefault(row["nonzeros"], {})
            own[row["rank"]] = max(own.get(row["rank"], 0), row["accuracy"])
    ordered = [sorted(own, key=lambda rank: -own[rank]) for _, own in sorted(levels.items())]
    turns = [rank for turn in itertools.zip_longest(*ordered) for rank in turn if rank is not None]
    known = {rank: accuracy for own in levels.values() for rank, accuracy in own.items()}
    best, rest = turns[: len(levels)], turns[len(levels) :]
    wanted = best + sorted(rest, key=lambda rank: known[rank] < 0.8)
    assert wanted != turns
    for most in (4, 30, 10**6):
        monkeypatch.setattr(atlas_data, "MOST_NETWORKS", most)
        atlas = read_atlas(store, "")
        assert atlas.networks["rank"].to_pylist() == wanted[:most]
    stated = {
        place: item["file"]["accuracy"] for place, item in atlas_json(atlas, store)["networks"]
    }
    assert stated == known


def test_a_network_is_the_row_under_its_mask() -> None:
    plan = phase2()
    store = saved_run(plan, "run", [(0, plan.masks)])
    data = atlas_json(read_atlas(store, ""), store)
    rows = store.read().to_pylist()
    place, item = data["networks"][0]
    own = [row for row in rows if row["rank"] == place and row["parameters"] is not None]
    row = max((row for row in own if row["status"] != "diverged"), key=lambda row: row["accuracy"])
    bits = iter(decoded(data)[place]["bits"])
    flat = iter(row["parameters"])
    for (out, fan), (r, c, w), (b, v) in zip(
        NetShape.from_json(data["shape"]).layers,
        item["network"]["weights"],
        item["network"]["biases"],
        strict=True,
    ):
        dense = [(i, j, next(flat)) for i, j in itertools.product(range(out), range(fan))]
        kept = [entry for entry in dense if next(bits)]
        assert [entry[:2] for entry in kept] == list(zip(r, c, strict=True))
        assert np.array_equal(np.array([entry[2] for entry in kept], "f4"), np.array(w, "f4"))
        biases = [next(flat) for _ in range(out)]
        assert np.array_equal(np.array([biases[n] for n in b], "f4"), np.array(v, "f4"))
    assert item["file"]["restart"] == row["restart"] and item["file"]["cell"] == row["cell"]


def test_no_more_networks_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = phase2()
    store = saved_run(plan, "run", [(0, plan.masks)])
    monkeypatch.setattr(atlas_page, "_MOST_NETWORK_BYTES", 4000)
    found = atlas_json(read_atlas(store, ""), store)["networks"]
    assert found and len(json.dumps([item for _, item in found])) < 4100


# ---- which masks -----------------------------------------------------------------------


def test_levels_not_reached_are_shown_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = phase2(shape="3,2")
    counts = [segment.masks for segment in plan.segments]
    store = saved_run(plan, "run", [(0, counts[0]), (counts[0], counts[0] + 1)])
    _, whole = checked(plan, store, "")
    assert [level["masks"] for level in whole["levels"]] == counts and whole["beyond"] == []
    monkeypatch.setattr(atlas_data, "MOST_MASKS", sum(counts) - 1)
    _, cut = checked(plan, store, "")
    assert [level["masks"] for level in cut["levels"]] == counts[:2]
    assert cut["beyond"] == [[segment.nonzeros, segment.masks] for segment in plan.segments[2:]]
    monkeypatch.setattr(atlas_data, "MOST_MASKS", sum(counts[:2]) - 1)
    with pytest.raises(
        UsageError, match=f"has {sum(counts[:2])} masks .* at most {sum(counts[:2]) - 1}"
    ):
        read_atlas(store, "")


def test_the_shape_of_an_exhaust_run_is_that_of_its_best_network() -> None:
    plan = exhaust()
    store = saved_run(plan, "run", [(0, plan.masks)])
    rows = [r for r in store.read().to_pylist() if r["parameters"] and r["status"] != "diverged"]
    best = min(
        (r for r in rows if r["accuracy"] >= 0.9),
        key=lambda r: (r["nonzeros"], -r["accuracy"], r["rank"]),
    )
    assert ",".join(map(str, read_atlas(store, "").shape.widths)) == best["shape"]


def refused(store: RunStore, shape: str = "") -> str:
    with pytest.raises(UsageError) as error:
        atlas_page.atlas_page(store, shape)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_map_is_refused_in_a_line(tmp_path: Path) -> None:
    plan = exhaust(width=4, max_nonzeros=12)
    none = RunStore.open("none", plan.identity())
    assert "holds no network yet" in refused(none) and "--atlas" in refused(none)
    assert "holds no finished mask of shape (2,2) yet" in refused(none, "2,2")
    assert refused(none, "9x9").endswith(
        "trains no masks of shape (9,9); there are (1,1), (1,2), (2,1), (2,2), (3,1)"
    )
    assert "is not a list of hidden widths" in refused(none, "many")
    one = RunStore.open("one", phase2().identity())
    assert refused(one, "3,2").endswith("trains no masks of shape (3,2); there is (2,2)")
    grown = RunStore.open("grown", exhaust(width=5, max_nonzeros=20).identity())
    assert "shapes, near it " in refused(grown, "6,6")
    for command in ("phase1", "descend", "prune", "study pqi"):
        other = RunStore.open(tmp_path / command, {"command": command, "numerics": 1})
        assert f"is a run of {command};" in refused(other) and "phase2 or exhaust" in refused(other)


def test_a_damaged_shard_is_named() -> None:
    plan = phase2()
    store = saved_run(plan, "run", [(0, 9)])
    [shard] = Path("run/shards").iterdir()
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(CorruptDataError, match=shard.name):
        read_atlas(store, "")


def test_points_that_are_not_those_of_the_run_are_left_out() -> None:
    plan = phase2()
    store = saved_run(plan, "run", [(0, 9)])
    assert atlas_json(read_atlas(store, ""), store)["task"]["name"] == plan.task.name
    text = Path("clouds.csv").read_text().replace("0.9", "0.8")
    Path("clouds.csv").write_text(text)
    assert atlas_json(read_atlas(store, ""), store)["task"] is None


# ---- the command, and a published run --------------------------------------------------


def test_the_command_writes_the_same_page_again(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = exhaust()
    saved_run(plan, "run", [(0, plan.masks)])
    found = run_json(capsys, "show", "run", "--atlas", "2,2", "-o", "page.html")
    page = Path("page.html").read_bytes()
    assert found["page"] == "atlas" and found["bytes"] == len(page)
    assert page == atlas_page.atlas_page(RunStore.attach("run"), "2,2")
    assert b"<title>run: all masks of (2,2)</title>" in page
    Path("run/clouds.csv").write_bytes(Path("clouds.csv").read_bytes())
    monkeypatch.chdir("run")  # a run in this folder goes by the folder's name
    assert run_json(capsys, "show", ".", "--atlas", "2,2")["output"] == "run.html"
    assert Path("run.html").read_bytes() == page
    monkeypatch.chdir("..")
    assert cli.main(["show", "run", "--atlas", "7,7", "-o", "other.html"]) == 2
    assert not Path("other.html").exists() and capsys.readouterr().err.count("\n") == 1


def test_the_map_of_12400_published_masks(root: Path) -> None:
    store = RunStore.attach(root / "results" / "phase2-3x3x3-0.95")
    atlas = read_atlas(store, "")
    rows = store.read(["rank", "mask", "nonzeros", "accuracy"])
    best = rows.group_by(["rank", "mask", "nonzeros"]).aggregate(
        [("accuracy", "max"), ("accuracy", "count")]
    )
    best = best.sort_by("rank")
    assert np.array_equal(atlas.masks.keys(), best["mask"].to_numpy())
    assert np.array_equal(atlas.masks.nonzeros(), best["nonzeros"].to_numpy())
    assert np.array_equal(atlas.results.best, best["accuracy_max"].to_numpy())
    assert np.array_equal(atlas.results.runs, best["accuracy_count"].to_numpy())
    assert atlas.results.successes.sum() == 38 and atlas.results.trained.all()
    assert len(atlas.masks) == 12_400 and len(atlas.networks) == 242
    assert len(json.dumps(atlas_json(atlas, store))) < 2_500_000
