"""What is known about a saved network: a flat table of texts and numbers.

The words that the project itself writes; a file may have others::

    shape                "2,7,3,3,1"    inputs and outputs too    (from the network)
    mask                 hexadecimal    words of the mask, ``mask`` drawn there
    nonzeros             int            weights and biases that are kept
    effective_nonzeros   int            without disconnected parameters
    counting             text           "biases kept" or "biases prunable"
    task, accuracy                      share of the task's training points    (from its run)
    cell, epochs, batch_size, momentum, weight_decay, init_width, seed, restart
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from combsearch.config import Recipe
from combsearch.connectivity import biases_kept, effective_nonzeros, nonzeros
from combsearch.errors import UsageError
from combsearch.frontier import KEPT, PRUNABLE
from combsearch.mask import MaskBatch
from combsearch.nets import MLP, NetBatch

About = dict[str, str | int | float]
"""Facts about a network by name."""

NETWORK_FACTS = ("shape", "mask", "nonzeros", "effective_nonzeros", "counting")
"""Names of what a network says itself."""


def run_facts(
    *,
    task: str,
    accuracy: float,
    recipe: Recipe | None = None,
    seed: int | None = None,
    restart: int | None = None,
    init_width: int | None = None,
) -> About:
    """What a run knows about the network that it found, under the words of this module.

    Args:
        task: its name.
        accuracy: share of the training points classified right.
        recipe: what it was trained with.
        seed: seed of the run.
        restart: number of the restart.
        init_width: width of the network whose initialisation it took.
    """
    facts: About = {"task": task, "accuracy": float(accuracy)}
    if recipe is not None:
        facts |= {
            "cell": recipe.cell,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "momentum": recipe.momentum,
            "weight_decay": recipe.weight_decay,
        }
    given = {"seed": seed, "restart": restart, "init_width": init_width}
    return facts | {name: int(value) for name, value in given.items() if value is not None}


def network_facts(nets: NetBatch) -> About:
    """What the first MLP of ``nets`` says itself, under ``NETWORK_FACTS``."""
    one = nets[:1].numpy()
    assert isinstance(one.network, MLP)
    shape = one.network.shape
    weights = [one.masks[f"weight{layer}"] for layer in range(len(shape.layers))]
    words = MaskBatch.from_dense(shape, weights).words[0]
    return {
        "shape": ",".join(map(str, shape.widths)),
        "mask": " ".join(f"{int(word):016x}" for word in words),
        "nonzeros": int(nonzeros(one)[0]),
        "effective_nonzeros": int(effective_nonzeros(one)[0]),
        "counting": KEPT if biases_kept(one)[0] else PRUNABLE,
    }


def full_about(nets: NetBatch, about: Mapping[str, str | int | float]) -> About:
    """``about`` and what the network says itself.

    Raises:
        UsageError: ``about`` has other values than texts and finite numbers, or says
            something else about the network than the network.
    """
    own = network_facts(nets)
    for name, value in about.items():
        if _wrong(name, value):
            raise UsageError(f"about {name!r} is {value!r}: it takes texts and finite numbers")
        if own.get(name, value) != value:
            raise UsageError(f"about {name!r} is {value!r}, but the network has {own[name]!r}")
    return {**own, **about}


def about_text(about: Mapping[str, str | int | float]) -> str:
    """One line of JSON, its names sorted."""
    return json.dumps(about, sort_keys=True, allow_nan=False)


def parse_about(text: str) -> About:
    """The inverse of ``about_text``.

    Raises:
        ValueError: ``text`` is not such a table.
    """
    try:
        found: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError("about is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"about is a {type(found).__name__}, not a table")
    for name, value in found.items():
        if _wrong(name, value):
            raise ValueError(f"about {name!r} is neither a text nor a finite number")
    return found


def _wrong(name: object, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return True
    return not isinstance(name, str) or (isinstance(value, float) and not math.isfinite(value))
