"""``combsearch show``: what it takes for what, where it writes, and its errors in one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searching import run_json, tree, with_a_run

from combsearch import cli
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.report.atlas import page as atlas_page
from combsearch.report.comparison import page as comparison_page
from combsearch.rng import RunKeys
from combsearch.saved_network import save_network
from combsearch.store import RunStore

Capture = pytest.CaptureFixture[str]

ODD = [
    "<img src=x onerror=alert(1)>", '"quoted\'', "new\nline", "-x", "a.b 0.95", "é", "\udcff",
    "<title><script>alert(1)<", "%41", "x.html", " ",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task, a network and a run."""
    folder = tmp_path_factory.mktemp("made")
    save_network(folder / "net.npz", network(), about={"task": "xor", "seed": 3})
    return with_a_run(folder)


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(bias: float = 0.0) -> NetBatch:
    keys = RunKeys.make(0, np.arange(1), ["0.05:cosine"], np.zeros(1, int))
    nets = NetBatch.create(MLP(NetShape.parse("3,2")), keys)
    nets.params["bias0"][:] += np.float32(bias)
    return nets


def error_of(capsys: Capture, code: int, *arguments: str) -> str:
    """The one line of ``show`` with these arguments; it must write nothing."""
    before = tree(Path("."))
    capsys.readouterr()
    assert cli.main(["show", *arguments]) == code
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1, found.err
    assert found.err.startswith("combsearch: ")
    assert tree(Path(".")) == before
    return found.err.removeprefix("combsearch: ").rstrip("\n")


# ---- what is shown --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "page", "source", "output"),
    [
        ("net.npz", "network", "net.npz", "net.html"),
        ("./net.npz", "network", "net.npz", "net.html"),
        ("one", "run", "runs/one", "one.html"),
        ("runs/one", "run", "runs/one", "one.html"),
        ("runs/one/", "run", "runs/one", "one.html"),
    ],
)
def test_a_network_and_a_run(
    capsys: Capture, what: str, page: str, source: str, output: str
) -> None:
    report = run_json(capsys, "show", what)
    content = Path(output).read_bytes()
    assert content.startswith(b"<!doctype html>")
    assert report == {
        "command": "show", "page": page, "source": source, "output": output,
        "bytes": len(content), "replaced": False,
    }  # fmt: skip


def test_without_json_it_says_what_went_where(capsys: Capture) -> None:
    assert cli.main(["show", "net.npz", "-o", "page.HTML"]) == 0
    size = Path("page.HTML").stat().st_size
    assert capsys.readouterr().out == f"net.npz -> page.HTML ({size / 1e6:.2f} MB)\n"
    assert not Path("net.html").exists()


def test_it_writes_the_page_and_nothing_else(here: Path) -> None:
    before, times = tree(here), times_of(here / "runs")
    for what in ("net.npz", "one"):
        assert cli.main(["show", what, "-o", "x.html"]) == 0
        after = tree(here)
        assert after.pop("x.html").startswith(b"<!doctype html>")
        assert after == before and times_of(here / "runs") == times


