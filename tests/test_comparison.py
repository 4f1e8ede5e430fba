"""The comparison against plain loops over rows, and what it reads and writes."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from combsearch import plots
from combsearch.commands.compare import check_targets, compare_command
from combsearch.commands.compare_figures import _disconnected, search_lines
from combsearch.comparison import (
    Prunable,
    PruneRun,
    SearchRun,
    Tries,
    chosen,
    compare,
    comparison_csv,
    comparison_text,
    groups,
    joined,
    prunable,
    published,
)
from combsearch.comparison.bounds import EXISTS, KINDS, PRUNED_BIASES, TRAINED, lowest
from combsearch.comparison.published import ABSENT, FLOPS, PUBLISHED, STARTS, is_of_paper
from combsearch.comparison.text import RUN_PREFIXES
from combsearch.connectivity import nonzeros
from combsearch.errors import CorruptDataError, UsageError
from combsearch.frontier import KEPT, PRUNABLE, Found
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.prune_config import NINE, PAPER_TARGETS, RANDOM
from combsearch.prune_rows import kept_parameters, prune_table
from combsearch.rows import rows_table
from combsearch.saved_network import load_network, read_network, save_network
from combsearch.search.initial import network_digest
from combsearch.search.sparse_nets import SparseNets, layers_of
from combsearch.store import RunStore, Shard
from combsearch.tasks import Task, cubist_spiral, load_task, smooth_spiral

TARGETS = (0.95, 0.995)
SPIRAL = cubist_spiral().digest()
CELLS = ("0.05:constant", "0.1:cosine")
Entry = dict[str, Any]


def run_of(
    method: str = "snip",
    accuracy: float = 0.96,
    nonzeros: int = 30,
    *,
    effective: int | None = None,
    width: int = 4,
    budget: int = 20,
    cell: str = CELLS[0],
    restart: int = 0,
    status: str = "ok",
    flops: float = 2e8,
) -> Entry:
    """One row as a dictionary."""
    return {
        "method": method,
        "accuracy": accuracy,
        "nonzeros": nonzeros,
        "effective_nonzeros": nonzeros if effective is None else effective,
        "width": width,
        "budget": budget,
        "weight_nonzeros": budget,
        "shape": f"2,{width},{width},{width},1",
        "cell": cell,
        "restart": restart,
        "status": status,
        "flops": flops,
    }


def table_of(entries: Sequence[Entry], networks: dict[int, NetBatch] | None = None) -> pa.Table:
    """Rows as a sweep saves them, ranks by (method, width, budget)."""
    keys = [(e["method"], e["width"], e["budget"]) for e in entries]
    ranks = {key: rank for rank, key in enumerate(dict.fromkeys(keys))}
    columns = {name: [entry[name] for entry in entries] for name in entries[0]}
    given = networks or {}
    kept = [kept_parameters(given[i], 0) if i in given else None for i in range(len(entries))]
    whole = {"rank": [ranks[key] for key in keys], "prune_seconds": 0.1, "seconds": 0.1}
    return prune_table({**columns, **whole}, kept)


def random_entries(seed: int, count: int = 400, restart: int = 0) -> list[Entry]:
    """Runs of few distinct values, so that ties are many; no two of one key."""
    random = np.random.default_rng(seed)
    keys = itertools.product(("gmp", "snip", "mine:Own"), (3, 4, 16), (15, 16, 20, 55), CELLS,
                             range(restart, restart + 8))  # fmt: skip
    chosen = random.permutation(np.array(list(keys), dtype=object))[:count]
    entries = []
    for method, width, budget, cell, number in chosen.tolist():
        size = budget + int(random.integers(3, 8))
        entries.append(
            run_of(
                method,
                float(random.choice([0.5, 0.8, 0.949, 0.95, 0.97, 0.995, 1.0])),
                size,
                effective=size - int(random.integers(0, 4)),
                width=width,
                budget=budget,
                cell=cell,
                restart=number,
                status=str(random.choice(["ok", "ok", "ok", "diverged", "collapsed"])),
            )
        )
    return entries


def search(nonzeros: int, accuracy: float, command: str = "phase1", **more: Any) -> SearchRun:
    """A search that found one network."""
    given = {"start": "", "runs": 100, "counting": KEPT, "name": f"runs/{command}", **more}
    found = Found(nonzeros, accuracy, (2, 3, 3, 3, 1), nonzeros)
    return SearchRun(command=command, steps=(found,), **given)


def compared(entries: Sequence[Entry], searches: Sequence[SearchRun] = (), **more: Any) -> Entry:
    run = PruneRun("runs/a", table_of(entries), **more.pop("given", {}))
    return compare(groups([run]), searches, more.pop("targets", TARGETS), **more)


def entry_of(report: Entry, **wanted: Any) -> Entry:
    found: list[Entry] = [e for e in report["entries"] if all(e[k] == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


# ------------------------------------------------------------------ the oracle


def oracle_best(entries: Iterable[Entry], by: str) -> Entry | None:
    """The smallest in ``by``, ties as the comparison says; by a plain loop."""
    names = ("effective_nonzeros", "nonzeros", "width", "budget", "cell", "restart")
    best, best_key = None, None
    for entry in entries:
        key = (entry[by], -entry["accuracy"], *(entry[name] for name in names))
        if best_key is None or key < best_key:
            best, best_key = entry, key
    return best


def same_run(found: Entry | None, wanted: Entry | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    names = ("nonzeros", "effective_nonzeros", "accuracy", "width", "budget", "cell", "restart")
    return (
        all(found[name] == wanted[name] for name in names)
        and found["disconnected"] == wanted["nonzeros"] - wanted["effective_nonzeros"]
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_table_agrees_with_plain_loops(seed: int) -> None:
    entries = random_entries(seed)
    searches = [search(19, 0.96), search(22, 0.996), search(17, 1.0, "descend")]
    report = compared(entries, searches)
    widths: list[int | None] = [None, 3, 4, 16]
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    assert len(report["entries"]) == len(TARGETS) * len(methods) * len(widths)
    bounds = {0.95: (19, 17), 0.995: (22, 17)}
    for target, method, width in itertools.product(TARGETS, methods, widths):
        own = [e for e in entries if e["method"] == method and width in (None, e["width"])]
        ok = [e for e in own if e["status"] == "ok"]
        good = [e for e in ok if e["accuracy"] >= target]
        found = entry_of(report, target=target, method=method, width=width)
        assert found["runs"] == len(own)
        assert found["collapsed"] == sum(e["status"] == "collapsed" for e in own)
        assert found["diverged"] == sum(e["status"] == "diverged" for e in own)
        assert found["successes"] == len(good)
        assert found["reached"] == bool(good)
        assert same_run(found["first"], oracle_best(good, "nonzeros"))
        assert same_run(found["first_effective"], oracle_best(good, "effective_nonzeros"))
        assert same_run(found["first_budget"], oracle_best(good, "budget"))
        top = max((e["accuracy"] for e in ok), default=None)
        best = oracle_best([e for e in ok if e["accuracy"] == top], "nonzeros")
        assert same_run(found["best"], best)
        for kind, bound in zip((TRAINED, EXISTS), bounds[target], strict=True):
            below = [e["accuracy"] for e in ok if e["nonzeros"] <= bound]
            assert found["accuracy_at_bound"][kind] == max(below, default=None)
            sizes, lean = ([e[n] for e in good] for n in ("nonzeros", "effective_nonzeros"))
            assert found["gap"][kind] == (min(sizes) - bound if good else None)
            assert found["effective_gap"][kind] == (min(lean) - bound if good else None)


@pytest.mark.parametrize("seed", range(2))
def test_the_view_by_budget_agrees_with_plain_loops(seed: int) -> None:
    entries = random_entries(seed)
    rows = compared(entries)["by_budget"]
    keys = {(e["method"], e["width"], e["budget"]) for e in entries}
    assert {(r["method"], r["width"], r["budget"]) for r in rows} == keys
    assert len(rows) == len(keys)
    for row in rows:
        own = [e for e in entries if all(e[n] == row[n] for n in ("method", "width", "budget"))]
        ok = [e for e in own if e["status"] == "ok"]
        assert row["runs"] == len(own)
        top = max((e["accuracy"] for e in ok), default=None)
        assert same_run(
            row["best"], oracle_best([e for e in ok if e["accuracy"] == top], "nonzeros")
        )
        for target in TARGETS:
            assert row["successes"][f"{target:g}"] == sum(e["accuracy"] >= target for e in ok)
        shares = [1 - e["effective_nonzeros"] / e["nonzeros"] for e in ok]
        if shares:
            assert row["disconnected_share"] == pytest.approx(sum(shares) / len(shares))
        else:
            assert row["disconnected_share"] is None


def test_the_order_of_runs_and_rows_does_not_matter() -> None:
    entries = random_entries(9)
    parts = [PruneRun(f"runs/{i}", table_of(entries[i::3])) for i in range(3)]
    reports = [compare(groups(order), [], TARGETS) for order in (parts, parts[::-1])]
    for method, width, target in itertools.product(("gmp", "snip"), (None, 3, 16), TARGETS):
        one, other = (entry_of(r, method=method, width=width, target=target) for r in reports)
        assert one == other


# ------------------------------------------------------------------ what counts


def test_of_equals_the_more_accurate_and_then_the_leaner_is_named() -> None:
    entries = [
        run_of(accuracy=0.96, effective=30, restart=0),
        run_of(accuracy=0.97, effective=29, restart=2),
        run_of(accuracy=0.97, effective=28, restart=1),
        run_of(accuracy=0.97, effective=28, restart=3),
        run_of(accuracy=1.0, nonzeros=31, restart=4),
    ]
    found = entry_of(compared(entries), target=0.95, width=None)
    assert found["first"]["restart"] == 1
    assert found["best"]["restart"] == 4
    assert found["first"]["disconnected"] == 2


def test_exactly_the_target_is_reached() -> None:
    found = compared([run_of(accuracy=0.95)], targets=(0.95, 0.9500001))
    assert entry_of(found, target=0.95, width=None)["reached"]
    assert not entry_of(found, target=0.9500001, width=None)["reached"]


@pytest.mark.parametrize("status", ["diverged", "collapsed"])
def test_runs_that_are_not_ok_never_count(status: str) -> None:
    entries = [
        run_of(accuracy=1.0, nonzeros=10, status=status),
        run_of(accuracy=0.96, nonzeros=40, restart=1),
    ]
    report = compared(entries, [search(25, 0.96)])
    found = entry_of(report, target=0.95, width=None)
    assert found["first"]["nonzeros"] == 40
    assert found["gap"][TRAINED] == 15
    assert found["accuracy_at_bound"][TRAINED] is None
    assert found["runs"] == 2 and found[status] == 1
    assert found["best"]["accuracy"] == 0.96


def test_a_method_whose_runs_all_collapsed_is_still_in_the_table() -> None:
    entries = [run_of("grasp", 0.5, status="collapsed"), run_of("gmp", 0.96)]
    report = compared(entries, [search(25, 0.96)])
    found = entry_of(report, method="grasp", target=0.95, width=None)
    assert not found["reached"] and found["best"] is None and found["collapsed"] == 1
    line = next(x for x in comparison_text(report).splitlines() if x.startswith("grasp"))
    assert "not reached" in line
    assert "grasp" in comparison_csv(report)


def test_a_target_that_is_not_reached_is_said_with_the_best_accuracy() -> None:
    report = compared([run_of(accuracy=0.9499, nonzeros=33)], [search(25, 0.96)])
    found = entry_of(report, target=0.95, width=None)
    assert not found["reached"] and found["first"] is None
    assert found["gap"] == {TRAINED: None, EXISTS: None}
    assert found["best"]["nonzeros"] == 33
    text = comparison_text(report)
    line = next(x for x in text.splitlines() if "most accurate" in x)
    # Cut, not rounded: what falls short of a target must not look as if it reached it.
    assert "94.990%" in line and " 33 " in line


def test_runs_of_several_sweeps_are_pooled() -> None:
    first = PruneRun("runs/a", table_of([run_of(nonzeros=40), run_of(nonzeros=41, restart=1)]))
    other = PruneRun("runs/b", table_of([run_of(nonzeros=35, restart=2)]))
    wide = PruneRun("runs/c", table_of([run_of(nonzeros=50, width=16)]))
    (group,) = groups([first, other, wide])
    found = compare([group], [], [0.95])
    assert entry_of(found, width=4)["runs"] == 3
    assert entry_of(found, width=4)["first"]["run"] == "runs/b"
    assert entry_of(found, width=None)["runs"] == 4
    assert entry_of(found, width=16)["first"]["nonzeros"] == 50


def test_one_run_in_two_sweeps_counts_once_and_another_seed_twice() -> None:
    table = table_of([run_of(), run_of(restart=1)])
    runs = [PruneRun("runs/a", table), PruneRun("runs/b", table)]
    assert len(Tries.of(runs)) == 2
    assert len(Tries.of([runs[0], dataclasses.replace(runs[1], seed=1)])) == 4


@pytest.mark.parametrize("other", [{"trainer": "vmap"}, {"numerics": 2}])
def test_another_trainer_or_numerics_makes_other_runs(other: dict[str, Any]) -> None:
    first = PruneRun("runs/b", table_of([run_of(accuracy=0.96)]), trainer="sparse", numerics=1)
    second = dataclasses.replace(
        first, name="runs/a", rows=table_of([run_of(accuracy=0.97)]), **other
    )
    third = dataclasses.replace(second, name="runs/c")
    reports = []
    for order in itertools.permutations([first, second, third]):
        (group,) = groups(order)
        assert sorted(group.tries.accuracy.tolist()) == [0.96, 0.97]
        reports.append(compare([group], [], TARGETS))
    assert all(report == reports[0] for report in reports)


def test_of_one_run_in_two_sweeps_the_one_with_its_network_is_taken() -> None:
    nets = sparse_net((4, 4, 4), 0.9, 0)
    bare = PruneRun("runs/a", table_of([run_of("gmp"), run_of()]))
    saved = PruneRun("runs/b", table_of([run_of()], {0: nets}))
    for order in ([bare, saved], [saved, bare]):
        (group,) = groups(order)
        assert [run.name for run in group.runs] == ["runs/a", "runs/b"]
        assert group.tries.saved.tolist() == [False, True]
        assert [group.tries.names[s] for s in group.tries.source] == ["runs/a", "runs/b"]


def test_runs_from_an_initialisation_are_a_group_of_their_own() -> None:
    random = PruneRun("runs/a", table_of([run_of(nonzeros=40)]))
    fixed = PruneRun("runs/b", table_of([run_of(nonzeros=30)]), start="abcdef0123")
    searches = [search(25, 0.96), search(28, 0.96, "phase2", start="abcdef0123"),
                search(20, 0.96, "descend")]  # fmt: skip
    report = compare(groups([random, fixed]), searches, [0.95])
    labels = [bound["group"] for bound in report["bounds"]]
    assert labels == ["random weights", "initialisation abcdef01"]
    one, other = (entry_of(report, group=label, width=None) for label in labels)
    assert (one["first"]["nonzeros"], one["gap"][TRAINED], one["gap"][EXISTS]) == (40, 15, 20)
    assert (other["first"]["nonzeros"], other["gap"][TRAINED], other["gap"][EXISTS]) == (30, 2, 10)


@pytest.mark.parametrize("conditions", [{"compat": "paper"}, {"epochs": 10}])
def test_sweeps_under_other_conditions_are_not_pooled(conditions: dict[str, Any]) -> None:
    runs = [
        PruneRun("runs/a", table_of([run_of()])),
        PruneRun("runs/b", table_of([run_of()]), conditions=conditions),
    ]
    labels = [group.label for group in groups(runs)]
    name, value = next(iter(conditions.items()))
    assert labels == ["random weights", f"random weights, {name} {value}"]


def test_a_users_pruner_that_was_edited_is_not_pooled_with_what_it_was() -> None:
    table = table_of([run_of("my:Own")])
    runs = [
        PruneRun(f"runs/{digest}", table, seed, sources={"my:Own": digest})
        for seed, digest in enumerate(("aa", "bb"))
    ]
    with pytest.raises(UsageError, match="my:Own is not the same code in runs/aa and runs/bb"):
        groups(runs)
    assert len(groups([runs[0], dataclasses.replace(runs[1], sources=runs[0].sources)])) == 1


def test_what_is_chosen_has_the_entries_that_it_would_have_alone() -> None:
    entries = random_entries(5)
    start = PruneRun("runs/b", table_of([run_of("gmp", restart=9)]), start="0" * 64)
    found = groups([PruneRun("runs/a", table_of(entries)), start])
    own = [e for e in entries if e["method"] != "gmp" and e["restart"] < 3]
    some = chosen(found, ["snip", "mine:Own"], restarts=3)
    assert [group.label for group in some] == ["random weights"]
    assert compare(some, [], TARGETS) == compared(own)
    assert chosen(found)[0].tries.names == found[0].tries.names
    assert [len(group.tries) for group in chosen(found)] == [len(entries), 1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": ["snip", "lth"]}, "'lth', of which these sweeps have no run; they have snip"),
        ({"restarts": 0}, "restarts is 0, it must be a whole number from 1 up"),
    ],
)
def test_what_no_sweep_has_cannot_be_chosen(given: Entry, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        chosen(groups([PruneRun("runs/a", table_of([run_of()]))]), **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": ["lth"]}, "'lth', of which these sweeps have no run below restart 2; they"),
        ({"methods": ["gmp"], "later": 2}, "restarts is 2, and these sweeps have later ones only"),
    ],
)
def test_what_has_later_restarts_only_is_named(given: Entry, words: str) -> None:
    rows = [run_of("gmp", restart=given.pop("later", 0)), run_of("lth", restart=2)]
    with pytest.raises(UsageError, match=words):
        chosen(groups([PruneRun("runs/a", table_of(rows))]), **given, restarts=2)


def test_damaged_rows_are_refused() -> None:
    cases: list[tuple[Entry, str]] = [
        (run_of(accuracy=1.5), "accuracy"),
        (run_of(accuracy=float("nan")), "accuracy"),
        (run_of(effective=31), "effective"),
        (run_of(status="odd"), "status 'odd'"),
    ]
    for entry, words in cases:
        with pytest.raises(CorruptDataError, match=words):
            groups([PruneRun("runs/a", table_of([entry]))])
    with pytest.raises(CorruptDataError, match="lack column 'method'"):
        groups([PruneRun("runs/a", table_of([run_of()]).drop_columns(["method"]))])


# ------------------------------------------------------------------ bounds


def test_the_two_bounds_are_kept_apart() -> None:
    searches = [
        search(26, 0.96), search(25, 0.951, "exhaust"), search(22, 0.96, "descend"),
        search(19, 0.96, "descend", counting=PRUNABLE, name="runs/biases"),
    ]  # fmt: skip
    found = {kind: lowest(searches, kind, "", 0.95) for kind in KINDS}
    assert [bound and bound.found.nonzeros for bound in found.values()] == [25, 22, 19]
    assert lowest(searches, TRAINED, "", 0.955).found.nonzeros == 26  # type: ignore[union-attr]
    assert lowest(searches, TRAINED, "", 0.99) is None
    report = compared([run_of(nonzeros=30)], searches)
    assert report["bounds"][0][PRUNED_BIASES]["nonzeros"] == 19
    found_entry = entry_of(report, target=0.95, width=None)
    assert found_entry["gap"] == {TRAINED: 5, EXISTS: 8}


def test_what_was_trained_from_any_start_exists() -> None:
    searches = [
        search(24, 0.96, "descend"), search(22, 0.96, "phase2", start="abcdef0123"),
        search(26, 0.96), search(19, 0.96, "descend", counting=PRUNABLE, name="runs/biases"),
    ]  # fmt: skip
    for start, trained in (("", 26), ("abcdef0123", 22), ("0123", None)):
        found = {kind: lowest(searches, kind, start, 0.95) for kind in KINDS}
        numbers = {kind: bound and bound.found.nonzeros for kind, bound in found.items()}
        assert numbers == {TRAINED: trained, EXISTS: 22, PRUNED_BIASES: 19}
        assert [step.nonzeros for step in joined(searches, EXISTS, start)] == [22]
    assert found[EXISTS].run == "runs/phase2"  # type: ignore[union-attr]


def test_the_existence_gap_of_an_initialisation_says_that_it_is_of_any_weights() -> None:
    searches = [search(26, 0.96, start="abcdef0123"), search(22, 0.96, "descend")]
    run = PruneRun("runs/a", table_of([run_of()]), start="abcdef0123")
    report = compare(groups([run]), searches, [0.95])
    text = comparison_text(report)
    assert "exists, biases kept, of any weights: 22 nonzeros" in text
    assert "trained bound: 26 nonzeros" in text
    head = next(line for line in text.splitlines() if line.startswith("method"))
    assert all(name in head for name in ("gap t", "gap e*", "eff e*", "at e*"))
    line, _ = csv.DictReader(io.StringIO(comparison_csv(report)))
    assert line["bound_trained_of"] == "initialisation abcdef01"
    assert line["bound_exists_of"] == "any weights"
    plain = comparison_text(compared([run_of()], [search(26, 0.96)]))
    assert "of any weights" not in plain and "gap e*" not in plain
    assert list(search_lines(searches, "")) == ["search, exists"]
    labels = ["search, trained", "exists, any weights"]
    assert list(search_lines(searches, "abcdef0123")) == labels
    # What was trained alone has one line: it would hide behind itself.
    assert list(search_lines(searches[:1], "abcdef0123")) == labels[:1]


def test_without_searches_there_is_no_gap() -> None:
    report = compared([run_of()])
    assert entry_of(report, target=0.95, width=None)["gap"] == {TRAINED: None, EXISTS: None}
    assert "no search among these runs has one" in comparison_text(report)


def test_joined_frontiers_rise() -> None:
    searches = [search(26, 0.96), search(25, 0.97, "exhaust"), search(30, 0.999, "phase2")]
    steps = joined(searches, TRAINED, "")
    assert [(s.nonzeros, s.accuracy, s.source) for s in steps] == [
        (25, 0.97, "runs/exhaust"),
        (30, 0.999, "runs/phase2"),
    ]


# ------------------------------------------------------------------ the paper


def test_every_number_of_the_paper_is_one_of_our_methods() -> None:
    assert {one.method for one in PUBLISHED} <= {"search", *NINE}
    assert set(FLOPS) == {"dense", *NINE}
    assert not set(FLOPS) & {*RANDOM, *ABSENT}
    keys = {(p.method, p.target, p.width, p.start) for p in PUBLISHED}
    assert len(keys) == len(PUBLISHED)


def test_the_two_published_initialisations_have_names_and_numbers(root: Path) -> None:
    expected = {"BENCH-95": (0.95, 26), "BENCH-995": (0.995, 38)}
    for (name, (target, number)), file in zip(expected.items(), ("95", "995"), strict=True):
        start = network_digest(
            load_network(root / f"results/initialisations/bench-{file}-init.npz")
        )
        assert STARTS[start] == name
        run = PruneRun("runs/a", table_of([run_of("gmp", 0.999)]), start=start, task_digest=SPIRAL)
        report = compare(groups([run]), [], TARGETS)
        paper = {b["target"]: b["paper"] and b["paper"]["nonzeros"] for b in report["bounds"]}
        assert paper == {**dict.fromkeys(TARGETS), target: number}
        assert report["bounds"][0]["group"] == f"initialisation {name}"
        assert entry_of(report, target=0.995, width=None)["paper"] is None


def test_the_papers_number_stands_beside_ours() -> None:
    entries = [run_of("gmp", 0.999, 50, width=w) for w in (7, 16)] + [run_of("grasp")]
    report = compared(entries, given={"task_digest": SPIRAL})

    def paper(**wanted: Any) -> Any:
        found = entry_of(report, **wanted)["paper"]
        return found and found["nonzeros"]

    assert paper(method="gmp", width=7, target=0.995) == 40
    assert paper(method="gmp", width=16, target=0.995) == 61
    assert paper(method="gmp", width=None, target=0.995) == 40
    assert paper(method="gmp", width=16, target=0.95) is None
    assert paper(method="grasp", width=None, target=0.95) is None
    assert published("snip", 0.95, [3]).accuracy == 0.9514  # type: ignore[union-attr]
    assert [b["paper"]["nonzeros"] for b in report["bounds"]] == [30, 45]
    text = comparison_text(report)
    assert " 40 (w7) " in text and " 50 / 40 " in text and " 50 / 61\n" in text
    assert "the paper's search: 45 nonzeros" in text


def test_the_paper_is_asked_for_the_widths_that_were_swept() -> None:
    """SNIP's 29 is of width 3: beside width 16 it would be another experiment's number."""
    entries = [run_of(method, 0.96, 50, width=16) for method in ("lth", "snip")]
    report = compared(entries, given={"task_digest": SPIRAL})
    assert entry_of(report, method="lth", width=None, target=0.95)["paper"]["nonzeros"] == 44
    assert entry_of(report, method="snip", width=None, target=0.95)["paper"] is None
    line = next(x for x in comparison_text(report).splitlines() if x.startswith("lth"))
    assert line.split()[4] == "44" and "(w" not in line


@pytest.mark.parametrize(
    "given",
    [
        {"task_digest": smooth_spiral().digest()},
        {"task_digest": SPIRAL, "conditions": {"epochs": 10}},
        {"task_digest": SPIRAL, "conditions": {"depth": 2}},
        {"task_digest": SPIRAL, "conditions": {"compat": "paper", "momentum": 0.5}},
    ],
)
def test_the_papers_numbers_are_not_shown_beside_other_experiments(given: Entry) -> None:
    entries = [run_of("gmp", 0.999, 50, width=w, budget=55) for w in (7, 16)]
    report = compared(entries, given=given)
    assert not any(entry["paper"] for entry in report["entries"])
    assert not any(bound["paper"] for bound in report["bounds"])
    (row,) = report["flops"]
    assert (row["method"], row["formula"], row["paper"]) == ("gmp", None, None)
    assert "the paper's search" not in comparison_text(report)
    assert is_of_paper(SPIRAL, ["compat"]) and is_of_paper(SPIRAL, [])


def test_flops_are_those_of_width_16_and_budget_55() -> None:
    entries = [
        run_of("lth", width=16, budget=55, flops=3e9, nonzeros=75),
        run_of("lth", width=16, budget=55, flops=5e9, nonzeros=77, restart=1),
        run_of("lth", width=16, budget=53, flops=9e9),
        run_of("lth", width=8, budget=55, flops=9e9),
        run_of("lth", width=16, budget=55, flops=9e9, restart=2, status="diverged"),
        run_of("snip", width=16, budget=55, nonzeros=76, flops=1.8e8),
        run_of("sap", width=16, budget=55, nonzeros=76, flops=8e9),
        run_of("my:Own", width=16, budget=55, nonzeros=76, flops=1.7e8),
    ]
    entries[4:4] = [{**entries[0], "restart": 3, "weight_nonzeros": 560, "flops": 9e9}]
    report = compared(entries, given={"task_digest": SPIRAL})
    rows = {row["method"]: row for row in report["flops"]}
    assert list(rows) == ["dense", "lth", "snip", "sap", "my:Own"]
    assert (rows["lth"]["flops"], rows["lth"]["paper"], rows["lth"]["biases"]) == (4e9, 3.4e9, 21)
    assert rows["lth"]["formula"] == pytest.approx(3.416e9, rel=1e-3)
    assert rows["snip"]["formula"] == 76 * 2_496_000
    assert (rows["dense"]["flops"], rows["dense"]["formula"]) == (None, 609 * 2_496_000)
    for method in ("sap", "my:Own"):  # what they train is not known beforehand
        assert (rows[method]["formula"], rows[method]["paper"]) == (None, None)
    lines = [line.split() for line in comparison_text(report).splitlines()]
    assert ["lth", "4.0e+09", "3.4e+09", "3.4e+09", "random", "weights"] in lines
    assert ["dense", "-", "1.5e+09", "1.5e+09", "random", "weights"] in lines


# ------------------------------------------------------------------ budgets, lost runs


def test_runs_above_their_budget_count_by_nonzeros_alone() -> None:
    """What the authors' code keeps of a layer is rounded, or everything on ties at zero."""
    dense = {**run_of("snip", 1.0, 49, budget=15), "weight_nonzeros": 40}
    rounded = {**run_of("snip", 0.96, 50, budget=20), "weight_nonzeros": 24}
    other = {**run_of("snip", 1.0, 51, budget=20, restart=1), "weight_nonzeros": 25}
    entries = [dense, rounded, other]
    report = compared(entries + [{**e, "width": 5} for e in entries], [search(49, 0.96)])
    found = entry_of(report, width=4, target=0.95)
    assert found["first"]["nonzeros"] == 49 and found["best"]["accuracy"] == 1.0
    assert found["accuracy_at_bound"][TRAINED] == 1.0 and found["successes"] == 3
    assert found["first_budget"]["budget"] == 20 and found["above_budget"] == 2
    rows = {row["budget"]: row for row in report["by_budget"] if row["width"] == 4}
    assert (rows[15]["runs"], rows[15]["above_budget"], rows[15]["best"]) == (1, 1, None)
    assert (rows[20]["runs"], rows[20]["above_budget"]) == (2, 1)
    assert rows[20]["best"]["accuracy"] == 0.96 and rows[20]["successes"]["0.95"] == 1
    text = comparison_text(report)
    assert "runs that keep more than their budget and count for none: snip 4" in text
    assert "runs that keep more" not in comparison_text(compared([rounded]))
    shares = _disconnected(Tries.of([PruneRun("runs/a", table_of(entries))]))
    assert {title: x.tolist() for title, lines in shares.items() for x, _ in lines.values()} == {
        "width 4 (2 above)": [20]
    }
    assert not _disconnected(Tries.of([PruneRun("runs/a", table_of([dense]))]))


