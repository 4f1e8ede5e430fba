"""combsearch.saved_network: what is written can be read, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.saved_network import load_network, save_network


def make_nets(text: str = "7,3,3", n: int = 5) -> NetBatch:
    shape, rng = NetShape.parse(text), np.random.default_rng(0)
    masks = MaskBatch.from_dense(shape, [rng.random((n, *size)) < 0.6 for size in shape.layers])
    keys = RunKeys.make(0, np.arange(n), ["0.05:cosine"] * n, np.zeros(n, int))
    return NetBatch.create(MLP(shape), keys, masks)


def test_save_and_load(tmp_path: Path) -> None:
    nets = make_nets("7,3,3", 4)
    save_network(tmp_path / "net.npz", nets, index=2)
    one = load_network(tmp_path / "net.npz")
    assert len(one) == 1
    assert one.network == nets.network
    for name in nets.params:
        np.testing.assert_array_equal(one.params[name][0], nets.params[name][2])
        np.testing.assert_array_equal(one.masks[name][0], nets.masks[name][2])
    with np.load(tmp_path / "net.npz", allow_pickle=False) as saved:
        assert saved["weight1"].shape == (3, 7)
        assert saved["mask1"].dtype == saved["bias_mask1"].dtype == np.uint8


def test_load_without_masks_takes_them_from_the_zeros(tmp_path: Path) -> None:
    weight0 = np.array([[1, 0], [0, 0]], np.float32)
    np.savez(tmp_path / "net.npz", weight0=weight0, bias0=[1.0, 2], weight1=[[1, 1]], bias1=[0])
    one = load_network(tmp_path / "net.npz")
    assert one.masks["weight0"].tolist() == [[[1, 0], [0, 0]]]
    assert one.masks["bias0"].tolist() == [[1, 0]]
    assert one.params["bias0"].tolist() == [[1, 0]]
    assert one.masks["bias1"].tolist() == [[1]]


@pytest.mark.parametrize("name", ["bench-95-init.npz", "bench-995-init.npz"])
def test_load_the_published_initialisations(shared: Path, name: str) -> None:
    one = load_network(shared / "data" / name)
    assert isinstance(one.network, MLP)
    assert one.network.shape == NetShape((2, 16, 16, 16, 1))
    assert all(mask.all() for mask in one.masks.values())


GOOD: dict[str, Any] = {
    "weight0": np.ones((3, 2)),
    "bias0": np.ones(3),
    "weight1": np.ones((1, 3)),
    "bias1": np.ones(1),
}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"weight1": None, "bias1": None}, "no weight0 and weight1"),
    ({"bias1": None}, "bias1 is missing"),
    ({"weight1": np.ones((1, 4))}, r"do not chain"),
    ({"bias0": np.ones(4)}, "do not chain"),
    ({"weight0": np.ones(3)}, "weight0 has 1 axes"),
    ({"weight0": np.full((3, 2), np.nan)}, "not finite"),
    ({"weight0": np.full((3, 2), 1e300)}, "not finite"),
    ({"weight0": np.array([["a", "b"]] * 3)}, "not an array of numbers"),
    ({"weight0": np.ones((3, 0))}, "at least one hidden layer"),
    ({"mask0": np.ones((2, 3))}, r"mask0 is not a 0/1 array \(3, 2\)"),
    ({"mask0": np.full((3, 2), 2)}, "mask0 is not a 0/1 array"),
    ({"bias_mask0": np.array(["a"] * 3)}, "bias_mask0 is not a 0/1 array"),
    ({"weight0": np.array([[object()] * 2] * 3)}, "not a readable .npz file"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_load_names_what_does_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    arrays = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(CorruptDataError, match=message):
        load_network(tmp_path / "net.npz")


def test_load_refuses_damaged_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        load_network(tmp_path / "absent.npz")
    path = tmp_path / "net.npz"
    np.savez(path, **GOOD)
    whole = path.read_bytes()
    for damaged in (b"", b"not a zip", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(CorruptDataError, match=r"not a readable \.npz file"):
            load_network(path)


def test_save_refuses_other_networks(tmp_path: Path) -> None:
    class Other:
        prunable = ()

    nets = make_nets()
    other = NetBatch(Other(), nets.params, nets.masks, nets.momenta)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot save a Other"):
        save_network(tmp_path / "net.npz", other)
