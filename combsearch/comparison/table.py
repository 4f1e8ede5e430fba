"""The comparison: at each target, every method at every width beside the bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from combsearch.comparison.bounds import EXISTS, KINDS, TRAINED, Bound, SearchRun, lowest
from combsearch.comparison.prunable import Prunable
from combsearch.comparison.published import (
    FLOPS,
    FLOPS_BUDGET,
    FLOPS_PLACE,
    FLOPS_WIDTH,
    is_of_paper,
    published,
    start_name,
)
from combsearch.comparison.tries import PruneRun, Tries, methods_of, widths_of
from combsearch.config import Recipe
from combsearch.errors import UsageError
from combsearch.flops import BY_ROUNDS, expected_flops
from combsearch.mask import NetShape
from combsearch.prune_rows import COLLAPSED, DIVERGED
from combsearch.tasks import cubist_spiral

Json = dict[str, Any]
Deleted = Callable[[PruneRun, int, float], Prunable | None]
"""Of the network that row ``int`` of a sweep saved: what is left at a target (``prunable``)."""


@dataclass(frozen=True, eq=False)
class Group:
    """Sweeps whose runs are pooled: one start, one set of conditions.

    Attributes:
        label: for a reader, such as ``"random weights"``.
        start: as in ``PruneRun``.
        runs: the sweeps.
        tries: their runs.
    """

    label: str
    start: str
    runs: tuple[PruneRun, ...]
    tries: Tries

    @property
    def of_paper(self) -> bool:
        """The paper's numbers may stand beside these runs."""
        return all(is_of_paper(run.task_digest, run.conditions) for run in self.runs)


def groups(runs: Sequence[PruneRun]) -> list[Group]:
    """``runs`` in groups, random weights first; the order in which they are given is nothing.

    Raises:
        UsageError: two of them call different pruners by one name.
    """
    runs = sorted(runs, key=lambda run: run.name)
    _check_sources(runs)
    pooled: dict[Any, list[PruneRun]] = {}
    for run in runs:
        pooled.setdefault(run.group, []).append(run)
    return [
        Group(_label(own[0]), own[0].start, tuple(own), Tries.of(own))
        for _, own in sorted(pooled.items())
    ]


def chosen(
    found: Sequence[Group], methods: Sequence[str] = (), restarts: int | None = None
) -> list[Group]:
    """``found`` with some of their runs alone, groups that have none of them left out.

    Args:
        found: the sweeps, grouped.
        methods: theirs only; of none given all.
        restarts: only numbers below it, where sweeps have unequally many; None takes all.

    Raises:
        UsageError: ``restarts`` is below 1, or so no sweep has a run of one of ``methods``.
    """
    if restarts is not None and restarts < 1:
        raise UsageError(f"restarts is {restarts}, it must be a whole number from 1 up")
    first = [replace(group, tries=_some(group.tries, (), restarts)) for group in found]
    known = dict.fromkeys(method for group in first for method in methods_of(group.tries))
    if not known:
        raise UsageError(f"restarts is {restarts}, and these sweeps have later ones only")
    for method in methods:
        if method not in known:
            which = "" if restarts is None else f" below restart {restarts}"
            raise UsageError(
                f"methods holds {method!r}, of which these sweeps have no run{which}; they have"
                f" {', '.join(known)}"
            )
    kept = [replace(group, tries=_some(group.tries, methods)) for group in first]
    return [group for group in kept if len(group.tries)]


def _some(tries: Tries, methods: Sequence[str], restarts: int | None = None) -> Tries:
    own = np.isin(tries.method, list(methods)) if methods else np.ones(len(tries), np.bool_)
    return tries[own if restarts is None else own & (tries.restart < restarts)]


def _check_sources(runs: Sequence[PruneRun]) -> None:
    """One name must be one pruner: a user's own may have been edited between two sweeps."""
    known: dict[str, tuple[str, str]] = {}
    for run in runs:
        for method, source in run.sources.items():
            name, other = known.setdefault(method, (run.name, source))
            if other != source:
                raise UsageError(
                    f"{method} is not the same code in {name} and {run.name}: compare these two"
                    " sweeps apart, or run the older one again"
                )


def _label(run: PruneRun) -> str:
    conditions = (f"{name} {value}" for name, value in sorted(run.conditions.items()))
    return ", ".join([_start(run.start), *conditions])