def test_lost_runs_are_in_the_text_where_there_are_some() -> None:
    entries = [run_of(), run_of(restart=1, status="collapsed")]
    entries += [run_of(restart=r, status="diverged") for r in (2, 3)]
    text = comparison_text(compared(entries))
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("method"))
    assert head.endswith("runs  lost runs")
    assert next(x for x in lines if x.startswith("snip")).split()[-2:] == ["4", "1+2"]
    sound = comparison_text(compared(entries[:1])).splitlines()
    assert not any(line.endswith("lost runs") for line in sound)


# ------------------------------------------------------------------ text, CSV, JSON


def test_csv_and_json_agree() -> None:
    entries = random_entries(3)
    report = compared(entries, [search(19, 0.96), search(17, 1.0, "descend")])
    report = json.loads(json.dumps(report, allow_nan=False))
    lines = list(csv.DictReader(io.StringIO(comparison_csv(report))))
    assert len(lines) == len(report["entries"])
    for line, entry in zip(lines, report["entries"], strict=True):
        assert line["method"] == entry["method"]
        assert float(line["target"]) == entry["target"]
        assert line["width"] == ("all" if entry["width"] is None else str(entry["width"]))
        assert line["reached"] == ("yes" if entry["reached"] else "no")
        for what, prefix in RUN_PREFIXES.items():
            for name, value in (entry[what] or {}).items():
                assert line[f"{prefix}_{name}"] == str(value), name
            if entry[what] is None:
                assert line[f"{prefix}_nonzeros"] == ""
        for kind, gap in entry["gap"].items():
            assert line[f"gap_{kind}"] == ("" if gap is None else str(gap))


