"""The networks of DCT plus sparse: sizes, initial values, and with offsets against torch's."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
import torch.nn.functional as F
from naive_networks import plain, with_offset
from scipy import stats
from torch import nn

import combsearch.networks
from combsearch.errors import UsageError
from combsearch.nets import Arrays
from combsearch.networks import (
    NETWORKS,
    VGG,
    Architecture,
    FixupResNet,
    ImageNetwork,
    Layers,
    LeNet5,
    MobileNetV2,
    fixup_resnet,
    get_architecture,
    get_network,
)
from combsearch.networks.layers import Initial
from combsearch.networks.offset import DctOffset
from combsearch.networks.sizes import sizes
from combsearch.rng import RunKeys

CIFAR, FASHION, TINY = (3, 32, 32), (1, 28, 28), (3, 64, 64)

# Prunable and other parameters at 10 classes (Price and Tanner 2021, table E.1; LeNet-5 of their
# code), convolutions and linear layers, inputs of the last layer, whether it has biases.
PUBLISHED = {
    "resnet18": (11_164_352, 9_610, 1 + 16 + 3 + 1, 512, 1),
    "resnet50": (23_467_712, 53_130, 1 + 48 + 4 + 1, 2048, 1),
    "vgg19": (20_024_000, 11_018, 16 + 1, 512, 1),
    "mobilenetv2": (2_261_824, 35_098, 1 + 3 * 17 + 4 + 1 + 1, 1280, 1),
    "fixup_resnet110": (1_719_856, 282, 110, 64, 1),
    "lenet5": (61_510, 0, 5, 82, 0),
}

# All groups and strides of the published networks, with few filters.
NARROW_MOBILE = tuple(
    (t, c, n, s)
    for (t, _, n, s), c in zip(MobileNetV2().stages, (3, 4, 4, 5, 6, 6, 7), strict=True)
)
SMALL: dict[str, tuple[Architecture, tuple[int, int, int]]] = {
    "lenet": (LeNet5(), CIFAR),
    "framed lenet": (LeNet5((3, 4, 9), 5), (2, 28, 13)),
    "large lenet": (LeNet5((3, 4, 9), 5), (2, 40, 35)),
    "vgg": (VGG(widths=(3, 4, 5, 6, 6)), (3, 32, 32)),
    "odd vgg": (VGG((1, 2), (4, 3)), (1, 7, 10)),
    "mobilenet": (MobileNetV2(NARROW_MOBILE, stem=3, last=9), (3, 16, 16)),
    "odd mobilenet": (MobileNetV2(((2, 4, 2, 2), (1, 3, 1, 1)), stem=4, last=5), (1, 7, 9)),
    "fixup": (FixupResNet((2, 2, 2), (3, 6, 12)), (3, 12, 12)),
    "odd fixup": (FixupResNet((1, 2), (4, 5)), (1, 7, 10)),
}
OFFSETS = {
    "none": None,
    "trainable": DctOffset(),
    "fixed": DctOffset(trainable=False),
    "fast": DctOffset(form="fast"),
}


def make_keys(n: int) -> RunKeys:
    return RunKeys.make(5, np.arange(n) + 7, ["a"] * n, 9 * np.arange(n))


def small(name: str, offset: str = "none") -> ImageNetwork:
    architecture, image_shape = SMALL[name]
    return ImageNetwork(architecture, image_shape, 4, offset=OFFSETS[offset])


def shaken(network: ImageNetwork, n: int = 1) -> tuple[Arrays, Arrays]:
    """Parameters and state of n networks, float64, all moved from where they start."""
    rng = np.random.default_rng(1)
    params = {
        name: torch.tensor(array + rng.normal(size=array.shape) * width_of(array))
        for name, array in network.init(make_keys(n)).items()
    }
    state = {
        name: torch.tensor(array + rng.random(array.shape) / 5)
        for name, array in network.initial_state(n).items()
    }
    return params, state


def width_of(array: Any) -> float:
    """Deviation of a change to an array [net, ...] that leaves activations in their range."""
    return 0.2 if array.ndim < 3 else 0.5 / math.sqrt(math.prod(array.shape[2:]))


def one(arrays: Arrays, index: int = 0) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(array)[index] for name, array in arrays.items()}


def images(network: ImageNetwork, points: int = 4) -> torch.Tensor:
    made = torch.Generator().manual_seed(1)
    return torch.randn(points, *network.image_shape, generator=made, dtype=torch.float64)


def module_of(network: ImageNetwork, arrays: dict[str, torch.Tensor]) -> nn.Module:
    """The same network as a plain module, in double precision; a fixed alpha is its first."""
    module = plain(network).double()
    if network.offset is not None:
        with_offset(module)
        if not network.offset.trainable:
            trainable = dataclasses.replace(network, offset=DctOffset())
            first = {key: start.value for key, start in trainable.parameters.items()}
            alphas = [key for key in first if key.endswith(".alpha")]
            arrays = {key: torch.tensor(first[key], dtype=torch.float64) for key in alphas} | arrays
    found = module.double().load_state_dict(arrays, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in found.missing_keys)
    return module


# ---- sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [10, 100, 200])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str, classes: int) -> None:
    weights, other, layers, inputs, biases = PUBLISHED[name]
    weights, other = weights + (classes - 10) * inputs, other + (classes - 10) * biases
    network = get_network(name, TINY if classes == 200 else CIFAR, classes)
    standard, trainable, fixed = (
        sizes(dataclasses.replace(network, offset=offset))
        for offset in (None, DctOffset(), DctOffset(trainable=False))
    )
    assert (standard.weights, standard.other) == (weights, other)
    assert (trainable.weights, trainable.other) == (weights, other + layers)
    assert fixed == standard
    assert trainable.layers == standard.layers and len(standard.layers) == layers


def test_sizes_list_the_layers() -> None:
    found = sizes(get_network("lenet5", FASHION, 7))
    assert found.layers == (
        ("conv1.weight", (6, 1, 5, 5), 150),
        ("conv2.weight", (16, 6, 5, 5), 2_400),
        ("conv3.weight", (120, 16, 5, 5), 48_000),
        ("hidden.weight", (82, 120), 9_840),
        ("linear.weight", (7, 82), 574),
    )
    assert found.weights == 60_964 and found.other == 0
    assert sizes(get_network("linear", FASHION, 7)).other == 7


def test_the_documented_sizes_are_those_of_the_networks() -> None:
    text = combsearch.networks.__doc__ or ""
    rows = re.findall(r"^(\w+) +([\d,]+) +([\d,]+)$", text, re.MULTILINE)
    assert {name for name, *_ in rows} == {*NETWORKS, "resnet20x32"}
    for name, *totals in rows:
        for image_shape, total in zip((CIFAR, FASHION), totals, strict=True):
            found = sizes(get_network(name, image_shape, 10))
            assert f"{found.weights + found.other:,}" == total


# ---- against plain torch modules -----------------------------------------------------


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", SMALL)
def test_networks_equal_plain_modules(name: str, offset: str) -> None:
    """Logits in training and in use, running statistics, and every gradient."""
    network = small(name, offset)
    params, state = (one(arrays) for arrays in shaken(network))
    module, x = module_of(network, params | state), images(network)
    params = {key: a.requires_grad_() for key, a in params.items()}
    logits, moved = network.apply(params, state, x)
    expected = module.train()(x)
    assert expected.std() > 1e-3
    close(logits, expected)
    known = module.state_dict()
    for key, array in moved.items():
        close(array, known[key])
    close(network.evaluate(params, moved, x.flatten(1)), module.eval()(x))
    y = torch.arange(4)
    found = torch.autograd.grad(F.cross_entropy(logits, y), list(params.values()))
    learned = {key: p for key, p in module.named_parameters() if key in params}
    gradients = torch.autograd.grad(F.cross_entropy(expected, y), list(learned.values()))
    theirs = dict(zip(learned, gradients, strict=True))
    assert any(g.abs().max() > 1e-3 for g in gradients)
    for key, gradient in zip(params, found, strict=True):
        close(gradient, theirs[key])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("lenet5", DctOffset()),
        ("fixup_resnet20", DctOffset()),
        ("mobilenetv2", None),
        ("vgg19", None),
    ],
)
def test_published_networks_equal_plain_modules(name: str, offset: DctOffset | None) -> None:
    network = dataclasses.replace(get_network(name, CIFAR, 10), gain=math.sqrt(6), offset=offset)
    params, state = ({k: a.float() for k, a in one(arrays).items()} for arrays in shaken(network))
    x = images(network, 2).float()
    module = module_of(network, params | state).float()
    with torch.no_grad():
        logits, moved = network.apply(params, state, x)
        expected = module.train()(x)
        assert expected.std() > 1e-2
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
        used = network.evaluate(params, moved, x)
        torch.testing.assert_close(used, module.eval()(x), rtol=1e-4, atol=1e-4)


# ---- the two forms of the transform --------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        ("lenet", torch.float32, 1e-5),
        ("odd mobilenet", torch.float32, 1e-5),
        ("lenet", torch.float64, 1e-10),
        ("odd mobilenet", torch.float64, 1e-10),
        # In float32 58 layers with batch norm multiply what roundings differ by.
        ("mobilenet", torch.float64, 1e-10),
    ],
)
def test_matrix_and_fast_form_are_equal(name: str, dtype: torch.dtype, tolerance: float) -> None:
    found = []
    for form in ("matrix", "fast"):
        network = dataclasses.replace(small(name), offset=DctOffset(form=form))
        params, state = (one(arrays) for arrays in shaken(network))
        params = {key: a.to(dtype).requires_grad_() for key, a in params.items()}
        state = {key: a.to(dtype) for key, a in state.items()}
        x = images(network, 8).to(dtype).requires_grad_()
        logits, moved = network.apply(params, state, x)
        loss = F.cross_entropy(logits, torch.arange(8) % 4)
        gradients = torch.autograd.grad(loss, [x, *params.values()])
        found.append([logits.detach(), *moved.values(), *gradients])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    assert sum(float(a.abs().max()) > 1e-3 for a in found[0]) > len(found[0]) / 2


# ---- initial values of Fixup ---------------------------------------------------------


@pytest.mark.parametrize("name", ["fixup_resnet20", "fixup_resnet110"])
def test_fixup_starts_as_its_authors_say(name: str) -> None:
    blocks = (int(name[12:]) - 2) // 2
    network = dataclasses.replace(get_network(name, CIFAR, 10), gain=math.sqrt(6))
    params = one(network.init(make_keys(1)))
    deviation = {c: math.sqrt(2 / (3 * 3 * c)) * blocks**-0.5 for c in (16, 32, 64)}
    seen = []
    for key, array in params.items():
        layer, kind = key.rsplit(".", 1) if "." in key else ("", key)
        if layer == "conv1":  # the stem: deviation of He et al., sqrt(2 / fan in)
            check_uniform(array, math.sqrt(2 / 27))
        elif layer.endswith(".conv1"):
            seen.append(layer)
            check_uniform(array, deviation[len(array)])
        else:
            assert (array == (kind == "scale")).all(), key
    assert len(seen) == blocks
    x = images(network, 2).float()
    assert not network.apply(params, {}, x)[0].any()


def test_a_deviation_of_0_starts_the_bias_at_0_too() -> None:
    starts: dict[str, Initial] = {}

    def note(name: str, start: Initial) -> torch.Tensor:
        starts[name] = start
        return torch.zeros(start.shape)

    layers, images = Layers(note, note, training=False), torch.zeros(1, 2, 4, 4)
    layers.conv("conv", images, 3, bias=True, deviation=0)
    layers.linear("linear", images[:, :, 0, 0], 3, deviation=0)
    layers.conv("usual", images, 3, bias=True)
    assert starts["conv.bias"] == starts["linear.bias"] == Initial((3,))
    assert starts["usual.bias"] == Initial((3,), spread=1 / math.sqrt(2 * 9))


def check_uniform(array: torch.Tensor, deviation: float) -> None:
    flat, bound = array.numpy().reshape(-1), math.sqrt(3) * deviation
    assert np.abs(flat).max() <= bound * (1 + 1e-6)
    assert flat.std() == pytest.approx(deviation, rel=3 / math.sqrt(flat.size))
    assert stats.kstest(flat, "uniform", (-bound, 2 * bound)).pvalue > 1e-4


@pytest.mark.parametrize(("depth", "width"), [(20, 16), (8, 5)])
def test_first_alphas_of_fixup(depth: int, width: int) -> None:
    """A mean norm of the transform's filters that matches what normal weights would have."""
    network = ImageNetwork(fixup_resnet(depth, width), CIFAR, 10, offset=DctOffset())
    params = one(network.init(make_keys(1)))
    blocks, seen = (depth - 2) // 2, 0
    for name in network.prunable:
        assert not params[name].any()
        alpha = float(params[name.replace("weight", "alpha")])
        outputs, inputs = params[name].shape[0], params[name][0].numel()
        if name == "conv1.weight":
            assert alpha == 1
        elif name.endswith("conv1.weight"):
            deviation = math.sqrt(2 / (9 * outputs)) / math.sqrt(blocks)
            expected = stats.chi.mean(inputs, scale=deviation)
            q = max(inputs, outputs)
            kept = scipy.fft.dct(np.eye(q), norm="ortho")[:inputs, :outputs]
            norms = [math.sqrt(sum(kept[:, o] ** 2)) for o in range(outputs)]
            assert alpha == pytest.approx(math.sqrt(expected / np.mean(norms)), rel=1e-6)
            seen += 1
        else:
            assert alpha == 0
    assert seen == blocks
    assert not params["linear.bias"].any()
    assert not network.evaluate(params, {}, images(network, 2).float()).any()