def _start(start: str) -> str:
    return f"initialisation {start_name(start)}" if start else "random weights"


def compare(
    found: Sequence[Group],
    searches: Sequence[SearchRun],
    targets: Sequence[float],
    deleted: Deleted | None = None,
) -> Json:
    """The whole comparison as JSON values.

    Args:
        found: the sweeps, grouped.
        searches: where the bounds come from; may be empty.
        targets: accuracies in (0, 1].
        deleted: what can still be pruned from a saved network; None leaves that out.

    Returns:
        ``bounds`` (a target and group each), ``entries`` (a target, group, method and width
        each, width None for all of them together), ``by_budget`` (a group, method, width and
        budget each) and ``flops`` (a group and method each). Budgets are answered for by the
        runs that keep to them; ``above_budget`` says how many do not.
    """
    bounds: list[Json] = []
    entries: list[Json] = []
    for group in found:
        for target in targets:
            known = {kind: lowest(searches, kind, group.start, target) for kind in KINDS}
            bounds.append(
                {"group": group.label, "target": target, **_bounds_json(known, target, group)}
            )
            entries += _entries(group, target, known, deleted)
    return {
        "targets": list(targets),
        "bounds": bounds,
        "entries": entries,
        "by_budget": [row for group in found for row in by_budget(group, targets)],
        "flops": [row for group in found for row in flops(group)],
    }


def _bounds_json(known: Mapping[str, Bound | None], target: float, group: Group) -> Json:
    return {
        "init_digest": group.start or None,
        "of": {TRAINED: _start(group.start), EXISTS: "any weights"},
        **{kind: bound and bound.to_json() for kind, bound in known.items()},
        "paper": _paper(group, "search", target, [None]),
    }


def _entries(
    group: Group, target: float, known: Mapping[str, Bound | None], deleted: Deleted | None
) -> list[Json]:
    found = []
    for method in methods_of(group.tries):
        own = group.tries.of_method(method)
        widths: list[int | None] = [None, *widths_of(own)]
        for width in widths:
            tries = own if width is None else own.of_method(method, width)
            asked = widths[1:] if width is None else [width]
            found.append(
                {
                    "group": group.label,
                    "target": target,
                    "method": method,
                    "width": width,
                    **_tried(tries),
                    **_reached(tries, target),
                    **_beside(tries, target, known),
                    "prunable": deleted and _still_prunable(group, tries, target, deleted),
                    "paper": _paper(group, method, target, asked),
                }
            )
    return found


def _tried(tries: Tries) -> Json:
    """Restarts behind an entry: everything that was tried, whatever came of it."""
    return {
        "runs": len(tries),
        "collapsed": int((tries.status == COLLAPSED).sum()),
        "diverged": int((tries.status == DIVERGED).sum()),
        "above_budget": int((~tries.within).sum()),
    }


def _reached(tries: Tries, target: float) -> Json:
    good = tries.reaching(target)
    to_budget = good.to_budget
    return {
        "reached": len(good) > 0,
        "successes": len(good),
        "first": good.facts(good.first("nonzeros")),
        "first_effective": good.facts(good.first("effective_nonzeros")),
        "first_budget": to_budget.facts(to_budget.first("budget")),
        "best": tries.facts(tries.most_accurate()),
    }


def _beside(tries: Tries, target: float, known: Mapping[str, Bound | None]) -> Json:
    """Best accuracy at the bounds' nonzeros, and the gaps to them."""
    good = tries.reaching(target)
    first, effective = (
        getattr(good, name).min(initial=2**62) if len(good) else None
        for name in ("nonzeros", "effective_nonzeros")
    )
    beside: Json = {"accuracy_at_bound": {}, "gap": {}, "effective_gap": {}}
    for kind in (TRAINED, EXISTS):
        bound = known[kind]
        found = None if bound is None else bound.found
        at = None if found is None else accuracy_at(tries, found.nonzeros)
        beside["accuracy_at_bound"][kind] = at
        beside["gap"][kind] = None if found is None else _minus(first, found.nonzeros)
        beside["effective_gap"][kind] = (
            None if found is None else _minus(effective, found.effective)
        )
    return beside


def _minus(ours: Any, bound: int) -> int | None:
    return None if ours is None else int(ours) - bound


