"""combsearch.connectivity: paths by walking them one at a time, functions by evaluating them."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import connected_parameters
from training import make_task

from combsearch import connectivity
from combsearch.config import Recipe
from combsearch.connectivity import (
    biases_kept,
    compact,
    connected,
    disconnected,
    effective_nonzeros,
    neurons,
    nonzeros,
)
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, mask_arrays
from combsearch.rng import RunKeys
from combsearch.trainers import get_trainer

Named = dict[str, npt.NDArray[Any]]
SHAPES = ("1", "2", "3", "2,2", "3,2", "1,3", "3,3,3", "2,1,3", "4,2,3,2")


def make_nets(shape: NetShape, seed: int, density: float, pruned_biases: bool) -> NetBatch:
    """One MLP with random weights under a random mask, eligible or not."""
    rng = np.random.default_rng(seed)
    masks: Named = {
        f"weight{layer}": np.asarray(rng.random((1, *size)) < density)
        for layer, size in enumerate(shape.layers)
    }
    for layer in range(len(shape.layers)):
        row = np.asarray(masks[f"weight{layer}"].any(axis=2))
        masks[f"bias{layer}"] = rng.random(row.shape) < density if pruned_biases else row
    keys = RunKeys.make(seed, np.arange(1), ["0.05:cosine"], np.zeros(1, int))
    return NetBatch.create(MLP(shape), keys, masks)


@st.composite
def networks(draw: st.DrawFn) -> NetBatch:
    shape = NetShape.parse(draw(st.sampled_from(SHAPES)), outputs=draw(st.integers(1, 2)))
    density = draw(st.sampled_from([0.0, 0.1, 0.2, 0.4, 0.6, 0.9, 1.0]))
    nets = make_nets(shape, draw(st.integers(0, 10**6)), density, draw(st.booleans()))
    emptied = draw(st.sampled_from([None, None, *nets.masks]))
    return nets if emptied is None else without(nets, emptied)


def without(nets: NetBatch, name: str) -> NetBatch:
    """The same networks with one layer's weights or biases all pruned."""
    gone = {name: np.zeros_like(nets.params[name])}
    return NetBatch(
        nets.network, {**nets.params, **gone}, {**nets.masks, **gone}, {**nets.momenta, **gone}
    )


