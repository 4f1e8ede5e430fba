"""combsearch.config: schedules, cells, checks, JSON and digests."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from typing import Any

import pytest

from combsearch.config import CELLS, Recipe, Schedule, SearchConfig, changed
from combsearch.errors import UsageError


def test_constant_rates() -> None:
    assert Schedule("constant").rates(0.05, 4) == (0.05,) * 4


def test_cosine_goes_from_the_rate_to_almost_zero() -> None:
    rates = Schedule("cosine").rates(0.1, 50)
    assert rates[0] == 0.1
    assert rates[25] == pytest.approx(0.05)
    assert rates[49] == pytest.approx(0.1 * (1 + math.cos(math.pi * 49 / 50)) / 2)
    assert list(rates) == sorted(rates, reverse=True)


def test_step_divides_after_its_milestones() -> None:
    rates = Schedule("step").rates(0.1, 50)
    assert rates == pytest.approx([0.1] * 15 + [0.01] * 15 + [0.001] * 20)
    own = Schedule("step", milestones=(1, 1, 3), factor=0.5).rates(1.0, 4)
    assert own == (1.0, 0.25, 0.25, 0.125)


@pytest.mark.parametrize("name", ["constant", "cosine", "step"])
def test_rates_equal_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.MultiStepLR(optimiser, []),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50),
        "step": lambda: torch.optim.lr_scheduler.MultiStepLR(optimiser, [15, 30]),
    }[name]()
    found = []
    for _ in range(50):
        found.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    assert Recipe(schedule=Schedule(name)).rates() == pytest.approx(found, rel=1e-9)


def test_recipe_of_the_paper() -> None:
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.momentum) == (50, 128, 0.9)
    assert recipe.steps_per_epoch(49_982) == 390
    assert recipe.total_steps(49_982) == 19_500
    assert len(recipe.rates()) == 50


def test_cells() -> None:
    assert Recipe().cell == "0.05:cosine"
    assert Recipe(lr=100).cell == "100:cosine"
    exact = Recipe(lr=0.123456789)
    assert exact.cell == "0.123456789:cosine"
    for cell in (*CELLS, exact.cell, "1e-05:step"):
        assert Recipe().with_cell(cell).cell == cell


def test_with_cell_changes_rate_and_schedule_only() -> None:
    base = Recipe(epochs=7, momentum=0.5, schedule=Schedule("cosine", (2,), 0.3))
    assert base.with_cell("0.1:step") == dataclasses.replace(
        base, lr=0.1, schedule=Schedule("step", (2,), 0.3)
    )


@pytest.mark.parametrize("cell", ["", "0.1", "cosine", "x:cosine", ":step"])
def test_with_cell_refuses_other_text(cell: str) -> None:
    with pytest.raises(UsageError, match=r"is not RATE:SCHEDULE, such as '0.05:cosine'"):
        Recipe().with_cell(cell)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule("cosin"), r"unknown schedule 'cosin', did you mean 'cosine'\? \(known:"),
        (lambda: Schedule(milestones=(-1,)), "milestones"),
        (lambda: Schedule(factor=0.0), r"factor is 0.0, it must be in \(0, 1\]"),
        (lambda: Schedule(factor=math.nan), "factor is nan"),
        (lambda: Recipe(epochs=0), "epochs is 0, it must be a whole number from 1 up"),
        (lambda: Recipe(batch_size=-5), "batch_size is -5"),
        (lambda: Recipe(lr=0.0), "lr is 0.0, it must be positive and finite"),
        (lambda: Recipe(lr=math.inf), "lr is inf"),
        (lambda: Recipe(lr=math.nan), "lr is nan"),
        (lambda: Recipe(momentum=1.0), r"momentum is 1.0, it must be in \[0, 1\)"),
        (lambda: Recipe(weight_decay=-1e-9), "weight_decay is -1e-09"),
        (lambda: Recipe(clip=-1.0), "clip is -1.0, it must be a norm, or 0"),
        (lambda: Recipe(clip=math.inf), "clip is inf"),
        (lambda: Recipe(clip=math.nan), "clip is nan"),
        (lambda: Recipe(optimizer="adm"), r"'adm', did you mean 'adam'\? \(known: sgd, adam\)"),
        (lambda: Recipe(optimizer="adam", nesterov=True), "nesterov needs optimizer 'sgd' and"),
        (lambda: Recipe(momentum=0.0, nesterov=True), "a momentum above 0, not 'sgd' and 0.0"),
        (lambda: Recipe().with_cell("0.1:stepp"), "did you mean 'step'"),
        (lambda: SearchConfig(width=0), "search: width is 0"),
        (lambda: SearchConfig(target=1.5), r"target is 1.5, it must be in \(0, 1\]"),
        (lambda: SearchConfig(seed=-1), "seed is -1"),
        (lambda: SearchConfig(seed=2**64), r"it must be in 0..2\^64-1"),
        (lambda: SearchConfig(cells=()), "no cells"),
        (lambda: SearchConfig(cells=("0.1:step", "0.1:step")), "named twice"),
        (lambda: SearchConfig(cells=("0.1",)), "is not RATE:SCHEDULE"),
        (lambda: SearchConfig(momentum=2.0), "momentum is 2.0"),
    ],
)
def test_bad_values_are_named(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 1.0},
        {"epochs": True},
        {"lr": "0.1"},
        {"lr": None},
        {"schedule": "cosine"},
        {"schedule": {"milestones": [1.5]}},
        {"schedule": {"milestones": 15}},
    ],
)
def test_values_of_another_type_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="it must be"):
        Recipe.from_json(values)


@pytest.mark.parametrize(
    "config",
    [
        Schedule("step", (3, 9), 0.5),
        Recipe(lr=0.2, schedule=Schedule("constant")),
        Recipe(nesterov=True, clip=1.0),
        Recipe(optimizer="adam"),
        SearchConfig(width=8, cells=("0.1:step",), full=True, seed=2**64 - 1),
    ],
)
def test_json_and_back(config: Any) -> None:
    text = json.dumps(config.to_json())
    assert type(config).from_json(json.loads(text)) == config
    assert set(json.loads(text)) == {f.name for f in dataclasses.fields(config)}


def test_unknown_field_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"SearchConfig field 'restart', did you mean 'restarts'"):
        SearchConfig.from_json({"restart": 3})
    with pytest.raises(UsageError, match=r"unknown Schedule field 'nam'"):
        Recipe.from_json({"schedule": {"nam": "step"}})


def test_digests_stay_the_same_for_ever() -> None:
    assert Recipe().digest() == SearchConfig().digest() == "44136fa355b3678a"  # of {}
    assert Recipe(lr=0.1).digest() == "9c9ba942d8bb6213"
    assert Recipe(schedule=Schedule("step")).digest() == "b255882fa3f97961"
    assert Recipe(nesterov=False, clip=0.0, optimizer="sgd").digest() == Recipe().digest()
    rules = (Recipe(nesterov=True), Recipe(clip=1.0), Recipe(optimizer="adam"))
    assert len({recipe.digest() for recipe in (Recipe(), *rules)}) == 4
    assert SearchConfig(width=8, cells=("0.1:step",)).digest() == "58f8b5a5c8b29020"


def test_digest_leaves_defaults_out() -> None:
    @dataclasses.dataclass(frozen=True)
    class Later(Recipe):
        """Recipe with a field that was added later."""

        dampening: float = 0.0

    assert Later(lr=0.1).digest() == Recipe(lr=0.1).digest()
    assert Later(lr=0.1, dampening=0.5).digest() != Recipe(lr=0.1).digest()


def test_changed_names_nested_fields() -> None:
    assert changed(Recipe()) == {}
    recipe = Recipe(lr=0.1, schedule=Schedule("step", milestones=(3,)))
    assert changed(recipe) == {"lr": 0.1, "schedule": {"name": "step", "milestones": [3]}}


def test_digest_of_equal_configs_is_equal() -> None:
    assert Recipe(lr=1).digest() == Recipe(lr=1.0).digest()
    assert Recipe(lr=0.1).digest() != Recipe(lr=0.1, epochs=49).digest()
    assert len(SearchConfig(seed=5).digest()) == 16


def test_search_config_has_a_recipe_a_cell() -> None:
    config = SearchConfig(epochs=5, batch_size=64, momentum=0.8, weight_decay=0.0)
    recipes = config.recipes()
    assert tuple(recipe.cell for recipe in recipes) == CELLS == config.cells
    for recipe in recipes:
        assert (recipe.epochs, recipe.batch_size) == (5, 64)
        assert (recipe.momentum, recipe.weight_decay) == (0.8, 0.0)


def test_every_option_has_a_help_text() -> None:
    assert all(field.metadata["help"] for field in dataclasses.fields(SearchConfig))


def test_config_needs_the_standard_library_only() -> None:
    code = (
        "import sys, combsearch.config;"
        "print([m for m in ('numpy', 'torch', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
