"""``combsearch bench --gpu`` on a GPU that the CPU plays: every piece of it, at tiny sizes."""

from __future__ import annotations

import dataclasses
import json
import os
import runpy
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import cpu_gpu
from gpu_checking import new_report

from combsearch.cli import main
from combsearch.commands.gpu_check import (
    cases,
    clocks,
    command,
    correct,
    end_to_end,
    reference,
    sass,
    speed,
    supervise,
    worker,
)
from combsearch.commands.gpu_check.cases import Case
from combsearch.commands.gpu_check.machine import Machine, Networks, Sizes, label
from combsearch.commands.gpu_check.pieces import PARTS, Piece, pieces
from combsearch.commands.gpu_check.reference import Reference
from combsearch.commands.gpu_check.report import Report
from combsearch.commands.gpu_check.text import text
from combsearch.kernels.cuda import Gpu, Ready
from combsearch.nets import flat_arrays
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import Phase2Config
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

SMALL = Sizes(0.001, 1, True, (9, 3), (4,), (2,), 2, 1)
BITS = Case("3,2,2", "3,2,2", 37, ((0, 3), (5849, 5852)))  # the rate of ``step`` falls at 5,850
BLOCKS = Case("blocks", "3,2,2", 20, ((0, 2), (5849, 5851)), block=16)
RUNS = cases.dense("runs of 3,2,2", "3,2,2", 20, (0, 20))
WIDE = (
    cases.dense("vmap of width 16", "16", 3, (0, 3)),
    Case("vmap of width 40", "40,40", 2, ((0, 3),), kept=(0.3,), diverging=1),
)

pytestmark = pytest.mark.usefixtures("kernel_cache")


@pytest.fixture(scope="module")
def small_reference() -> Reference:
    """What the CPU makes of the tiny cases."""
    fused, vmap = get_trainer("fused"), get_trainer("vmap")
    jobs = [
        (BITS, reference.trained, fused),
        (BLOCKS, reference.trained, fused),
        (RUNS, reference.whole_runs, fused),
        *((case, reference.shown, vmap) for case in WIDE),
    ]
    return reference.make(jobs, cubist_spiral())


def machine_with(gpu: Gpu, kept: Reference) -> Machine:
    return Machine(
        gpu, get_trainer("fused"), lambda chunk: get_trainer("vmap", chunk=chunk), kept, SMALL
    )


@pytest.fixture
def machine(small_reference: Reference) -> Machine:
    return machine_with(cpu_gpu(), small_reference)


def small_pieces() -> dict[str, Piece]:
    """All pieces at the tiny sizes; the search is another process and tested by itself."""
    found = pieces((BITS,), BLOCKS, (RUNS,), WIDE, ("3,2,2",), ("3,2,2",), "40,40")
    found["search"] = Piece("search", lambda machine, until: {"models_per_second": 0.9})
    return found


def late(seconds: float = 300.0) -> dict[str, float]:
    return dict.fromkeys(PARTS, time.monotonic() + seconds)


