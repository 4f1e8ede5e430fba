"""A user's module as DCT plus sparse: what is replaced, what is refused, what it stores."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import naive_dct
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from combsearch.errors import UsageError
from combsearch.networks.dct_modules import DctSparseConv2d, DctSparseLinear
from combsearch.studies.dctps.convert import dct_plus_sparse

Layer = DctSparseLinear | DctSparseConv2d


class Net(nn.Module):
    """Layers in a list, in a child, one used twice, a norm and a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False)])
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(128, 12), nn.LayerNorm(12))
        self.again = nn.Linear(12, 12)
        self.same = self.again
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = self.head(self.blocks[0](x))
        found: torch.Tensor = self.same(F.relu(self.again(x))) * self.scale
        return found


WEIGHTS = [3 * 8 * 9, 8 * 9, 128 * 12, 12 * 12]
PATHS = ["stem", "blocks.0", "head.1", "again"]


def layers_of(module: nn.Module) -> list[Layer]:
    return [m for m in module.modules() if isinstance(m, DctSparseLinear | DctSparseConv2d)]


@pytest.mark.parametrize("allocation", ["epl", "epf", "erk", "uniform"])
@pytest.mark.parametrize("density", [0.01, 0.1, 0.333, 1.0])
def test_the_budget_is_spent_exactly(allocation: str, density: float) -> None:
    small = dct_plus_sparse(Net(), density, allocation)
    found = layers_of(small)
    assert sum(len(layer.values) for layer in found) == round(density * sum(WEIGHTS))
    assert all(len(layer.values) > 0 for layer in found) and len(found) == 4
    biases = 8 + 12 + 12
    norms, scale, alphas = 16 + 24, 1, 4
    stored = sum(p.numel() for p in small.parameters())
    assert stored == round(density * sum(WEIGHTS)) + biases + norms + scale + alphas


def test_shares_of_the_allocations() -> None:
    def counts(allocation: str, density: float) -> list[int]:
        return [len(one.values) for one in layers_of(dct_plus_sparse(Net(), density, allocation))]

    total = sum(WEIGHTS)
    assert counts("epl", 40 / total) == [10, 10, 10, 10]
    assert counts("epf", 40 / total) == [8, 8, 12, 12]
    assert counts("uniform", 0.125) == [27, 9, 192, 18]


def test_it_computes_what_the_dense_layers_would() -> None:
    net: Any = Net().double().eval()
    with torch.no_grad():
        net.norm.running_mean += 0.3
        net.norm.weight *= 1.7
    small = dct_plus_sparse(net, 0.2, seed=4, alpha=0.9)
    with torch.no_grad():
        for layer in layers_of(small):
            layer.values.normal_(std=0.1)
    dense = copy.deepcopy(net)
    for path, own in zip(PATHS, layers_of(small), strict=True):
        old: Any = dense.get_submodule(path)
        shape = tuple(old.weight.shape)
        if isinstance(own, DctSparseConv2d):
            places = own.places
        else:
            rows = torch.repeat_interleave(torch.arange(shape[0]), own.rows.diff())
            places = rows * shape[1] + own.columns
        weight = naive_dct.dense(shape, 0.9, own.values.detach().numpy(), places.numpy())
        old.weight = nn.Parameter(naive_dct.tensor(weight, torch.float64))
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(small(x), dense(x))
    assert not torch.allclose(small(x), net(x))


def test_the_module_itself_stays_and_all_else_is_copied() -> None:
    net = Net().eval()
    net.same.bias.requires_grad_(False)
    before = {name: p.clone() for name, p in net.state_dict().items()}
    small: Any = dct_plus_sparse(net, 0.1)
    kind: Any = type(small)
    assert kind is Net and not small.training and not small.stem.training
    assert small.same is small.again and len(layers_of(small.same)) == 1
    assert small.stem.bias.requires_grad and not small.same.bias.requires_grad
    torch.testing.assert_close(small.stem.bias, net.stem.bias)
    with torch.no_grad():
        for p in small.parameters():
            p.fill_(3)
    for name, p in net.state_dict().items():
        torch.testing.assert_close(p, before[name])


def test_a_layer_by_itself() -> None:
    layer = dct_plus_sparse(nn.Linear(20, 10, bias=False), 0.25, form="fast", trainable=False)
    assert isinstance(layer, DctSparseLinear) and layer.offset.form == "fast"
    assert [name for name, _ in layer.named_parameters()] == ["values"]
    assert len(layer.values) == 50


def test_supports_follow_the_seed() -> None:
    states = [dct_plus_sparse(Net(), 0.1, seed=seed).state_dict() for seed in (0, 0, 1)]
    same = [torch.equal(states[0]["stem.places"], s["stem.places"]) for s in states[1:]]
    assert same == [True, False]
    # Layers of one shape do not share theirs.
    both = dct_plus_sparse(nn.Sequential(nn.Linear(30, 30), nn.Linear(30, 30)), 0.1).state_dict()
    assert not torch.equal(both["0.columns"], both["1.columns"])


