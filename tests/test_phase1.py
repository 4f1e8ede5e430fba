"""Phase one: what is trained, in which order, when it stops, and what the rows say.

Rules of order and stopping are tested with made-up accuracies, so that many searches
take no time; training with the real kernel on a small task.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pickle
import random
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pytest
from naive import accuracy_of_mlp, dense_shapes
from searching import small_config, write_task

from combsearch.config import SearchConfig
from combsearch.engines import InlineEngine
from combsearch.errors import CombsearchError, RunMismatchError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, Scores
from combsearch.rng import RunKeys
from combsearch.search import phase1, plan, training
from combsearch.search.phase1 import Course, Failure, Outcome, Plan, ShapeResult
from combsearch.store import RunStore, Shard, digest, rows_table
from combsearch.tasks import load_task
from combsearch.trainers import get_trainer

T = TypeVar("T")


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_task(tmp_path / "clouds.csv")


def ignore(shard: Shard, outcome: Outcome) -> None:
    pass


def run(
    root: Path, config: SearchConfig, engine: phase1.Engine | None = None
) -> tuple[Plan, RunStore, pa.Table]:
    made = Plan.of(config)
    store = RunStore.open(root, made.identity())
    phase1.search(made, store, engine or InlineEngine(), ignore)
    return made, store, phase1.counted(made, store)


# ---- order and stop, with made-up accuracies ------------------------------------------


@dataclass(frozen=True)
class Greedy:
    """Asks for shards far ahead and finishes them in any order, as many workers may."""

    ahead: int
    seed: int
    end_after: int = 10**9
    log: list[tuple[str, Shard]] = dataclasses.field(default_factory=list)

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        rng, source = random.Random(self.seed), iter(shards)
        flight: list[Shard] = []
        while True:
            while len(flight) < self.ahead and (shard := next(source, None)) is not None:
                flight.append(shard)
                self.log.append(("taken", shard))
            if not flight:
                return
            if sum(event == "done" for event, _ in self.log) >= self.end_after:
                raise KeyboardInterrupt
            shard = flight.pop(rng.randrange(len(flight)))
            self.log.append(("done", shard))
            yield shard, work(shard)


Accuracy = Callable[[int], list[float]]


def made_up(monkeypatch: pytest.MonkeyPatch, accuracy: Accuracy) -> list[int]:
    """Trains nothing: restarts of a rank have these accuracies. The ranks that were asked for."""
    asked: list[int] = []

    def train_shape(made: Plan, rank: int) -> pa.Table:
        asked.append(rank)
        values, shape = accuracy(rank), made.grid.shape(rank)
        return rows_table(
            rank=np.full(len(values), rank),
            shape=",".join(map(str, shape.widths)),
            mask=np.uint64(rank),
            nonzeros=shape.dense_nonzeros,
            cell="0.05:cosine",
            restart=np.arange(len(values)),
            accuracy=values,
        )

    monkeypatch.setattr(training, "train_shape", train_shape)
    return asked


def lucky(seed: int, chance: float) -> Accuracy:
    def accuracy(rank: int) -> list[float]:
        rng = random.Random(f"{seed} {rank}")
        return [0.9 if rng.random() < chance else rng.uniform(0.4, 0.8999) for _ in range(3)]

    return accuracy


@pytest.mark.parametrize("seed", range(12))
def test_the_search_ends_with_the_first_level_that_holds_a_success(
    seed: int, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(task, width=5, depth=2)
    accuracy = lucky(seed, 0.03)
    shapes = dense_shapes(5, 2, 2, 1)
    level = [NetShape(widths).dense_nonzeros for widths in shapes]
    good = [level[r] for r in range(len(shapes)) if max(accuracy(r)) >= 0.9]
    expected = [r for r in range(len(shapes)) if not good or level[r] <= min(good)]

    asked = made_up(monkeypatch, accuracy)
    *_, plain = run(tmp_path / "plain", config)
    assert sorted(set(plain["rank"].to_pylist())) == expected
    assert asked == expected  # one at a time: nothing beyond, nothing twice
    for ahead in (2, 7):
        monkeypatch.setattr(plan, "SHARD_WORK", 10.0 ** (3 + ahead))
        asked.clear()
        engine = Greedy(ahead, seed)
        made, _, rows = run(tmp_path / f"ahead{ahead}", config, engine)
        assert digest(rows) == digest(plain)
        assert len(asked) == len(set(asked)) and set(expected) <= set(asked)
        end = len(made.grid)  # beyond it lies only what was begun before it was known
        for event, shard in engine.log:
            assert event == "done" or shard.first < end
            found = event == "done" and any(
                max(accuracy(r)) >= 0.9 for r in range(shard.first, shard.last)
            )
            end = min(end, made.grid.level_end(level[shard.first])) if found else end
        assert engine.log[-1][0] == "done" and engine.log[-1][1].first < end
    *_, full = run(tmp_path / "full", dataclasses.replace(config, full=True))
    assert sorted(set(full["rank"].to_pylist())) == list(range(len(shapes)))
    assert digest(full.slice(0, 3 * len(expected))) == digest(plain)


@pytest.mark.parametrize("seed", range(8))
def test_a_broken_off_search_goes_on_where_it_was(
    seed: int, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(task, width=5, depth=2, seed=seed)
    asked = made_up(monkeypatch, lucky(seed + 100, 0.02))
    *_, plain = run(tmp_path / "plain", config)
    asked.clear()
    for attempt in itertools.count():
        try:
            engine = Greedy(3, seed + attempt, end_after=2)
            *_, rows = run(tmp_path / "broken", config, engine)
            break
        except KeyboardInterrupt:
            continue
    assert attempt >= 1 and digest(rows) == digest(plain)
    assert len(asked) == len(set(asked))  # nothing that was saved is trained again
    asked.clear()
    assert digest(run(tmp_path / "broken", config)[2]) == digest(plain)
    assert asked == []


def test_a_success_known_from_before_limits_the_search(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(task, width=4, depth=2)
    asked = made_up(monkeypatch, lambda rank: [0.95 if rank == 5 else 0.5])
    made = Plan.of(config)
    store = RunStore.open(tmp_path / "run", made.identity())
    shard = next(s for s in made.shards() if s.first <= 5 < s.last)
    training.Work(config, store)(shard)
    asked.clear()
    phase1.search(made, store, InlineEngine(), ignore)
    end = made.grid.level_end(int(made.grid.nonzeros[5]))
    assert sorted(asked) == [r for r in range(end) if not shard.first <= r < shard.last]


def test_two_searches_side_by_side_share_what_is_done(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(task, width=4, depth=2)
    asked = made_up(monkeypatch, lambda rank: [0.5])
    made = Plan.of(config)
    store = RunStore.open(tmp_path / "run", made.identity())
    done: list[Any] = []

    def other_finishes_first(shard: Shard, outcome: Outcome) -> None:
        if not done:
            done.append(shard)
            phase1.search(made, store, InlineEngine(), ignore)

    phase1.search(made, store, InlineEngine(), other_finishes_first)
    assert sorted(asked) == list(range(16))


@dataclass(frozen=True)
class GivesUp:
    """Takes all shards at once, and fails at those that hold these ranks."""

    ranks: tuple[int, ...]

    def run(
        self, work: Callable[[Shard], T], shards: Iterable[Shard]
    ) -> Generator[tuple[Shard, T | Failure], None, None]:
        for shard in list(shards):
            bad = any(shard.first <= rank < shard.last for rank in self.ranks)
            yield shard, Failure("out of memory") if bad else work(shard)


def test_shards_that_are_given_up_end_the_search_only_where_they_count(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(task, width=4, depth=2)
    made_up(monkeypatch, lambda rank: [0.95 if rank == 12 else 0.5])
    monkeypatch.setattr(plan, "SHARD_WORK", 1.0)
    with pytest.raises(CombsearchError, match=r"2 of the shards .* ranks 3 to 3: out of memory"):
        run(tmp_path / "run", config, GivesUp((3, 7)))
    made, _, rows = run(tmp_path / "run", config)  # the same again continues
    assert digest(rows) == digest(run(tmp_path / "plain", config)[2])

    made_up(monkeypatch, lambda rank: [0.95 if rank == 4 else 0.5])
    end = made.grid.level_end(int(made.grid.nonzeros[4]))
    store = RunStore.open(tmp_path / "beyond", made.identity())
    for shard in made.shards():
        if shard.first < end and shard.first != 4:
            training.Work(config, store)(shard)
    phase1.search(made, store, GivesUp((end,)), ignore)
    assert phase1.counted(made, store)["rank"].to_pylist() == list(range(end))
    with pytest.raises(CombsearchError, match=r"^1 of the shards .* ranks 3 to 3: "):
        run(tmp_path / "both", config, GivesUp((3, end)))


def test_the_course_tells_the_level_and_what_is_left_of_it() -> None:
    nonzeros = np.array([5, 7, 7, 7, 9])
    shards = [Shard(rank, rank + 1) for rank in range(5)]
    course = Course(shards, nonzeros, np.array([1.0, 2, 3, 4, 5]), [Shard(0, 1)], None)
    assert (course.nonzeros, course.level, course.levels) == (7, 2, 3)
    course.note(Shard(2, 3), 0)
    assert course.level_work() == (9, 6) and course.whole_work() == (15, 11)
    course.note(Shard(4, 5), 1)
    assert course.found == 9 and not course.complete()
    course.note(Shard(3, 4), 2)
    assert course.found == 7 and course.end == 4 and course.whole_work() == (10, 2)
    course.note(Shard(1, 2), 0)
    assert course.complete() and course.found == 7
    assert (course.nonzeros, course.level) == (7, 2) and course.level_work() == (9, 0)


# ---- real training --------------------------------------------------------------------


def test_every_row_is_the_run_of_its_key(task: Path, tmp_path: Path) -> None:
    config = small_config(task, restarts=18, target=1.0, full=True)
    made, _, rows = run(tmp_path / "run", config)
    data, trainer = load_task(str(task)), get_trainer("fused")
    shapes = dense_shapes(3, 2, 2, 1)
    assert len(rows) == 9 * 2 * 18
    assert made.trainer == "fused"
    seen = rows.to_pylist()
    for row in random.Random(2).sample(seen, 12):
        shape = NetShape(shapes[row["rank"]])
        mask = MaskBatch.dense_of(shape)
        keys = RunKeys.make(config.seed, mask.keys(), [row["cell"]], [row["restart"]])
        recipe = config.recipes()[config.cells.index(row["cell"])]
        assert recipe.cell == row["cell"]
        nets = trainer.fit(NetBatch.create(MLP(shape, 3), keys, mask), data, recipe, keys)
        assert trainer.score(nets, data).accuracy[0] == row["accuracy"]
        assert row["shape"] == ",".join(map(str, shape.widths))
        assert (row["nonzeros"], row["mask"]) == (shape.dense_nonzeros, mask.keys()[0])
        if row["parameters"] is not None:
            assert row["parameters"] == training.flat_parameters(nets, 0).tolist()


def test_the_best_network_of_each_shape_is_saved_and_does_what_its_row_says(
    task: Path, tmp_path: Path
) -> None:
    *_, rows = run(tmp_path / "run", small_config(task, restarts=5, full=True))
    data = load_task(str(task))
    for rank, group in itertools.groupby(rows.to_pylist(), key=lambda row: row["rank"]):
        members = list(group)
        best = max(row["accuracy"] for row in members)
        first = next(row for row in members if row["accuracy"] == best)
        saved = [row for row in members if row["parameters"] is not None]
        assert saved == [first], rank
        flat = np.array(first["parameters"], np.float32)
        widths = [int(w) for w in first["shape"].split(",")]
        assert accuracy_of_mlp(flat, widths, data.x, data.y) == best


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (plan, "SHARD_WORK", 1.0),
        (plan, "SHARD_WORK", 1e30),
        (training, "_FLOATS", 1),  # a part for each block of restarts
        (training, "_CALL_WORK", 1.0),  # a call for each step
        (training, "_CALL_WORK", 1e5),
    ],
)
def test_nothing_depends_on_how_the_work_is_cut(
    module: Any, name: str, value: float, task: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    config = small_config(task, restarts=35, width=2, full=True, epochs=3)
    *_, plain = run(tmp_path / "plain", config)
    fits = []
    fit = get_trainer("fused").fit.__func__  # type: ignore[attr-defined]

    def counted_fit(*arguments: Any) -> NetBatch:
        fits.append(arguments[5])
        return fit(*arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr("combsearch.trainers.fused.FusedTrainer.fit", counted_fit)
    monkeypatch.setattr(module, name, value)
    _, store, cut = run(tmp_path / "cut", config)
    assert digest(cut) == digest(plain)
    steps = [step for steps in fits for step in range(steps.start, steps.stop)]
    assert steps == [*range(18)] * (4 * 3 if name == "_FLOATS" else 4)
    if name == "_CALL_WORK":
        assert len(fits) == 4 * 18 if value == 1 else 4 < len(fits) < 4 * 18
    if value == 1 and name == "SHARD_WORK":
        assert len(os.listdir(store.root / "shards")) == 4


def test_the_order_of_cells_and_the_seed(task: Path, tmp_path: Path) -> None:
    config = small_config(task, width=2, full=True)
    *_, rows = run(tmp_path / "a", config)
    turned = dataclasses.replace(config, cells=config.cells[::-1])
    assert digest(run(tmp_path / "b", turned)[2]) == digest(rows)
    assert Plan.of(turned).cells == Plan.of(config).cells  # so that ties have one winner too
    other = dataclasses.replace(config, seed=1)
    assert digest(run(tmp_path / "c", other)[2]) != digest(rows)


def test_a_run_exactly_at_the_target_is_a_success(task: Path, tmp_path: Path) -> None:
    config = small_config(task, full=True, epochs=1)
    *_, rows = run(tmp_path / "run", config)
    reached = max(rows["accuracy"].to_pylist())
    assert phase1.winner(phase1.shape_results(rows, reached)) is not None
    assert phase1.winner(phase1.shape_results(rows, np.nextafter(reached, 2))) is None
    assert phase1.first_success(rows, reached) is not None
    assert phase1.first_success(rows, np.nextafter(reached, 2)) is None


def test_diverged_runs_are_never_successes_nor_anyones_best(task: Path, tmp_path: Path) -> None:
    config = small_config(task, target=0.3, cells=("1e30:constant", "0.05:cosine"), full=True)
    *_, rows = run(tmp_path / "run", config)
    lost = [row for row in rows.to_pylist() if row["status"] == "diverged"]
    assert lost and all(row["cell"] == "1e+30:constant" for row in lost)
    assert any(row["accuracy"] >= 0.3 for row in lost)
    assert all(row["parameters"] is None for row in lost)
    for result in phase1.shape_results(rows, 0.3):
        members = [row for row in rows.to_pylist() if row["shape"] == _name(result)]
        ok = [row for row in members if row["status"] == "ok"]
        assert result.successes == sum(row["accuracy"] >= 0.3 for row in ok)
        assert result.diverged == len(members) - len(ok)
        assert result.accuracy == max(row["accuracy"] for row in ok)


def test_the_best_of_a_part_is_the_first_of_the_most_accurate_that_did_not_diverge() -> None:
    nets, _ = plan.dense_nets(NetShape((2, 1, 1)), small_config(), range(16, 19))
    correct, diverged = np.array([5, 9, 7, 3, 7, 2]), np.array([0, 1, 0, 0, 0, 0], np.bool_)
    [best] = training._best(nets, Scores(correct, 10, diverged), range(16, 19))
    assert best[:3] == (3, 0, 18)  # points wrong, cell, restart
    assert best.parameters.tolist() == training.flat_parameters(nets, 2).tolist()
    assert training._best(nets, Scores(correct, 10, np.ones(6, np.bool_)), range(16, 19)) == []


def test_a_search_in_which_everything_diverges(task: Path, tmp_path: Path) -> None:
    config = small_config(task, target=0.01, cells=("1e30:constant",), width=2)
    *_, rows = run(tmp_path / "run", config)
    results = phase1.shape_results(rows, 0.01)
    assert [r.diverged for r in results] == [2] * 4 and phase1.winner(results) is None
    assert rows["parameters"].null_count == len(rows)
    assert phase1.best_network(rows, results[0]) is None


def test_the_slow_trainers_serve_too(task: Path, tmp_path: Path) -> None:
    for trainer in ("loop", "vmap"):
        config = small_config(task, trainer=trainer, width=2, restarts=1, epochs=1, full=True)
        made, _, rows = run(tmp_path / trainer, config)
        assert made.trainer == trainer and len(rows) == 4 * 2
        data = load_task(str(task))
        for row in rows.to_pylist():
            if row["parameters"] is not None:
                flat = np.array(row["parameters"], np.float32)
                widths = [int(w) for w in row["shape"].split(",")]
                assert accuracy_of_mlp(flat, widths, data.x, data.y) == row["accuracy"]


# ---- the plan -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"task": "nosuch"}, "task", "unknown task 'nosuch'"),
        ({"task": "nosuch.csv"}, "task", "cannot be read"),
        ({"width": 1000, "depth": 3}, "width", "the width must be at most"),
        ({"depth": 200}, "depth", "depth is 200"),
        ({"batch_size": 97}, "batch_size", "batch_size is 97, more than the 96 points"),
        ({"restarts": 10**7}, "restarts", "with 2 cells it must be at most 5000000"),
        ({"trainer": "fusd"}, "trainer", "did you mean 'fused'"),
        ({"trainer": "fused", "width": 1, "depth": 6}, "trainer", "'vmap' and 'loop' can"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_anything_is_made(
    changes: dict[str, Any], field: str, message: str, task: Path
) -> None:
    with pytest.raises(plan.SettingError, match=message) as caught:
        Plan.of(small_config(**{"task": str(task)} | changes))
    assert caught.value.field == field
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  it travels between processes
    assert (str(again), again.field) == (str(caught.value), field)


def test_auto_takes_vmap_where_fused_cannot(task: Path) -> None:
    assert Plan.of(small_config(task)).trainer == "fused"
    assert Plan.of(small_config(task, width=1, depth=6)).trainer == "vmap"


def test_a_users_own_trainer_keeps_its_spec(task: Path, tmp_path: Path) -> None:
    spec = "combsearch.trainers.loop:LoopTrainer"
    made, _, rows = run(tmp_path / "run", small_config(task, trainer=spec, width=1, epochs=1))
    assert made.trainer == spec and len(rows) == 4


def test_a_name_is_safe_and_made_from_what_results_depend_on(tmp_path: Path) -> None:
    config = small_config(write_task(tmp_path / "my (odd) näme.csv"))
    made = Plan.of(config)
    assert made.name() == f"phase1-my-odd-n-me-w3-0.9-{config.digest()[:8]}"
    assert Plan.of(dataclasses.replace(config, seed=1)).name() != made.name()
    assert Plan.of(SearchConfig()).name() == "phase1-cubist_spiral-w16-0.995-44136fa3"


@pytest.mark.parametrize(
    ("restarts", "cells", "lanes"),
    [(1, 1, 16), (16, 1, 16), (17, 1, 32), (17, 2, 48), (35, 6, 224)],
)
def test_work_counts_whole_groups_of_each_restart_block(
    restarts: int, cells: int, lanes: int, task: Path
) -> None:
    names = tuple(f"{rate}:cosine" for rate in range(1, cells + 1))
    made = Plan.of(small_config(task, restarts=restarts, cells=names, epochs=2, batch_size=20))
    samples = 2 * (96 // 20) * 20
    assert made.samples == samples
    assert made.work.tolist() == (made.grid.sample_work() * samples * lanes).tolist()
    assert made.group_work(0) == made.work[0] * 16 / lanes


def test_a_task_that_changes_under_a_run_stops_it(task: Path, tmp_path: Path) -> None:
    config = small_config(task)
    made = Plan.of(config)
    store = RunStore.open(tmp_path / "run", made.identity())
    write_task(task, points=64)
    with pytest.raises(RunMismatchError, match="changed while the run was going on"):
        training.Work(config, store)(Shard(0, 1))
    assert os.listdir(store.root / "shards") == []
    write_task(task)
    training.Work(config, store)(Shard(0, 1))
    assert len(os.listdir(store.root / "shards")) == 1


def test_a_damaged_shard_is_trained_again_even_by_a_worker(task: Path, tmp_path: Path) -> None:
    config = small_config(task)
    _, store, rows = run(tmp_path / "run", config)
    [shard, *_] = store.verify().valid
    path = next(store.root.glob(f"shards/{shard.first:012d}-*"))
    path.write_bytes(path.read_bytes()[:-1])
    training.Work(config, store)(shard)
    assert digest(phase1.counted(Plan.of(config), store)) == digest(rows)
    assert len(list((store.root / "quarantine").iterdir())) == 1


# ---- results --------------------------------------------------------------------------


def _name(result: ShapeResult) -> str:
    return ",".join(map(str, result.shape))


def random_results(seed: int) -> Iterator[ShapeResult]:
    rng = random.Random(seed)
    for number in range(rng.randrange(1, 12)):
        hits = rng.choice([0, 0, 1, 2])
        best = rng.choice([0.9, 0.95]) if hits else rng.choice([0.5, 0.7, 0.8])
        yield ShapeResult((2, number + 1, 1), rng.randrange(5, 9), best, hits, 0, 4)


@pytest.mark.parametrize("seed", range(40))
def test_winner_and_runners_up(seed: int) -> None:
    results = list(random_results(seed))
    good = [r for r in results if r.successes]
    first = phase1.winner(results)
    if not good:
        assert first is None
    else:
        assert first is not None and first.nonzeros == min(r.nonzeros for r in good)
        rivals = [r for r in good if r.nonzeros == first.nonzeros]
        assert first.successes == max(r.successes for r in rivals)
        rivals = [r for r in rivals if r.successes == first.successes]
        assert first is max(rivals, key=lambda r: r.accuracy)  # the first of equals
    ranking = phase1.runners_up(results, 100)
    assert first not in ranking and len(ranking) == len(results) - (first is not None)
    assert phase1.runners_up(results, 3) == ranking[:3]
    for a, b in itertools.pairwise(ranking):
        assert bool(a.successes) >= bool(b.successes)
        if a.successes and b.successes:
            assert (a.nonzeros, -a.successes) <= (b.nonzeros, -b.successes)
        elif not a.successes:
            assert (-a.accuracy, a.nonzeros) <= (-b.accuracy, b.nonzeros)


def test_results_of_no_rows() -> None:
    empty = rows_table(
        rank=np.zeros(0), shape=[], mask=np.zeros(0, np.uint64), nonzeros=np.zeros(0), cell=[],
        restart=np.zeros(0), accuracy=np.zeros(0), status=[], parameters=[],
    )  # fmt: skip
    assert phase1.shape_results(empty, 0.5) == []
    assert phase1.first_success(empty, 0.5) is None


def test_an_interval_comes_with_every_result() -> None:
    result = ShapeResult((2, 1, 1), 5, 0.9, successes=3, diverged=0, restarts=40)
    assert result.interval == pytest.approx((0.0157, 0.2039), abs=1e-4)


def test_errors_are_usage_errors() -> None:
    assert issubclass(plan.SettingError, UsageError)
