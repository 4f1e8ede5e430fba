"""combsearch study dctps spiral: levels, the beam against a naive one, resumption, refusals.

The task is tiny and the recipes short: what is tested is which supports are tried and what is
saved of them; tests/test_dct_mlp.py has the training.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.fft

from combsearch.cli import main
from combsearch.commands.options import Options
from combsearch.commands.session import run_search
from combsearch.commands.study_dctps_spiral_run import open_search
from combsearch.commands.study_dctps_spiral_runs import (
    draw_files,
    export_rows,
    parse_bound,
    saved_config,
    spiral_plot,
    spiral_status,
    spiral_status_text,
)
from combsearch.dctps_spiral_rows import COLUMNS, LISTS
from combsearch.errors import CombsearchError, UsageError
from combsearch.plots.draw_dctps_spiral import Series, spiral_figure
from combsearch.store import RunStore, Shard, digest
from combsearch.studies.dctps import spiral_plan
from combsearch.studies.dctps.spiral_config import SpiralConfig
from combsearch.studies.dctps.spiral_levels import fixed_supports, levels_of, support_keys
from combsearch.studies.dctps.spiral_plan import SpiralPlan
from combsearch.studies.dctps.spiral_table import by_parameters, csv_table, fewest, published
from combsearch.studies.dctps.spiral_work import LevelsCourse, best_first
from combsearch.tasks.base import Task

Capture = pytest.CaptureFixture[str]
Support = tuple[int, ...]


def ring() -> Task:
    """240 points: inside of a ring or not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 2)).astype(np.float32)
    return Task("ring", x, ((x**2).sum(axis=1) < 1.3).astype(np.uint8))


TINY = SpiralConfig(
    task="test_dctps_spiral:ring", shape="2,2", supports="search", budgets="14-10,11-12",
    tries=12, beam=2, restarts=2, epochs=2, batch_size=20, cells=("0.1:cosine", "0.3:step"),
)  # fmt: skip
PLACES = 15  # of (2,2): 4 + 2 + 4 + 2 + 2 + 1


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spiral_plan, "_PLACES", 1)  # the least: 16 supports a shard


def options(folder: Path, **given: Any) -> Options:
    return Options(runs=str(folder), run="run", jobs=1, figures=False, **given)


def ran(folder: Path, config: SpiralConfig) -> tuple[RunStore, pa.Table]:
    run_search(lambda: open_search(config), options(folder))
    store = RunStore.attach(folder / "run")
    return store, store.read()


# ------------------------------------------------------------------ configuration and levels


