"""Every pruner against its one-network version, and what all of them promise."""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

import naive_pruners as naive
import numpy as np
import numpy.typing as npt
import pytest
import torch
from pruners import RECIPE, SHORT, TASK, batch, dense, one
from scipy.stats import chi2
from training import assert_same

from combsearch.baselines import AT_INITIALISATION, METHODS, get_pruner, initial_mask
from combsearch.baselines.grasp import class_samples
from combsearch.baselines.layer_budgets import ALLOCATIONS, spent_exactly
from combsearch.baselines.lth import left as lth_left
from combsearch.baselines.rigl import RigL, _update
from combsearch.baselines.xavier import reinitialised
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.prune_config import PAPER_BUDGETS, PAPER_WIDTHS
from combsearch.pruning import Budget, flatten, weights_of
from combsearch.rng import RunKeys
from combsearch.tasks.base import Task
from combsearch.trainers.base import ALL_STEPS, OnStep, Trainer

EVERY = sorted(METHODS)
WEIGHTS = 6 * 2 + 5 * 6 + 4 * 5 + 4


def pruned(method: str, compat: str = "exact", **options: Any) -> tuple[NetBatch, Budget]:
    nets, budget = dense(**options)
    given = budget(compat)
    return given.finish(get_pruner(method).prune(nets, given)), given


def kept(nets: NetBatch) -> npt.NDArray[np.int64]:
    return np.asarray(flatten(nets, nets.masks).sum(axis=1).astype(int))


# ---- the contract ----------------------------------------------------------------


@pytest.mark.parametrize("method", EVERY)
def test_contract(method: str) -> None:
    nets, budget = dense(epochs=SHORT)
    before, given = copy.deepcopy(nets), budget()
    found = given.finish(get_pruner(method).prune(nets, given))
    assert_same(nets, before)  # inputs unmodified
    np.testing.assert_array_equal(kept(found), given.weight_nonzeros)  # exact budget
    assert given.spent.position == given.total_steps
    for name, mask in found.masks.items():
        assert set(np.unique(mask)) <= {0, 1}
        assert not found.params[name][mask == 0].any()  # masked weights are zero
    for layer in (1, 2, 3):  # a bias goes exactly when nothing leads on
        leads_on = found.masks[f"weight{layer}"].any(axis=1)
        np.testing.assert_array_equal(found.masks[f"bias{layer - 1}"] != 0, leads_on)
    assert found.masks["bias3"].all()
    again = budget()
    assert_same(again.finish(get_pruner(method).prune(nets, again)), found)  # deterministic
    np.testing.assert_array_equal(again.spent.flops, given.spent.flops)
    assert not given.spent.collapsed[given.weight_nonzeros > 20].any()


@pytest.mark.parametrize("method", EVERY)
def test_a_network_is_pruned_the_same_alone(method: str) -> None:
    nets, budget = dense(budgets=(9, 40), epochs=SHORT)
    given = budget()
    whole = get_pruner(method).prune(nets, given)
    for i in (0, 5):
        alone = Budget(
            given.weight_nonzeros[i : i + 1], TASK, given.recipes[i : i + 1],
            given.keys[i : i + 1], given.trainer,
        )  # fmt: skip
        found = get_pruner(method).prune(nets[i : i + 1], alone)
        for name in nets.network.prunable:
            np.testing.assert_array_equal(found.masks[name][0], whole.masks[name][i])
        np.testing.assert_allclose(alone.spent.flops[0], given.spent.flops[i])


@pytest.mark.parametrize("method", EVERY)
def test_all_weights_kept_is_the_dense_network(method: str) -> None:
    found, _ = pruned(method, budgets=(WEIGHTS,), restarts=1, epochs=SHORT)
    assert (kept(found) == WEIGHTS).all()


@pytest.mark.parametrize("method", [*AT_INITIALISATION, "gmp", "lth"])
def test_collapse_is_noted(method: str) -> None:
    """Networks of zeros give every method scores that are all zero."""
    nets, budget = dense(budgets=(9,))
    zeros = nets.map(lambda a: a)
    zeros.params.update({name: np.zeros_like(p) for name, p in nets.params.items()})
    given = budget()
    found = get_pruner(method).prune(zeros, given)
    assert given.spent.collapsed.all()
    assert (kept(found) == 9).all()


