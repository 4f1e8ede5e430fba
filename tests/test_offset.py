"""The offset of layers: its three forms against SciPy's transform and torch's own layers."""

from __future__ import annotations

import math
from typing import Any

import naive_dct
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from combsearch.errors import UsageError
from combsearch.networks.offset import FAST_FROM, DctOffset, dct_filters, first_alpha
from combsearch.networks.sparse_weight import SparseWeight, index_of

FORMS = ("matrix", "fast", "auto")
LINEAR = [(8, 8), (13, 6), (6, 13), (1, 4), (4, 1), (FAST_FROM + 5, 9), (9, FAST_FROM + 5)]
# channels, filters, size, stride, padding, groups
CONVS = [
    (3, 8, 3, 1, 1, 1), (2, 30, 3, 1, 1, 1), (20, 4, 1, 1, 0, 1), (3, 5, 3, 2, 1, 1),
    (4, 6, 3, 3, 0, 1), (8, 12, 3, 1, 1, 4), (8, 4, 3, 2, 2, 2), (7, 7, 3, 1, 1, 7),
    (6, 12, 5, 2, 2, 6), (4, 4, 2, 1, 1, 1),
]  # fmt: skip


def inputs_of(shape: tuple[int, ...], x_shape: tuple[int, ...]) -> Any:
    """x, S, alpha and bias."""
    torch.manual_seed(0)
    found = (torch.randn(x_shape), torch.randn(shape), torch.tensor(0.6), torch.randn(shape[0]))
    return tuple(one.requires_grad_() for one in found)


def expected_of(shape: tuple[int, ...], given: Any, layer: Any) -> tuple[Any, list[Any]]:
    """Output and leaves in float64, of torch's ``layer`` with the dense weight."""
    own = [one.detach().double().requires_grad_() for one in given]
    whole = naive_dct.dense(shape, 1.0, [], np.zeros(0))
    weight = own[2] * naive_dct.tensor(whole, torch.float64) + own[1]
    return layer(own[0], weight, own[3]), own


def assert_same(found: torch.Tensor, given: Any, expected: torch.Tensor, own: Any) -> None:
    """Outputs and all gradients to 1e-5 of the largest."""
    torch.manual_seed(1)
    down = torch.randn(found.shape)
    pairs = [(found, expected)]
    wanted = torch.autograd.grad(expected, own, down.double())
    pairs += zip(torch.autograd.grad(found, given, down), wanted, strict=True)
    for a, b in pairs:
        scale = max(1.0, float(b.detach().abs().max()))
        assert float((a.double() - b).detach().abs().max()) < 1e-5 * scale


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", LINEAR)
def test_linear(sizes: tuple[int, int], form: str) -> None:
    shape = sizes[::-1]
    given = inputs_of(shape, (5, sizes[0]))
    rest: Any = (*given, sizes[1])
    found = DctOffset(form=form).linear(*rest)
    assert_same(found, given, *expected_of(shape, given, F.linear))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", LINEAR)
def test_linear_with_weights_by_index(sizes: tuple[int, int], form: str) -> None:
    shape = sizes[::-1]
    x, _, alpha, bias = inputs_of(shape, (5, sizes[0]))
    places = np.unique(np.random.default_rng(0).integers(0, math.prod(shape), 11))
    index = index_of(places // shape[1], places % shape[1], shape)
    values = torch.randn(len(places), requires_grad=True)
    kept = SparseWeight(values, {name: torch.from_numpy(a) for name, a in index.items()})
    found = DctOffset(form=form).linear(x, kept, alpha, bias, sizes[1])
    own = [one.detach().double().requires_grad_() for one in (x, values, alpha, bias)]
    flat = torch.zeros(math.prod(shape), dtype=torch.float64)
    sparse = flat.index_put((torch.from_numpy(places),), own[1]).view(shape)
    whole = naive_dct.tensor(naive_dct.matrix(*sizes), torch.float64)
    expected = F.linear(own[0], own[2] * whole + sparse, own[3])
    assert_same(found, (x, values, alpha, bias), expected, own)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CONVS)