def accuracy_at(tries: Tries, nonzeros: int) -> float | None:
    """Best accuracy of runs that count with at most so many nonzeros; None without any."""
    ok = tries.ok
    own = ok.accuracy[ok.nonzeros <= nonzeros]
    return float(own.max()) if len(own) else None


def _still_prunable(group: Group, tries: Tries, target: float, deleted: Deleted) -> Json | None:
    """Of the sparsest saved network that reaches the target; ``of_first``: of the first run.

    A sweep saves the best network of every method, width and budget, so the first run's own
    may not be there.
    """
    saved = sparsest_saved(tries, target)
    if saved is None:
        return None
    source, row = int(saved.source[0]), int(saved.row[0])
    left = deleted(group.runs[source], row, target)
    if left is None:
        return None
    good = tries.reaching(target)
    first = good[np.array([good.first("nonzeros")])]
    return {
        "nonzeros": int(saved.nonzeros[0]),
        "left": left.nonzeros,
        "accuracy": left.accuracy,
        "of_first": (source, row) == (int(first.source[0]), int(first.row[0])),
        "budget": int(saved.budget[0]),
        "width": int(saved.width[0]),
    }


def sparsest_saved(tries: Tries, target: float) -> Tries | None:
    """The one of ``tries`` with the fewest nonzeros that reaches ``target`` and was saved."""
    good = tries.reaching(target)
    saved = good[good.saved]
    place = saved.first("nonzeros")
    return None if place is None else saved[np.array([place])]


def _paper(group: Group, method: str, target: float, widths: Sequence[int | None]) -> Json | None:
    found = published(method, target, widths, group.start) if group.of_paper else None
    return None if found is None else found.to_json()


def by_budget(group: Group, targets: Sequence[float]) -> list[Json]:
    """The runs that keep to their budget by it: best of each method, width and budget."""
    rows = []
    for method in methods_of(group.tries):
        for width in widths_of(group.tries.of_method(method)):
            own = group.tries.of_method(method, width)
            for budget in np.unique(own.budget).tolist():
                rows.append(_of_budget(group, own[own.budget == budget], targets))
    return rows


def _of_budget(group: Group, tries: Tries, targets: Sequence[float]) -> Json:
    to_budget = tries.to_budget
    ok = to_budget.ok
    share = (ok.nonzeros - ok.effective_nonzeros) / np.maximum(ok.nonzeros, 1)
    return {
        "group": group.label,
        "method": str(tries.method[0]),
        "width": int(tries.width[0]),
        "budget": int(tries.budget[0]),
        **_tried(tries),
        "successes": {f"{target:g}": len(to_budget.reaching(target)) for target in targets},
        "best": to_budget.facts(to_budget.most_accurate()),
        "disconnected_share": float(np.mean(share)) if len(ok) else None,
    }


def flops(group: Group) -> list[Json]:
    """Mean FLOPs of pruning and training at the width and budget of the paper's table 1.

    Beside them, where the paper's numbers apply, those and what the formula gives for as many
    biases as our runs keep on average. The dense network is the formula's alone.
    """
    tries = group.tries
    tries = tries[(tries.width == FLOPS_WIDTH) & (tries.budget == FLOPS_BUDGET)].to_budget.ok
    rows = []
    for method in methods_of(tries):
        own = tries.of_method(method)
        biases = round(float((own.nonzeros - own.weight_nonzeros).mean()))
        rows.append(_flops_row(group, method, float(own.flops.mean()), biases))
    if rows and group.of_paper:
        rows.insert(0, _flops_row(group, "dense", None, None))
    return rows


def _flops_row(group: Group, method: str, ours: float | None, biases: int | None) -> Json:
    known = group.of_paper and ":" not in method  # what a user's own does is not known
    return {
        "group": group.label,
        "method": method,
        "width": FLOPS_WIDTH,
        "budget": FLOPS_BUDGET,
        "biases": biases,
        "flops": ours,
        "formula": _formula(method, biases or 0) if known and method not in BY_ROUNDS else None,
        "paper": FLOPS.get(method) if known and not group.start else None,
        "place": FLOPS_PLACE,
    }


def _formula(method: str, biases: int) -> float:
    """Of the paper's recipe and task, three hidden layers."""
    shape = NetShape.from_hidden((FLOPS_WIDTH,) * 3)
    return expected_flops(method, shape, FLOPS_BUDGET, biases, Recipe(), cubist_spiral().points)
