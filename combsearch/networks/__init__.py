"""Networks for images by name. A new one is one architecture and one line in ``NETWORKS``.

Parameters for CIFAR-10 (3 x 32 x 32, 10 classes) and Fashion-MNIST (1 x 28 x 28, 10 classes):

================  ==========  ==========
linear                30,730       7,850
mlp                  428,938     136,074
cnn                1,558,026   1,556,874
lenet5                61,510      61,210
vgg19             20,035,018  20,033,866
mobilenetv2        2,296,922   2,296,346
resnet18          11,173,962  11,172,810
preact_resnet18   11,172,170  11,171,018
resnet50          23,520,842  23,519,690
wrn28x8           23,354,842  23,354,554
resnet20             272,474     272,186
resnet20x32        1,084,586   1,084,010
fixup_resnet110    1,720,138   1,719,850
================  ==========  ==========

``resnet20x32`` is one of many: any ``resnet{6n+2}x{width}`` is He et al.'s network for CIFAR of
that depth, whose first group has that many filters (``cifar_resnet``), and ``resnet20`` is
``resnet20x16``. The networks of ImageNet's widths, ``resnet18`` and ``resnet50``, have no x.
Any ``fixup_resnet{6n+2}`` is He et al.'s of that depth without normalisation (``fixup``). How many
of the parameters are prunable weights, ``sizes`` tells.

Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from combsearch.errors import UsageError
from combsearch.networks.cifar_resnet import PATTERN, cifar_resnet, named
from combsearch.networks.cnn import CNN
from combsearch.networks.dense import Dense
from combsearch.networks.fixup import FIXUP_PATTERN, FixupResNet, fixup_resnet, named_fixup
from combsearch.networks.image_network import Architecture, ImageNetwork
from combsearch.networks.layers import Layers
from combsearch.networks.lenet import LeNet5
from combsearch.networks.mobilenet import MobileNetV2
from combsearch.networks.preactivation import PreActivationResNet, wide_resnet
from combsearch.networks.resnet import ResNet
from combsearch.networks.vgg import VGG
from combsearch.registry import lookup

__all__ = [
    "CNN",
    "NETWORKS",
    "VGG",
    "Architecture",
    "Dense",
    "FixupResNet",
    "ImageNetwork",
    "Layers",
    "LeNet5",
    "MobileNetV2",
    "PreActivationResNet",
    "ResNet",
    "cifar_resnet",
    "fixup_resnet",
    "get_architecture",
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
        "resnet20": cifar_resnet(20),
        "lenet5": LeNet5(),
        "vgg19": VGG(),
        "mobilenetv2": MobileNetV2(),
        "fixup_resnet110": fixup_resnet(110),
    }
)


def get_architecture(name: str) -> Architecture:
    """The architecture called ``name``: of ``NETWORKS``, or as ``resnet20x32``, ``fixup_resnet20``.

    Raises:
        UsageError: there is none.
    """
    found = None if name in NETWORKS else named(name) or named_fixup(name)
    if found is not None:
        return found
    try:
        return lookup("network", name, NETWORKS)
    except UsageError as error:
        raise UsageError(
            f"{error}; or {PATTERN}, such as resnet20x32; or {FIXUP_PATTERN}, such as"
            " fixup_resnet20"
        ) from None


def get_network(name: str, image_shape: tuple[int, int, int], classes: int) -> ImageNetwork:
    """The network called ``name`` for images (channels, height, width) of ``classes`` kinds.

    Raises:
        UsageError: there is no such network, or it cannot take such images.
    """
    return ImageNetwork(get_architecture(name), image_shape, classes)
