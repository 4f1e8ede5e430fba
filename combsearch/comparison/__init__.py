"""Pruning methods beside the bounds of the searches: rows in, table out.

published   the paper's numbers, each with its place there
runs        run folders: sweeps of pruners, and searches
tries       pooled runs of sweeps as arrays, and picks from them
bounds      how few nonzeros a search needed, by training and at all
prunable    what can still be deleted from a trained network
table       the comparison as JSON values
text        the same for a reader, and as CSV
saved       comparison.json, read and checked
"""

from __future__ import annotations

from combsearch.comparison.bounds import Bound, SearchRun, joined, lowest
from combsearch.comparison.prunable import Prunable, prunable
from combsearch.comparison.published import Published, published
from combsearch.comparison.table import Group, chosen, compare, groups, sparsest_saved
from combsearch.comparison.text import comparison_csv, comparison_text
from combsearch.comparison.tries import PruneRun, Tries

__all__ = [
    "Bound",
    "Group",
    "Prunable",
    "PruneRun",
    "Published",
    "SearchRun",
    "Tries",
    "chosen",
    "compare",
    "comparison_csv",
    "comparison_text",
    "groups",
    "joined",
    "lowest",
    "prunable",
    "published",
    "sparsest_saved",
]
