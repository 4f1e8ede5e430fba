"""Tries at shards: fewer networks at once after each, with the same outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from engine_work import SHARDS, Halving
from searching import phase2, small_config, write_task

from combsearch.engines import InlineEngine, LocalEngine, ThreadEngine
from combsearch.engines.attempts import Lost, Queue, attempt
from combsearch.errors import CombsearchError, NoSpaceError, UsageError
from combsearch.prune_config import PruneConfig
from combsearch.search import devices, mask_training, training
from combsearch.search.phase1 import Plan
from combsearch.search.running import Failure
from combsearch.search.sharing import fewer, halved, halvings
from combsearch.store import Shard, digest
from combsearch.sweep import training as sweep_training
from combsearch.sweep.plan import PrunePlan

FULL = "it ran out of memory"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")


# ---- tries ----------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[Shard], None]:
    def work(shard: Shard) -> None:
        raise error

    return work


def caused(error: CombsearchError, cause: BaseException) -> CombsearchError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), FULL),
        (MemoryError("Unable to allocate 3 GiB"), f"{FULL} (Unable to allocate 3 GiB)"),
        (torch.OutOfMemoryError("CUDA out of memory"), f"{FULL} (CUDA out of memory)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"),
         f"{FULL} (DefaultCPUAllocator: can't allocate memory)"),
        (pa.ArrowMemoryError("malloc failed"), f"{FULL} (malloc failed)"),
        # As trainers say it whose last network alone is too large, and pruners that use them.
        (caused(UsageError("it failed"), caused(CombsearchError("no room"), MemoryError())),
         f"{FULL} (it failed)"),
    ],
)  # fmt: skip
def test_memory_that_ran_out_is_told_with_its_error(error: Exception, reason: str) -> None:
    assert attempt(raising(error), SHARDS[0], 0) == Lost(reason)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not match"), CombsearchError("bad"), KeyError(3),
        NoSpaceError("disk full"), caused(CombsearchError("bad"), RuntimeError("no such")),
    ],
)  # fmt: skip
def test_any_other_error_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        attempt(raising(error), SHARDS[0], 1)
    assert raised.value is error and halvings() == 0


def test_halvings_are_those_of_a_thread_and_of_a_block() -> None:
    others: list[int] = []
    with halved(2):
        assert (halvings(), fewer(13), fewer(3)) == (2, 3, 1)
        with halved(1):
            assert fewer(13) == 6
        thread = threading.Thread(target=lambda: others.append(halvings()))
        thread.start()
        thread.join()
        assert halvings() == 2
    assert others == [0] and (halvings(), fewer(13)) == (0, 13)


@pytest.mark.parametrize("engine", [InlineEngine(), ThreadEngine(2), LocalEngine(2)])
def test_each_try_trains_half_as_much_and_the_fourth_is_the_last(
    engine: InlineEngine | ThreadEngine | LocalEngine, tmp_path: Path
) -> None:
    needs = {0: 1, 4: 2, 10: 3, 16: 4}  # first rank -> halvings with which it fits
    found = dict(engine.run(Halving(tmp_path, needs), SHARDS))
    assert found.pop(Shard(16, 18)) == Failure(f"in each of 4 tries {FULL} (needs 4 halvings)")
    assert found == {shard: needs.get(shard.first, 0) for shard in SHARDS if shard.first != 16}
    tried = (tmp_path / "tried").read_text().split()
    assert sorted(one for one in tried if one.startswith("16:")) == [f"16:{n}" for n in range(4)]
    assert sorted(one for one in tried if one.startswith("4:")) == ["4:0", "4:1", "4:2"]


def test_after_a_killed_process_a_shard_is_smaller_too(tmp_path: Path) -> None:
    found = dict(LocalEngine(1).run(Halving(tmp_path, {4: 1}, kill=True), SHARDS[:4]))
    assert found == {**dict.fromkeys(SHARDS[:4], 0), Shard(4, 6): 1}


def test_a_shard_waits_to_be_alone_only_where_others_may_be_to_blame() -> None:
    queue = Queue(iter(SHARDS))
    first, second = queue.take(), queue.take()
    assert first and second
    for _ in range(2):
        assert list(queue.failed(first, Lost("x", shared=False))) == []
        assert queue.take() == first
    assert queue.take() == SHARDS[2] and queue.failures(first) == 2
    assert list(queue.failed(second, Lost("y", tries=2))) == []
    assert queue.take() is None  # two others are at work
    queue.finished(first)
    queue.finished(SHARDS[2])
    assert queue.take() == second and queue.take() is None
    assert list(queue.failed(second, Lost("y", tries=2))) == [
        (second, Failure("again and again y"))
    ]
    assert queue.take() == SHARDS[3]


# ---- outcomes -------------------------------------------------------------------------


class Sizes:
    """How many networks went at once, whoever trained them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.seen: list[int] = []
        real = getattr(module, name)

        def told(*arguments: Any) -> Any:
            trainer = real(*arguments)
            seen = self.seen

            class Told:
                name = trainer.name

                def fit(self, nets: Any, *rest: Any, **more: Any) -> Any:
                    seen.append(len(nets))
                    return trainer.fit(nets, *rest, **more)

                def __getattr__(self, what: str) -> Any:
                    return getattr(trainer, what)

            return Told()

        monkeypatch.setattr(module, name, told)

    def most(self) -> int:
        """Networks at once at most since the last question."""
        found = max(self.seen)
        self.seen.clear()
        return found


