"""What a sweep's configuration stands for, and the plan that is made of it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest

from combsearch.baselines import METHODS
from combsearch.commands.provenance import repeat_command
from combsearch.commands.settings import command_settings
from combsearch.errors import UsageError
from combsearch.fields import from_json
from combsearch.prune_config import NINE, RANDOM, PruneConfig
from combsearch.pruning import COMPATS
from combsearch.sweep import plan as planning
from combsearch.sweep.course import SweepCourse
from combsearch.sweep.plan import PrunePlan


def test_the_paper_grid_is_its_18954_runs() -> None:
    plan = PrunePlan.of(PruneConfig())
    assert plan.ranks * plan.runs_per_rank == 18_954
    assert len(plan.groups) == 9 * 11 and plan.runs_per_rank == 9
    budgets = {group.width: len(group.budgets) for group in plan.groups}
    assert budgets == {3: 12, 4: 16, 5: 22} | dict.fromkeys((6, 7, 8, 16, 32, 64, 128, 256), 23)
    for group in plan.groups:
        assert group.budgets[-1] < group.shape.weights
    assert [group.method for group in plan.groups][::11] == list(NINE)


def test_methods_are_those_of_the_table() -> None:
    assert set(NINE) | set(RANDOM) <= set(METHODS)
    assert PruneConfig(methods=("all", "random")).methods == (*NINE, *RANDOM)
    assert set(COMPATS) == {"exact", "paper"}


@pytest.mark.parametrize(
    ("given", "methods"),
    [
        ({}, NINE),
        ({"methods": ("all",)}, NINE),
        ({"methods": ("snip", "gmp", "snip")}, ("gmp", "snip")),
        ({"methods": ("my:B", "rigl", "my:A")}, ("rigl", "my:B", "my:A")),
        ({"pruner": "my:P"}, ("my:P",)),
        ({"pruner": "my:P", "methods": ("all",)}, (*NINE, "my:P")),
        ({"pruner": "my:P", "methods": ("snip", "my:P")}, ("snip", "my:P")),
    ],
)
def test_methods_in_one_order(given: dict[str, Any], methods: tuple[str, ...]) -> None:
    config = PruneConfig(**given)
    assert config.methods == methods and config.pruner == ""
    assert from_json(PruneConfig, config.to_json()) == config


def test_settings_are_one_run_however_they_are_written() -> None:
    one = PruneConfig(
        widths=(16, 3, 16), budgets=("30", "paper", "20"), cells=("0.10:step", "0.05:cosine")
    )
    two = PruneConfig(
        widths=(3, 16), budgets=("paper", "20", "030"), cells=("0.05:cosine", "0.1:step")
    )
    assert one == two and one.digest() == two.digest()
    numbers: Any = (20, 30)  # as a TOML file has them
    assert PruneConfig(budgets=numbers).budgets == ("20", "30")
    flags = {"widths": "3,16", "budgets": "20,30", "methods": "snip", "pruner": "my:P"}
    config = command_settings("prune", PruneConfig, flags).config
    assert config.widths == (3, 16) and config.methods == ("snip", "my:P")
    again = repeat_command("prune", config)
    assert again == "combsearch prune --methods snip,my:P --widths 3,16 --budgets 20,30"


def test_budgets_of_a_width() -> None:
    config = PruneConfig(budgets=("27", "20", "paper"))
    assert config.budgets_of(27) == tuple(range(15, 28))  # the paper's are below, a named one may
    assert config.budgets_of(560)[-1] == 65 and 27 in config.budgets_of(560)
    assert PruneConfig(budgets=("20", "90")).budgets_of(27) == (20,)
    assert PruneConfig(depth=30).budgets_of(10_000)[0] == 33  # fewer keep no path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widths": (0,)}, "widths holds 0"),
        ({"widths": ()}, "no widths"),
        ({"budgets": ("paer",)}, "budget 'paer' is not a whole number of weights, nor the word"),
        ({"budgets": ("-3",)}, "budget '-3' is not"),
        ({"budgets": ("9" * 5000,)}, "is not a whole number"),
        ({"budgets": ("3",)}, "budget 3 keeps no path from input to output: 3 hidden layers need"),
        ({"budgets": ()}, "no budgets"),
        ({"methods": ()}, "no methods"),
        ({"compat": "fast"}, "compat is 'fast', it must be one of exact, paper"),
        ({"cells": ("0.1",)}, "is not RATE:SCHEDULE"),
        ({"restarts": 0}, "restarts is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"widths": (3.0,)}, "widths is (3.0,), it must be a list"),
        ({"budgets": (True,)}, "budgets is (True,), it must be a list"),
    ],
)
def test_bad_settings_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as found:
        PruneConfig(**given)
    assert message in str(found.value)


def small(**changes: Any) -> PrunePlan:
    given: dict[str, Any] = {"task": "xor", "widths": (3, 16), "epochs": 2}
    return PrunePlan.of(PruneConfig(**given | changes))


@pytest.mark.parametrize("seconds", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("restarts", [1, 40])
def test_shards_are_all_ranks_once_in_whole_chunks_of_one_group(
    seconds: float, restarts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SHARD_SECONDS", seconds)
    plan = small(restarts=restarts, widths=(3, 16, 64))
    assert [shard.first for shard in plan.shards] == [0, *(s.last for s in plan.shards[:-1])]
    assert plan.shards[-1].last == plan.ranks
    pieces = [ranks for group in plan.groups for ranks in plan.chunks(group)]
    assert [ranks for shard in plan.shards for ranks in plan.shard_chunks(shard)] == pieces
    for shard in plan.shards:
        assert plan.group_of(shard.first) == plan.group_of(shard.last - 1)
    if seconds == 1e9:
        assert len(plan.shards) == len(plan.groups)
    if seconds == 1e-9:
        assert len(plan.shards) == len(pieces) > len(plan.groups)


@pytest.mark.parametrize(("restarts", "floats"), [(1, 2**24), (40, 700 * 90), (40, 700 * 20)])
def test_parts_are_all_runs_of_a_rank_once(
    restarts: int, floats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small(restarts=restarts)
    monkeypatch.setattr(planning, "_MOST_FLOATS", floats)
    group = plan.groups[-1]
    parts = plan.parts(group)
    runs = [i for part in parts for i in range(part.start, part.stop)]
    assert runs == list(range(plan.runs_per_rank))
    size = max(part.stop - part.start for part in parts)
    assert size * group.shape.parameters <= floats
    cells = {(p.start // restarts, (p.stop - 1) // restarts) for p in parts}
    assert len(parts) == 1 or size % restarts == 0 or all(a == b for a, b in cells)


def test_cheap_shards_come_first_and_all_count() -> None:
    plan = small(widths=(3, 256), methods=("gmp", "snip"))
    course = SweepCourse(plan, plan.shards[:1])
    todo = list(course.todo())
    assert sorted([*todo, plan.shards[0]]) == plan.shards
    seconds = [plan.shard_seconds(shard) for shard in todo]
    assert seconds == sorted(seconds) and course.end == plan.ranks
    widths = [(plan.group_of(s.first).method, plan.group_of(s.first).width) for s in todo]
    assert widths[-1] == ("gmp", 256)
    for shard in todo:
        assert not course.complete()
        course.note(shard, 1)
    assert course.complete() and course.whole_work()[1] == 0


def test_the_same_network_is_pruned_by_every_method() -> None:
    plan = small(restarts=2, methods=("snip", "gmp"))
    nets = {(g.method, g.width): plan.dense_nets(g)[0] for g in plan.groups}
    for width in (3, 16):
        one, two = nets["snip", width].params, nets["gmp", width].params
        assert all((one[name] == two[name]).all() for name in one)
        first = one["weight1"]
        assert all((a != b).any() for a, b in itertools.combinations(first, 2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budgets": ("700",)}, "budget 700 is above the 560 weights of width 16, the largest"),
        ({"budgets": ("30",)}, "width 3 has 27 weights: none of the budgets (30) is possible"),
        ({"widths": (2,)}, "width 2 has 14 weights: none of the budgets (paper) is possible"),
        ({"methods": ("snp",)}, "unknown method 'snp', did you mean 'snip'?"),
        ({"methods": ("nosuch:P",)}, "cannot import pruner 'nosuch:P': ModuleNotFoundError"),
        ({"methods": ("math:sqroot",)}, "has no 'sqroot', did you mean 'sqrt'?"),
        ({"methods": ("math:pi",)}, "pruner 'math:pi' is 3.14"),
        ({"methods": ("fractions:Fraction",)}, "has no method prune(nets, budget)"),
        ({"task": "xr"}, "unknown task 'xr'"),
        ({"init": "no.npz"}, "no.npz"),
        ({"trainer": "fsed"}, "unknown trainer 'fsed', did you mean 'fused'?"),
        ({"batch_size": 10**6}, "batch_size is 1000000, more than the"),
        ({"restarts": 10**6}, "with 9 cells it must be at most"),
        ({"widths": (10**5,)}, "width 100000 makes networks of 20,000,600,001 parameters"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as found:
        small(**given)
    assert message in str(found.value)


def test_the_configuration_needs_the_standard_library_only() -> None:
    code = "import sys, combsearch.prune_config; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
