"""Figures of a search, from saved rows and saved networks only: nothing is trained to draw.

    scatter(rows, target)            accuracy against nonzeros, every run (the paper's figure 5)
    success(rows, target)            share of successful runs by shape, with 95% intervals
    regions(shape, parameters, task) decision regions of one network over its points
    levels_grid(rows, task)          the same for the best network of several levels
    bound(levels, target)            best accuracy by level, and what its restarts exclude
    frontiers(lines)                 frontiers of several methods, and published networks
    pareto(methods, targets)         pruning methods beside the bound (figures 8, 11, 17)
    pareto_grid(panels, targets)     the same at several widths
    disconnected(panels)             share of disconnected parameters by budget
    accuracy_by_budget(rows, target) every run of pruning methods by weight budget (20 to 24)
    random_disconnection(curves)     how likely random masks have disconnected weights
    two_layers(curves)               random masks that cut two layers off (theorem L.1)
    network(shape, weights, biases)  a network drawn with its weights (the paper's figure 1)
    pruned_network(network, task)    the same with its disconnected weights and neurons shown
    pruned_beside(networks, task)    several of them, the found one first (figures 9 to 19)

Each returns a matplotlib ``Figure`` at its printed size; ``save`` writes it. A package
and not one file, because style, saved rows, forward pass and each figure are one idea each.
"""

from __future__ import annotations

from combsearch.plots.draw_bound import bound
from combsearch.plots.draw_budgets import accuracy_by_budget
from combsearch.plots.draw_comparison import disconnected, pareto, pareto_grid
from combsearch.plots.draw_disconnection import random_disconnection
from combsearch.plots.draw_frontier import frontiers
from combsearch.plots.draw_network import network
from combsearch.plots.draw_pruned import Pruned, pruned_beside, pruned_network
from combsearch.plots.draw_regions import levels_grid, regions
from combsearch.plots.draw_scatter import scatter
from combsearch.plots.draw_success import success
from combsearch.plots.draw_two_layers import two_layers
from combsearch.plots.forward import unpack
from combsearch.plots.methods import method_name
from combsearch.plots.style import save

__all__ = [
    "Pruned",
    "accuracy_by_budget",
    "bound",
    "disconnected",
    "frontiers",
    "levels_grid",
    "method_name",
    "network",
    "pareto",
    "pareto_grid",
    "pruned_beside",
    "pruned_network",
    "random_disconnection",
    "regions",
    "save",
    "scatter",
    "success",
    "two_layers",
    "unpack",
]