def test_the_text_names_the_numbers() -> None:
    entries = [run_of("gmp", 0.96, 30, effective=28, width=w) for w in (4, 16)]
    entries += [run_of("lth", 0.90, 31)]
    text = comparison_text(compared(entries, [search(25, 0.96), search(22, 0.96, "descend")]))
    assert "Target 0.95, from random weights" in text
    assert "trained bound: 25 nonzeros, (3,3,3), 96.000%, 100 runs, runs/phase1" in text
    line = next(x for x in text.splitlines() if x.startswith("gmp"))
    assert line.split()[1:9] == ["30", "28", "28", "-", "+5", "+8", "+3", "+6"]
    assert "first weight budget by width:" in text
    assert "(90.0)" in text  # LTH at width 4: not reached, so its best accuracy
    assert max(map(len, text.splitlines())) < 140


def test_methods_that_the_paper_has_not_are_named() -> None:
    entries = [run_of(name, width=w) for name in ("gmp", "sap_layer", "lt") for w in (4, 16)]
    text = comparison_text(compared(entries, targets=[0.95, 0.995]))
    assert text.count("not in the paper: sap_layer, lt\n") == 1
    assert "not in the paper" not in comparison_text(compared(entries[:2]))


def test_a_method_of_fewer_widths_leaves_places_empty() -> None:
    entries = [run_of("gmp", width=w) for w in (4, 8, 16)] + [run_of("sap", width=8)]
    text = comparison_text(compared(entries, targets=[0.95]))
    lines = [line.split() for line in text.splitlines() if line.startswith("sap ")]
    assert lines[2:] == [["sap", "-", "30", "-"], ["sap", "-", "30", "-"], ["sap", "-", "20", "-"]]


