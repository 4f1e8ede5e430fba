"""The PQ-index study for a bare GPU machine: its rows are those of the command, in any pieces."""

from __future__ import annotations

import dataclasses
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
from combsearch.nets import NetBatch
from combsearch.pqi_rows import PQI_ROWS
from combsearch.sparsity.rounds import prune_round
from combsearch.store import RunStore, digest
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import dense_masks, networks, run_round
from combsearch.trainers.vmap import VmapTrainer

PIECES = Path(__file__).parent / "image_files"
SMALL = (
    "--network=6", "--scopes=global,neuron", "--rounds=2", "--seeds=2", "--epochs=2",
    "--batch-size=10", "--grid=0.5:1", "--powers=0.5:1", "--lr=0.2",
)  # fmt: skip
CHAINS = 3 * 2
Capture = pytest.CaptureFixture[str]
Scripts = Callable[[str], Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))


@pytest.fixture
def script(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripts]:
    """The modules of ``results/pqi``, which find each other as scripts do."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "results" / "pqi"))
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
        words = ["study", "pqi", *SMALL, "--no-figures", "--jobs=1", "--run=wanted"]
        assert main([*words, "--runs", str(folder)]) == 0
    return folder / "wanted"


def rounds(script: Scripts, out: str, *arguments: str, seed: int = 0, code: int = 0) -> None:
    words = [*SMALL, f"--seed-number={seed}", f"--out={out}", *arguments]
    assert script("gpu").main(words) == code


def collect(script: Scripts, *pieces: str, code: int = 0) -> None:
    assert script("collect").main([*pieces, "--run=run", "--runs=."]) == code


def digest_of(folder: Path) -> str:
    return digest(RunStore.attach(folder).read(), PQI_ROWS)


def error(capsys: Capture) -> str:
    """The one line on standard error that is no progress."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("round")]
    assert len(lines) == 1, lines
    return lines[0]


def plan_of(**changes: Any) -> PqiPlan:
    given: dict[str, Any] = {
        "network": "6", "scopes": ("global", "layer", "neuron"), "methods": ("one_shot",),
        "rounds": 9, "epochs": 1, "batch_size": 5, "grid": ("0.5:1",),
    }  # fmt: skip
    return PqiPlan.of(PqiConfig(**given | changes))


# ---- one-shot pruning without the weights -------------------------------------------------


def awkward(plan: PqiPlan) -> NetBatch:
    """A dense network with equal weights, zeros, both signs and some that are not finite."""
    nets = networks(plan, 0, {name: mask[:1] for name, mask in dense_masks(plan).items()})
    rng = np.random.default_rng(3)
    params = dict(nets.params)
    for name in plan.network.prunable:
        found = rng.normal(size=params[name].shape).round(1)
        found[rng.random(found.shape) < 0.01] = np.nan
        found[rng.random(found.shape) < 0.01] = -np.inf
        params[name] = found.astype(np.float32)
    return dataclasses.replace(nets, params=params)


@pytest.mark.parametrize("share", [0.2, 0.37, 1.0])
def test_the_stand_in_is_pruned_as_the_dense_network(share: float, script: Scripts) -> None:
    plan = plan_of(share=share)
    dense, names = awkward(plan), plan.network.prunable
    goes = script("one_shot").goes_of(plan, dense)
    other = script("one_shot").stand_in(plan, 0, goes)
    for chain in plan.chains:
        masks = {name: mask[:1] for name, mask in dense_masks(plan).items()}
        for number in range(plan.config.rounds + 1):
            by_weights = prune_round(dense.params, masks, names, chain.rule, chain.scope)
            by_rounds = prune_round(other.params, masks, names, chain.rule, chain.scope)
            went = np.concatenate(
                [(masks[name] & ~mask).reshape(-1) for name, mask in by_weights.items()]
            )
            np.testing.assert_array_equal(went, goes[chain.scope] == number)
            for name, mask in by_weights.items():
                np.testing.assert_array_equal(mask, by_rounds[name])
            masks = by_weights
    assert (share == 1) == (not any(mask.any() for mask in masks.values()))


def test_a_round_leaves_the_same_with_the_stand_in(script: Scripts) -> None:
    plan = plan_of(rounds=2)
    columns, nets = run_round(plan, 0, 0, dense_masks(plan), None)
    assert np.stack(columns["mask"]).any()
    dense = nets[np.array([0])]
    one_shot = script("one_shot")
    other = one_shot.stand_in(plan, 0, one_shot.goes_of(plan, dense))
    for number in (1, 2):
        masks = script("gpu").unpack(np.stack(columns["mask"]), dense_masks(plan))
        columns, _ = run_round(plan, 0, number, masks, dense)
        again, _ = run_round(plan, 0, number, masks, other)
        found, expected = (script("round_files").arrays_of(c, 3) for c in (again, columns))
        assert script("collect").differing(found, expected) == []


