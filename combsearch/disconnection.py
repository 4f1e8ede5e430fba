r"""How likely a random mask is to have disconnected weights: exactly, bounded, and simulated.

A kept weight is *disconnected* when no path of kept weights from an input to an output goes
through it. A mask is *whole* when it has none. That is so exactly when every hidden neuron
has kept weights on both sides or on neither: then each kept weight goes on to an output and
back to an input, and a neuron with weights on one side only is where that fails.

Masks are drawn uniformly among those that keep K weights of the whole network
(``kept`` is K), or k_l weights of layer l (``kept`` lists them; layers are independent, as
for random masks by EPL or ERK budgets). Biases play no part here.

**Exact.** A whole mask uses s_l neurons of hidden layer l. Its first matrix has no zero row
on them, its last no zero column, those between neither; all that counts is the s_l::

    whole masks(K) = sum over s of  prod_l C(n_l, s_l)  times the coefficient of x^K in
        ((1+x)^inputs - 1)^s_1  C(s_2, s_1)(x)  C(s_3, s_2)(x) ...  ((1+x)^outputs - 1)^s_last

    C(a, b)(x) = sum over j of (-1)^(b-j) binomial(b, j) ((1+x)^j - 1)^a

C counts a x b matrices without zero row or column by their ones. The sum runs along the
network, one layer at a time, in whole numbers, so nothing is rounded at any width.

**Expected disconnected weights.** Whether the weight's source is fed depends on the layers
before, whether its target leads out on those behind, and whether it is kept on its own
layer; neurons of a layer are alike. So with k_l kept weights in layer l

    E[connected in layer l | k] = k_l  E[fed neurons of layer l-1] / n_(l-1)
                                       E[leading neurons of layer l] / n_l

and for K in all the three are power series in x, multiplied.

**Bound.** Keep each weight by itself with any probability p (any p_l in layer l). A neuron
with a weights in and b out has weights on both sides or on neither with probability

    w = (1 - q^a) (1 - q^b) + q^a q^b,    q = 1 - p.

Neurons of every second hidden layer share no weight, so that holds for all of them with the
product of their w. Given that K weights are kept in all, such a mask is uniform among those
with K, and a whole one has no broken neuron, so

    P(whole) <= (product of w) / P(K kept)

whatever p is. Taken are the best p, and the smaller one of the odd and the even hidden layers.
(At p = K / weights, 1 / P(K kept) is about sqrt(2 pi K q); a larger p is better where K is
small against the neurons. With budgets by layer all odds p_l / q_l are tilted alike.)

The paper ("Sparsest Models Elude Pruning") also has a theorem on disconnected paths of
random masks; its statement was not at hand, and this is not taken from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from combsearch.connectivity import connected
from combsearch.errors import UsageError
from combsearch.mask import NetShape

Kept = int | Sequence[int]
"""Weights kept in all, or in each layer."""

_Series = list[int]  # coefficients of 1, x, x^2, ...: masks by the weights that they keep
_CHUNK = 2**24  # mask entries simulated at a time


def whole_probability(shape: NetShape, kept: Kept) -> Fraction:
    """Probability that a random mask has no disconnected weight, exactly (module docstring).

    Raises:
        UsageError: the budget is not one of the shape.
    """
    budget = _Budget.of(shape, kept)
    return Fraction(_whole(shape, budget)[-1], budget.masks(shape))


def whole_curve(shape: NetShape, most: int) -> list[Fraction]:
    """``whole_probability`` of 0, 1, ..., ``most`` weights kept in all, in one pass.

    65 weights take about a second at any width, and the time grows with the fourth power.
    """
    counts = _whole(shape, _Budget.of(shape, most))
    return [Fraction(count, math.comb(shape.weights, k)) for k, count in enumerate(counts)]


def expected_disconnected(shape: NetShape, kept: Kept) -> Fraction:
    """Mean number of disconnected weights of a random mask, exactly (module docstring).

    Raises:
        UsageError: the budget is not one of the shape.
    """
    budget = _Budget.of(shape, kept)
    return budget.total - Fraction(_connected(shape, budget)[-1], budget.masks(shape))


def disconnected_curve(shape: NetShape, most: int) -> list[Fraction]:
    """``expected_disconnected`` of 0, 1, ..., ``most`` weights kept in all, in one pass."""
    counts = _connected(shape, _Budget.of(shape, most))
    return [k - Fraction(count, math.comb(shape.weights, k)) for k, count in enumerate(counts)]


def whole_bound(shape: NetShape, kept: Kept) -> float:
    """An upper bound of ``whole_probability``, at most 1 (module docstring).

    Raises:
        UsageError: the budget is not one of the shape.
    """
    budget = _Budget.of(shape, kept)
    bounds = [0.0]  # logarithms; 0 is the bound 1 that always holds
    for first in (1, 2):
        hidden = range(first, len(shape.widths) - 1, 2)
        if hidden:
            bounds.append(_least_value(partial(_log_bound, shape, budget, hidden)))
    return math.exp(min(bounds))


@dataclass(frozen=True)
class Simulation:
    """What random masks were like.

    Attributes:
        samples: masks drawn.
        whole: those without a disconnected weight.
        mean: disconnected weights, on average.
        error: standard error of ``mean``.
    """

    samples: int
    whole: int
    mean: float
    error: float


def simulate(shape: NetShape, kept: Kept, samples: int, seed: int) -> Simulation:
    """Draw masks and look which of their weights are connected; fixed by ``seed``.

    Raises:
        UsageError: the budget is not one of the shape, or fewer than 2 samples are asked for.
    """
    budget = _Budget.of(shape, kept)
    if samples < 2:
        raise UsageError(f"{samples} samples: needs 2 or more")
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // shape.weights)
    parts = [
        _count_disconnected(shape, _draw(shape, budget, min(chunk, samples - first), rng))
        for first in range(0, samples, chunk)
    ]
    counts = np.concatenate(parts)
    return Simulation(
        samples=samples,
        whole=int((counts == 0).sum()),
        mean=float(counts.mean()),
        error=float(counts.std(ddof=1) / math.sqrt(samples)),
    )


# ---- budgets and series ----------------------------------------------------------------


@dataclass(frozen=True)
class _Budget:
    """Weights kept: ``total``, and in each layer unless that is left to chance."""

    total: int
    by_layer: tuple[int, ...] | None = None

    @classmethod
    def of(cls, shape: NetShape, kept: Kept) -> _Budget:
        if isinstance(kept, int | np.integer):
            found = cls(int(kept))
            valid = 0 <= found.total <= shape.weights
        else:
            found = cls(sum(kept), tuple(int(k) for k in kept))
            sizes = [rows * columns for rows, columns in shape.layers]
            valid = len(kept) == len(sizes) and all(
                0 <= k <= size for k, size in zip(kept, sizes, strict=True)
            )
        if not valid:
            raise UsageError(
                f"cannot keep {kept} of the {shape.weights} weights of shape ({shape}):"
                f" needs one number, or one for each of its {len(shape.layers)} layers,"
                " none above the weights there"
            )
        return found

    def reversed(self) -> _Budget:
        return _Budget(self.total, self.by_layer and self.by_layer[::-1])

    def masks(self, shape: NetShape) -> int:
        """Masks that there are."""
        if self.by_layer is None:
            return math.comb(shape.weights, self.total)
        pairs = zip(shape.layers, self.by_layer, strict=True)
        return math.prod(math.comb(rows * columns, k) for (rows, columns), k in pairs)

    def most(self, layer: int) -> int:
        """Largest number of weights that the layer may keep."""
        return self.total if self.by_layer is None else self.by_layer[layer]

    def pick(self, layer: int, counts: _Series) -> _Series:
        """``counts`` by the weights of the layer; where their number is fixed, that entry."""
        return counts if self.by_layer is None else [counts[self.by_layer[layer]]]

    def times(self, left: _Series, right: _Series) -> _Series:
        return _times(left, right, self.total if self.by_layer is None else 0)

    def sum(self, parts: Sequence[_Series]) -> _Series:
        zero = [0] * (1 if self.by_layer is not None else self.total + 1)
        return [sum(column) for column in zip(zero, *parts, strict=True)]


def _times(left: Sequence[int], right: Sequence[int], most: int) -> _Series:
    """Product of two series up to x^``most``; most coefficients of ours are 0."""
    product = [0] * (most + 1)
    terms = [(j, b) for j, b in enumerate(right) if b]
    for i, a in enumerate(left):
        if a:
            for j, b in terms:
                if i + j > most:
                    break
                product[i + j] += a * b
    return product


def _scaled(factor: int, series: Sequence[int]) -> _Series:
    return [factor * count for count in series]


def _binomials(n: int, most: int) -> _Series:
    """(1 + x)^n: any of n weights."""
    return [math.comb(n, k) for k in range(most + 1)]


@lru_cache(maxsize=2**15)
def _no_zero_row(rows: int, columns: int, most: int) -> tuple[int, ...]:
    """0/1 matrices without a zero row, by their ones."""
    if rows == 0:
        return (1, *[0] * most)
    row = [0, *_binomials(columns, most)[1:]]
    return tuple(_times(_no_zero_row(rows - 1, columns, most), row, most))


@lru_cache(maxsize=2**15)
def _no_zero_line(rows: int, columns: int, most: int) -> tuple[int, ...]:
    """0/1 matrices without a zero row or column, by their ones: C(a, b) of the module."""
    total = [0] * (most + 1)
    for j in range(columns + 1):
        factor = (-1) ** (columns - j) * math.comb(columns, j)
        for k in range(rows, most + 1):  # each row holds a one
            total[k] += factor * _no_zero_row(rows, j, most)[k]
    return tuple(total)


# ---- whole masks -----------------------------------------------------------------------


def _whole(shape: NetShape, budget: _Budget) -> _Series:
    """Whole masks, by K up to the budget's (or one number, where each layer's is fixed)."""
    most, width = budget.most(0), shape.widths[1]
    used = {
        s: _scaled(math.comb(width, s), budget.pick(0, list(_no_zero_row(s, shape.inputs, most))))
        for s in range(min(width, most) + 1)
    }
    for layer in range(1, len(shape.hidden)):
        used = _next_used(used, layer, shape.widths[layer + 1], budget)
    last = len(shape.hidden)
    ends = [
        budget.times(
            ways, budget.pick(last, list(_no_zero_row(s, shape.outputs, budget.most(last))))
        )
        for s, ways in used.items()
        if s <= budget.most(last)
    ]
    return budget.sum(ends)


def _next_used(
    used: dict[int, _Series], layer: int, width: int, budget: _Budget
) -> dict[int, _Series]:
    """From masks by the neurons used in one hidden layer to the same in the next."""
    most = budget.most(layer)
    following = {}
    for t in range(min(width, most) + 1):
        parts = [
            budget.times(ways, budget.pick(layer, list(_no_zero_line(t, s, most))))
            for s, ways in used.items()
            if max(s, t) <= most - _least(ways, budget)
        ]
        following[t] = _scaled(math.comb(width, t), budget.sum(parts))
    return {t: ways for t, ways in following.items() if any(ways)}


def _least(ways: _Series, budget: _Budget) -> int:
    """Weights that the layers before keep at least; they come out of the same K, or do not."""
    if budget.by_layer is not None:
        return 0
    return next((k for k, count in enumerate(ways) if count), budget.total + 1)


# ---- expected number of connected weights ----------------------------------------------


def _connected(shape: NetShape, budget: _Budget) -> _Series:
    """Connected weights summed over all masks, by K (or one number)."""
    fed = _fed(shape, budget)
    leading = _fed(NetShape(shape.widths[::-1]), budget.reversed())[::-1]
    parts = []
    for layer, (rows, columns) in enumerate(shape.layers):
        size, most = rows * columns, budget.most(layer)
        kept = budget.pick(layer, [k * count for k, count in enumerate(_binomials(size, most))])
        ways = budget.times(budget.times(fed[layer], kept), leading[layer + 1])
        # Whole: it counts (kept weight, mask) of one weight, times the weights of the layer.
        parts.append([count // size for count in ways])
    return budget.sum(parts)


def _fed(shape: NetShape, budget: _Budget) -> list[_Series]:
    """For every layer of neurons: neurons fed from an input, summed over the masks before it."""
    one = [1, *[0] * (budget.total if budget.by_layer is None else 0)]
    by_size = {shape.inputs: one}
    sums = [_scaled(shape.inputs, one)]
    for layer, (rows, columns) in enumerate(shape.layers):
        by_size = _next_fed(by_size, layer, rows, columns, budget)
        sums.append(budget.sum([_scaled(size, ways) for size, ways in by_size.items()]))
    return sums


def _next_fed(
    by_size: dict[int, _Series], layer: int, rows: int, columns: int, budget: _Budget
) -> dict[int, _Series]:
    """From masks by the number of fed neurons in one layer to the same in the next."""
    most = budget.most(layer)
    parts: dict[int, list[_Series]] = {}
    for fed, ways in by_size.items():
        # Columns of neurons that are not fed hold anything; in the others, fed rows are not zero.
        free = _binomials(rows * (columns - fed), most)
        for reached in range(min(rows, most) + 1):
            own = _times(_no_zero_row(reached, fed, most), free, most)
            product = budget.times(ways, budget.pick(layer, own))
            parts.setdefault(reached, []).append(_scaled(math.comb(rows, reached), product))
    sums = {size: budget.sum(series) for size, series in parts.items()}
    return {size: ways for size, ways in sums.items() if any(ways)}


# ---- bound and simulation --------------------------------------------------------------


def _log_bound(shape: NetShape, budget: _Budget, hidden: Sequence[int], tilt: float) -> float:
    """log of the bound by some hidden layers, the odds to keep a weight e^``tilt`` times theirs."""
    touched = {layer for below in hidden for layer in (below - 1, below)}
    sizes = [rows * columns for rows, columns in shape.layers]
    if budget.by_layer is None:
        pools = [(shape.weights, budget.total)]
        logs = [_tilted(shape.weights, budget.total, tilt)] * len(sizes)
    else:
        pools = [(sizes[layer], budget.by_layer[layer]) for layer in sorted(touched)]
        logs = [_tilted(*pool, tilt) for pool in zip(sizes, budget.by_layer, strict=True)]
    unbroken = sum(shape.widths[layer] * _log_unbroken(shape, logs, layer) for layer in hidden)
    return unbroken - sum(_log_exactly(size, k, tilt) for size, k in pools)


def _tilted(size: int, kept: int, tilt: float) -> tuple[float, float]:
    """log of the probabilities that a weight is kept, and that it is pruned."""
    if kept in (0, size):
        return (0.0, -math.inf) if kept else (-math.inf, 0.0)
    odds = math.exp(tilt) * kept / (size - kept)
    return math.log(odds) - math.log1p(odds), -math.log1p(odds)


def _log_unbroken(shape: NetShape, logs: Sequence[tuple[float, float]], layer: int) -> float:
    """log w of a neuron of hidden ``layer``, weights kept independently."""
    before, after = (
        shape.widths[layer - 1] * logs[layer - 1][1],
        shape.widths[layer + 1] * logs[layer][1],
    )
    unbroken = math.expm1(before) * math.expm1(after) + math.exp(before + after)
    return math.log(unbroken) if unbroken > 0 else -math.inf


def _log_exactly(size: int, kept: int, tilt: float) -> float:
    """log of the probability that exactly ``kept`` of ``size`` weights stay."""
    if kept in (0, size):
        return 0.0
    stay, go = _tilted(size, kept, tilt)
    return math.log(math.comb(size, kept)) + kept * stay + (size - kept) * go


def _least_value(function: Callable[[float], float]) -> float:
    """Smallest value of a convex function on [-12, 12], nearly: golden section."""
    low, high, ratio = -12.0, 12.0, (math.sqrt(5) - 1) / 2
    for _ in range(50):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if function(left) <= function(right) else (left, high)
    return min(function(low), function(0.0))


def _draw(
    shape: NetShape, budget: _Budget, samples: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Masks, bool [sample, weight]."""
    sizes = [rows * columns for rows, columns in shape.layers]
    pools = [(0, shape.weights, budget.total)]
    if budget.by_layer is not None:
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        pools = list(zip(starts, sizes, budget.by_layer, strict=True))
    masks = np.zeros((samples, shape.weights), np.bool_)
    for mask in masks:
        for start, size, kept in pools:
            mask[start + rng.choice(size, kept, replace=False, shuffle=False)] = True
    return masks


def _count_disconnected(shape: NetShape, masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Disconnected weights of each mask, by ``connectivity``."""
    ends = np.cumsum([rows * columns for rows, columns in shape.layers])
    named: dict[str, npt.NDArray[np.bool_]] = {}
    for layer, part in enumerate(np.split(masks, ends[:-1], axis=1)):
        rows, columns = shape.layers[layer]
        named[f"weight{layer}"] = part.reshape(len(masks), rows, columns)
        named[f"bias{layer}"] = np.zeros((len(masks), rows), np.bool_)
    kept = sum(bits.reshape(len(masks), -1).sum(axis=1) for bits in connected(named).values())
    return np.asarray(masks.sum(axis=1) - kept, np.int64)