# ---- one network at a time ----------------------------------------------------------


def masks_of(found: NetBatch, index: int) -> list[npt.NDArray[np.float32]]:
    return [found.masks[name][index] for name in found.network.prunable]


def expected(method: str, nets: NetBatch, budget: Budget, i: int) -> list[torch.Tensor]:
    weights, biases = one(nets, i)
    k, lr = int(budget.weight_nonzeros[i]), budget.recipes[i].lr
    batches = [batch(budget, step, i) for step in range(10)]
    if method == "magnitude":
        return naive.magnitude(weights, k)
    if method == "snip":
        return naive.snip(weights, biases, batches[0], k)
    if method in ("iter_snip", "force"):
        return naive.in_steps(weights, biases, batches, k, returning=method == "force")
    if method == "synflow":
        return naive.synflow(weights, biases, k)
    if method == "grasp":
        x, y = class_samples(budget, 25)
        classes = [
            (torch.tensor(x[i, c]), torch.tensor(y[i, c].astype(np.float32))) for c in (0, 1)
        ]
        return naive.grasp(weights, biases, classes, k)
    return naive.prospr(weights, biases, batches[:4], k, lr, RECIPE.momentum)


@pytest.mark.parametrize("method", AT_INITIALISATION)
def test_masks_are_those_of_the_plain_version(method: str) -> None:
    nets, budget = dense()
    given = budget()
    found = get_pruner(method).prune(nets, given)
    for i in range(len(nets)):
        for got, want in zip(masks_of(found, i), expected(method, nets, given, i), strict=True):
            np.testing.assert_array_equal(got, want.numpy())


def test_gmp_is_a_loop_of_training_and_pruning() -> None:
    nets, _ = dense(budgets=(9, 40))
    found, given = pruned("gmp", budgets=(9, 40))
    i, total = 3, 40  # a pruning before every step, the last of them to the budget
    plain, left = nets[i : i + 1], []
    alone = Budget(np.array([9]), TASK, given.recipes[i : i + 1], given.keys[i : i + 1],
                   given.trainer)  # fmt: skip
    for step in range(total):
        left.append(naive.cubic(WEIGHTS, 9, min(1, step / (total - 1))))
        weights, _ = one(plain, 0)
        masks = naive.highest([w.abs() for w in weights], left[-1])
        for name, mask in zip(plain.network.prunable, masks, strict=True):
            plain.params[name] = plain.params[name] * mask.numpy()
            plain.masks[name] = mask.numpy()[None]
        for layer in (1, 2, 3):
            bias = plain.masks[f"weight{layer}"].any(axis=1).astype(np.float32)
            plain.masks[f"bias{layer - 1}"] = bias
            plain.params[f"bias{layer - 1}"] = plain.params[f"bias{layer - 1}"] * bias
        plain = alone.trainer.fit(plain, TASK, alone.recipes, alone.keys, slice(step, step + 1))
    assert left[0] == WEIGHTS and left[-1] == 9
    assert_masks(found, i, plain)


def assert_masks(found: NetBatch, i: int, plain: NetBatch) -> None:
    for name in found.network.prunable:
        np.testing.assert_array_equal(found.masks[name][i], plain.masks[name][0])
        np.testing.assert_allclose(found.params[name][i], plain.params[name][0], atol=1e-5)


def test_lth_rewinds_to_the_initial_weights() -> None:
    nets, budget = dense(budgets=(9, 40))
    given = budget()
    seen: list[NetBatch] = []
    spy = Spy(given.trainer, seen, [])
    watched = Budget(given.weight_nonzeros, TASK, given.recipes, given.keys, spy)
    get_pruner("lth").prune(nets, watched)
    assert [len(s) for s in seen] == [8, 8, 8, 8, 8]
    for block in seen[1:]:
        for name, p in block.params.items():
            start = nets.params[name]
            np.testing.assert_array_equal(p, np.where(block.masks[name] != 0, start, 0))
            assert not block.momenta[name].any()
    assert [int(kept(s)[0]) for s in seen[1:]] == [
        naive.left(WEIGHTS, 9, i / 4) for i in (1, 2, 3, 4)
    ]
    assert int(kept(seen[-1])[-1]) == 40


