"""Figures of pruned networks and of random masks: every mark against the numbers behind it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from test_plots import assert_readable, found, only, rings, texts

from combsearch import plots
from combsearch.connectivity import disconnected, effective_nonzeros
from combsearch.disconnection import disconnected_curve, whole_bound, whole_curve
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.plots import Pruned
from combsearch.rng import RunKeys

Named = dict[str, npt.NDArray[Any]]


def by_hand() -> NetBatch:
    """Shape (4,3): one path of three weights, and one of each kind of disconnected weight."""
    first, second = np.zeros((1, 4, 2)), np.zeros((1, 3, 4))
    last = np.array([[[1.0, 0, 1]]])
    first[0, 0, 0] = first[0, 1, 1] = 1  # the second leads nowhere
    second[0, 0, 0] = second[0, 2, 2] = 1  # the latter comes from nowhere
    masks = {"weight0": first, "weight1": second, "weight2": last}
    biases = {"bias0": [[1.0, 0, 1, 0]], "bias1": [[1.0, 0, 1]], "bias2": [[1.0]]}
    return create("4,3", {**masks, **{name: np.array(bias) for name, bias in biases.items()}})


def create(hidden: str, masks: Named | MaskBatch | None, seed: int = 0) -> NetBatch:
    keys = RunKeys.make(seed, np.arange(1), ["0.1:cosine"], np.zeros(1, int))
    return NetBatch.create(MLP(NetShape.parse(hidden)), keys, masks)


def at_random(hidden: str, kept: int, seed: int) -> NetBatch:
    shape, rng = NetShape.parse(hidden), np.random.default_rng(seed)
    flat = np.zeros(shape.weights)
    flat[rng.choice(shape.weights, kept, replace=False)] = 1
    parts = np.split(flat, np.cumsum([rows * columns for rows, columns in shape.layers])[:-1])
    dense = [p.reshape(1, *layer) for p, layer in zip(parts, shape.layers, strict=True)]
    return create(hidden, MaskBatch.from_dense(shape, dense), seed)


def test_a_pruned_network_shows_what_is_disconnected() -> None:
    nets = by_hand()
    figure = plots.pruned_network(nets, rings(), "SNIP", accuracy=0.97654)
    assert len(only(figure, "edges").get_paths()) == 3
    assert len(only(figure, "disconnected").get_paths()) == 3
    # Neurons 1 and 2 of the first layer and 2 of the second, and one in the key; of two of
    # them the bias counts. Nothing is left of neuron 3 and of neuron 1 of the second layer.
    assert len(found(figure, "loose")) == 3 + 1
    assert len(found(figure, "bias")) == 3 + 2
    written = texts(figure)
    assert "SNIP (4,3): 97.65%" in written
    # Six weights, of them three count, and five biases, which all do.
    assert "11 nonzeros, 8 effective, 3 disconnected" in written
    assert disconnected(nets) == [3] and effective_nonzeros(nets) == [8]
    assert any(text.startswith("disconnected weight") for text in written)
    assert_readable(figure)


def test_a_network_without_any_says_so_by_saying_nothing() -> None:
    nets = create("3,2", None)
    figure = plots.pruned_network(nets, rings(), "found")
    assert only(figure, "disconnected").get_paths() == [] and not found(figure, "loose")
    written = texts(figure)
    assert "20 nonzeros" in written and not any("disconnected" in text for text in written)
    right = dataclasses.replace(nets)  # drawing changes nothing
    for name, param in right.params.items():
        np.testing.assert_array_equal(param, create("3,2", None).params[name])


def test_accuracy_and_collapse_are_stated() -> None:
    nets = at_random("16,16,16", 30, seed=4)
    figure = plots.pruned_network(nets, rings(), "random")
    assert "random (16,16,16): 50.00%, no path" in texts(figure)
    assert only(figure, "edges").get_paths() == []
    lost = sum(int(nets.masks[f"weight{layer}"].sum()) for layer in range(4))
    assert len(only(figure, "disconnected").get_paths()) == lost == 30


def test_networks_stand_side_by_side() -> None:
    nets = [create("3,2,2", None), by_hand(), at_random("256,256,256", 65, 1)]
    named = [Pruned(name, one) for name, one in zip("abc", nets, strict=True)]
    figure = plots.pruned_beside(named, rings())
    assert figure.get_figwidth() == pytest.approx(7)
    titles = {text.get_text()[0]: text for text in figure.axes[0].texts if "%" in text.get_text()}
    (ax, ay), (bx, by), (cx, cy) = (titles[name].get_position() for name in "abc")
    assert ax == cx < bx and ay == by > cy
    loose = [int(disconnected(one)[0]) for one in nets]
    assert sum(len(d.get_paths()) for d in found(figure, "disconnected")) == 0 + 3 + 65
    assert loose[0] == 0 and loose[1] == 3 and loose[2] >= 65
    assert_readable(figure)
    assert_readable(plots.pruned_beside(named[:2], rings()))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match="no networks to draw"):
        plots.pruned_beside([], rings())
    with pytest.raises(UsageError, match="can draw one MLP, not 2 of"):
        plots.pruned_network(NetBatch.concat([by_hand(), by_hand()]), rings())
    shape = NetShape((3, 2, 1))
    keys = RunKeys.make(0, np.arange(1), ["0.1:cosine"], np.zeros(1, int))
    with pytest.raises(UsageError, match="this one has 3 and 1"):
        plots.pruned_network(NetBatch.create(MLP(shape), keys), rings())


def curve(width: int, drawn: str = "uniform") -> dict[str, Any]:
    shape = NetShape.from_hidden((width,) * 3)
    kept = list(range(4, 21))
    wholes, means = whole_curve(shape, 20), disconnected_curve(shape, 20)
    point = {"kept": 12, "whole": 3, "samples": 100, "interval": [0.006, 0.085], "mean": 7.5}
    return {
        "drawn": drawn,
        "width": width,
        "kept": kept,
        "whole": [float(wholes[k]) for k in kept],
        "bound": [whole_bound(shape, k) for k in kept],
        "disconnected": [float(means[k]) for k in kept],
        "simulated": [point, {**point, "kept": 14, "whole": 0}],
    }


def heights(line: Any) -> list[float]:
    return [float(y) for y in line.get_ydata()]


def test_random_masks_are_drawn_as_they_are() -> None:
    curves = [curve(3), curve(6), curve(3, "EPL")]
    figure = plots.random_disconnection(curves)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["uniform", "", "EPL", ""]
    exact, bound = found(figure, "exact"), found(figure, "bound")
    assert len(exact) == 6 and len(bound) == 3
    chance, share = figure.axes[0].lines, figure.axes[1].lines
    assert heights(chance[0]) == curves[0]["whole"]
    assert heights(chance[1]) == curves[0]["bound"]
    expected = np.array(curves[0]["disconnected"]) / curves[0]["kept"]
    assert heights(share[0]) == expected.tolist()
    # A mask that was never whole has no place on the logarithmic axis; its mean has one below.
    assert len(found(figure, "simulated")) == 3 * (1 + 2)
    assert_readable(figure)
    with pytest.raises(UsageError, match="no curves to draw"):
        plots.random_disconnection([])