# ---- pieces -------------------------------------------------------------------------------


def test_pieces_make_the_run_of_the_command(script: Scripts, wanted: Path, capsys: Capture) -> None:
    rounds(script, "whole", seed=1)
    report = json.loads(capsys.readouterr().out)
    assert report["complete"] and report["rounds_done"] == 2 and len(report["seconds"]) == 3
    for number in range(3):  # each on a machine that has the folder before and nothing else
        more = [f"--from=a{number - 1}"] if number else []
        rounds(script, f"a{number}", "--minutes=0", *more, code=0 if number == 2 else 75)
    capsys.readouterr()
    assert sorted(os.listdir("a1")) == ["seed-0.one-shot.npz", "seed-0.rounds-001-001.npz"]
    collect(script, "a0", "a1", "a2", "whole")
    assert f"{2 * 3 * CHAINS} rows, 2 seeds" in capsys.readouterr().out
    assert digest_of(Path("run")) == digest_of(wanted)
    names = [
        sorted(path.name[:25] for path in (f / "shards").iterdir()) for f in (Path("run"), wanted)
    ]
    assert names[0] == names[1]
    assert Path("run/table.csv").read_bytes() == (wanted / "table.csv").read_bytes()
    summary = json.loads(Path("run/summary.json").read_text())
    assert len(summary["sessions"]) == 4 and summary["trained_now"] == 2 * 3 * CHAINS
    assert [s["ranks"][0] for s in summary["sessions"]] == [0, 2 * CHAINS, 4 * CHAINS, CHAINS]
    for words in (["status"], ["verify"], ["study", "pqi", "export", "-o", "x.parquet"]):
        assert main([*words, "run", "--runs=."]) == 0
    assert "finished" in capsys.readouterr().out
    assert main(["study", "pqi", *SMALL, "--no-figures", "--run=run", "--runs=.", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained_now"] == 0


def test_a_run_that_is_not_finished_goes_on_with_the_command(
    script: Scripts, wanted: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(script, "a", "--minutes=0", code=75)
    rounds(script, "a", "--minutes=0", code=75)  # its own folder is enough
    rounds(script, "b")
    collect(script, "a", "b")
    assert Path("run/dense/0.npz").exists()
    monkeypatch.setattr("combsearch.studies.pqi.work.train", None)  # no dense network is trained
    capsys.readouterr()
    assert main(["study", "pqi", *SMALL, "--no-figures", "--jobs=1", "--run=run", "--runs=."]) == 0
    assert digest_of(Path("run")) == digest_of(wanted)


def test_a_command_that_was_cut_off_loses_the_round_it_was_in(
    script: Scripts, wanted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = script("gpu")
    before = gpu.run_round

    def killed(plan: PqiPlan, seed: int, number: int, *given: Any) -> Any:
        if number == 2:
            raise KeyboardInterrupt
        return before(plan, seed, number, *given)

    monkeypatch.setattr(gpu, "run_round", killed)
    with pytest.raises(KeyboardInterrupt):
        rounds(script, "a")
    Path("a/.combsearch-00000000-1-00000000.tmp").write_bytes(b"half of a file")
    assert [path.name for path in Path("a").glob("*rounds*")] == ["seed-0.rounds-000-001.npz"]
    monkeypatch.setattr(gpu, "run_round", before)
    rounds(script, "b", "--from=a", "--halfway=half")
    assert [path.name for path in Path("b").glob("*rounds*")] == ["seed-0.rounds-002-002.npz"]
    assert not [path for path in Path("half").rglob("*") if path.is_file()]
    rounds(script, "b", seed=1)
    collect(script, "a", "b")
    assert digest_of(Path("run")) == digest_of(wanted)


def test_files_are_closed_when_they_are_large(
    script: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(script, "one", "--minutes=0", code=75)
    size = Path("one/seed-0.rounds-000-000.npz").stat().st_size
    monkeypatch.setattr(script("round_files"), "MOST", int(2.5 * size))
    rounds(script, "a")
    names = sorted(path.name for path in Path("a").glob("*rounds*"))
    assert names == ["seed-0.rounds-000-001.npz", "seed-0.rounds-002-002.npz"]
    rounds(script, "b", f"--room={1.5 * size / 1e6}", code=75)  # no more than may travel


@pytest.mark.parametrize("what", ["rounds-000-000", "one-shot"])
def test_damaged_pieces_and_those_of_another_run(
    what: str, script: Scripts, capsys: Capture
) -> None:
    rounds(script, "a", "--minutes=0", code=75)
    path = Path(f"a/seed-0.{what}.npz")
    content = path.read_bytes()
    for more, said in (
        (["--epochs=3"], "its config epochs is 2, here 3"),
        (["--rounds=4"], "its config rounds is 2, here 4"),
        (["--tf32"], "its tf32 is false, here true"),
    ):
        rounds(script, "b", "--from=a", *more, code=3)
        assert f"a/seed-0.rounds-000-000.npz is of another run: {said};" in error(capsys)
    half = content[: len(content) // 2]
    for bad in (half, content[:90] + b"?????" + content[95:], b"", b"no such file"):
        path.write_bytes(bad)
        rounds(script, "b", "--from=a", code=4)
        assert f"{path} is damaged or no file of results/pqi/gpu.py" in error(capsys)
    if what != "one-shot":
        collect(script, "a", code=4)
        assert "collect: a/seed-0.rounds-000-000.npz is damaged" in error(capsys)
    assert not Path("b").exists() and not Path("run").exists()


def test_what_is_not_there_is_named(script: Scripts, capsys: Capture) -> None:
    rounds(script, "a", "--minutes=0", code=75)
    Path("a/seed-0.one-shot.npz").unlink()
    rounds(script, "b", "--from=a", code=2)
    assert "seed-0.one-shot.npz is in none of b, a: one-shot pruning goes by it" in error(capsys)
    rounds(script, "b", "--from=a", seed=1, code=2)
    assert "--from a has no rounds of seed 1; name folders" in error(capsys)
    rounds(script, "b", seed=2, code=2)
    assert "--seed-number is 2, it must be from 0 to 1: --seeds is 2" in error(capsys)
    rounds(script, "b", "--network=resnet81", code=2)
    assert "unknown network 'resnet81'" in error(capsys)
    rounds(script, "b", "--rounds=300", code=2)
    assert "rounds is 300: with one_shot at most 254" in error(capsys)
    for words in (["none"], ["a/none.npz"]):
        collect(script, *words, code=2)
        assert "none" in error(capsys)
    rounds(script, "c", "--methods=lt", "--minutes=0", code=75)
    assert not Path("c/seed-0.one-shot.npz").exists()


def test_masks_that_do_not_fit_a_file_are_refused(
    script: Scripts, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script("seed_state"), "MOST", 3000)
    rounds(script, "a", code=2)
    assert "6 chains of 4,764 weights: the masks of a round may come to 0.0 MB" in error(capsys)
    assert not Path("a").exists()


@pytest.mark.parametrize(("name", "value", "said"), [
    ("accuracy", 0.77, "b/seed-0.rounds-001-001.npz both have round 1 of seed 0, and not the same"),
    ("mask", 2**64 - 1, "seed-0.rounds-001-001.npz: round 1 of seed 0 did not train what round 0"),
    ("rank", 5, "seed-0.rounds-001-001.npz: round 1 is not of this run"),
])  # fmt: skip
def test_pieces_that_do_not_fit_each_other(
    name: str, value: Any, said: str, script: Scripts, capsys: Capture
) -> None:
    rounds(script, "a", "--rounds=1")
    files = script("round_files")
    found = files.read_rounds(Path("a/seed-0.rounds-000-001.npz"))
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
    collect(script, "c" if name == "mask" else "a", "b", code=4)
    assert said in error(capsys) and not Path("run").exists()


def test_the_clock_stops_before_a_round_that_may_come_too_late(script: Scripts) -> None:
    clock = script("gpu").Clock(100.0)
    assert not clock.over(10**6)  # nothing is known yet
    clock.note(20.0, 1)
    assert not clock.over(4) and clock.over(5)
    clock.note(80.0, 4)
    assert not clock.over(1) and not clock.over(4)
    clock.note(95.0, 4)
    assert clock.over(1)


def test_tf32_is_off_unless_it_is_asked_for(
    script: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, fit = list[bool](), VmapTrainer.fit

    def watched(trainer: VmapTrainer, *given: Any, **more: Any) -> Any:
        seen.append(trainer.tf32)
        return fit(trainer, *given, **more)

    monkeypatch.setattr(VmapTrainer, "fit", watched)
    small = ("--rounds=1", "--methods=lt", "--scopes=global")
    rounds(script, "a", "--tf32", *small)
    assert set(seen) == {True}
    rounds(script, "b", *small, seed=1)
    assert not seen[-1]
    found = script("round_files").read_rounds(Path("a/seed-0.rounds-000-001.npz"))
    assert found.about.tf32 and found.about.made_with["tf32"]
    collect(script, "a", "b", code=3)


BARE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {scripts!r})
import gpu
sys.exit(gpu.main(sys.argv[1:]))
"""
ABSENT = (
    "numba", "llvmlite", "pyarrow", "scipy", "joblib", "rich", "matplotlib", "safetensors",
)  # fmt: skip


def test_pytorch_and_numpy_are_enough(root: Path) -> None:
    code = BARE.format(absent=set(ABSENT), scripts=str(root / "results" / "pqi"))
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *SMALL, "--methods=lt,one_shot"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["complete"]
    assert sorted(os.listdir("out")) == ["seed-0.one-shot.npz", "seed-0.rounds-000-002.npz"]
