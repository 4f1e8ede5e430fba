"""``combsearch study dimensionality generator``: train a stand-in, look at it, save its images.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from combsearch.commands.output import say
from combsearch.commands.tree import group, leaf
from combsearch.errors import UsageError

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands
    from combsearch.generators.gan_training import GanConfig


def add_generator(commands: Commands) -> None:
    """Add ``generator`` with its commands to the commands of a study."""
    text = "class-conditional generators, whose images have a known latent dimension"
    names = group(commands, "generator", "COMMAND", text)
    text = "train a small GAN on an image data set, a stand-in for the weights of a large one"
    _train_options(_leaf(names, "train", _train, text))
    text = "draw samples by class, or the same samples by latent dimension"
    _sheet_options(_leaf(names, "sheet", _sheet, text))
    text = "write labelled images of a latent dimension"
    _images_options(_leaf(names, "images", _images, text))


def generator_train_command(
    config: GanConfig, output: str, folder: str | None = None, as_json: bool = False
) -> dict[str, Any]:
    """Train the small GAN and write it to ``output``; go on where an earlier call stopped.

    Args:
        config: what to train.
        output: file to write, ending in .safetensors.
        folder: of the data set; None looks in the usual places.
        as_json: print one JSON object.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError, RunMismatchError, CorruptDataError, NoSpaceError: see ``run_training``.
    """
    from combsearch.generators.training_run import run_training
    from combsearch.progress import Progress
    from combsearch.tasks.images.loading import load_images

    images = load_images(config.data, folder)
    began = time.monotonic()
    with Progress(f"small GAN on {config.data}") as progress:

        def show(step: int, critic: float, maker: float) -> None:
            note = f"step {step:,} of {config.steps:,}, losses {critic:.3f} and {maker:.3f}"
            progress.show(step / config.steps, note)

        trained = run_training(images, config, Path(output), show)
    seconds = round(time.monotonic() - began, 1)
    report = {"file": output, "trained": trained, "seconds": seconds, **asdict(config)}
    done = f"trained for {seconds:g} s" if trained else "was there already"
    say(json.dumps(report) if as_json else f"{output}: stand-in, {config.data}; {done}")
    return report


def generator_sheet_command(
    path: str,
    output: str,
    dimensions: Sequence[int] = (),
    columns: int = 10,
    seed: int = 0,
    as_json: bool = False,
) -> dict[str, Any]:
    """Draw samples of the generator in ``path`` into ``output``, a PNG.

    Args:
        path: file of weights.
        output: file to write.
        dimensions: a row each of the same samples; none gives a row a class instead.
        columns: samples in a row.
        seed: of the latent vectors.
        as_json: print one JSON object.

    Raises:
        UsageError: no generator, a dimension it has not, or an output that is no .png.
    """
    from combsearch.generators import load_generator
    from combsearch.generators.sheet import class_sheet, dimension_sheet, write_sheet

    generator = load_generator(path)
    if dimensions:
        png = dimension_sheet(generator, columns, seed, dimensions)
    else:
        png = class_sheet(generator, columns, seed)
    write_sheet(Path(output), png)
    report = {
        "file": output,
        "generator": generator.name,
        "latent": generator.latent,
        "classes": generator.classes,
        "dimensions": list(dimensions),
    }
    shown = f"d = {', '.join(map(str, dimensions))}" if dimensions else "by class"
    say(json.dumps(report) if as_json else f"{output}: samples of {generator.name}, {shown}")
    return report


def generator_images_command(
    path: str,
    output: str,
    dimension: int | None,
    count: int,
    seed: int = 0,
    as_json: bool = False,
) -> dict[str, Any]:
    """Write images of the generator in ``path`` to ``output``: ``x`` and ``y`` in an .npz file.

    They are the training images of ``generated_set`` with the same seed: x uint8
    [count, channels, height, width], y uint8 [count].

    Args:
        path: file of weights.
        output: file to write.
        dimension: latent coordinates that are not 0; None takes all.
        count: number of images.
        seed: of latent vectors and labels.
        as_json: print one JSON object.

    Raises:
        UsageError: no generator, a number that is out of range, or an output that is no .npz.
    """
    import numpy as np

    from combsearch.durable import make_folder, write_bytes
    from combsearch.generators import load_generator
    from combsearch.generators.generated import generated_split

    if not output.lower().endswith(".npz"):
        raise UsageError(f"{output} must end in .npz, images are written as such")
    if count < 1:
        raise UsageError(f"count is {count}, there must be at least one image")
    generator = load_generator(path)
    dimension = generator.latent if dimension is None else dimension
    x, y = generated_split(generator, dimension, count, seed, "train")
    file = io.BytesIO()
    np.savez_compressed(file, x=x, y=y)
    make_folder(Path(output).parent)
    write_bytes(output, file.getvalue())
    report = {
        "file": output,
        "generator": generator.name,
        "dimension": dimension,
        "latent": generator.latent,
        "images": count,
        "shape": list(x.shape[1:]),
        "seed": seed,
    }
    text = f"{output}: {count:,} images of {generator.name}, latent dimension {dimension}"
    say(json.dumps(report) if as_json else text)
    return report


def _leaf(
    commands: Commands, name: str, function: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    parser = leaf(commands, name, "study_generator", function, text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _train_options(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--data", default="fashion-mnist", metavar="NAME", help="data set (default fashion-mnist)"
    )
    train.add_argument("--folder", metavar="FOLDER", help="where the data set is")
    for name, kind, default, text in (
        ("steps", int, 6000, "steps of each of the two networks"),
        ("latent", int, 128, "latent coordinates"),
        ("batch", int, 64, "images a step"),
        ("rate", float, 4e-4, "learning rate, falling to 0 over the second half"),
    ):
        shown = f"{text} (default {default:g})"
        train.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=shown)
    _seed_option(train)
    train.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32",
        help="of the forward passes; bfloat16 is quick where the CPU has instructions for it",
    )  # fmt: skip
    _output_option(train, "file to write, ending in .safetensors")


def _sheet_options(sheet: argparse.ArgumentParser) -> None:
    _file_argument(sheet)
    _output_option(sheet, "file to write, ending in .png")
    sheet.add_argument(
        "--dimensions", type=_numbers, default=(), metavar="D,D,..",
        help="rows are these latent dimensions, not classes; such as 16,32,64,128",
    )  # fmt: skip
    sheet.add_argument(
        "--columns", type=int, default=10, metavar="N", help="samples in a row (default 10)"
    )
    _seed_option(sheet)


def _images_options(images: argparse.ArgumentParser) -> None:
    _file_argument(images)
    _output_option(images, "file to write, ending in .npz, with x and y")
    images.add_argument(
        "--dimension", type=int, metavar="D",
        help="latent coordinates that are not 0, the first (default all)",
    )  # fmt: skip
    images.add_argument(
        "--count", type=int, default=20_000, metavar="N", help="images (default 20000)"
    )
    _seed_option(images)


def _file_argument(parser: argparse.ArgumentParser) -> None:
    text = "a generator's weights: .safetensors, or .pth, .pt or .bin of BigGAN"
    parser.add_argument("file", metavar="FILE", help=text)


def _output_option(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help=text)


def _seed_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


_numbers.__name__ = "list of numbers"  # what argparse calls it


def _train(given: argparse.Namespace) -> None:
    from combsearch.generators.gan_training import GanConfig

    names = ("data", "steps", "latent", "batch", "rate", "seed", "precision")
    config = GanConfig(**{name: getattr(given, name) for name in names})
    generator_train_command(config, given.output, given.folder, given.json)


def _sheet(given: argparse.Namespace) -> None:
    generator_sheet_command(
        given.file, given.output, given.dimensions, given.columns, given.seed, given.json
    )


def _images(given: argparse.Namespace) -> None:
    generator_images_command(
        given.file, given.output, given.dimension, given.count, given.seed, given.json
    )