def test_one_width_needs_no_tables_by_width() -> None:
    assert "by width" not in comparison_text(compared([run_of()]))


# ------------------------------------------------------------------ still prunable


def tiny_task(points: int = 200) -> Task:
    x = np.random.default_rng(1).normal(size=(points, 2)).astype(np.float32)
    return Task("tiny", x, (x[:, 0] + 0.4 * x[:, 1] ** 2 > 0.3).astype(np.uint8))


def labelled_by(nets: NetBatch, points: int = 300) -> Task:
    """A task that a network gets wholly right."""
    import torch

    x = np.random.default_rng(2).normal(size=(points, 2)).astype(np.float32)
    params = {name: torch.tensor(p[0]) for name, p in nets.params.items()}
    logits, _ = nets.network.apply(params, {}, torch.tensor(x))
    return Task("own", x, (logits.numpy() > 0).astype(np.uint8))


def sparse_net(
    hidden: tuple[int, ...], share: float, seed: int, bias_scale: float = 1.0
) -> NetBatch:
    """A random network with a random mask; biases kept, those of dead neurons too."""
    random = np.random.default_rng(seed)
    shape = NetShape.from_hidden(hidden)
    masks = random.random((1, shape.parameters)) < share
    for _, bias in layers_of(shape, masks):
        bias[:] = True
    params = random.normal(size=masks.shape).astype(np.float32) * masks
    for _, bias in layers_of(shape, params):
        bias[:] = bias * bias_scale
    return SparseNets(shape, params, masks).batch()


