"""Files of weights: what is no such file is told on one line, and nothing in it is ever run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from combsearch.errors import UsageError
from combsearch.generators import load_generator
from combsearch.generators.weights import Weights, fit, read_weights

RAN: list[str] = []


class Touch:
    """Its pickle calls a function when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return RAN.append, ("it ran",)


def write(path: Path, kind: str) -> Path:
    tensors = {"a": torch.ones(2)}
    if kind == "object":
        torch.save({"a": torch.ones(2), "b": Touch()}, path)
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Touch()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme", "hello")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        torch.save(tensors, path)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        raise ValueError(kind)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors", ".PT"])
@pytest.mark.parametrize("kind", ["object", "module", "pickle", "zip", "text", "empty", "cut"])
def test_what_holds_no_weights_is_told(kind: str, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"file{suffix}", kind)
    with pytest.raises(UsageError, match="is not a readable file of weights") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)
    assert not RAN


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({}, "holds nothing, expected a state dict"),
        (torch.ones(2), "holds Tensor, expected a state dict"),
        ([torch.ones(2)], "holds list, expected"),
        ({"a": torch.ones(2), "b": 3}, "entry 'b' is int, expected named tensors only"),
        ({"a": torch.ones(2), 4: torch.ones(2)}, "entry 4 is Tensor, expected named tensors only"),
        ({"a": {"b": torch.ones(2)}}, "entry 'a' is dict"),
        ({"a": torch.ones(2)}, "holds no generator that is known.*first here is a"),
    ],
)
def test_what_is_no_generator_is_told(held: Any, message: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "file.pt")
    with pytest.raises(UsageError, match=message):
        load_generator(tmp_path / "file.pt")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2).to_sparse(),
        torch.zeros(1).expand(10**13, 4),
        torch.zeros(3, device="meta"),
    ],
)
def test_a_tensor_whose_numbers_are_not_there_is_named(
    tensor: torch.Tensor, tmp_path: Path
) -> None:
    torch.save({"a": torch.ones(2), "b": tensor}, tmp_path / "file.pt")
    with pytest.raises(UsageError, match=r"file.pt: b \[.*\] does not hold a number for every"):
        read_weights(tmp_path / "file.pt")


def test_safetensors_of_something_else_are_told(tmp_path: Path) -> None:
    save_file({"weight0": torch.ones(2)}, tmp_path / "a.safetensors", {"combsearch": "[1]"})
    with pytest.raises(UsageError, match=r"holds no generator that is known.*here is weight0"):
        load_generator(tmp_path / "a.safetensors")
    save_file({"weight0": torch.ones(2)}, tmp_path / "b.safetensors", {"combsearch": "{"})
    with pytest.raises(UsageError, match="is not a readable file of weights"):
        load_generator(tmp_path / "b.safetensors")


def test_absent_files_folders_and_other_endings_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*none.pt"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(UsageError, match=r"there is no file .*folder.pt"):
        read_weights(tmp_path / "folder.pt")
    with pytest.raises(UsageError, match=r"a.npz must end in .safetensors, .pth, .pt, .bin"):
        read_weights(tmp_path / "a.npz")


def test_tensors_are_taken_as_float32_in_the_expected_order() -> None:
    tensors = {"b": torch.ones(2, dtype=torch.float16), "a": torch.ones(3), "log": torch.ones(1)}
    found = fit(Weights(Path("f"), tensors, {}), {"a": (3,), "b": (2,)}, frozenset({"log"}))
    assert list(found) == ["a", "b"]
    assert found["b"].dtype == torch.float32


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(2, dtype=torch.int64), "f: a is torch.int64, expected real numbers"),
        (torch.tensor([1.0, float("nan")]), "f: a has numbers that are not finite"),
        (torch.ones(3), r"f: a has shape \[3\], expected \[2\]"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(Weights(Path("f"), {"a": tensor}, {}), {"a": (2,)})
