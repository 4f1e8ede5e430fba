"""``study dctps parameters``, ``allocate`` and ``bench``: numbers, files and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from combsearch.cli import main
from combsearch.commands.study_dctps_allocate import allocate_command
from combsearch.commands.study_dctps_bench import bench_command
from combsearch.commands.study_dctps_parameters import parameters_command
from combsearch.errors import UsageError
from combsearch.networks.dct_modules import DctSparseLinear
from combsearch.studies.dctps import bench
from combsearch.studies.dctps.bench import Effort, Place, memory
from combsearch.studies.dctps.crossovers import crossing, crossovers
from combsearch.studies.dctps.turns import named

TINY = Effort(
    sizes=((8, 8), (32, 32), (12, 5)),
    convolutions=((2, 4, 3, 1),),
    sparse=((16, 8),),
    densities=(0.1, 0.5),
    seconds=0.0,
    most=1,
)
CPU = Place("cpu, 1 thread", "cpu", 1)
IMAGE = (1, 8, 8)


def test_parameters_are_those_of_table_e1(capsys: pytest.CaptureFixture[str]) -> None:
    found = parameters_command("resnet50", 10, (3, 32, 32), as_json=True)
    assert json.loads(capsys.readouterr().out) == found
    assert (found["weights"], found["other"]) == (23_467_712, 53_130)
    assert sum(layer["weights"] for layer in found["layers"]) == 23_467_712
    offset = parameters_command("lenet5", 10, (3, 32, 32), offset=True)
    assert (offset["weights"], offset["other"]) == (61_510, 5)
    assert "61,510 prunable weights in 5 layers, 5 other" in capsys.readouterr().out


def test_allocations_spend_the_budget_and_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = allocate_command(
        ["16,4"], 10, IMAGE, (50.0, 5.0), ["epl", "dctps+epf", "erk", "synflow"], steps=5,
        output=str(tmp_path),
    )  # fmt: skip
    weights = 64 * 16 + 16 * 4 + 4 * 10
    for one in found["allocations"]:
        assert sum(one["layers"]) == one["kept"] == round(one["density"] / 100 * weights)
        assert one["weights"] == [1024, 64, 40] and not one["zero_scores"]
    assert [one["method"] for one in found["allocations"]][::2] == [
        "epl", "dctps+epf", "erk", "synflow"
    ]  # fmt: skip
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"allocation.json", "allocation.csv", "layers-16-4.png"}
    assert json.loads((tmp_path / "allocation.json").read_text()) == found
    lines = (tmp_path / "allocation.csv").read_text().splitlines()
    assert len(lines) == 1 + 8 * 3
    assert lines[1] == f'"16,4",epl,50,1,hidden1.weight,1024,{found["allocations"][0]["layers"][0]}'
    assert "kept        564 of 1,128" in capsys.readouterr().out


def test_rounding_as_the_authors_have_it() -> None:
    exact, authors = (
        allocate_command(["16,4"], 10, IMAGE, (50.0,), ["epl"], rounding=kind)["allocations"][0]
        for kind in ("exact", "authors")
    )
    # 564 over 3 layers are 188 each: 64 and 40 are full, what they leave goes to the last, full.
    assert exact["layers"] == [460, 64, 40] and authors["layers"] == [188, 64, 40]


def test_scores_of_0_and_empty_layers_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = allocate_command(
        ["fixup_resnet8"], 10, IMAGE, (0.5,), ["synflow"], steps=2
    )["allocations"][0]  # fmt: skip
    assert found["zero_scores"] and found["emptied"]
    text = capsys.readouterr().out
    assert "every score was 0" in text and "layers are empty: " in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"densities": (0.0,)}, "densities holds 0, each must be a percent above 0"),
        ({"densities": (101.0,)}, "densities holds 101"),
        ({"densities": (0.1,)}, "3 layers need a weight each"),
        ({"methods": ["force"]}, "'force' has no number of weights a layer without data"),
        ({"methods": ["epq"]}, "'epq' is no method"),
        ({"names": ["resnet51x"]}, "unknown network 'resnet51x'"),
        ({"image": (3, 32)}, "image is 3,32, it must be C,H,W"),
        ({"seed": -1}, "seed is -1"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "names": ["16,4"], "classes": 10, "image": IMAGE, "densities": (50.0,), "methods": ["epl"],
    }  # fmt: skip
    with pytest.raises(UsageError, match=message):
        allocate_command(**(given | changes))


def test_the_benchmark_measures_every_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "QUICK", TINY)
    monkeypatch.setattr(bench, "places", lambda: (CPU,))
    monkeypatch.setattr(bench, "_STEPS", 3)
    found = bench_command(quick=True, output=str(tmp_path))
    [device] = found["devices"].values()
    assert [(p["inputs"], p["outputs"]) for p in device["transform"]] == list(TINY.sizes)
    assert len(device["convolution"]) == 1 and len(device["steps"]) == 2
    for kind, first, second in (
        ("transform", "matrix", "fast"), ("sparse", "dense", "index"),
    ):  # fmt: skip
        for point in device[kind]:
            ratio = point[f"{second}_ms"] / point[f"{first}_ms"]
            assert point["ratio"] == pytest.approx(ratio, rel=0.05)
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.png"}
    assert json.loads((tmp_path / "bench.json").read_text())["memory"] == found["memory"]
    assert "S by index is faster, 16 x 8" in capsys.readouterr().out


def test_memory_is_that_of_the_layer() -> None:
    found = memory(100, 40, 0.05)
    assert found["parameters"] == 200 + 1 + 40 and found["dense_parameters"] == 4040
    assert found["bytes"] == 4 * 241
    # Four arrays of 200 entries and the starts of 40 rows and 100 columns, of 8 bytes each.
    assert found["index_bytes"] == 8 * (4 * 200 + 41 + 101)
    layer = DctSparseLinear(100, 40, range(40), range(40))
    assert sum(p.numel() for p in layer.parameters()) == 81


def test_crossings_lie_where_the_ratio_is_1() -> None:
    assert crossing([1, 4, 16], [4, 1.0, 0.25]) == pytest.approx(4)
    assert crossing([1, 4], [2, 0.5]) == pytest.approx(2)
    assert crossing([1, 4], [0.5, 0.5]) == 1
    assert crossing([1, 4], [0.5, 2]) is None
    assert crossing([1, 2, 4, 8], [0.5, 2, 2, 0.5]) == pytest.approx(32**0.5)
    assert crossing([], []) is None


def test_times_next_to_0_have_a_crossover_too() -> None:
    point = named("dense", "index", (5.0, -1e-3))
    assert point["index_ms"] > 0 and point["ratio"] > 0
    step = {"density": 0.1, **point}
    assert crossovers([], [], [step])["steps"] is None


@pytest.mark.parametrize("command", ["allocate --network 4", "bench --quick"])
def test_no_work_for_a_folder_that_is_a_file(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("worked before it looked where to write")

    monkeypatch.setattr(bench, "bench", never)
    monkeypatch.setattr("combsearch.studies.dctps.allocate.allocations", never)
    words = ["study", "dctps", *command.split(), "-o", str(tmp_path / "file")]
    assert main(words) == 2
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        "parameters --network nosuch", "parameters --network resnet50 --classes 0",
        "parameters --network lenet5 --image 3,0,0", "parameters --network lenet5 --image 3,32",
        "parameters --network 0", "parameters --network ,", "parameters --network 4 --image 3,-1,8",
        "allocate --network 4 --densities 0", "allocate --network 4 --densities nan",
        "allocate --network 4 --densities inf", "allocate --network 4 --methods force",
        "allocate --network 4 --methods ,", "allocate --network 4 --seed -1",
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "dctps", *words.split()]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_network_given_twice_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = "allocate --network 4 --network 4 --densities 50,50 --methods epl,epl --json"
    assert main(["study", "dctps", *words.split()]) == 0
    assert len(json.loads(capsys.readouterr().out)["allocations"]) == 1