def test_other_networks_start_with_alpha_1() -> None:
    for name in ("lenet", "vgg", "mobilenet"):
        network = small(name, "trainable")
        params = one(network.init(make_keys(1)))
        alphas = [a for key, a in params.items() if key.endswith(".alpha")]
        assert len(alphas) == len(network.prunable)
        assert all(a.shape == () and a == 1 for a in alphas)
        assert not any(params[key].any() for key in network.prunable)


# ---- many at once --------------------------------------------------------------------


@pytest.mark.parametrize("offset", ["none", "trainable", "fast"])
@pytest.mark.parametrize("name", ["lenet", "odd vgg", "odd mobilenet", "odd fixup"])
def test_two_at_once_equal_one_by_one(name: str, offset: str) -> None:
    network = small(name, offset)
    params, state = shaken(network, 2)
    x, y = images(network), torch.arange(4)

    def loss(params: Arrays, state: Arrays) -> Any:
        logits, moved = network.apply(params, state, x)
        return F.cross_entropy(logits, y), (logits, moved)

    gradients = torch.func.grad(loss, has_aux=True)
    found, (logits, moved) = torch.func.vmap(gradients)(params, state)
    used = torch.func.vmap(lambda p, s: network.evaluate(p, s, x))(params, state)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)
    for i in range(2):
        alone, (expected, stats_alone) = gradients(one(params, i), one(state, i))
        close(logits[i], expected)
        close(used[i], network.evaluate(one(params, i), one(state, i), x))
        for batch, single in ((found, alone), (moved, stats_alone)):
            assert set(batch) == set(single)
            for key, array in single.items():
                close(batch[key][i], array)


