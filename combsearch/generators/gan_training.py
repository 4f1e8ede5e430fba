"""Train the small GAN on an image data set: the stand-in for weights of a large generator.

Non-saturating loss (Goodfellow et al. 2014), one step of each network a time, Adam, rates
that fall to 0 over the second half, and a moving average of the generator's weights, which
is what is saved. Random numbers depend on (seed, step) alone, so that a training that goes
on from its checkpoint continues as if it had never stopped.
"""

from __future__ import annotations

import copy
import functools
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from combsearch.errors import CorruptDataError, RunMismatchError, UsageError
from combsearch.generators.small_gan import SmallCritic, SmallGenerator, SmallShape
from combsearch.rng import epoch_order, mix64, text_key
from combsearch.tasks.images.image_set import ImageSet

PRECISIONS = ("float32", "bfloat16")
_BETAS = (0.5, 0.99)
_AVERAGE = 0.999
_MOST_STEPS, _MOST = 10**9, 4096  # of latent coordinates, of images a step: bounds memory
_WARM_UP = 10  # steps: the moving average starts as a plain one
_PARTS = ("maker", "average", "critic", "maker_steps", "critic_steps")


@dataclass(frozen=True)
class GanConfig:
    """What a training of the small GAN depends on, besides the images.

    Attributes:
        data: name of the data set.
        steps: of each of the two networks.
        latent: latent coordinates.
        batch: images a step.
        rate: learning rate of both until half of the steps are done.
        seed: of weights, batches and latent vectors.
        precision: of the forward passes, ``float32`` or ``bfloat16`` (twice as fast on a CPU
            that has instructions for it, far slower on others); weights are always float32.

    Raises:
        UsageError: a value that makes no sense.
    """

    data: str = "fashion-mnist"
    steps: int = 6000
    latent: int = 128
    batch: int = 64
    rate: float = 4e-4
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, most in (("steps", _MOST_STEPS), ("latent", _MOST), ("batch", _MOST)):
            if not 1 <= getattr(self, name) <= most:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be 1 to {most}")
        if not 0 < self.rate <= 1:
            raise UsageError(f"rate is {self.rate}, it must be above 0 and at most 1")
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"seed is {self.seed}, it must be in 0..2^64-1")
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"precision is {self.precision!r}, valid ones are {', '.join(PRECISIONS)}"
            )


@dataclass(frozen=True, eq=False)
class GanState:
    """Everything that changes in training; the networks and optimisers are changed in place.

    Attributes:
        maker: the generator.
        average: the moving average of its weights and batch statistics.
        critic: the discriminator.
        maker_steps: optimiser of ``maker``.
        critic_steps: optimiser of ``critic``.
        step: steps done.
    """

    maker: SmallGenerator
    average: SmallGenerator
    critic: SmallCritic
    maker_steps: torch.optim.Adam
    critic_steps: torch.optim.Adam
    step: int = 0


def shape_for(images: ImageSet, latent: int) -> SmallShape:
    """The small GAN's sizes for these images.

    Raises:
        UsageError: images that are not square, or whose side is no multiple of 4.
    """
    channels, height, width = images.x.shape[1:]
    if height != width:
        raise UsageError(f"the small GAN makes square images, {images.name!r} is {height}x{width}")
    return SmallShape(latent, images.classes, channels, height)


