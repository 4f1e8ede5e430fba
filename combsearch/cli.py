"""The command line: commands and exit codes, nothing else.

``commands.arguments`` says what each takes; heavy imports happen inside the
commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from combsearch import __version__
from combsearch.commands.arguments import (
    compare_options,
    count_options,
    data_options,
    format_option,
    from_option,
    gpu_options,
    network_options,
    run_options,
    show_options,
)
from combsearch.commands.output import OutputLostError
from combsearch.commands.reading import blamed, settings_of
from combsearch.commands.signals import CTRL_C, Stopped, Stops
from combsearch.commands.study import add_studies
from combsearch.commands.submit_arguments import submit_options
from combsearch.commands.tree import runs
from combsearch.config import SearchConfig
from combsearch.errors import CombsearchError, InterruptedRunError, NoSpaceError, UsageError
from combsearch.prune_config import PAPER_TARGETS, PruneConfig
from combsearch.registry import nearest
from combsearch.search_config import DescendConfig, ExhaustConfig, Phase2Config

_RESUMABLE = InterruptedRunError.exit_code
_EPILOG = (
    "Exit codes: 0 done, 1 another error, 2 usage, 3 other configuration, 4 damaged data,"
    " 5 disk full, 75 interrupted (repeat the command to continue), 130 Ctrl-C."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code.

    Args:
        arguments: those of the process when None.
    """
    with Stops(forever=arguments is None, say=_stopped) as stops:
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
    if isinstance(error, MemoryError):  # a GPU's is a RuntimeError; the engines see to that
        return _fail(f"out of memory ({error}); take a smaller network or fewer --jobs", 1)
    if isinstance(error, OSError):
        return _fail(f"{type(error).__name__}: {error}; what was saved is whole", 1)
    raise error


def _run(arguments: list[str], stops: Stops) -> int:
    given = read_command(arguments)
    if given.command is None:
        given.parser.print_help(sys.stderr)
        return UsageError.exit_code
    with stops.held():
        importlib.import_module(f"combsearch.commands.{given.module}")
    given.function(given)
    return 0


def read_command(arguments: list[str]) -> argparse.Namespace:
    """The words of a command, parsed; its ``command`` is None where there are none.

    Raises:
        UsageError: naming the word that is wrong, and what is valid.
    """
    parser, commands = _parser()
    arguments, inner = _cut(arguments)
    named = [argument for argument in arguments if not argument.startswith("-")]
    if named and named[0] not in commands:
        raise UsageError(
            f"unknown command {named[0]!r}{nearest(named[0], commands)}"
            f" (known: {', '.join(commands)})"
        )
    given, unknown = parser.parse_known_args(arguments)
    if unknown and given.command == "submit" and not inner:
        raise UsageError(
            f"unexpected argument {unknown[0]!r}: write the command to submit behind --, as"
            " combsearch submit slurm -- phase2 --shape 3,2,2"
        )
    if unknown:
        raise UsageError(_unknown_argument(unknown[0], given.parser))
    found: argparse.Namespace = given
    found.words = inner
    return found


