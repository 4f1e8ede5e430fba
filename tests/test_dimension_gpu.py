"""The dimensionality study for a bare GPU machine: its rows are those of the command."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.cli import main
from combsearch.dimension_rows import DIMENSION_ROWS
from combsearch.store import RunStore, digest
from combsearch.studies.dimensionality.config import ExtrinsicConfig
from combsearch.studies.dimensionality.plan import ImpPlan
from combsearch.trainers.vmap import VmapTrainer

PIECES = Path(__file__).parent / "image_files"
SMALL = (
    "extrinsic", "--network=resnet8", "--widths=2", "--dimensions=4,8", "--rounds=2", "--seeds=2",
    "--epochs=2", "--batch-size=2", "--rewinds=1,3", "--share=0.3", "--tolerances=0.1",
)  # fmt: skip
CHAINS, ROUNDS, SETTINGS = 2 * 2, 3, 2  # rounds with that of the dense networks
Capture = pytest.CaptureFixture[str]
Scripts = Callable[[str], Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))


@pytest.fixture
def script(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """The modules of ``results/dimensionality``, which find each other as scripts do."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "results" / "dimensionality"))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if "results" in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the command."""
    folder = tmp_path_factory.mktemp("command")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMBSEARCH_DATA", str(PIECES))
        words = ["study", "dimensionality", *SMALL, "--no-figures", "--jobs=1", "--run=wanted"]
        assert main([*words, "--runs", str(folder)]) == 0
    return folder / "wanted"


def rounds(script: Scripts, out: str, *arguments: str, setting: int = 0, code: int = 0) -> None:
    words = [*SMALL, f"--setting={setting}", f"--out={out}", *arguments]
    assert script("gpu").main(words) == code


def collect(script: Scripts, *pieces: str, code: int = 0) -> None:
    assert script("collect").main([*pieces, "--run=run", "--runs=."]) == code


