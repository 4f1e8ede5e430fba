"""Names of methods of the study of DCT plus sparse, and what a configuration makes of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from combsearch import fields
from combsearch.baselines.force import Force
from combsearch.baselines.iter_snip import IterSnip
from combsearch.baselines.random_mask import RandomMask
from combsearch.baselines.rigl import RigL
from combsearch.baselines.snip import Snip
from combsearch.baselines.synflow import SynFlow
from combsearch.errors import UsageError
from combsearch.studies.dctps.config import DctpsConfig, Setting, all_rows, settings_of
from combsearch.studies.dctps.methods import Method, all_names, parse_method
from combsearch.studies.dctps.plan import pruner_of


@pytest.mark.parametrize(
    ("text", "name", "method"),
    [
        ("dctps", "dctps+epl", Method("epl", True, True)),
        ("dctps-fixed", "dctps_fixed+epl", Method("epl", True, False)),
        ("dctps_fixed+rigl", "dctps_fixed+rigl", Method("rigl", True, False)),
        ("dctps+erk", "dctps+erk", Method("erk", True, True)),
        ("iter-snip", "iter_snip", Method("iter_snip")),
        (" force ", "force", Method("force")),
        ("dense", "dense", Method("dense")),
    ],
)
def test_names(text: str, name: str, method: Method) -> None:
    found = parse_method(text)
    assert found == method and found.text == name and parse_method(found.text) == found


def test_all_names_are_methods_and_no_others_are() -> None:
    found = {parse_method(name).text for name in all_names()}
    assert len(found) == len(all_names()) - 2  # dctps and dctps_fixed are short for others
    tried = [f"{prefix}{support}" for prefix in ("", "dctps+", "dctps_fixed+", "epl+")
             for support in ("epl", "epf", "erk", "uniform", "snip", "iter_snip", "force",
                             "synflow", "rigl", "dense", "dctps", "")]  # fmt: skip
    for name in tried:
        try:
            parse_method(name)
        except UsageError:
            assert name not in all_names()
        else:
            assert name in all_names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eplx", "'eplx' is no method, did you mean 'epl'? (known: epl, epf"),
        ("dctp+epl", "'dctp+epl' is no method, did you mean 'dctps+epl'?"),
        ("dctps+", "'dctps+' is no method"),
        ("+epl", "'+epl' is no method"),
        ("epl+rigl", "'epl+rigl' is no method"),
        ("dctps+epl+rigl", "is no method"),
        ("", "'' is no method"),
        ("dctps+force", "'dctps+force' cannot be: force scores initial weights"),
        ("dctps_fixed+synflow", "start at 0, so that all scores are 0; take epl"),
        ("dctps+dense", "'dctps+dense' cannot be: a network of all weights"),
    ],
)
def test_refused_names(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_method(text)


def test_who_needs_a_weight_a_layer() -> None:
    found = {name: parse_method(name).allocation for name in all_names()}
    assert found["rigl"] == "erk" and found["dctps+rigl"] == "epl" == found["dctps"]
    assert found["dctps+uniform"] == "uniform" and found["epf"] == "epf"
    for name in ("snip", "iter_snip", "force", "synflow", "dense"):
        assert found[name] is None


def test_pruners_of_methods() -> None:
    config = DctpsConfig(rigl_interval=7, rigl_fraction=0.2, rigl_end=0.5, synflow_steps=9)

    def made(name: str, config: DctpsConfig = config, classes: int = 10) -> Any:
        return pruner_of(config, parse_method(name), classes)

    assert made("dense") is None
    assert made("dctps+erk") == RandomMask("erk") and made("uniform") == RandomMask("uniform")
    assert made("rigl") == RigL(7, 0.2, 0.5, "erk")
    assert made("dctps+rigl") == RigL(7, 0.2, 0.5, "epl")
    assert made("synflow") == SynFlow(9) and made("snip") == Snip()
    assert [made("force", classes=n).batches for n in (2, 10, 100, 200)] == [1, 1, 10, 20]
    more = DctpsConfig(force_batches=3, force_steps=5, iter_snip_steps=6, rounding="authors")
    assert made("force", more, 200) == Force(5, 3) and made("iter-snip", more) == IterSnip(6, 3)
    assert made("epl", more) == RandomMask("epl", "authors")
    assert made("rigl", more).rounding == "authors"


def test_settings_are_methods_by_densities() -> None:
    config = DctpsConfig(methods=("dctps", "dense", "rigl", "dctps+epl"), densities=(5, 1, 5.0))
    assert config.methods == ("dctps+epl", "dense", "rigl") and config.densities == (5.0, 1.0)
    assert [one.text for one in settings_of(config)] == [
        "dctps+epl at 5%", "dctps+epl at 1%", "dense at 100%", "rigl at 5%", "rigl at 1%",
    ]  # fmt: skip
    assert all_rows(config) == 25
    assert config == DctpsConfig(methods=("dctps+epl", "dense", "rigl"), densities=(5.0, 1.0))
    assert fields.from_json(DctpsConfig, config.to_json()) == config
    assert DctpsConfig(methods=("dctps",)).digest() == DctpsConfig(methods=("dctps+epl",)).digest()
    assert DctpsConfig().digest() == DctpsConfig(methods=DctpsConfig().methods).digest()


def test_budgets_are_whole_and_at_least_one() -> None:
    setting = Setting(parse_method("force"), 0.1)
    assert [setting.budget(n) for n in (1, 10, 1499, 1501, 266_200)] == [1, 1, 1, 2, 266]
    assert Setting(parse_method("dense"), 100.0).budget(266_200) == 266_200


def test_recipes_are_the_papers_unless_told() -> None:
    plain, offset = parse_method("epl"), parse_method("dctps_fixed")
    adam, sgd = DctpsConfig(), DctpsConfig(optimizer="sgd")
    for method in (plain, offset):
        found = adam.recipe(method)
        assert (found.cell, found.optimizer, found.momentum) == ("0.001:constant", "adam", 0.9)
        assert (found.epochs, found.batch_size, found.weight_decay) == (200, 128, 5e-4)
    assert [sgd.recipe(method).cell for method in (plain, offset)] == ["0.1:step", "0.03:step"]
    rates = sgd.recipe(offset).rates()
    assert rates[119] == 0.03 and rates[120] == pytest.approx(0.003)
    assert rates[160] == rates[199] == pytest.approx(0.0003)
    other = DctpsConfig(optimizer="sgd", lr=0.5, schedule="cosine")
    assert {other.recipe(method).cell for method in (plain, offset)} == {"0.5:cosine"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"densities": (5.0, 0.0)}, "densities holds 0, each is in percent: above 0 and at most"),
        ({"densities": (100.5,)}, "densities holds 100.5, each is in percent"),
        ({"densities": (float("nan"),)}, "densities holds nan, each is in percent"),
        ({"densities": ()}, "no densities; name some in percent"),
        ({"methods": ()}, "no methods; name some"),
        ({"methods": ("epl", "dctps+snip")}, "dctps: 'dctps+snip' cannot be"),
        ({"optimizer": "adm"}, "optimizer is 'adm', did you mean 'adam'?"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"init": "he"}, "init is 'he'"),
        ({"form": "slow"}, "form is 'slow'"),
        ({"rounding": "none"}, "rounding is 'none'"),
        ({"trainer": "fused"}, "trainer is 'fused', it must be one of auto, indexed, vmap, loop"),
        ({"seeds": 0}, "seeds is 0, it must be a whole number from 1 up"),
        ({"rigl_interval": 0}, "rigl_interval is 0"),
        ({"force_batches": -1}, "force_batches is -1, it must be from 0 up"),
        ({"rigl_end": 1.5}, "rigl_end is 1.5, it must be from 0 to 1"),
        ({"validation": 0.0}, "validation is 0, it must be a share above 0 and below 1"),
        ({"validation": 1.0}, "validation is 1"),
        ({"lr": -0.1}, "lr is -0.1, it must be positive, or 0 for the paper's"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"points": -1}, "points is -1"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"milestones": (-1,)}, "milestones (-1,) must be epochs"),
        ({"factor": 0.0}, "factor is 0.0"),
        ({"epochs": 2.5}, "epochs is 2.5, it must be a whole number"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        DctpsConfig(**changes)
