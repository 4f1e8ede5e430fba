"""How a budget of weights is shared among the layers: uniform, EPL, EPF, ERK."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from combsearch.nets import NetBatch

Shapes = Sequence[tuple[int, ...]]
Densities = npt.NDArray[np.float64]


def uniform(shapes: Shapes, budget: int) -> Densities:
    """The same density in every layer: float64 [layer]."""
    sizes = _sizes(shapes)
    return np.full(len(sizes), budget / sizes.sum())


def equal_per_layer(shapes: Shapes, budget: int) -> Densities:
    """The same number of weights in every layer; what a full layer cannot take goes to others."""
    return _filled(np.ones(len(shapes)), _sizes(shapes), budget)


def equal_per_filter(shapes: Shapes, budget: int) -> Densities:
    """The same number of weights in every row (an output neuron or filter)."""
    return _filled(np.array([float(shape[0]) for shape in shapes]), _sizes(shapes), budget)


def erdos_renyi_kernel(shapes: Shapes, budget: int) -> Densities:
    """Density in proportion to the sum of a layer's dimensions over their product.

    Source: Evci et al. 2020 (RigL), section 3; layers that would be more than full become
    dense and the others share the rest, as google-research/rigl has it.
    """
    sizes = _sizes(shapes)
    return _filled(np.array([float(sum(shape)) for shape in shapes]), sizes, budget)


def _sizes(shapes: Shapes) -> npt.NDArray[np.int64]:
    return np.array([int(np.prod(shape)) for shape in shapes], np.int64)


def _filled(
    shares: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64], budget: int
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


ALLOCATIONS: Mapping[str, Callable[[Shapes, int], Densities]] = {
    "uniform": uniform,
    "epl": equal_per_layer,
    "epf": equal_per_filter,
    "erk": erdos_renyi_kernel,
}


def layer_shapes(nets: NetBatch) -> list[tuple[int, ...]]:
    """(out, in, ...) of every prunable tensor, in order."""
    return [tuple(nets.params[name].shape[1:]) for name in nets.network.prunable]


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


def truncated(densities: Densities, shapes: Shapes) -> npt.NDArray[np.int64]:
    """What rigl-torch keeps: the number that goes is truncated. int64 [layer]."""
    sizes = _sizes(shapes)
    return np.asarray(sizes - ((1 - densities) * sizes).astype(np.int64))
