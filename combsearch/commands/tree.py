"""The parsers of commands, and of commands below commands. Standard library only."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from combsearch.commands.arguments import search_options
from combsearch.commands.reading import run_command

if TYPE_CHECKING:  # argparse gives the type no public name
    Commands: TypeAlias = argparse._SubParsersAction[Any]

Function = Callable[[argparse.Namespace], None]


def group(commands: Commands, name: str, metavar: str, text: str) -> Commands:
    """A command that has commands."""
    parser = _parser(commands, name, text)
    return parser.add_subparsers(metavar=metavar, dest=metavar.lower(), required=True)


def runs(
    commands: Commands, name: str, module: str, kind: type, text: str
) -> argparse.ArgumentParser:
    """A command that trains what a configuration of class ``kind`` describes."""
    search = leaf(commands, name, module, run_command, text)
    search.set_defaults(kind=kind, table=name)
    search_options(search, kind)
    return search


def actions(study: argparse.ArgumentParser) -> Commands:
    """Commands of a command that also runs by itself."""
    return study.add_subparsers(metavar="[ACTION]", dest="action", required=False)


def leaf(
    commands: Commands, name: str, module: str, function: Function, text: str
) -> argparse.ArgumentParser:
    """A command that runs: its parser sets ``module``, ``function`` and ``parser`` (itself)."""
    parser = _parser(commands, name, text)
    parser.set_defaults(module=module, function=function, parser=parser)
    return parser


def _parser(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    description = f"{text[0].upper()}{text[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=description, allow_abbrev=False
    )
    return parser
