"""A training of the small GAN in a file: it goes on where it stopped, and ends in one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from combsearch.durable import check_folder_writable, translated_errors, write_bytes
from combsearch.errors import UsageError
from combsearch.generators.gan_training import (
    GanConfig,
    load_state,
    shape_for,
    start,
    state_bytes,
    train,
)
from combsearch.generators.small_file import not_storable, small_bytes, small_images
from combsearch.generators.small_gan import SmallGenerator
from combsearch.generators.weights import read_weights
from combsearch.tasks.images.image_set import ImageSet

CHECKPOINT_STEPS = 250

OnStep = Callable[[int, float, float], None]


def run_training(
    images: ImageSet, config: GanConfig, output: Path, on_step: OnStep | None = None
) -> bool:
    """Train the small GAN on ``images`` and write its generator to ``output``.

    Beside it stands a checkpoint until the training is done: the same call goes on from there.

    Args:
        on_step: as that of ``train``.

    Returns:
        Whether there was anything to do: not if ``output`` is there, of this configuration.

    Raises:
        UsageError: an output that does not end in .safetensors or is something else, or a
            training that diverges: its rate is too high.
        RunMismatchError: the checkpoint belongs to another configuration.
        CorruptDataError: the checkpoint is damaged.
        NoSpaceError: the disk is full; the last checkpoint stays.
    """
    if output.suffix.lower() != ".safetensors":
        raise UsageError(f"{output} must end in .safetensors, as saved generators do")
    shape = shape_for(images, config.latent)
    facts = _facts(images, config)
    if output.exists():
        _check_same(output, facts)
        return False
    check_folder_writable(output.parent)
    checkpoint = checkpoint_path(output)
    there = checkpoint.is_file()
    state = load_state(checkpoint, shape, config) if there else start(shape, config)
    while state.step < config.steps:
        last = min(config.steps, (state.step // CHECKPOINT_STEPS + 1) * CHECKPOINT_STEPS)
        state = train(state, images, config, last, on_step)
        _check_storable(state.average, config)
        write_bytes(checkpoint, state_bytes(state, config))
    write_bytes(output, small_bytes(state.average, images.class_names, facts))
    with translated_errors(checkpoint):
        checkpoint.unlink(missing_ok=True)
    return True


def checkpoint_path(output: Path) -> Path:
    """Where the training of ``output`` keeps its state."""
    return output.with_name(output.name + ".checkpoint")


def _facts(images: ImageSet, config: GanConfig) -> dict[str, Any]:
    """What the file says of the training."""
    return {"stand_in": True, **asdict(config), "images": len(images.y), "torch": torch.__version__}


def _check_storable(network: SmallGenerator, config: GanConfig) -> None:
    """Raise where a training has diverged: no file that nobody can use is written."""
    name = not_storable(network)
    if name is not None:
        raise UsageError(
            f"the training of seed {config.seed} has diverged ({name} is no longer finite): its"
            f" rate, {config.rate:g}, is too high; try {config.rate / 4:g}"
        )


def _check_same(output: Path, facts: dict[str, Any]) -> None:
    """Raise unless ``output`` is what a training with ``facts`` writes, on any machine."""
    about = dict(small_images(read_weights(output)).about)
    changed = [key for key in facts if key != "torch" and about.get(key) != facts[key]]
    if changed:
        key = changed[0]
        raise UsageError(
            f"{output} is there, of a training with {key} {about.get(key)} (not {facts[key]});"
            " choose another output or remove it"
        )
