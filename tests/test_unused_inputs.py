"""Masks that leave inputs unused: enumerated against brute force, and right everywhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import connected_parameters, mask_nonzeros
from naive_masks import every_mask, images, inputs_used_or_not, relabelled

from combsearch.canonical import canonical_form, orbit_sizes
from combsearch.connectivity import biases_kept, compact, effective_nonzeros, nonzeros
from combsearch.counting import (
    eligible_by_nonzeros,
    orbits_by_nonzeros,
    orbits_over_shapes,
    row_sorted_by_nonzeros,
    smallest_nonzeros,
)
from combsearch.enumeration import SYMMETRIES, MaskSpace, mask_space
from combsearch.enumeration import unused_inputs as spreading
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys

Array = npt.NDArray[Any]

SMALL = [
    (3, 2, 2, 1),
    (4, 2, 2, 1),
    (3, 2, 2, 2, 1),
    (4, 1, 3, 1, 1),
    (2, 3, 2, 2, 1),
    (3, 3, 2, 1),
    (4, 3, 2),
    (3, 2, 1, 3),
    (1, 2, 3, 1),
    (9, 1, 2),
]
WIDE: list[tuple[tuple[int, ...], int | None]] = [
    ((3, 7, 3, 3, 1), 40),
    ((5, 4, 3, 2, 1), 34),
    ((6, 2, 9, 2, 1), 36),
    ((16, 2, 2, 2, 1), 26),
    ((8, 9, 1, 1), 40),
    ((12, 2, 2, 2, 2), 27),
    ((62, 1, 1), 12),
]
GOLDEN = ["0xf184308421", "0xeb82521042", "0xf1e1698828", "0xf17f7ca4a5", "0xff77fe0821"]
EXACT = {
    "full": orbits_by_nonzeros,
    "rows": row_sorted_by_nonzeros,
    "none": eligible_by_nonzeros,
}


def space_of(widths: tuple[int, ...], symmetry: str, most: int | None = None) -> MaskSpace:
    return mask_space(NetShape(widths), symmetry, most, unused_inputs=True)


def whole(space: MaskSpace) -> MaskBatch:
    return space.masks(0, len(space))


def spread(mask: MaskBatch, inputs: tuple[int, ...], shape: NetShape) -> MaskBatch:
    """A mask over ``inputs`` alone as one of ``shape``, weight by weight."""
    first, *later = mask.dense()
    wide = np.zeros((1, *shape.layers[0]), np.uint8)
    for out in range(first.shape[1]):
        for column, place in enumerate(inputs):
            wide[0, out, place] = first[0, out, column]
    return MaskBatch.from_dense(shape, [wide, *later])


def in_order(shape: NetShape, symmetry: str) -> Iterator[int]:
    """The masks as words, by level, then inputs used, then these as a number, one by one."""
    narrow = {
        used: mask_space(NetShape((used, *shape.widths[1:])), symmetry)
        for used in range(1, shape.inputs + 1)
    }
    for level in range(shape.dense_nonzeros + 1):
        for used, space in narrow.items():
            first = space.level_start(level)
            own = space.masks(first, first + space.levels().get(level, 0))
            choices = itertools.combinations(range(shape.inputs), used)
            for inputs in sorted(choices, key=lambda chosen: sum(1 << i for i in chosen)):
                for place in range(len(own)):
                    yield int(spread(own[place : place + 1], inputs, shape).words[0, 0])


@pytest.mark.parametrize("widths", SMALL)
def test_every_orbit_once_and_every_member_finds_it(widths: tuple[int, ...]) -> None:
    masks = inputs_used_or_not(every_mask(NetShape(widths)))
    orbit_of = images(masks).min(axis=0)
    space = space_of(widths, "full")
    found = images(whole(space)).min(axis=0)
    assert len(np.unique(found)) == len(found) == len(space)
    assert np.array_equal(np.sort(found), np.unique(orbit_of))
    order = np.argsort(found)
    expected = order[np.searchsorted(found[order], orbit_of)]
    assert np.array_equal(space.rank(masks), expected)


@pytest.mark.parametrize("widths", SMALL)
def test_rows_and_none_hold_each_of_their_masks_once(widths: tuple[int, ...]) -> None:
    masks = inputs_used_or_not(every_mask(NetShape(widths)))
    descending = np.array(
        [
            all(
                [(sum(row), row) for row in matrix]
                == sorted([(sum(row), row) for row in matrix], reverse=True)
                for matrix in matrices[:-1]
            )
            for matrices in zip(*(layer.tolist() for layer in masks.dense()), strict=True)
        ]
    )
    for symmetry, expected in (("rows", masks[descending]), ("none", masks)):
        space = space_of(widths, symmetry)
        found = whole(space)
        assert np.array_equal(np.sort(found.words, axis=0), expected.words)
        assert np.array_equal(space.rank(found), np.arange(len(space)))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("widths", [(3, 2, 2, 1), (4, 2, 1), (3, 2, 2), (5, 1, 2, 1)])
def test_the_order_is_by_level_then_by_the_inputs_used(
    widths: tuple[int, ...], symmetry: str
) -> None:
    space = space_of(widths, symmetry)
    assert whole(space).words[:, 0].tolist() == list(in_order(space.shape, symmetry))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("widths", SMALL)
def test_levels_ascend_and_hold_their_nonzeros(widths: tuple[int, ...], symmetry: str) -> None:
    space = space_of(widths, symmetry)
    found = whole(space).nonzeros()
    levels, sizes = np.unique(found, return_counts=True)
    assert np.array_equal(found, np.sort(found))
    assert list(space.levels().items()) == list(zip(levels.tolist(), sizes.tolist(), strict=True))
    for level in levels.tolist():
        assert space.level_start(level) == np.searchsorted(found, level)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize(("widths", "most"), WIDE)
def test_wide_spaces_have_the_exact_counts_and_ranks(
    widths: tuple[int, ...], most: int | None, symmetry: str
) -> None:
    space = space_of(widths, symmetry, most)
    assert space.levels() == EXACT[symmetry](space.shape, most, unused_inputs=True)
    rng = np.random.default_rng(0)
    ranks = np.array([0, len(space) - 1, *rng.integers(len(space), size=60)])
    words = [space.masks(int(rank), int(rank) + 1).words for rank in ranks]
    masks = MaskBatch(space.shape, np.concatenate(words))
    assert masks.eligible(unused_inputs=True).all()
    assert np.array_equal(space.rank(masks), ranks)
    if symmetry == "full":
        assert np.array_equal(space.rank(relabelled(masks, seed=1)), ranks)


def test_all_shapes_up_to_a_budget() -> None:
    counted = orbits_over_shapes(15, inputs=5, unused_inputs=True)
    spaces = {shape: mask_space(shape, "full", 15, unused_inputs=True) for shape in counted}
    assert {shape: space.levels() for shape, space in spaces.items()} == counted
    for space in spaces.values():
        masks = whole(space)
        assert masks.eligible(unused_inputs=True).all()
        forms = canonical_form(masks)
        assert len(np.unique(forms.words, axis=0)) == len(masks)
        assert np.array_equal(space.rank(forms), np.arange(len(masks)))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("widths", [(4, 3, 2, 1), (6, 1, 1, 1)])
def test_ranges_of_any_size_reassemble(
    widths: tuple[int, ...], symmetry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = space_of(widths, symmetry, 15)
    expected = whole(space).words
    for at_once, size in ((2**14, 7), (2**14, 1009), (10, 4096), (1, 501)):
        monkeypatch.setattr(spreading, "_AT_ONCE", at_once)
        parts = [batch.words for batch in space.stream(size=size)]
        assert np.array_equal(np.concatenate(parts), expected)


# All of a size whose tables fit and take well below a second, whatever is drawn.
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).flatmap(
    lambda hidden: st.builds(
        NetShape.from_hidden, st.just(hidden), inputs=st.integers(1, 7), outputs=st.integers(1, 2)
    )
)


@settings(max_examples=25, deadline=None)
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
    most = smallest_nonzeros(shape, unused_inputs=True) + spare
    space = mask_space(shape, symmetry, most, unused_inputs=True)
    assert space.levels() == EXACT[symmetry](shape, most, unused_inputs=True)
    first = int(place * len(space))
    masks = space.masks(first, min(first + 50, len(space)))
    ranks = np.arange(first, first + len(masks))
    assert masks.eligible(unused_inputs=True).all() and masks.nonzeros().max() <= most
    assert np.array_equal(space.rank(masks), ranks)
    if symmetry == "full":
        assert np.array_equal(space.rank(relabelled(masks, seed)), ranks)
    larger = mask_space(shape, symmetry, most + 2, unused_inputs=True)
    assert np.array_equal(larger.masks(first, first + len(masks)).words, masks.words)


def test_with_one_input_the_space_is_the_ordinary_one() -> None:
    for symmetry in SYMMETRIES:
        plain = mask_space(NetShape((1, 3, 2, 1)), symmetry)
        assert np.array_equal(whole(space_of((1, 3, 2, 1), symmetry)).words, whole(plain).words)
    assert not plain.unused_inputs


def test_ranks_stay_the_same_for_ever() -> None:
    """Saved runs name masks by rank: these may change only with the runs' numerics."""
    space = space_of((5, 4, 3, 2, 1), "full", 34)
    ranks = [0, 1000, 1_000_000, 100_000_000, len(space) - 1]
    words = [hex(int(space.masks(rank, rank + 1).words[0, 0])) for rank in ranks]
    assert words == GOLDEN


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_masks_outside_the_space_are_refused(symmetry: str) -> None:
    shape = NetShape((3, 2, 2, 1))
    masks = every_mask(shape)
    space = mask_space(shape, symmetry, unused_inputs=True)
    outside = masks[~masks.eligible(unused_inputs=True)]
    assert (space._masks.rank(outside.words, outside.weight_nonzeros()) == -1).all()
    with pytest.raises(UsageError, match=r"mask 0 is not .* has a zero row or hidden column, ano"):
        space.rank(outside[:1])
    small = mask_space(shape, symmetry, 13, unused_inputs=True)
    with pytest.raises(UsageError, match="nonzeros 11 to 13"):
        small.rank(MaskBatch.dense_of(shape))
    with pytest.raises(UsageError, match="are not all among"):
        space.masks(0, len(space) + 1)


