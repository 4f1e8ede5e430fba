"""Pruners on image networks: every method on every architecture, against plain torch modules."""

from __future__ import annotations

import copy
import dataclasses
import time
from typing import Any

import naive_image_pruners as naive
import numpy as np
import numpy.typing as npt
import pytest
import torch
from training import assert_same

from combsearch.baselines import get_pruner
from combsearch.baselines.layer_budgets import ALLOCATIONS, counts_of, layer_shapes, spent_exactly
from combsearch.baselines.random_mask import RandomMask
from combsearch.baselines.rigl import RigL
from combsearch.baselines.synflow import _flow, severed
from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.networks import (
    CNN,
    VGG,
    Architecture,
    Dense,
    FixupResNet,
    ImageNetwork,
    LeNet5,
    MobileNetV2,
    PreActivationResNet,
    ResNet,
)
from combsearch.networks.offset import DctOffset
from combsearch.pruning import Budget, emptied, flatten, weights_of
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers import get_trainer
from combsearch.trainers.base import ALL_STEPS

SHAPE, CLASSES = (2, 8, 8), 3
RECIPE = Recipe(epochs=2, batch_size=16, lr=0.05)  # 8 steps
ARCHITECTURES: dict[str, Architecture] = {
    "dense": Dense((6, 5)),
    "cnn": CNN((3, 4)),
    "lenet": LeNet5((2, 3, 4), 5),
    "vgg": VGG((1, 2), (3, 4)),
    "resnet": ResNet((1, 1), (3, 4)),
    "bottleneck": ResNet((1, 1), (2, 3), bottleneck=True),
    "preactivation": PreActivationResNet((1, 1), (3, 4), stem=3),
    "mobilenet": MobileNetV2(((1, 3, 1, 1), (2, 4, 2, 2)), stem=3, last=6),
    "fixup": FixupResNet((1, 1), (3, 4)),
}
METHODS: dict[str, dict[str, Any]] = {
    "snip": {},
    "iter_snip": {"steps": 4, "batches": 2},
    "force": {"steps": 4, "batches": 2},
    "synflow": {"steps": 8},
    "rigl": {"interval": 2, "fraction": 0.5},
    "random_uniform": {},
    "random_epl": {},
    "random_epf": {},
    "random_erk": {},
}
SCORED = ("snip", "iter_snip", "force", "synflow")
SQRT6 = 6**0.5


def make_task(points: int = 64) -> Task:
    draws = np.random.default_rng(5)
    y = draws.integers(0, CLASSES, points).astype(np.uint8)
    x = draws.normal(size=(points, *SHAPE)) + y[:, None, None, None]
    return Task("noise", x.reshape(points, -1).astype(np.float32), y, classes=CLASSES)


TASK = make_task()


def dense(
    architecture: Architecture, n: int = 2, share: float = 0.25, recipe: Recipe = RECIPE
) -> tuple[NetBatch, Budget]:
    """n networks, whose restarts are of different blocks, and their budget: that share kept."""
    network = ImageNetwork(architecture, SHAPE, CLASSES, gain=SQRT6)
    keys = RunKeys.make(1, [0] * n, [recipe.cell] * n, [17 * i for i in range(n)])
    nets = NetBatch.create(network, keys)
    goal = np.full(n, max(len(network.prunable), round(share * weights_of(nets))), np.int64)
    return nets, Budget(goal, TASK, (recipe,) * n, keys, get_trainer("vmap"))


def fresh(given: Budget, **changes: Any) -> Budget:
    return dataclasses.replace(given, **changes)


def alone(nets: NetBatch, given: Budget, i: int) -> tuple[NetBatch, Budget]:
    one = slice(i, i + 1)
    goal, recipes, keys = given.weight_nonzeros[one], given.recipes[one], given.keys[one]
    return nets[one], fresh(given, weight_nonzeros=goal, recipes=recipes, keys=keys)


def kept(nets: NetBatch) -> npt.NDArray[np.int64]:
    return np.asarray(flatten(nets, nets.masks).sum(axis=1).astype(int))