def counted(masks: Sequence[Any]) -> int:
    """Kept weights on a path from input to output, and the biases at their ends."""
    fed: list[Any] = [np.ones(masks[0].shape[1], bool)]
    reaching: list[Any] = [np.ones(masks[-1].shape[0], bool)]
    for mask in masks:
        fed.append((mask & fed[-1]).any(axis=1))
    for mask in reversed(masks):
        reaching.insert(0, (mask & reaching[0][:, None]).any(axis=0))
    total = 0
    for layer, mask in enumerate(masks):
        live = mask & fed[layer] & reaching[layer + 1][:, None]
        total += int(live.sum()) + int(live.any(axis=1).sum())
    return total


def brute_force(nets: NetBatch, task: Task, target: float) -> tuple[int, float] | None:
    """Greedy deletion by plain loops: zero a weight, evaluate, take the best."""
    assert isinstance(nets.network, MLP)
    layers = range(len(nets.network.shape.layers))
    weights = [nets.params[f"weight{k}"][0].copy() for k in layers]
    masks = [nets.masks[f"weight{k}"][0] != 0 for k in layers]
    biases = [nets.params[f"bias{k}"][0] for k in layers]

    def accuracy() -> float:
        h = task.x.T
        for k in layers:
            h = (weights[k] * masks[k]) @ h + biases[k][:, None]
            h = h if k == layers[-1] else np.maximum(h, 0)
        return float(((h[0] > 0) == task.y).mean())

    best = accuracy()
    if best < target:
        return None
    while True:
        found: tuple[float, int, int, tuple[int, int]] | None = None
        for k in layers:
            for place in zip(*np.nonzero(masks[k]), strict=True):
                masks[k][place] = False
                size = counted(masks)
                now = (accuracy(), -size, k, place)
                masks[k][place] = True
                # A weight that is on no path is gone already.
                if size == counted(masks) or size == 0:
                    continue
                if found is None or now[:2] > found[:2]:
                    found = now
        if found is None or found[0] < target:
            return counted(masks), best
        best = found[0]
        masks[found[2]][found[3]] = False


