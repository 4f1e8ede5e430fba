"""What a set of runs says: success shares with their intervals, frontiers and bounds.

``Frontier`` and ``Bound`` of any number of runs are merged in any order and grouping, and
merging one twice changes nothing. Nonzeros are counted in one of two ways that are never
mixed: ``KEPT``, every live neuron has its bias (what is enumerated; the paper's rule), and
``PRUNABLE``, biases may be pruned too.
"""

from combsearch.frontier.best import KEPT, PRUNABLE, Found, Frontier, frontier
from combsearch.frontier.bound import Bound, Level, Trial
from combsearch.frontier.chances import excluded_probability, success_interval

__all__ = [
    "KEPT",
    "PRUNABLE",
    "Bound",
    "Found",
    "Frontier",
    "Level",
    "Trial",
    "excluded_probability",
    "frontier",
    "success_interval",
]