# ---- the contract --------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_contract(name: str, method: str) -> None:
    nets, given = dense(ARCHITECTURES[name])
    before, pruner = copy.deepcopy(nets), get_pruner(method, **METHODS[method])
    found = pruner.prune(nets, given)
    assert_same(nets, before)
    np.testing.assert_array_equal(kept(found), given.weight_nonzeros)
    for parameter, mask in found.masks.items():
        assert set(np.unique(mask)) <= {0, 1}
        assert not found.params[parameter][mask == 0].any()
        if parameter not in nets.network.prunable:
            assert mask.all()
    dead = name == "fixup" and method in SCORED  # its last layer starts at 0: no score is not 0
    assert given.spent.collapsed.tolist() == [dead, dead]
    assert_same(pruner.prune(nets, fresh(given)), found)


@pytest.mark.parametrize("method", SCORED)
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"fixup"}))
def test_masks_are_those_of_the_plain_module(name: str, method: str) -> None:
    nets, given = dense(ARCHITECTURES[name])
    found = get_pruner(method, **METHODS[method]).prune(nets, given)
    for i in range(len(nets)):
        module, k = naive.module_of(nets, i), int(given.weight_nonzeros[i])
        if method == "synflow":
            want = naive.synflow(module.double(), torch.Size(SHAPE), k, 8)
        else:
            steps, each = (1, 1) if method == "snip" else (4, 2)
            batches = [
                [batch(given, step * each + j, i) for j in range(each)] for step in range(steps)
            ]
            want = naive.in_steps(module, batches, k, returning=method == "force")
        different = sum(
            int((found.masks[n][i] != mask.numpy()).sum())
            for n, mask in zip(nets.network.prunable, want, strict=True)
        )
        assert different <= 2  # scores that rounding alone sets apart may change places