def test_every_piece_and_the_report(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pieces pass on a right GPU, and the file has all that is asked for."""
    monkeypatch.setattr(speed, "RUN_STEPS", 5)
    monkeypatch.setattr(sass, "cuobjdump", lambda: None)
    monkeypatch.setattr(clocks.Clock, "hertz", 1e6)
    known, report = small_pieces(), new_report(tmp_path / "report.json")
    assert worker.run(machine, known, list(known), report, late())
    found = json.loads(report.path.read_text())
    assert report.problems() == []
    assert list(found["pieces"]) == list(known)
    assert {
        "models_per_second", "vmap_models_per_second", "ratio_to_vmap", "bars", "device", "driver",
        "versions", "commit", "correctness", "builds", "issue_share", "seconds",
    } <= set(found)  # fmt: skip
    assert all(check["passed"] for check in found["correctness"].values())
    assert len(found["correctness"]) == 5
    assert found["models_per_second"]["3,2,2"] > 0 and found["issue_share"]["3,2,2"] > 0
    assert found["ratio_to_vmap"]["3,2,2"] > 0 and found["vmap_models_per_second"]["40,40"] > 0
    assert found["pieces"]["speed 3,2,2"]["how"] == "whole runs"
    assert len(found["builds"]["3,2,2"]) >= 2
    shown = text(found)
    assert "the same" in shown and "NOT" not in shown
    assert all(name in shown for name in found["builds"]["3,2,2"]) and "not measured" in shown


def test_a_kernel_that_is_off_by_a_bit_is_found(small_reference: Reference) -> None:
    """Decay left to contraction: one rounding instead of two in some sums."""
    changed = ("fma_(decay, w, __fmul_rn(g, mean))", "fma_(g, mean, __fmul_rn(decay, w))")
    found = correct.builds_check(machine_with(cpu_gpu(change=changed), small_reference), BITS)
    assert not found["equal"]
    [first, *_] = found["builds"].values()
    assert first["whole"]["differences"]["w1"]["largest"] > 0
    assert not first["resumed"]["equal"]


def test_a_build_that_cannot_be_launched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and the others are timed; nobody calls it the quickest."""
    train, (first, *others) = Networks.train, map(label, machine.gpu.candidates((2, 3, 2, 2, 1)))

    def fails(self: Networks, machine: Machine, ready: Ready, *more: Any) -> None:
        if label(ready) != first:
            raise RuntimeError("too many resources requested for launch")
        train(self, machine, ready, *more)

    monkeypatch.setattr(Networks, "train", fails)
    monkeypatch.setattr(speed, "RUN_STEPS", 5)
    found = speed.speed_check(machine, "3,2,2", time.monotonic() + 60)
    assert found["quickest"] == first and others
    assert all("too many resources" in found["builds"][name]["error"] for name in others)
    bits = correct.builds_check(machine, BITS)
    assert [name for name, build in bits["builds"].items() if build["equal"]] == [first]
    assert not bits["equal"]


def test_other_networks_are_not_blamed_on_the_kernel(machine: Machine) -> None:
    other = dataclasses.replace(BITS, count=38)
    with pytest.raises(ValueError, match="the networks differ before any training"):
        correct.builds_check(machine, other)


def test_cases_hold_what_they_are_for(small_reference: Reference) -> None:
    """Schedules tell in the second segment, three networks diverge, masks differ."""
    made = BITS.made()
    rates = np.array([recipe.rates() for recipe in made.recipes])
    assert len({tuple(row) for row in rates[:, [0, 15]]}) >= 6
    kept = small_reference.of(BITS, made, small_reference.task)
    assert np.isnan(kept["w2"][-3:]).any()
    assert np.abs(kept["w2"][:-3]).max() < 1e3
    kinds = {row.tobytes() for row in flat_arrays(made.nets.masks)}
    assert len(kinds) > BITS.count // 2


def test_the_reference_that_comes_along_is_of_these_cases() -> None:
    """Its digests are those of the cases in the source, and diverging networks are in it."""
    kept = Reference.read()
    assert reference.PATH.stat().st_size < 3e6
    every = (*cases.CASES, cases.BLOCKS, *cases.WIDE)
    for case in every:
        arrays = kept.of(case, case.made(), kept.task)
        assert {"w1", "v1"} <= set(arrays)
    assert all((flat_arrays(case.made().nets.masks) == 0).any() for case in cases.WIDE)
    assert set(kept.about["digests"]) == {case.name for case in (*every, *cases.RUNS)}
    assert kept.task.digest() == cubist_spiral().digest()
    assert not kept.arrays["7,3,3/finite"][-3:].any()
    assert kept.arrays["7,3,3/finite"][:-3].all()


def test_the_reference_is_what_the_cpu_makes() -> None:
    """One of its cases again: a change of what the kernels compute needs a new file."""
    case, kept = cases.CASES[0], Reference.read()
    found = reference.trained(case, case.made(), kept.task, get_trainer("fused"))
    assert correct.compared(found, kept.of(case, case.made(), kept.task))["equal"]


def test_reference_survives_the_file(small_reference: Reference, tmp_path: Path) -> None:
    small_reference.write(tmp_path / "r.npz")
    again = Reference.read(tmp_path / "r.npz")
    assert again.about == small_reference.about
    assert correct.compared(again.arrays, small_reference.arrays)["equal"]


def test_a_failing_piece_is_reported_and_others_go_on(machine: Machine, tmp_path: Path) -> None:
    def fails(machine: Machine, until: float) -> dict[str, Any]:
        raise ValueError("a broken kernel")

    def no_number(machine: Machine, until: float) -> dict[str, Any]:
        return {"models_per_second": float("nan")}

    known = {
        "bits x": Piece("correctness", fails),
        "speed x": Piece("speed", no_number),
        "late": Piece("vmap", fails),
        "bits y": Piece("correctness", lambda machine, until: {"equal": True}),
    }
    report = new_report(tmp_path / "report.json")
    ends = late() | {"vmap": time.monotonic() - 1}
    assert worker.run(machine, known, list(known), report, ends)
    found = json.loads(report.path.read_text())
    assert found["pieces"]["bits x"]["error"] == "ValueError: a broken kernel"
    assert "ValueError" in found["pieces"]["speed x"]["error"]
    assert found["pieces"]["late"] == {"skipped": "time was up"}
    assert found["correctness"]["bits y"]["passed"]
    assert len(report.problems()) == 3
    assert "a broken kernel" in text(found) and "time was up" in text(found)


def test_a_lost_gpu_ends_the_worker(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(machine: Machine, until: float) -> dict[str, Any]:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(worker, "alive", lambda machine: False)
    known = {"a": Piece("speed", fails), "b": Piece("speed", fails)}
    report = new_report(tmp_path / "report.json")
    assert not worker.run(machine, known, list(known), report, late())
    assert list(Report.read(report.path).pieces) == ["a"]


@pytest.fixture
def gpu_of_this_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds a GPU, and its worker is this process."""
    facts = SimpleNamespace(
        name="NVIDIA H200", major=9, minor=0, multi_processor_count=132, total_memory=1
    )
    monkeypatch.setattr("combsearch.kernels.cuda.no_gpu", lambda: None)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: facts)
    monkeypatch.setattr(command, "pieces", small_pieces)

    def here(report: Report, known: dict[str, Piece], device: str, quick: bool) -> supervise.Start:
        def start(names: Sequence[str]) -> int:
            own = Report.read(report.path)
            return 0 if worker.run(machine, known, names, own, late()) else worker.LOST

        return start

    monkeypatch.setattr(command, "worker", here)


@pytest.mark.usefixtures("gpu_of_this_machine")
def test_the_command_in_pieces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One part, then another into the same report; a table, or JSON alone."""
    assert main(["bench", "--gpu", "-o", str(tmp_path), "--parts", "search", "--quick"]) == 0
    shown = capsys.readouterr().out
    [path] = tmp_path.glob("NVIDIA-H200-????-??-??.json")
    assert "NVIDIA H200" in shown and str(path) in shown
    assert main(["bench", "--gpu", "-o", str(path), "--parts=vmap", "--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(path.read_text())
    assert list(found["pieces"]) == ["search", "vmap of width 16", "vmap of width 40"]
    assert found["quick"] and found["arch"] == "sm_90" and found["running"] is None


@pytest.mark.usefixtures("gpu_of_this_machine")
def test_the_command_fails_when_a_piece_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"bits x": Piece("correctness", lambda machine, until: {"equal": False})}
    monkeypatch.setattr(command, "pieces", lambda: wrong)
    assert main(["bench", "--gpu", "-o", str(tmp_path / "r.json")]) == 1
    shown = capsys.readouterr()
    assert "bits x: the results differ from the CPU's" in shown.err
    assert "NOT THE SAME" in shown.out


def test_the_search_is_run(root: Path, tmp_path: Path) -> None:
    """``results/gpu/search.py`` takes these options and says how quick it is."""
    few = tmp_path / "few.masks"
    config = Phase2Config(shape="2,1", restarts=2, cells=("0.05:cosine",), epochs=1)
    runpy.run_path(str(root / "results/gpu/masks.py"))["pack"](MaskPlan.of(config), few)
    found = end_to_end.searched(few, 3, "fused", "--runs", "4")
    assert found["models_per_second"] > 0


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
import combsearch.commands.gpu_check.worker, combsearch.trainers.cuda, combsearch.trainers.vmap
from combsearch.cli import main
raise SystemExit(main(["bench", "--gpu", *sys.argv[1:]]))
"""
NOT_NEEDED = (
    "numba",
    "llvmlite",
    "pyarrow",
    "scipy",
    "joblib",
    "rich",
    "matplotlib",
    "safetensors",
)


def test_a_bare_machine_without_a_gpu(root: Path) -> None:
    """PyTorch and numpy are enough to be told that there is no GPU."""
    code = textwrap.dedent(BLOCKED.format(names=set(NOT_NEEDED)))
    environment = {**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("combsearch: bench --gpu: no GPU was found")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpu", "--parts", "sped"], "unknown part 'sped', did you mean 'speed'?"),
        (["--parts", "speed"], "go with --gpu"),
        (["--output", "x"], "go with --gpu"),
    ],
)
def test_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err
