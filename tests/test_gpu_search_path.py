"""Searches on a GPU: chunks, shards, threads, who works where; on plain arrays, without one."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seated
import torch
from engine_work import SHARDS
from gpu_fakes import WAVE, FakeCuda, pretend
from searching import finish, phase2, python, run_json, write_task
from soaking import in_process

from combsearch import cli
from combsearch.engines import SHARING, InlineEngine, LocalEngine, ThreadEngine, local_engine
from combsearch.engines.seats import VISIBLE, Seats
from combsearch.errors import UsageError
from combsearch.kernels import cuda
from combsearch.mask import NetShape
from combsearch.nets import Scores
from combsearch.search import devices, mask_plan, mask_training
from combsearch.search.kept import Kept
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.mask_training import _pieces, train_shard
from combsearch.search.running import Failure
from combsearch.search.sharing import clock, give_way, share
from combsearch.search_config import Phase2Config
from combsearch.store import Shard

Capture = pytest.CaptureFixture[str]
QUICK = ("--task=clouds.csv", "--epochs=5", "--batch-size=16", "--no-figures")
COMMANDS = {
    "phase1": ("phase1", "--width=3", "--depth=2", "--target=0.9", "--restarts=20", *QUICK),
    "phase2": ("phase2", "--shape=2,2", "--all", "--restarts=5", *QUICK, "--cells=0.1:cosine"),
    "race": ("phase2", "--shape=2,2", "--all", "--race", "--restarts=600", "--max-nonzeros=11",
             "--controls=4", *QUICK, "--cells=0.1:cosine,0.05:step"),
    "exhaust": ("exhaust", "--depth=2", "--width=3", "--max-nonzeros=13", "--restarts=40", *QUICK),
    "prune": ("prune", "--methods=snip,gmp", "--widths=3,4", "--budgets=8,12", "--restarts=2",
              *QUICK, "--cells=0.1:cosine"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    return tmp_path


# ---- what is trained at once ----------------------------------------------------------


def test_a_gpu_gets_whole_waves_of_about_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    plan = phase2(restarts=4, trainer="cuda")
    train_shard(plan, Shard(0, plan.masks))
    shape = plan.segments[0].shape
    full = devices.side_by_side(FakeCuda(), shape, 1)
    assert full % WAVE == 0 and full == 1000 // (WAVE * shape.parameters) * WAVE > 0
    assert sum(FakeCuda.fitted) == plan.masks * 8
    assert set(FakeCuda.fitted) > {full} and max(FakeCuda.fitted) == full
    # What is less is the end of a segment.
    assert len([n for n in FakeCuda.fitted if n < full]) <= len(plan.segments)


def test_a_wave_is_trained_even_where_it_is_more_than_the_memory_should_hold() -> None:
    wide = NetShape.from_hidden((16, 16, 16))
    assert wide.parameters * WAVE > 1000
    assert devices.side_by_side(FakeCuda(), wide, 1) // WAVE * WAVE > 0


def test_few_masks_are_trained_with_several_pools_of_restarts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(devices, "FLOATS", 2**17)
    plan = phase2(restarts=256 * 40 + 7, cells=("0.1:step",), trainer="cuda", max_nonzeros=11)
    pieces = _pieces(plan, FakeCuda(), Shard(0, 2))
    room = devices.side_by_side(FakeCuda(), plan.segments[0].shape, 1)
    spans = [len(piece.restarts) for piece in pieces]
    assert sum(spans) == 256 * 40 + 7 and all(span % 256 == 0 for span in spans[:-1])
    assert spans[0] == min(room // 512, 16) * 256 and len(pieces[0].ranks) * spans[0] <= room
    starts = [piece.restarts.start for piece in pieces]
    assert starts == sorted(starts)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_gpu_gives_the_digest_of_a_cpu_and_goes_on_with_its_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(mask_plan, "SHARD_WORK", 3e6)
    monkeypatch.setattr(devices, "_SHARD_WORK", 1e7)
    fused = run_json(capsys, *COMMANDS[name], "--run=a", "--trainer=fused", "--jobs=1")
    with monkeypatch.context() as patch:
        pretend(patch)
        found = run_json(capsys, *COMMANDS[name], "--run=b", "--trainer=cuda")
        assert found["digest"] == fused["digest"] and FakeCuda.fitted
    assert (found["trainer"], fused["trainer"]) == ("cuda", "fused")
    shards = sorted(Path("runs/b/shards").iterdir())
    for path in shards[::2]:
        path.unlink()
    again = run_json(capsys, *COMMANDS[name], "--run=b", "--trainer=fused", "--jobs=1")
    assert again["digest"] == fused["digest"] and again["trained_now"] > 0
    for path in sorted(Path("runs/a/shards").iterdir())[::3]:
        path.unlink()
    with monkeypatch.context() as patch:
        pretend(patch)
        found = run_json(capsys, *COMMANDS[name], "--run=a", "--trainer=cuda")
    assert found["digest"] == fused["digest"] and found["trained_now"] > 0


def test_a_descent_on_a_gpu_gives_the_digest_of_one_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    command = (
        "descend", "--task=clouds.csv", "--target=0.9", "--shapes=2x2", "--restarts=20", "--beam=4",
        "--retrain-epochs=2", "--lowest=8", "--no-figures", "--jobs=1",
    )  # fmt: skip
    fused = run_json(capsys, *command, "--run=a")
    assert fused["made_with"]["trainer"] == "fused"
    pretend(monkeypatch)
    found = run_json(capsys, *command, "--run=b")
    assert found["made_with"]["trainer"] == "cuda" and FakeCuda.fitted
    assert found["digest"] == fused["digest"]
    assert Path("runs/a/run.json").read_bytes() == Path("runs/b/run.json").read_bytes()


def test_what_fails_on_the_gpu_ends_the_search(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(mask_plan, "SHARD_WORK", 1e6)
    monkeypatch.setattr(devices, "_SHARD_WORK", 1e6)

    def failing(self: FakeCuda, *arguments: Any) -> Any:
        raise UsageError("the GPU has fallen off the bus")

    monkeypatch.setattr(FakeCuda, "score", failing)
    before = set(threading.enumerate())
    assert cli.main([*COMMANDS["phase2"], "--trainer=cuda"]) == 2
    assert "combsearch: the GPU has fallen off the bus" in capsys.readouterr().err
    assert set(threading.enumerate()) <= before


PRETEND = """
import sys, pytest
from gpu_fakes import pretend
from combsearch import cli
with pytest.MonkeyPatch.context() as patch:
    pretend(patch)
    code = cli.main(sys.argv[1:])
