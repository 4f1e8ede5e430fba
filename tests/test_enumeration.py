"""combsearch.enumeration: each mask once, in order, against brute force and exact counts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_masks import every_mask, images, relabelled

from combsearch.counting import (
    eligible_by_nonzeros,
    orbits_by_nonzeros,
    orbits_over_shapes,
    row_sorted_by_nonzeros,
    smallest_nonzeros,
)
from combsearch.enumeration import SYMMETRIES, MaskSpace, mask_space
from combsearch.enumeration.pivots import Pivots
from combsearch.errors import UsageError
from combsearch.kernels import masks as kernel
from combsearch.mask import MaskBatch, NetShape

Array = npt.NDArray[Any]

SMALL = [
    # the shape of most searches, both splits into points and pivots
    (2, 1, 1, 1, 1),
    (2, 2, 2, 2, 1),
    (2, 3, 2, 2, 1),
    (2, 2, 3, 2, 1),
    (2, 2, 2, 3, 1),
    (2, 2, 4, 1, 1),
    (2, 1, 3, 3, 1),
    # other inputs and outputs
    (1, 3, 2, 2, 1),
    (3, 2, 2, 2, 1),
    (2, 2, 2, 2, 2),
    (1, 2, 3, 1, 3),
    # other depths
    (2, 4, 1),
    (3, 3, 2),
    (2, 3, 3, 1),
    (1, 2, 4, 2),
    (2, 2, 2, 2, 2, 1),
    (1, 3, 1, 3, 2, 1),
    (2, 2, 1, 2, 2, 2, 1),
]
# Orbits by nonzeros that the project's specification gives, counted by Burnside's lemma.
GOLDEN_333 = [2, 23, 158, 582, 1369, 2193, 2571, 2289, 1610, 918, 433, 172, 58, 17, 4, 1]
GOLDEN_733 = [
    84, 1194, 7964, 32877, 98257, 228967, 436973, 701228, 963441, 1145395, 1189886, 1088805,
    884807, 642635, 419831, 247860, 133068, 65349, 29605, 12463, 4914, 1821, 630, 206, 61, 17,
    4, 1,
]  # fmt: skip
# One, two and three words; splits of each kind; one mask and billions: widths, most
# nonzeros, symmetry. Wide rows make many tables, so the widest shapes are for "full" alone.
WIDE: list[tuple[tuple[int, ...], int | None, str]] = [
    (widths, most, symmetry)
    for symmetry in SYMMETRIES
    for widths, most in [
        ((2, 7, 3, 3, 1), None),
        ((2, 4, 6, 4, 1), 38),
        ((2, 2, 9, 2, 1), 38),
        ((2, 1, 11, 1, 1), 39),
        ((2, 12, 1, 1, 1), 60),
        ((2, 10, 4, 3, 1), 46),
        ((5, 3, 3, 3, 2), 32),
        ((2, 7, 7, 1), 38),
        ((3, 4, 3, 4, 3, 1), 40),
        ((2, 3, 3, 4, 3, 3, 1), 40),
    ]
]
WIDE += [
    ((2, 16, 6, 1, 1), 63, "full"),
    ((2, 3, 12, 3, 1), 50, "full"),
    ((12, 3, 2, 2, 1), 34, "full"),
]
EXACT = {
    "full": orbits_by_nonzeros,
    "rows": row_sorted_by_nonzeros,
    "none": eligible_by_nonzeros,
}


def whole(space: MaskSpace) -> MaskBatch:
    return space.masks(0, len(space))


def sample(space: MaskSpace, n: int, seed: int = 0) -> tuple[Array, MaskBatch]:
    """Random ranks, the first and the last among them, and their masks."""
    rng = np.random.default_rng(seed)
    ranks = np.concatenate([[0, len(space) - 1], rng.integers(len(space), size=n)])
    words = [space.masks(int(rank), int(rank) + 1).words for rank in ranks]
    return ranks, MaskBatch(space.shape, np.concatenate(words))


@pytest.mark.parametrize("widths", SMALL)
def test_every_orbit_once_and_every_member_finds_it(widths: tuple[int, ...]) -> None:
    shape = NetShape(widths)
    everything = every_mask(shape)
    masks = everything[everything.eligible()]
    orbit_of = images(masks).min(axis=0)
    space = mask_space(shape)
    found = images(whole(space)).min(axis=0)
    assert len(np.unique(found)) == len(found) == len(space)
    assert np.array_equal(np.sort(found), np.unique(orbit_of))
    # every mask, whatever its labels, has the rank of its orbit
    order = np.argsort(found)
    expected = order[np.searchsorted(found[order], orbit_of)]
    assert np.array_equal(space.rank(masks), expected)


@pytest.mark.parametrize("widths", SMALL)
def test_without_symmetry_every_eligible_mask_is_there(widths: tuple[int, ...]) -> None:
    masks = every_mask(NetShape(widths))
    space = mask_space(masks.shape, "none")
    found = whole(space)
    assert np.array_equal(np.sort(found.words, axis=0), masks.words[masks.eligible()])
    assert np.array_equal(space.rank(found), np.arange(len(space)))


@pytest.mark.parametrize("widths", SMALL)
def test_rows_order_has_every_mask_with_sorted_rows(widths: tuple[int, ...]) -> None:
    masks = every_mask(NetShape(widths))
    masks = masks[masks.eligible()]
    descending = np.array(
        [
            all(
                [(sum(row), row) for row in matrix]
                == sorted([(sum(row), row) for row in matrix], reverse=True)
                for matrix in matrices[:-1]  # outputs keep their places
            )
            for matrices in zip(*(layer.tolist() for layer in masks.dense()), strict=True)
        ]
    )
    space = mask_space(masks.shape, "rows")
    found = whole(space)
    assert np.array_equal(np.sort(found.words, axis=0), masks.words[descending])
    assert np.array_equal(space.rank(found), np.arange(len(space)))
    if not descending.all():
        with pytest.raises(UsageError, match="another order of its rows"):
            space.rank(masks[~descending][:1])


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("widths", SMALL)
def test_levels_ascend_and_hold_their_nonzeros(widths: tuple[int, ...], symmetry: str) -> None:
    space = mask_space(NetShape(widths), symmetry)
    nonzeros = whole(space).nonzeros()
    levels, sizes = np.unique(nonzeros, return_counts=True)
    assert np.array_equal(nonzeros, np.sort(nonzeros))
    assert list(space.levels().items()) == list(zip(levels.tolist(), sizes.tolist(), strict=True))
    for level in levels.tolist():
        assert space.level_start(level) == np.searchsorted(nonzeros, level)
    assert space.level_start(0) == 0 and space.level_start(10**6) == len(space)


@pytest.mark.parametrize(("widths", "most", "symmetry"), WIDE)
def test_levels_are_the_exact_counts(
    widths: tuple[int, ...], most: int | None, symmetry: str
) -> None:
    shape = NetShape(widths)
    assert mask_space(shape, symmetry, most).levels() == EXACT[symmetry](shape, most)


def test_all_shapes_up_to_a_budget() -> None:
    counted = orbits_over_shapes(30)
    assert len(counted) == 156
    spaces = {shape: mask_space(shape, "full", 30) for shape in counted}
    assert {shape: space.levels() for shape, space in spaces.items()} == counted
    assert sum(map(len, spaces.values())) == 308_575
    for shape, space in spaces.items():
        masks = space.masks(0, min(len(space), 200))
        assert masks.eligible().all()
        assert np.array_equal(space.rank(relabelled(masks, seed=3)), np.arange(len(masks))), shape


def test_counts_of_the_specification() -> None:
    space = mask_space(NetShape.parse("3,3,3"))
    assert space.levels() == {22 + i: n for i, n in enumerate(GOLDEN_333)}
    orbits = {"3,2,2": 273, "3,3,3": 12400, "4,3,3": 88522, "6,3,2": 492566, "5,4,3": 29323926}
    rows = {"3,2,2": 416, "3,3,3": 25992, "6,3,2": 6627504, "7,3,3": 266004066}
    for shape, masks in orbits.items():
        assert len(mask_space(NetShape.parse(shape))) == masks
    for shape, masks in rows.items():
        assert len(mask_space(NetShape.parse(shape), "rows")) == masks


def test_all_masks_of_the_papers_shape() -> None:
    shape = NetShape.parse("7,3,3")
    space = mask_space(shape)
    levels = {34 + i: n for i, n in enumerate(GOLDEN_733)}
    assert space.levels() == levels
    expected = np.repeat(list(levels), list(levels.values()))
    words, start = [], 0
    for batch in space.stream(size=1_000_003):
        nonzeros = expected[start : start + len(batch)]
        assert np.array_equal(batch.weight_nonzeros() + shape.biases, nonzeros)
        picked = np.arange(0, len(batch), 97)
        assert batch[picked].eligible().all()
        assert np.array_equal(space.rank(batch[picked]), start + picked)
        words.append(batch.words)
        start += len(batch)
    assert start == 8_338_343
    ordered = np.sort(np.concatenate(words)[:, 0])
    assert (ordered[1:] != ordered[:-1]).all()


@pytest.mark.parametrize(("widths", "most", "symmetry"), WIDE)
def test_rank_undoes_unrank(widths: tuple[int, ...], most: int | None, symmetry: str) -> None:
    space = mask_space(NetShape(widths), symmetry, most)
    ranks, masks = sample(space, 60)
    assert masks.eligible().all()
    assert np.array_equal(space.rank(masks), ranks)
    starts = [space.level_start(level) for level in masks.nonzeros().tolist()]
    levels = space.levels()
    ends = [a + levels[n] for a, n in zip(starts, masks.nonzeros().tolist(), strict=True)]
    assert (starts <= ranks).all() and (ranks < ends).all()
    if symmetry == "full":
        assert np.array_equal(space.rank(relabelled(masks, seed=1)), ranks)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_ranges_of_any_size_reassemble(symmetry: str) -> None:
    space = mask_space(NetShape.parse("3,3,3"), symmetry, 25)
    expected = whole(space).words
    for size in (7, 101, 4096, len(space) + 5):
        parts = [batch.words for batch in space.stream(size=size)]
        assert all(len(part) == size for part in parts[:-1])
        assert np.array_equal(np.concatenate(parts), expected)
    cuts = [0, 1, 1, 2, 30, 555, len(space) - 1, len(space)]
    parts = [space.masks(a, b).words for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate(parts), expected)
    [middle] = space.stream(500, 555)
    assert np.array_equal(middle.words, expected[500:555])


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).flatmap(
    lambda hidden: st.builds(
        NetShape.from_hidden, st.just(hidden), inputs=st.integers(1, 4), outputs=st.integers(1, 3)
    )
)


@settings(max_examples=30, deadline=None)
@given(
    shape=shapes,
    symmetry=st.sampled_from(SYMMETRIES),
    spare=st.integers(0, 3),
    place=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 99),
)
def test_properties_of_any_space(
    shape: NetShape, symmetry: str, spare: int, place: float, seed: int
) -> None:
    most = smallest_nonzeros(shape) + spare
    space = mask_space(shape, symmetry, most)
    first = int(place * len(space))
    masks = space.masks(first, min(first + 50, len(space)))
    ranks = np.arange(first, first + len(masks))
    assert masks.eligible().all() and masks.nonzeros().max() <= most
    assert np.array_equal(space.rank(masks), ranks)
    if symmetry == "full":
        assert np.array_equal(space.rank(relabelled(masks, seed)), ranks)
    # a larger budget only continues the space
    larger = mask_space(shape, symmetry, most + 2)
    assert np.array_equal(larger.masks(first, first + len(masks)).words, masks.words)
    assert list(larger.levels().items())[: len(space.levels())] == list(space.levels().items())


GOLDEN_WORDS = [
    "0x788c0407eaa9",
    "0x788c0603eaa9",
    "0x788c0e82da95",
    "0x7d890e33bda9",
    "0x7fffffffffff",
]


def test_ranks_stay_the_same_for_ever() -> None:
    """Saved runs name masks by rank: these may change only with the runs' numerics."""
    ranks = [0, 1, 1000, 500_000, 8_338_342]
    _, masks = sample(mask_space(NetShape.parse("7,3,3")), 0)
    words = [int(mask_space(NetShape.parse("7,3,3")).masks(r, r + 1).words[0, 0]) for r in ranks]
    assert [hex(word) for word in words] == GOLDEN_WORDS
    assert int(masks.words[-1, 0]) == (1 << 47) - 1