def test_path_of_budgets() -> None:
    path = dataclasses.replace(TINY, budgets="3-1, 2-4,3").path()
    assert path == (3, 2, 1, 2, 3, 4, 3)
    assert SpiralConfig(budgets="7").path() == (7,)
    assert SpiralConfig(budgets="5,1-3").path() == (5, 1, 2, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budgets": "0-3"}, "budgets hold '0-3', each must be a number from 1 up"),
        ({"budgets": "3,x"}, "budgets hold 'x'"),
        ({"budgets": ""}, "budgets hold ''"),
        ({"budgets": "-2"}, "budgets hold '-2'"),
        ({"budgets": "1-4,3"}, "of random supports each may come once"),
        ({"supports": "search", "budgets": "1-3,7"}, "a search goes from 3 to 2 or 4 places, not"),
        ({"supports": "serach"}, "supports is 'serach', did you mean 'search'?"),
        ({"alpha": "free"}, "alpha is 'free' (known: trained, fixed)"),
        ({"tries": 0}, "tries is 0, it must be a whole number from 1 up"),
        ({"tries": 10**7}, "tries is 10000000, it must be at most 1000000"),
        ({"exhaust": -1}, "exhaust is -1, it must be from 0 up"),
        ({"restarts": 0}, "restarts is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"cells": ("fast",)}, "cell 'fast'"),
    ],
)
def test_bad_settings(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        SpiralConfig(**given)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budgets": "14-16"}, "budgets hold 16, but shape 2,2 has 15 places (weights and biases)"),
        ({"shape": "2,0"}, "shape '2,0' is not a list of hidden widths such as 7,3,3"),
        ({"shape": "two"}, "shape 'two' is not a list of hidden widths"),
        ({"shape": "30,30", "exhaust": 9, "budgets": "9"}, "at most 1,000,000 can be tried"),
        ({"batch_size": 241}, "batch_size 241 is more than the 240 points"),
        ({"trainer": "fused", "shape": "2,2,2,2,2,2"}, "trainer 'fused' cannot do this: it takes"),
    ],
)
def test_what_does_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        SpiralPlan.of(dataclasses.replace(TINY, **given))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_counts_of_supports() -> None:
    config = dataclasses.replace(TINY, budgets="1-5,4,3,4-7", tries=300, exhaust=4)
    levels = levels_of(config, PLACES)
    assert [(level.budget, level.size, level.origin) for level in levels] == [
        (1, 15, "all"), (2, 105, "all"), (3, 455, "all"), (4, 1365, "all"), (5, 300, "grown"),
        (4, 0, "all"), (3, 0, "all"), (4, 0, "all"), (5, 300, "grown"), (6, 300, "grown"),
        (7, 300, "grown"),
    ]  # fmt: skip
    assert [level.first for level in levels] == [0, *np.cumsum([one.size for one in levels])[:-1]]
    down = levels_of(dataclasses.replace(TINY, budgets="15-12", tries=100), PLACES)
    assert [(one.size, one.origin) for one in down] == [
        (1, "all"), (15, "all"), (100, "shrunk"), (100, "shrunk")
    ]  # fmt: skip
    drawn = levels_of(dataclasses.replace(TINY, supports="random", budgets="3,9"), PLACES)
    assert [(one.size, one.origin) for one in drawn] == [(12, "drawn"), (12, "drawn")]


def test_all_supports_are_all_and_drawn_ones_are_different() -> None:
    config = dataclasses.replace(TINY, supports="random", budgets="3,12", exhaust=3, tries=400)
    every, drawn = levels_of(config, PLACES)
    expected = [list(one) for one in itertools.combinations(range(PLACES), 3)]
    assert fixed_supports(every, PLACES, 0).tolist() == expected
    found = fixed_supports(drawn, PLACES, 0)
    assert len({tuple(one) for one in found.tolist()}) == 400 and (np.diff(found) > 0).all()
    assert found.min() == 0 and found.max() == PLACES - 1
    again, other = fixed_supports(drawn, PLACES, 0), fixed_supports(drawn, PLACES, 1)
    assert (found == again).all() and (found != other).any()
    # Few of many: drawn one by one rather than from a list of all.
    [sparse] = levels_of(dataclasses.replace(config, budgets="30", tries=200), 609)
    found = fixed_supports(sparse, 609, 0)
    assert len(np.unique(found, axis=0)) == 200 and (np.diff(found) > 0).all()
    counts = np.bincount(found.reshape(-1), minlength=609)
    assert counts.max() < 30 and abs(counts[:305].sum() - 3000) < 200  # 6000 places, evenly


def test_keys_of_supports_differ() -> None:
    supports = np.array(list(itertools.combinations(range(PLACES), 3)), np.int32)
    keys = support_keys(supports, (2, 2, 2, 1))
    assert len(np.unique(keys)) == len(supports)
    assert not np.isin(support_keys(supports, (2, 2, 1)), keys).any()
    np.testing.assert_array_equal(support_keys(supports[5:6], (2, 2, 2, 1)), keys[5:6])


# ------------------------------------------------------------------ the beam