sys.exit(code)
"""


def test_ctrl_c_ends_the_threads_and_the_next_time_goes_on(in_a_folder: Path) -> None:
    tests = str(Path(__file__).parent)
    paths = os.pathsep.join([str(Path(tests).parent), tests])
    long = (
        "phase2",
        "--shape=3,2",
        "--all",
        "--task=clouds.csv",
        "--epochs=600",
        "--run=long",
        "--batch-size=16",
        "--restarts=200",
        "--cells=0.1:step",
        "--no-figures",
        "--json",
    )
    process = python("-c", PRETEND, *long, cwd=in_a_folder, env={"PYTHONPATH": paths})
    shards = in_a_folder / "runs" / "long" / "shards"
    end = time.monotonic() + 60
    while not (shards.exists() and any(shards.glob("*.parquet"))):
        assert time.monotonic() < end and process.poll() is None, finish(process)
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    asked = time.monotonic()
    code, out, err = finish(process)
    assert time.monotonic() - asked < 10
    assert (code, out) == (130, "")
    assert err.endswith("combsearch: interrupted; repeat the command to continue\n")
    found = in_process("status", "long", "--json", cwd=in_a_folder).report
    assert found["masks_done"] > 0 and not found["finished"]


# ---- which trainer --------------------------------------------------------------------


@pytest.mark.parametrize("name", [*COMMANDS, "descend"])
def test_without_a_gpu_the_error_is_a_line_that_says_what_to_do(name: str, capsys: Capture) -> None:
    if cuda.no_gpu() is None:
        pytest.skip("there is a GPU")
    arguments = COMMANDS.get(name, ("descend", "--task=clouds.csv", "--shapes=2x2"))
    assert cli.main([*arguments, "--trainer=cuda"]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("combsearch: --trainer: trainer 'cuda': no GPU was found")
    assert line.endswith("; 'fused' gives the same results on a CPU")


def test_shapes_that_are_too_wide_are_refused_or_left_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pretend(monkeypatch)
    for arguments in (
        ("prune", "--methods=snip", "--widths=3,33", "--budgets=9", *QUICK),
        ("phase1", "--width=33", "--depth=1", *QUICK),
        ("phase2", "--shape=2,33", "--max-nonzeros=130", *QUICK),
        ("descend", "--task=clouds.csv", "--shapes=2x2,33x2"),
    ):
        assert cli.main([*arguments, "--trainer=cuda"]) == 2
        assert "up to 32 neurons, not 33; 'fused' gives" in capsys.readouterr().err
    report = run_json(capsys, "descend", "--task=clouds.csv", "--shapes=2x2,33x2", "--dry-run")
    assert report["trainer"] == "fused"


def test_what_auto_stands_for_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pretend(monkeypatch)
    chosen = {
        name: run_json(capsys, *arguments, "--dry-run")["trainer"]
        for name, arguments in COMMANDS.items()
    }
    wanted = {"phase1": "fused", "prune": "sparse"}
    assert chosen == {name: wanted.get(name, "cuda") for name in COMMANDS}
    monkeypatch.setattr(cuda, "no_gpu", lambda: "no GPU was found")
    report = run_json(capsys, *COMMANDS["phase2"], "--dry-run")
    assert report["trainer"] == "fused"


def test_a_trainer_on_a_gpu_is_not_in_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = phase2(trainer="fused")
    pretend(monkeypatch)
    assert phase2(trainer="cuda").identity() == plan.identity() == phase2().identity()
    assert phase2().trainer == "cuda" and plan.identity()["trainer"] == "fused"


@pytest.mark.parametrize("name", [*COMMANDS, "descend"])
def test_trainers_of_the_same_rows_find_the_same_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pretend(monkeypatch)
    arguments = COMMANDS.get(name, ("descend", "--task=clouds.csv", "--shapes=2x2"))
    auto, cuda_, fused = (
        run_json(capsys, *arguments, "--dry-run", f"--trainer={trainer}")["run_folder"]
        for trainer in ("auto", "cuda", "fused")
    )
    assert cuda_ == fused and (auto == fused) == (name != "prune")  # which takes ``sparse``
    if name in ("phase1", "phase2"):
        vmap = run_json(capsys, *arguments, "--dry-run", "--trainer=vmap")["run_folder"]
        assert vmap != fused


# ---- shards ---------------------------------------------------------------------------


def test_shards_of_a_gpu_are_whole_lots_of_one_level(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(mask_plan, "SHARD_WORK", 3e5)
    small = phase2(shape="3,2", trainer="fused")
    assert small.shards == small.lots and len(small.lots) > 20
    monkeypatch.setattr(devices, "_SHARD_WORK", 3e6)
    plan = phase2(shape="3,2", trainer="cuda")
    assert plan.lots == small.lots and len(plan.levels()) < len(plan.shards) < len(plan.lots)
    ends = [0, *(shard.last for shard in plan.shards)]
    assert [shard.first for shard in plan.shards] == ends[:-1] and ends[-1] == plan.masks
    starts = {lot.first for lot in plan.lots}
    levels = [{s.nonzeros for s, _ in plan.pieces(shard)} for shard in plan.shards]
    for shard, level in zip(plan.shards, levels, strict=True):
        assert shard.first in starts and len(level) == 1
        assert plan.work(shard) <= 3e6 or shard in plan.lots
    for (a, b), (one, two) in zip(
        itertools.pairwise(plan.shards), itertools.pairwise(levels), strict=True
    ):
        if one == two:
            lot = next(lot for lot in plan.lots if lot.first == b.first)
            assert plan.work(a) + plan.work(lot) > 3e6


def test_a_shard_of_a_gpu_is_a_quarter_of_a_minute_and_fits_the_memory() -> None:
    lots = [Shard(k, k + 1) for k in range(1000)]
    of_work = devices.joined(lots, [7] * 1000, [4e11] * 1000, [960] * 1000)
    assert {len(shard) for shard in of_work[:-1]} == {int(15 * devices.RATE / 4e11)}
    of_runs = devices.joined(lots, [7] * 1000, [1.0] * 1000, [2**16] * 1000)
    assert {len(shard) for shard in of_runs[:-1]} == {16}
    assert devices.joined(lots[:1], [7], [1e20], [10**9]) == lots[:1]


# ---- threads --------------------------------------------------------------------------


def test_threads_work_on_several_shards_at_a_time_and_on_each_once() -> None:
    taken: list[Shard] = []
    together = threading.Barrier(SHARING, timeout=20)
    most = len(SHARDS) - len(SHARDS) % SHARING

    def source() -> Iterator[Shard]:
        for shard in SHARDS[:most]:
            taken.append(shard)
            yield shard

    def work(shard: Shard) -> int:
        together.wait()  # nobody gets on alone
        return shard.first

    finished = []
    for shard, result in ThreadEngine(SHARING).run(work, source()):
        assert result == shard.first
        finished.append(shard)
        assert len(taken) <= len(finished) + SHARING - 1
    assert sorted(finished) == SHARDS[:most]


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_a_thread_that_runs_out_of_memory_gives_up_its_shard(kind: type[Exception]) -> None:
    def work(shard: Shard) -> int:
        if shard.first == 4:
            raise kind("on the GPU")
        return 1

    found = dict(ThreadEngine(2).run(work, SHARDS))
    assert found.pop(Shard(4, 6)) == Failure("in each of 4 tries it ran out of memory (on the GPU)")
    assert set(found.values()) == {1} and len(found) == len(SHARDS) - 1


def test_a_process_whose_gpu_runs_out_of_memory_gives_up_its_shard() -> None:
    found = dict(LocalEngine(2).run(seated.without_memory, SHARDS[:4]))
    reason = "in each of 4 tries it ran out of memory (CUDA out of memory)"
    assert found.pop(SHARDS[2]) == Failure(reason) and set(found.values()) == {1}
    with pytest.raises(RuntimeError, match="another fault"):
        list(ThreadEngine(2).run(seated.faulty, SHARDS))
    with pytest.raises(RuntimeError, match="another fault"):
        list(LocalEngine(1).run(seated.faulty, SHARDS))


@pytest.mark.parametrize("error", [UsageError("bad"), KeyboardInterrupt()])
def test_threads_end_with_the_search_however_it_ends(error: BaseException) -> None:
    before, told, begun = set(threading.enumerate()), [], threading.Event()

    def work(shard: Shard) -> None:
        if shard.first == 0:
            begun.wait(10)
            raise UsageError("bad")
        begun.set()
        try:
            for _ in range(10_000):
                give_way()
                time.sleep(0.001)
        finally:
            told.append(shard)

    def search() -> None:
        for _ in ThreadEngine(2).run(work, SHARDS):
            raise AssertionError("no shard can be finished")

    if isinstance(error, UsageError):
        with pytest.raises(UsageError, match="bad"):
            search()
    else:
        results = ThreadEngine(2).run(lambda shard: work(shard) if shard.first else None, SHARDS)
        next(results)
        begun.wait(10)
        results.close()  # as an exception in the loop over it does
    # None is left; one of an earlier pool may have ended meanwhile.
    assert len(told) in (1, 2) and set(threading.enumerate()) <= before


def test_only_threads_of_an_engine_that_ends_give_way() -> None:
    give_way()
    stop = threading.Event()
    found, parts = [], list[float]()

    def thread() -> None:
        share(4, stop)
        give_way()
        parts.append(clock())
        stop.set()
        try:
            give_way()
        except Exception as error:
            found.append(type(error).__name__)

    one = threading.Thread(target=thread)
    one.start()
    one.join()
    give_way()
    assert found == ["AbandonedError"]
    assert parts[0] == pytest.approx(clock() / 4, abs=1)  # of what passes, a quarter is its own


# ---- several GPUs ---------------------------------------------------------------------


@pytest.mark.parametrize("work", [seated.seat_of, seated.killed_once])
def test_every_process_works_on_one_gpu_and_every_gpu_has_as_many(
    work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "GPU-a,3,5")
    found: dict[Shard, Any] = dict(LocalEngine(2, gpus=2).run(work, SHARDS))
    assert sorted(found) == SHARDS
    seats = set(found.values())
    assert len({pid for pid, _ in seats}) == len(seats) and {g for _, g in seats} == {"GPU-a", "3"}
    # When one is killed, the pool is made anew.
    assert len(seats) == 2 if work is seated.seat_of else 2 <= len(seats) <= 4


def test_a_seat_is_free_again_when_its_process_ends() -> None:
    seats = Seats("", ())
    try:
        seats = Seats.make(2, 2)
        first, second = (_seated(seats) for _ in range(2))
        assert {first[1], second[1]} == {0, 1}
        os.kill(first[0], 9)
        os.waitpid(first[0], 0)
        third = _seated(seats)
        assert third[1] == first[1]
        for pid, _ in (second, third):
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    finally:
        seats.remove()
    assert not Path(seats.path).exists()


def _seated(seats: Seats) -> tuple[int, int]:
    """A process that has taken a seat and stays: (process, seat)."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, bytes([seats.take()]))
        time.sleep(60)
        os._exit(0)
    os.close(write)
    return pid, os.read(read, 1)[0]