class Spy:
    """A trainer that remembers what it was given."""

    def __init__(self, trainer: Trainer, seen: list[NetBatch], pieces: list[slice]) -> None:
        self.trainer, self.seen, self.pieces = trainer, seen, pieces
        self.name, self.score = trainer.name, trainer.score

    def fit(
        self, nets: NetBatch, task: Task, recipe: Any, keys: RunKeys, steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:  # fmt: skip
        self.seen.append(nets)
        self.pieces.append(steps)
        return self.trainer.fit(nets, task, recipe, keys, steps)


def test_a_rigl_update_is_that_of_the_plain_version() -> None:
    draws = np.random.default_rng(0)
    sizes = np.abs(draws.normal(size=(6, 5, 7))).astype(np.float32)
    gradients = np.abs(draws.normal(size=(6, 5, 7))).astype(np.float32)
    mask = draws.random((6, 5, 7)) < np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])[:, None, None]
    found = _update(sizes * mask, mask, gradients, 0.4).reshape(6, 5, 7)
    for i in range(6):
        want = naive.rigl_update(
            torch.tensor(sizes[i] * mask[i]), torch.tensor(mask[i]), torch.tensor(gradients[i]),
            int(0.4 * mask[i].sum()),
        )  # fmt: skip
        np.testing.assert_array_equal(found[i], want.numpy() != 0)


def test_rigl_moves_weights_and_keeps_layers_as_full_as_they_were() -> None:
    nets, budget = dense(budgets=(20,))
    seen: list[NetBatch] = []
    pieces: list[slice] = []
    given = budget()
    spy = Spy(given.trainer, seen, pieces)
    watched = Budget(given.weight_nonzeros, TASK, given.recipes, given.keys, spy)
    found = RigL(interval=5, fraction=0.9).prune(nets, watched)
    layers = [np.stack([s.masks[n].sum(axis=(1, 2)) for n in nets.network.prunable]) for s in seen]
    assert all((a == layers[0]).all() for a in layers)
    assert len(seen) == 6  # updates at steps 5, 10, 15, 20, 25; steps from 30 on have none
    assert not np.array_equal(flatten(found, found.masks), flatten(seen[0], seen[0].masks))
    before, after = seen[0], seen[1]
    for name in nets.network.prunable:
        grown = (after.masks[name] != 0) & (before.masks[name] == 0)
        assert not after.params[name][grown].any()
        assert not after.momenta[name][after.masks[name] == 0].any()
        assert not after.momenta[name][grown].any()
    assert [piece.stop - piece.start for piece in pieces] == [4, 4, 4, 4, 4, 15]


@pytest.mark.parametrize("i", [0, 3, 5, 6])
def test_rigl_is_a_loop_of_training_and_updates(i: int) -> None:
    """60 steps: updates take the place of steps 10, 20, 30 and 40, each with its own share."""
    nets, budget = dense(budgets=(20, 40))
    given, rigl = with_epochs(budget(), 6), RigL(interval=10, fraction=0.9)
    found = rigl.prune(nets, given)
    start = get_pruner("random_erk").prune(nets, given)
    recipe, (weights, biases) = given.recipes[i], one(nets, i)
    plain, masks = naive.rigl(
        weights, biases, [torch.tensor(mask) for mask in masks_of(start, i)],
        [batch(given, step, i) for step in range(60)],
        rates=np.repeat(recipe.rates(), 10).tolist(), momentum=recipe.momentum,
        decay=recipe.weight_decay, interval=10, fraction=0.9, stop=45,
    )  # fmt: skip
    assert not all(np.array_equal(a, b) for a, b in zip(masks_of(start, i), masks, strict=True))
    for name, weight, mask in zip(nets.network.prunable, plain, masks, strict=True):
        np.testing.assert_array_equal(found.masks[name][i], mask.numpy())
        np.testing.assert_allclose(found.params[name][i], weight.numpy(), atol=1e-5)


