"""From the parsed words of a command that trains to its settings and its search.

Its parser sets ``module`` (in ``combsearch.commands``, with a function ``open_search``), ``kind``
(the dataclass of its configuration) and ``table`` (its table of a TOML file). Standard library
only, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from combsearch.commands.options import Options
from combsearch.commands.settings import Settings, command_settings, variable
from combsearch.errors import UsageError

if TYPE_CHECKING:
    from combsearch.commands.session import Search


def run_command(given: argparse.Namespace) -> None:
    """Run or continue the search that ``given`` describes."""
    from combsearch.commands.session import run_search

    settings = settings_of(given)
    with blamed(settings):
        run_search(partial(open_search, given, settings), settings.options)


def open_search(given: argparse.Namespace, settings: Settings) -> Search:
    """The search of a command with these settings."""
    module = importlib.import_module(f"combsearch.commands.{given.module}")
    found: Search = module.open_search(settings.config)
    return found


def settings_of(given: argparse.Namespace) -> Settings:
    """The settings of a command that trains; ``--from`` gives way to all but defaults."""
    return command_settings(given.table, given.kind, vars(given), _taken(given))


@contextlib.contextmanager
def blamed(settings: Settings) -> Iterator[None]:
    """An error that shows only beside the task names the source of the setting too."""
    try:
        yield
    except UsageError as error:
        source = settings.sources.get(getattr(error, "field", ""))
        if source is None:
            raise
        raise UsageError(f"{source}: {error}") from error


def _taken(given: argparse.Namespace) -> dict[str, tuple[str, Any]]:
    """What ``--from`` gives."""
    if getattr(given, "source", None) is None:
        return {}
    from combsearch.commands.inherited import inherited

    return inherited(given.source, given.runs or os.environ.get(variable("runs")) or Options.runs)
