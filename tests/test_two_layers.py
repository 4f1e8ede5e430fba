"""Two layers apart (theorem L.1): every pair of small masks, the spec's numbers, and the bounds."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from combsearch import plots
from combsearch.disconnection.two_layers import (
    apart_bound,
    apart_probability,
    printed_bound,
    simulate_apart,
)
from combsearch.errors import UsageError
from combsearch.frontier import success_interval
from combsearch.studies.random_masks import EACH, apart_curves


def every_pair(width: int, into: int, out: int, inputs: int, outputs: int) -> Fraction:
    """Share of all pairs of masks in which no neuron has weights on both sides."""
    before = [(end, k) for end in range(width) for k in range(inputs)]
    behind = [(start, k) for start in range(width) for k in range(outputs)]
    pairs = list(
        itertools.product(itertools.combinations(before, into), itertools.combinations(behind, out))
    )
    apart = sum(not {end for end, _ in a} & {start for start, _ in b} for a, b in pairs)
    return Fraction(apart, len(pairs))


@pytest.mark.parametrize(
    "case",
    [(3, 2, 2, 2, 1), (4, 2, 1, 1, 2), (3, 3, 2, 2, 2), (4, 3, 1, 1, 1), (2, 3, 1, 2, 2),
     (1, 1, 1, 1, 1), (5, 1, 1, 5, 5)],
    ids=str,
)  # fmt: skip
def test_the_chance_is_that_of_all_pairs_of_masks(case: tuple[int, int, int, int, int]) -> None:
    assert apart_probability(*case) == every_pair(*case)


def test_the_printed_bound_is_none_and_the_other_is() -> None:
    assert apart_probability(5, 1, 1) == Fraction(4, 5)
    assert (apart_bound(5, 1, 1), printed_bound(5, 1, 1)) == (0.8, 1.0)
    for width, into, out in itertools.product(range(1, 9), repeat=3):
        bound = apart_bound(width, into, out)
        for side in (1, 2, width):
            if max(into, out) <= width * side:
                exact = float(apart_probability(width, into, out, side, side))
                assert 0 <= bound <= exact + 1e-12


def test_simulation_agrees() -> None:
    case, samples = (6, 3, 2, 2, 4), 3000
    apart = simulate_apart(*case, samples, seed=0)
    low, high = success_interval(apart, samples)
    assert low <= apart_probability(*case) <= high
    assert apart == simulate_apart(*case, samples, seed=0)


@pytest.mark.parametrize("case", [(3, 0, 1), (3, 1, 0), (3, 4, 1), (3, 1, 4)], ids=str)
def test_layers_that_cannot_keep_so_many(case: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="a layer of 3 weights keeps 1 to 3"):
        apart_probability(*case)
    with pytest.raises(UsageError, match="a layer of 3 weights keeps 1 to 3"):
        simulate_apart(*case, 1, 1, 9, seed=0)


def test_the_figure_marks_where_the_printed_bound_is_none() -> None:
    curves = apart_curves((2, 5))
    assert [curve["each"] for curve in curves] == list(EACH)
    assert [curve["width"] for curve in curves] == [[2, 5], [2, 5], [2, 5], [5], [5]]
    figure = plots.two_layers(curves)
    for axes, key in zip(figure.axes, ("bound", "printed"), strict=True):
        lines = {name: [line for line in axes.lines if line.get_gid() == name]
                 for name in ("exact", "bound", "no bound")}  # fmt: skip
        for line, bound, cross, curve in zip(*lines.values(), curves, strict=True):
            assert list(line.get_ydata()) == curve["exact"]
            assert list(bound.get_ydata()) == curve[key]
            wrong = [w for w, e, b in zip(curve["width"], curve["exact"], curve[key], strict=True)
                     if b > e]  # fmt: skip
            assert list(cross.get_xdata()) == wrong
            assert key == "printed" or wrong == []
    with pytest.raises(UsageError, match="no curves to draw"):
        plots.two_layers([])