def with_epochs(given: Budget, epochs: int, trainer: Trainer | None = None) -> Budget:
    recipes = tuple(dataclasses.replace(recipe, epochs=epochs) for recipe in given.recipes)
    trainer = given.trainer if trainer is None else trainer
    return Budget(given.weight_nonzeros, TASK, recipes, given.keys, trainer, given.compat)


class Idle(Spy):
    """A trainer that remembers what it was given and does nothing."""

    def fit(
        self, nets: NetBatch, task: Task, recipe: Any, keys: RunKeys, steps: slice = ALL_STEPS,
        on_step: OnStep | None = None,
    ) -> NetBatch:  # fmt: skip
        self.pieces.append(steps)
        return nets


def test_rigl_moves_weights_every_100th_step_of_the_first_three_quarters() -> None:
    assert RigL() == RigL(interval=100, fraction=0.3, end=0.75)
    nets, budget = dense("4,4", budgets=(9,), restarts=1)
    idle = Idle(budget().trainer, [], [])
    given = with_epochs(budget(), 1950, idle)
    assert given.total_steps == 19_500  # of the paper's recipe
    get_pruner("rigl").prune(nets, given)
    assert len(idle.pieces) == 146 + 1
    assert idle.pieces[:2] == [slice(0, 99), slice(100, 199)]
    assert idle.pieces[-1] == slice(14_600, 19_500)


# ---- the authors' code, where it trains -------------------------------------------------


def test_gmp_in_paper_mode_ends_two_below() -> None:
    nets, budget = dense("4,4", budgets=(9, 20), restarts=1)
    given = with_epochs(budget("paper"), 41)  # 410 steps: a pruning every second one
    found = get_pruner("gmp").prune(nets, given)
    np.testing.assert_array_equal(kept(found), given.weight_nonzeros - 2)


def test_lth_in_paper_mode_ends_one_below_or_two() -> None:
    """Two where the number left is 14.99... in float64, as of width 4 and budget 15."""
    nets, budget = dense("4,4,4", budgets=(15, 16), restarts=1)
    found = get_pruner("lth").prune(nets, budget("paper"))
    np.testing.assert_array_equal(kept(found), [13, 13, 15, 15])
    lost = []
    for width in PAPER_WIDTHS:
        weights = 2 * width * width + 3 * width
        below = np.array([k for k in PAPER_BUDGETS if k < weights])
        left = lth_left(weights, below, 1.0, exact=False)
        lost += [(width, int(k)) for k in below[left < below]]
    assert lost == [(4, 15), (4, 30), (6, 26), (8, 53), (256, 37)]


def test_snip_in_paper_mode_leaves_nothing_where_all_scores_are_zero() -> None:
    nets, budget = dense("4,4", budgets=(9,), restarts=1)
    nets.params.update({name: np.zeros_like(p) for name, p in nets.params.items()})
    given = budget("paper")
    assert not kept(get_pruner("snip").prune(nets, given)).any()
    assert given.spent.collapsed.all()


# ---- random masks ----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ALLOCATIONS))
@pytest.mark.parametrize("width", [3, 7, 256])
def test_layers_share_the_budget_exactly(name: str, width: int) -> None:
    shapes = [(width, 2), (width, width), (width, width), (1, width)]
    sizes = [a * b for a, b in shapes]
    for budget in {4, 5, 17, 26, min(65, sum(sizes)), sum(sizes)}:
        density = ALLOCATIONS[name](shapes, budget)
        assert abs((density * sizes).sum() - budget) < 1e-6 * budget
        counts = spent_exactly(density, shapes, budget)
        assert counts.sum() == budget and (counts >= 1).all() and (counts <= sizes).all()
        assert np.abs(counts - density * sizes).max() <= max(1, 4 - (density * sizes).min())