def outputs(shape: NetShape, params: Named, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Logits [point, out] in float64, one layer after the other."""
    h = x.astype(np.float64)
    last = len(shape.layers) - 1
    for layer in range(last + 1):
        h = h @ params[f"weight{layer}"][0].T.astype(np.float64) + params[f"bias{layer}"][0]
        h = h if layer == last else np.maximum(h, 0)
    return h


def paths(shape: NetShape, masks: Named) -> list[tuple[int, ...]]:
    """Every path of kept weights from an input to an output, as its neurons."""
    return [
        path
        for path in itertools.product(*map(range, shape.widths))
        if all(
            masks[f"weight{layer}"][0][j][i]
            for layer, (i, j) in enumerate(itertools.pairwise(path))
        )
    ]


def leads_out(shape: NetShape, masks: Named, layer: int, neuron: int) -> bool:
    if layer == len(shape.layers):
        return True
    return any(
        masks[f"weight{layer}"][0][j][neuron] and leads_out(shape, masks, layer + 1, j)
        for j in range(shape.widths[layer + 1])
    )


@settings(max_examples=150, deadline=None)
@given(networks())
def test_weights_count_when_a_path_goes_through_them(nets: NetBatch) -> None:
    assert isinstance(nets.network, MLP)
    shape, kept = nets.network.shape, connected(nets.masks)
    on_path = {
        (layer, j, i)
        for path in paths(shape, nets.masks)
        for layer, (i, j) in enumerate(itertools.pairwise(path))
    }
    fed = {(layer + 1, j) for layer, j, _ in on_path} | {(0, i) for i in range(shape.inputs)}
    for layer, (rows, columns) in enumerate(shape.layers):
        for j, i in itertools.product(range(rows), range(columns)):
            counts = bool(kept[f"weight{layer}"][0][j][i])
            if (layer, j, i) in on_path:
                assert counts
            elif counts:  # then it stands in for the bias of a neuron that has none
                assert not nets.masks[f"bias{layer}"][0][j]
                assert (layer, i) not in fed and leads_out(shape, nets.masks, layer + 1, j)
        for j in range(rows):
            lives = nets.masks[f"bias{layer}"][0][j] and leads_out(shape, nets.masks, layer + 1, j)
            assert bool(kept[f"bias{layer}"][0][j]) == bool(lives)
    total = sum(int(bits.sum()) for bits in kept.values())
    assert effective_nonzeros(nets).tolist() == [total]
    assert total <= nonzeros(nets)[0] == sum(int(m.sum()) for m in nets.masks.values())


@settings(max_examples=250, deadline=None)
@given(networks())
def test_exactly_what_a_walk_over_all_paths_counts(nets: NetBatch) -> None:
    assert isinstance(nets.network, MLP)
    shape, found = nets.network.shape, connected(nets.masks)
    depth = range(len(shape.layers))
    weights, biases = connected_parameters(
        list(shape.widths),
        [nets.masks[f"weight{layer}"][0] for layer in depth],
        [nets.masks[f"bias{layer}"][0] for layer in depth],
    )
    for layer in depth:
        rows = np.argwhere(found[f"weight{layer}"][0]).tolist()
        assert {(layer, *row) for row in rows} == {w for w in weights if w[0] == layer}
        outs = np.flatnonzero(found[f"bias{layer}"][0]).tolist()
        assert {(layer, out) for out in outs} == {b for b in biases if b[0] == layer}
    assert effective_nonzeros(nets).tolist() == [len(weights) + len(biases)]
    assert disconnected(nets) == nonzeros(nets) - effective_nonzeros(nets)


@settings(max_examples=150, deadline=None)
@given(networks())
def test_a_network_of_so_many_nonzeros_has_the_same_function(nets: NetBatch) -> None:
    """Constants move into biases that count; nothing else is needed."""
    assert isinstance(nets.network, MLP)
    shape, kept = nets.network.shape, connected(nets.masks)
    found = neurons(nets.masks)
    params = {name: p.astype(np.float64) * kept[name] for name, p in nets.params.items()}
    value = np.zeros(shape.inputs)  # of the constants: any point will do
    for layer in range(len(shape.layers)):
        weight = nets.params[f"weight{layer}"][0].astype(np.float64)
        dropped = weight * ~kept[f"weight{layer}"][0] * found.constant[layer][0]
        moved = dropped @ value
        assert not moved[~kept[f"bias{layer}"][0] & found.reaching[layer + 1][0]].any()
        params[f"bias{layer}"][0] += moved * kept[f"bias{layer}"][0]
        value = np.maximum(weight @ value + nets.params[f"bias{layer}"][0], 0)
    x = np.random.default_rng(1).normal(size=(20, shape.inputs))
    np.testing.assert_allclose(outputs(shape, params, x), outputs(shape, nets.params, x), atol=1e-9)
    assert sum(np.count_nonzero(p) for p in params.values()) <= effective_nonzeros(nets)[0]


@settings(max_examples=150, deadline=None)
@given(networks())
def test_compact_keeps_the_function_and_drops_what_is_dead(nets: NetBatch) -> None:
    assert isinstance(nets.network, MLP)
    small = compact(nets)
    assert isinstance(small.network, MLP)
    x = np.random.default_rng(1).normal(size=(20, nets.network.shape.inputs))
    np.testing.assert_allclose(
        outputs(small.network.shape, small.params, x),
        outputs(nets.network.shape, nets.params, x),
        atol=1e-9,
    )
    assert effective_nonzeros(small) == effective_nonzeros(nets)
    assert nonzeros(small) <= nonzeros(nets)
    for layer, live in enumerate(neurons(small.masks).live[1:-1]):
        if not live.all():  # of a layer that is dead one neuron stays, connected to nothing
            assert live.shape == (1, 1)
            around = (f"weight{layer}", f"bias{layer}", f"weight{layer + 1}")
            assert not any(small.masks[name].any() or small.params[name].any() for name in around)
    again = compact(small)
    assert again.network == small.network
    for name, mask in small.masks.items():
        np.testing.assert_array_equal(again.masks[name], mask)
        np.testing.assert_array_equal(again.params[name], small.params[name])


def test_compact_trains_as_the_whole_network_does() -> None:
    import torch

    def descend(nets: NetBatch) -> npt.NDArray[Any]:
        assert isinstance(nets.network, MLP)
        tensors = {n: torch.tensor(p[0].astype(np.float64)) for n, p in nets.params.items()}
        x = torch.tensor(np.random.default_rng(2).normal(size=(64, 2)))
        for _ in range(25):
            for tensor in tensors.values():
                tensor.requires_grad_(True)
            logits, _ = nets.network.apply(tensors, {}, x)
            loss = torch.nn.functional.softplus(logits * torch.sign(x[:, 0] * x[:, 1])).mean()
            gradients = torch.autograd.grad(loss, list(tensors.values()))
            tensors = {
                name: (tensor.detach() - 0.3 * g) * torch.tensor(nets.masks[name][0])
                for (name, tensor), g in zip(tensors.items(), gradients, strict=True)
            }
        return np.asarray(nets.network.apply(tensors, {}, x)[0])

    smaller = 0
    for seed in range(12):
        nets = make_nets(NetShape.parse("5,4,4"), seed, 0.45, pruned_biases=seed % 2 == 0)
        small = compact(nets)
        smaller += small.network != nets.network
        np.testing.assert_allclose(descend(small), descend(nets), atol=1e-9)
    assert smaller > 6


@pytest.mark.parametrize("name", ["loop", "fused"])
def test_trainers_train_the_compacted_network_alike(name: str) -> None:
    """Only rounding differs: the same minibatches, 20 steps with momentum and weight decay."""
    task, recipe, smaller = make_task(640), Recipe(epochs=4, lr=0.1), 0
    for seed in range(8):
        nets = make_nets(NetShape.parse("6,5,4"), seed, 0.4, pruned_biases=seed % 2 == 0)
        keys = RunKeys.make(seed, np.arange(1), ["0.1:cosine"], np.zeros(1, int))
        small = compact(nets)
        smaller += small.network != nets.network
        trained = [get_trainer(name).fit(n, task, recipe, keys) for n in (small, nets)]
        found, expected = [outputs(n.network.shape, n.params, task.x) for n in trained]  # type: ignore[attr-defined]
        np.testing.assert_allclose(found, expected, atol=2e-5)
        np.testing.assert_array_equal(effective_nonzeros(trained[0]), effective_nonzeros(nets))
    assert smaller > 4


def test_many_wide_networks_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, rng = NetShape.parse("24,24,24"), np.random.default_rng(0)
    masks: Named = {}
    for layer, size in enumerate(shape.layers):
        masks[f"weight{layer}"] = (rng.random((200, *size)) < 0.03).astype(np.float32)
        masks[f"bias{layer}"] = (rng.random((200, size[0])) < 0.9).astype(np.float32)
    nets = NetBatch(MLP(shape), masks, masks, masks)
    whole = nonzeros(nets), effective_nonzeros(nets), disconnected(nets), biases_kept(nets)
    assert len(set(whole[1])) > 5 and (whole[2] > 0).any()
    monkeypatch.setattr(connectivity, "_CHUNK", 5 * shape.parameters)
    tracemalloc.start()
    few = nonzeros(nets), effective_nonzeros(nets), disconnected(nets), biases_kept(nets)
    assert tracemalloc.get_traced_memory()[1] < 40 * shape.parameters
    tracemalloc.stop()
    for found, expected in zip(few, whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    none = nets[:0]
    assert [len(f(none)) for f in (nonzeros, effective_nonzeros, biases_kept)] == [0, 0, 0]


def named(weights: list[list[list[int]]], biases: list[list[int]]) -> Named:
    masks: Named = {f"weight{i}": np.array([w], np.float32) for i, w in enumerate(weights)}
    return masks | {f"bias{i}": np.array([b], np.float32) for i, b in enumerate(biases)}


def test_constants_by_hand() -> None:
    # Neuron 1 of layer 0 has a bias and no inputs; neuron 2 nothing; 3 leads nowhere.
    first = [[1, 0], [0, 0], [0, 0], [1, 1]]
    second = [[1, 1, 1, 0], [0, 1, 0, 0]]
    masks = named([first, second, [[1, 1]]], [[1, 1, 0, 1], [1, 1], [1]])
    kept = connected(masks)
    assert kept["weight0"][0].astype(int).tolist() == [[1, 0], [0, 0], [0, 0], [0, 0]]
    assert kept["bias0"][0].astype(int).tolist() == [1, 1, 0, 0]
    assert kept["weight1"][0].astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert kept["bias1"][0].astype(int).tolist() == [1, 1]
    assert kept["weight2"][0].astype(int).tolist() == [[1, 0]]
    # Without a bias of its own, layer 1's first neuron takes the constant for one.
    pruned = connected({**masks, "bias1": np.array([[0, 1]])})
    assert pruned["weight1"][0].astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    # A network without any path is the constant of its output's bias.
    none = connected({**masks, "weight0": np.zeros((1, 4, 2))})
    assert not none["weight0"].any() and not none["weight1"].any() and not none["weight2"].any()
    assert none["bias2"].tolist() == [[True]]


def test_of_an_eligible_mask_everything_counts() -> None:
    shape, rng = NetShape.parse("4,3,3"), np.random.default_rng(3)
    masks = MaskBatch.from_dense(shape, [rng.random((4000, *size)) < 0.7 for size in shape.layers])
    masks = masks[np.flatnonzero(masks.eligible())]
    assert len(masks) > 50
    arrays = mask_arrays(masks)
    for name, kept in connected(arrays).items():
        np.testing.assert_array_equal(kept, arrays[name] != 0)
    keys = RunKeys.make(0, np.arange(len(masks)), ["0.1:step"] * len(masks), np.zeros(len(masks)))
    nets = NetBatch.create(MLP(shape), keys, masks)
    np.testing.assert_array_equal(effective_nonzeros(nets), masks.nonzeros())
    np.testing.assert_array_equal(nonzeros(nets), masks.nonzeros())
    assert biases_kept(nets).all()
    assert compact(nets, 7).network == nets.network


def test_biases_kept_asks_for_those_of_neurons_that_lead_out() -> None:
    kept = named([[[1, 0], [0, 1]], [[1, 0]]], [[1, 0], [1]])
    zeros = {name: np.zeros_like(mask) for name, mask in kept.items()}

    def judge(masks: Named) -> list[bool]:
        return list(biases_kept(NetBatch(MLP(NetShape((2, 2, 1))), zeros, masks, zeros)))

    assert judge(kept) == [True]  # the second neuron leads nowhere
    assert judge({**kept, "weight1": np.array([[[1.0, 1]]])}) == [False]
    assert judge({**kept, "bias1": np.array([[0.0]])}) == [False]


def test_what_is_no_mlp_is_refused() -> None:
    with pytest.raises(UsageError, match="that of an MLP"):
        connected({"conv": np.ones((1, 3, 3))})
    with pytest.raises(UsageError, match="that of an MLP"):
        connected({"weight0": np.ones((1, 3, 3))})
    with pytest.raises(UsageError, match=r"masks of layer 1 .* expected \[net, out, 2\]"):
        connected(
            {
                "weight0": np.ones((1, 2, 2)),
                "bias0": np.ones((1, 2)),
                "weight1": np.ones((1, 1, 3)),
                "bias1": np.ones((1, 1)),
            }
        )

    class Other:
        prunable = ()

    with pytest.raises(UsageError, match="cannot compact a Other"):
        compact(NetBatch(Other(), {}, {}, {}))  # type: ignore[arg-type]
