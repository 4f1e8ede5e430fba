"""combsearch.disconnection: against every mask of small shapes, and against random ones."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import pytest

from combsearch.disconnection import (
    disconnected_curve,
    expected_disconnected,
    simulate,
    whole_bound,
    whole_curve,
    whole_probability,
)
from combsearch.errors import UsageError
from combsearch.frontier import success_interval
from combsearch.mask import NetShape

WIDTHS = ((1, 1, 1), (2, 1, 1), (2, 3, 1), (1, 2, 2), (2, 2, 2, 1), (2, 1, 3, 1), (2, 3, 2, 1),
          (1, 2, 1, 2, 1), (2, 2, 2, 2, 1), (1, 1, 2, 2, 1, 1))  # fmt: skip


def disconnected_weights(widths: Sequence[int], ones: set[tuple[int, int, int]]) -> int:
    """Kept weights (layer, out, in) on no path, by walking every path of neurons."""
    on_path: set[tuple[int, int, int]] = set()
    for path in itertools.product(*map(range, widths)):
        steps = {(layer, path[layer + 1], path[layer]) for layer in range(len(path) - 1)}
        if steps <= ones:
            on_path |= steps
    return len(ones - on_path)


@lru_cache
def every_mask(widths: tuple[int, ...]) -> dict[tuple[int, ...], list[int]]:
    """Disconnected weights of every mask there is, by the weights kept in each layer."""
    places = [
        (layer, out, into)
        for layer, (columns, rows) in enumerate(itertools.pairwise(widths))
        for out in range(rows)
        for into in range(columns)
    ]
    found = defaultdict(list)
    for bits in itertools.product((0, 1), repeat=len(places)):
        ones = {place for place, bit in zip(places, bits, strict=True) if bit}
        layers = [place[0] for place in ones]
        kept = tuple(layers.count(layer) for layer in range(len(widths) - 1))
        found[kept].append(disconnected_weights(widths, ones))
    return found


def share(counts: list[int]) -> Fraction:
    return Fraction(counts.count(0), len(counts))


@pytest.mark.parametrize("widths", WIDTHS)
def test_every_mask_of_a_small_shape(widths: tuple[int, ...]) -> None:
    shape, masks = NetShape(widths), every_mask(widths)
    whole = whole_curve(shape, shape.weights)
    expected = disconnected_curve(shape, shape.weights)
    for total in range(shape.weights + 1):
        counts = [count for kept, some in masks.items() if sum(kept) == total for count in some]
        assert len(counts) == math.comb(shape.weights, total)
        assert whole[total] == whole_probability(shape, total) == share(counts)
        mean = Fraction(sum(counts), len(counts))
        assert expected[total] == expected_disconnected(shape, total) == mean
        assert whole_bound(shape, total) >= whole[total] * (1 - 1e-9)


@pytest.mark.parametrize("widths", WIDTHS)
def test_every_mask_with_budgets_by_layer(widths: tuple[int, ...]) -> None:
    shape = NetShape(widths)
    for kept, counts in every_mask(widths).items():
        assert whole_probability(shape, kept) == share(counts)
        assert expected_disconnected(shape, kept) == Fraction(sum(counts), len(counts))
        assert 1 >= whole_bound(shape, kept) >= share(counts) * (1 - 1e-9)


@pytest.mark.parametrize(
    ("hidden", "kept"),
    [
        ((3, 3, 3), 20),
        ((3, 3, 3), (3, 6, 5, 2)),
        ((16, 16, 16), 60),
        ((16, 16, 16), (28, 90, 90, 13)),
        ((16, 4), 40),
        ((16, 5, 16), (20, 60, 60, 16)),
    ],
)
def test_masks_drawn_at_random(hidden: tuple[int, ...], kept: int | Sequence[int]) -> None:
    shape = NetShape.from_hidden(hidden)
    found = simulate(shape, kept, samples=3000, seed=5)
    low, high = success_interval(found.whole, found.samples, 0.9999)
    exact = whole_probability(shape, kept)
    assert low <= exact <= high
    assert whole_bound(shape, kept) >= exact
    assert abs(found.mean - expected_disconnected(shape, kept)) < 4.5 * found.error
    assert simulate(shape, kept, samples=3000, seed=5) == found
    assert simulate(shape, kept, samples=3000, seed=6) != found


def test_wide_networks_stay_exact() -> None:
    shape = NetShape.from_hidden((256, 256, 256))
    whole, expected = whole_curve(shape, 65), disconnected_curve(shape, 65)
    assert whole[0] == 1 and whole[1] == whole[3] == 0
    # Four weights are whole when they make one path: 2 * 256^3 of all sets of four.
    assert whole[4] == Fraction(2 * 256**3, math.comb(shape.weights, 4))
    assert expected[4] == 4 - 4 * whole[4]
    for kept in range(5, 66):
        assert 0 < whole[kept] < whole[kept - 1]
        assert whole[kept] < whole_bound(shape, kept) < 1e-7
        assert expected[kept - 1] + 0.9 < expected[kept] < kept
    # Its mirror image has the same numbers.
    mirrored = NetShape((1, 256, 256, 256, 2))
    assert whole_curve(mirrored, 20) == whole[:21]
    assert disconnected_curve(mirrored, 20) == expected[:21]


def test_what_does_not_fit_is_refused() -> None:
    shape = NetShape.parse("2,2")
    for kept in (-1, 11, (1, 2), (5, 1, 1), (1, 1, -1)):
        with pytest.raises(UsageError, match=r"cannot keep .* of the 10 weights of shape"):
            whole_probability(shape, kept)
        with pytest.raises(UsageError, match="needs one number, or one for each of its 3 layers"):
            whole_bound(shape, kept)
    with pytest.raises(UsageError, match="1 samples: needs 2 or more"):
        simulate(shape, 3, samples=1, seed=0)