def test_the_cheaper_split_is_taken() -> None:
    by_order = {"7,3,3": 6, "3,8,2": 12, "1,11,1": 1, "12,1,1": 1, "4,6,4": 720, "16": 1}
    for text, order in by_order.items():
        assert Pivots.of(NetShape.parse(text)).order == order
    assert Pivots.of(NetShape.parse("3,3,3", inputs=12)).order == 36


def test_an_empty_space() -> None:
    for symmetry in SYMMETRIES:
        space = mask_space(NetShape.parse("3,3,3"), symmetry, 21)
        assert (len(space), space.levels(), space.level_start(22)) == (0, {}, 0)
        assert len(space.masks(0, 0)) == 0 and list(space.stream()) == []
        assert len(space.rank(space.masks(0, 0))) == 0
        with pytest.raises(UsageError, match="mask 0 is not in the space"):
            space.rank(MaskBatch.dense_of(space.shape))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_masks_outside_the_space_are_refused(symmetry: str) -> None:
    shape = NetShape.parse("2,2,2")
    masks = every_mask(shape)
    outside = masks[~masks.eligible()]
    space = mask_space(shape, symmetry)
    with pytest.raises(UsageError, match="mask 2 is not in the space"):
        space.rank(MaskBatch(shape, np.concatenate([space.masks(0, 2).words, outside.words[:1]])))
    assert (space._masks.rank(outside.words, outside.weight_nonzeros()) == -1).all()
    small = mask_space(shape, symmetry, 17)
    with pytest.raises(UsageError, match=r"nonzeros 15 to 17"):
        small.rank(MaskBatch.dense_of(shape))
    with pytest.raises(UsageError, match=r"\(3,2,2\) are not of shape \(2,2,2\)"):
        space.rank(MaskBatch.dense_of(NetShape.parse("3,2,2")))


