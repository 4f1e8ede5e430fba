"""combsearch.canonical: one form an orbit, against brute force; hard symmetries in no time."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_masks import eligible_matrices, every_mask, images, relabelled

from combsearch.canonical import canonical_form, orbit_sizes, relabellings
from combsearch.mask import MaskBatch, NetShape

Array = npt.NDArray[Any]

# inputs, hidden widths, outputs: all masks of these are tried, so weights are few
SMALL = [
    (2, (4,), 1),
    (1, (3,), 3),
    (2, (3, 2), 1),
    (1, (3, 3), 1),
    (1, (2, 4), 1),
    (2, (2, 2, 2), 1),
    (1, (1, 4, 2), 1),
    (1, (2, 2, 2, 2), 1),
]
KNOWN = [("3,2,2", 273), ("2,3,2", 257), ("3,3", 284)]

shapes = st.lists(st.integers(1, 10), min_size=1, max_size=5).flatmap(
    lambda hidden: st.builds(
        NetShape.from_hidden, st.just(hidden), inputs=st.integers(1, 5), outputs=st.integers(1, 3)
    )
)


def shape_of(inputs: int, hidden: tuple[int, ...], outputs: int) -> NetShape:
    return NetShape.from_hidden(hidden, inputs, outputs)


def random_masks(shape: NetShape, n: int, seed: int, density: float) -> MaskBatch:
    rng = np.random.default_rng(seed)
    return MaskBatch.from_dense(
        shape, [rng.random((n, *layer)) < density for layer in shape.layers]
    )


def copies(mask: MaskBatch, n: int) -> MaskBatch:
    return MaskBatch(mask.shape, np.repeat(mask.words, n, axis=0))


def between(*middle: Array) -> MaskBatch:
    """The mask with these square matrices between dense first and last layers."""
    side = len(middle[0])
    shape = NetShape.from_hidden((side,) * (len(middle) + 1))
    ends = np.ones((side, 2)), np.ones((1, side))
    return MaskBatch.from_dense(shape, [m[None] for m in (ends[0], *middle, ends[1])])


def circulant(side: int, *steps: int) -> Array:
    return sum((np.roll(np.eye(side), step, axis=0) for step in steps), np.zeros((side, side)))


def blocks(*parts: Array) -> Array:
    side = sum(len(part) for part in parts)
    matrix, at = np.zeros((side, side)), 0
    for part in parts:
        matrix[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return matrix


@pytest.mark.parametrize(("inputs", "hidden", "outputs"), SMALL)
def test_forms_and_orbit_sizes_are_those_of_brute_force(
    inputs: int, hidden: tuple[int, ...], outputs: int
) -> None:
    masks = every_mask(shape_of(inputs, hidden, outputs))
    all_images = np.sort(images(masks), axis=0)
    least = all_images[0]
    forms = canonical_form(masks).words[:, 0]
    np.testing.assert_array_equal(least[forms], least)  # the form is in the orbit
    np.testing.assert_array_equal(forms[least], forms)  # and the same for all of it
    assert orbit_sizes(masks) == (1 + (np.diff(all_images, axis=0) != 0).sum(axis=0)).tolist()


@pytest.mark.parametrize(("text", "orbits"), KNOWN)
def test_orbit_sizes_sum_to_all_eligible_masks(text: str, orbits: int) -> None:
    shape = NetShape.parse(text)
    masks = every_mask(shape)
    words = np.unique(canonical_form(masks[masks.eligible()]).words, axis=0)
    assert len(words) == orbits
    labelled = math.prod(eligible_matrices(*layer) for layer in shape.layers)
    assert sum(orbit_sizes(MaskBatch(shape, words))) == labelled


@settings(max_examples=80, deadline=None)
@given(shapes, st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 0.7, 0.95]))
def test_relabelling_changes_neither_form_nor_size(
    shape: NetShape, seed: int, density: float
) -> None:
    masks = random_masks(shape, 40, seed, density)
    forms = canonical_form(masks)
    other = relabelled(masks, seed + 1)
    np.testing.assert_array_equal(canonical_form(other).words, forms.words)
    np.testing.assert_array_equal(canonical_form(forms).words, forms.words)
    np.testing.assert_array_equal(forms.nonzeros(), masks.nonzeros())
    np.testing.assert_array_equal(forms.eligible(), masks.eligible())
    assert orbit_sizes(other) == orbit_sizes(masks)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 3))
def test_regular_masks_have_one_form(seed: int, fan: int, middles: int) -> None:
    """All neurons of a layer look alike at first: only the tree tells them apart."""
    rng = np.random.default_rng(seed)
    regular = [circulant(9, *range(fan))[rng.permutation(9)][:, rng.permutation(9)]] * middles
    mask = between(*regular)
    assert len(np.unique(canonical_form(relabelled(copies(mask, 30), seed)).words, axis=0)) == 1


def test_neurons_come_by_fan_in_then_fan_out() -> None:
    shape = NetShape.parse("6,5,4")
    dense = canonical_form(random_masks(shape, 500, 1, 0.6)).dense()
    for layer in range(3):
        busy = 100 * dense[layer].sum(axis=2, dtype=int) + dense[layer + 1].sum(axis=1, dtype=int)
        assert (np.diff(busy, axis=1) <= 0).all()


def test_forms_stay_the_same_for_ever() -> None:
    digest = hashlib.sha256()
    for text in ("7,3,3", "5,5,5", "16,16,16", "4", "2,3,2,3"):
        words = np.arange(1, 200, dtype=np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
        bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
        shape = NetShape.parse(text)
        flat = np.tile(bits, (1, -(-shape.weights // 64)))[:, : shape.weights]
        ends = np.cumsum([rows * cols for rows, cols in shape.layers])[:-1]
        parts = np.split(flat, ends, axis=1)
        layers = [p.reshape(-1, *layer) for p, layer in zip(parts, shape.layers, strict=True)]
        digest.update(
            canonical_form(MaskBatch.from_dense(shape, layers)).words.astype("<u8").tobytes()
        )
    assert digest.hexdigest()[:16] == "5cad005fafbf9d48"


FANO, PLANE = circulant(7, 0, 1, 3), circulant(13, 0, 1, 3, 9)
ROOK = np.array([[(a // 4 == b // 4) != (a % 4 == b % 4) for a in range(16)] for b in range(16)])
_STEPS = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
SHRIKHANDE = np.array(
    [[((a // 4 - b // 4) % 4, (a - b) % 4) in _STEPS for a in range(16)] for b in range(16)]
)
HADAMARD = np.array([[(a & b).bit_count() % 2 == 0 for a in range(1, 16)] for b in range(1, 16)])
# mask, permutations of its hidden neurons that change nothing
HARD = {
    "dense": (between(np.ones((16, 16)), np.ones((16, 16))), math.factorial(16) ** 3),
    "empty": (between(np.zeros((16, 16)), np.zeros((16, 16))), math.factorial(16) ** 3),
    "one wide layer": (MaskBatch.dense_of(NetShape.parse("16,1,1")), math.factorial(16)),
    "chains": (between(np.eye(16), np.eye(16)), math.factorial(16)),
    "five layers of chains": (between(*[np.eye(16)] * 4), math.factorial(16)),
    "all but chains": (between(1 - np.eye(16), 1 - np.eye(16)), math.factorial(16)),
    "pairs": (between(blocks(*[np.ones((2, 2))] * 8)), math.factorial(8) * 4**8),
    "ring": (between(circulant(16, 0, 1)), 2 * 16),
    "four rings": (between(blocks(*[circulant(4, 0, 1)] * 4)), math.factorial(4) * 8**4),
    "Fano plane": (between(FANO), 168),
    "two Fano planes": (between(blocks(FANO, FANO)), 2 * 168**2),
    "projective plane of order 3": (between(PLANE), 5616),
    "rook's graph and back": (between(ROOK, ROOK), 1152 * 10),
    "Hadamard": (between(HADAMARD), 20160),
}


@pytest.mark.parametrize("name", HARD)
def test_symmetric_masks_of_wide_shapes_take_no_time(name: str) -> None:
    mask, symmetries = HARD[name]
    canonical_form(mask)  # compile first
    masks = relabelled(copies(mask, 20), 5)
    started = time.process_time()
    forms = canonical_form(masks)
    assert time.process_time() - started < 2  # 0.02 s where it was written
    assert len(np.unique(forms.words, axis=0)) == 1
    assert orbit_sizes(mask) == [relabellings(mask.shape) // symmetries]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(2, 7), min_size=2, max_size=6), st.integers(0, 10**6), st.booleans())
def test_symmetries_of_rings_that_look_alike(sides: list[int], seed: int, chained: bool) -> None:
    """A ring of n and n neurons turns and flips in 2n ways; equal rings change places."""
    rings = blocks(*(circulant(n, 0, 1) for n in sides))
    mask = between(rings, np.eye(sum(sides))) if chained else between(rings)
    masks = relabelled(copies(mask, 8), seed)
    symmetries = math.prod((2 * n) ** k * math.factorial(k) for n, k in Counter(sides).items())
    assert orbit_sizes(masks) == [relabellings(mask.shape) // symmetries] * 8
    assert len(np.unique(canonical_form(masks).words, axis=0)) == 1


RING, THREE = circulant(9, 0, 1), blocks(*[circulant(3, 0, 1)] * 3)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([circulant(16, 0, 1)], [blocks(circulant(8, 0, 1), circulant(8, 0, 1))]),
        ([RING], [THREE]),
        ([RING, THREE], [THREE, RING]),
        ([ROOK, ROOK], [ROOK, SHRIKHANDE]),
        ([FANO], [circulant(7, 0, 1, 2)]),
    ],
)
def test_masks_that_look_alike_from_every_neuron_are_told_apart(
    left: list[Array], right: list[Array]
) -> None:
    first, second = between(*left), between(*right)
    assert first.nonzeros() == second.nonzeros()
    assert (canonical_form(first).words != canonical_form(second).words).any()


def test_many_masks_a_second() -> None:
    masks = random_masks(NetShape.parse("7,3,3"), 50_000, 0, 0.7)
    canonical_form(masks[:1])
    started = time.process_time()
    canonical_form(masks)
    assert time.process_time() - started < 1  # it takes a twentieth


def test_no_masks_have_no_forms() -> None:
    none = MaskBatch.dense_of(NetShape.parse("7,3,3"))[:0]
    assert len(canonical_form(none)) == 0
    assert orbit_sizes(none) == []


def test_several_batches_of_masks_keep_their_order() -> None:
    masks = random_masks(NetShape.parse("3,2"), 20_000, 3, 0.6)
    forms = canonical_form(masks)
    for part in (slice(16_380, 16_390), slice(19_990, 20_000)):
        np.testing.assert_array_equal(canonical_form(masks[part]).words, forms.words[part])
        assert orbit_sizes(masks)[part] == orbit_sizes(masks[part])
