"""The study of DCT plus sparse for a bare GPU machine: its rows are those of the command."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.cli import main
from combsearch.dctps_rows import DCTPS_ROWS
from combsearch.store import RunStore, digest

PIECES = Path(__file__).parent / "image_files"
SMALL = (
    "--network=6,4", "--methods=dctps,rigl", "--densities=5,1", "--seeds=2", "--epochs=6",
    "--batch-size=5", "--validation=0.25", "--rigl-interval=3", "--trainer=vmap",
)  # fmt: skip
NETWORKS = 2 * 2 * 2
Capture = pytest.CaptureFixture[str]
Scripts = Callable[[str], Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))


@pytest.fixture
def script(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """The modules of ``results/dctps``, which find each other as scripts do."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "results" / "dctps"))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if "results" in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run of the command."""
    folder = tmp_path_factory.mktemp("command")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMBSEARCH_DATA", str(PIECES))
        words = ["study", "dctps", *SMALL, "--no-figures", "--jobs=1", "--run=wanted"]
        assert main([*words, "--runs", str(folder)]) == 0
    return digest_of(folder / "wanted")


def piece(script: Scripts, out: str, *arguments: str, code: int = 0) -> None:
    assert script("gpu").main([*SMALL, f"--out={out}", *arguments]) == code


def digest_of(folder: Path) -> str:
    return digest(RunStore.attach(folder).read(), DCTPS_ROWS)


def error(capsys: Capture) -> str:
    """The one line on standard error that is no progress."""
    lines = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith("network")
    ]
    assert len(lines) == 1, lines
    return lines[0]


def test_pieces_make_the_run_of_the_command(
    script: Scripts, wanted: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command stops at its first look at the clock and goes on elsewhere."""
    monkeypatch.setattr("combsearch.studies.dctps.training.epochs_of_segment", lambda _: 1)
    folders: list[str] = []
    kept, code = 0, 75
    while code == 75 and len(folders) < 100:
        out = f"piece{len(folders)}"
        more = [f"--from={folder}" for folder in folders]
        code = script("gpu").main([*SMALL, f"--out={out}", "--minutes=0", *more])
        kept += any("halfway" in name for name in os.listdir(out))
        folders.append(out)
    assert code == 0 and kept > NETWORKS  # more often than there are networks
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["left"] == 0 and report["networks"] == NETWORKS
    collect = script("collect").main
    assert collect([*folders, "--run=run", "--runs=."]) == 0
    assert f"{NETWORKS} networks" in capsys.readouterr().out
    assert digest_of(Path("run")) == wanted
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["finished"] and summary["made_with"]["script"] == "results/dctps/gpu.py"
    for words in (["status"], ["verify"], ["study", "dctps", "export", "-o=x.parquet"]):
        assert main([*words, "run", "--runs=."]) == 0


def test_pieces_of_another_run_and_damaged_ones(script: Scripts, capsys: Capture) -> None:
    piece(script, "a", "--methods=dctps", "--densities=1", "--seeds=1")
    path = Path("a/network-0.rounds-000-000.npz")
    capsys.readouterr()
    piece(script, "b", "--from=a", "--methods=dctps", "--densities=1", "--seeds=2", code=3)
    assert f"{path} is of another run: its config seeds is 1, here 2" in error(capsys)
    piece(script, "b", "--minutes=nan", code=2)
    assert "--minutes is nan" in error(capsys)
    piece(script, "b", "--from=none", code=2)
    assert "--from none is no folder" in error(capsys)
    other = script("round_files").read_rounds(path)
    changed = {**other.columns[0], "accuracy": np.array([0.5])}
    script("round_files").Folder(Path("c"), other.about).add(0, changed)
    capsys.readouterr()
    assert script("collect").main(["a", "c", "--run=run", "--runs=."]) == 4
    assert "differ in accuracy of network 0" in error(capsys)
    path.write_bytes(path.read_bytes()[:200])
    assert script("collect").main(["a", "--run=run", "--runs=."]) == 4
    assert f"{path} is damaged or no file of results/dctps/gpu.py" in error(capsys)
    assert script("collect").main(["b", "--run=run", "--runs=."]) == 2
    assert "has no rows of networks" in error(capsys) and not Path("run").exists()


BARE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {scripts!r})
import gpu
sys.exit(gpu.main({words!r}))
"""
ABSENT = (
    "numba", "llvmlite", "pyarrow", "scipy", "joblib", "rich", "matplotlib", "safetensors",
)  # fmt: skip


def test_pytorch_and_numpy_are_enough(root: Path) -> None:
    methods = "--methods=dctps,epl,force,synflow,rigl"
    words = [*SMALL, methods, "--densities=5", "--seeds=1", "--epochs=1", "--out=a"]
    code = BARE.format(absent=set(ABSENT), scripts=str(root / "results" / "dctps"), words=words)
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["left"] == 0
    assert len(os.listdir("a")) == 5