def start(shape: SmallShape, config: GanConfig) -> GanState:
    """A state before the first step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_key(config.seed, 0, "weights"))
        maker, critic = SmallGenerator(shape), SmallCritic(shape)
    average = copy.deepcopy(maker).eval().requires_grad_(False)
    makers, critics = (
        torch.optim.Adam(network.parameters(), config.rate, _BETAS) for network in (maker, critic)
    )
    return GanState(maker, average, critic, makers, critics)


def train(
    state: GanState,
    images: ImageSet,
    config: GanConfig,
    last: int,
    on_step: Callable[[int, float, float], None] | None = None,
) -> GanState:
    """Do the steps from ``state.step`` to before ``last``, at most ``config.steps``.

    Args:
        on_step: called after every step with (steps done, critic's loss, generator's loss).

    Returns:
        The state after them; the one given is changed too and must not be used further.
    """
    state.maker.train()
    state.critic.train()
    for step in range(state.step, last):
        for optimiser in (state.maker_steps, state.critic_steps):
            optimiser.param_groups[0]["lr"] = config.rate * _rate_share(step, config.steps)
        x, y = _batch(images, config, step)
        critic_loss = _critic_step(state, config, x, y, _latent(config, step, "critic"))
        maker_loss = _maker_step(state, config, y, _latent(config, step, "maker"))
        _move_average(state.average, state.maker, step)
        if on_step is not None:
            on_step(step + 1, critic_loss, maker_loss)
    return replace(state, step=last)


def state_bytes(state: GanState, config: GanConfig) -> bytes:
    """A checkpoint: all of ``state``, and the configuration it belongs to."""
    parts = {name: getattr(state, name).state_dict() for name in _PARTS}
    file = io.BytesIO()
    torch.save({"config": json.dumps(asdict(config)), "step": state.step, **parts}, file)
    return file.getvalue()


def load_state(path: Path, shape: SmallShape, config: GanConfig) -> GanState:
    """The state in the checkpoint ``path``.

    Raises:
        RunMismatchError: it belongs to another configuration.
        CorruptDataError: it is no checkpoint of this training, or damaged.
    """
    state = start(shape, config)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        before = json.loads(found["config"])
        if before == asdict(config):
            for name in _PARTS:
                getattr(state, name).load_state_dict(found[name])
            return replace(state, step=int(found["step"]))
    except Exception as error:  # torch and zipfile raise many kinds on damaged files
        raise CorruptDataError(
            f"{path} is not a readable checkpoint ({type(error).__name__});"
            " remove it to start again"
        ) from error
    raise RunMismatchError(
        f"{path} belongs to a training with {_differences(before, asdict(config))}; repeat that"
        " command, remove the file, or choose another output"
    )


def _differences(before: dict[str, object], now: dict[str, object]) -> str:
    changed = [name for name in now if before.get(name) != now[name]]
    return ", ".join(f"{name} {before.get(name)} (not {now[name]})" for name in changed)


def _critic_step(state: GanState, config: GanConfig, x: Tensor, y: Tensor, z: Tensor) -> float:
    with _precision(config):
        with torch.no_grad():
            made = state.maker(z, y)
        scores = state.critic(torch.cat([x, made.to(x.dtype)]), torch.cat([y, y])).float()
    real, fake = scores.chunk(2)
    return _descend(state.critic_steps, softplus(-real).mean() + softplus(fake).mean())


def _maker_step(state: GanState, config: GanConfig, y: Tensor, z: Tensor) -> float:
    state.critic.requires_grad_(False)  # its gradients are not needed here: save their time
    with _precision(config):
        scores = state.critic(state.maker(z, y), y).float()
    loss = _descend(state.maker_steps, softplus(-scores).mean())
    state.critic.requires_grad_(True)
    return loss


def _precision(config: GanConfig) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16")


def _descend(optimiser: torch.optim.Adam, loss: Tensor) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return float(loss.detach())


def _rate_share(step: int, steps: int) -> float:
    """1 in the first half of the steps, then falling linearly towards 0."""
    return min(1.0, 2 * (steps - step) / steps)


def _batch(images: ImageSet, config: GanConfig, step: int) -> tuple[Tensor, Tensor]:
    """The step's images in -1..1 and their classes; epochs follow each other seamlessly."""
    places = np.arange(step * config.batch, (step + 1) * config.batch)
    epochs, within = np.divmod(places, len(images.y))
    index = np.empty(len(places), np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        index[here] = _order(config.seed, int(epoch), len(images.y))[within[here]]
    x = torch.from_numpy(images.x[index].astype(np.float32) / np.float32(127.5) - 1)
    return x, torch.from_numpy(images.y[index].astype(np.int64))


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, points: int) -> npt.NDArray[np.int32]:
    return epoch_order(seed, 0, epoch, points)


def _latent(config: GanConfig, step: int, purpose: str) -> Tensor:
    """The step's latent vectors [batch, latent], for one of the two networks."""
    random = torch.Generator().manual_seed(_key(config.seed, step, purpose))
    return torch.randn(config.batch, config.latent, generator=random)


def _key(seed: int, step: int, purpose: str) -> int:
    word = mix64(mix64(np.uint64(seed)) ^ text_key(f"small GAN {purpose}"))
    return int(mix64(word ^ np.uint64(step)) >> np.uint64(1))


@torch.no_grad()
def _move_average(average: SmallGenerator, maker: SmallGenerator, step: int) -> None:
    """Move ``average``, batch statistics included, a little towards ``maker``."""
    keep = min(_AVERAGE, (1 + step) / (_WARM_UP + step))
    for old, new in zip(average.state_dict().values(), maker.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - keep)
        else:  # a count of batches
            old.copy_(new)
