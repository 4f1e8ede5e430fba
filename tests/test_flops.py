"""combsearch.flops: the paper's table 1 comes out of the rule, and of the biases it says."""

from __future__ import annotations

import pytest

from combsearch.baselines import METHODS
from combsearch.config import Recipe
from combsearch.flops import BY_ROUNDS, expected_flops, samples
from combsearch.mask import NetShape

SHAPE = NetShape.parse("16,16,16")
POINTS = 49_982


def at(method: str, biases: int, kept: int = 55) -> float:
    return expected_flops(method, SHAPE, kept, biases, Recipe(), POINTS)


@pytest.mark.parametrize(
    ("method", "published", "biases"),
    [
        ("dense", "1.5e+09", range(1, 49)),
        ("snip", "1.9e+08", range(20, 24)),
        ("grasp", "2.0e+08", range(24, 28)),
        ("lth", "3.4e+09", range(15, 26)),
        ("gmp", "5.3e+08", range(20, 25)),
        ("rigl", "2.1e+08", range(28, 32)),
    ],
)
def test_the_papers_table(method: str, published: str, biases: range) -> None:
    found = [b for b in range(15, 40) if f"{at(method, b):.1e}" == published]
    assert found == [b for b in range(15, 40) if b in biases]


def test_formulas() -> None:
    assert samples(Recipe(), POINTS) == 2_496_000
    assert at("dense", 21) == 609 * 2_496_000
    assert at("snip", 21) == at("user.module:Own", 21) == 76 * 2_496_000
    assert at("rigl", 28) == 83 * 2_496_000
    assert 1_201 < at("lth", 21) / 2_496_000 - (49 + 21) - 3 * 21 < 1_201 + 3 * 28
    by_hand, left = 0.0, 19_500
    for pruning in range(200):  # 97 steps each, the last nonzeros to the end
        steps = 97 if pruning < 199 else left
        to_go = 1 - pruning / 199
        weights = 55 + 505 * to_go**3
        by_hand += 128 * steps * (weights + 49 * (weights / 560) ** 0.36514)
        left -= steps
    assert at("gmp", 21) == pytest.approx(by_hand, rel=1e-5)
    # Nothing pruned: every method is the dense training, LTH five of them.
    for method, runs in (("snip", 1), ("gmp", 1), ("rigl", 1), ("lth", 5)):
        assert at(method, 49, kept=560) == pytest.approx(runs * at("dense", 49), rel=1e-12)
    assert at("gmp", 0) < at("gmp", 1)


def test_methods_without_a_formula_are_those_of_the_table() -> None:
    here = ("baselines.sap:", "baselines.lt:", "baselines.one_shot:")
    found = {name for name, where in METHODS.items() if any(part in where for part in here)}
    assert found == set(BY_ROUNDS)
