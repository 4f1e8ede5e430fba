"""Load a generator from a file, whichever of the known kinds it is."""

from __future__ import annotations

import os

from combsearch.errors import UsageError
from combsearch.generators.base import Generator
from combsearch.generators.biggan import biggan_images, is_biggan
from combsearch.generators.biggan_deep import biggan_deep_images, is_biggan_deep
from combsearch.generators.small_file import KIND, small_images
from combsearch.generators.weights import read_weights


def load_generator(path: str | os.PathLike[str]) -> Generator:
    """The generator whose weights are in a .safetensors, .pt, .pth or .bin file.

    Known are the small GAN (``combsearch study dimensionality generator train``), BigGAN as
    the BigGAN-PyTorch code saves it (``G_ema.pth``), and BigGAN-deep as
    pytorch-pretrained-BigGAN does (``.bin``).

    Raises:
        UsageError: no such file, one that holds no generator, or weights that do not fit: the
            first tensor that is missing, of another shape or unexpected is named.
    """
    weights = read_weights(path)
    if weights.facts.get("kind") == KIND:
        return small_images(weights)
    if is_biggan(weights):
        return biggan_images(weights)
    if is_biggan_deep(weights):
        return biggan_deep_images(weights)
    raise UsageError(
        f"{path} holds no generator that is known: BigGAN has blocks.0.0.conv1.weight, BigGAN-deep"
        f" generator.gen_z.weight_orig, the small GAN says that it is one; first here is"
        f" {next(iter(weights.tensors), 'nothing')}"
    )