@pytest.mark.parametrize("seed", range(12))
def test_prunable_against_brute_force(seed: int) -> None:
    nets = sparse_net((3, 3, 2), 0.75, seed)
    task = labelled_by(nets) if seed % 2 else tiny_task()
    for target in (0.6, 0.9):
        found, wanted = prunable(nets, task, target), brute_force(nets, task, target)
        if found is None:
            assert wanted is None
            continue
        assert wanted is not None
        assert found.nonzeros == wanted[0]
        assert found.accuracy == pytest.approx(wanted[1])
        assert int(nonzeros(found.nets)[0]) == found.nonzeros
        assert score(found.nets, task).accuracy[0] == pytest.approx(found.accuracy)
        assert found.accuracy >= target


def test_prunable_leaves_its_input_alone_and_takes_one_of_a_batch() -> None:
    nets = NetBatch.concat([sparse_net((4, 3), 0.8, seed) for seed in (0, 1)])
    before = {name: p.copy() for name, p in nets.params.items()}
    task = labelled_by(nets[1:])
    found = prunable(nets, task, 0.8, index=1)
    assert found is not None and found.nonzeros <= found.connected
    for name, param in nets.params.items():
        np.testing.assert_array_equal(param, before[name])


def test_prunable_of_a_wide_net_keeps_the_function_while_it_drops_the_disconnected() -> None:
    nets = next(
        nets
        for nets in (sparse_net((40, 40, 40), 0.08, seed, 0.05) for seed in range(50))
        if 0.1 < labelled_by(nets).y.mean() < 0.9
    )
    found = prunable(nets, labelled_by(nets), 1.0)
    assert found is not None and found.accuracy == 1.0
    assert found.connected < int(nonzeros(nets)[0])