def naive_best_first(rows: list[dict[str, Any]]) -> list[Support]:
    """Supports by best accuracy, then mean, then rank."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["rank"], []).append(row)
    scored = []
    for rank, own in groups.items():
        accuracies = [row["accuracy"] if row["status"] == "ok" else 0.0 for row in own]
        scored.append((-max(accuracies), -float(np.mean(accuracies)), rank, own[0]["support"]))
    return [tuple(support) for *_, support in sorted(scored)]


def naive_pool(parents: list[Support], budget: int, tried: set[Support], size: int, beam: int
) -> set[Support]:  # fmt: skip
    """All supports one place away from the first parents: at least ``beam``, until enough."""
    near: set[Support] = set()
    for number, parent in enumerate(parents):
        if number >= beam and len(near) >= size:
            break
        for other in itertools.combinations(range(PLACES), budget):
            common = len(set(other) & set(parent))
            if common == min(budget, len(parent)) and other not in tried:
                near.add(other)
    return near


@pytest.mark.parametrize(
    ("budgets", "tries", "beam", "met"),
    [("14-10,11-12", 12, 2, "cut"), ("3-6,5", 30, 30, "cut"), ("13-12,13", 50, 3, "filled")],
)
def test_levels_are_those_of_a_naive_beam(
    budgets: str, tries: int, beam: int, met: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(TINY, budgets=budgets, tries=tries, beam=beam, epochs=1)
    _, table = ran(tmp_path, config)
    plan, rows = SpiralPlan.of(config), table.to_pylist()
    kinds = []
    for level in plan.levels:
        own = [row for row in rows if row["level"] == level.number]
        supports = {tuple(row["support"]) for row in own}
        assert len(supports) == level.size and {row["origin"] for row in own} == {level.origin}
        earlier = [row for row in rows if row["level"] < level.number]
        tried = {tuple(row["support"]) for row in earlier if row["budget"] == level.budget}
        assert not supports & tried
        if level.origin in ("all", "drawn"):
            continue
        budget = plan.levels[level.number - 1].budget
        parents = naive_best_first([row for row in earlier if row["budget"] == budget])
        pool = naive_pool(parents, level.budget, tried, level.size, beam)
        if len(pool) > level.size:
            kinds.append("cut")
            assert supports < pool
        else:
            kinds.append("filled" if len(pool) < level.size else "whole")
            assert pool <= supports
    assert met in kinds and len(kinds) >= 2


def test_best_first_puts_diverged_runs_last() -> None:
    columns = {
        "rank": [0, 0, 1, 1, 2, 2, 3, 3],
        "support": [[0], [0], [1], [1], [2], [2], [3], [3]],
        "accuracy": [0.9, 0.5, 0.9, 0.6, 0.99, 0.99, 0.9, 0.6],
        "status": ["ok", "ok", "ok", "ok", "diverged", "diverged", "ok", "ok"],
    }
    table = pa.table(columns)
    assert best_first(table) == [(1,), (3,), (0,), (2,)] == naive_best_first(table.to_pylist())


# ------------------------------------------------------------------ rows


def naive_accuracy(row: dict[str, Any], task: Task, hidden: tuple[int, ...]) -> float:
    """Of the saved network, by scipy in float64."""
    flat = np.zeros(PLACES)
    flat[row["support"]] = row["values"]
    h, at = task.x.astype(np.float64), 0
    widths = (2, *hidden, 1)
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        part = flat[at : at + n_in * n_out].reshape(n_out, n_in)
        bias = flat[at + n_in * n_out : at + (n_in + 1) * n_out]
        padded = np.pad(h, ((0, 0), (0, max(n_out - n_in, 0))))
        transformed = scipy.fft.dct(padded, type=2, norm="ortho", axis=1)[:, :n_out]
        h = row["alphas"][layer] * transformed + h @ part.T + bias
        h = np.maximum(h, 0) if layer + 2 < len(widths) else h
        at += (n_in + 1) * n_out
    return float(((h[:, 0] > 0) == task.y).mean())


@pytest.mark.parametrize("alpha", ["trained", "fixed"])
@pytest.mark.parametrize("trainer", ["auto", "vmap"])
def test_rows_hold_the_networks(alpha: str, trainer: str, tmp_path: Path) -> None:
    config = dataclasses.replace(
        TINY, supports="random", budgets="2,9", alpha=alpha, trainer=trainer, tries=5
    )
    store, table = ran(tmp_path, config)
    assert store.identity["trainer"] == {"auto": "fused"}.get(trainer, trainer)
    rows, task = table.to_pylist(), ring()
    assert len(rows) == 2 * 5 * 2 * 2  # budgets, supports, cells, restarts
    biases = {4, 5, 10, 11, 14}
    for row in rows:
        assert row["accuracy"] == pytest.approx(naive_accuracy(row, task, (2, 2)), abs=1e-9)
        assert row["budget"] == len(row["support"]) == len(row["values"]) and row["status"] == "ok"
        assert row["biases"] == len(biases & set(row["support"]))
        assert row["weights"] + row["biases"] == row["budget"]
        assert row["parameters"] == row["budget"] + (3 if alpha == "trained" else 0)
        assert (np.array(row["alphas"]) == 1).all() == (alpha == "fixed")
    # A restart, a cell and a support each have their own outcome.
    assert len({tuple(row["values"]) for row in rows}) == len(rows)


def test_resumption_gives_the_same_rows(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, tries=20)
    store, table = ran(tmp_path / "whole", config)
    whole = digest(table, store.kind)
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    files = sorted((tmp_path / "part" / "run" / "shards").iterdir())
    assert len(files) == len(SpiralPlan.of(config).shards()) > 7
    for file in files[1::2]:
        file.unlink()
    again = RunStore.attach(tmp_path / "part" / "run")
    report = spiral_status(again)
    assert not report["finished"] and report["rows"] + report["rows_left"] == len(table)
    assert "not finished" in spiral_status_text(report)
    part, resumed = ran(tmp_path / "part", config)
    assert digest(resumed, part.kind) == whole
    assert spiral_status(part)["finished"]
    summary = json.loads((tmp_path / "part" / "run" / "summary.json").read_text())
    assert summary["finished"] and summary["trained_now"] > 0
    # Another configuration of the same folder is refused.
    other = dataclasses.replace(config, tries=21)
    with pytest.raises(CombsearchError, match=r"config.tries: this command 21, run folder 20"):
        run_search(lambda: open_search(other), options(tmp_path / "part"))


def test_a_shard_waits_for_all_levels_before(tmp_path: Path) -> None:
    plan = SpiralPlan.of(dataclasses.replace(TINY, budgets="12-9", tries=40))
    shards = plan.shards()
    assert [plan.level_of(shard).number for shard in shards] == [0] * 3 + [1] * 3 + [2] * 3 + [
        3
    ] * 3
    course = LevelsCourse(plan, shards[:1])
    todo = course.todo()
    given = [next(todo), next(todo)]
    assert given == shards[1:3] and next(todo, None) is None
    course.note(given[1], 0)  # the last of the level, while the one before is not saved
    assert next(todo, None) is None and not course.complete()
    course.note(given[0], 0)
    assert list(todo) == shards[3:6]
    for shard in shards[3:6]:
        course.note(shard, 0)
    assert list(todo) == shards[6:9]
    assert not LevelsCourse(plan, shards[:-1]).complete() and LevelsCourse(plan, shards).complete()
    random = SpiralPlan.of(dataclasses.replace(TINY, supports="random", budgets="3-5"))
    assert list(LevelsCourse(random, []).todo()) == random.shards()
    everything = {rank for shard in shards for rank in range(shard.first, shard.last)}
    assert everything == set(range(plan.levels[-1].last))
    assert isinstance(shards[0], Shard)


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    report = run_search(lambda: open_search(TINY), options(tmp_path, dry_run=True))
    assert not list(tmp_path.iterdir())
    assert report["places"] == PLACES and report["estimated_seconds"] > 0
    sizes = [size for _, size, _ in report["levels"]]
    assert sizes[0] == 12 and report["rows"] == sum(sizes) * 4


# ------------------------------------------------------------------ table, file, figure


def naive_line(rows: list[dict[str, Any]]) -> dict[str, Any]:
    groups: dict[int, float] = {}
    for row in rows:
        accuracy = row["accuracy"] if row["status"] == "ok" else 0.0
        groups[row["rank"]] = max(groups.get(row["rank"], 0.0), accuracy)
    return {"best": max(groups.values()), "median": float(np.median(list(groups.values()))),
            "supports": len(groups), "runs": len(rows)}  # fmt: skip


def test_table_and_published_file(tmp_path: Path, capsys: Capture) -> None:
    store, table = ran(tmp_path, dataclasses.replace(TINY, budgets="15-13,14", tries=20))
    lines = by_parameters(table)
    assert [line["budget"] for line in lines] == [13, 14, 15]
    assert [line["complete"] for line in lines] == [False, True, True]
    for line in lines:
        own = table.filter(pc.equal(table["budget"], line["budget"])).to_pylist()
        expected = naive_line(own)
        assert {name: line[name] for name in expected} == expected
        assert line["parameters"] == line["budget"] + 3
    assert fewest(lines, 2.0) is None
    reached = [line["parameters"] for line in lines if line["best"] >= lines[0]["best"]]
    assert fewest(lines, lines[0]["best"]) == min(reached) == 16
    text = (tmp_path / "run" / "table.csv").read_text()
    assert text == csv_table(lines) and len(text.splitlines()) == 4

    file = tmp_path / "rows.parquet"
    report = export_rows(store, str(file))
    config, rows = published(file)
    assert report["rows"] == len(rows) == len(table) and config == saved_config(store)
    scalars = [name for name in COLUMNS.names if name not in (*LISTS, "seconds")]
    assert rows.select(scalars).equals(table.select(scalars))
    kept = [row for row in rows.to_pylist() if row["support"]]
    assert [row["budget"] for row in kept] == [15, 14, 13]
    for row, line in zip(kept, reversed(lines), strict=True):
        assert row["accuracy"] == line["best"]
        assert row["accuracy"] == pytest.approx(naive_accuracy(row, ring(), (2, 2)), abs=1e-9)

    draw_files([str(file)], str(tmp_path / "figures"), "pdf", ["0.9:5:4"], as_json=True)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["files"] == [
        str(tmp_path / "figures" / "spiral.pdf")
    ]
    [path] = spiral_plot(store, tmp_path / "own", "png")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="same shape, supports and alpha"):
        draw_files([str(file)] * 2, str(tmp_path), "png", [], as_json=True)


def line(parameters: int, best: float, median: float) -> dict[str, Any]:
    return {"parameters": parameters, "best": best, "median": median}


def drawn(axes: Any, gid: str) -> list[npt.NDArray[np.float64]]:
    found = [one for one in axes.lines if one.get_gid() == gid]
    return [np.column_stack([one.get_xdata(), one.get_ydata()]) for one in found]


def test_figure_shows_the_numbers() -> None:
    search = Series("3,3,3", True, False, [line(4, 0.6, 0.5), line(9, 0.97, 0.55)])
    random = Series("16,16,16", False, True, [line(8, 0.55, 0.5), line(60, 0.996, 0.7)])
    figure = spiral_figure([random, search], {0.95: (25, 22), 0.995: (36, 29)}, (0.95, 0.995))
    left, right = figure.axes
    assert left.get_title(loc="left").startswith("search")
    np.testing.assert_allclose(drawn(left, "best"), [[[4, 0.6], [9, 0.97]]])
    np.testing.assert_allclose(drawn(right, "best"), [[[8, 0.55], [60, 0.996]]])
    np.testing.assert_allclose(drawn(right, "median"), [[[8, 0.5], [60, 0.7]]])
    assert not drawn(left, "median")
    expected = [[25, 0.95], [22, 0.95], [36, 0.995], [29, 0.995]]
    for frame in (left, right):
        np.testing.assert_allclose(np.concatenate(drawn(frame, "bound")), expected)
        assert [one[0, 1] for one in drawn(frame, "target")] == [0.95, 0.995]
        assert left.get_xlim()[1] > 36 and frame.get_ylim() == left.get_ylim()
    assert right.get_xlim()[1] > 60
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "(3,3,3), α fixed" in texts and "(16,16,16), α trained" in texts
    assert "95% 25 and 22; 99.5% 36 and 29" in texts


def test_figure_of_one_kind_has_one_frame() -> None:
    one = Series("3,3,3", False, True, [line(4, 1.0, 0.5)])
    figure = spiral_figure([one], {}, (0.95,))
    [frame] = figure.axes
    [[[x, y]]] = drawn(frame, "best")
    assert x == 4 and y < 1  # 100% has no logarithm of its error: it stands at the ceiling
    with pytest.raises(UsageError, match="no rows to draw"):
        spiral_figure([dataclasses.replace(one, lines=[])], {}, (0.95,))


@pytest.mark.parametrize("text", ["0.95", "0.95:22:25", "2:25:22", "0.9:x:1", "0.9:5:0", "nan:2:1"])
def test_bad_bounds(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not TARGET:TRAINED:EXISTS, such as 0.95:25:22"):
        parse_bound(text)


def test_a_good_bound() -> None:
    assert parse_bound("0.95:25:22") == (0.95, (25, 22))


# ------------------------------------------------------------------ command line


def command(*arguments: str) -> None:
    assert main(["study", "dctps", "spiral", *arguments]) == 0


def test_command_line(tmp_path: Path, capsys: Capture) -> None:
    given = ["--task", "test_dctps_spiral:ring", "--shape", "2,2", "--budgets", "1-2,15",
             "--tries", "3", "--epochs", "1", "--batch-size", "60", "--runs", str(tmp_path),
             "--run", "r", "--jobs", "1", "--alpha", "fixed"]  # fmt: skip
    command(*given)
    text = capsys.readouterr().out
    assert "95%: not reached" in text and "(2,2) on test_dctps_spiral:ring" in text
    assert (tmp_path / "r" / "figures" / "spiral.png").exists()
    command(*given, "--json", "--no-figures")
    report = json.loads(capsys.readouterr().out)
    assert report["trained_now"] == 0 and report["finished"]
    assert [line["supports"] for line in report["budgets"]] == [3, 3, 1]
    out = str(tmp_path / "o.parquet")
    command("export", "r", "--runs", str(tmp_path), "-o", out, "--json")
    assert json.loads(capsys.readouterr().out)["rows"] == 7 * 2
    command("plot", out, "-o", str(tmp_path / "f"), "--bound", "0.95:25:22")
    assert capsys.readouterr().out.strip() == str(tmp_path / "f" / "spiral.png")
    assert main(["status", "r", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'r'}: finished\n")
    assert main(["plot", "r", "--runs", str(tmp_path), "-o", str(tmp_path / "g")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "g" / "spiral.png")
    assert main(["verify", "r", "--runs", str(tmp_path)]) == 0
    assert "with 14 networks" in capsys.readouterr().out
    for bad in (["--budgets", "0"], ["--budgets", "38", "--shape", "3,3,3"], ["--shape", "3,"]):
        assert main(["study", "dctps", "spiral", *bad]) == 2
        found = capsys.readouterr()
        assert found.out == "" and found.err.count("\n") == 1
        assert bad[-1].rstrip(",") in found.err
    with pytest.raises(UsageError, match="is a run of 'phase1', not of 'study dctps spiral'"):
        saved_config(RunStore(tmp_path, {"command": "phase1"}, writable=False))


def test_every_number_of_supports_is_exact() -> None:
    """Levels of all supports, for every budget of a small shape."""
    config = dataclasses.replace(TINY, supports="random", budgets="1-15", exhaust=15)
    levels = levels_of(config, PLACES)
    assert sum(level.size for level in levels) == 2**PLACES - 1
    for level in levels:
        found = fixed_supports(level, PLACES, 0)
        assert len(found) == math.comb(PLACES, level.budget) == len(np.unique(found, axis=0))
