"""Trainers by name.

loop (slow oracle), indexed (kept weights of networks for images), vmap (torch.func), and those
with kernels: fused, sparse and cuda.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from combsearch.errors import UsageError
from combsearch.registry import import_object, lookup
from combsearch.trainers.base import Trainer

__all__ = ["TRAINERS", "Trainer", "get_trainer"]

# Name -> where the class is; a backend is imported when it is asked for.
TRAINERS = {
    "auto": "combsearch.trainers.auto:AutoTrainer",
    "cuda": "combsearch.trainers.cuda:CudaTrainer",
    "fused": "combsearch.trainers.fused:FusedTrainer",
    "indexed": "combsearch.trainers.indexed:IndexedTrainer",
    "loop": "combsearch.trainers.loop:LoopTrainer",
    "sparse": "combsearch.trainers.sparse:SparseTrainer",
    "vmap": "combsearch.trainers.vmap:VmapTrainer",
}


def get_trainer(name: str, **options: Any) -> Trainer:
    """The trainer called ``name``, or the user's own ``pkg.module:Name``.

    Args:
        name: ``auto`` takes ``cuda`` where there is a GPU, else ``fused``, where these can serve
            the request, else ``vmap``.
        options: fields of the trainer's class, such as ``device="cuda"`` of ``vmap``.

    Raises:
        UsageError: when there is no such trainer, or it has no such option.
    """
    make = import_object("trainer", name) if ":" in name else _known(name)
    if not callable(make):
        raise UsageError(f"trainer {name!r} is {make!r}, it must be a class")
    try:
        return cast(Trainer, make(**options))
    except TypeError as error:
        raise UsageError(f"trainer {name!r} does not take {sorted(options)}: {error}") from error


def _known(name: str) -> object:
    module, _, attribute = lookup("trainer", name, TRAINERS).partition(":")
    found: object = getattr(importlib.import_module(module), attribute)
    return found
