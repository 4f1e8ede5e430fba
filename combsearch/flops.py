"""Floating point operations of pruning and training, as the paper counts them, by formula.

The rule that gives the paper's table 1 is one operation for each nonzero parameter and
training sample. (What a real run took, ``Budget`` counts by the same rule.) At width 16, with
N = 560 weights, 49 biases and 390 x 128 x 50 = 2,496,000 samples, for K = 55 weights kept
and b biases with them:

    method      parameters a sample                        biases b   operations   table 1
    dense       609                                            49        1.52e9     1.5e9
    at the      55 + b                                         21        1.90e8     1.9e8
      start                                               20 - 23   1.87 - 1.95e8
    GraSP       the same                                  24 - 27   1.97 - 2.05e8   2.0e8
    LTH         sum of five runs, of 560, 313, 175, 98                               3.4e9
                and 55 weights, and their biases               21        3.42e9
    GMP         mean of K + (N - K) (1 - f)^3, which is                              5.3e8
                181.2, and its biases                          21        5.28e8
    RigL        55 + b                                    28 - 31   2.07 - 2.15e8   2.1e8

The paper does not say how many biases were kept. In our sweep (results/prune-wide) RigL keeps
28 of 49 on average, GraSP 23, GMP 23, LTH 21, the others 19 to 23: those that RigL needs if the
dense gradients by which it grows count like any other pass. Were they counted as dense (146
minibatches of 609 parameters), RigL would come to 2.2e8. LTH and GMP come out if biases fall from
49 as a power of the weights.
"""

from __future__ import annotations

import math

from combsearch.config import Recipe
from combsearch.mask import NetShape

LTH_RUNS = 5  # trainings, with a pruning between each two
GMP_PRUNINGS = 199  # after which the schedule is at its end, of 200 equal intervals
BY_ROUNDS = tuple(
    f"{method}{scope}"
    for method in ("sap", "lt", "one_shot")
    for scope in ("", "_layer", "_neuron")
)
"""Methods whose rounds, and so their operations, are in no formula: their rows say them."""


def samples(recipe: Recipe, points: int) -> int:
    """Training samples of a whole run over ``points`` points."""
    return recipe.total_steps(points) * recipe.batch_size


def expected_flops(
    method: str, shape: NetShape, kept: int, biases: int, recipe: Recipe, points: int
) -> float:
    """Operations of one method's run with its training (module docstring).

    Args:
        method: ``dense``, ``lth``, ``gmp``; any other, none of ``BY_ROUNDS``, is as sparse from
            the start to the end.
        shape: the dense network.
        kept: weights kept in the end, from 1 up.
        biases: biases kept in the end.
        recipe: of the training.
        points: of the task.
    """
    total = float(samples(recipe, points))
    if method == "dense":
        return total * shape.parameters
    if method == "lth":
        shares = [run / (LTH_RUNS - 1) for run in range(LTH_RUNS)]
        left = [shape.weights * (kept / shape.weights) ** share for share in shares]
        return total * sum(_with_biases(shape, int(w + 1e-9), kept, biases) for w in left)
    steps = recipe.total_steps(points)
    if method == "gmp":
        return recipe.batch_size * _gmp(shape, kept, biases, steps)
    return total * (kept + biases)


def _gmp(shape: NetShape, kept: int, biases: int, steps: int) -> float:
    """Nonzeros summed over steps: pruned at equal intervals, as the cube of what is left to go."""
    interval = max(1, steps // (GMP_PRUNINGS + 1))
    total = 0.0
    for pruning, first in enumerate(range(0, steps, interval)):
        to_go = max(0.0, 1 - pruning / GMP_PRUNINGS)
        left = kept + (shape.weights - kept) * to_go**3
        total += min(interval, steps - first) * _with_biases(shape, left, kept, biases)
    return total


def _with_biases(shape: NetShape, left: float, kept: int, biases: int) -> float:
    """``left`` weights and the biases with them: a power of the weights, right at both ends."""
    if kept == shape.weights:
        return left + biases
    power = math.log(biases / shape.biases) / math.log(kept / shape.weights) if biases else 0.0
    return left + (shape.biases * (left / shape.weights) ** power if biases else 0.0)