def test_it_trains() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(64, 3, 8, 8), torch.randint(0, 12, (64,))
    small = dct_plus_sparse(Net(), 0.2)
    optimizer = torch.optim.Adam(small.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(small(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all(layer.alpha.item() != 1 for layer in layers_of(small))
    again = dct_plus_sparse(Net(), 0.2, seed=9)
    again.load_state_dict(small.state_dict())
    torch.testing.assert_close(again.eval()(x), small.eval()(x))


REFUSED: list[tuple[nn.Module, str]] = [
    (nn.ConvTranspose2d(3, 4, 3), "ConvTranspose2d"),
    (nn.Conv1d(3, 4, 3), "Conv1d"),
    (nn.Conv3d(3, 4, 3), "Conv3d"),
    (nn.LSTM(3, 4), "LSTM"),
    (nn.GRUCell(3, 4), "GRUCell"),
    (nn.MultiheadAttention(8, 2), "MultiheadAttention"),
    (nn.Embedding(5, 3), "Embedding"),
    (nn.Bilinear(3, 3, 2), "Bilinear"),
    (nn.LazyLinear(3), "LazyLinear"),
    (nn.Conv2d(3, 4, 3, dilation=2), "Conv2d"),
    (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), "Conv2d"),
    (nn.Conv2d(3, 4, (3, 1)), "Conv2d"),
    (nn.Conv2d(3, 4, 3, stride=(2, 1)), "Conv2d"),
    (nn.Conv2d(3, 4, 3, padding=(1, 0)), "Conv2d"),
    (nn.Conv2d(3, 4, 2, padding="same"), "Conv2d"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), "ParametrizedLinear"),
]


@pytest.mark.parametrize(("layer", "kind"), REFUSED, ids=lambda value: str(value)[:20])
def test_layers_without_a_form_are_named(layer: nn.Module, kind: str) -> None:
    module = nn.ModuleDict({"first": nn.Linear(3, 3), "deep": nn.ModuleList([layer])})
    with pytest.raises(UsageError) as told:
        dct_plus_sparse(module, 0.5)
    text = str(told.value)
    assert f"layer 'deep.0', of type {kind}," in text and "Linear and Conv2d" in text
    assert "\n" not in text
    kept = dct_plus_sparse(module, 0.5, keep=["deep"])
    assert [type(m) for m in kept.modules()].count(type(layer)) == 1
    assert len(layers_of(kept)) == 1


def test_a_layer_without_a_form_at_the_top() -> None:
    with pytest.raises(UsageError, match="the module itself, of type Embedding, has weights"):
        dct_plus_sparse(nn.Embedding(3, 3), 0.5)


def test_layers_that_would_lose_something() -> None:
    hooked = nn.Linear(3, 3)
    hooked.register_forward_hook(lambda *_: None)
    with pytest.raises(UsageError, match=r"'0', of type Linear, has hooks"):
        dct_plus_sparse(nn.Sequential(hooked), 0.5)
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    with pytest.raises(UsageError, match=r"'0', of type Linear, shares its weights or bias with 1"):
        dct_plus_sparse(tied, 0.5)
    head = nn.ModuleDict({"words": nn.Embedding(9, 4), "head": nn.Linear(4, 9)})
    head["head"].weight = head["words"].weight
    with pytest.raises(UsageError, match=r"'head', of type Linear, shares .* with words"):
        dct_plus_sparse(head, 0.5, keep=["words"])
    biases = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    biases[1].bias = biases[0].bias
    with pytest.raises(UsageError, match="shares its weights or bias"):
        dct_plus_sparse(biases, 0.5)
    backward = nn.Linear(3, 3)
    backward.register_full_backward_hook(lambda *_: None)
    with pytest.raises(UsageError, match="of type Linear, has hooks"):
        dct_plus_sparse(backward, 0.5)


def test_a_layer_that_stands_twice_is_kept_by_either_path() -> None:
    for path in ("again", "same"):
        small: Any = dct_plus_sparse(Net(), 0.1, keep=[path])
        kind: Any = type(small.same)
        assert kind is nn.Linear and small.same is small.again
        assert len(layers_of(small)) == 3


def test_what_is_converted_stays_when_converted_again() -> None:
    first: Any = dct_plus_sparse(Net(), 0.1, keep=["again"])
    second = dct_plus_sparse(first, 1.0)
    counts = [len(layer.values) for layer in layers_of(second)]
    assert counts == [*(len(layer.values) for layer in layers_of(first)), 144]
    with pytest.raises(UsageError, match="there is no layer to replace"):
        dct_plus_sparse(second, 0.5)


def test_a_layer_of_transformers_in_use() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0)
    small = dct_plus_sparse(layer, 0.5, keep=["self_attn"])
    x = torch.randn(2, 3, 8)
    expected = small(x)
    with torch.inference_mode():  # torch reads the layers' weights here, and does without them
        torch.testing.assert_close(small.eval()(x), expected)


@pytest.mark.parametrize("density", [0, -0.1, 1.1, float("nan"), float("inf"), True])
def test_densities_out_of_range(density: float) -> None:
    with pytest.raises(UsageError, match=r"density is .*, it must be a share above 0"):
        dct_plus_sparse(Net(), density)


def test_other_bad_input() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"density": 0.001}, "less than one for each of 4 layers; take a density from 0.00203"),
        ({"allocation": "even"}, "unknown allocation 'even'"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 0.5}, "seed is 0.5, it must be a whole number"),
        ({"form": "quick"}, "form is 'quick'"),
        ({"keep": ["stem", "tail"]}, "keep names tail"),
        ({"keep": PATHS}, "there is no layer to replace"),
    ]
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            dct_plus_sparse(Net(), **{"density": 0.1, **options})
    with pytest.raises(UsageError, match="there is no layer to replace"):
        dct_plus_sparse(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3)), 0.1)


def test_the_least_density_that_is_named_is_enough() -> None:
    least = 0.00204
    assert len(layers_of(dct_plus_sparse(Net(), least))) == 4
    assert all(
        a == b
        for a, b in itertools.pairwise(
            len(layer.values) for layer in layers_of(dct_plus_sparse(Net(), least))
        )
    )
