"""What a search asks about GPUs: whether a trainer runs on one, and how many there are.

``cuda`` gives the bits of ``fused``. So both make one run: what was begun on a GPU goes on
on a CPU and the other way round, and the identity of a run names ``fused``. What a session
trained on stands in the run's ``sessions``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeVar

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.search.sharing import give_way
from combsearch.store import Shard
from combsearch.trainers import Trainer, get_trainer

T = TypeVar("T")

RATE = 1.1e13
"""Multiply-adds a second of a GPU, about, as an H200 does them."""

FLOATS = 2**23
"""Parameters trained at once on a GPU, about: a few seconds."""

_TWINS = {"cuda": "fused"}  # a trainer on a GPU -> the one on a CPU whose bits it gives
_SHARD_WORK, _SHARD_RUNS = 15 * RATE, 2**20  # of a shard at most, where a lot is not more


def on_gpu(trainer: str) -> bool:
    """Whether a trainer runs on a GPU and gives the bits of one on a CPU."""
    return trainer in _TWINS


def identity_name(trainer: str) -> str:
    """The trainer that a run's identity names."""
    return _TWINS.get(trainer, trainer)


def named_by(config: T, trainer: str) -> T:
    """What of a configuration a run is named after, so that any trainer of its rows finds it.

    Args:
        config: with a field ``trainer``, by default ``auto``.
        trainer: that was chosen.
    """
    settings: Any = config
    if identity_name(trainer) == "fused":
        settings = dataclasses.replace(settings, trainer="auto")
    found: T = settings
    return found


def gpus(trainer: str) -> int:
    """GPUs that a trainer may use from here; 0 for one on a CPU."""
    return int(_kernels().gpus()) if on_gpu(trainer) else 0


def check_gpu(trainer: str, shape: NetShape) -> None:
    """Refuse a trainer on a GPU where there is none, or none of its kernels takes ``shape``.

    Raises:
        UsageError: naming what is missing, and what gives the same results without it.
    """
    if not on_gpu(trainer):
        return
    obstacle = _kernels().no_gpu() or _kernels().why_not(shape.widths)
    if obstacle:
        raise UsageError(
            f"trainer {trainer!r}: {obstacle}; {identity_name(trainer)!r} gives the same results"
            " on a CPU"
        )


def searching(trainer: str) -> Trainer:
    """A trainer for many networks of which few are kept: on a GPU they stay there.

    Between launches of a GPU a thread gives way, so that Ctrl-C need not wait for a shard.
    """
    if on_gpu(trainer):
        return get_trainer(trainer, stay=True, between=give_way)
    return get_trainer(trainer)


def side_by_side(
    trainer: Trainer, shape: NetShape, floats: int, networks: int | None = None
) -> int:
    """Networks of a shape to train at once.

    Args:
        trainer: one on a GPU says by ``wave`` how many fill it, and gets whole waves.
        shape: of the networks.
        floats: parameters that a trainer on a CPU shall hold.
        networks: of the shape in all, where that is known: for few of them a GPU does not look
            for its quickest kernel.
    """
    wave_of: Any = getattr(trainer, "wave", None)
    if wave_of is None:
        return max(1, floats // shape.parameters)
    wave = int(wave_of(shape, networks))
    return max(1, FLOATS // (wave * shape.parameters)) * wave


def joined(
    lots: Sequence[Shard], levels: Sequence[int], work: Sequence[float], runs: Sequence[int]
) -> list[Shard]:
    """Neighbouring ``lots`` of one level joined to shards for a GPU.

    Args:
        lots: ranges of ranks, ascending, without gaps.
        levels: of each, ascending.
        work: multiply-adds of each.
        runs: training runs of each.
    """
    cuts, total, count = [0], 0.0, 0
    for place, lot in enumerate(lots):
        full = total + work[place] > _SHARD_WORK or count + runs[place] > _SHARD_RUNS
        if place and (full or levels[place] != levels[place - 1]):
            cuts.append(lot.first)
            total, count = 0.0, 0
        total, count = total + work[place], count + runs[place]
    return [Shard(a, b) for a, b in itertools.pairwise([*cuts, lots[-1].last])]


def _kernels() -> ModuleType:
    from combsearch.kernels import cuda  # imports torch, which takes seconds

    return cuda
