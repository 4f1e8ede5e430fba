"""The tables of a run's page: best runs by nonzeros, by shape, or by method and budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from combsearch.frontier import Level, Trial, success_interval
from combsearch.mask import NetShape
from combsearch.report.run.networks import Networks
from combsearch.report.run.rows import Best, Group

MOST_ROWS = 5_000
"""Of a table; the page itself shows a part of them at first."""

MOST_HITS, MOST_MISSES = 20, 6
"""Shapes in the figure of shares: with a success and without."""

LevelJson = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows to be sorted.

    Attributes:
        title: what the rows are.
        columns: (head, kind) each: ``whole``, ``percent`` (of an accuracy), ``share``,
            ``interval``, ``text``.
        rows: a value a column; None where there is none.
        best: the run that a row opens.
        note: a line below the title.
        sort: the column that it is sorted by at first, and whether it falls.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: list[list[Any]]
    best: Sequence[Best | None]
    note: str = ""
    sort: tuple[str, bool] = ("", False)

    def to_json(self, networks: Networks) -> dict[str, Any]:
        """With the number of the network that each row opens; by default sorted as column 0."""
        by, falls = self.sort
        names = [name for name, _ in self.columns]
        return {
            "title": self.title,
            "note": self.note,
            "columns": [{"name": name, "kind": kind} for name, kind in self.columns],
            "sort": {"column": names.index(by) if by else 0, "falls": falls},
            "rows": self.rows,
            "networks": [networks.place(best) for best in self.best],
        }


def hidden(shape: str) -> str:
    """``"(7,3,3)"`` of ``"2,7,3,3,1"``."""
    return f"({','.join(shape.split(',')[1:-1])})"


def level_rows(levels: Sequence[LevelJson]) -> list[dict[str, Any]]:
    """What the figure of successes draws of each level; limits only where it is closed."""
    return [
        {
            "nonzeros": level["nonzeros"],
            "started": level["started"],
            "successes": level["successes"],
            "share": level["successes"] / level["started"] if level["started"] else None,
            "interval": _interval(level["successes"], level["started"]),
            "each": level["excluded_success_probability"] if level["closed"] else None,
            "whole": level["excluded_for_the_level"] if level["closed"] else None,
            "masks": level["orbits"],
            "restarts": level["restarts"],
        }
        for level in levels
    ]


def level_table(rows: Sequence[Mapping[str, Any]], groups: Mapping[int, Group], what: str) -> Table:
    """Levels of a search.

    Args:
        rows: of ``level_rows``.
        groups: what the saved rows say, by nonzeros.
        what: a level is made of, ``masks`` or ``shapes``.
    """
    columns = (
        ("nonzeros", "whole"), ("shape", "text"), ("best accuracy", "percent"), (what, "whole"),
        ("restarts of each", "whole"), ("runs", "whole"), ("successes", "whole"),
        ("share", "share"), ("95% interval", "interval"), ("excluded (95%)", "share"),
    )  # fmt: skip
    bests = [groups.get(row["nonzeros"], Group()).best for row in rows]
    return Table(
        "By nonzeros",
        columns,
        [
            [
                row["nonzeros"], *_of_best(best), row["masks"], row["restarts"], row["started"],
                row["successes"], row["share"], row["interval"], row["each"],
            ]
            for row, best in zip(rows, bests, strict=True)
        ],
        bests,
        f"Best run of each level. Excluded: the success probability of one of its {what} that so"
        " many restarts without a success rule out.",
    )  # fmt: skip


def shape_table(groups: Mapping[str, Group], started: Mapping[str, int]) -> Table:
    """Shapes of a search; ``started``: runs of each, those that a race gave up included."""
    columns = (
        ("shape", "text"), ("nonzeros", "whole"), ("best accuracy", "percent"), ("runs", "whole"),
        ("successes", "whole"), ("share", "share"), ("95% interval", "interval"),
    )  # fmt: skip
    shown = telling(groups, MOST_ROWS)
    rows = [
        [
            hidden(shape), _nonzeros(groups[shape], shape), _accuracy(groups[shape]),
            started[shape], groups[shape].successes,
            groups[shape].successes / started[shape] if started[shape] else None,
            _interval(groups[shape].successes, started[shape]),
        ]
        for shape in shown
    ]  # fmt: skip
    note = "Best run of each shape, and how many nonzeros it has."
    if len(shown) < len(groups):
        note += f" {len(shown):,} of {len(groups):,} shapes: those around the first successes."
    bests = [groups[shape].best for shape in shown]
    return Table("By shape", columns, rows, bests, note, ("best accuracy", True))


def share_rows(groups: Mapping[str, Group], started: Mapping[str, int]) -> list[dict[str, Any]]:
    """What the figure of shares draws: the first shapes with a success, and the nearest misses.

    Nothing where fewer than two shapes have one: all other intervals would be the same.
    """
    hits = min(sum(group.successes > 0 for group in groups.values()), MOST_HITS)
    shown = _around(groups, hits, MOST_MISSES) if hits > 1 else []
    return [
        {
            "shape": hidden(shape),
            "nonzeros": _nonzeros(groups[shape], shape),
            "runs": started[shape],
            "successes": groups[shape].successes,
            "share": groups[shape].successes / started[shape],
            "interval": _interval(groups[shape].successes, started[shape]),
            "accuracy": _accuracy(groups[shape]),
        }
        for shape in shown
        if started[shape]
    ]


def telling(groups: Mapping[str, Group], limit: int) -> list[str]:
    """At most so many shapes around the first success, in their order.

    Up to two thirds are the first with a success, the rest the nearest misses among shapes
    that come no later.
    """
    if len(groups) <= limit:
        return list(groups)
    hits = min(sum(group.successes > 0 for group in groups.values()), limit - limit // 3)
    return _around(groups, hits, limit - hits)


def _around(groups: Mapping[str, Group], most_hits: int, most_misses: int) -> list[str]:
    """So many shapes with a success and without, as ``telling`` chooses them."""
    names = list(groups)
    hits = [place for place, name in enumerate(names) if groups[name].successes][:most_hits]
    last = _nonzeros(groups[names[hits[-1]]], names[hits[-1]]) if hits else None
    misses = [
        place
        for place, name in enumerate(names)
        if not groups[name].successes and (last is None or _nonzeros(groups[name], name) <= last)
    ]
    misses.sort(key=lambda place: -(_accuracy(groups[names[place]]) or 0))
    return [names[place] for place in sorted([*hits, *misses[:most_misses]])]


def dense_levels(
    groups: Mapping[tuple[int, str], Group], shapes: Mapping[int, int], trial: str
) -> list[dict[str, Any]]:
    """Levels of dense shapes as ``Level.to_json`` writes them.

    Args:
        groups: by (nonzeros, shape).
        shapes: how many a level holds, trained or not.
        trial: name of the restarts.
    """
    levels: dict[int, list[Group]] = {}
    for (nonzeros, _), group in sorted(groups.items()):
        levels.setdefault(nonzeros, []).append(group)
    found = []
    for nonzeros, own in levels.items():
        runs = sum(group.runs for group in own)
        fewest = min(group.runs for group in own)
        best = max((group.best.accuracy for group in own if group.best), default=0.0)
        done = len(own) == shapes[nonzeros]
        tried = Trial(fewest if done else 0, runs, runs, sum(g.successes for g in own), best)
        found.append(Level(nonzeros, shapes[nonzeros], {trial: tried}).to_json())
    return found


def _of_best(best: Best | None) -> list[Any]:
    return [None, None] if best is None else [hidden(best.shape), best.accuracy]


def _accuracy(group: Group) -> float | None:
    return group.best.accuracy if group.best else None


def _nonzeros(group: Group, shape: str) -> int:
    """Of its best run; of the dense shape where all runs diverged."""
    if group.best:
        return group.best.nonzeros
    return NetShape(tuple(map(int, shape.split(",")))).dense_nonzeros


def _interval(successes: int, runs: int) -> list[float] | None:
    return list(success_interval(successes, runs)) if runs else None
