"""The discrete cosine transform as a matrix and by Fourier transform, against SciPy's."""

from __future__ import annotations

import naive_dct
import numpy as np
import pytest
import torch

from combsearch.networks.cosine import dct, dct_matrix, dct_matrix_on

SIZES = [
    (1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (5, 4), (4, 5), (8, 8), (9, 9), (7, 20), (20, 7),
    (16, 17), (17, 16), (64, 33), (33, 64), (1, 40), (40, 1), (100, 101), (257, 300),
]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES)
def test_matrix_is_scipys_transform(sizes: tuple[int, int]) -> None:
    np.testing.assert_allclose(dct_matrix(*sizes), naive_dct.matrix(*sizes), atol=1e-12)


@pytest.mark.parametrize("inputs", [1, 2, 3, 8, 31, 300])
def test_square_matrices_are_orthonormal(inputs: int) -> None:
    found = dct_matrix(inputs, inputs)
    np.testing.assert_allclose(found @ found.T, np.eye(inputs), atol=1e-12)


def test_long_angles_are_not_rounded() -> None:
    unit = np.zeros(40)
    unit[39] = 1
    # The last angle is 118 thousand times the first.
    np.testing.assert_allclose(
        dct_matrix(40, 3000)[:, 39], naive_dct.transformed(unit, 3000), atol=1e-14
    )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_fast_form_is_scipys_transform(
    sizes: tuple[int, int], dtype: torch.dtype, atol: float
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, sizes[0]))
    found = dct(torch.tensor(x, dtype=dtype), sizes[1])
    assert found.dtype == dtype and found.shape == (3, 2, sizes[1])
    np.testing.assert_allclose(found, naive_dct.transformed(x, sizes[1]), atol=atol)


@pytest.mark.parametrize("sizes", SIZES)
def test_both_forms_have_one_gradient(sizes: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, down = torch.randn(4, sizes[0], requires_grad=True), torch.randn(4, sizes[1])
    (fast,) = torch.autograd.grad(dct(x, sizes[1]), x, down)
    expected = down.double() @ torch.from_numpy(naive_dct.matrix(*sizes))
    assert (fast.double() - expected).abs().max() < 1e-5
    matrix = dct_matrix_on(*sizes, torch.device("cpu"), torch.float32)
    (plain,) = torch.autograd.grad(x @ matrix.T, x, down)
    assert (plain.double() - expected).abs().max() < 1e-5


@pytest.mark.parametrize("sizes", [(4, 4), (5, 3), (3, 7), (9, 9), (1, 3)])
def test_gradients_are_those_of_finite_differences(sizes: tuple[int, int]) -> None:
    x = torch.randn(2, sizes[0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: dct(x, sizes[1]), (x,))
    assert torch.autograd.gradgradcheck(lambda x: dct(x, sizes[1]) ** 2, (x,))


def test_it_may_be_lifted() -> None:
    x = torch.randn(5, 3, 12)
    torch.testing.assert_close(torch.vmap(lambda x: dct(x, 7))(x), dct(x, 7))

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (dct(x, 15) ** 3).sum()

    found = torch.vmap(torch.func.grad(loss))(x)
    expected = torch.stack([torch.func.grad(loss)(one) for one in x])
    torch.testing.assert_close(found, expected)


def test_the_kept_tensor_has_the_asked_type_and_no_numbers_on_meta() -> None:
    found = dct_matrix_on(6, 4, torch.device("cpu"), torch.float32)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, naive_dct.matrix(6, 4), atol=1e-7)
    assert dct_matrix_on(6, 4, torch.device("cpu"), torch.float32) is found
    assert dct_matrix_on(6, 4, torch.device("meta"), torch.float32).is_meta
    assert dct(torch.empty(3, 6, device="meta"), 4).shape == (3, 4)


def test_what_inference_leaves_behind_may_be_trained_with() -> None:
    with torch.inference_mode():
        dct(torch.randn(2, 61), 59)
    x = torch.randn(2, 61, requires_grad=True)
    dct(x, 59).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