def batch(given: Budget, number: int, i: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = given.minibatch(number)
    return torch.tensor(x[i]).reshape(-1, *SHAPE), torch.tensor(y[i].astype(np.int64))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cnn", "mobilenet"])
def test_a_network_is_pruned_the_same_alone(name: str, method: str) -> None:
    nets, given = dense(ARCHITECTURES[name], n=3)
    pruner = get_pruner(method, **METHODS[method])
    whole = pruner.prune(nets, given)
    for i in (0, 2):
        one, budget = alone(nets, given, i)
        found = flatten(one, pruner.prune(one, budget).masks)
        assert (found[0] != flatten(whole, whole.masks)[i]).sum() <= 2
        assert budget.spent.flops[0] == given.spent.flops[i]


def test_a_network_alone_is_not_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, given = dense(ARCHITECTURES["cnn"], n=1)
    expected = get_pruner("snip").prune(nets, given)

    def vmap(function: Any) -> Any:
        raise AssertionError("lifted")

    monkeypatch.setattr(torch.func, "vmap", vmap)
    assert_same(get_pruner("snip").prune(nets, fresh(given)), expected)


# ---- options --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["iter_snip", "force"])
def test_a_step_takes_the_mean_over_its_minibatches(method: str) -> None:
    """With many it is another mask than with the first alone; with the same again and again not."""
    nets, given = dense(ARCHITECTURES["cnn"])
    one = get_pruner(method, steps=3).prune(nets, given)
    more = get_pruner(method, steps=3, batches=4).prune(nets, fresh(given))
    assert not np.array_equal(flatten(nets, one.masks), flatten(nets, more.masks))
    rows = given.rows(0)[:1]
    fixed = fresh(given, batch_index=rows)
    again = get_pruner(method, steps=3, batches=4).prune(nets, fixed)
    first = get_pruner(method, steps=3).prune(nets, fresh(given, batch_index=rows))
    assert_same(again, first)
    np.testing.assert_array_equal(fixed.spent.flops % 4, 0)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("force", {"batches": 0}, "steps is 10 and batches 0, both must be from 1 up"),
        ("iter_snip", {"steps": 0}, "steps is 0"),
        ("synflow", {"steps": 0}, "steps is 0"),
        ("rigl", {"interval": 0}, "interval is 0"),
    ],
)
def test_impossible_options(method: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        get_pruner(method, **options)


def test_devices() -> None:
    _, given = dense(ARCHITECTURES["cnn"])
    assert given.device == "cpu"
    assert fresh(given, device="auto").device in ("cpu", "cuda")
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        fresh(given, device="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", SCORED)
def test_scores_on_a_gpu_are_those_of_the_cpu(method: str) -> None:
    nets, given = dense(ARCHITECTURES["resnet"])
    pruner = get_pruner(method, **METHODS[method])
    cpu = flatten(nets, pruner.prune(nets, given).masks)
    gpu = flatten(nets, pruner.prune(nets, fresh(given, device="cuda")).masks)
    assert (cpu != gpu).sum() <= 4


# ---- deep networks --------------------------------------------------------------------------


def test_the_flow_through_a_deep_network_is_finite() -> None:
    nets, given = dense(VGG((25, 25), (8, 8)), n=1, share=0.02)
    found = flatten(nets, _flow(nets, given))
    assert found.dtype == np.float64
    assert np.isfinite(found).all() and (found > 0).all() and not given.spent.collapsed.any()
    module = naive.module_of(nets, 0)
    with torch.no_grad():
        for param in module.parameters():
            param.abs_()
    single = torch.cat([s.flatten() for s in naive.flow_scores(module, torch.Size(SHAPE))])
    assert not torch.isfinite(single).all()
    double = naive.flow_scores(module.double(), torch.Size(SHAPE))
    np.testing.assert_allclose(found[0], torch.cat([s.flatten() for s in double]), rtol=1e-10)
    pruned = get_pruner("synflow", steps=30).prune(nets, given)
    assert not given.spent.collapsed.any() and not emptied(pruned).any()


def test_the_flow_of_few_layers_is_float32() -> None:
    nets, given = dense(ARCHITECTURES["lenet"], n=1)
    assert flatten(nets, _flow(nets, given)).dtype == np.float32


# ---- collapse -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SCORED)
def test_fixup_has_no_score_but_zero(method: str) -> None:
    """It is flagged, and what is kept is what comes first: later layers are empty."""
    nets, given = dense(FixupResNet((2, 1), (3, 4)), n=1, share=0.1)
    found = get_pruner(method, **METHODS[method]).prune(nets, given)
    assert given.spent.collapsed.all()
    mask = flatten(found, found.masks)[0]
    assert mask[: kept(found)[0]].all() and not mask[kept(found)[0] :].any()
    assert emptied(found)[0, -1] and not emptied(found)[0, 0]


def test_an_empty_layer_beside_a_shortcut_cuts_nothing_off() -> None:
    nets, given = dense(ARCHITECTURES["resnet"], n=3)
    inputs = TASK.x.shape[1:]
    assert not severed(nets, inputs).any()
    nets.masks["layer1.0.conv1.weight"][1] = 0  # the identity remains
    nets.masks["layer2.0.conv1.weight"][2] = 0
    nets.masks["layer2.0.shortcut.conv.weight"][2] = 0
    nets.params.update({name: p * nets.masks[name] for name, p in nets.params.items()})
    assert emptied(nets).any(axis=1).tolist() == [False, True, True]
    assert severed(nets, inputs).tolist() == [False, False, True]
    one, _ = alone(nets, given, 2)
    assert severed(one, inputs).tolist() == [True]
    # By the masks alone: weights that start at 0 are paths all the same.
    assert not severed(dense(ARCHITECTURES["fixup"])[0], inputs).any()


def test_paths_need_a_neuron_in_common() -> None:
    """Every layer keeps a weight, but they do not meet."""
    nets, _ = dense(Dense((2,)), n=2)
    for name in nets.network.prunable:
        nets.masks[name][:] = 0
    nets.masks["hidden1.weight"][:, 0, 5] = 1
    nets.masks["linear.weight"][0, 2, 0] = 1
    nets.masks["linear.weight"][1, 2, 1] = 1
    assert not emptied(nets).any()
    assert severed(nets, TASK.x.shape[1:]).tolist() == [False, True]


def test_paths_through_deep_networks_are_seen() -> None:
    """Neither too many paths for float64 nor too thin ones."""
    nets, given = dense(VGG((40, 40), (16, 16)), n=1, share=0)
    assert not severed(nets, TASK.x.shape[1:]).any()
    thin = get_pruner("synflow", steps=60).prune(nets, given)
    assert kept(thin) == 81
    assert severed(thin, TASK.x.shape[1:]) == emptied(thin).any()


@pytest.mark.parametrize("name", ["resnet", "fixup"])
def test_paths_are_those_of_masks_whatever_training_made_of_the_rest(name: str) -> None:
    """Scales that faded away cut nothing off, and numbers that diverged lead nowhere."""
    nets, _ = dense(ARCHITECTURES[name], n=3)
    others = [own for own in nets.params if own not in nets.network.prunable]
    for own in others:
        nets.params[own][0] = 0
        nets.params[own][1:] = np.nan
    nets.masks["conv1.weight"][2] = 0
    assert severed(nets, TASK.x.shape[1:]).tolist() == [False, False, True]


def test_which_layers_are_empty() -> None:
    nets, _ = dense(ARCHITECTURES["dense"])
    assert emptied(nets).tolist() == [[False] * 3] * 2
    nets.masks["hidden2.weight"][1] = 0
    assert emptied(nets).tolist() == [[False] * 3, [False, True, False]]


def test_force_at_a_weight_a_layer_says_what_became_of_it() -> None:
    """As few weights as there are layers: the budget is met, and no path is left."""
    nets, given = dense(VGG((6, 6), (4, 4)), n=3, share=0)
    assert (given.weight_nonzeros == 13).all()
    found = get_pruner("force", steps=12).prune(nets, given)
    assert (kept(found) == 13).all()
    assert (given.spent.collapsed | emptied(found).any(axis=1)).all()


@pytest.mark.parametrize("method", ["rigl", "random_epl", *SCORED])
def test_networks_with_an_offset(method: str) -> None:
    """Random supports are as ever, and alpha stays; weights that start at 0 have no scores."""
    nets, given = dense(ARCHITECTURES["mobilenet"])
    assert isinstance(nets.network, ImageNetwork)
    network = dataclasses.replace(nets.network, offset=DctOffset())
    nets = NetBatch.create(network, given.keys)
    found = get_pruner(method, **METHODS[method]).prune(nets, given)
    np.testing.assert_array_equal(kept(found), given.weight_nonzeros)
    assert given.spent.collapsed.tolist() == [method in SCORED] * 2
    assert found.masks["conv1.alpha"].all()
    assert emptied(found).any() == (method in SCORED)


# ---- RigL -----------------------------------------------------------------------------------

ADAM = dataclasses.replace(RECIPE, optimizer="adam", lr=0.003, epochs=4)


class Forgetful:
    """A trainer that forgets what the optimiser carries for masked weights; it notes its input."""

    def __init__(self, forget: bool) -> None:
        self.inner, self.forget = get_trainer("vmap"), forget
        self.name, self.score = self.inner.name, self.inner.score
        self.seen: list[NetBatch] = []

    def fit(
        self, nets: NetBatch, task: Task, recipe: Any, keys: RunKeys, steps: slice = ALL_STEPS,
        on_step: Any = None,
    ) -> NetBatch:  # fmt: skip
        self.seen.append(nets)
        found = self.inner.fit(nets, task, recipe, keys, steps, on_step)
        if not self.forget:
            return found
        momenta = {name: v * found.masks[name] for name, v in found.momenta.items()}
        adam = {**found.adam}
        if adam:
            adam["squares"] = adam["squares"] * flat(found, found.masks)
        return dataclasses.replace(found, momenta=momenta, adam=adam)


def flat(nets: NetBatch, arrays: Any) -> npt.NDArray[Any]:
    return np.concatenate([arrays[name].reshape(len(nets), -1) for name in nets.params], axis=1)


@pytest.mark.parametrize("recipe", [RECIPE, ADAM], ids=["sgd", "adam"])
def test_rigl_needs_nothing_of_masked_weights(recipe: Recipe) -> None:
    nets, given = dense(ARCHITECTURES["resnet"], recipe=recipe)
    rigl = RigL(interval=3, fraction=0.6)
    found = rigl.prune(nets, fresh(given, trainer=Forgetful(False)))
    again = rigl.prune(nets, fresh(given, trainer=Forgetful(True)))
    for name, mask in found.masks.items():
        np.testing.assert_array_equal(again.masks[name], mask)
        np.testing.assert_array_equal(again.params[name], found.params[name])


def test_rigl_begins_anew_with_a_weight_that_grows() -> None:
    nets, given = dense(ARCHITECTURES["cnn"], recipe=ADAM)
    trainer = Forgetful(False)
    RigL(interval=3, fraction=0.6).prune(nets, fresh(given, trainer=trainer))
    grown_again = 0
    for before, after in zip(trainer.seen[1:], trainer.seen[2:], strict=False):
        old, new = flat(before, before.masks) != 0, flat(after, after.masks) != 0
        assert (new & ~old).any()
        assert not after.adam["squares"][~(new & old)].any()
        assert not flat(after, after.momenta)[~(new & old)].any()
        assert after.adam["squares"][new & old].all()
        assert (after.adam["steps"] > before.adam["steps"]).all()
        grown_again += int((new & ~old & (flat(trainer.seen[1], trainer.seen[1].masks) != 0)).sum())
    assert grown_again  # so that there were squares to forget


@pytest.mark.parametrize("i", [0, 1])
def test_rigl_by_adam_is_a_loop_of_training_and_updates(i: int) -> None:
    nets, given = dense(ARCHITECTURES["lenet"], recipe=ADAM)
    found = RigL(interval=3, fraction=0.6).prune(nets, given)
    start, names = get_pruner("random_erk").prune(nets, fresh(given)), nets.network.prunable
    module = naive.module_of(nets, i)
    masks = naive.rigl_by_adam(
        module, [torch.tensor(start.masks[name][i]) for name in names],
        [batch(given, step, i) for step in range(16)],
        rates=np.repeat(ADAM.rates(), 4).tolist(), decay=ADAM.weight_decay,
        interval=3, fraction=0.6, stop=12,
    )  # fmt: skip
    assert any((start.masks[n][i] != m.numpy()).any() for n, m in zip(names, masks, strict=True))
    for name, weight, mask in zip(names, naive.weights_of(module), masks, strict=True):
        np.testing.assert_array_equal(found.masks[name][i], mask.numpy())
        np.testing.assert_allclose(found.params[name][i], weight.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("allocation", sorted(ALLOCATIONS))
def test_rigl_keeps_to_an_allocation(allocation: str) -> None:
    nets, given = dense(ARCHITECTURES["cnn"])
    found = RigL(interval=2, allocation=allocation).prune(nets, given)
    layers = [found.masks[name].reshape(2, -1).sum(axis=1) for name in nets.network.prunable]
    want = counts_of(layer_shapes(nets), int(given.weight_nonzeros[0]), allocation)
    np.testing.assert_array_equal(np.stack(layers, axis=1), [want, want])


# ---- how layers share a budget ----------------------------------------------------------------

# LeNet-5: 450, 2,400, 48,000, 9,840 and 820 weights, 61,510 in all.
LENET = [(6, 3, 5, 5), (16, 6, 5, 5), (120, 16, 5, 5), (82, 120), (10, 82)]


@pytest.mark.parametrize(
    ("allocation", "budget", "counts"),
    [
        # A fifth each is 123.02.
        ("epl", 615.1, [123, 123, 123, 123, 123]),
        # 1,230.2 each; 780.2 and 410.2 do not fit the first and the last, which takes no more.
        ("epl", 6151, [450, 1230, 1230, 1230, 820]),
        # 700 / 5 = 140 each, no rest.
        ("epl", 700, [140, 140, 140, 140, 140]),
        # 500 each, 50 of which do not fit the first and go to the last.
        ("epl", 2500, [450, 500, 500, 500, 550]),
        # 234 filters, 26.286 each: 157.72, 420.58, 3,154.36, 2,155.48, 262.86.
        ("epf", 6151, [158, 421, 3154, 2155, 263]),
        # 128.205 a filter: 769.2 of the first's 450 and 1,282.05 of the last's 820 are lost.
        ("epf", 30000, [450, 2051, 15385, 9840, 820]),
        # Dimensions add up to 19, 32, 146, 202 and 92, 491 in all: 12.5275 for each of them;
        # of the last's 1,152.5 only 820 fit.
        ("erk", 6151, [238, 401, 1829, 2531, 820]),
        ("uniform", 6151, [45, 240, 4800, 984, 82]),
        # A thousandth: 0.45 of the first.
        ("uniform", 61.51, [0, 2, 48, 10, 1]),
    ],
)
def test_the_authors_rounding(allocation: str, budget: float, counts: list[int]) -> None:
    assert counts_of(LENET, budget, allocation, "authors").tolist() == counts


def test_the_authors_rounding_takes_halves_to_even() -> None:
    shapes = [(5, 1), (15, 1), (4, 1)]
    assert counts_of(shapes, 12, "uniform", "authors").tolist() == [2, 8, 2]  # 2.5, 7.5, 2


def test_random_masks_rounded_as_the_authors_do() -> None:
    nets, given = dense(ARCHITECTURES["cnn"])  # 54, 108 and 12 weights, 44 to be kept
    found = RandomMask("epl", "authors").prune(nets, given)
    layers = [found.masks[name].reshape(2, -1).sum(axis=1) for name in nets.network.prunable]
    # 14.67 each, of which 2.67 do not fit the last, the one that would take the rest.
    assert np.stack(layers, axis=1).tolist() == [[15, 15, 12]] * 2
    with pytest.raises(UsageError, match="rounding is 'author', it must be one of exact, authors"):
        RandomMask("epl", "author").prune(nets, given)


@pytest.mark.parametrize("rounding", ["exact", "authors", "truncated"])
@pytest.mark.parametrize("allocation", sorted(ALLOCATIONS))
def test_a_budget_that_layers_cannot_share(allocation: str, rounding: str) -> None:
    for budget in (4, 0, -1):
        said = f"budget {budget} is not possible: 5 layers .* must be from 5 up"
        with pytest.raises(UsageError, match=said):
            counts_of(LENET, budget, allocation, rounding)
    with pytest.raises(UsageError, match="to the 61510 weights that there are"):
        counts_of(LENET, 61511, allocation, rounding)
    if rounding != "authors":  # who lose what full layers leave
        assert counts_of(LENET, 61510, allocation, rounding).sum() == 61510


def test_an_exact_budget_is_whole_and_its_allocation_known() -> None:
    with pytest.raises(UsageError, match=r"budget 615.1 is not a whole number"):
        counts_of(LENET, 615.1, "epl")
    with pytest.raises(UsageError, match="unknown allocation 'elp', did you mean 'epl'"):
        counts_of(LENET, 615, "elp")


@pytest.mark.parametrize("allocation", sorted(ALLOCATIONS))
def test_many_layers_and_millions_of_weights_are_shared_at_once(allocation: str) -> None:
    deep = [(16, 3, 3, 3), *[(64, 64, 3, 3)] * 108, (10, 64)]
    wide = [(2048, 512, 3, 3), *[(512, 2048, 1, 1)] * 20, (10, 2048)]
    start = time.process_time()
    for shapes in (deep, wide):
        weights = sum(int(np.prod(shape)) for shape in shapes)
        for budget in (len(shapes), len(shapes) + 1, weights // 1000, weights // 2, weights - 1):
            counts = counts_of(shapes, budget, allocation)
            assert counts.sum() == budget and counts.min() >= 1
            exact = spent_exactly(ALLOCATIONS[allocation](shapes, budget), shapes, budget)
            np.testing.assert_array_equal(counts, exact)
    assert time.process_time() - start < 2
