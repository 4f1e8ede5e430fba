"""The runs that a comparison names, as far as they are there and still what they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from combsearch.comparison import Group, SearchRun, chosen, groups
from combsearch.comparison.runs import PRUNE, SEARCHES, read_prune_run, read_search_run
from combsearch.comparison.saved import Json, find_compared, gives_bounds, narrowed
from combsearch.comparison.tries import PruneRun
from combsearch.errors import UsageError
from combsearch.prune_rows import PRUNE_ROWS
from combsearch.report.made_by import command_of
from combsearch.store import RunStore, digest
from combsearch.tasks import TASKS, Task, load_task
from combsearch.tasks.embedded_spiral import named_spiral

_R = TypeVar("_R")


@dataclass(frozen=True, eq=False)
class Opened:
    """What of a comparison's runs can be read.

    Attributes:
        task: None where it is not there.
        groups: the sweeps by the group's label, those of them that are there.
        whole: labels of groups of which every sweep is there.
        searches: None unless all are there and give the bounds of the file.
        commands: by run, what made it.
        notes: what is not there, and so is not in the page; sentences.
    """

    task: Task | None
    groups: Mapping[str, Group]
    whole: frozenset[str]
    searches: Sequence[SearchRun] | None
    commands: Mapping[str, str]
    notes: tuple[str, ...]


def open_runs(file: Path, report: Json, runs: str) -> Opened:
    """The runs that ``report``, which lies in ``file``, was made of; ``runs`` is a folder of runs.

    Raises:
        CorruptDataError: a run is there and damaged.
    """
    notes: list[str] = []
    commands: dict[str, str] = {}
    task = _task(report, notes)
    sweeps = _sweeps(file, report, runs, commands, notes)
    lost = {one["group"] for one in report["prune_runs"] if one["run_folder"] not in sweeps}
    searches = _searches(file, report, runs, task, commands, notes)
    found = _grouped(list(sweeps.values()), report, notes)
    whole = frozenset(found) - lost
    return Opened(task, found, whole, searches, commands, tuple(notes))


def _grouped(sweeps: list[PruneRun], report: Json, notes: list[str]) -> dict[str, Group]:
    methods, restarts = narrowed(report)
    there = {str(name) for run in sweeps for name in run.rows["method"].unique().to_pylist()}
    try:
        own = [name for name in methods if name in there]
        if not sweeps or (methods and not own):
            return {}
        return {group.label: group for group in chosen(groups(sweeps), own, restarts)}
    except UsageError as error:
        notes.append(f"Networks of the sweeps are not included: {error}.")
        return {}


def _task(report: Json, notes: list[str]) -> Task | None:
    """Built-in tasks only: a file must not choose what code or which other file is read."""
    name = report["task"]
    task = load_task(name) if name in TASKS else named_spiral(name)
    if task is None or task.digest() != report["task_digest"]:
        why = "is not built in" if task is None else "is not what it was then"
        notes.append(f"The task {name} {why}, so networks are drawn without its points.")
        return None
    return task


def _sweeps(
    file: Path, report: Json, runs: str, commands: dict[str, str], notes: list[str]
) -> dict[str, PruneRun]:
    found: dict[str, PruneRun] = {}
    lost: dict[str, list[str]] = {}  # by the reason
    for told in report["prune_runs"]:
        name = told["run_folder"]
        try:
            store = _store(find_compared(file, name, runs), (PRUNE,))
            run = _finished(read_prune_run, store)
            if digest(run.rows, PRUNE_ROWS) != told["digest"]:
                raise UsageError("other rows than were compared")
        except UsageError as error:
            lost.setdefault(str(error), []).append(name)
            continue
        found[name] = replace(run, name=name)
        commands[name] = command_of(store.root) or ""
    for reason, names in lost.items():
        notes.append(f"Networks of {', '.join(names)} are not included: {reason}.")
    return found


def _searches(
    file: Path,
    report: Json,
    runs: str,
    task: Task | None,
    commands: dict[str, str],
    notes: list[str],
) -> list[SearchRun] | None:
    """All or none: a frontier with a part missing would not be the one of the bounds."""
    found: list[SearchRun] = []
    lost: dict[str, list[str]] = {}
    for told in report["search_runs"]:
        name = told["run_folder"]
        try:
            store = _store(find_compared(file, name, runs), SEARCHES)
            if task is None or store.identity["task_digest"] != report["task_digest"]:
                raise UsageError("its task is not here")
            found.append(replace(_finished(read_search_run, store, task), name=name))
            commands[name] = command_of(store.root) or ""
        except UsageError as error:
            lost.setdefault(str(error), []).append(name)
    if lost:
        reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in lost.items())
        notes.append(f"The searches' lines show the bounds alone and open no network ({reasons}).")
        return None
    if not gives_bounds(found, report):
        notes.append(
            "The searches found more since the comparison was made: their lines show its bounds"
            " alone and open no network."
        )
        return None
    return found


def _finished(read: Callable[..., _R], *given: Any) -> _R:
    """What ``read`` reads; the reason why it cannot names no folder of this machine."""
    try:
        return read(*given)
    except UsageError as error:
        raise UsageError("nothing is finished in it") from error


def _store(folder: Path | None, commands: Sequence[str]) -> RunStore:
    """The run in ``folder``.

    Raises:
        UsageError: there is none, or one of another command.
    """
    if folder is None:
        raise UsageError("no such folder here")
    store = RunStore.attach(folder)
    if store.identity.get("command") not in commands:
        raise UsageError(f"a run of {store.identity.get('command')}")
    return store
