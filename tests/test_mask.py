"""combsearch.mask: shapes, the bit layout, counts against plain loops, keys for ever."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import mask_eligible, mask_nonzeros

from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape

Array = npt.NDArray[Any]

shapes = st.lists(st.integers(1, 9), min_size=1, max_size=5).flatmap(
    lambda hidden: st.builds(
        NetShape.from_hidden, st.just(hidden), inputs=st.integers(1, 4), outputs=st.integers(1, 3)
    )
)


def random_matrices(shape: NetShape, n: int, seed: int, density: float = 0.7) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [(rng.random((n, *layer)) < density).astype(np.uint8) for layer in shape.layers]


def test_shape_of_the_paper() -> None:
    shape = NetShape.parse("7,3,3")
    assert shape == NetShape((2, 7, 3, 3, 1)) == NetShape.from_hidden((7, 3, 3))
    assert str(shape) == "7,3,3"
    assert shape.to_json() == [2, 7, 3, 3, 1]
    assert NetShape.from_json(shape.to_json()) == shape
    assert (shape.hidden, shape.inputs, shape.outputs) == ((7, 3, 3), 2, 1)
    assert shape.layers == ((7, 2), (3, 7), (3, 3), (1, 3))
    assert (shape.weights, shape.biases, shape.parameters) == (47, 14, 61)
    assert shape.dense_nonzeros == 61
    assert shape.words == 1


def test_dense_nonzeros_follow_the_formula_of_phase_one() -> None:
    for d1, d2, d3 in np.ndindex(5, 5, 5):
        a, b, c = d1 + 1, d2 + 1, d3 + 1
        expected = 3 * a + a * b + b + b * c + c + c + 1
        assert NetShape.from_hidden((a, b, c)).dense_nonzeros == expected


@pytest.mark.parametrize("text", ["7,3,3", "(7,3,3)", " 7, 3 ,3 "])
def test_parse_reads_hidden_widths(text: str) -> None:
    assert NetShape.parse(text) == NetShape((2, 7, 3, 3, 1))
    assert NetShape.parse(text, inputs=5, outputs=4) == NetShape((5, 7, 3, 3, 4))


@pytest.mark.parametrize("text", ["", "7,,3", "7;3", "7,0,3", "-1", "a", "7.0,3"])
def test_parse_refuses_other_text(text: str) -> None:
    with pytest.raises(UsageError, match=r"not a list of hidden widths such as 7,3,3"):
        NetShape.parse(text)


@pytest.mark.parametrize("widths", [(2, 1), (2, 0, 1), (2, -3, 1), (2, 3.0, 1), (True, 3, 1)])
def test_shape_refuses_other_widths(widths: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"at least one hidden layer"):
        NetShape(widths)


def test_shape_takes_numpy_widths() -> None:
    widths = np.array([7, 3, 3])
    assert NetShape.from_hidden(widths.tolist()) == NetShape.from_hidden(list(widths))
    assert type(NetShape.from_hidden(list(widths)).hidden[0]) is int
    with pytest.raises(UsageError, match=r"2.5"):
        NetShape.from_hidden([2.5])  # type: ignore[list-item]


def test_bit_layout_is_the_one_drawn() -> None:
    shape = NetShape.parse("3,2,2")
    matrices = [np.zeros((1, *layer), np.uint8) for layer in shape.layers]
    matrices[0][0, 1, 0] = 1  # bit 2
    matrices[1][0, 1, 2] = 1  # bit 11
    matrices[2][0, 0, 1] = 1  # bit 13
    matrices[3][0, 0, 1] = 1  # bit 17
    assert MaskBatch.from_dense(shape, matrices).words.tolist() == [
        [1 << 2 | 1 << 11 | 1 << 13 | 1 << 17]
    ]


def test_bit_64_is_the_first_of_the_second_word() -> None:
    shape = NetShape.from_hidden((16, 16))  # 32 weights, then 256
    matrices = [np.zeros((1, *layer), np.uint8) for layer in shape.layers]
    matrices[1][0, 2, 0] = 1  # weight 32 + 32
    masks = MaskBatch.from_dense(shape, matrices)
    assert shape.words == 5
    assert masks.words.tolist() == [[0, 1, 0, 0, 0]]


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 10**6))
def test_dense_and_back(shape: NetShape, seed: int) -> None:
    matrices = random_matrices(shape, 4, seed)
    masks = MaskBatch.from_dense(shape, matrices)
    assert len(masks) == 4
    for found, expected in zip(masks.dense(), matrices, strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 10**6), st.sampled_from([0.2, 0.6, 0.95]))
def test_counts_equal_plain_loops(shape: NetShape, seed: int, density: float) -> None:
    matrices = random_matrices(shape, 5, seed, density)
    masks = MaskBatch.from_dense(shape, matrices)
    for i in range(5):
        nested = [matrix[i].tolist() for matrix in matrices]
        assert masks.weight_nonzeros()[i] == sum(int(matrix[i].sum()) for matrix in matrices)
        assert masks.nonzeros()[i] == mask_nonzeros(nested)
        assert masks.eligible()[i] == mask_eligible(nested)
    assert masks.nonzeros().dtype == masks.weight_nonzeros().dtype == np.int32


def test_dense_masks_keep_everything() -> None:
    shape = NetShape.parse("7,3,3")
    masks = MaskBatch.dense_of(shape, 3)
    assert masks.weight_nonzeros().tolist() == [47] * 3
    assert masks.nonzeros().tolist() == [61] * 3
    assert masks.eligible().all()


def test_index_and_slice() -> None:
    shape = NetShape.parse("3,2,2")
    masks = MaskBatch.from_dense(shape, random_matrices(shape, 6, 0))
    np.testing.assert_array_equal(masks[2:4].words, masks.words[2:4])
    np.testing.assert_array_equal(masks[np.array([5, 0])].keys(), masks.keys()[[5, 0]])
    assert len(masks[:0]) == 0
    assert masks[:0].dense()[0].shape == (0, 3, 2)


def test_keys_stay_the_same_for_ever() -> None:
    shape = NetShape.parse("7,3,3")
    assert MaskBatch.dense_of(shape).keys().tolist() == [900394482390701549]
    wide = NetShape.parse("16,16,16")
    assert MaskBatch.dense_of(wide).keys().tolist() == [8520237653664433291]


def test_keys_tell_masks_and_shapes_apart() -> None:
    shape = NetShape.parse("7,3,3")
    words = np.arange(200_000, dtype=np.uint64)[:, None]
    keys = MaskBatch(shape, words).keys()
    assert len(np.unique(keys)) == len(keys)
    other = MaskBatch(NetShape.from_hidden((3, 3, 7)), words[:1000]).keys()
    assert not np.isin(other, keys).any()
    deeper = MaskBatch(NetShape.from_hidden((7, 3, 3, 1)), words[:1000]).keys()
    assert not np.isin(deeper, keys).any()


def test_keys_do_not_depend_on_the_batch() -> None:
    shape = NetShape.parse("16,16")
    masks = MaskBatch.from_dense(shape, random_matrices(shape, 9, 1))
    np.testing.assert_array_equal(masks[4:5].keys(), masks.keys()[4:5])


def test_masks_refuse_arrays_that_do_not_fit() -> None:
    shape = NetShape.parse("3,2,2")
    good = random_matrices(shape, 2, 0)
    with pytest.raises(UsageError, match=r"one array \[mask, out, in\] a layer"):
        MaskBatch.from_dense(shape, good[:3])
    with pytest.raises(UsageError, match=r"one array \[mask, out, in\] a layer"):
        MaskBatch.from_dense(shape, [*good[:3], good[3].transpose(0, 2, 1)])
    with pytest.raises(UsageError, match=r"one array \[mask, out, in\] a layer"):
        MaskBatch.from_dense(shape, [good[0][:1], *good[1:]])
    with pytest.raises(UsageError, match="0 and 1 only"):
        MaskBatch.from_dense(shape, [2 * np.ones((2, 3, 2)), *good[1:]])
    with pytest.raises(UsageError, match="0 and 1 only"):
        MaskBatch.from_dense(shape, [np.full((2, 3, 2), np.nan), *good[1:]])


def test_masks_refuse_words_that_do_not_fit() -> None:
    shape = NetShape.parse("3,2,2")
    with pytest.raises(UsageError, match=r"uint64 \['mask', 1\], not int64 \[2, 1\]"):
        MaskBatch(shape, np.zeros((2, 1), np.int64))
    with pytest.raises(UsageError, match=r"not uint64 \[2, 2\]"):
        MaskBatch(shape, np.zeros((2, 2), np.uint64))
    with pytest.raises(UsageError, match="past their 18 weights"):
        MaskBatch(shape, np.array([[1 << 18]], np.uint64))


def test_no_masks_are_a_batch_too() -> None:
    shape = NetShape((2, 3, 1))
    none = MaskBatch.dense_of(shape, 0)
    assert len(none) == 0 and [d.shape for d in none.dense()] == [(0, 3, 2), (0, 1, 3)]
