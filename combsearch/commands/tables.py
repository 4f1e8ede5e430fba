"""Plain tables of results."""

from __future__ import annotations

from combsearch.search.phase1 import ShapeResult, runners_up, winner

_ROWS = 10


def shape_table(results: list[ShapeResult], target: float) -> str:
    """The winner and its runners-up, by nonzeros."""
    first = winner(results)
    rows = ([first] if first else []) + runners_up(results, _ROWS)
    lines = [f"{'shape':>10} {'nonzeros':>8} {'best':>8} {f'reached {target:g}':>16}  95% interval"]
    for r in sorted(rows, key=lambda r: (r.nonzeros, -r.accuracy)):
        low, high = r.interval
        name = ",".join(map(str, r.shape[1:-1]))
        share = f"{r.successes} of {r.restarts}"
        mark = " <" if r is first else ""
        lines.append(
            f"{name:>10} {r.nonzeros:>8} {r.accuracy:>8.5f} {share:>16}  {low:.4f} to {high:.4f}{mark}"
        )
    return "\n".join(lines)
