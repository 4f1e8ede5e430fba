"""How lines of figures look: those of pruning methods (``method_looks``) and of searches."""

from __future__ import annotations

from combsearch.method_looks import Look, looks, method_name
from combsearch.plots.style import INK

__all__ = ["SEARCH", "Look", "looks", "method_name"]

SEARCH = (Look(INK, "o", width=1.7), Look(INK, "o", (3.5, 1.3), 1.2), Look(INK, "o", (1, 1.2), 1.2))
"""The searches' own lines: the trained bound, what exists, further ones."""