def test_a_shape_trained_in_parts_has_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(monkeypatch, training, "get_trainer")
    plan = Plan.of(small_config("clouds.csv", restarts=70))
    whole = training.train_shape(plan, 3)
    assert sizes.most() == 140
    for times, most in ((1, 70), (2, 34), (3, 16), (9, 2)):
        with halved(times):
            part = training.train_shape(plan, 3)
        assert sizes.most() == most and digest(part) == digest(whole)
        assert part.drop(["seconds"]).equals(whole.drop(["seconds"]))


@pytest.mark.parametrize("settings", [{}, {"race": True, "controls": 2, "restarts": 600}])
def test_masks_trained_in_parts_have_the_same_rows(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = Sizes(monkeypatch, devices, "get_trainer")
    plan = phase2(**{"restarts": 40, "max_nonzeros": 12, "epochs": 2, **settings})
    shard = Shard(0, plan.masks)
    whole = mask_training.train_shard(plan, shard).sort_by([("rank", "ascending")])
    most, seen = sizes.most(), []
    for times in (1, 2, 3, 9):
        with halved(times):
            part = mask_training.train_shard(plan, shard)
        seen.append(sizes.most())
        assert digest(part.sort_by([("rank", "ascending")])) == digest(whole)
    least = 2 * 256 if settings else 2  # a race keeps its pools whole
    assert seen[-1] == least
    # Not quite halves: a race leaves out networks that are dead from the start.
    assert all(now <= max(least, 0.6 * most / 2**n) for n, now in enumerate(seen))


@pytest.mark.parametrize("method", ["snip", "gmp"])
def test_pruners_in_parts_give_the_same_rows(method: str) -> None:
    plan = PrunePlan.of(
        PruneConfig(
            task="clouds.csv", methods=(method,), widths=(4,), budgets=("8", "12", "16"),
            restarts=5, cells=("0.1:cosine", "0.05:step"), epochs=3, batch_size=16,
        )
    )  # fmt: skip
    whole = sweep_training.train_shard(plan, Shard(0, plan.ranks))
    times = ["prune_seconds", "seconds"]
    for number in (1, 3):
        with halved(number):
            part = sweep_training.train_shard(plan, Shard(0, plan.ranks))
        assert part.drop(times).equals(whole.drop(times))
