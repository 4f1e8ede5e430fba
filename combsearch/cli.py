"""The command line: arguments and exit codes, nothing else.

Options are made from the fields of dataclasses; heavy imports happen inside the
commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from combsearch import __version__
from combsearch.commands.options import Options
from combsearch.commands.output import OutputLostError
from combsearch.commands.settings import flag, phase1_settings, variable
from combsearch.commands.signals import Stopped, Stops
from combsearch.config import SearchConfig
from combsearch.errors import CombsearchError, InterruptedRunError, NoSpaceError, UsageError
from combsearch.registry import nearest

_CTRL_C, _RESUMABLE = 130, InterruptedRunError.exit_code
_EPILOG = (
    "Exit codes: 0 done, 2 usage, 3 other configuration, 4 damaged data, 5 disk full,"
    " 75 interrupted (repeat the command to continue), 130 Ctrl-C."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code.

    Args:
        arguments: those of the process when None.
    """
    with Stops(forever=arguments is None) as stops:
        try:
            code = _run(sys.argv[1:] if arguments is None else list(arguments), stops)
            _flush(sys.stdout)
        except (Exception, Stopped) as error:
            code = _code_of(error, stops.number)
    return code


def _code_of(error: BaseException, stopped_by: int | None) -> int:
    """Say what happened, the exit code; what no user can cause is raised again."""
    if stopped_by is not None:
        return _stopped(stopped_by)
    if isinstance(error, CombsearchError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, OutputLostError) and isinstance(error.__cause__, OSError):
        return _lost_output(error.__cause__)
    if isinstance(error, OSError):
        return _fail(f"{type(error).__name__}: {error}; what was saved is whole", 1)
    raise error


def _run(arguments: list[str], stops: Stops) -> int:
    parser, commands = _parser()
    named = [argument for argument in arguments if not argument.startswith("-")]
    if named and named[0] not in commands:
        raise UsageError(
            f"unknown command {named[0]!r}{nearest(named[0], commands)}"
            f" (known: {', '.join(commands)})"
        )
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise UsageError(_unknown_argument(unknown[0], commands.get(given.command, parser)))
    if given.command is None:
        parser.print_help(sys.stderr)
        return UsageError.exit_code
    with stops.held():
        importlib.import_module(f"combsearch.commands.{given.module}")
    given.function(given)
    return 0


def _unknown_argument(argument: str, parser: argparse.ArgumentParser) -> str:
    text = argument.partition("=")[0]
    if not text.startswith("-"):
        return f"unexpected argument {argument!r}; see {parser.prog} --help"
    flags = sorted(set(re.findall(r"--[a-z][a-z0-9-]*", parser.format_help())))
    return f"unknown option {text!r}{nearest(text, flags)}; see {parser.prog} --help"


def _stopped(number: int) -> int:
    if number == signal.SIGINT:
        return _fail("interrupted; repeat the command to continue", _CTRL_C)
    name = signal.Signals(number).name
    return _fail(f"stopped by {name}; repeat the command to continue", _RESUMABLE)


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"combsearch: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def _flush(stream: Any) -> None:
    if stream is None:  # closed by the caller
        return
    try:
        stream.flush()
    except OSError as error:
        raise OutputLostError(str(error)) from error


def _lost_output(error: OSError) -> int:
    """Standard output is gone; what is buffered must not fail once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:  # the reader has seen enough
        return 0
    code = NoSpaceError.exit_code if error.errno == errno.ENOSPC else CombsearchError.exit_code
    reason = error.strerror or error
    return _fail(f"cannot write standard output: {reason}; what was saved is whole", code)


class _Parser(argparse.ArgumentParser):
    """One line for an error, as every other error has it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser() -> tuple[_Parser, dict[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands by name."""
    parser = _Parser(
        prog="combsearch",
        description="Find the sparsest network that can do a task, and measure pruners against it.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"combsearch {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")

    def add(
        name: str, module: str, function: Callable[[argparse.Namespace], None], text: str
    ) -> _Parser:
        description = f"{text[0].upper()}{text[1:]}."
        command = commands.add_parser(name, help=text, description=description, allow_abbrev=False)
        command.set_defaults(module=module, function=function)
        return command

    _phase1_options(
        add("phase1", "phase1", _phase1, "find the smallest dense shape that learns a task")
    )
    _run_options(add("status", "runs", _status, "what of a run is done and what is left"))
    _run_options(add("verify", "runs", _verify, "check every saved shard, set damaged ones aside"))
    plot = add("plot", "runs", _plot, "draw the figures of a run from its saved rows")
    _run_options(plot)
    plot.add_argument("-o", "--output", help="folder of the figures (default RUN/figures)")
    plot.add_argument("--format", choices=("png", "pdf"), default="png")
    bench = add("bench", "bench", _bench, "measure the trainers on this machine")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--quick", action="store_true", help="shorter, less steady measurements")
    return parser, dict(commands.choices)


def _phase1_options(command: argparse.ArgumentParser) -> None:
    for field in (*dataclasses.fields(SearchConfig), *dataclasses.fields(Options)):
        note, default = field.metadata["help"], field.default
        if isinstance(default, bool):
            action = argparse.BooleanOptionalAction
            command.add_argument(flag(field.name), action=action, default=None, help=note)
            continue
        shown = ",".join(default) if isinstance(default, tuple) else default
        text = note if default is None else f"{note} (default {shown})"
        command.add_argument(flag(field.name), metavar=_metavar(default), help=text)
    command.add_argument("--config", metavar="FILE", help="TOML file with a table [phase1]")
    command.epilog = (
        f"Each option can also be set in the environment ({variable('target')}=0.95) and in the"
        " TOML file (target = 0.95); a flag wins over the environment, that over the file."
    )


def _metavar(default: object) -> str:
    return {int: "N", float: "X", tuple: "A,B,..."}.get(type(default), "TEXT")


def _run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="a run's folder, or its name below --runs")
    runs = os.environ.get(variable("runs")) or Options.runs
    command.add_argument("--runs", default=runs, help="folder that holds the runs (default runs)")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _phase1(given: argparse.Namespace) -> None:
    settings = phase1_settings(vars(given))
    from combsearch.commands.phase1 import phase1_command

    try:
        phase1_command(settings.config, settings.options)
    except UsageError as error:  # one that shows only beside the task: name its source too
        source = settings.sources.get(getattr(error, "field", ""))
        if source is None:
            raise
        raise UsageError(f"{source}: {error}") from error


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