def times_of(folder: Path) -> dict[str, int]:
    """When each file and folder was changed."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_the_same_thing_gives_the_same_page() -> None:
    for what in ("net.npz", "one"):
        for name in ("a.html", "b.html"):
            assert cli.main(["show", what, "-o", name]) == 0
        assert Path("a.html").read_bytes() == Path("b.html").read_bytes()


def test_a_page_that_is_there_is_replaced_with_a_word(capsys: Capture) -> None:
    Path("net.html").write_text("old")
    assert cli.main(["show", "net.npz"]) == 0
    assert capsys.readouterr().out.endswith(" MB, replaces an older page)\n")
    assert run_json(capsys, "show", "net.npz")["replaced"] is True
    assert Path("net.html").read_bytes().startswith(b"<!doctype html>")


def test_the_folder_of_the_runs_can_be_named(capsys: Capture) -> None:
    Path("runs").rename("others")
    assert run_json(capsys, "show", "one", "--runs=others")["source"] == "others/one"
    assert "'one' is neither" in error_of(capsys, 2, "one")


def test_networks_of_runs_have_names_that_tell_them_apart(capsys: Capture) -> None:
    Path("runs/one/frontier").mkdir()
    for place, output in [("best.npz", "one-best.html"), ("frontier/22.npz", "one-22.html")]:
        shutil.copy("net.npz", f"runs/one/{place}")
        assert run_json(capsys, "show", f"runs/one/{place}")["output"] == output


def test_a_run_in_this_folder_goes_by_the_name_of_the_folder(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("clouds.csv", "runs/one")
    monkeypatch.chdir("runs/one")
    assert run_json(capsys, "show", ".")["output"] == "one.html"


def test_a_folder_called_as_a_network_is_a_run(capsys: Capture) -> None:
    Path("runs/one").rename("run.npz")
    report = run_json(capsys, "show", "run.npz")
    assert (report["page"], report["output"]) == ("run", "run.npz.html")


def test_what_compare_wrote_is_a_comparison(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spied(monkeypatch, comparison_page, "comparison_page")
    for folder in ("report", "runs/sweep/compare"):
        Path(folder).mkdir(parents=True)
        Path(folder, "comparison.json").write_text("{}")
    for what, source, output in [
        ("report", "report", "report.html"),
        ("report/comparison.json", "report", "report.html"),
        ("sweep/compare", "runs/sweep/compare", "compare.html"),
    ]:
        report = run_json(capsys, "show", what)
        assert (report["page"], report["source"], report["output"]) == (
            "comparison",
            source,
            output,
        )
        assert asked.pop() == (Path(source, "comparison.json"), "runs")
        Path(output).unlink()


def test_an_atlas_is_of_a_run(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(monkeypatch, atlas_page, "atlas_page")
    for option, shape in (("--atlas=3,2", "3,2"), ("--atlas", "")):
        report = run_json(capsys, "show", "one", option)
        assert (report["page"], report["output"]) == ("atlas", "one.html")
        store, asked_shape = asked.pop()
        assert (store.root, asked_shape, store.writable) == (Path("runs/one"), shape, False)


def spied(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """What ``module.name`` is called with from now on."""
    asked: list[tuple[Any, ...]] = []

    def page(*given: Any) -> bytes:
        asked.append(given)
        return b"x"

    monkeypatch.setattr(module, name, page)
    return asked


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_names(capsys: Capture, name: str, here: Path) -> None:
    shutil.copy("net.npz", f"{name}.npz")
    Path("runs/one").rename(f"runs/{name}")
    for what, output in ((f"./{name}.npz", f"{name}.html"), (f"runs/{name}", f"{name}.html")):
        report = run_json(capsys, "show", what)
        assert report["output"] == output
        content = Path(output).read_bytes()
        assert b"<img src" not in content and b"<script>alert" not in content
        assert content.decode("utf-8").count("<title>") == 1
        Path(output).unlink()
    assert cli.main(["show", what]) == 0  # as a line of text
    escaped = name.encode("utf-8", "backslashreplace").decode()
    assert capsys.readouterr().out.startswith(f"runs/{escaped} -> {escaped}.html (")


def test_a_name_that_looks_like_an_option_is_told_from_one(capsys: Capture) -> None:
    Path("runs/one").rename("runs/-x")
    assert "required: NETWORK|RUN|COMPARISON" in error_of(capsys, 2, "-x")
    assert run_json(capsys, "show", "./runs/-x")["output"] == "-x.html"


# ---- where it is written --------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("page", "--output 'page' must be a name that ends in .html"),
        ("page.htm", "--output 'page.htm' must be a name that ends in .html"),
        ("/dev/full", "--output '/dev/full' must be a name that ends in .html"),
        ("", "--output '' must be a name that ends in .html"),
        ("no/page.html", "--output no/page.html: there is no folder no"),
        ("clouds.csv/page.html", "--output clouds.csv/page.html: there is no folder clouds.csv"),
        ("folder.html", "--output folder.html is a folder; name a file"),
        (f"{'x' * 300}/y.html", "xx/y.html: there is no folder xx"),
        (f"{'x' * 300}.html", "File name too long"),
        ("/proc/page.html", "cannot use /proc"),
    ],
)
def test_what_cannot_be_written(capsys: Capture, output: str, message: str) -> None:
    Path("folder.html").mkdir()
    for what in ("net.npz", "one"):
        assert message in error_of(capsys, 2, what, f"--output={output}")


def test_a_full_disk_leaves_the_old_page(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("net.html").write_text("old")
    monkeypatch.setattr(os, "fsync", full_disk)
    assert "No space left on device" in error_of(capsys, 5, "net.npz")
    assert Path("net.html").read_text() == "old"


def full_disk(_: int) -> None:
    raise OSError(28, "No space left on device")


# ---- what cannot be shown -------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        "nothing", "runs", ".", "clouds.csv", "run.json", "", "x" * 5000, "clouds.csv/x",
        "comparison.json",
    ],
    ids=lambda what: what[:20] or "empty",
)  # fmt: skip
def test_what_is_nothing_to_show(capsys: Capture, what: str) -> None:
    said = error_of(capsys, 2, what)
    assert f"{what!r} is neither a saved network (.npz or .safetensors), nor a folder" in said
    assert "nor a run: there is no run.json in " in said
    assert ("; runs in it: one" in said) == (what in ("runs", ""))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "net.npz"),
        (lambda data: b"", "net.npz"),
        (lambda data: b"PK" + bytes(500), "net.npz"),
        (lambda data: data.replace(b"weight0.npy", b"weight9.npy"), "net.npz"),
    ],
)
def test_a_damaged_network(capsys: Capture, damage: Callable[[bytes], bytes], message: str) -> None:
    Path("net.npz").write_bytes(damage(Path("net.npz").read_bytes()))
    assert message in error_of(capsys, 4, "net.npz")


def test_networks_that_no_page_can_show(capsys: Capture) -> None:
    assert "there is no file nothing.npz" in error_of(capsys, 2, "nothing.npz")
    save_network("mine.npz", network(), about={"task": "mine.csv"})
    assert "'mine.csv', which is not built in: give --task" in error_of(capsys, 2, "mine.npz")
    assert "unknown task 'nosuch'" in error_of(capsys, 2, "net.npz", "--task=nosuch")
    keys = RunKeys.make(0, np.arange(1), ["0.05:cosine"], np.zeros(1, int))
    save_network("wide.npz", NetBatch.create(MLP(NetShape.parse("65")), keys))
    assert "keeps 65 neurons of a layer" in error_of(capsys, 2, "wide.npz", "--task=xor")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_with_numbers_that_are_none(capsys: Capture, value: float) -> None:
    save_network("bad.npz", network(value), about={"task": "xor"})
    assert "bad.npz" in error_of(capsys, 4, "bad.npz")


def test_the_task_of_a_network_can_be_given(capsys: Capture) -> None:
    save_network("mine.npz", network(), about={"task": "mine.csv"})
    assert run_json(capsys, "show", "mine.npz", "--task=clouds.csv")["page"] == "network"
    page = Path("mine.html").read_text()
    assert '"certify":"combsearch certify mine.npz --task clouds.csv"' in page


def test_a_damaged_run(capsys: Capture, here: Path) -> None:
    shard = next(iter(sorted(here.glob("runs/one/shards/*.parquet"))))
    shard.write_bytes(shard.read_bytes()[:-9])
    assert f"{shard.name}: its sha256 is not" in error_of(capsys, 4, "one")
    assert "combsearch verify" in error_of(capsys, 4, "one")
    (here / "runs/one/run.json").write_text("{")
    assert "run.json" in error_of(capsys, 4, "one")


def test_a_damaged_comparison(capsys: Capture) -> None:
    Path("report").mkdir()
    for text in ("", "[]", "{", '{"command": "compare"}'):
        Path("report/comparison.json").write_text(text)
        assert "report/comparison.json" in error_of(capsys, 4, "report")


def test_a_run_of_a_study_has_no_page(capsys: Capture, here: Path) -> None:
    RunStore.open("runs/study", {"command": "study pqi", "config": {}, "numerics": 1})
    for arguments in (["study"], ["study", "--live"]):
        said = error_of(capsys, 2, *arguments)
        assert "runs/study is a run of `study pqi`, which has no page" in said


# ---- options that do not go together --------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("net.npz --atlas", "--atlas does not go with a network"),
        ("net.npz --atlas=3", "--atlas does not go with a network"),
        ("one --task=xor", "--task does not go with a run"),
        ("one --atlas --task=xor", "--task does not go with a run"),
        ("report --task=xor", "--task does not go with a comparison"),
        ("report --atlas", "--atlas does not go with a comparison"),
        ("one --port=1", "--port goes with --live"),
        ("one --live -o=x.html", "--output does not go with --live"),
        ("one --live --task=xor", "--task does not go with --live"),
        ("one --live --atlas", "--atlas does not go with --live"),
        ("net.npz --live", "--live serves the page of a run, and net.npz is a network"),
        ("report --live", "--live serves the page of a run, and report is a comparison"),
        ("nothing --live", "'nothing' is neither a saved network"),
        ("one --live --port=x", "argument --port: invalid int value: 'x'"),
        ("one --live --port=-1", "--port -1 is no port; give one of 1..65535, or leave it out"),
        ("one --live --port=65536", "--port 65536 is no port"),
        ("one two", "unexpected argument 'two'"),
        ("one --outptu=x.html", "unknown option '--outptu', did you mean '--output'?"),
        ("", "the following arguments are required: NETWORK|RUN|COMPARISON"),
    ],
)
def test_options_that_do_not_go_together(capsys: Capture, arguments: str, message: str) -> None:
    Path("report").mkdir()
    Path("report/comparison.json").write_text("{}")
    assert message in error_of(capsys, 2, *arguments.split())


def test_help_names_all_options(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        cli.main(["show", "--help"])
    text = capsys.readouterr().out
    for option in ("--output", "--task", "--atlas", "--live", "--port", "--runs", "--json"):
        assert option in text
