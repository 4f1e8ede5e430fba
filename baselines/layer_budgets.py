"""How a budget of weights is shared among the layers: uniform, EPL, EPF, ERK."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.registry import lookup

Shapes = Sequence[tuple[int, ...]]
Densities = npt.NDArray[np.float64]

ROUNDINGS = ("exact", "authors", "truncated")


def uniform(shapes: Shapes, budget: float) -> Densities:
    """The same density in every layer: float64 [layer]."""
    sizes = _sizes(shapes)
    return np.full(len(sizes), budget / sizes.sum())


def equal_per_layer(shapes: Shapes, budget: float) -> Densities:
    """The same number of weights in every layer; what a full layer cannot take goes to others."""
    return _filled(SHARES["epl"](shapes), _sizes(shapes), budget)


def equal_per_filter(shapes: Shapes, budget: float) -> Densities:
    """The same number of weights in every row (an output neuron or filter)."""
    return _filled(SHARES["epf"](shapes), _sizes(shapes), budget)


def erdos_renyi_kernel(shapes: Shapes, budget: float) -> Densities:
    """Density in proportion to the sum of a layer's dimensions over their product.

    Source: Evci et al. 2020 (RigL), section 3; layers that would be more than full become
    dense and the others share the rest, as google-research/rigl has it.
    """
    return _filled(SHARES["erk"](shapes), _sizes(shapes), budget)


def _sizes(shapes: Shapes) -> npt.NDArray[np.int64]:
    return np.array([int(np.prod(shape)) for shape in shapes], np.int64)


def _filled(
    shares: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64], budget: float
) -> Densities:
    """``budget`` weights in proportion to ``shares``, full layers taken out one by one."""
    full = np.zeros(len(sizes), np.bool_)
    while True:
        density = np.ones(len(sizes))
        rest = budget - sizes[full].sum()
        density[~full] = rest * shares[~full] / shares[~full].sum() / sizes[~full]
        if full.all() or (density[~full] <= 1).all():
            return density
        full |= density == density[~full].max()


SHARES: Mapping[str, Callable[[Shapes], Densities]] = {
    "uniform": lambda shapes: _sizes(shapes).astype(np.float64),
    "epl": lambda shapes: np.ones(len(shapes)),
    "epf": lambda shapes: np.array([float(shape[0]) for shape in shapes]),
    "erk": lambda shapes: np.array([float(sum(shape)) for shape in shapes]),
}
"""In what proportion layers share a budget while there is room: float64 [layer]."""

ALLOCATIONS: Mapping[str, Callable[[Shapes, float], Densities]] = {
    "uniform": uniform,
    "epl": equal_per_layer,
    "epf": equal_per_filter,
    "erk": erdos_renyi_kernel,
}


def layer_shapes(nets: NetBatch) -> list[tuple[int, ...]]:
    """(out, in, ...) of every prunable tensor, in order."""
    return [tuple(nets.params[name].shape[1:]) for name in nets.network.prunable]


def counts_of(
    shapes: Shapes, budget: float, allocation: str, rounding: str = "exact"
) -> npt.NDArray[np.int64]:
    """How many weights each layer keeps: int64 [layer], needing no networks.

    Args:
        shapes: of the prunable weights, (out, in, ...) each.
        budget: weights to keep in all; but for ``exact`` it may be a fraction, as the product of
            a density and the number of weights is.
        allocation: a key of ``ALLOCATIONS``.
        rounding: ``exact``: the numbers add up to the budget, and no layer is empty;
            ``authors``: those of Price and Tanner's code, see ``by_authors``; ``truncated``:
            those of rigl-torch.

    Raises:
        UsageError: unknown names, a budget of less than a weight a layer or more than there are.
    """
    share = lookup("allocation", allocation, ALLOCATIONS)
    if rounding not in ROUNDINGS:
        raise UsageError(f"rounding is {rounding!r}, it must be one of {', '.join(ROUNDINGS)}")
    check_budget(shapes, budget)
    if rounding == "authors":
        return by_authors(shapes, budget, allocation)
    if rounding == "truncated":
        return truncated(share(shapes, budget), shapes)
    if budget != int(budget):
        raise UsageError(f"budget {budget} is not a whole number of weights")
    return spent_exactly(share(shapes, int(budget)), shapes, int(budget))


def check_budget(shapes: Shapes, budget: float) -> None:
    """Raise a UsageError where ``budget`` cannot give every layer a weight, or is too much."""
    most = int(_sizes(shapes).sum())
    if not len(shapes) <= budget <= most:
        raise UsageError(
            f"budget {budget} is not possible: {len(shapes)} layers need a weight each, so it"
            f" must be from {len(shapes)} up, to the {most} weights that there are"
        )


def spent_exactly(densities: Densities, shapes: Shapes, budget: int) -> npt.NDArray[np.int64]:
    """Whole numbers of weights a layer that add up to ``budget``: int64 [layer].

    Rounded down, then one more where the largest remainders are; a layer is never more than
    full, and none is left empty while there are weights for it.
    """
    sizes = _sizes(shapes)
    exact = densities * sizes
    # Half a millionth keeps a share that is whole but for rounding.
    kept = np.minimum(np.floor(exact + 5e-7).astype(np.int64), sizes)
    remainders = exact - kept
    while kept.sum() < budget:
        open_ = kept < sizes
        best = int(np.argmax(np.where(open_, remainders, -np.inf)))
        kept[best] += 1
        remainders[best] -= 1
    while (kept == 0).any() and kept.max() > 1:
        kept[int(np.argmax(kept))] -= 1
        kept[int(np.argmin(kept))] += 1
    return kept


def by_authors(shapes: Shapes, budget: float, allocation: str) -> npt.NDArray[np.int64]:
    """What the code of Price and Tanner 2021 (DCTpS) keeps of ``budget``: int64 [layer].

    A layer that cannot take its share is full, and what it leaves is lost; but by EPL it goes
    to the last layer, as far as that has room. The density of each layer times its weights is
    rounded by itself, halves to even, so that layers may be empty and the sum is not the budget.
    """
    sizes = _sizes(shapes)
    shares = SHARES[allocation](shapes)
    wanted = np.minimum(budget * shares / shares.sum(), sizes)
    if allocation == "epl":
        wanted[-1] += budget - wanted.sum()
    densities = np.minimum(wanted / sizes, 1)
    return np.asarray(np.rint(densities * sizes).astype(np.int64))


def truncated(densities: Densities, shapes: Shapes) -> npt.NDArray[np.int64]:
    """What rigl-torch keeps: the number that goes is truncated. int64 [layer]."""
    sizes = _sizes(shapes)
    return np.asarray(sizes - ((1 - densities) * sizes).astype(np.int64))
