"""Files of figures: one set of formats, the same bytes from the same rows, SVGs that are sound."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from test_comparison import phase1_rows, ring_net, run_of, table_of
from test_draw_dctps import allocation
from test_draw_dctps import report as bench_report

from combsearch import cli, plots
from combsearch.commands.study_dctps_allocate import _as_json
from combsearch.durable import write_json
from combsearch.figure_formats import FIGURE_FORMATS
from combsearch.plots.style import new_figure
from combsearch.rows import rows_table
from combsearch.store import RunStore, Shard
from combsearch.tasks import load_task

Capture = pytest.CaptureFixture[str]


# ------------------------------------------------------------------ bytes


def drawn_apart(root: Path, folder: Path) -> list[Path]:
    """Folders of figures that processes drew which hash texts differently, in other time zones."""
    found, running = [], []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        found.append(folder / seed)
        path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
        more = {"PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": path}
        command = [sys.executable, str(root / "tests" / "draw_all_figures.py"), str(found[-1])]
        running.append(subprocess.Popen(command, env=os.environ | more))
    assert [process.wait(300) for process in running] == [0, 0]
    return found


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def assert_same_files(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    assert first.keys() == second.keys()
    assert [name for name, data in first.items() if data != second[name]] == []
    kinds = Counter(name.rpartition(".")[2] for name in first)
    assert set(kinds) == set(FIGURE_FORMATS) and len(set(kinds.values())) == 1
    for name, data in first.items():
        assert not re.search(rb"CreationDate|ModDate|<dc:date>|tIME", data), name
        if name.endswith(".svg"):
            assert_sound(data)


def assert_sound(svg: bytes) -> None:
    """It is XML, no id is there twice, what is referred to is there, and text needs no font."""
    found = list(ElementTree.fromstring(svg).iter())
    ids = Counter(one.attrib["id"] for one in found if "id" in one.attrib)
    assert not [name for name, times in ids.items() if times > 1 or " " in name]
    links = {value[1:] for one in found for key, value in one.attrib.items() if "href" in key
             and value.startswith("#")}  # fmt: skip
    links |= set(re.findall(r"url\(#([^)]+)\)", svg.decode()))
    assert links <= set(ids)
    assert not [one for one in found if one.tag.endswith("}text")]


@pytest.mark.slow
def test_every_figure_is_the_same_bytes_in_every_process(root: Path, tmp_path: Path) -> None:
    first, second = map(tree, drawn_apart(root, tmp_path))
    names = {"scatter", "success", "regions", "levels", "network"}
    assert {f"phase1/{name}.svg" for name in names} <= set(first)
    assert {"bound.pdf", "frontier.svg", "sweep/accuracy-gmp.png"} <= set(first)
    assert {"compare/pareto-all.svg", "pqi/gini-global.pdf", "two-layers.svg"} <= set(first)
    assert_same_files(first, second)


def test_names_of_artists_outlive_a_save(tmp_path: Path) -> None:
    figure = new_figure(1, 1)
    axes = figure.add_subplot()
    lines = [axes.plot([0, 1], [0, k], gid="two words")[0] for k in range(2)]
    plots.save(figure, tmp_path / "a.svg", tmp_path / "a.png")
    assert [line.get_gid() for line in lines] == ["two words", "two words"]
    text = (tmp_path / "a.svg").read_text()
    assert 'id="two-words-1"' in text and 'id="two-words-2"' in text


def test_a_large_scatter_is_one_image_in_an_svg(tmp_path: Path) -> None:
    count = list(range(30_000))
    rows = rows_table(
        rank=count, shape="2,3,3,3,1", mask=0, nonzeros=[9 + k % 40 for k in count],
        cell="0.05:cosine", restart=count, accuracy=[0.5 + k % 997 / 2000 for k in count],
    )  # fmt: skip
    plots.save(plots.scatter(rows, 0.95), tmp_path / "a.svg", tmp_path / "a.pdf")
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 500_000
    assert b"<image" in (tmp_path / "a.svg").read_bytes()


# ------------------------------------------------------------------ one style, one set of formats


def test_figures_are_made_and_saved_in_one_place(root: Path) -> None:
    """``new_figure`` and ``save`` of ``plots.style`` give every figure its looks and its bytes."""
    own = root / "combsearch" / "plots" / "style.py"
    for folder in ("combsearch", "results"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                name = getattr(called, "attr", getattr(called, "id", ""))
                assert path == own or name not in ("savefig", "Figure", "subplots"), path


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in dict.fromkeys(action.choices.values()):
                yield from leaves(inner)


def test_every_command_that_draws_has_the_same_formats() -> None:
    parser, _ = cli._parser()
    found = {}
    for command in leaves(parser):
        for action in command._actions:
            if action.dest == "format":
                found[command.prog.partition(" ")[2]] = (action.choices, action.default)
    assert set(found) == {
        "plot", "compare", "study pqi plot", "study dimensionality plot", "study dctps plot",
        "study dctps spiral plot", "study dctps allocate", "study dctps bench",
        "study disconnection",
    }  # fmt: skip
    assert set(found.values()) == {(("png", "pdf", "svg"), "png")}


# ------------------------------------------------------------------ figures of saved reports


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def a_run(name: str, rows: Any, command: str, config: dict[str, Any] | None = None) -> Path:
    task = load_task("circles")
    config = {"task": "circles", **(config or {})}
    identity = {"command": command, "config": config, "task_digest": task.digest(), "numerics": 1}
    store = RunStore.open(Path("runs") / name, identity)
    store.write(Shard(0, int(rows["rank"].to_numpy().max()) + 1), rows)
    return Path("runs") / name


@pytest.fixture
def compared(in_a_folder: Path, capsys: Capture) -> dict[str, bytes]:
    """SVGs of a comparison in ``both``, of the runs a, b and c."""
    both = table_of([run_of("gmp", 0.97, 40), run_of("snip", 0.9, 30)], {0: ring_net()})
    a_run("a", both, "prune")
    a_run("b", table_of([run_of("gmp", 0.99, 50, restart=1, budget=25)]), "prune", {"seed": 1})
    a_run("c", phase1_rows((31, 0.9), (33, 0.96)), "phase1")
    words = ["compare", "a", "b", "c", "--methods", "gmp", "--restarts", "2", "-o", "both"]
    assert cli.main([*words, "--target", "0.95", "--format", "svg"]) == 0
    capsys.readouterr()
    return {name: data for name, data in tree(Path("both")).items() if name.endswith(".svg")}


def test_a_comparison_is_drawn_again(compared: dict[str, bytes], capsys: Capture) -> None:
    names = {"pareto-w4", "pareto-all", "best-of-widths", "disconnected", "budgets-gmp",
             "networks-0.95"}  # fmt: skip
    assert set(compared) == {f"{name}.svg" for name in names}
    assert cli.main(["plot", "both", "-o", "again", "--format", "svg", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["report"] == "both/comparison.json"
    assert tree(Path("again")) == compared
    assert {str(Path(file).relative_to("again")) for file in report["files"]} == set(compared)
    assert cli.main(["plot", "both/comparison.json"]) == 0  # beside it, as PNG
    assert {f"{name}.png" for name in names} <= set(tree(Path("both")))


def test_a_comparison_whose_runs_lie_elsewhere_is_drawn(
    compared: dict[str, bytes],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("runs").rename("moved")
    assert cli.main(["plot", "both"]) == 2
    said = capsys.readouterr().err
    assert "compares the run runs/a, which is not there" in said and "--runs" in said
    words = ["plot", "both", "--runs", "moved", "-o", "again", "--format=svg"]
    assert cli.main(words) == 0
    assert tree(Path("again")) == compared
    Path("both").rename("moved/both")  # beside the runs, as published results lie
    monkeypatch.chdir(tmp_path.parent)
    words = ["plot", str(tmp_path / "moved" / "both"), "-o", str(tmp_path / "third")]
    assert cli.main([*words, "--format=svg"]) == 0
    assert tree(tmp_path / "third") == compared


def test_other_rows_than_were_compared_are_not_drawn(
    compared: dict[str, bytes], capsys: Capture
) -> None:
    RunStore.open(Path("runs/b"), RunStore.attach(Path("runs/b")).identity).write(
        Shard(1, 2), table_of([run_of("gmp", 0.9, 20) | {"width": 3}]).set_column(0, "rank", [[1]])
    )
    assert cli.main(["plot", "both", "-o", "again"]) == 2
    assert "holds other rows than both/comparison.json compares" in capsys.readouterr().err
    assert not Path("again").exists()


def test_other_bounds_than_were_compared_are_not_drawn(
    compared: dict[str, bytes], capsys: Capture
) -> None:
    shutil.rmtree("runs/c")
    a_run("c", phase1_rows((29, 0.9), (31, 0.96)), "phase1")  # it was 33 then
    assert cli.main(["plot", "both", "-o", "again"]) == 2
    said = capsys.readouterr().err
    assert "the searches have other bounds now than both/comparison.json states" in said
    assert not Path("again").exists()


def write_reports() -> None:
    write_json("bench/bench.json", {"command": "study dctps bench", **bench_report()})
    kept = [_as_json(allocation(name)) for name in ("epl", "synflow")]
    write_json("bench/allocation.json", {"command": "study dctps allocate", "allocations": kept})


def test_reports_are_drawn_from_their_files(in_a_folder: Path, capsys: Capture) -> None:
    Path("bench").mkdir()
    write_reports()
    assert cli.main(["plot", "bench"]) == 2
    assert "bench holds several reports: name one of" in capsys.readouterr().err
    assert cli.main(["plot", "bench/bench.json", "--format", "pdf"]) == 0
    assert capsys.readouterr().out.split() == ["bench/bench.pdf"]
    assert cli.main(["plot", "bench/allocation.json", "--format", "svg", "-o", "there"]) == 0
    assert capsys.readouterr().out.split() == ["there/layers-vgg19.svg"]
    Path("bench/bench.json").unlink()
    assert cli.main(["plot", "bench"]) == 0
    assert capsys.readouterr().out.split() == ["bench/layers-vgg19.png"]


def _apart(**changes: Any) -> str:
    """A report of random masks with one curve of one width."""
    numbers = {"width": [3], "exact": [0.5], "bound": [0.1], "printed": [0.2], "simulated": []}
    curve = {"each": 1, **numbers, **changes}
    return json.dumps({"command": "study disconnection", "curves": [], "two_layers": [curve]})


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("{", 4, "bench.json is damaged: it is no JSON"),
        ("[1]", 2, "bench.json is no report of a command"),
        ('{"command": "bench"}', 2, "is a report of 'bench'; those of compare, study disconn"),
        ('{"command": "study dctps bench"}', 4, "is damaged or was edited (KeyError: 'devices')"),
        ('{"command": "compare", "prune_runs": 1}', 4, "make it again with `combsearch compare`"),
        ('{"command": ["compare"]}', 2, "is a report of ['compare']"),
        (_apart(exact=["x"]), 4, "is damaged or was edited (ValueError: could not convert"),
        (_apart(simulated=[{"apart": 1, "samples": 0, "interval": [0, 1]}]), 4, "(ZeroDivision"),
    ],
    ids=[
        "no JSON",
        "a list",
        "another command",
        "a key lost",
        "a wrong type",
        "a list inside",
        "a text for a number",
        "no samples",
    ],
)
def test_what_is_no_report_is_said(
    in_a_folder: Path, capsys: Capture, text: str, code: int, said: str
) -> None:
    Path("bench.json").write_text(text)
    assert cli.main(["plot", "bench.json"]) == code
    assert said in capsys.readouterr().err


def test_neither_run_nor_report(in_a_folder: Path, capsys: Capture) -> None:
    Path("empty").mkdir()
    for name in ("empty", "none", "none.json", "x" * 300):
        assert cli.main(["plot", name]) == 2
        assert "no run in" in capsys.readouterr().err


def test_random_masks_are_a_study(in_a_folder: Path, capsys: Capture) -> None:
    assert cli.main(["study", "disconnection", "--widths", "4,2", "-o", "out", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    names = ["disconnection.json", "two-layers.png", "disconnection.png"]
    assert report["files"] == [f"out/{name}" for name in names]
    assert report["widths"] == [2, 4]
    assert report["made_with"]["command"] == "combsearch study disconnection --widths 4,2"
    [one, two, four, *_] = report["two_layers"]
    assert (one["each"], one["width"], one["exact"]) == (1, [2, 4], [0.5, 0.75])
    assert (one["bound"], one["printed"]) == ([0.5, 0.75], [1.0, 1.0])
    assert (four["each"], four["exact"][0]) == (4, 0.0) and two["bound"][0] == 0.0
    assert cli.main(["plot", "out", "--format", "svg"]) == 0
    assert capsys.readouterr().out.split() == ["out/two-layers.svg", "out/disconnection.svg"]
    for text in ("", "0", "x,3", "2000"):
        assert cli.main(["study", "disconnection", f"--widths={text or ','}"]) == 2
        assert "must be whole numbers from 1 to 1024" in capsys.readouterr().err
