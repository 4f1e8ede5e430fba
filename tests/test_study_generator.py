"""``combsearch study dimensionality generator``: arguments, what is written, what is said."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from combsearch.commands.study_generator import add_generator
from combsearch.errors import CombsearchError, UsageError
from combsearch.generators import generated_set, load_generator
from combsearch.generators.gan_training import GanConfig

PIECE = Path(__file__).parent / "image_files" / "fashion-mnist"
SMALL = ["--steps", "2", "--batch", "4", "--latent", "8", "--folder", str(PIECE)]


def run(*arguments: str | Path) -> None:
    """What the command line does with ``generator`` and these arguments."""
    parser = argparse.ArgumentParser()
    add_generator(parser.add_subparsers())
    given = parser.parse_args(["generator", *map(str, arguments)])
    assert given.module == "study_generator"
    given.function(given)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that was hardly trained, of Fashion-MNIST's shape and 8 latent coordinates."""
    path = tmp_path_factory.mktemp("generator") / "g.safetensors"
    run("train", *SMALL, "-o", path)
    return path


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_train_writes_a_generator_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "g.safetensors"
    run("train", *SMALL, "--seed", "5", "-o", path, "--json")
    report = said(capsys)
    assert (report["file"], report["trained"]) == (str(path), True)
    assert (report["steps"], report["latent"], report["seed"]) == (2, 8, 5)
    found = load_generator(path)
    assert found.name == "small GAN (fashion-mnist)"
    assert (found.latent, found.image_shape) == (8, (1, 28, 28))
    assert found.class_names[1] == "trouser"
    run("train", *SMALL, "--seed", "5", "-o", path)
    assert "stand-in, fashion-mnist; was there already" in capsys.readouterr().out


def test_options_have_the_defaults_of_the_configuration() -> None:
    parser = argparse.ArgumentParser()
    add_generator(parser.add_subparsers())
    given = vars(parser.parse_args(["generator", "train", "-o", "g.safetensors"]))
    for name, default in dataclasses.asdict(GanConfig()).items():
        assert given[name] == default, name


def test_train_refuses_an_unknown_data_set(tmp_path: Path) -> None:
    with pytest.raises(CombsearchError, match="fashion-mnist"):
        run("train", "--data", "fashion", "-o", tmp_path / "g.safetensors")


def test_sheets_by_class_and_by_dimension(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("sheet", generator, "-o", tmp_path / "new" / "a.png", "--columns", "3")
    assert "samples of small GAN (fashion-mnist), by class" in capsys.readouterr().out
    run(
        "sheet", generator, "-o", tmp_path / "b.png", "--dimensions", "2,4,8", "--json"
    )  # fmt: skip
    assert said(capsys)["dimensions"] == [2, 4, 8]
    with Image.open(tmp_path / "new" / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert a.size[1] == 10 * 58
        assert b.size[1] == 3 * 58
        assert b.size[0] > 10 * 58


def test_sheet_refuses_dimensions_and_names(generator: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dimension is 16, the generator has 8 latent"):
        run("sheet", generator, "-o", tmp_path / "a.png", "--dimensions", "4,16")
    with pytest.raises(UsageError, match=r"must end in .png"):
        run("sheet", generator, "-o", tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


def test_images_are_the_training_images_of_a_set(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "set.npz"
    run(
        "images", generator, "--dimension", "3", "--count", "30", "--seed", "2",
        "-o", output, "--json",
    )  # fmt: skip
    report = said(capsys)
    assert (report["dimension"], report["latent"], report["images"]) == (3, 8, 30)
    x, y, *_ = generated_set(load_generator(generator), 3, 30, 1, seed=2)
    with np.load(io.BytesIO(output.read_bytes())) as found:
        assert set(found) == {"x", "y"}
        assert np.array_equal(found["x"], x)
        assert np.array_equal(found["y"], y)
    run("images", generator, "--count", "3", "-o", tmp_path / "all.npz")
    assert "3 images of small GAN (fashion-mnist), latent dimension 8" in capsys.readouterr().out


def test_images_refuse_dimensions_and_names(generator: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dimension is 9, the generator has 8"):
        run("images", generator, "--dimension", "9", "-o", tmp_path / "a.npz")
    with pytest.raises(UsageError, match="dimension is 0, the generator has 8"):
        run("images", generator, "--dimension", "0", "-o", tmp_path / "a.npz")
    with pytest.raises(UsageError, match="count is 0"):
        run("images", generator, "--count", "0", "-o", tmp_path / "a.npz")
    with pytest.raises(UsageError, match=r"must end in .npz"):
        run("images", generator, "-o", tmp_path / "a.npy")


@pytest.mark.parametrize("dimensions", ["a", "1,,2", ""])
def test_a_list_that_is_none_is_refused(
    dimensions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("sheet", "g.pt", "-o", "a.png", "--dimensions", dimensions)
    assert "invalid list of numbers value" in capsys.readouterr().err


def test_help_is_quick() -> None:
    """Nothing heavy is imported for it."""
    code = (
        "import sys, combsearch.commands.study_generator\n"
        "heavy = {'torch', 'numpy', 'PIL', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