def test_empty_and_endless_spaces() -> None:
    for symmetry in SYMMETRIES:
        space = space_of((5, 3, 3, 1), symmetry, 9)
        assert (len(space), space.levels()) == (0, {})
        assert len(space.rank(space.masks(0, 0))) == 0
        with pytest.raises(UsageError, match="mask 0 is not in the space"):
            space.rank(MaskBatch.dense_of(space.shape))
    with pytest.raises(UsageError, match=r"2\*\*63 masks or more"):
        space_of((2, 6, 6, 6, 1), "none")


# ---- what else handles such masks ------------------------------------------------------


@pytest.mark.parametrize("widths", [(3, 2, 2, 1), (4, 3, 2), (3, 2, 2, 2, 1)])
def test_canonical_forms_and_orbit_sizes_are_those_of_brute_force(widths: tuple[int, ...]) -> None:
    masks = inputs_used_or_not(every_mask(NetShape(widths)))
    masks = masks[~masks.eligible()]
    assert len(masks)
    moved = images(masks)
    forms = canonical_form(masks).words[:, 0]
    smallest = moved.min(axis=0)
    # one form an orbit, which is a member of it
    assert len(np.unique(np.stack([forms, smallest]), axis=1).T) == len(np.unique(smallest))
    assert len(np.unique(forms)) == len(np.unique(smallest)) and (forms == moved).any(axis=0).all()
    assert orbit_sizes(masks) == [len(set(column.tolist())) for column in moved.T]


