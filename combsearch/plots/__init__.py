"""Figures of a search, from saved rows and saved networks only: nothing is trained to draw.

    scatter(rows, target)            accuracy against nonzeros, every run (the paper's figure 5)
    success(rows, target)            share of successful runs by shape, with 95% intervals
    regions(shape, parameters, task) decision regions of one network over its points
    levels_grid(rows, task)          the same for the best network of several levels
    bound(levels, target)            best accuracy by level, and what its restarts exclude
    frontiers(lines)                 frontiers of several methods, and published networks
    network(shape, weights, biases)  a network drawn with its weights (the paper's figure 1)

Each returns a matplotlib ``Figure`` at its printed size; ``save`` writes it. A package
and not one file, because style, saved rows, forward pass and each figure are one idea each.
"""

from __future__ import annotations

from combsearch.plots.draw_bound import bound
from combsearch.plots.draw_frontier import frontiers
from combsearch.plots.draw_network import network
from combsearch.plots.draw_regions import levels_grid, regions
from combsearch.plots.draw_scatter import scatter
from combsearch.plots.draw_success import success
from combsearch.plots.forward import unpack
from combsearch.plots.style import save

__all__ = [
    "bound",
    "frontiers",
    "levels_grid",
    "network",
    "regions",
    "save",
    "scatter",
    "success",
    "unpack",
]
