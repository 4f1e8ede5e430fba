"""What the trainers with compiled kernels, fused, sparse and cuda, promise alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import OnCpu
from test_fused import (
    assert_close,
    assert_masked_are_zero,
    assert_same_bits,
    make_nets,
    make_task,
    recipes,
)
from training import distances

from combsearch.config import CELLS, Recipe
from combsearch.errors import UsageError
from combsearch.nets import score
from combsearch.trainers.fused import FusedTrainer
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.sparse import SparseTrainer

Compiled = FusedTrainer | SparseTrainer | OnCpu
LOOP = LoopTrainer()

all_of_them = pytest.mark.parametrize(
    "trainer", [FusedTrainer(), SparseTrainer(), OnCpu()], ids=lambda t: t.name
)


@all_of_them
@pytest.mark.parametrize(
    ("points", "batch"),
    [(40, 1), (40, 5), (50, 24), (390, 130), (7, 7), (8, 7), (1, 1), (13, 7), (300, 150)],
)
def test_any_batch_size_and_few_points_stay_with_the_loop(
    trainer: Compiled, points: int, batch: int
) -> None:
    # A batch is padded to whole blocks; the points that fill no batch wait for another epoch.
    task, (nets, keys) = make_task(points=points), make_nets((2, 4, 3, 1), CELLS[:3])
    recipe = recipes(CELLS[:3], epochs=4, batch_size=batch)
    steps = slice(0, min(50, 4 * (points // batch)))
    found = trainer.fit(nets, task, recipe, keys, steps)
    assert_close(found, LOOP.fit(nets, task, recipe, keys, steps))
    assert distances(found, nets).min() > 1e-4


@all_of_them
def test_momentum_and_weight_decay_are_the_recipe_s(trainer: Compiled) -> None:
    task, (nets, keys) = make_task(), make_nets((2, 4, 3, 1), CELLS[:3])
    for momentum, decay in ((0.0, 5e-4), (0.9, 0.3), (0.5, 0.0)):
        recipe = recipes(CELLS[:3], epochs=8, momentum=momentum, weight_decay=decay)
        found = trainer.fit(nets, task, recipe, keys, slice(0, 30))
        assert_close(found, LOOP.fit(nets, task, recipe, keys, slice(0, 30)))


@all_of_them
@pytest.mark.parametrize(
    ("rule", "word"), [({"nesterov": True}, "nesterov"), ({"clip": 2}, "clip 2"),
                       ({"optimizer": "adam"}, "optimizer 'adam'")]
)  # fmt: skip
def test_other_rules_than_plain_momentum_are_refused(
    trainer: Compiled, rule: dict[str, Any], word: str
) -> None:
    nets, keys = make_nets((2, 4, 3, 1), CELLS[:3])
    message = f"'{trainer.name}' cannot do this: it trains by SGD .* without {word}; 'vmap' and"
    with pytest.raises(UsageError, match=message):
        trainer.fit(nets, make_task(), Recipe(**rule), keys)


@all_of_them
def test_steps_in_segments_are_the_steps_in_one_call(trainer: Compiled) -> None:
    task, (nets, keys) = make_task(points=330), make_nets((2, 5, 3, 1), CELLS)
    recipe = recipes(CELLS, epochs=6, batch_size=24)
    total = recipe[0].total_steps(task.points)
    assert total == 78
    whole = trainer.fit(nets, task, recipe, keys)
    for cuts in ((0,), (1,), (12,), (13,), (14,), (77,), (78,), (5, 5, 26, 70), range(0, 78, 7)):
        found, start = nets, 0
        for stop in (*cuts, total):
            found = trainer.fit(found, task, recipe, keys, slice(start, stop))
            assert_masked_are_zero(found)
            start = stop
        assert_same_bits(found, whole)


@all_of_them
def test_what_is_given_is_left_as_it_is(trainer: Compiled) -> None:
    task, (nets, keys) = make_task(), make_nets((2, 5, 3, 1), CELLS)
    before = nets.map(np.copy)
    found = trainer.fit(nets, task, Recipe(epochs=1), keys)
    assert_same_bits(nets, before)
    assert list(found.params) == list(nets.params)
    for name, param in found.params.items():
        assert param.shape == nets.params[name].shape and param.dtype == np.float32
        np.testing.assert_array_equal(found.masks[name], before.masks[name])
    tensors = trainer.fit(nets.to_torch(), task, Recipe(epochs=1), keys)
    assert isinstance(tensors.params["weight0"], np.ndarray)
    assert_same_bits(tensors, found)
    assert_same_bits(trainer.fit(nets, task, Recipe(epochs=1), keys, slice(3, 3)), nets)


@all_of_them
def test_networks_diverge_where_those_of_the_loop_do(trainer: Compiled) -> None:
    # Some do: a network whose neurons all die before stays finite.
    cells = [f"{lr:g}:constant" for lr in (100, 200, 300, 500)] * 5
    task, (nets, keys) = make_task(), make_nets((2, 7, 3, 3, 1), cells)
    recipe = recipes(cells, epochs=4)
    found = trainer.score(trainer.fit(nets, task, recipe, keys), task)
    expected = score(LOOP.fit(nets, task, recipe, keys), task)
    assert found.diverged.tolist() == expected.diverged.tolist()
    assert 4 < found.diverged.sum() < 16


@all_of_them
def test_no_networks_have_no_scores(trainer: Compiled) -> None:
    task, (nets, _) = make_task(), make_nets((2, 4, 3, 1), CELLS)
    found = trainer.score(nets[:0], task)
    assert found.correct.shape == found.diverged.shape == (0,)
    assert found.points == task.points