def test_bad_arguments_are_refused() -> None:
    shape = NetShape.parse("2,2,2")
    space = mask_space(shape)
    with pytest.raises(UsageError, match="'rotations' is none of full, rows, none"):
        mask_space(shape, "rotations")
    for first, last in ((-1, 3), (3, 2), (0, len(space) + 1)):
        with pytest.raises(UsageError, match="are not all among"):
            space.masks(first, last)
        with pytest.raises(UsageError, match="are not all among"):
            space.stream(first, last)
    with pytest.raises(UsageError, match="take 1 or more"):
        space.stream(size=0)


def test_spaces_that_no_table_holds_are_refused() -> None:
    with pytest.raises(UsageError, match="too wide to enumerate up to relabelling"):
        mask_space(NetShape.parse("16,16,16"), "full", 120)
    with pytest.raises(UsageError, match="too large to be enumerated"):
        mask_space(NetShape.parse("8,8,8"))
    with pytest.raises(UsageError, match="too large to be enumerated"):
        mask_space(NetShape.parse("40,2,2"), "rows")
    with pytest.raises(UsageError, match=r"2\*\*63 masks or more"):
        mask_space(NetShape.parse("6,6,6"), "none")
    with pytest.raises(UsageError, match="more than 62 neurons"):
        mask_space(NetShape.parse("63,1,1"), "full", 200)


def test_counts_stop_below_overflow() -> None:
    """A graph whose paths double 64 times: the counts stop at 2**63 - 1, never below zero."""
    nodes = 65
    start = np.append(np.arange(nodes) * 2, (nodes - 1) * 2)
    target = np.repeat(np.arange(1, nodes), 2).astype(np.int32)
    counts = np.zeros((nodes, 1), np.int64)
    kernel.count_paths(start, target, np.zeros(len(target), np.int16), counts)
    assert counts[0, 0] == counts[1, 0] == kernel.FULL
    assert counts[2, 0] == 2**62
