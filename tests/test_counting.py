"""combsearch.counting: published and specified counts, and brute force on small shapes."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from naive_masks import eligible_matrices, every_mask, images, inputs_used_or_not

from combsearch.counting import (
    eligible_by_nonzeros,
    eligible_masks,
    orbits,
    orbits_by_nonzeros,
    orbits_over_shapes,
    row_sorted_by_nonzeros,
    row_sorted_masks,
    shapes_up_to,
    smallest_nonzeros,
)
from combsearch.mask import MaskBatch, NetShape

SHAPES = {  # row-sorted masks, orbits
    "3,2,2": (416, 273),
    "3,3,3": (25_992, 12_400),
    "4,3,3": (296_400, 88_522),
    "6,3,2": (6_627_504, 492_566),
    "7,3,3": (266_004_066, 8_338_343),
    "5,4,3": (251_035_600, 29_323_926),
}
LEVELS = {  # orbits, from the first weight nonzeros up
    "7,3,3": (
        20,
        "84 1194 7964 32877 98257 228967 436973 701228 963441 1145395 1189886 1088805 884807"
        " 642635 419831 247860 133068 65349 29605 12463 4914 1821 630 206 61 17 4 1",
    ),
    "3,3,3": (12, "2 23 158 582 1369 2193 2571 2289 1610 918 433 172 58 17 4 1"),
}
OVER_SHAPES = {  # nonzeros: orbits over all shapes up to there, shapes where they are known
    20: (560, 35),
    21: (1_004, None),
    25: (11_621, 79),
    26: (22_061, 93),
    30: (308_575, 156),
    35: (10_562_343, None),
    38: (99_564_750, None),
    40: (467_110_072, None),
    45: (26_340_686_860, None),
}
# layer of the paper (inputs, outputs): row-sorted matrices
LAYERS = [(2, 3, 8), (3, 3, 57), (2, 7, 34), (7, 3, 137_257), (2, 6, 26), (6, 3, 19_608)]
LAYERS += [(3, 2, 13), (2, 2, 4)]
SMALL = [  # inputs, hidden widths, outputs
    (2, (4,), 1),
    (1, (3,), 3),
    (3, (2,), 2),
    (2, (3, 2), 1),
    (1, (2, 3), 2),
    (2, (2, 2, 2), 1),
    (1, (3, 2, 2), 1),
    (1, (2, 2, 2, 2), 1),
    (1, (1, 2, 1, 2, 1), 1),
]
WITH_UNUSED = [
    *SMALL,
    (3, (2, 2), 1),
    (4, (2, 2), 1),
    (3, (3, 2), 1),
    (4, (3,), 2),
    (3, (2,) * 3, 1),
]
# orbits of all shapes of three hidden layers with at most 20 nonzeros, by inputs used or not
UNUSED_UP_TO_20 = {2: 822, 3: 3_688, 4: 14_262, 5: 49_647, 6: 158_086}


def levels_of(masks: MaskBatch) -> dict[int, int]:
    return dict(sorted(Counter(masks.nonzeros().tolist()).items()))


def row_sorted(masks: MaskBatch) -> MaskBatch:
    """Those whose rows fall in each hidden layer, read as numbers."""
    falling = np.ones(len(masks), np.bool_)
    for matrix in masks.dense()[:-1]:
        numbers = matrix @ (1 << np.arange(matrix.shape[2]))
        falling &= (np.diff(numbers, axis=1) <= 0).all(axis=1)
    return masks[falling]


@pytest.mark.parametrize(("inputs", "hidden", "outputs"), SMALL)
def test_counts_are_those_of_brute_force(
    inputs: int, hidden: tuple[int, ...], outputs: int
) -> None:
    shape = NetShape.from_hidden(hidden, inputs, outputs)
    masks = every_mask(shape)
    masks = masks[masks.eligible()]
    one_an_orbit = masks[images(masks).min(axis=0) == masks.words[:, 0]]
    for found, by_nonzeros, total in (
        (masks, eligible_by_nonzeros, eligible_masks),
        (row_sorted(masks), row_sorted_by_nonzeros, row_sorted_masks),
        (one_an_orbit, orbits_by_nonzeros, orbits),
    ):
        assert by_nonzeros(shape) == levels_of(found)
        assert list(by_nonzeros(shape)) == sorted(by_nonzeros(shape))
        assert total(shape) == len(found)
    assert smallest_nonzeros(shape) == masks.nonzeros().min()


@pytest.mark.parametrize(("inputs", "hidden", "outputs"), WITH_UNUSED)
def test_counts_with_unused_inputs_are_those_of_brute_force(
    inputs: int, hidden: tuple[int, ...], outputs: int
) -> None:
    shape = NetShape.from_hidden(hidden, inputs, outputs)
    masks = inputs_used_or_not(every_mask(shape))
    assert masks.eligible(unused_inputs=True).all()
    assert masks.eligible().sum() == eligible_masks(shape)
    one_an_orbit = masks[images(masks).min(axis=0) == masks.words[:, 0]]
    for found, by_nonzeros, total in (
        (masks, eligible_by_nonzeros, eligible_masks),
        (row_sorted(masks), row_sorted_by_nonzeros, row_sorted_masks),
        (one_an_orbit, orbits_by_nonzeros, orbits),
    ):
        levels = levels_of(found)
        assert by_nonzeros(shape, unused_inputs=True) == levels
        assert total(shape, unused_inputs=True) == len(found)
        for most in (min(levels) - 1, min(levels), min(levels) + 2):
            cut = {nz: n for nz, n in levels.items() if nz <= most}
            assert by_nonzeros(shape, most, unused_inputs=True) == cut
    assert smallest_nonzeros(shape, unused_inputs=True) == masks.nonzeros().min()


@pytest.mark.parametrize(
    ("inputs", "hidden"), [(3, (7, 3, 3)), (4, (3, 4)), (6, (5,)), (16, (2, 2))]
)
def test_unused_inputs_are_a_sum_over_the_choices_of_inputs(
    inputs: int, hidden: tuple[int, ...]
) -> None:
    shape = NetShape.from_hidden(hidden, inputs)
    for by_nonzeros, total in (
        (eligible_by_nonzeros, eligible_masks),
        (row_sorted_by_nonzeros, row_sorted_masks),
        (orbits_by_nonzeros, orbits),
    ):
        levels: Counter[int] = Counter()
        for used in range(1, inputs + 1):
            for nonzeros, masks in by_nonzeros(NetShape.from_hidden(hidden, used)).items():
                levels[nonzeros] += math.comb(inputs, used) * masks
        assert by_nonzeros(shape, unused_inputs=True) == dict(sorted(levels.items()))
        assert total(shape, unused_inputs=True) == levels.total()


@pytest.mark.parametrize("inputs", UNUSED_UP_TO_20)
def test_unused_inputs_over_all_shapes(inputs: int) -> None:
    counted = orbits_over_shapes(20, inputs=inputs, unused_inputs=True)
    assert sum(sum(levels.values()) for levels in counted.values()) == UNUSED_UP_TO_20[inputs]
    # what may use one input alone exists whatever the others are
    one = [NetShape.from_hidden(s.hidden, inputs) for s in shapes_up_to(20, inputs=1)]
    assert list(counted) == one == shapes_up_to(20, inputs=inputs, unused_inputs=True)
    for shape in one[::7]:
        assert counted[shape] == orbits_by_nonzeros(shape, 20, unused_inputs=True)
        assert min(counted[shape]) == smallest_nonzeros(shape, unused_inputs=True)


def test_with_one_input_none_can_be_unused() -> None:
    shape = NetShape.from_hidden((4, 3), 1)
    assert orbits_by_nonzeros(shape, unused_inputs=True) == orbits_by_nonzeros(shape)
    assert orbits_over_shapes(16, 2, 1, unused_inputs=True) == orbits_over_shapes(16, 2, 1)


@pytest.mark.parametrize("text", SHAPES)
def test_counts_of_the_specified_shapes(text: str) -> None:
    shape = NetShape.parse(text)
    assert (row_sorted_masks(shape), orbits(shape)) == SHAPES[text]
    assert sum(row_sorted_by_nonzeros(shape).values()) == row_sorted_masks(shape)
    assert sum(orbits_by_nonzeros(shape).values()) == orbits(shape)
    labelled = math.prod(eligible_matrices(*layer) for layer in shape.layers)
    assert eligible_masks(shape) == sum(eligible_by_nonzeros(shape).values()) == labelled


@pytest.mark.parametrize("text", LEVELS)
def test_orbits_by_weight_nonzeros(text: str) -> None:
    first, counts = LEVELS[text]
    shape = NetShape.parse(text)
    expected = enumerate(map(int, counts.split()), start=first + shape.biases)
    assert orbits_by_nonzeros(shape) == dict(expected)


@pytest.mark.parametrize(("inputs", "outputs", "matrices"), LAYERS)
def test_row_sorted_matrices_of_one_layer(inputs: int, outputs: int, matrices: int) -> None:
    # the one row above a single hidden layer is all ones
    assert row_sorted_masks(NetShape((inputs, outputs, 1))) == matrices


def test_orbits_over_all_shapes() -> None:
    counted = orbits_over_shapes(45)
    for most, (total, shapes) in OVER_SHAPES.items():
        up_to = [sum(n for nz, n in levels.items() if nz <= most) for levels in counted.values()]
        assert sum(up_to) == total
        assert shapes in (None, sum(n > 0 for n in up_to))
    assert {
        str(shape): sum(levels.values()) for shape, levels in orbits_over_shapes(26).items()
    } == {
        str(shape): n
        for shape, levels in counted.items()
        if (n := sum(n for nz, n in levels.items() if nz <= 26))
    }


@pytest.mark.parametrize("depth", [1, 2, 4, 5])
def test_over_shapes_is_shape_by_shape(depth: int) -> None:
    counted = orbits_over_shapes(21, depth, inputs=3, outputs=2, width=4)
    assert counted
    for shape, levels in counted.items():
        assert (shape.inputs, shape.outputs, len(shape.hidden)) == (3, 2, depth)
        whole = orbits_by_nonzeros(shape)
        assert levels == {nz: n for nz, n in whole.items() if nz <= 21}


@pytest.mark.parametrize(
    ("depth", "width", "most"), [(1, 16, 40), (2, 3, 30), (3, 16, 25), (4, 2, 99)]
)
def test_shapes_up_to_are_those_of_a_plain_loop(depth: int, width: int, most: int) -> None:
    grid = itertools.product(range(1, min(width, most) + 1), repeat=depth)
    fitting = {s for s in map(NetShape.from_hidden, grid) if smallest_nonzeros(s) <= most}
    shapes = shapes_up_to(most, depth, width=width)
    assert set(shapes) == fitting and len(shapes) == len(fitting)
    assert shapes == sorted(shapes, key=lambda s: (smallest_nonzeros(s), s.hidden))


def test_the_smallest_mask_of_all_has_nine_nonzeros() -> None:
    assert shapes_up_to(8) == [] and orbits_over_shapes(8) == {}
    assert shapes_up_to(9) == [NetShape.parse("1,1,1")]
    assert orbits_over_shapes(10) == {NetShape.parse("1,1,1"): {9: 1}}


@pytest.mark.parametrize("most", [3, 14, 33, 34, 40, 61, 1000])
def test_a_limit_leaves_out_levels_and_nothing_else(most: int) -> None:
    shape = NetShape.parse("7,3,3")
    for count in (orbits_by_nonzeros, row_sorted_by_nonzeros, eligible_by_nonzeros):
        assert count(shape, most) == {nz: n for nz, n in count(shape).items() if nz <= most}


def test_wide_shapes_are_counted_exactly() -> None:
    shape = NetShape.parse("9,8,7")
    total, permutations = orbits(shape), math.prod(map(math.factorial, shape.hidden))
    assert total == sum(orbits_by_nonzeros(shape).values())
    # an orbit has at most all permutations as members, and most have no fewer
    assert 1 < total * permutations / eligible_masks(shape) < 1.2


def test_dense_ends_of_the_levels() -> None:
    """One dense mask; leave out one weight: one orbit for each kind of weight."""
    for text in ("16,16,16", "5,4", "6"):
        shape = NetShape.parse(text)
        most = shape.dense_nonzeros
        if shape.weights < 100:
            levels = orbits_by_nonzeros(shape)
            assert levels[most] == 1
            # a weight of either input; any of a middle layer; the last layer must stay whole
            assert levels[most - 1] == 2 + len(shape.hidden) - 1
        assert smallest_nonzeros(shape) == shape.biases + sum(map(max, shape.layers))
