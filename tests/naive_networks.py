"""The architectures of combsearch.networks as plain torch modules, names alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F
from torch import nn

from combsearch.networks import (
    CNN,
    VGG,
    Architecture,
    Dense,
    FixupResNet,
    ImageNetwork,
    LeNet5,
    MobileNetV2,
    PreActivationResNet,
    ResNet,
)


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


class PlainLeNet(nn.Module):
    def __init__(self, inputs: int, plan: LeNet5, classes: int) -> None:
        super().__init__()
        a, b, c = plan.channels
        self.conv1 = nn.Conv2d(inputs, a, 5, bias=False)
        self.conv2 = nn.Conv2d(a, b, 5, bias=False)
        self.conv3 = nn.Conv2d(b, c, 5, bias=False)
        self.hidden = nn.Linear(c, plan.hidden, bias=False)
        self.linear = nn.Linear(plan.hidden, classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        points, channels, high, wide = x.shape
        image = torch.zeros(points, channels, max(32, high), max(32, wide), dtype=x.dtype)
        top, left = max(0, 32 - high) // 2, max(0, 32 - wide) // 2
        image[:, :, top : top + high, left : left + wide] = x
        pool = nn.AvgPool2d(2)
        x = pool(F.relu(self.conv1(image)))
        x = pool(F.relu(self.conv2(x)))
        x = F.adaptive_avg_pool2d(F.relu(self.conv3(x)), 1).flatten(1)
        out: torch.Tensor = self.linear(F.relu(self.hidden(x)))
        return out


class PlainVGG(nn.Module):
    def __init__(self, inputs: int, plan: VGG, classes: int) -> None:
        super().__init__()
        self.plan: list[int | str] = []
        for count, width in zip(plan.blocks, plan.widths, strict=True):
            self.plan += [*[width] * count, "pool"]
        self.plan.pop()  # nothing is pooled after the last group
        number = 0
        for step in self.plan:
            if isinstance(step, int):
                number += 1
                self.add_module(f"conv{number}", nn.Conv2d(inputs, step, 3, 1, 1, bias=False))
                self.add_module(f"bn{number}", nn.BatchNorm2d(step))
                inputs = step
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        number = 0
        for step in self.plan:
            if step == "pool":
                x = nn.MaxPool2d(2)(x)
                continue
            number += 1
            conv, bn = (self.get_submodule(f"{kind}{number}") for kind in ("conv", "bn"))
            x = F.relu(bn(conv(x)))
        out: torch.Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return out


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = expansion * inputs
        self.conv1 = nn.Conv2d(inputs, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.conv3 = nn.Conv2d(wide, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.stride = stride
        if stride == 1 and inputs != outputs:
            self.shortcut = Shortcut(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        out: torch.Tensor = self.bn3(self.conv3(h))
        if self.stride == 1:
            out = out + (self.shortcut(x) if hasattr(self, "shortcut") else x)
        return out


class PlainMobileNet(nn.Module):
    def __init__(self, inputs: int, plan: MobileNetV2, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, plan.stem, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(plan.stem)
        old, self.stages = plan.stem, len(plan.stages)
        for i, (expansion, width, blocks, stride) in enumerate(plan.stages, 1):
            found = []
            for number in range(blocks):
                found.append(InvertedResidual(old, expansion, width, stride if not number else 1))
                old = width
            self.add_module(f"layer{i}", nn.Sequential(*found))
        self.conv2 = nn.Conv2d(old, plan.last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(plan.last)
        self.linear = nn.Linear(plan.last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for i in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{i}")(x)
        x = F.relu(self.bn2(self.conv2(x)))
        out: torch.Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return out


class FixupBlock(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bias1a = nn.Parameter(torch.tensor(0.0))
        self.bias1b = nn.Parameter(torch.tensor(0.0))
        self.bias2a = nn.Parameter(torch.tensor(0.0))
        self.bias2b = nn.Parameter(torch.tensor(0.0))
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.conv1(x + self.bias1a) + self.bias1b)
        out = self.scale * self.conv2(out + self.bias2a) + self.bias2b
        short = x
        if self.stride == 2:
            # Average pooling over one pixel is every second pixel.
            short = nn.AvgPool2d(1, stride=2)(x + self.bias1a)
        new = torch.zeros_like(out)
        new[:, : short.shape[1]] = short
        return F.relu(out + new)


class PlainFixup(nn.Module):
    def __init__(self, inputs: int, plan: FixupResNet, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, plan.widths[0], 3, 1, 1, bias=False)
        self.bias1 = nn.Parameter(torch.tensor(0.0))
        self.groups = len(plan.blocks)
        layers = groups(FixupBlock, plan.widths[0], plan.blocks, plan.widths, 1)
        for i, group in enumerate(layers, 1):
            self.add_module(f"layer{i}", group)
        self.bias2 = nn.Parameter(torch.tensor(0.0))
        self.linear = nn.Linear(plan.widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x) + self.bias1)
        for i in range(1, self.groups + 1):
            x = self.get_submodule(f"layer{i}")(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        out: torch.Tensor = self.linear(x + self.bias2)
        return out


class WithOffset(nn.Module):
    """A convolution or linear layer of weights alpha * DCT + weight, by SciPy's transform."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.alpha = nn.Parameter(torch.tensor(1.0))
        self.fixed, self.layer = offset_of(tuple(layer.weight.shape)), [layer]  # a list: no child

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.alpha * self.fixed.to(x.dtype) + self.weight
        [layer] = self.layer
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, layer.stride, layer.padding, groups=layer.groups)


def offset_of(shape: tuple[int, ...]) -> torch.Tensor:
    """The transform as weights of that shape; patches have channels fastest."""
    inputs, outputs = math.prod(shape[1:]), shape[0]
    columns = scipy.fft.dct(np.eye(max(inputs, outputs)), norm="ortho")
    found = torch.zeros(shape, dtype=torch.float64)
    for j, place in enumerate(np.ndindex(*shape[2:], shape[1])):
        found[(slice(None), place[-1], *place[:-1])] = torch.from_numpy(columns[j, :outputs])
    return found


def with_offset(module: nn.Module) -> nn.Module:
    """``module`` with every convolution and linear layer replaced."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d | nn.Linear):
            setattr(module, name, WithOffset(child))
        else:
            with_offset(child)
    return module


def plain(network: ImageNetwork) -> nn.Module:
    """The module that ``network`` should equal but for its offset, with weights of its own."""
    plan: Architecture = network.architecture
    channels, height, width = network.image_shape
    if isinstance(plan, Dense):
        return PlainDense([channels * height * width, *plan.hidden, network.classes])
    if isinstance(plan, CNN):
        return PlainCNN(channels, plan.channels, network.classes)
    if isinstance(plan, ResNet):
        return PlainResNet(channels, plan, network.classes)
    small: list[tuple[Any, Any]] = [
        (LeNet5, PlainLeNet),
        (VGG, PlainVGG),
        (MobileNetV2, PlainMobileNet),
        (FixupResNet, PlainFixup),
    ]
    for kind, module in small:
        if isinstance(plan, kind):
            found: nn.Module = module(channels, plan, network.classes)
            return found
    assert isinstance(plan, PreActivationResNet)
    return PlainPreActivation(channels, plan, network.classes)