def test_equal_shares_where_there_is_room() -> None:
    shapes = [(8, 2), (8, 8), (8, 8), (1, 8)]
    epl = ALLOCATIONS["epl"](shapes, 24) * [16, 64, 64, 8]
    np.testing.assert_allclose(epl, [6, 6, 6, 6])
    full = ALLOCATIONS["epl"](shapes, 100) * [16, 64, 64, 8]
    np.testing.assert_allclose(full, [16, 38, 38, 8])
    epf = ALLOCATIONS["epf"](shapes, 25) * [16, 64, 64, 8]
    np.testing.assert_allclose(epf, [8, 8, 8, 1])


@pytest.mark.parametrize(
    ("method", "counts"),
    [
        # 66 weights in layers of 12, 30, 20 and 4, of which 20 are to stay. Their dimensions
        # add up to 8, 11, 9 and 5, 33 in all, so ERK gives them 20 * 8 / 33 = 4.85, 6.67, 5.45
        # and 3.03; what goes, 7.15, 23.33, 14.55 and 0.97, is truncated.
        ("random_erk", [5, 7, 6, 4]),
        ("rigl", [5, 7, 6, 4]),
        # 20 / 66 of each: 3.64, 9.09, 6.06 and 1.21, so that 8.36, 20.91, 13.94 and 2.79 go.
        ("random_uniform", [4, 10, 7, 2]),
    ],
)
def test_layers_of_random_masks_in_paper_mode(method: str, counts: list[int]) -> None:
    nets, budget = dense(budgets=(20,), restarts=1)
    found = get_pruner(method).prune(nets, budget("paper"))
    for name, count in zip(nets.network.prunable, counts, strict=True):
        assert found.masks[name].sum(axis=(1, 2)).tolist() == [count, count]


def test_random_masks_are_uniform() -> None:
    """Each weight of a layer is kept equally often: chi-squared, 1e-4."""
    nets, budget = dense("5,4", budgets=(12,), restarts=200)
    masks = get_pruner("random_epl").prune(nets, budget()).masks["weight1"]
    n = len(masks)
    assert n == 400 and (masks.sum(axis=(1, 2)) == 4).all()
    assert len(np.unique(masks, axis=0)) > 350
    share = 4 / 20
    # Draws without replacement spread a little less than independent ones.
    spread = ((masks.sum(axis=0) - n * share) ** 2).sum() / (n * share * (1 - share)) * 19 / 20
    assert spread < chi2.isf(1e-4, 19)


# ---- the plain function, names and errors ------------------------------------------------


def test_initial_mask_is_the_sweep_s_method() -> None:
    nets, budget = dense(budgets=(20,), restarts=1)
    given = budget()
    weights, biases = one(nets, 0)
    arrays = ([w.numpy() for w in weights], [b.numpy() for b in biases])
    index = np.stack([given.rows(step)[0] for step in range(8)])
    found = initial_mask("snip", *arrays, TASK.x, TASK.y, index, 20)
    whole = get_pruner("snip").prune(nets, given)
    for got, want in zip(found, masks_of(whole, 0), strict=True):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, want)


