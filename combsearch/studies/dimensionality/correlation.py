"""Does the dimension of data go with how far networks prune? Rank correlation of a table.

A table has a row a trial: a network trained on data of one dimension, with mean and spread
over seeds of the weights that are left. "The Effect of Data Dimensionality on Neural Network
Prunability" (ICBINB workshop, NeurIPS 2022), appendix: the trials of all networks are pooled;
a rollout draws 1,000 times a trial at random, with replacement, and an outcome from
N(mean, spread / sqrt(seeds)); its Spearman correlation of dimension and outcome is one
sample. The paper gives mean and standard deviation of 5,000 rollouts.

What that deviation is not: an error bar of the correlation over networks, dimensions or
seeds. It is the noise of drawing 1,000 times, 1/sqrt(999) = 0.032 where nothing is correlated,
and goes to 0 with more draws, however few trials there are.

A rollout's random numbers depend on (seed, number of the rollout) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

DRAWS, ROLLOUTS, SEEDS = 1000, 5000, 3
"""As the paper has them."""

_AT_ONCE = 2**18  # draws: what a block of rollouts needs stays in the cache

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of a table, networks pooled.

    Attributes:
        dimension: float64 [trial], of the data; only their order matters.
        mean: float64 [trial], weights left, in any unit.
        spread: float64 [trial], its standard deviation over seeds, in the same unit.
    """

    dimension: Floats
    mean: Floats
    spread: Floats

    def __post_init__(self) -> None:
        for name in ("dimension", "mean", "spread"):
            object.__setattr__(self, name, _column(name, getattr(self, name)))
        lengths = {name: len(getattr(self, name)) for name in ("dimension", "mean", "spread")}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {count}" for name, count in lengths.items())
            raise UsageError(f"columns of unequal length ({shown}): each trial needs all three")
        if (self.spread < 0).any():
            raise UsageError(f"spread {self.spread.min():g} is negative, it must be 0 or more")
        if len(np.unique(self.dimension)) < 2:
            raise UsageError("all trials have one dimension: a correlation needs at least two")
        if not self.spread.any() and len(np.unique(self.mean)) < 2:
            raise UsageError("all trials have one mean and no spread: no correlation is defined")


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over rollouts.

    Attributes:
        mean: of the rollouts.
        std: their sample standard deviation.
        rollouts: how many counted. One that drew a single dimension, or equal outcomes only,
            has no correlation and does not; that takes very few draws.
        draws: trials drawn in a rollout.
        trials: rows of the table.
    """

    mean: float
    std: float
    rollouts: int
    draws: int
    trials: int


def monte_carlo_spearman(
    trials: Trials,
    draws: int = DRAWS,
    rollouts: int = ROLLOUTS,
    seeds: int = SEEDS,
    seed: int = 0,
) -> Correlation:
    """Mean and deviation of the rank correlation of dimension and outcome over rollouts.

    Args:
        trials: the table.
        draws: trials drawn in a rollout, with replacement; at least 2.
        rollouts: samples of the correlation; at least 2.
        seeds: how many were averaged in a mean: outcomes deviate by spread / sqrt(seeds).
        seed: of the random numbers, 0 to 2**64 - 1.

    Raises:
        UsageError: a number out of its range, or fewer than two rollouts with a correlation.
    """
    for name, value, least in (("draws", draws, 2), ("rollouts", rollouts, 2), ("seeds", seeds, 1)):
        if value < least:
            raise UsageError(f"{name} is {value}, it must be at least {least}")
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed}, it must lie in 0 to 2**64 - 1")
    block = max(1, _AT_ONCE // draws)
    starts = range(0, rollouts, block)
    samples = np.concatenate(
        [
            _samples(trials, draws, range(at, min(at + block, rollouts)), seeds, seed)
            for at in starts
        ]
    )
    samples = samples[np.isfinite(samples)]
    if len(samples) < 2:
        raise UsageError(
            f"draws is {draws}: fewer than two rollouts drew different dimensions and outcomes;"
            " take more draws or rollouts"
        )
    mean, std = float(samples.mean()), float(samples.std(ddof=1))
    return Correlation(mean, std, len(samples), draws, len(trials.mean))


def drawn(
    trials: Trials, draws: int, rollout: int, seeds: int, seed: int
) -> tuple[npt.NDArray[np.intp], Floats]:
    """What a rollout draws: index of the trial and outcome, [draw] each."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, rollout], np.uint64)))
    trial = generator.integers(len(trials.mean), size=draws, dtype=np.intp)
    noise = generator.standard_normal(draws)
    return trial, trials.mean[trial] + trials.spread[trial] / np.sqrt(seeds) * noise


def spearman(dimension: Floats, outcome: Floats) -> Floats:
    """Spearman's rank correlation of each row: [row, draw] twice -> [row].

    Ties share the average of their ranks; NaN where a row of either is constant.
    """
    a, b = _ranks(dimension), _ranks(outcome)
    with np.errstate(invalid="ignore"):  # 0 / 0 of a constant row
        products = (a * b).sum(axis=1)
        rho: Floats = products / np.sqrt((a * a).sum(axis=1)) / np.sqrt((b * b).sum(axis=1))
    return rho


def _samples(trials: Trials, draws: int, rollouts: range, seeds: int, seed: int) -> Floats:
    """The correlation of each of ``rollouts``, [rollout]."""
    found = [drawn(trials, draws, rollout, seeds, seed) for rollout in rollouts]
    trial, outcome = (np.stack(column) for column in zip(*found, strict=True))
    return spearman(trials.dimension[trial], outcome)


def _ranks(values: Floats) -> Floats:
    """Twice the average ranks less their mean: whole numbers, [row, draw], summing to 0.

    Equal values take places first to last of the sorted row and share first + last.
    """
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    rows, draws = values.shape
    place = np.broadcast_to(np.arange(draws), (rows, draws))
    new = np.ones((rows, draws + 1), bool)  # whether a run of equal values starts here
    new[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new[:, :-1], place, 0), axis=1)
    ends = np.where(new[:, 1:], place, draws)
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty((rows, draws))
    np.put_along_axis(ranks, order, (first + last - (draws - 1)).astype(np.float64), axis=1)
    return ranks


def _column(name: str, values: npt.ArrayLike) -> Floats:
    """A column of finite numbers, read-only float64 [trial]."""
    column = np.array(values, np.float64)
    if column.ndim != 1 or not len(column):
        raise UsageError(f"{name} has shape {list(column.shape)}, expected [trial], not empty")
    if not np.isfinite(column).all():
        at = int(np.argmin(np.isfinite(column)))
        raise UsageError(f"{name} of trial {at + 1} is {column[at]}, every number must be finite")
    column.flags.writeable = False
    return column
