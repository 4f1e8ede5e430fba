"""Races against a version that trains and drops one network at a time."""

from __future__ import annotations

import numpy as np
import pytest

from combsearch.config import Recipe
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.search.racing import (
    LEGS,
    Race,
    alive,
    best_of_each,
    is_control,
    leg_ends,
    race_share,
    thinned,
)
from combsearch.tasks import Task, load_task
from combsearch.trainers import get_trainer

SHAPE = NetShape.from_hidden((3, 2))
RECIPE = Recipe(epochs=10, batch_size=16)
FUSED = get_trainer("fused")


@pytest.fixture(scope="module")
def task() -> Task:
    whole = load_task("moons")
    return Task("some moons", whole.x[:200], whole.y[:200])


def make(groups: int, runs: int) -> tuple[NetBatch, RunKeys, np.ndarray]:
    """``groups`` races of ``runs`` restarts, each of its own mask."""
    rng = np.random.default_rng(3)
    dense = [rng.integers(0, 2, (groups, *layer)) | (layer[0] == 1) for layer in SHAPE.layers]
    masks = MaskBatch.from_dense(SHAPE, [d.astype(np.uint8) for d in dense])
    group = np.repeat(np.arange(groups), runs)
    restart = np.tile(np.arange(runs), groups)
    keys = RunKeys.make(5, masks.keys()[group], ["0.1:cosine"] * len(group), restart, 256)
    return NetBatch.create(MLP(SHAPE, 4), keys, masks[group]), keys, group


def naive_race(
    nets: NetBatch, keys: RunKeys, group: np.ndarray, recipe: Recipe, task: Task
) -> list[int]:
    """Places of the runs that a race keeps to the end."""
    left = [i for i in range(len(nets)) if dead_reckoning(nets, i, task) is False]
    state = {i: nets[i : i + 1] for i in left}
    start, sample = 0, thinned(task, 8192)
    for leg, stop in enumerate(leg_ends(recipe, task.points)):
        score = {}
        for i in left:
            state[i] = FUSED.fit(state[i], task, recipe, keys[i : i + 1], slice(start, stop))
            found = FUSED.score(state[i], sample)
            score[i] = -1 if found.diverged[0] else int(found.correct[0])
        start, kept = stop, []
        for one in np.unique(group):
            own = [i for i in left if group[i] == one]
            most = max(1, int((group == one).sum()) // 2 ** (leg + 1))
            kept += sorted(own, key=lambda i: (-score[i], i))[:most]
        left = sorted(kept)
    return left


def dead_reckoning(nets: NetBatch, i: int, task: Task) -> bool:
    """Whether one network answers every point of the small sample alike, point by point."""
    outputs = set()
    for x in thinned(task, 512).x:
        h = x
        for layer in range(3):
            h = nets.params[f"weight{layer}"][i] @ h + nets.params[f"bias{layer}"][i]
            h = h if layer == 2 else np.maximum(h, 0)
        outputs.add(float(h[0]))
    return len(outputs) == 1


def test_a_race_keeps_whom_the_naive_one_keeps_and_changes_no_bit(task: Task) -> None:
    nets, keys, group = make(4, 16)
    race = Race(FUSED, task, RECIPE)
    none = np.zeros(len(nets), np.bool_)
    trained, kept, spared = race.run(nets, [RECIPE] * len(nets), keys, group, none)
    assert kept.tolist() == naive_race(nets, keys, group, RECIPE, task)
    assert 0 < len(kept) <= 4 and not spared.any()
    whole = FUSED.fit(nets, task, RECIPE, keys)[kept]
    for name, param in whole.params.items():
        assert np.array_equal(trained.params[name], param)


def test_controls_run_in_full_and_tell_what_the_race_would_have_kept(task: Task) -> None:
    nets, keys, group = make(3, 16)
    race = Race(FUSED, task, RECIPE)
    recipes = [RECIPE] * len(nets)
    _, alone, _ = race.run(nets, recipes, keys, group, np.zeros(len(nets), np.bool_))
    trained, kept, spared = race.run(nets, recipes, keys, group, group == 1)
    assert set(np.flatnonzero(group == 1)) <= set(kept.tolist())
    assert kept[~spared].tolist() == alone.tolist()
    assert (group[kept[spared]] == 1).all() and spared.sum() >= 14
    whole = FUSED.fit(nets, task, RECIPE, keys)[kept]
    assert all(np.array_equal(trained.params[n], p) for n, p in whole.params.items())


def test_what_does_not_depend_on_its_inputs_is_dead_and_stays_so(task: Task) -> None:
    nets, keys, _ = make(8, 16)
    found = alive(nets, task)
    assert found.tolist() == [not dead_reckoning(nets, i, task) for i in range(len(nets))]
    assert 0 < found.sum() < len(nets)
    trained = FUSED.fit(nets, task, RECIPE, keys)
    assert not alive(trained, task)[~found].any()


def test_the_best_of_each_group() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(1, 40))
        score, group = rng.integers(0, 5, n), rng.integers(0, 4, n)
        entered, keep = rng.random(n) < 0.7, rng.integers(0, 6, 4)
        wanted = set()
        for one in range(4):
            own = [i for i in range(n) if group[i] == one and entered[i]]
            wanted |= set(sorted(own, key=lambda i: (-score[i], i))[: keep[one]])
        assert set(np.flatnonzero(best_of_each(score, group, entered, keep))) == wanted


def test_legs_end_with_epochs_and_cost_what_is_said() -> None:
    assert leg_ends(Recipe(), 49_982) == [780, 1950, 3900, 7800, 11700]
    assert leg_ends(Recipe(epochs=1, batch_size=16), 200) == []
    epochs = [round(50 * leg) for leg in LEGS]
    lanes = [256, 128, 64, 32, 16, 8]
    spans = np.diff([0, *epochs, 50])
    share = float((np.array(lanes) * spans).sum() / (256 * 50))
    assert race_share(10**9) == pytest.approx(share)
    assert race_share(1) == pytest.approx(1)


def test_one_race_in_so_many_is_a_control() -> None:
    keys = np.random.default_rng(1).integers(0, 2**63, 20_000).astype(np.uint64)
    share = is_control(keys, 0, 3, 32).mean()
    assert abs(share - 1 / 32) < 0.006
    assert (is_control(keys, 1, 3, 32) != is_control(keys, 0, 3, 32)).any()
    assert is_control(keys, 0, 0, 1).all()


def test_fewer_points_are_of_the_same_classes() -> None:
    labels = np.array([0, 1, 2, 2, 0, 1], np.uint8)
    few = thinned(Task("three", np.zeros((6, 2), np.float32), labels, classes=3), 3)
    assert (few.classes, few.y.tolist(), few.name) == (3, [0, 2, 0], "every 2 of three")
