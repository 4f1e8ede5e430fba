"""A small class-conditional GAN: the stand-in where no weights of a large one are at hand.

Generator: [z, one-hot class] -> linear -> [c0, s, s] -> two 4x4 transposed convolutions of
stride 2 with class-conditional batch normalisation (Dumoulin et al. 2017) -> 3x3 convolution
-> tanh, with s a quarter of the image's side. Discriminator: spectrally normalised
convolutions (Miyato et al. 2018) and a projection on the class (Miyato and Koyama 2018).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot, relu
from torch.nn.utils.parametrizations import spectral_norm

from combsearch.errors import UsageError

_SLOPE = 0.1


@dataclass(frozen=True)
class SmallShape:
    """Sizes of the small GAN.

    Attributes:
        latent: latent coordinates.
        classes: number of classes.
        channels: of an image, 1 or 3.
        side: height and width of an image, a multiple of 4.
        widths: channels of the generator's three inner maps, coarse to fine.
        critic: channels of the discriminator's three maps, fine to coarse.

    Raises:
        UsageError: a side that is no multiple of 4, or a number below 1.
    """

    latent: int = 128
    classes: int = 10
    channels: int = 1
    side: int = 28
    widths: tuple[int, int, int] = (64, 32, 16)
    critic: tuple[int, int, int] = (32, 64, 128)

    def __post_init__(self) -> None:
        if self.side < 4 or self.side % 4:
            raise UsageError(f"the small GAN makes images with a side of 4, 8, .., not {self.side}")
        for name, value in asdict(self).items():
            if min(value) < 1 if isinstance(value, tuple) else value < 1:
                raise UsageError(f"small GAN: {name} is {value}, it must be positive")


class ClassNorm(nn.Module):
    """Batch normalisation whose scale and shift belong to the class, [classes, channels]."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``x`` [n, channels, h, w], ``y`` int64 [n]."""
        scale, shift = (table[y][:, :, None, None] for table in (self.scale, self.shift))
        return torch.addcmul(shift, self.norm(x), scale)


class SmallGenerator(nn.Module):
    """z [n, latent] and classes int64 [n] to images [n, channels, side, side] in -1..1."""

    def __init__(self, shape: SmallShape) -> None:
        super().__init__()
        self.shape = shape
        c0, c1, c2 = shape.widths
        coarse = shape.side // 4
        self.linear = nn.Linear(shape.latent + shape.classes, c0 * coarse**2)
        self.norm0 = ClassNorm(shape.classes, c0)
        self.up1 = nn.ConvTranspose2d(c0, c1, 4, 2, 1, bias=False)
        self.norm1 = ClassNorm(shape.classes, c1)
        self.up2 = nn.ConvTranspose2d(c1, c2, 4, 2, 1, bias=False)
        self.norm2 = ClassNorm(shape.classes, c2)
        self.last = nn.Conv2d(c2, shape.channels, 3, 1, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        coarse = self.shape.side // 4
        joined = torch.cat([z, one_hot(y, self.shape.classes).to(z.dtype)], 1)
        h = self.linear(joined).view(len(z), -1, coarse, coarse)
        h = self.up1(relu(self.norm0(h, y)))
        h = self.up2(relu(self.norm1(h, y)))
        return torch.tanh(self.last(relu(self.norm2(h, y))))


class SmallCritic(nn.Module):
    """Images [n, channels, side, side] and classes int64 [n] to scores [n], high for real."""

    def __init__(self, shape: SmallShape) -> None:
        super().__init__()
        d1, d2, d3 = shape.critic
        last = -(-shape.side // 8)
        self.conv1 = spectral_norm(nn.Conv2d(shape.channels, d1, 4, 2, 1))
        self.conv2 = spectral_norm(nn.Conv2d(d1, d2, 4, 2, 1))
        self.conv3 = spectral_norm(nn.Conv2d(d2, d3, 3, 2, 1))
        self.score = spectral_norm(nn.Linear(d3 * last**2, 1))
        self.classes = spectral_norm(nn.Embedding(shape.classes, d3 * last**2))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = leaky_relu(conv(x), _SLOPE)
        flat = x.flatten(1)
        scores: Tensor = self.score(flat)[:, 0] + (flat * self.classes(y)).sum(1)
        return scores
