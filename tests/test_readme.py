"""What README shows of pruners, image data and the PQ index works as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pruners import dense

from combsearch.cli import main
from combsearch.pruning import flatten
from combsearch.rng import RunKeys
from combsearch.tasks.images import DataSet

README = Path(__file__).parent.parent / "README.md"


def block(first_line: str) -> str:
    """The code block of README that begins with this line."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)
    found: list[str] = [b for b in blocks if b.startswith(first_line)]
    assert len(found) == 1
    return found[0]


def test_a_pruner_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = block("# my_pruners.py")
    assert len(code.splitlines()) < 25
    (tmp_path / "my_pruners.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command = (
        "prune --pruner my_pruners:EarlyTicket --widths 4 --budgets 9,12 --cells 0.1:constant"
        " --epochs 5 --task moons --trainer vmap --jobs 1 --run early --json"
    )
    assert main(command.split()) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["methods"] == ["my_pruners:EarlyTicket"]
    rows = (tmp_path / "runs" / "early" / "shards").glob("*.parquet")
    assert len(list(rows)) >= 1


def test_what_the_pq_index_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```\n(\$ .*?)```", README.read_text("utf-8"), flags=re.DOTALL)
    [shown] = [block for block in blocks if "study pqi index" in block]
    monkeypatch.chdir(tmp_path)
    printed = []
    for line in shown.splitlines():
        program, *arguments = shlex.split(line.removeprefix("$ "))
        if line.startswith("$ python"):
            subprocess.run([sys.executable, *arguments], check=True)
        elif line.startswith("$ "):
            assert program == "combsearch" and main(arguments) == 0
            printed += capsys.readouterr().out.splitlines()
    assert printed == [line for line in shown.splitlines() if not line.startswith("$")]
    assert len(printed) == 4


def test_what_is_said_of_the_robin_hood_property(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(README.read_text("utf-8").split())
    [claim] = re.findall(r"holds if and only if p ≤ 1 ≤ q .*?0\.3862", text)
    vectors = [json.loads(found) for found in re.findall(r"\[[\d., ]+\]", claim)]
    powers = [pair for pair in re.findall(r"p = ([\d.]+), q = ([\d.]+)", claim) for _ in "ab"]
    said = [found for pair in re.findall(r"from (0\.\d+) to (0\.\d+)", claim) for found in pair]
    assert len(vectors) == len(powers) == len(said) == 4
    monkeypatch.chdir(tmp_path)
    for vector, (p, q), index in zip(vectors, powers, said, strict=True):
        np.save("w.npy", vector)
        assert main(["study", "pqi", "index", "w.npy", "--p", p, "--q", q, "--json"]) == 0
        assert f"{json.loads(capsys.readouterr().out)['pqi']:.4f}" == index


def test_the_pq_index_in_python() -> None:
    rng = np.random.default_rng(0)
    w, mask = rng.normal(size=(3, 200)), rng.random((3, 200)) < 0.7
    names: dict[str, Any] = {"weights": w, "mask": mask}
    exec(block("from combsearch.sparsity"), names)
    for name in ("rows", "unequal", "prune"):
        assert names[name].shape == (3,) and (names[name] > 0).all()
    assert (names["prune"] < 0.9 * mask.sum(axis=1)).all()


def test_pruning_in_rounds() -> None:
    nets, budget = dense("5,4", budgets=(9,), restarts=1)
    names: dict[str, Any] = {"start": nets}
    exec(block("from combsearch.baselines import get_pruner"), names)
    assert set(names["left"]) == {"weight0", "weight1", "weight2"}
    found = names["pruner"].prune(nets, budget())
    assert (flatten(found, found.masks).sum(axis=1) == 9).all()


def test_dct_plus_sparse_in_ones_own_models() -> None:
    names: dict[str, Any] = {}
    code = block("from torch import nn")
    exec(code, names)
    [said] = re.findall(r"# trains ([\d,]+) weights, (\d+) α, (\d+) of biases", code)
    stored: dict[str, int] = {}
    for name, parameter in names["sparse"].named_parameters():
        kind = name.rpartition(".")[2]
        stored[kind] = stored.get(kind, 0) + parameter.numel()
    weights, alphas, biases = (int(number.replace(",", "")) for number in said)
    assert stored == {"values": weights, "alpha": alphas, "bias": biases}
    x = torch.randn(5, 784)
    assert names["sparse"](x).shape == (5, 10) and names["layer"](x).shape == (5, 300)
    assert names["layer"].values.numel() == 2


def test_the_commands_of_image_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```\n(combsearch data .*?)```", README.read_text("utf-8"), re.DOTALL)
    lines = [line.partition("#")[0].split()[1:] for line in blocks[0].splitlines()]
    assert len(blocks) == 1 and {line[1] for line in lines} == {"list", "fetch", "check"}
    monkeypatch.setenv("COMBSEARCH_DATA", str(tmp_path))
    fetched = []

    def fetch(data_set: DataSet, _: object, *given: str | None) -> Path:
        fetched.append((data_set.name, *given))
        return tmp_path

    monkeypatch.setattr("combsearch.commands.data.fetch", fetch)
    codes = [main(line) for line in lines]
    assert codes == [2 if line[1] == "check" else 0 for line in lines]  # nothing is there
    assert fetched == [
        ("fashion-mnist", None, "public", None),
        ("cifar10", None, "npm", None),
        ("fashion-mnist", None, "public", "dataset-fashion-mnist.deb"),
    ]
    assert "data set 'cifar10' is not there" in capsys.readouterr().err


def test_image_data_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = Path(__file__).parent / "image_files"
    monkeypatch.setenv("COMBSEARCH_DATA", str(pieces))
    keys = RunKeys.make(0, [1, 2], ["0.1:cosine"] * 2, [0, 0])
    names: dict[str, Any] = {"np": np, "keys": keys}
    exec(block("from combsearch.tasks.images").replace("arange(250)", "arange(6)"), names)
    assert names["x"].shape == (2, 6, 3, 32, 32) and names["x"].dtype == np.float32
    assert names["task"].x.shape == (6, 3072)