def test_initial_mask_of_a_dead_network_is_what_the_method_made_of_it() -> None:
    weights = [np.zeros(s, np.float32) for s in ((4, 2), (4, 4), (1, 4))]
    biases = [np.zeros(s, np.float32) for s in (4, 4, 1)]
    index = np.arange(80).reshape(2, 40)
    for method in AT_INITIALISATION:
        exact = initial_mask(method, weights, biases, TASK.x, TASK.y, index, 5)
        assert sum(int(m.sum()) for m in exact) == 5
        paper = initial_mask(method, weights, biases, TASK.x, TASK.y, index, 5, "paper")
        if method != "prospr":
            assert sum(int(m.sum()) for m in paper) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "snipp"}, "did you mean 'snip'"),
        ({"budget": 2}, "budget 2 is not possible"),
        ({"budget": 10**6}, "these networks have 28 weights"),
        ({"compat": "papre"}, "compat is 'papre'"),
        ({"budget": 9.5}, "budget 9.5 is not a whole number"),
        ({"budget": True}, "budget True is not a whole number"),
        ({"batch_index": np.arange(5)}, "batch_index has shape"),
        ({"batch_index": np.full((2, 3), 0.5)}, "type float64, it must be .* of whole numbers"),
        ({"batch_index": np.array([[0, 400]])}, "batch_index holds 400, rows of x are 0 to 399"),
        ({"batch_index": np.array([[5, -1]])}, "batch_index holds -1"),
        ({"biases": [np.zeros(4, np.float32)]}, "not those of an MLP"),
        ({"weights": [np.ones(4, np.float32)] * 3}, "not those of an MLP"),
        ({"weights": [], "biases": []}, "weights is empty"),
        (
            {"weights": [np.ones((3, 2), np.float32)], "biases": [np.ones(3, np.float32)]},
            "a network of 3 outputs: it must have one",
        ),
        ({"x": np.zeros((400, 3), np.float32)}, r"x has shape \(400, 3\), .* 2 inputs"),
        ({"x": np.zeros(400, np.float32)}, "x has shape"),
        ({"y": TASK.y[:-1]}, r"y has shape \(399,\), for 400 points"),
        ({"y": TASK.y + 1}, "y holds 2, classes are 0 and 1"),
        ({"y": TASK.y - 0.5}, "y holds -?0.5"),
    ],
)
def test_initial_mask_names_what_is_wrong(change: dict[str, Any], said: str) -> None:
    shapes = ((4, 2), (4, 4), (1, 4))
    arguments: dict[str, Any] = {
        "method": "snip", "weights": [np.ones(s, np.float32) for s in shapes],
        "biases": [np.zeros(s[0], np.float32) for s in shapes], "x": TASK.x, "y": TASK.y,
        "batch_index": np.arange(80).reshape(2, 40), "budget": 9,
    }  # fmt: skip
    with pytest.raises(UsageError, match=said):
        initial_mask(**{**arguments, **change})


def test_unknown_methods_and_options() -> None:
    with pytest.raises(UsageError, match="unknown method 'synfow', did you mean 'synflow'"):
        get_pruner("synfow")
    with pytest.raises(UsageError, match="does not take"):
        get_pruner("force", iterations=3)
    with pytest.raises(UsageError, match="cannot import pruner"):
        get_pruner("no_such_module:Thing")
    with pytest.raises(UsageError, match="no method prune"):
        get_pruner("collections:OrderedDict")
    with pytest.raises(UsageError, match=r"cannot be made with .'numerator'.: ValueError: Invalid"):
        get_pruner("fractions:Fraction", numerator="x")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def __init__(self, rate): ...", "TypeError: .* missing 1 required positional argument"),
        ("def __init__(self): self.x = {}['no']", "KeyError: 'no'$"),
        ("def __init__(self): raise SystemExit(3)", "SystemExit: 3$"),
        ("def __init__(self): raise SystemExit", "SystemExit$"),
        ("def __init__(self): raise OSError('two\\n lines')", "OSError: two lines$"),
    ],
)
def test_a_pruner_that_cannot_be_made_is_named(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unmade.py").write_text(f"class Mine:\n    {body}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "unmade", raising=False)
    match = f"^pruner 'unmade:Mine' cannot be made without arguments: {said}"
    with pytest.raises(UsageError, match=match):
        get_pruner("unmade:Mine")


def test_new_initial_weights_are_xavier_normal() -> None:
    nets, budget = dense("40,30,20", restarts=8)
    given = budget("paper", reinitialise=True)
    fresh = reinitialised(nets, given)
    assert_same(reinitialised(nets, budget("paper")), nets)
    for layer, (rows, cols) in enumerate([(40, 2), (30, 40), (20, 30), (1, 20)]):
        one_each = np.unique(fresh.params[f"weight{layer}"].reshape(len(nets), -1), axis=0)
        assert len(one_each) == 16  # budgets share their initial networks
        assert abs(one_each.std() / np.sqrt(2 / (rows + cols)) - 1) < 0.2
    np.testing.assert_array_equal(fresh.params["bias0"], nets.params["bias0"])
    assert weights_of(fresh) == 80 + 1200 + 600 + 20
