"""How long the runs of a sweep take, for ``--dry-run`` and for cutting shards. No result."""

from __future__ import annotations

import math

from combsearch.flops import BY_ROUNDS

TRAIN_DENSE = ("lth", *BY_ROUNDS)
"""Methods that train dense first, once for all budgets."""

_STEP_SAMPLES = 128
_STEPS = 19_500  # of the paper's recipe, for which the figures below were measured
_WEIGHT_SECONDS = 1e-8  # of a core, a kept weight and step of 128 samples
_SPARSE_SECONDS = 0.05  # of a core, a network of few weights in the paper's recipe


def dense_seconds(method: str, weights: int, samples: float) -> float:
    """Seconds of a core that a method trains dense, once for all budgets of a cell and restart.

    Args:
        method: its name.
        weights: of the dense network.
        samples: of a training run.
    """
    return _trained(weights, samples) if method in TRAIN_DENSE else 0.0


def run_seconds(method: str, weights: int, budget: int, samples: float) -> float:
    """Seconds of a core that one run takes, without ``dense_seconds``."""
    return _trained(_weights_trained(method, weights, budget), samples) + _scoring(method, weights)


def _weights_trained(method: str, weights: int, budget: int) -> float:
    """Kept weights, the average over one training run (their sum over later ones)."""
    if method == "gmp":  # K + (N - K)(1 - f)^3 has the mean K + (N - K) / 4
        return budget + (weights - budget) / 4
    if method == "lth":
        return weights * sum(math.pow(budget / weights, i / 4) for i in range(1, 5))
    if method in BY_ROUNDS and not method.startswith("one_shot"):  # as rounds of a fifth each
        rounds = int(math.log(budget / weights) / math.log(0.8))
        return budget + weights * sum(0.8**i for i in range(1, rounds + 1))
    return budget


def _trained(weights: float, samples: float) -> float:
    share = samples / (_STEPS * _STEP_SAMPLES)
    return share * (_SPARSE_SECONDS + _WEIGHT_SECONDS * _STEPS * weights)


def _scoring(method: str, weights: int) -> float:
    """Forward and backward passes of dense networks, which scores are made of."""
    passes = {"synflow": 100, "rigl": 150, "prospr": 12, "iter_snip": 10, "force": 10}
    return passes.get(method, 2) * 128 * weights * 2e-10
