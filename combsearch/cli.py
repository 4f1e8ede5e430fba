"""The command line: arguments and exit codes, nothing else.

Heavy imports happen inside the commands, so that ``--help`` is quick. A value comes from
a flag, else the environment (``COMBSEARCH_TARGET``), else a TOML file, else its default.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

from combsearch import __version__
from combsearch.config import SearchConfig
from combsearch.errors import CombsearchError, UsageError
from combsearch.registry import nearest

_KEYBOARD_INTERRUPT = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = _parser()
    try:
        given = parser.parse_args(arguments)
        given.function(given)
    except CombsearchError as error:
        print(f"combsearch: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("combsearch: interrupted; repeat the command to continue", file=sys.stderr)
        return _KEYBOARD_INTERRUPT
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="combsearch",
        description="Find the sparsest network that can do a task, and measure pruners against it.",
        epilog="Exit codes: 0 done, 2 usage, 3 other configuration, 4 damaged data, 5 disk full,"
        " 75 interrupted (repeat the command to continue), 130 Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=f"combsearch {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_phase1(commands)
    for name, function, text in (
        ("status", _status, "what of a run is done and what is left"),
        ("verify", _verify, "check every saved shard, set damaged ones aside"),
        ("plot", _plot, "draw the figures of a run from its saved rows"),
    ):
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.add_argument("run", metavar="RUN", help="a run's folder, or its name below --runs")
        _add_common(command, function)
        if name == "plot":
            command.add_argument("-o", "--output", help="folder of the figures (default RUN/figures)")
            command.add_argument("--format", choices=("png", "pdf"), default="png")
    bench = commands.add_parser("bench", help="measure the trainers on this machine")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--quick", action="store_true", help="shorter, less steady measurements")
    bench.set_defaults(function=_bench)
    return parser


def _add_common(command: argparse.ArgumentParser, function: Any) -> None:
    command.add_argument("--runs", default="runs", metavar="FOLDER", help="where runs are kept")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(function=function)


def _add_phase1(commands: Any) -> None:
    text = "find the smallest dense shape that learns a task"
    command = commands.add_parser("phase1", help=text, description=f"{text.capitalize()}.")
    for field in dataclasses.fields(SearchConfig):
        flag, note = f"--{field.name.replace('_', '-')}", field.metadata["help"]
        if isinstance(field.default, bool):
            action = argparse.BooleanOptionalAction
            command.add_argument(flag, action=action, default=None, help=note)
            continue
        shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        text = f"{note} (default {shown})"
        command.add_argument(flag, default=None, metavar=_metavar(field.default), help=text)
    command.add_argument("--config", metavar="FILE", help="TOML file with a table [phase1]")
    command.add_argument("--run", metavar="NAME", help="name of the run (default: made from the configuration)")
    command.add_argument("--jobs", type=int, default=0, help="processes (default: one a core)")
    command.add_argument("--dry-run", action="store_true", help="show runs, time and disk, do nothing")
    command.add_argument("--no-figures", dest="figures", action="store_false", help="draw no figures")
    _add_common(command, _phase1)


def _metavar(default: object) -> str:
    return {int: "N", float: "X", tuple: "A,B,..."}.get(type(default), "TEXT")


def _phase1(given: argparse.Namespace) -> None:
    config = search_config(vars(given), given.config)
    from combsearch.commands.phase1 import Options, phase1_command

    names = [field.name for field in dataclasses.fields(Options)]
    phase1_command(config, Options(**{name: getattr(given, name) for name in names}))


def _status(given: argparse.Namespace) -> None:
    from combsearch.commands.runs import status_command

    status_command(given.run, given.runs, given.json)


def _verify(given: argparse.Namespace) -> None:
    from combsearch.commands.runs import verify_command

    verify_command(given.run, given.runs, given.json)


def _plot(given: argparse.Namespace) -> None:
    from combsearch.commands.runs import plot_command

    plot_command(given.run, given.runs, given.output, given.format, given.json)


def _bench(given: argparse.Namespace) -> None:
    from combsearch.commands.bench import bench_command

    bench_command(given.json, given.quick)


def search_config(flags: dict[str, Any], path: str | None) -> SearchConfig:
    """The configuration from flags, environment and TOML file, in this order of precedence."""
    table = _toml_table(path) if path else {}
    values = {}
    for field in dataclasses.fields(SearchConfig):
        variable = f"COMBSEARCH_{field.name.upper()}"
        for source, value in (
            (f"--{field.name.replace('_', '-')}", flags.get(field.name)),
            (variable, os.environ.get(variable)),
            (f"{path}: {field.name}", table.get(field.name)),
        ):
            if value is not None:
                values[field.name] = _parsed(source, value, field.default)
                break
    return SearchConfig(**values)


def _toml_table(path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file).get("phase1", {})
    except OSError as error:
        raise UsageError(f"cannot read --config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    known = [field.name for field in dataclasses.fields(SearchConfig)]
    if not isinstance(table, dict):
        raise UsageError(f"--config {path}: phase1 must be a table [phase1]")
    for name in table:
        if name not in known:
            raise UsageError(f"--config {path}: unknown {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    return table


def _parsed(source: str, value: Any, default: Any) -> Any:
    """``value``, text from a flag or the environment, as the type of ``default``."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str) or isinstance(default, str):
        return value
    if isinstance(default, tuple):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(default, bool):
        if value.lower() in ("1", "true", "yes", "0", "false", "no", ""):
            return value.lower() in ("1", "true", "yes")
        raise UsageError(f"{source} is {value!r}; valid: true, false")
    try:
        return type(default)(value)
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise UsageError(f"{source} is {value!r}, it must be {kind}") from None
