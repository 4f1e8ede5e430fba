"""The formats that figures are written in; standard library only, for commands' ``--help``."""

from __future__ import annotations

FIGURE_FORMATS = ("png", "pdf", "svg")
"""The first is the default: PNG for screens, PDF for LaTeX, SVG for pages and drawing programs."""
