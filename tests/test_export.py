"""combsearch export: every format holds the same network and says what is known about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.commands.certify import certify_command
from combsearch.commands.export import export_command
from combsearch.config import Recipe, SearchConfig
from combsearch.errors import CorruptDataError, UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.rng import RunKeys
from combsearch.runfile import create_identity
from combsearch.saved_network import onnx_bytes, read_network, run_facts, save_network
from combsearch.saved_network.about import about_text
from combsearch.saved_network.arrays import network_arrays
from combsearch.saved_network.npz_file import npz_bytes
from combsearch.tasks import load_task

Capture = pytest.CaptureFixture[str]
FACTS = run_facts(task="xor", accuracy=0.5, recipe=Recipe(), seed=7, restart=2, init_width=16)


def make_nets(text: str = "5,4,3", outputs: int = 1) -> NetBatch:
    shape, rng = NetShape.parse(text, outputs=outputs), np.random.default_rng(0)
    keys = RunKeys.make(0, np.arange(2), ["0.05:cosine"] * 2, np.zeros(2, int))
    masks = MaskBatch.from_dense(shape, [rng.random((2, *s)) < 0.7 for s in shape.layers])
    return NetBatch.create(MLP(shape), keys, masks)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_network(tmp_path / "net.npz", make_nets(), 1, FACTS)
    return tmp_path / "net.npz"


def test_formats_follow_one_another_without_a_loss(saved: Path, capsys: Capture) -> None:
    names = ["a.safetensors", "b.npz", "c.SAFETENSORS"]
    source = saved
    for name in names:
        target = saved.with_name(name)
        report = export_command(str(source), str(target), as_json=True)
        assert json.loads(capsys.readouterr().out) == report
        assert (report["network"], report["output"]) == (str(source), str(target))
        source = target
    first, last = read_network(saved), read_network(source)
    assert first.about == last.about and last.about.items() >= FACTS.items()
    for kind in ("params", "masks"):
        for key, array in getattr(first.nets, kind).items():
            np.testing.assert_array_equal(getattr(last.nets, kind)[key], array)
    assert saved.read_bytes() == saved.with_name("b.npz").read_bytes()


def test_another_library_reads_the_tensors(saved: Path) -> None:
    from safetensors.torch import load_file

    target = saved.with_suffix(".safetensors")
    export_command(str(saved), str(target), as_json=False)
    tensors, nets = load_file(target), make_nets()
    assert len(tensors) == 16
    for key, array in nets.params.items():
        np.testing.assert_array_equal(tensors[key].numpy(), array[1])
        kind = key.replace("weight", "mask").replace("bias", "bias_mask")
        np.testing.assert_array_equal(tensors[kind].numpy(), nets.masks[key][1])


def test_a_run_folder_tells_its_recipe_and_the_accuracy_is_measured(
    tmp_path: Path, capsys: Capture
) -> None:
    config = SearchConfig(task="xor", seed=9, epochs=20, batch_size=32)
    create_identity(tmp_path / "runs" / "mine", {"command": "phase1", "config": config.to_json()})
    nets = make_nets()
    save_network(tmp_path / "runs" / "mine" / "best.npz", nets, 1)
    target = tmp_path / "out.safetensors"
    export_command("mine", str(target), as_json=False, runs=str(tmp_path / "runs"))
    assert capsys.readouterr().out.endswith(f"-> {target}\n")
    about = read_network(target).about
    expected = {"task": "xor", "seed": 9, "epochs": 20, "batch_size": 32, "momentum": 0.9}
    assert about.items() >= expected.items()
    assert about["accuracy"] == score(nets[1:], load_task("xor")).accuracy[0]
    assert certify_command(str(target), None, None, True)["agrees"]


def test_a_file_that_states_nothing_is_exported_with_its_own_facts(tmp_path: Path) -> None:
    save_network(tmp_path / "net.npz", make_nets())
    export_command(str(tmp_path / "net.npz"), str(tmp_path / "out.npz"), as_json=False)
    about = read_network(tmp_path / "out.npz").about
    assert set(about) == {"shape", "mask", "nonzeros", "effective_nonzeros", "counting"}


def test_bad_requests_write_nothing(saved: Path) -> None:
    before = sorted(saved.parent.iterdir())
    with pytest.raises(UsageError, match=r"must end in one of \.npz, \.safetensors, \.onnx"):
        export_command(str(saved), "out.pt", as_json=False)
    with pytest.raises(UsageError, match="there is no file"):
        export_command("absent.npz", str(saved.with_name("out.npz")), as_json=False)
    with pytest.raises(UsageError, match="cannot use"):
        export_command(str(saved), str(saved.parent / "absent" / "out.npz"), as_json=False)
    assert sorted(saved.parent.iterdir()) == before


def test_a_file_that_lies_about_its_network_is_not_exported(saved: Path) -> None:
    saved.write_bytes(npz_bytes(network_arrays(make_nets(), 0), about_text({"nonzeros": 3})))
    with pytest.raises(CorruptDataError, match="states nonzeros 3, but it is"):
        export_command(str(saved), str(saved.with_name("out.npz")), as_json=False)
    assert not saved.with_name("out.npz").exists()


# ---- ONNX ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "outputs"), [("5,4,3", 1), ("3", 2), ("2,1,4,3", 3)])
def test_onnx_computes_the_same_logits(tmp_path: Path, text: str, outputs: int) -> None:
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    nets = make_nets(text, outputs)
    save_network(tmp_path / "net.npz", nets, 1, {"seed": 7})
    export_command(str(tmp_path / "net.npz"), str(tmp_path / "net.onnx"), as_json=False)
    model = onnx.load(tmp_path / "net.onnx")
    x = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    [found] = reference.ReferenceEvaluator(model).run(None, {"x": x})
    assert found.shape == (50, outputs)
    np.testing.assert_allclose(found, logits(nets[1:], x), rtol=1e-5, atol=1e-6)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told.items() >= {"seed": "7", "shape": f"2,{text},{outputs}"}.items()
    assert onnx_bytes(nets, 1) == onnx_bytes(nets[1:])


def logits(nets: NetBatch, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    assert isinstance(nets.network, MLP)
    last = len(nets.network.shape.layers) - 1
    h = x.astype(np.float64)
    for layer in range(last + 1):
        h = h @ nets.params[f"weight{layer}"][0].T + nets.params[f"bias{layer}"][0]
        h = h if layer == last else np.maximum(h, 0)
    return h


def test_without_the_package_onnx_names_the_way_out(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'combsearch\[onnx\]'"):
        export_command(str(saved), str(saved.with_suffix(".onnx")), as_json=False)
    assert not saved.with_suffix(".onnx").exists()