# ---- images and names ----------------------------------------------------------------


def test_frames_are_zeros_around_the_image() -> None:
    network = ImageNetwork(LeNet5(), FASHION, 3)
    params, _ = shaken(network)
    x = images(network)
    wide = torch.zeros(4, 1, 32, 32, dtype=torch.float64)
    wide[:, :, 2:30, 2:30] = x
    other = ImageNetwork(LeNet5(), (1, 32, 32), 3)
    assert torch.equal(network.evaluate(one(params), {}, x), other.evaluate(one(params), {}, wide))


@pytest.mark.parametrize(
    ("name", "image_shape", "least"),
    [("vgg19", (3, 15, 32), 16), ("mobilenetv2", (1, 28, 7), 8), ("fixup_resnet110", (1, 3, 3), 4)],
)
def test_images_may_be_too_small(name: str, image_shape: tuple[int, int, int], least: int) -> None:
    with pytest.raises(UsageError, match=f"pixels are too small .* from {least} up"):
        get_network(name, image_shape, 10)


@pytest.mark.parametrize("name", ["lenet5", "vgg19", "mobilenetv2", "fixup_resnet110"])
def test_the_smallest_images_leave_something(name: str) -> None:
    side = NETWORKS[name].smallest
    assert sizes(get_network(name, (1, side, side), 10)).weights


