"""The rules of training, Nesterov, clipping and Adam, against torch.optim on plain modules."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from test_networks import IMAGE, TASK, assert_equals, make_nets, module_of, one
from test_vmap import fail_above
from torch import nn
from training import TASK as ARMS
from training import assert_same, distances
from training import make_nets as make_mlps

from combsearch.config import Recipe, Schedule
from combsearch.errors import UsageError
from combsearch.nets import NetBatch, mean_loss
from combsearch.rng import RunKeys
from combsearch.trainers.base import minibatch
from combsearch.trainers.loop import LoopTrainer
from combsearch.trainers.vmap import VmapTrainer

BASE = Recipe(epochs=6, batch_size=16, lr=0.05)
RULES = {
    "nesterov": dataclasses.replace(BASE, nesterov=True),
    "clip": dataclasses.replace(BASE, clip=0.5),
    "study": dataclasses.replace(BASE, lr=0.1, nesterov=True, clip=1.0),
    "adam": dataclasses.replace(BASE, lr=1e-3, optimizer="adam"),
    "adam, clip": dataclasses.replace(
        BASE, lr=2e-3, optimizer="adam", clip=0.3, momentum=0.8, schedule=Schedule("step", (2, 4))
    ),
}
STEPS = 36  # of these over TASK, 6 an epoch

all_rules = pytest.mark.parametrize("rule", RULES)
both = pytest.mark.parametrize("trainer", [LoopTrainer(), VmapTrainer("cpu")], ids=lambda t: t.name)


def optimiser_of(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        betas = (recipe.momentum, 0.999)
        return torch.optim.Adam(
            module.parameters(), betas=betas, eps=1e-8, weight_decay=recipe.weight_decay
        )
    return torch.optim.SGD(
        module.parameters(),
        lr=1,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


def trained_module(nets: NetBatch, keys: RunKeys, recipe: Recipe) -> tuple[nn.Module, int]:
    """The first network of a batch, trained as torch does it, and the steps that were clipped."""
    module, clipped = module_of(nets).train(), 0
    optimiser = optimiser_of(module, recipe)
    for step in range(STEPS):
        rows = minibatch(recipe, TASK.points, step, keys.seed, int(keys.blocks()[0]))
        x = torch.tensor(TASK.x[rows], dtype=torch.float64).reshape(-1, *IMAGE)
        optimiser.param_groups[0]["lr"] = recipe.rates()[step // 6]
        optimiser.zero_grad()
        mean_loss(module(x), torch.tensor(TASK.y[rows])).backward()  # type: ignore[no-untyped-call]
        if recipe.clip:
            norm = nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
            clipped += bool(norm > recipe.clip)
        optimiser.step()
    return module, clipped


@all_rules
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_training_equals_torch_optimisers(name: str, rule: str) -> None:
    nets, keys = make_nets(name)
    module, clipped = trained_module(nets, keys, RULES[rule])
    assert (clipped > 0) == (RULES[rule].clip > 0)
    assert_equals(LoopTrainer("float64").fit(nets, TASK, RULES[rule], keys), module, 1e-9)
    for trainer in (LoopTrainer(), VmapTrainer("cpu")):
        assert_equals(trainer.fit(nets, TASK, RULES[rule], keys), module, 1e-5)


def test_some_steps_are_clipped_and_some_are_not() -> None:
    nets, keys = make_nets("cnn")
    clipped = {rule: trained_module(nets, keys, RULES[rule])[1] for rule in RULES}
    assert any(0 < count < STEPS for count in clipped.values()), clipped


@both
@all_rules
def test_segments_join_to_the_whole(trainer: Any, rule: str) -> None:
    nets, keys = make_nets("cnn", 3)
    whole = trainer.fit(nets, TASK, RULES[rule], keys)
    parts, last = nets, 0
    for cut in (0, 1, 2, 11, 30, STEPS):
        parts = trainer.fit(parts, TASK, RULES[rule], keys, slice(last, cut))
        last = cut
    assert_same(parts, whole)
    if RULES[rule].optimizer == "adam":
        assert whole.adam["steps"].tolist() == [STEPS] * 3
    else:
        assert whole.adam == {}


@all_rules
def test_copies_together_equal_copies_alone(rule: str) -> None:
    nets, keys = make_nets("cnn", 5)
    recipes = [dataclasses.replace(RULES[rule], lr=RULES[rule].lr / (1 + i)) for i in range(5)]
    few = slice(0, 20)  # what rounding does to statistics of batches grows with the steps
    together = VmapTrainer("cpu", chunk=3).fit(nets, TASK, recipes, keys, few)
    for i in range(5):
        some = slice(i, i + 1)
        for trainer in (VmapTrainer("cpu"), LoopTrainer()):
            alone = trainer.fit(nets[some], TASK, recipes[i], keys[some], few)
            assert distances(together[some], alone).max() < 1e-5
            np.testing.assert_array_equal(together[some].adam.get("steps"), alone.adam.get("steps"))
            for name, array in alone.state.items():
                np.testing.assert_allclose(together.state[name][i], array[0], 1e-5, 1e-5)


@both
@all_rules
def test_masked_parameters_stay_zero(trainer: Any, rule: str) -> None:
    nets, keys = make_mlps("7,3,3", 4, density=0.5)
    trained = trainer.fit(nets, ARMS, RULES[rule], keys, slice(0, 40))
    for name, mask in nets.masks.items():
        assert not trained.params[name][mask == 0].any()
        assert (trained.params[name] != nets.params[name])[mask != 0].mean() > 0.9


@both
def test_a_clipped_step_is_as_long_as_it_says(trainer: Any) -> None:
    nets, keys = make_nets("cnn", 3)
    plain = Recipe(batch_size=16, lr=1.0, momentum=0.0, weight_decay=0.0)

    def moved(recipe: Recipe) -> list[float]:
        after = trainer.fit(nets, TASK, recipe, keys, slice(0, 1))
        moves = [(after.params[n] - nets.params[n]).reshape(3, -1) for n in nets.params]
        return [float(norm) for norm in np.linalg.norm(np.concatenate(moves, axis=1), axis=1)]

    norms = moved(plain)
    short = (min(norms) + max(norms)) / 2  # one network is clipped, another is not
    expected = [min(norm, short) for norm in norms]
    assert moved(dataclasses.replace(plain, clip=short)) == pytest.approx(expected, rel=1e-5)
    assert moved(dataclasses.replace(plain, clip=100.0)) == norms


@both
def test_adam_starts_anew_where_nothing_is_carried(trainer: Any) -> None:
    nets, keys = make_mlps("4,3", 3)
    first = trainer.fit(nets, ARMS, RULES["adam"], keys, slice(0, 10))
    zeros = {name: np.zeros_like(a) for name, a in first.momenta.items()}
    anew = dataclasses.replace(first, momenta=zeros, adam={})
    after = trainer.fit(anew, ARMS, RULES["adam"], keys, slice(10, 11))
    assert after.adam["steps"].tolist() == [1, 1, 1]
    for name, mask in nets.masks.items():  # the first step of Adam: the rate, whatever the slope
        moves = np.abs(after.params[name] - first.params[name])
        steady = np.abs(after.momenta[name]) > 1e-4
        np.testing.assert_allclose(moves[steady & (mask != 0)], 1e-3, rtol=1e-2)
    plain = trainer.fit(first, ARMS, BASE, keys, slice(10, 11))
    assert plain.adam == {}


@both
@pytest.mark.parametrize("keep", [True, False])
def test_on_step_replaces_what_adam_carries(trainer: Any, keep: bool) -> None:
    nets, keys = make_mlps("4,3", 5, np.array([0, 16, 1, 17, 33]))

    def change(batch: NetBatch) -> NetBatch:
        zeros = {name: torch.zeros_like(a) for name, a in batch.to_torch().momenta.items()}
        return dataclasses.replace(batch, momenta=zeros, adam=batch.adam if keep else {})

    taken = []

    def on_step(step: int, batch: NetBatch) -> NetBatch | None:
        taken.append(int(batch.adam["steps"][4]))
        return change(batch) if step == 6 else None

    found = trainer.fit(nets, ARMS, RULES["adam"], keys, slice(0, 15), on_step)
    before = change(trainer.fit(nets, ARMS, RULES["adam"], keys, slice(0, 7)))
    expected = trainer.fit(before, ARMS, RULES["adam"], keys, slice(7, 15))
    assert distances(found, expected).max() < 1e-6
    np.testing.assert_array_equal(found.adam["steps"], expected.adam["steps"])
    assert taken == [*range(1, 8), *(range(8, 16) if keep else range(1, 9))]


@all_rules
def test_halved_chunks_lose_and_repeat_no_step(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nets, keys = make_mlps("5,3", 20, np.arange(20))
    whole = VmapTrainer("cpu").fit(nets, ARMS, RULES[rule], keys, slice(0, 12))
    sizes = fail_above(5, monkeypatch, MemoryError())
    found = VmapTrainer("cpu").fit(nets, ARMS, RULES[rule], keys, slice(0, 12))
    assert distances(found, whole).max() < 1e-6
    assert sum(sizes) == 20 * 12
    np.testing.assert_array_equal(found.adam.get("steps"), whole.adam.get("steps"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@all_rules
@pytest.mark.parametrize("graphs", [True, False])
def test_cuda_equals_loop(graphs: bool, rule: str) -> None:
    nets, keys = make_nets("cnn", 5)
    found = VmapTrainer("cuda", graphs=graphs).fit(nets, TASK, RULES[rule], keys)
    loop = LoopTrainer().fit(nets, TASK, RULES[rule], keys)
    assert distances(found, loop).max() < 1e-5
    np.testing.assert_array_equal(found.adam.get("steps"), loop.adam.get("steps"))


def test_what_adam_carries_goes_with_its_networks() -> None:
    nets, keys = make_mlps("4,3", 3)
    trained = VmapTrainer("cpu").fit(nets, ARMS, RULES["adam"], keys, slice(0, 4))
    assert trained.adam["squares"].shape == (3, sum(a[0].size for a in nets.params.values()))
    assert_same(NetBatch.concat([trained[:1], trained[1:]]), trained)
    with pytest.raises(UsageError, match="cannot join networks that carry what Adam"):
        NetBatch.concat([trained, nets])
    with pytest.raises(UsageError, match=r"adam holds \{'steps': \(3,\)\}, it must be empty or"):
        dataclasses.replace(trained, adam={"steps": trained.adam["steps"]})
    assert one(trained.adam, 1)["steps"] == 4