# ------------------------------------------------------------------ deletions in the table


def test_still_prunable_is_of_the_sparsest_saved_network() -> None:
    nets = sparse_net((4, 4, 4), 0.9, 0)
    entries = [
        run_of(nonzeros=25, accuracy=0.951),
        run_of(nonzeros=26, accuracy=0.96, restart=1),
        run_of(nonzeros=40, accuracy=0.97, budget=30),
    ]
    asked: list[tuple[str, int, float]] = []

    def deleted(run: PruneRun, row: int, target: float) -> Prunable | None:
        asked.append((run.name, row, target))
        return Prunable(20, 0.95, 24, nets)

    run = PruneRun("runs/a", table_of(entries, {1: nets, 2: nets}))
    report = compare(groups([run]), [], [0.95], deleted)
    found = entry_of(report, width=None)["prunable"]
    assert found["left"] == 20 and found["nonzeros"] == 26 and not found["of_first"]
    assert set(asked) == {("runs/a", 1, 0.95)}
    assert "20* (of 26)" in comparison_text(report)


# ------------------------------------------------------------------ the command


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def circles() -> Task:
    return load_task("circles")


@pytest.fixture
def make(tmp_path: Path, circles: Task) -> Make:
    """Makes run folders below ``tmp_path``."""

    def made(name: str, rows: pa.Table | None, command: str = "prune", **more: Any) -> Path:
        identity = {
            "command": command,
            "config": {"task": "circles"},
            "task_digest": circles.digest(),
            "numerics": 1,
            **more,
        }
        store = RunStore.open(tmp_path / name, identity)
        if rows is not None:
            store.write(Shard(0, int(rows["rank"].to_numpy().max()) + 1), rows)
        return tmp_path / name

    return made


def phase1_rows(*found: tuple[int, float]) -> pa.Table:
    count = np.arange(len(found))
    return rows_table(
        rank=count, shape="2,3,3,3,1", mask=np.uint64(0), nonzeros=[n for n, _ in found],
        cell=CELLS[0], restart=0, accuracy=[a for _, a in found],
    )  # fmt: skip


def ring_net() -> NetBatch:
    """A polygon of eight lines: the ring of class 1 lies inside."""
    angles = np.arange(8) * np.pi / 4
    shape = NetShape.from_hidden((8, 1))
    weight0 = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    params = {
        "weight0": weight0[None], "bias0": np.full((1, 8), -1.0, np.float32),
        "weight1": np.ones((1, 1, 8), np.float32), "bias1": np.zeros((1, 1), np.float32),
        "weight2": -np.ones((1, 1, 1), np.float32), "bias2": np.full((1, 1), 0.05, np.float32),
    }  # fmt: skip
    ones = {name: np.ones_like(p) for name, p in params.items()}
    return NetBatch(MLP(shape), params, ones, {n: np.zeros_like(p) for n, p in params.items()})


@pytest.fixture
def runs(make: Make, tmp_path: Path) -> dict[str, Path]:
    nets = ring_net()
    entries = [
        run_of("gmp", 0.97, 40, width=4),
        run_of("gmp", 0.97, 44, width=8, budget=25),
        run_of("my:Own", 0.9, 30, width=4),
        run_of("snip", 0.5, 30, width=4, status="collapsed"),
    ]
    for entry in entries[1:2]:
        entry["shape"] = "2,8,1,1"
    found = {
        "prune": make("prune", table_of(entries, {1: nets})),
        "phase1": make("phase1", phase1_rows((31, 0.9), (33, 0.96), (36, 0.999)), "phase1"),
        "descend": make("descend", None, "descend"),
    }
    (found["descend"] / "frontier").mkdir()
    save_network(found["descend"] / "frontier" / "35.npz", nets)
    return found


def asked(runs: Iterable[Path], output: Path | None = None, **more: Any) -> Entry:
    options: Entry = {"runs_folder": "runs", "targets": [0.95], "as_json": False, **more}
    return compare_command(
        list(map(str, runs)), output=None if output is None else str(output), **options
    )


def test_a_whole_comparison(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = asked(runs.values(), as_json=True)
    folder = runs["prune"] / "compare"
    shown = json.loads(capsys.readouterr().out)
    assert shown["folder"] == str(folder) and shown == json.loads(json.dumps(report))
    saved = json.loads((folder / "comparison.json").read_bytes())
    assert saved["entries"] == shown["entries"]
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "comparison.json", "comparison.csv", "comparison.txt", "pareto-w4.png", "pareto-w8.png",
        "pareto-all.png", "best-of-widths.png", "disconnected.png", "budgets-gmp.png",
        "budgets-snip.png", "budgets-my-Own.png", "networks-0.95.png", "gmp-0.95.npz",
    }  # fmt: skip
    network = read_network(folder / "networks" / "gmp-0.95.npz")
    assert network.about["method"] == "gmp" and network.about["budget"] == 25
    expected = score(ring_net(), load_task("circles")).correct
    assert score(network.nets, load_task("circles")).correct == expected
    assert {Path(path).name for path in shown["files"]} == names
    found = entry_of(report, method="gmp", width=None)
    assert (found["gap"][TRAINED], found["accuracy_at_bound"][TRAINED]) == (7, None)
    # The saved network is the second: every one of its 35 parameters is connected.
    assert found["prunable"]["nonzeros"] == 44 and not found["prunable"]["of_first"]
    assert found["prunable"]["left"] <= 35 and found["prunable"]["accuracy"] >= 0.95
    bound = report["bounds"][0]
    assert bound[TRAINED]["nonzeros"] == 33 and bound[TRAINED]["runs"] is None
    assert bound[EXISTS]["nonzeros"] == 33  # what was trained exists
    assert bound["of"] == {TRAINED: "random weights", EXISTS: "any weights"}
    assert report["made_with"]["command"].startswith("combsearch compare ")


