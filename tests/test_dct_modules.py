"""Layers of DCT plus sparse for torch modules, against torch's own with SciPy's transform added."""

from __future__ import annotations

import copy
import math
from typing import Any

import naive_dct
import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from combsearch.errors import UsageError
from combsearch.networks.dct_modules import DctSparseConv2d, DctSparseLinear
from combsearch.networks.offset import FAST_FROM

FORMS = ("matrix", "fast", "auto")
LINEAR = [(12, 12), (20, 7), (7, 20), (1, 5), (5, 1), (1, 1), (33, 64)]
# inputs, filters, size, stride, padding, groups: wide, truncated, strided, grouped, depthwise.
CONVS = [
    (3, 8, 3, 1, 1, 1),
    (2, 40, 3, 2, 0, 1),
    (16, 4, 1, 1, 0, 1),
    (8, 12, 3, 2, 1, 4),
    (6, 6, 3, 1, 2, 6),
    (4, 8, 5, 3, 2, 4),
    (4, 6, 2, 2, 0, 2),
]

Layer = DctSparseLinear | DctSparseConv2d


def support(size: int, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    random = np.random.default_rng(seed)
    return np.sort(random.choice(size, min(count, size), replace=False))


def linear(inputs: int, outputs: int, count: int = 9, **options: Any) -> Any:
    places = support(inputs * outputs, count)
    return filled(DctSparseLinear(inputs, outputs, places // inputs, places % inputs, **options))


def conv(case: tuple[int, ...], count: int = 11, **options: Any) -> Any:
    inputs, filters, size, stride, padding, groups = case
    own = inputs // groups * size * size
    places = support(filters * own, count)
    layer = DctSparseConv2d(
        inputs, filters, size, places // own, places % own, stride, padding, groups, **options
    )
    return filled(layer)


def filled(layer: Any) -> Any:
    """``layer`` with S, alpha and bias that are not their first."""
    with torch.no_grad():
        torch.manual_seed(1)
        layer.values.normal_()
        layer.alpha.fill_(0.7)
        if layer.bias is not None:
            layer.bias.normal_()
    return layer


def shape_of(layer: Layer) -> tuple[int, ...]:
    return (
        layer.shape
        if isinstance(layer, DctSparseConv2d)
        else (layer.out_features, layer.in_features)
    )


def flat_places(layer: Layer) -> npt.NDArray[np.int64]:
    """Where the values lie, from the buffers."""
    if isinstance(layer, DctSparseConv2d):
        return layer.places.numpy()
    rows = np.repeat(np.arange(layer.out_features), np.diff(layer.rows.numpy()))
    found: npt.NDArray[np.int64] = rows * layer.in_features + layer.columns.numpy()
    return found


def by_torch(layer: Layer, x: torch.Tensor, down: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output and gradients of a layer with the dense weight, by the chain rule for alpha and S."""
    shape, places = shape_of(layer), flat_places(layer)
    weight = naive_dct.dense(shape, layer.alpha.item(), layer.values.detach().numpy(), places)
    own = [naive_dct.tensor(weight, torch.float64), x.double()]
    own = [one.requires_grad_() for one in own]
    shift = None if layer.bias is None else layer.bias.detach().double().requires_grad_()
    if isinstance(layer, DctSparseConv2d):
        y = F.conv2d(own[1], own[0], shift, layer.stride, layer.padding, 1, layer.groups)
    else:
        y = F.linear(own[1], own[0], shift)
    leaves = [*own, *([] if shift is None else [shift])]
    for_weight, for_x, *for_bias = torch.autograd.grad(y, leaves, down.double())
    fixed = naive_dct.dense(shape, 1.0, [], np.zeros(0))
    found = {"y": y.detach(), "x": for_x, "values": for_weight.flatten()[places]}
    found["alpha"] = (for_weight * naive_dct.tensor(fixed, torch.float64)).sum()
    return found | ({"bias": for_bias[0]} if for_bias else {})


def by_layer(layer: Layer, x: torch.Tensor, down: torch.Tensor) -> dict[str, torch.Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x)
    names = [name for name, _ in layer.named_parameters()]
    grads = torch.autograd.grad(y, [x, *layer.parameters()], down)
    return {"y": y.detach(), **dict(zip(["x", *names], grads, strict=True))}


def assert_equal_to_torch(layer: Layer, x: torch.Tensor) -> None:
    torch.manual_seed(3)
    down = torch.randn_like(layer(x))
    found, expected = by_layer(layer, x, down), by_torch(layer, x, down)
    assert set(found) == set(expected)
    for name, own in found.items():
        scale = max(1.0, float(expected[name].abs().max()))
        error = float((own.double() - expected[name]).abs().max()) / scale
        assert error < 1e-5, (name, error)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sizes", LINEAR)
def test_linear_equals_the_dense_layer(sizes: tuple[int, int], form: str) -> None:
    torch.manual_seed(0)
    assert_equal_to_torch(linear(*sizes, form=form), torch.randn(6, sizes[0]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CONVS)
def test_conv_equals_the_dense_layer(case: tuple[int, ...], form: str) -> None:
    torch.manual_seed(0)
    assert_equal_to_torch(conv(case, form=form), torch.randn(3, case[0], 9, 8))


@pytest.mark.parametrize("form", FORMS)
def test_long_layers_equal_the_dense_layer(form: str) -> None:
    torch.manual_seed(0)
    layer = linear(FAST_FROM + 77, 50, 300, form=form)
    assert_equal_to_torch(layer, torch.randn(5, FAST_FROM + 77))


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_finite_differences(form: str) -> None:
    torch.manual_seed(0)
    double: dict[str, Any] = {"form": form, "dtype": torch.float64}
    layers: list[tuple[Layer, torch.Tensor]] = [
        (linear(7, 5, **double), torch.randn(3, 7, dtype=torch.float64)),
        (linear(4, 9, **double), torch.randn(3, 4, dtype=torch.float64)),
        (conv((4, 6, 3, 2, 1, 2), **double), torch.randn(2, 4, 3, 3, dtype=torch.float64)),
    ]
    for layer, x in layers:
        names = [name for name, _ in layer.named_parameters()]

        def run(x: torch.Tensor, *own: torch.Tensor, layer: Any = layer, names: Any = names) -> Any:
            return torch.func.functional_call(layer, dict(zip(names, own, strict=True)), (x,))

        inputs = (x.requires_grad_(), *(p.detach().requires_grad_() for p in layer.parameters()))
        assert torch.autograd.gradcheck(run, inputs)
        assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_networks_side_by_side_equal_one_after_the_other(kind: str, form: str) -> None:
    torch.manual_seed(0)
    layer: Any = linear(9, 6, form=form) if kind == "linear" else conv(CONVS[3], form=form)
    x = torch.randn(4, 9) if kind == "linear" else torch.randn(4, 8, 5, 5)
    many = {name: torch.randn(3, *p.shape) for name, p in layer.named_parameters()}

    def loss(own: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.func.functional_call(layer, own, (x,))
        return (y**2).mean()

    found = torch.vmap(torch.func.grad(loss), in_dims=(0, None))(many, x)
    for i in range(3):
        one = torch.func.grad(loss)({name: a[i] for name, a in many.items()}, x)
        for name, a in one.items():
            torch.testing.assert_close(found[name][i], a, rtol=1e-5, atol=1e-6)


def test_parameters_stored_are_the_kept_weights_alpha_and_the_bias() -> None:
    big = linear(1000, 500, 123)
    assert sum(p.numel() for p in big.parameters()) == 123 + 1 + 500
    small = conv(CONVS[0], 17, bias=False, trainable=False)
    assert {name: tuple(p.shape) for name, p in small.named_parameters()} == {"values": (17,)}
    assert small.alpha.item() == pytest.approx(0.7) and "alpha" in small.state_dict()
    # Nothing that is stored grows with m x n, index arrays included.
    assert max(b.numel() for b in big.buffers()) <= 1001


def test_first_values() -> None:
    layer = DctSparseLinear(6, 4, [0, 3], [5, 1], alpha=1.5)
    assert layer.values.tolist() == [0, 0] and layer.alpha.item() == 1.5
    assert layer.bias is not None and 0 < layer.bias.abs().max() <= 1 / math.sqrt(6)
    x = torch.randn(2, 6)
    expected = 1.5 * naive_dct.transformed(x, 4) + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-5)


def test_places_may_come_in_any_order() -> None:
    layer = DctSparseLinear(6, 4, torch.tensor([3, 0, 0]), np.array([1, 5, 2]), bias=False)
    assert flat_places(layer).tolist() == [2, 5, 19]


def test_inputs_have_any_leading_axes_as_torchs_have() -> None:
    layer = linear(5, 3)
    x = torch.randn(2, 4, 5)
    assert layer(x).shape == (2, 4, 3) and layer(x[0, 0]).shape == (3,)
    torch.testing.assert_close(layer(x)[1, 2], layer(x[1, 2]))
    images = conv(CONVS[0])
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(images(x)[1], images(x[1]))


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_without_weights_is_its_transform(form: str) -> None:
    layer = DctSparseLinear(6, 4, [], [], bias=False, form=form)
    x = torch.randn(3, 6, requires_grad=True)
    y = layer(x)
    np.testing.assert_allclose(y.detach(), naive_dct.transformed(x.detach(), 4), atol=1e-5)
    y.sum().backward()
    assert layer.values.grad is not None and layer.values.grad.shape == (0,)
    images = DctSparseConv2d(3, 4, 3, [], [], bias=False, form=form)
    assert images(torch.randn(2, 3, 5, 5)).shape == (2, 4, 3, 3)


@pytest.mark.parametrize("padding", ["same", "valid", (1, 1)])
def test_padding_is_what_torch_takes(padding: Any) -> None:
    layer = DctSparseConv2d(3, 4, 3, [0], [0], padding=padding)
    expected = nn.Conv2d(3, 4, 3, padding=padding)(torch.randn(1, 3, 7, 7)).shape
    assert layer(torch.randn(1, 3, 7, 7)).shape == expected


def test_state_is_saved_with_the_support() -> None:
    first, second = linear(8, 6), DctSparseLinear(8, 6, range(6), [0] * 5 + [1])
    places = support(48, 9, seed=5)
    other = DctSparseLinear(8, 6, places // 8, places % 8)
    x = torch.randn(3, 8)
    assert not torch.allclose(other(x), first(x))
    other.load_state_dict(first.state_dict())
    torch.testing.assert_close(other(x), first(x))
    with pytest.raises(RuntimeError, match="size mismatch"):
        second.load_state_dict(first.state_dict())
    images, same = conv(CONVS[0]), DctSparseConv2d(3, 8, 3, [0] * 11, range(11), padding=1)
    same.load_state_dict(images.state_dict())
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(same(x), images(x))


def test_inference_before_training() -> None:
    layer = linear(37, 41, form="matrix")
    other = linear(37, 43, form="fast")
    with torch.inference_mode():
        layer(torch.randn(2, 37))
        other(torch.randn(2, 37))
    for one in (layer, other):
        one(torch.randn(2, 37, requires_grad=True)).sum().backward()
        assert one.alpha.grad is not None


def test_a_gradient_of_torch_func_before_training() -> None:
    layer = linear(38, 41, form="matrix")
    torch.func.grad(lambda x: layer(x).sum())(torch.randn(2, 38))
    layer(torch.randn(2, 38)).sum().backward()
    assert layer.alpha.grad is not None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_the_same_but_for_rounding(form: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for layer, x in ((linear(8, 6, form=form), torch.randn(3, 8)),
                     (conv(CONVS[3], form=form), torch.randn(2, 8, 5, 5))):  # fmt: skip
        down = torch.randn_like(layer(x))
        expected = by_layer(layer, x, down)
        found = by_layer(layer.to(dtype), x.to(dtype), down.to(dtype))
        for name, own in found.items():
            scale = float(expected[name].abs().max())
            assert own.dtype == dtype
            assert float((own.float() - expected[name]).abs().max()) < 0.05 * scale, name


def test_the_weight_is_the_matrix_of_the_whole_layer() -> None:
    flat, images = linear(8, 6), conv(CONVS[3])
    for layer in (flat, images):
        expected = naive_dct.dense(
            shape_of(layer), 0.7, layer.values.detach().numpy(), flat_places(layer)
        )
        np.testing.assert_allclose(layer.weight.detach(), expected, atol=1e-6)
        assert "weight" not in layer.state_dict()


@pytest.mark.parametrize("form", FORMS)
def test_no_points_at_all(form: str) -> None:
    assert linear(8, 6, form=form)(torch.randn(0, 8)).shape == (0, 6)
    assert conv(CONVS[3], form=form)(torch.randn(0, 8, 5, 5)).shape == (0, 12, 3, 3)


def test_a_copy_is_one_of_its_own() -> None:
    for layer, x in ((linear(8, 6), torch.randn(3, 8)), (conv(CONVS[0]), torch.randn(2, 3, 5, 5))):
        other = copy.deepcopy(layer)
        before = layer(x)
        torch.testing.assert_close(other(x), before)
        with torch.no_grad():
            other.values.add_(1)
        torch.testing.assert_close(layer(x), before)
        assert not torch.allclose(other(x), before)
        assert layer.to("meta")(x.to("meta")).shape == before.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DctSparseLinear(3, 2, [0, 2], [0, 0]), "rows hold 0 to 2, there are 0 to 1"),
        (lambda: DctSparseLinear(3, 2, [0], [3]), "columns hold 3 to 3, there are 0 to 2"),
        (lambda: DctSparseLinear(3, 2, [0], [-1]), "columns hold -1 to -1"),
        (lambda: DctSparseLinear(3, 2, [0, 0], [1, 1]), "1 of 2 places of S stand twice"),
        (lambda: DctSparseLinear(3, 2, [0, 0], [1]), r"rows are \[2\] and columns \[1\]"),
        (lambda: DctSparseLinear(3, 2, [0], [1], form="fft"), "form is 'fft'"),
        (lambda: DctSparseLinear(3, 2, [0.5], [1]), "rows are float64, they must be whole"),
        (lambda: DctSparseLinear(0, 2, [], []), "in_features is 0, it must be from 1 up"),
        (lambda: DctSparseConv2d(3, 0, 3, [], []), "out_channels is 0"),
        (lambda: DctSparseConv2d(3, 2, 0, [], []), "kernel_size is 0, it must be from 1 up"),
        (lambda: DctSparseConv2d(3, 2, 3, [], [], stride=0), "stride is 0"),
        (lambda: DctSparseConv2d(3, 2, 3, [], [], padding=-1), "padding is -1"),
        (lambda: DctSparseConv2d(3, 2, (3, 1), [0], [1]), r"kernel_size is \(3, 1\)"),
        (lambda: DctSparseConv2d(3, 2, 3, [0], [1], groups=2), "groups is 2, it must divide 3"),
        (lambda: DctSparseConv2d(3, 2, 2, [0], [1], padding="same"), "padding is 'same'"),
        (lambda: DctSparseConv2d(3, 2, 3, [0], [27]), "columns hold 27 to 27"),
    ],
)  # fmt: skip
def test_what_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
