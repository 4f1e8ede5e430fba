"""``combsearch show``: a page of a network, a run or a comparison."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from combsearch.commands.certify import find_network, stated_task
from combsearch.commands.output import say
from combsearch.commands.runs import find_run, run_status
from combsearch.comparison.saved import FILE as COMPARISON
from combsearch.durable import check_folder_writable, write_bytes
from combsearch.errors import UsageError
from combsearch.report.made_by import run_of
from combsearch.runfile import near_runs
from combsearch.saved_network import SUFFIXES, read_network
from combsearch.store import RunStore
from combsearch.tasks import load_task


def show_command(
    text: str,
    runs: str,
    output: str | None,
    task: str | None,
    atlas: str | None,
    as_json: bool,
) -> dict[str, Any]:
    """Write a page; the object that ``--json`` prints.

    Args:
        text: a saved network (.npz, .safetensors), a run folder or its name below ``runs``,
            or a folder that compare wrote.
        runs: folder that holds the runs.
        output: the file, replaced if it is there; None: the name of what is shown, with .html,
            in this folder.
        task: of a network: the task it is for; None takes what it states.
        atlas: hidden widths of the shape whose masks are mapped, ``""`` for the run's own
            shape; None: no atlas.
        as_json: print one JSON object.

    Raises:
        UsageError: there is nothing of that name, it does not go with the options, or
            ``output`` cannot be written.
        CorruptDataError: it is damaged.
    """
    kind, source, make = find_source(text, runs, task, atlas)
    target = _target(output if output is not None else _default_name(source))
    content = make()
    replaced = os.path.exists(target)
    write_bytes(target, content)
    report = {
        "command": "show",
        "page": kind,
        "source": str(source),
        "output": str(target),
        "bytes": len(content),
        "replaced": replaced,
    }
    size = f"{len(content) / 1e6:.2f} MB{', replaces an older page' if replaced else ''}"
    say(json.dumps(report) if as_json else f"{source} -> {target} ({size})")
    return report


def _default_name(source: Path) -> str:
    """That of a folder whole (``target-0.95`` has no suffix); of a network of a run, both names."""
    if os.path.isdir(source):
        return f"{source.resolve().name or 'page'}.html"
    run = run_of(source)
    return f"{source.stem}.html" if run is None else f"{run.name}-{source.stem}.html"


def _target(text: str) -> Path:
    """Where to write; what stands against it is said before anything is computed."""
    path = Path(text)
    if path.suffix.lower() != ".html":
        raise UsageError(f"--output {text!r} must be a name that ends in .html")
    if not os.path.isdir(path.parent):  # unlike Path it takes names that are too long
        raise UsageError(f"--output {text}: there is no folder {path.parent}")
    if os.path.isdir(path):
        raise UsageError(f"--output {text} is a folder; name a file")
    check_folder_writable(path.parent)
    return path


def find_source(
    text: str, runs: str, task: str | None = None, atlas: str | None = None
) -> tuple[str, Path, Callable[[], bytes]]:
    """What ``text`` is (network, comparison, run or atlas), where it lies, what makes its page.

    Raises:
        UsageError: there is nothing of that name, or an option does not go with it.
    """
    folder = find_run(text, runs)
    if text.lower().endswith(SUFFIXES) and not os.path.isdir(text):
        _alone("a network", atlas=atlas)
        return "network", Path(text), lambda: _network(find_network(text, runs), task)
    if (found := _comparison(text, runs)) is not None:
        _alone("a comparison", task=task, atlas=atlas)
        return "comparison", found, lambda: _of_comparison(found, runs)
    if not os.path.isfile(folder / "run.json"):
        raise UsageError(
            f"{text!r} is neither a saved network ({' or '.join(SUFFIXES)}), nor a folder that"
            f" `combsearch compare -o` wrote ({COMPARISON} lies there), nor a run: there is no"
            f" run.json in {folder}{near_runs(folder)}"
        )
    _alone("a run", task=task)
    if atlas is not None:
        return "atlas", folder, lambda: _atlas(folder, atlas)
    return "run", folder, lambda: _run(folder)


def _alone(what: str, **options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"--{name} does not go with {what}")


def _comparison(text: str, runs: str) -> Path | None:
    """The folder of a comparison that ``text`` names: itself, its JSON file, or below ``runs``."""
    path = Path(text)
    folder = path.parent if path.name == COMPARISON else path
    for found in (folder, Path(runs) / text):
        if os.path.isfile(found / COMPARISON):
            return found
    return None


def _network(path: Path, task: str | None) -> bytes:
    from combsearch.report.network.page import network_page

    saved = read_network(path)
    return network_page(path, saved, load_task(task) if task else stated_task(path, saved), task)


def _run(folder: Path) -> bytes:
    from combsearch.report.run.data import check_command
    from combsearch.report.run.page import run_page

    store = RunStore.attach(folder)
    check_command(store)
    return run_page(store, run_status(store)[0])


def _of_comparison(folder: Path, runs: str) -> bytes:
    from combsearch.report.comparison.page import comparison_page

    return comparison_page(folder / COMPARISON, runs)


def _atlas(folder: Path, shape: str) -> bytes:
    from combsearch.report.atlas.page import atlas_page

    return atlas_page(RunStore.attach(folder), shape)