def _cut(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Of ``submit slurm ... -- COMMAND ...`` the words before and behind ``--``."""
    if arguments[:1] != ["submit"] or "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def _unknown_argument(argument: str, parser: argparse.ArgumentParser) -> str:
    text = argument.partition("=")[0]
    if not text.startswith("-"):
        return f"unexpected argument {argument!r}; see {parser.prog} --help"
    flags = sorted(set(re.findall(r"--[a-z][a-z0-9-]*", parser.format_help())))
    return f"unknown option {text!r}{nearest(text, flags)}; see {parser.prog} --help"


def _stopped(number: int) -> int:
    if number == signal.SIGINT:
        return _fail("interrupted; repeat the command to continue", CTRL_C)
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

    _words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(message, file)
        _flush(file)  # help ends the command: whether it was read shows now or never

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument [ACTION]"):  # maybe the value of a misspelt option
            flags = [word for word in self._words if word.startswith("--")]
            for flag in flags:
                if flag.partition("=")[0] not in self._option_string_actions:
                    raise UsageError(_unknown_argument(flag, self))
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
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")

    def add(
        name: str, module: str, function: Callable[[argparse.Namespace], None], text: str
    ) -> _Parser:
        description = f"{text[0].upper()}{text[1:]}."
        command = commands.add_parser(name, help=text, description=description, allow_abbrev=False)
        command.set_defaults(module=module, function=function, parser=command)
        return command

    text = "find the smallest dense shape that learns a task"
    runs(commands, "phase1", "phase1", SearchConfig, text)
    phase2 = runs(commands, "phase2", "mask_search", Phase2Config, "train every mask of one shape")
    from_option(phase2, "take task, target, shape and recipe from this run of phase one")
    runs(commands, "exhaust", "mask_search", ExhaustConfig, "train every mask of every shape")
    text = "delete weights from dense networks, one by one"
    descend = runs(commands, "descend", "descend", DescendConfig, text)
    descend.set_defaults(function=_descend)
    from_option(descend, "take task, target and starting shape from this run of phase one")
    text = "prune dense networks by every method, and train them"
    runs(commands, "prune", "prune", PruneConfig, text)
    compare = add("compare", "compare", _compare, "compare pruners with the bounds of searches")
    compare_options(compare)
    count = add("count", "count", _count, "count the masks of a shape, or of all shapes, exactly")
    count_options(count)
    certify = add("certify", "certify", _certify, "re-evaluate a saved network in plain PyTorch")
    network_options(certify)
    certify.add_argument("--task", help="task it is for (default: the one that the file names)")
    certify.add_argument("--target", type=float, metavar="X", help="accuracy that it must reach")
    export = add("export", "export", _export, "write a saved network in another format")
    network_options(export)
    export.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="a .safetensors, .npz or .onnx file"
    )
    run_options(add("status", "runs", _status, "what of a run is done and what is left"))
    run_options(add("verify", "runs", _verify, "check every saved shard, set damaged ones aside"))
    text = "draw the figures of a run, or of a report such as comparison.json, from what is saved"
    plot = add("plot", "runs", _plot, text)
    run_options(plot)
    text = "folder of the figures (default RUN/figures; of a report, its own)"
    plot.add_argument("-o", "--output", help=text)
    format_option(plot)
    text = "write a page of a network, a run or a comparison, to look at in a browser"
    show_options(add("show", "show", _show, text))
    bench = add("bench", "bench", _bench, "measure the trainers on this machine")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--quick", action="store_true", help="shorter, less steady measurements")
    gpu_options(bench)
    add_studies(commands)
    text = "submit what a command would train here to a cluster, as an array of jobs"
    submit_options(add("submit", "submit", _submit, text))
    data_options(add("data", "data", _data, "list, check or fetch image data sets"))
    return parser, dict(commands.choices)


def _descend(given: argparse.Namespace) -> None:
    from combsearch.commands.descend import descend_command

    settings = settings_of(given)
    with blamed(settings):
        descend_command(settings.config, settings.options)


def _compare(given: argparse.Namespace) -> None:
    from combsearch.commands.compare import compare_command

    targets = given.target or list(PAPER_TARGETS)
    methods = [name for name in map(str.strip, (given.methods or "").split(",")) if name]
    compare_command(
        given.run, given.runs, targets, given.output, given.json, methods, given.restarts,
        given.format,
    )  # fmt: skip


def _count(given: argparse.Namespace) -> None:
    from combsearch.commands.count import count_command

    sizes = (given.inputs, given.outputs, given.width, given.depth)
    count_command(given.shape, given.max_nonzeros, *sizes, given.json, given.unused_inputs)


def _certify(given: argparse.Namespace) -> None:
    from combsearch.commands.certify import certify_command

    certify_command(given.network, given.task, given.target, given.json, given.runs)


def _export(given: argparse.Namespace) -> None:
    from combsearch.commands.export import export_command

    export_command(given.network, given.output, given.json, given.runs)


def _status(given: argparse.Namespace) -> None:
    from combsearch.commands.runs import status_command

    status_command(given.run, given.runs, given.json)


def _verify(given: argparse.Namespace) -> None:
    from combsearch.commands.runs import verify_command

    verify_command(given.run, given.runs, given.json)


def _plot(given: argparse.Namespace) -> None:
    from combsearch.commands.runs import plot_command

    plot_command(given.run, given.runs, given.output, given.format, given.json)


def _show(given: argparse.Namespace) -> None:
    from combsearch.commands.show import show_command

    if given.port is not None and not given.live:
        raise UsageError("--port goes with --live")
    if given.live:
        from combsearch.commands.show_live import live_command

        live_command(given)
        return
    show_command(given.what, given.runs, given.output, given.task, given.atlas, given.json)


def _bench(given: argparse.Namespace) -> None:
    if given.module == "gpu_check":
        from combsearch.commands.gpu_check import gpu_check_command

        gpu_check_command(given.json, given.quick, given.output, given.parts)
        return
    if given.output or given.parts:
        raise UsageError("bench: --output and --parts go with --gpu")
    from combsearch.commands.bench import bench_command

    bench_command(given.json, given.quick)


def _submit(given: argparse.Namespace) -> None:
    from combsearch.commands.submit import submit_command

    submit_command(given, read_command)


def _data(given: argparse.Namespace) -> None:
    from combsearch.commands.data import check_command, fetch_command, list_command

    if (given.name is None) != (given.action == "list"):
        raise UsageError(f"data {given.action} takes {'no' if given.name else 'a'} NAME")
    if given.action != "fetch" and (given.source or given.package):
        raise UsageError("--from and --package go with data fetch")
    if given.action == "list":
        list_command(given.folder, given.json)
    elif given.action == "check":
        check_command(given.name, given.folder, given.json)
    else:
        fetch_command(given.name, given.folder, given.source, given.package, given.json)