def test_many_networks_are_drawn_on_several_pages(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fourteen methods in one figure would be a strip of paper; the sparsest come first."""
    drawn: list[list[plots.Pruned]] = []

    def beside(shown: Sequence[plots.Pruned], task: Task) -> Any:
        drawn.append(list(shown))
        return whole(shown[:1], task)  # which networks are on a page is the point here

    whole = plots.pruned_beside
    monkeypatch.setattr(plots, "pruned_beside", beside)
    entries = [run_of(f"my:P{i:02}", 0.97, 60 - i) | {"shape": "2,8,1,1"} for i in range(14)]
    run = make("a", table_of(entries, dict.fromkeys(range(14), ring_net())))
    asked([run], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").glob("networks-*")}
    assert names == {f"networks-0.95{page}.png" for page in ("", "-2", "-3")}
    assert [one.name for page in drawn for one in page] == [f"P{i:02}" for i in range(13, -1, -1)]
    assert max(map(len, drawn)) == 6


def test_an_earlier_comparison_is_replaced(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    asked([runs["prune"]], output)
    (output / "comparison.txt").write_text("old")
    asked([runs["prune"], runs["phase1"]], output)
    text = (output / "comparison.txt").read_text()
    assert "trained bound: 33" in text
    assert text.strip() in capsys.readouterr().out
    assert not [path for path in output.iterdir() if path.suffix == ".tmp"]


def test_methods_and_restarts_can_be_chosen(runs: dict[str, Path], tmp_path: Path) -> None:
    report = asked(runs.values(), tmp_path / "out", methods=["gmp"], restarts=1)
    assert {entry["method"] for entry in report["entries"]} == {"gmp"}
    assert "budgets-gmp.png" in {Path(path).name for path in report["files"]}
    assert not list((tmp_path / "out").glob("*snip*"))
    assert " --methods gmp --restarts 1 " in report["made_with"]["command"]


def test_groups_have_a_folder_of_figures_each(make: Make, tmp_path: Path) -> None:
    rows = table_of([run_of()])
    both = [make("a", rows), make("b", rows, init_digest="0123456789ab")]
    asked(both, tmp_path / "out")
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == ["initialisation-01234567", "random-weights"]


def test_a_sweep_in_which_nothing_counts_has_a_table_and_no_figures(
    make: Make, tmp_path: Path
) -> None:
    run = make("a", table_of([run_of(status="collapsed", accuracy=0.5)]))
    report = asked([run], tmp_path / "out")
    assert len(report["files"]) == 3


def test_a_run_given_twice_is_read_once(runs: dict[str, Path], tmp_path: Path) -> None:
    report = asked([runs["prune"], runs["prune"]], tmp_path / "out")
    assert len(report["prune_runs"]) == 1


@pytest.mark.parametrize("target", [0.0, -1.0, 1.1, float("nan")])
def test_targets_out_of_range_are_refused(target: float) -> None:
    with pytest.raises(UsageError, match=r"must be an accuracy in \(0, 1\]"):
        check_targets([0.95, target])


def test_targets_are_sorted_and_have_a_default() -> None:
    assert check_targets([0.995, 0.95, 0.95]) == [0.95, 0.995]
    assert check_targets([]) == list(PAPER_TARGETS)


def test_a_comparison_needs_a_sweep(runs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no run of prune among"):
        asked([runs["phase1"]])
    with pytest.raises(UsageError, match="no run of prune among no runs at all"):
        asked([])


def test_another_commands_run_is_refused(runs: dict[str, Path], make: Make) -> None:
    other = make("other", None, "bench")
    with pytest.raises(UsageError, match="is a run of 'bench'; compare takes"):
        asked([runs["prune"], other])


def test_a_run_on_another_task_is_refused(runs: dict[str, Path], make: Make) -> None:
    other = make("other", phase1_rows((30, 0.96)), "phase1", task_digest="0" * 64)
    with pytest.raises(UsageError, match="on another task"):
        asked([runs["prune"], other])


def test_a_task_that_has_changed_is_refused(make: Make) -> None:
    run = make("old", table_of([run_of()]), task_digest="0" * 64)
    with pytest.raises(UsageError, match="is not what it was"):
        asked([run])


def test_damaged_shards_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    (shard,) = (runs["prune"] / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorruptDataError):
        asked([runs["prune"]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_without_results_are_refused(runs: dict[str, Path], make: Make) -> None:
    with pytest.raises(UsageError, match="no finished shard"):
        asked([make("empty", None)])
    shutil.rmtree(runs["descend"] / "frontier")
    with pytest.raises(UsageError, match="no saved network"):
        asked([runs["prune"], runs["descend"]])
    with pytest.raises(UsageError, match="no finished run"):
        asked([runs["prune"], make("none", None, "phase1")])


def test_the_published_bounds(root: Path) -> None:
    """From the run folders in the repository: what README states."""
    from combsearch.comparison.runs import read_search_run
    from combsearch.tasks import cubist_spiral

    names = ("phase1-0.95", "phase1-0.995", "descend-0.95", "descend-biases-0.95")
    stores = [RunStore.attach(root / "results" / name) for name in names]
    searches = [read_search_run(store, cubist_spiral()) for store in stores]
    found = {
        (kind, target): lowest(searches, kind, "", target) for kind in KINDS for target in TARGETS
    }
    numbers = {key: bound and bound.found.nonzeros for key, bound in found.items()}
    assert numbers[TRAINED, 0.95] == 26 and numbers[TRAINED, 0.995] == 36
    assert numbers[EXISTS, 0.95] == 22 and numbers[EXISTS, 0.995] == 30
    assert numbers[PRUNED_BIASES, 0.95] == 19
    assert found[TRAINED, 0.995].runs == 17_856  # type: ignore[union-attr]
    assert found[TRAINED, 0.95].found.shape == (2, 3, 2, 2, 1)  # type: ignore[union-attr]
