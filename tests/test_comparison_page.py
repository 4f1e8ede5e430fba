"""The comparison's page: its data against the file, plain loops and PyTorch; damaged files."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from comparisons import FACTS, METHODS, Json, accuracy_of, data_of, folder_of, part_of, run_of
from searching import tree

from combsearch import cli
from combsearch.comparison import comparison_text
from combsearch.comparison.saved import narrowed, read_comparison
from combsearch.errors import CorruptDataError
from combsearch.method_looks import looks
from combsearch.prune_config import NINE, RANDOM
from combsearch.report.comparison.dark import linear, on_dark
from combsearch.report.comparison.page import MOST_BYTES, comparison_page
from combsearch.store import RunStore
from combsearch.tasks import cubist_spiral


@pytest.fixture(scope="module")
def file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(root, tmp_path_factory.mktemp("near"))


@pytest.fixture(scope="module")
def report(file: Path) -> Json:
    result: Json = json.loads(file.read_bytes())
    return result


@pytest.fixture(scope="module")
def page(file: Path) -> bytes:
    return comparison_page(file)


@pytest.fixture(scope="module")
def data(page: bytes) -> Json:
    return data_of(page)


def facts(run: Json | None) -> Json | None:
    return None if run is None else {name: run[name] for name in FACTS}


# ------------------------------------------------------------------ what stands in the file


def test_the_table_says_what_the_file_says(data: Json, report: Json) -> None:
    rows = {
        (group["label"], row["target"], row["method"], row["width"]): row
        for group in data["groups"]
        for row in group["rows"]
    }
    assert len(rows) == len(report["entries"]) == 56
    for entry in report["entries"]:
        row = rows[entry["group"], entry["target"], entry["method"], entry["width"]]
        for name in ("runs", "collapsed", "diverged", "successes", "gap", "prunable", "paper"):
            assert row[name] == entry[name]
        for name in ("first", "first_effective", "best"):
            assert facts(run_of(data, row[name])) == facts(entry[name])
    for told in report["bounds"]:
        [group] = [one for one in data["groups"] if one["label"] == told["group"]]
        [own] = [one for one in group["bounds"] if one["target"] == told["target"]]
        assert {name: own[name] for name in own} == {name: told[name] for name in own}


def test_shares_and_operations_are_those_of_the_file(data: Json, report: Json) -> None:
    told = {
        (one["group"], one["method"], one["width"], one["budget"]): one["disconnected_share"]
        for one in report["by_budget"]
        if one["disconnected_share"] is not None
    }
    shown = {
        (group["label"], line["method"], line["width"], budget): share
        for group in data["groups"]
        for line in group["shares"]
        for budget, share in line["steps"]
    }
    assert shown == told
    assert data["flops"] == report["flops"]
    assert data["made_with"]["command"] == report["made_with"]["command"]


# ------------------------------------------------------------------ lines


def oracle_line(rows: list[Json]) -> list[tuple[int, float]]:
    """Where the best accuracy rises as nonzeros grow; by a plain loop."""
    best: dict[int, float] = {}
    for row in rows:
        best[row["nonzeros"]] = max(best.get(row["nonzeros"], -1.0), row["accuracy"])
    line: list[tuple[int, float]] = []
    for size in sorted(best):
        if not line or best[size] > line[-1][1]:
            line.append((size, best[size]))
    return line


def test_lines_agree_with_plain_loops_over_the_rows(root: Path, data: Json) -> None:
    names = ["method", "width", "nonzeros", "accuracy", "status"]
    folders = ("prune-16", "prune-narrow", "prune-wide")  # the only ones of these methods
    tables = [RunStore.attach(root / "results" / name).read().select(names) for name in folders]
    rows = [row for row in pa.concat_tables(tables).to_pylist() if row["status"] == "ok"]
    group = data["groups"][0]
    assert group["label"] == "random weights" and group["exact"]
    assert {line["method"] for line in group["lines"]} == set(METHODS)
    for line in group["lines"]:
        own = [
            row
            for row in rows
            if row["method"] == line["method"] and line["width"] in (None, row["width"])
        ]
        runs = [run_of(data, number) for number in line["steps"]]
        found = [(run["nonzeros"], run["accuracy"]) for run in runs if run]
        assert found == oracle_line(own)
        assert all(run and run["method"] == line["method"] for run in runs)
        assert all(run and line["width"] in (None, run["width"]) for run in runs)


def test_the_searches_lines_pass_through_the_bounds(data: Json, report: Json) -> None:
    for told in report["bounds"]:
        [group] = [one for one in data["groups"] if one["label"] == told["group"]]
        assert [line["kind"] for line in group["searches"]] == ["trained", "exists"]
        for line in group["searches"]:
            steps = line["steps"]
            assert all(a[0] < b[0] and a[2] < b[2] for a, b in itertools.pairwise(steps))
            first = next(step for step in steps if step[2] >= told["target"])
            bound = told[line["kind"]]
            assert (first[0], first[2], first[3]) == (
                bound["nonzeros"], bound["accuracy"], bound["run"],
            )  # fmt: skip
            assert first[5] is not None  # its network is there to be opened


# ------------------------------------------------------------------ networks


def size_of(network: Json) -> int:
    return sum(len(values) for *_, values in (*network["weights"], *network["biases"]))


def test_networks_do_what_their_runs_say(data: Json) -> None:
    task = cubist_spiral()
    own = sorted((int(number), place) for number, place in data["of_points"].items())
    assert len(own) > 100
    for number, place in own[::12]:
        run, item = run_of(data, number), data["networks"][place]
        assert run and size_of(item["network"]) == run["nonzeros"]
        assert abs(accuracy_of(item["network"], task) - run["accuracy"]) < 1e-4
        assert item["file"]["accuracy"] == run["accuracy"]
        assert (item["file"]["method"], item["file"]["budget"]) == (run["method"], run["budget"])
    for group in data["groups"]:
        for line in group["searches"]:
            for step in (one for one in line["steps"][::4] if one[5] is not None):
                network = data["networks"][step[5]]["network"]
                assert size_of(network) == step[0] and network["widths"] == step[4]
                assert abs(accuracy_of(network, task) - step[2]) < 1e-4


def test_every_mark_opens_a_network_of_its_method_width_and_budget(data: Json) -> None:
    opened = 0
    for group in data["groups"]:
        for line in group["lines"]:
            for number in line["steps"]:
                run = run_of(data, number)
                other = run if str(number) in data["of_points"] else None
                if other is None and str(number) in data["instead"]:
                    place = data["instead"][str(number)]
                    assert str(place) in data["of_points"]
                    other = run_of(data, place)
                    assert other and run and other["accuracy"] >= 0
                if other is None:  # all of this budget diverged or collapsed but were not saved
                    continue
                opened += 1
                assert run and all(other[k] == run[k] for k in ("method", "width", "budget"))
    marks = sum(len(line["steps"]) for group in data["groups"] for line in group["lines"])
    assert opened > 0.98 * marks


def test_rows_open_the_sparsest_saved_success(data: Json, report: Json) -> None:
    for group in data["groups"]:
        for row in group["rows"]:
            if row["prunable"] is None:
                continue
            saved = run_of(data, row["saved"])
            assert saved and str(row["saved"]) in data["of_points"]
            assert saved["nonzeros"] == row["prunable"]["nonzeros"]
            assert saved["accuracy"] >= row["target"]
            assert (row["saved"] == row["first"]) == row["prunable"]["of_first"]


# ------------------------------------------------------------------ what is not there


def test_without_the_runs_the_page_shows_what_the_file_names(
    report: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comparison.json").write_text(json.dumps(report))
    data = data_of(comparison_page(tmp_path / "comparison.json"))
    assert data["networks"] == [] and data["commands"] == {}
    notes = " ".join(data["notes"])
    for run in (*report["prune_runs"], *report["search_runs"]):
        assert run["run_folder"] in notes
    assert re.search(r"Networks of .*prune-16.* are not included: no such folder here\.", notes)
    group = data["groups"][0]
    assert not group["exact"] and "the best of each budget" in notes
    named = [
        {**one[what], "method": one["method"]}
        for part, names in (("entries", ("first", "first_effective", "first_budget", "best")),
                            ("by_budget", ("best",)))
        for one in report[part]
        if one["group"] == group["label"]
        for what in names
        if one[what]
    ]  # fmt: skip
    for line in group["lines"]:
        own = [
            one
            for one in named
            if one["method"] == line["method"] and line["width"] in (None, one["width"])
        ]
        runs = [run_of(data, number) for number in line["steps"]]
        assert [(run["nonzeros"], run["accuracy"]) for run in runs if run] == oracle_line(own)
    trained = group["searches"][0]["steps"]
    assert [(step[0], step[5]) for step in trained] == [(25, None), (36, None)]


def test_a_run_with_other_rows_is_left_out_and_named(
    file: Path, report: Json, tmp_path: Path
) -> None:
    (tmp_path / "results").symlink_to(file.parent.parent / "results")
    runs = [
        {**one, "digest": "0" * 64} if one["run_folder"] == "results/prune-wide" else one
        for one in report["prune_runs"]
    ]
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps({**report, "prune_runs": runs}))
    data = data_of(comparison_page(path))
    [told] = [note for note in data["notes"] if "results/prune-wide" in note]
    assert "other rows" in told
    first, second = data["groups"]
    assert not first["exact"] and second["exact"]
    assert {run_of(data, int(n))["run"] for n in data["of_points"]} == {  # type: ignore[index]
        "results/prune-16", "results/prune-narrow", "results/prune-paper-16",
    }  # fmt: skip


def test_a_run_without_a_finished_shard_is_left_out_and_named(
    root: Path, report: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = tmp_path / "results" / "prune-16"
    empty.mkdir(parents=True)
    shutil.copy(root / "results/prune-16/run.json", empty)
    (tmp_path / "comparison.json").write_text(json.dumps(report))
    page = comparison_page(tmp_path / "comparison.json")
    told = "Networks of results/prune-16 are not included: nothing is finished in it."
    assert told in data_of(page)["notes"]
    assert str(tmp_path).encode() not in page


def test_a_task_that_is_not_built_in_is_not_read(
    report: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')\n")
    (tmp_path / "comparison.json").write_text(json.dumps({**report, "task": "evil:Task"}))
    data = data_of(comparison_page(tmp_path / "comparison.json"))
    assert data["task"] is None and any("evil:Task" in note for note in data["notes"])


def test_as_many_networks_as_fit_the_best_of_all_widths_first(
    file: Path, data: Json, page: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = len(page) - 150_000
    monkeypatch.setattr("combsearch.report.comparison.page.MOST_BYTES", most)
    small = comparison_page(file)
    assert most - 5_000 < len(small) <= most
    found = data_of(small)
    assert 0 < len(found["of_points"]) < len(data["of_points"])
    assert any(re.search(r"^\d+ networks are of single widths not", n) for n in found["notes"])
    for group in found["groups"]:
        for line in (one for one in group["lines"] if one["width"] is None):
            assert all(
                str(n) in found["of_points"] or str(n) in found["instead"] for n in line["steps"]
            )


# ------------------------------------------------------------------ the whole page


def test_a_committed_comparison_fits_wholly(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    page = comparison_page(Path("results/compare/comparison.json"))
    assert len(page) < MOST_BYTES < 5_000_000
    assert data_of(page)["notes"] == []
    assert str(root).encode() not in page


def test_the_same_input_gives_the_same_bytes(file: Path, page: bytes) -> None:
    assert comparison_page(file) == page


def test_a_page_of_a_copy_says_nothing_of_this_machine(file: Path, page: bytes) -> None:
    assert str(file.parent.parent).encode() not in page
    assert file.parent.name.encode() in page


def test_colours_on_dark_keep_their_order_and_contrast() -> None:
    def light(colour: str) -> float:
        return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour))

    colours = [look.colour for look in looks((*NINE, *RANDOM)).values()]
    for colour in colours:
        assert re.fullmatch("#[0-9a-f]{6}", on_dark(colour))
        assert (light(on_dark(colour)) + 0.05) / (light("#14171c") + 0.05) > 3
    greys = [f"#{value:02x}{value:02x}{value:02x}" for value in range(0, 256, 17)]
    shown = [light(on_dark(grey)) for grey in greys]
    assert shown == sorted(shown) and len({on_dark(c) for c in colours}) == len(set(colours))


# ------------------------------------------------------------------ damaged files

Damage = Callable[[Json], Any]


def changed(*path: Any, to: Any) -> Damage:
    def damage(report: Json) -> Json:
        report = json.loads(json.dumps(report))
        place: Any = report
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = to
        return report

    return damage


def without(*path: Any) -> Damage:
    def damage(report: Json) -> Json:
        report = changed(*path, to=None)(report)
        place: Any = report
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]
        return report

    return damage


DAMAGED: dict[str, tuple[Damage, str]] = {
    "half": (lambda report: json.dumps(report)[:5000], "is damaged: it is no JSON"),
    "nan": (changed("entries", 0, "best", "accuracy", to=float("nan")), "NaN is no number"),
    "list": (lambda report: [], "is no comparison"),
    "other": (changed("command", to="prune"), "is no comparison"),
    "absent": (without("by_budget"), "by_budget is missing"),
    "key": (without("entries", 3, "first", "run"), "entries[3].first.run is missing"),
    "text": (changed("entries", 2, "width", to="3"), 'entries[2].width is "3", it must be a whole'),
    "share": (changed("entries", 2, "best", "accuracy", to=1.5), "a number from 0 to 1"),
    "bool": (changed("by_budget", 1, "runs", to=True), "by_budget[1].runs is true"),
    "negative": (changed("bounds", 0, "trained", "nonzeros", to=-3), "bounds[0].trained.nonzeros"),
    "huge": (changed("entries", 0, "runs", to=10**400), "entries[0].runs is 1000"),
    "group": (changed("entries", 1, "group", to="mine"), "entries[1] is of a group or target"),
    "run group": (changed("prune_runs", 0, "group", to="mine"), "prune_runs[0].group is 'mine'"),
    "target": (changed("targets", to=[0.9]), "bounds has not one of each group and target"),
    "nothing": (changed("bounds", to=[]), "bounds is empty"),
    "quotes": (changed("made_with", "command", to="combsearch 'compare"), "No closing quotation"),
    "restarts": (changed("made_with", "command", to="combsearch --restarts x -o"), "'x'"),
    "deep": (lambda report: "[" * 200_000, "is damaged: it is no JSON"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_in_one_line(report: Json, tmp_path: Path, name: str) -> None:
    damage, message = DAMAGED[name]
    found = damage(report)
    path = tmp_path / "comparison.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    with pytest.raises(CorruptDataError) as error:
        comparison_page(path)
    assert message in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_show_of_a_damaged_comparison_ends_with_4_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("comparison.json").write_text('{"command": "compare"}')
    before = tree(tmp_path)
    assert cli.main(["show", "comparison.json", "-o", "page.html"]) == 4
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "task is missing" in said.err
    assert tree(tmp_path) == before


def test_names_of_methods_and_runs_are_data(report: Json, tmp_path: Path) -> None:
    """Hostile names end no block of the page and name no file."""
    odd = "</script><img src=x onerror=alert(1)>"
    text = json.dumps(part_of(report, ("snip",))).replace('"snip"', json.dumps(f"m:{odd}"))
    text = text.replace("results/prune-16", odd + "\\u0000" + "x" * 5000)
    path = tmp_path / "comparison.json"
    path.write_text(text)
    page = comparison_page(path)
    assert b"<img" not in page
    assert odd in [method["name"] for method in data_of(page)["methods"]]


def test_the_command_says_which_runs_were_taken(report: Json) -> None:
    assert narrowed(report) == (list(METHODS), None)
    with_restarts = changed("made_with", "command", to="combsearch compare a --restarts 4 -o b")
    assert narrowed(with_restarts(report)) == ([], 4)


def test_the_checked_structure_is_what_compare_writes(root: Path) -> None:
    for path in sorted((root / "results").glob("**/comparison.json")):
        assert comparison_text(read_comparison(path)).startswith("Target ")