def test_conv(case: tuple[int, ...], form: str) -> None:
    channels, filters, size, stride, padding, groups = case
    shape = (filters, channels // groups, size, size)
    given = inputs_of(shape, (2, channels, 8, 7))
    rest: Any = (*given, stride, padding, groups)
    found = DctOffset(form=form).conv(*rest)

    def conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)

    assert_same(found, given, *expected_of(shape, given, conv))


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_finite_differences(form: str) -> None:
    offset = DctOffset(form=form)
    cases: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = [
        ((4, 6), (2, 6), lambda a, b, c, d: offset.linear(a, b, c, d, 4)),
        ((4, 2, 2, 2), (2, 4, 3, 3), lambda a, b, c, d: offset.conv(a, b, c, d, 1, 1, 2)),
    ]
    for shape, x_shape, run in cases:
        given: Any = [one.detach().double().requires_grad_() for one in inputs_of(shape, x_shape)]
        assert torch.autograd.gradcheck(run, given)
        assert torch.autograd.gradgradcheck(run, given)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_networks_side_by_side(kind: str, form: str) -> None:
    offset = DctOffset(form=form)
    shape, x_shape = ((5, 9), (3, 9)) if kind == "linear" else ((8, 2, 3, 3), (3, 4, 6, 6))
    torch.manual_seed(0)
    x = torch.randn(x_shape)
    many: Any = (torch.randn(4, *shape), torch.rand(4), torch.randn(4, shape[0]))

    def loss(weight: torch.Tensor, alpha: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if kind == "linear":
            return torch.tanh(offset.linear(x, weight, alpha, bias, shape[0])).sum()
        return torch.tanh(offset.conv(x, weight, alpha, bias, 2, 1, 2)).sum()

    gradient = torch.func.grad(loss, argnums=(0, 1, 2))
    found = torch.vmap(gradient)(*many)
    for i in range(4):
        for a, b in zip(found, gradient(*(one[i] for one in many)), strict=True):
            torch.testing.assert_close(a[i], b, rtol=1e-4, atol=1e-5)


def test_no_bias_and_a_plain_number_as_alpha() -> None:
    x, weight = torch.randn(3, 6), torch.randn(4, 6)
    for form in FORMS:
        found = DctOffset(form=form).linear(x, weight, 0.5, None, 4)
        expected = 0.5 * naive_dct.transformed(x, 4) + (x @ weight.T).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_filters_have_the_channels_of_a_patch_fastest() -> None:
    for shape in ((8, 3, 3, 3), (2, 5, 2, 2), (40, 1, 3, 3)):
        found = dct_filters(torch.empty(shape))
        np.testing.assert_allclose(found, naive_dct.filters(shape), atol=1e-6)


def test_auto_takes_the_fast_form_of_long_layers_by_index_only() -> None:
    index: dict[str, torch.Tensor] = {}
    kept, dense = SparseWeight(torch.zeros(1), index), torch.zeros(1)
    auto = DctOffset()
    chosen = [auto._is_fast(w, n) for w in (kept, dense) for n in (FAST_FROM - 1, FAST_FROM)]
    assert chosen == [False, True, False, False]


def test_the_first_alpha() -> None:
    assert first_alpha(100, 10, None) == 1.0
    assert first_alpha(100, 10, 0) == 0.0
    random = np.random.default_rng(0)
    for inputs, outputs, deviation in ((30, 30, 0.1), (48, 20, 0.02), (20, 48, 0.5)):
        # Square root of: mean norm of rows of normal weights over the one of the transform's.
        drawn = random.normal(0, deviation, (200_000 // inputs, inputs))
        expected = np.linalg.norm(drawn, axis=1).mean()
        rows = np.linalg.norm(naive_dct.matrix(inputs, outputs), axis=1).mean()
        assert first_alpha(inputs, outputs, deviation) == pytest.approx(
            math.sqrt(expected / rows), rel=0.01
        )


def test_unknown_forms() -> None:
    with pytest.raises(UsageError, match="form is 'fft', it must be one of auto, matrix, fast"):
        DctOffset(form="fft")