def test_gpus_are_numbered_where_nothing_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    seats = Seats.make(5, 2)
    seats.remove()
    assert seats.gpus == ("0", "1", "0", "1", "0")


def test_one_gpu_needs_no_further_process_and_several_have_some_each(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def jobs(*more: str) -> tuple[int, float]:
        report = run_json(capsys, *COMMANDS["phase2"], "--dry-run", *more)
        return report["jobs"], sum(level["seconds"] for level in report["levels"])

    monkeypatch.setattr("combsearch.commands.running.cores", lambda: 7)
    monkeypatch.setattr(devices, "RATE", 1e3)
    pretend(monkeypatch)
    one, seconds = jobs()
    assert one == 1 and jobs("--jobs=3") == (3, seconds)
    pretend(monkeypatch, gpus=2)
    two, half = jobs()
    assert two == 2 * SHARING and half == pytest.approx(seconds / 2, rel=0.01)
    pretend(monkeypatch, gpus=4)
    assert jobs()[0] == 7
    pretend(monkeypatch, gpus=8)
    assert jobs()[0] == 8
    say = print
    assert local_engine(1, say) == InlineEngine()
    assert local_engine(1, say, 1) == ThreadEngine(SHARING)
    assert local_engine(2, say, 1) == LocalEngine(2, say, 1)


# ---- what is said about it ------------------------------------------------------------


def test_sessions_and_status_name_the_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    from combsearch.commands import provenance

    pretend(monkeypatch)
    facts = tmp_path / "version"
    facts.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n")
    driver = provenance._driver
    assert driver(facts) == "550.54.15" and driver(tmp_path / "none") is None
    facts.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release")
    assert driver(facts) == "570.86.10"
    monkeypatch.setattr(provenance, "_driver", lambda: "550.54.15")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda number: "NVIDIA H200")
    report = run_json(capsys, *COMMANDS["phase2"], "--run=one")
    machine = report["sessions"][0]["made_with"]["machine"]
    assert (machine["gpus"], machine["driver"]) == (["NVIDIA H200"], "550.54.15")
    assert report["made_with"]["trainer"] == "cuda"
    assert run_json(capsys, "status", "one")["trained_on"] == ["NVIDIA H200"]
    assert cli.main(["status", "one"]) == 0
    assert capsys.readouterr().out.endswith("trained on NVIDIA H200\n")


def test_no_function_is_called_for_every_network() -> None:
    class Instant(FakeCuda):
        def wave(self, shape: NetShape, networks: int | None = None) -> int:
            return 2**15

        def fit(self, nets: Any, *_: Any, **__: Any) -> Any:
            return nets

        def score(self, nets: Any, task: Any) -> Any:
            return Scores(np.full(len(nets), 9), task.points, np.zeros(len(nets), np.bool_))

    plan = MaskPlan.of(
        Phase2Config(shape="6,3,2", task="clouds.csv", restarts=1, cells=("0.1:step",), epochs=1,
                     batch_size=16, trainer="fused")
    )  # fmt: skip
    largest = max(plan.segments, key=lambda segment: segment.masks)
    pieces = _pieces(plan, Instant(), Shard(largest.rank, largest.rank + 2**15))
    calls: list[str] = []
    kept = Kept(plan)
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        for piece in pieces:
            part, nets = mask_training._train(plan, Instant(), piece)
            kept.note(part.runs, nets)
    finally:
        sys.setprofile(None)
    assert [len(piece.ranks) for piece in pieces] == [2**15] and len(calls) < 2**14
