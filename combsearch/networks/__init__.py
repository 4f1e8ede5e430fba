"""Networks for images by name. A new one is one architecture and one line in ``NETWORKS``.

Parameters for CIFAR-10 (3 x 32 x 32, 10 classes) and Fashion-MNIST (1 x 28 x 28, 10 classes):

================  ==========  ==========
linear                30,730       7,850
mlp                  428,938     136,074
cnn                1,558,026   1,556,874
resnet18          11,173,962  11,172,810
preact_resnet18   11,172,170  11,171,018
resnet50          23,520,842  23,519,690
wrn28x8           23,354,842  23,354,554
================  ==========  ==========

Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from combsearch.networks.cnn import CNN
from combsearch.networks.dense import Dense
from combsearch.networks.image_network import Architecture, ImageNetwork
from combsearch.networks.layers import Layers
from combsearch.networks.preactivation import PreActivationResNet, wide_resnet
from combsearch.networks.resnet import ResNet
from combsearch.registry import lookup

__all__ = [
    "CNN",
    "NETWORKS",
    "Architecture",
    "Dense",
    "ImageNetwork",
    "Layers",
    "PreActivationResNet",
    "ResNet",
    "get_network",
    "wide_resnet",
]

NETWORKS: Mapping[str, Architecture] = MappingProxyType(
    {
        "linear": Dense(),
        "mlp": Dense((128, 256)),
        "cnn": CNN(),
        "resnet18": ResNet(),
        "preact_resnet18": PreActivationResNet((2, 2, 2, 2), (64, 128, 256, 512), stem=64),
        "resnet50": ResNet((3, 4, 6, 3), bottleneck=True),
        "wrn28x8": wide_resnet(28, 8),
    }
)


def get_network(name: str, image_shape: tuple[int, int, int], classes: int) -> ImageNetwork:
    """The network called ``name`` for images (channels, height, width) of ``classes`` kinds.

    Raises:
        UsageError: there is no such network, or it cannot take such images.
    """
    return ImageNetwork(lookup("network", name, NETWORKS), image_shape, classes)