def test_names_of_fixup_networks() -> None:
    assert get_architecture("fixup_resnet20") == fixup_resnet(20) == FixupResNet((3, 3, 3))
    assert get_architecture("fixup_resnet110") is NETWORKS["fixup_resnet110"]
    assert NETWORKS["fixup_resnet110"] == FixupResNet()
    for depth in (8, 32, 56):
        network = get_network(f"fixup_resnet{depth}", CIFAR, 10)
        assert len(network.prunable) == depth
        # Four biases and a scale a block, two biases more, and ten of the last layer.
        assert sizes(network).other == 5 * (depth - 2) // 2 + 2 + 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fixup_resnet21", r"'fixup_resnet21': depth is 21, .* 6n \+ 2 layers: 8, 14, 20,"),
        ("fixup_resnet0", "'fixup_resnet0': depth is 0"),
        ("fixup_resnet", r"did you mean 'fixup_resnet110'\?.*; or fixup_resnet\{6n\+2\}, such as"),
        ("fixup_resnet020", "unknown network 'fixup_resnet020'"),
        ("fixup_resnet20 ", "unknown network 'fixup_resnet20 '"),
        ("vgg16", r"'vgg16', did you mean 'vgg19'\? .*mobilenetv2.*resnet\{6n\+2\}x\{width\}"),
        ("lenet", "did you mean 'lenet5'"),
    ],
)
def test_bad_names_are_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_network(name, CIFAR, 10)


def test_shortcuts_cannot_narrow() -> None:
    with pytest.raises(UsageError, match=r"widths is \(8, 4\), .* do not fall"):
        FixupResNet((1, 1), (8, 4))
