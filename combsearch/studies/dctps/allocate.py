"""How many weights each layer keeps, by method and density, without any training.

Random supports are counted by their allocation alone. SynFlow needs no data either: it runs on
one network with initial weights. The paper's figures A.2 (EPL and EPF) and C.10 (SynFlow).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from combsearch.baselines.layer_budgets import counts_of
from combsearch.baselines.synflow import SynFlow
from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.networks import ImageNetwork
from combsearch.pruning import Budget
from combsearch.rng import RunKeys
from combsearch.studies.dctps.methods import Method, parse_method
from combsearch.tasks import Task
from combsearch.trainers import get_trainer

GAIN = math.sqrt(6)
"""Of the initial weights that SynFlow sees: He et al.'s, as in the study."""


@dataclass(frozen=True)
class Allocation:
    """The weights that one method keeps of one network at one density.

    Attributes:
        network: its name.
        method: canonical text.
        density: percent asked for.
        budget: weights asked for.
        layers: names of the weights, in order.
        sizes: weights of each layer.
        kept: how many of them stay, alike.
        zero_scores: the method scored every weight 0, so that what it kept says nothing.
    """

    network: str
    method: str
    density: float
    budget: float
    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    kept: tuple[int, ...]
    zero_scores: bool = False

    @property
    def emptied(self) -> tuple[str, ...]:
        """Layers that keep nothing."""
        return tuple(n for n, k in zip(self.layers, self.kept, strict=True) if not k)


@dataclass(frozen=True)
class Drawn:
    """What a method may depend on besides the network.

    Attributes:
        rounding: of random supports, see ``baselines.layer_budgets.counts_of``.
        seed: of the initial weights that SynFlow scores.
        steps: of SynFlow.
    """

    rounding: str = "exact"
    seed: int = 0
    steps: int = 100


def check_methods(texts: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, each once.

    Raises:
        UsageError: there is none, or it needs data or training.
    """
    methods = tuple(dict.fromkeys(parse_method(text) for text in texts))
    for method in methods:
        if method.allocation is None and method.support != "synflow":
            raise UsageError(
                f"{method.text!r} has no number of weights a layer without data: take epl, epf,"
                " erk, uniform, rigl (where it starts) or synflow"
            )
    if not methods:
        raise UsageError("methods is empty: take epl, epf, erk, uniform, rigl or synflow")
    return methods


def check_densities(densities: Sequence[float]) -> None:
    """Raise a UsageError unless all are percents above 0 and up to 100."""
    if not densities:
        raise UsageError("densities is empty: give percents, such as 5,1,0.1")
    for density in densities:
        if not 0 < density <= 100:
            raise UsageError(
                f"densities holds {density:g}, each must be a percent above 0 and up to 100"
            )


def allocations(
    name: str,
    network: ImageNetwork,
    methods: Sequence[Method],
    densities: Sequence[float],
    drawn: Drawn = Drawn(),
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Allocation]:
    """The allocations of one network, method by method.

    Args:
        name: of the network.
        network: what is pruned; SynFlow scores initial weights of it.
        methods: see ``check_methods``.
        densities: percents.
        drawn: what else matters.
        say: called with what takes long.

    Raises:
        UsageError: a density, or a budget of less than a weight a layer.
    """
    check_densities(densities)
    layers = network.prunable
    shapes = [network.parameters[layer].shape for layer in layers]
    sizes = tuple(math.prod(shape) for shape in shapes)
    for method in methods:
        for density in densities:
            wanted, zeros = density / 100 * sum(sizes), False
            budget: float = max(1, round(wanted))
            if method.allocation is None:
                say(f"{name}: {method.text} at {density:g}%")
                kept, zeros = _synflow(network, int(budget), drawn)
            else:
                budget = wanted if drawn.rounding == "authors" else budget
                counts = counts_of(shapes, budget, method.allocation, drawn.rounding)
                kept = tuple(int(count) for count in counts)
            yield Allocation(
                name, method.text, density, budget, layers, sizes, kept, zero_scores=zeros
            )


def _synflow(network: ImageNetwork, weights: int, drawn: Drawn) -> tuple[tuple[int, ...], bool]:
    """Weights kept by layer of one initial network, and whether all scores were 0."""
    keys = RunKeys.make(drawn.seed, np.zeros(1, np.uint64), ["dctps"], np.zeros(1, np.int64))
    nets = NetBatch.create(network, keys)
    # SynFlow takes an input of ones of the task's size and nothing else of it.
    x = np.zeros((1, math.prod(network.image_shape)), np.float32)
    task = Task("none", x, np.zeros(1, np.uint8), classes=network.classes)
    budget = Budget(np.array([weights]), task, (Recipe(batch_size=1),), keys, get_trainer("loop"))
    pruned = SynFlow(drawn.steps).prune(nets, budget)
    kept = tuple(int(np.count_nonzero(pruned.masks[name])) for name in network.prunable)
    return kept, bool(budget.spent.collapsed[0])


def csv_table(found: Sequence[Allocation]) -> str:
    """A line a layer: network, method, density, number and name of the layer, weights, kept."""
    text = io.StringIO()
    text.write("network,method,density,layer,name,weights,kept\n")
    for one in found:
        for number, line in enumerate(zip(one.layers, one.sizes, one.kept, strict=True), 1):
            name, size, kept = line
            text.write(
                f'"{one.network}",{one.method},{one.density:g},{number},{name},{size},{kept}\n'
            )
    return text.getvalue()