def test_every_nonzero_of_such_a_mask_counts() -> None:
    masks = whole(space_of((4, 3, 2, 1), "full"))
    masks = masks[~masks.eligible()]
    masks = masks[np.random.default_rng(0).permutation(len(masks))[:300]]
    keys = RunKeys.make(0, masks.keys(), ["0.05:cosine"] * len(masks), np.arange(len(masks)))
    nets = NetBatch.create(MLP(masks.shape, 4), keys, masks)
    counted = masks.nonzeros()
    assert np.array_equal(nonzeros(nets), counted)
    assert np.array_equal(effective_nonzeros(nets), counted)
    assert biases_kept(nets).all()
    for index in range(0, len(masks), 40):
        matrices = [layer[index] for layer in masks.dense()]
        assert mask_nonzeros([matrix.tolist() for matrix in matrices]) == counted[index]
        biases = [np.ones(len(matrix)) for matrix in matrices]
        kept = connected_parameters(list(masks.shape.widths), matrices, biases)
        assert len(kept[0]) + len(kept[1]) == counted[index]
        small = compact(nets, index)
        assert small.network == nets.network
        for name, values in small.params.items():
            assert np.array_equal(values[0], nets.params[name][index])
    for name, mask in nets.masks.items():
        assert not nets.params[name][mask == 0].any()


def test_an_unused_input_changes_no_logit() -> None:
    masks = whole(space_of((5, 3, 2, 1), "full", 22))
    masks = masks[~masks.eligible()][::50]
    keys = RunKeys.make(0, masks.keys(), ["0.05:cosine"] * len(masks), np.arange(len(masks)))
    nets = NetBatch.create(MLP(masks.shape, 16), keys, masks)
    x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    used: Array = np.any(masks.dense()[0], axis=1)
    for index, columns in enumerate(used):
        other = np.where(columns, x, 7).astype(np.float32)
        assert np.array_equal(_logits(nets, index, x), _logits(nets, index, other))


def _logits(nets: NetBatch, index: int, x: Array) -> Array:
    h = x
    for layer in range(len(nets.params) // 2):
        h = np.maximum(h, 0) if layer else h
        h = h @ nets.params[f"weight{layer}"][index].T + nets.params[f"bias{layer}"][index]
    return h
