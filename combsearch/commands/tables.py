"""Plain tables of results."""

from __future__ import annotations

from collections.abc import Sequence

from combsearch.search.phase1 import ShapeResult, runners_up, winner

_ROWS = 10


def shape_text(widths: Sequence[int]) -> str:
    """The hidden widths: ``"7,3,3"`` of [2, 7, 3, 3, 1]."""
    return ",".join(map(str, widths[1:-1]))


def interval_text(low: float, high: float) -> str:
    """``"0.0012 to 0.0287"``."""
    return f"{low:.4f} to {high:.4f}"


def shape_table(results: list[ShapeResult], target: float) -> str:
    """The winner and its runners-up, by nonzeros."""
    first = winner(results)
    rows = ([first] if first else []) + runners_up(results, _ROWS)
    lines = [f"{'shape':>10} {'nonzeros':>8} {'best':>8} {f'reached {target:g}':>16}  95% interval"]
    for r in sorted(rows, key=lambda r: (r.nonzeros, -r.accuracy)):
        share = f"{r.successes} of {r.restarts}"
        mark = " <" if r is first else ""
        lines.append(
            f"{shape_text(r.shape):>10} {r.nonzeros:>8} {r.accuracy:>8.5f} {share:>16}"
            f"  {interval_text(*r.interval)}{mark}"
        )
    return "\n".join(lines)