def go_on(capsys: Capture) -> dict[str, Any]:
    """What the command tells of the run folder, once it has gone on with it."""
    capsys.readouterr()
    words = ["study", "dimensionality", *SMALL, "--no-figures", "--jobs=1", "--json"]
    assert main([*words, "--run=run", "--runs=."]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def digest_of(folder: Path) -> str:
    return digest(RunStore.attach(folder).read(), DIMENSION_ROWS)


def error(capsys: Capture) -> str:
    """The one line on standard error that is no progress."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("round")]
    assert len(lines) == 1, lines
    return lines[0]


def test_pieces_make_the_run_of_the_command(script: Scripts, wanted: Path, capsys: Capture) -> None:
    rounds(script, "whole", setting=1)
    report = json.loads(capsys.readouterr().out)
    assert report["complete"] and report["rounds_done"] == 2 and len(report["seconds"]) == ROUNDS
    assert (report["width"], report["dimension"]) == ("2", 8)
    for number in range(ROUNDS):  # each on a machine that has the folder before and nothing else
        more = [f"--from=a{number - 1}"] if number else []
        rounds(script, f"a{number}", "--minutes=0", *more, code=0 if number == 2 else 75)
    assert os.listdir("a1") == ["setting-0.rounds-001-001.npz"]
    capsys.readouterr()
    collect(script, "a0", "a1", "a2", "whole")
    assert f"{SETTINGS * ROUNDS * CHAINS} rows, 2 seeds" in capsys.readouterr().out
    assert digest_of(Path("run")) == digest_of(wanted)
    names = [sorted(p.name[:25] for p in (f / "shards").iterdir()) for f in (Path("run"), wanted)]
    assert names[0] == names[1]
    tables = sorted(path.name for path in wanted.glob("table-*.csv"))
    assert len(tables) == 2 * 2
    for name in tables:  # tolerances came along
        assert Path("run", name).read_bytes() == (wanted / name).read_bytes()
    summary = json.loads(Path("run/summary.json").read_text())
    assert len(summary["sessions"]) == 4 and summary["finished"]
    assert summary["made_with"]["script"] == "results/dimensionality/gpu.py"
    for words in (["status"], ["verify"], ["study", "dimensionality", "export", "-o=x.parquet"]):
        assert main([*words, "run", "--runs=."]) == 0
    assert go_on(capsys)["trained_now"] == 0


def test_a_run_that_is_not_finished_goes_on_with_the_command(
    script: Scripts, wanted: Path, capsys: Capture
) -> None:
    rounds(script, "a", "--minutes=0", code=75)
    rounds(script, "a", "--minutes=0", code=75)  # its own folder is enough
    rounds(script, "b", "--minutes=0", setting=1, code=75)
    collect(script, "a", "b")
    assert f"{3 * CHAINS} rows, {3 * CHAINS} left" in capsys.readouterr().out
    assert go_on(capsys)["trained_now"] == 3 * CHAINS
    assert digest_of(Path("run")) == digest_of(wanted)


def test_a_command_that_was_cut_off_goes_on_halfway(
    script: Scripts, wanted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside(folder: str) -> list[str]:
        found = [path for path in Path(folder).rglob("*.npz") if path.parent.name != folder]
        assert all(len(path.parts) == 4 for path in found)  # no deeper than files may come back
        return sorted("/".join(path.parts[2:]) for path in found)

    before = VmapTrainer.fit
    seen: list[int] = []

    def killed(trainer: VmapTrainer, *given: Any) -> Any:
        seen.append(given[4].start)
        if (
            len(seen) == 5 and not Path("b").exists()
        ):  # two dense epochs, weights to rewind to, an epoch of round 1
            raise KeyboardInterrupt
        return before(trainer, *given)

    monkeypatch.setattr(VmapTrainer, "fit", killed)
    monkeypatch.setattr("combsearch.studies.checkpoint.Halfway.due", lambda _: True)
    steps = "combsearch.studies.dimensionality.training.epochs_of_segment"
    monkeypatch.setattr(steps, lambda _: 1)
    with pytest.raises(KeyboardInterrupt):
        rounds(script, "a", "--halfway=a")
    Path("a/.combsearch-00000000-1-00000000.tmp").write_bytes(b"half of a file")
    assert inside("a") == ["dense/0-1.npz", "halfway/0-1-1.npz"]
    shutil.copytree("a", "b")  # what came back is where the next command begins, as in gpu.md
    rounds(script, "b", "--halfway=b")
    assert seen[:6] == [0, 3, 0, 1, 3, 3]  # of epochs of 3 steps: the last is taken up again
    assert inside("b") == ["dense/0-1.npz", "dense/0-3.npz"]
    rounds(script, "b", setting=1)
    collect(script, "a", "b")
    assert digest_of(Path("run")) == digest_of(wanted)


def test_damaged_pieces_and_those_of_another_run(script: Scripts, capsys: Capture) -> None:
    rounds(script, "a", "--minutes=0", code=75)
    path = Path("a/setting-0.rounds-000-000.npz")
    content = path.read_bytes()
    for more, said in (
        (["--epochs=3"], "its config epochs is 2, here 3"),
        (["--dimensions=4,6"], "its config dimensions is [4, 8], here [4, 6]"),
        (["--tf32"], "its tf32 is false, here true"),
    ):
        rounds(script, "b", "--from=a", *more, code=3)
        assert f"{path} is of another run: {said};" in error(capsys)
    rounds(script, "c", "--minutes=0", "--tf32", setting=1, code=75)
    capsys.readouterr()
    collect(script, "a", "c", code=3)
    assert "its tf32 is true, here false" in error(capsys)
    for bad in (content[: len(content) // 2], content[:90] + b"?????" + content[95:], b""):
        path.write_bytes(bad)
        rounds(script, "b", "--from=a", code=4)
        assert f"{path} is damaged or no file of results/dimensionality" in error(capsys)
    collect(script, "a", code=4)
    assert f"collect: {path} is damaged" in error(capsys)
    assert not Path("b").exists() and not Path("run").exists()


def test_what_is_not_there_is_named(
    script: Scripts, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(script, "b", setting=2, code=2)
    assert "--setting is 2, it must be from 0 to 1: --widths has 1" in error(capsys)
    Path("a").mkdir()
    rounds(script, "b", "--from=a", code=2)
    assert "--from a has no rounds of setting 0; name folders" in error(capsys)
    rounds(script, "b", "--network=resnet81", code=2)
    assert "network 'resnet81x2': depth is 81" in error(capsys)
    for words in (["none"], ["a"], ["a/none.npz"]):
        collect(script, *words, code=2)
        assert "no" in error(capsys)
    assert script("gpu").main(["intrinsic", "--out=b"]) == 2
    assert "--generator" in error(capsys)
    monkeypatch.setattr(ImpPlan, "get_trainer", _no_module)
    rounds(script, "b", code=2)
    assert "trainer 'vmap' cannot run here (No module named 'numba')" in error(capsys)


def _no_module(plan: ImpPlan) -> None:
    raise ModuleNotFoundError("No module named 'numba'")


@pytest.mark.parametrize(("name", "value", "said"), [
    ("accuracy", 0.77, "b/setting-0.rounds-001-001.npz both have round 1 of setting 0, and not"),
    ("mask", 2**64 - 1, "setting-0.rounds-001-001.npz: round 1 of setting 0 did not train what"),
    ("kept", 7, "setting-0.rounds-001-001.npz: round 1 of setting 0 did not train what round 0"),
    ("rank", 5, "setting-0.rounds-001-001.npz: round 1 is not of this run"),
])  # fmt: skip
def test_pieces_that_do_not_fit_each_other(
    name: str, value: Any, said: str, script: Scripts, capsys: Capture
) -> None:
    rounds(script, "a", "--rounds=1")
    files = script("round_files")
    found = files.read_rounds(Path("a/setting-0.rounds-000-001.npz"))
    columns = {**found.columns[1], name: np.full_like(found.columns[1][name], value)}
    if name == "mask":  # as many as before, of others than round 0 left
        dense = found.columns[0]["mask"]
        first, last = (np.argmax(np.unpackbits(m.view(np.uint8), bitorder="little") == bit)
                       for bit, m in ((0, dense[0]), (1, found.columns[1]["mask"][0])))  # fmt: skip
        columns["mask"] = found.columns[1]["mask"].copy()
        columns["mask"][0, first // 64] |= np.uint64(1) << np.uint64(first % 64)
        columns["mask"][0, last // 64] &= ~(np.uint64(1) << np.uint64(last % 64))
    files.Folder(Path("c"), found.about).add(0, found.columns[0])
    files.Folder(Path("b"), found.about).add(1, columns)
    capsys.readouterr()
    collect(script, "a" if name == "accuracy" else "c", "b", code=4)
    assert said in error(capsys) and not Path("run").exists()


def test_pieces_of_the_other_study_are_none(script: Scripts, capsys: Capture) -> None:
    files = script("gpu") and script("round_files")
    about = files.About({"command": "study pqi", "config": {}, "trainer": "vmap"}, 0, False, {})
    files.Folder(Path("a"), about).add(0, {"rank": np.arange(2)})
    collect(script, "a", code=2)
    assert "a has no rounds of a setting" in error(capsys)
    collect(script, "a/seed-0.rounds-000-000.npz", code=2)
    assert "holds no rounds of a setting" in error(capsys)


def test_generated_images_need_their_generator(
    script: Scripts, root: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = root / "results" / "dimensionality" / "generator" / "generator.safetensors"
    shutil.copy(source, "there.safetensors")
    words = ("intrinsic", "--network=mlp", "--widths=2", "--dimensions=3", "--points=20",
             "--test-points=10", "--rounds=1", "--seeds=2", "--epochs=1", "--batch-size=10",
             "--rewinds=0", "--generator=there.safetensors", "--out=a")  # fmt: skip
    assert script("gpu").main(words) == 0
    capsys.readouterr()
    collect(script, "a", code=2)
    assert "--generator FILE" in error(capsys)
    Path("there.safetensors").rename("here.safetensors")  # where it lies does not count
    collect(script, "a", "--generator=here.safetensors")
    assert "4 rows, 2 seeds" in capsys.readouterr().out
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert script("gpu").main(words) == 2
    assert "--generator there.safetensors: the library safetensors" in error(capsys)


def test_settings_are_numbered_widths_first(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ExtrinsicConfig(widths=("2", "3"), dimensions=(4, 8), rewinds=(0,), batch_size=2)
    found = [(setting.width, setting.dimension) for setting in ImpPlan.of(config).settings]
    assert found == [("2", 4), ("2", 8), ("3", 4), ("3", 8)]  # as gpu.md lists them


BARE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {scripts!r})
import gpu
sys.exit(max(gpu.main(words) for words in {commands!r}))
"""
ABSENT = (
    "numba", "llvmlite", "pyarrow", "scipy", "joblib", "rich", "matplotlib", "safetensors",
)  # fmt: skip
LINEAR = ("task", "--widths=6x5", "--inputs=8", "--latent=6", "--dimensions=6", "--points=40",
          "--test-points=50", "--rounds=1", "--seeds=2", "--epochs=2", "--batch-size=8",
          "--trainer=vmap")  # fmt: skip


def test_pytorch_and_numpy_are_enough(root: Path) -> None:
    code = BARE.format(
        absent=set(ABSENT),
        scripts=str(root / "results" / "dimensionality"),
        commands=[[*SMALL, "--out=a"], [*LINEAR, "--out=b"]],
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert [json.loads(line)["complete"] for line in found.stdout.splitlines()] == [True, True]
    assert os.listdir("a") == ["setting-0.rounds-000-002.npz"]
    assert os.listdir("b") == ["setting-0.rounds-000-001.npz"]
