"""Networks as JSON for a page, against the arrays that they came from."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.report.network.data import WIDEST, network_json
from combsearch.rng import RunKeys

Array = npt.NDArray[Any]


def make_nets(text: str, n: int = 3, kept: float = 0.6, outputs: int = 1) -> NetBatch:
    """Biases are kept or not by themselves, unlike those of a search."""
    mlp, rng = MLP(NetShape.parse(text, outputs=outputs)), np.random.default_rng(1)
    keys = RunKeys.make(0, np.arange(n), ["0.05:cosine"] * n, np.zeros(n, int))
    params = mlp.init(keys)
    masks = {name: (rng.random(x.shape) < kept).astype(np.float32) for name, x in params.items()}
    return NetBatch.create(mlp, keys, masks)


def dense(network: dict[str, Any]) -> list[tuple[Array, Array]]:
    """(weight, bias) of each layer, written out from the sparse lists one by one."""
    found = []
    for layer, (rows, columns, values) in enumerate(network["weights"]):
        size = (network["widths"][layer + 1], network["widths"][layer])
        weight, bias = np.zeros(size, np.float32), np.zeros(size[0], np.float32)
        for row, column, value in zip(rows, columns, values, strict=True):
            weight[row, column] = value
        for row, value in zip(*network["biases"][layer], strict=True):
            bias[row] = value
        found.append((weight, bias))
    return found


def outputs(layers: list[tuple[Array, Array]], x: Array) -> Array:
    for place, (weight, bias) in enumerate(layers):
        x = x @ weight.T.astype(np.float64) + bias
        x = np.maximum(x, 0) if place < len(layers) - 1 else x
    return x


@pytest.mark.parametrize(("text", "heads"), [("3,2", 1), ("7,3,3", 1), ("16,16,16", 3), ("1", 2)])
def test_the_sparse_form_is_the_masked_network(text: str, heads: int) -> None:
    nets = make_nets(text, outputs=heads)
    for index in range(len(nets)):
        network = json.loads(json.dumps(network_json(nets, index)))
        assert network["widths"] == [2, *map(int, text.split(",")), heads]
        for layer, (weight, bias) in enumerate(dense(network)):
            for found, name in ((weight, f"weight{layer}"), (bias, f"bias{layer}")):
                wanted = nets.params[name][index] * nets.masks[name][index]
                np.testing.assert_array_equal(found, wanted)
        kept = sum(int(mask[index].sum()) for mask in nets.masks.values())
        stated = [*(w[2] for w in network["weights"]), *(b[1] for b in network["biases"])]
        assert sum(map(len, stated)) == kept


def test_a_kept_weight_of_zero_stays() -> None:
    nets = make_nets("2", n=1, kept=1.0)
    nets.params["weight0"][:] = 0
    network = network_json(nets)
    assert network["weights"][0] == [[0, 0, 1, 1], [0, 1, 0, 1], [0.0] * 4]


def test_a_batch_on_torch_gives_the_same() -> None:
    nets = make_nets("3,2")
    moved = nets.to_torch()
    assert isinstance(moved.params["weight0"], torch.Tensor)
    assert network_json(moved, 2) == network_json(nets, 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_numbers_come_back_to_the_bit(values: list[float]) -> None:
    nets = make_nets("2", n=1, kept=1.0)
    nets.params["weight0"][0] = np.array(values[:4], np.float32).reshape(2, 2)
    nets.params["bias0"][0] = np.array(values[4:], np.float32)
    network = json.loads(json.dumps(network_json(nets)))
    found = [*network["weights"][0][2], *network["biases"][0][1]]
    assert np.array(found, np.float32).tobytes() == np.array(values, np.float32).tobytes()


def test_numbers_are_as_short_as_they_can_be() -> None:
    nets = make_nets("2", n=1, kept=1.0)
    nets.params["weight0"][0] = np.array([[0.1, -2.5], [1e-7, 16777216]], np.float32)
    assert json.dumps(network_json(nets)["weights"][0][2]) == "[0.1, -2.5, 1e-07, 16777216.0]"


# ---- wide layers ----------------------------------------------------------------------


def wide(kept: list[int], width: int = 300) -> NetBatch:
    """Of both hidden layers these neurons, wired in a chain with a bias each; the rest is cut."""
    nets = make_nets(f"{width},{width}", n=1, kept=1.0)
    for name, mask in nets.masks.items():
        own = np.isin(np.arange(width), kept)
        sides = [own if size == width else np.ones(size, bool) for size in mask.shape[1:]]
        mask[0] = np.logical_and.outer(*sides) if len(sides) == 2 else sides[0]
        if mask.shape[1:] == (width, width):
            mask[0] *= np.eye(width)
        nets.params[name][0] = np.random.default_rng(2).normal(size=mask.shape[1:])
    return nets


def test_neurons_that_nothing_is_kept_of_are_left_out_of_wide_layers() -> None:
    kept = [0, 7, 150, 299]
    network = network_json(wide(kept))
    assert network["widths"] == [2, 4, 4, 1]
    assert network["weights"][1][:2] == [[0, 1, 2, 3], [0, 1, 2, 3]]
    nets = wide(kept)
    x = np.random.default_rng(3).normal(size=(50, 2))
    whole = [
        tuple(nets.params[f"{k}{i}"][0] * nets.masks[f"{k}{i}"][0] for k in ("weight", "bias"))
        for i in range(3)
    ]
    np.testing.assert_allclose(outputs(dense(network), x), outputs(whole, x), rtol=1e-12)


def test_a_neuron_stays_for_its_bias_its_input_or_its_output_alone() -> None:
    nets = wide([])
    nets.masks["bias0"][0, 5] = 1
    nets.masks["weight0"][0, 6, 1] = 1
    nets.masks["weight1"][0, 9, 7] = 1
    network = network_json(nets)
    assert network["widths"] == [2, 3, 1, 1]
    assert network["biases"][0][0] == [0] and network["weights"][0][:2] == [[1], [1]]
    assert network["weights"][1][:2] == [[0], [2]]


def test_layers_that_can_be_drawn_keep_all_their_neurons() -> None:
    network = network_json(make_nets(f"{WIDEST},3", n=1, kept=0.0))
    assert network["widths"] == [2, WIDEST, 3, 1]
    assert network_json(wide(list(range(WIDEST))))["widths"] == [2, WIDEST, WIDEST, 1]


def test_more_neurons_than_can_be_drawn_are_refused() -> None:
    with pytest.raises(UsageError, match=f"keeps {WIDEST + 1} neurons of a layer.*{WIDEST}; prune"):
        network_json(wide(list(range(WIDEST + 1))))


def test_a_network_too_wide_costs_no_memory() -> None:
    nets = make_nets("600,600", n=1, kept=1.0)
    tracemalloc.start()
    with pytest.raises(UsageError, match="keeps 600 neurons"):
        network_json(nets)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3e6  # each weight written out alone would take 30 MB


def test_what_is_no_mlp_is_refused() -> None:
    nets = make_nets("2", n=1)

    class Convolution:
        prunable, init, apply = nets.network.prunable, nets.network.init, nets.network.apply

    with pytest.raises(UsageError, match="a page shows an MLP, not a Convolution"):
        network_json(NetBatch(Convolution(), nets.params, nets.masks, nets.momenta))
