"""The architectures of combsearch.networks as plain torch modules, names alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from combsearch.networks import CNN, Architecture, Dense, ImageNetwork, PreActivationResNet, ResNet


class PlainDense(nn.Module):
    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.hidden = len(sizes) - 2
        for i in range(self.hidden):
            self.add_module(f"hidden{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))
        self.linear = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.reshape(len(x), -1)
        for i in range(self.hidden):
            x = F.relu(self.get_submodule(f"hidden{i + 1}")(x))
        out: torch.Tensor = self.linear(x)
        return out


class PlainCNN(nn.Module):
    def __init__(self, inputs: int, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.convs = len(channels)
        for i, filters in enumerate(channels, 1):
            self.add_module(f"conv{i}", nn.Conv2d(inputs, filters, 3, 1, 1))
            self.add_module(f"bn{i}", nn.BatchNorm2d(filters))
            inputs = filters
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(1, self.convs + 1):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x)))
            if i < self.convs:
                x = nn.MaxPool2d(2)(x)
        out: torch.Tensor = self.linear(nn.AdaptiveAvgPool2d(1)(x).flatten(1))
        return out


class Shortcut(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bn(self.conv(x))
        return out


class Basic(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        if stride != 1 or inputs != width:
            self.shortcut = Shortcut(inputs, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        if stride != 1 or inputs != 4 * width:
            self.shortcut = Shortcut(inputs, 4 * width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(out)))))
        return F.relu(out + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class PreActivation(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        if stride != 1 or inputs != width:
            self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = F.relu(self.bn1(x))
        out: torch.Tensor = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return out + (self.shortcut(a) if hasattr(self, "shortcut") else x)


def groups(
    block: type[nn.Module], stem: int, blocks: Sequence[int], widths: Sequence[int], grows: int
) -> list[nn.Sequential]:
    found, inputs = [], stem
    for group, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        layers = []
        for i in range(count):
            layers.append(block(inputs, width, 2 if group and not i else 1))
            inputs = grows * width
        found.append(nn.Sequential(*layers))
    return found


class PlainResNet(nn.Module):
    def __init__(self, inputs: int, plan: ResNet, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, plan.widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(plan.widths[0])
        block, grows = (Bottleneck, 4) if plan.bottleneck else (Basic, 1)
        self.groups = len(plan.blocks)
        layers = groups(block, plan.widths[0], plan.blocks, plan.widths, grows)
        for i, group in enumerate(layers, 1):
            self.add_module(f"layer{i}", group)
        self.linear = nn.Linear(grows * plan.widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for i in range(1, self.groups + 1):
            x = self.get_submodule(f"layer{i}")(x)
        out: torch.Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return out


class PlainPreActivation(nn.Module):
    def __init__(self, inputs: int, plan: PreActivationResNet, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, plan.stem, 3, 1, 1, bias=False)
        self.groups = len(plan.blocks)
        layers = groups(PreActivation, plan.stem, plan.blocks, plan.widths, 1)
        for i, group in enumerate(layers, 1):
            self.add_module(f"layer{i}", group)
        self.bn = nn.BatchNorm2d(plan.widths[-1])
        self.linear = nn.Linear(plan.widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        for i in range(1, self.groups + 1):
            x = self.get_submodule(f"layer{i}")(x)
        x = F.adaptive_avg_pool2d(F.relu(self.bn(x)), 1)
        out: torch.Tensor = self.linear(x.flatten(1))
        return out


def plain(network: ImageNetwork) -> nn.Module:
    """The module that ``network`` should equal, with weights of its own."""
    plan: Architecture = network.architecture
    channels, height, width = network.image_shape
    if isinstance(plan, Dense):
        return PlainDense([channels * height * width, *plan.hidden, network.classes])
    if isinstance(plan, CNN):
        return PlainCNN(channels, plan.channels, network.classes)
    if isinstance(plan, ResNet):
        return PlainResNet(channels, plan, network.classes)
    assert isinstance(plan, PreActivationResNet)
    return PlainPreActivation(channels, plan, network.classes)
