"""combsearch.saved_network: what is written can be read, and nothing else is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.config import Recipe
from combsearch.connectivity import nonzeros
from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.rng import RunKeys
from combsearch.saved_network import (
    SUFFIXES,
    load_network,
    network_bytes,
    read_network,
    run_facts,
    save_network,
)

both = pytest.mark.parametrize("suffix", SUFFIXES)


def make_nets(text: str = "7,3,3", n: int = 5) -> NetBatch:
    shape, rng = NetShape.parse(text), np.random.default_rng(0)
    masks = MaskBatch.from_dense(shape, [rng.random((n, *size)) < 0.6 for size in shape.layers])
    keys = RunKeys.make(0, np.arange(n), ["0.05:cosine"] * n, np.zeros(n, int))
    return NetBatch.create(MLP(shape), keys, masks)


@both
def test_save_and_load(tmp_path: Path, suffix: str) -> None:
    nets = make_nets("7,3,3", 4)
    save_network(tmp_path / f"net{suffix}", nets, index=2)
    one = load_network(tmp_path / f"net{suffix}")
    assert len(one) == 1
    assert one.network == nets.network
    for name in nets.params:
        np.testing.assert_array_equal(one.params[name][0], nets.params[name][2])
        np.testing.assert_array_equal(one.masks[name][0], nets.masks[name][2])
    assert read_network(tmp_path / f"net{suffix}").about == {}


def test_the_arrays_of_a_file(tmp_path: Path) -> None:
    save_network(tmp_path / "net.npz", make_nets())
    with np.load(tmp_path / "net.npz", allow_pickle=False) as saved:
        assert set(saved) == {
            f"{kind}{layer}"
            for kind in ("weight", "bias", "mask", "bias_mask")
            for layer in range(4)
        }
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
    ({"weight1": None, "bias1": None}, r"weight0 and weight1 are missing .*: bias0, weight0\)"),
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


# ---- what is known about a network -------------------------------------------------------

FACTS = run_facts(
    task="cubist_spiral",
    accuracy=0.9987654321012345,
    recipe=Recipe(lr=0.1),
    seed=2**64 - 1,
    restart=17,
    init_width=16,
)


@both
def test_facts_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    nets, path = make_nets(), tmp_path / f"net{suffix}"
    facts = {**FACTS, "note": '0.5 \u03c0 "quoted"', "float": 3.0}
    save_network(path, nets, 3, facts)
    about = read_network(path).about
    words = MaskBatch.from_dense(
        NetShape((2, 7, 3, 3, 1)), [nets.masks[f"weight{layer}"] for layer in range(4)]
    ).words[3]
    assert int(about.pop("effective_nonzeros")) <= nonzeros(nets)[3]
    assert about == {
        **facts,
        "shape": "2,7,3,3,1",
        "mask": f"{words[0]:016x}",
        "nonzeros": int(nonzeros(nets)[3]),
        "counting": "biases kept",
    }
    assert {name: type(value) for name, value in about.items() if name in FACTS} == {
        name: type(value) for name, value in FACTS.items()
    }
    assert FACTS["cell"] == "0.1:cosine" and FACTS["epochs"] == 50 and FACTS["momentum"] == 0.9


def test_a_mask_of_two_words_is_told_word_by_word(tmp_path: Path) -> None:
    shape = NetShape.parse("7,7,3")
    keys = RunKeys.make(0, np.arange(1), ["0.1:step"], np.zeros(1, int))
    masks = MaskBatch.dense_of(shape)
    save_network(tmp_path / "net.npz", NetBatch.create(MLP(shape), keys, masks), about={})
    told = read_network(tmp_path / "net.npz").about["mask"]
    assert told == " ".join(f"{word:016x}" for word in masks.words[0]) and " " in str(told)


def test_false_facts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"nonzeros": 3}, "about 'nonzeros' is 3, but the network has"),
        ({"shape": "2,1,1"}, "but the network has '2,7,3,3,1'"),
        ({"accuracy": float("nan")}, "texts and finite numbers"),
        ({"seed": True}, "texts and finite numbers"),
        ({"cells": ["a"]}, "texts and finite numbers"),
    ]
    for about, message in wrong:
        with pytest.raises(UsageError, match=message):
            save_network(path, make_nets(), about=about)
    assert not path.exists()


def test_equal_networks_make_equal_files(root: Path) -> None:
    """In every process: neither the time nor the order of a hash table may show."""
    script = (
        "import sys, test_saved_network as t\n"
        "for suffix in t.SUFFIXES: sys.stdout.buffer.write("
        "t.network_bytes(t.make_nets(), 1, t.FACTS, suffix))"
    )
    paths = os.pathsep.join([str(root / "tests"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=True,
    )
    here = b"".join(network_bytes(make_nets(), 1, FACTS, suffix) for suffix in SUFFIXES)
    assert done.stdout == here


def test_an_open_file_takes_npz() -> None:
    file = io.BytesIO()
    save_network(file, make_nets(), 1, FACTS)
    assert file.getvalue() == network_bytes(make_nets(), 1, FACTS)


# ---- damage --------------------------------------------------------------------------------


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("net", "net.pt", "net.onnx"):
        for use in (lambda path: save_network(path, make_nets()), load_network):
            with pytest.raises(UsageError, match=r"must end in \.npz or \.safetensors"):
                use(tmp_path / name)
    with pytest.raises(UsageError, match="there is no file"):
        load_network(tmp_path / "absent.safetensors")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UsageError, match="there is no file"):
        load_network(tmp_path / "folder.npz")
    with pytest.raises(UsageError, match="cannot use"):
        load_network(tmp_path / ("x" * 300 + ".npz"))


@both
def test_damage_anywhere_is_one_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    whole, rng = network_bytes(make_nets("3,2"), 1, FACTS, suffix), np.random.default_rng(0)
    harmless = 0

    def read(data: bytes) -> None:
        nonlocal harmless
        path.write_bytes(data)
        error = None
        try:
            found = read_network(path)
        except CorruptDataError as raised:
            error = str(raised)
        if error is None:  # a changed digit of a weight, a byte that nobody reads
            harmless += 1
            assert isinstance(found.nets.network, MLP)
            assert all(np.isfinite(p).all() for p in found.nets.params.values())
        else:
            assert str(path) in error and "\n" not in error

    for end in sorted({*rng.integers(0, len(whole), 60).tolist(), 0, 1, 8, len(whole) - 1}):
        read(whole[:end])
    assert harmless == 0
    for place in rng.integers(0, len(whole), 250).tolist():
        read(
            whole[:place] + bytes([whole[place] ^ (1 << int(rng.integers(8)))]) + whole[place + 1 :]
        )
    for _ in range(60):
        changed = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), 6):
            changed[place] = rng.integers(256)
        read(bytes(changed))
    read(whole + b"more")
    assert harmless < 250


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def npy(shape: str, data: bytes = b"", descr: str = "'<f4'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ONE = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
HOSTILE = {
    "huge-shape.npz": zipped({"weight0.npy": npy("(1000000, 1000000)")}),
    "huge-factor.npz": zipped({"weight0.npy": npy(f"({2**62}, 0)")}),
    "negative.npz": zipped({"weight0.npy": npy("(-1, 4)", bytes(16))}),
    "code.npz": zipped({"weight0.npy": npy("__import__('os').getcwd()")}),
    "deep.npz": zipped({"weight0.npy": npy("(" * 900 + ")" * 900)}),
    "pickle.npz": zipped({"weight0.npy": npy("(1,)", b"cos\nsystem\n.", "'|O'")}),
    "about.npz": zipped({"about.npy": npy("(2,)", bytes(8), "'<U1'")}),
    "array.npz": npy("(1, 1)", bytes(4)),
    "long-header.safetensors": tensors({}, length=2**63),
    "past-the-end.safetensors": tensors({}, length=10**6),
    "no-table.safetensors": tensors([1, 2]),
    "empty.safetensors": tensors({}),
    "offsets.safetensors": tensors({"weight0": {**ONE, "data_offsets": [0, 2**60]}}, bytes(4)),
    "backwards.safetensors": tensors({"weight0": {**ONE, "data_offsets": [4, 0]}}, bytes(4)),
    "huge.safetensors": tensors({"weight0": {**ONE, "shape": [2**32, 2**32]}}, bytes(4)),
    "overlap.safetensors": tensors({"weight0": ONE, "bias0": ONE}, bytes(4)),
    "dtype.safetensors": tensors({"weight0": {**ONE, "dtype": "BF16"}}, bytes(4)),
    "one-layer.safetensors": tensors({"weight0": ONE}, bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_neither_time_nor_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HOSTILE[name])
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(CorruptDataError, match=name):
        load_network(tmp_path / name)
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_what_unpacks_to_too_much_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("combsearch.saved_network.npz_file.MAX_BYTES", 2**20)
    bomb = npy("(1, 200000)", bytes(800_000))
    (tmp_path / "net.npz").write_bytes(zipped({"weight0.npy": bomb, "weight1.npy": bomb}))
    assert (tmp_path / "net.npz").stat().st_size < 10_000
    with pytest.raises(CorruptDataError, match=r"weight1\.npy has 8\d+ bytes, more than 24\d+ are"):
        load_network(tmp_path / "net.npz")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"large{suffix}"
        with path.open("wb") as file:
            file.truncate(2**28 + 1)  # a sparse file
        with pytest.raises(CorruptDataError, match="268435457 bytes"):
            load_network(path)


@both
@pytest.mark.parametrize(
    "about",
    ["", "[1]", "{", '{"a": [1]}', '{"a": NaN}', '{"a": true}', '{"a": null}', '{"a": 1e999}',
     "[" * 100_000, '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_damaged_facts_are_one_clear_error(tmp_path: Path, suffix: str, about: str) -> None:
    from combsearch.saved_network.arrays import network_arrays
    from combsearch.saved_network.files import _WRITERS

    path = tmp_path / f"net{suffix}"
    path.write_bytes(_WRITERS[suffix](network_arrays(make_nets(), 0), about))
    with pytest.raises(CorruptDataError, match="is not a saved network"):
        read_network(path)
