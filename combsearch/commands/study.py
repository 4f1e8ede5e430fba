"""Arguments of ``combsearch study``: a study is a command of it, with commands of its own.

Standard library only, so that ``--help`` is quick; what a command does is imported when it runs.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from combsearch.commands.arguments import export_options, published_options
from combsearch.commands.study_dctps_arguments import add_dctps
from combsearch.commands.study_dimensionality_arguments import add_dimensionality
from combsearch.commands.study_disconnection import add_disconnection
from combsearch.commands.tree import actions, group, leaf, runs
from combsearch.studies.pqi.config import PqiConfig

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands


def add_studies(commands: Commands) -> None:
    """Add ``study`` and all below it to the commands of the program.

    The parser of what runs sets ``module`` (in ``combsearch.commands``), ``function`` and
    ``parser`` (itself), as those of other commands do.
    """
    names = group(commands, "study", "STUDY", "side studies: of a vector or a network's weights")
    text = "PQ index: how compressible the weights of networks are while they are pruned"
    pqi = actions(runs(names, "pqi", "study_pqi_run", PqiConfig, text))
    text = "PQ index and Gini of a vector, and how many of its entries must stay"
    _index_options(leaf(pqi, "index", "study_pqi", _pqi_index, text))
    text = "the rows of a run, without masks, in one file to publish"
    export_options(leaf(pqi, "export", "study_pqi_runs", _pqi_export, text))
    text = "figures of published rows"
    _plot_options(leaf(pqi, "plot", "study_pqi_runs", _pqi_plot, text))
    add_dimensionality(names)
    add_dctps(names)
    add_disconnection(names)


def _index_options(index: argparse.ArgumentParser) -> None:
    index.add_argument("vector", metavar="VECTOR", help="a .npy file of numbers, of any shape")
    for name, default, text in (
        ("p", 0.5, "smaller power"),
        ("q", 1.0, "larger power"),
        ("eta", 0.0, "p-th powers that may be given up, over those that stay"),
    ):
        shown = f"{text} (default {default:g})"
        index.add_argument(f"--{name}", type=float, default=default, metavar="X", help=shown)
    index.add_argument("--json", action="store_true", help="print one JSON object")


def _plot_options(plot: argparse.ArgumentParser) -> None:
    published_options(plot)
    plot.add_argument(
        "--bound", action="append", default=[], metavar="TARGET:TRAINED:EXISTS",
        help="draw all files beside the fewest nonzeros that a search found (repeat for targets)",
    )  # fmt: skip


def _pqi_index(given: argparse.Namespace) -> None:
    from combsearch.commands.study_pqi import pqi_index_command

    pqi_index_command(given.vector, given.p, given.q, given.eta, given.json)


def _pqi_export(given: argparse.Namespace) -> None:
    from combsearch.commands.output import say
    from combsearch.commands.runs import find_run
    from combsearch.commands.study_pqi_runs import export_rows
    from combsearch.store import RunStore

    report = export_rows(RunStore.attach(find_run(given.run, given.runs)), given.output)
    say(json.dumps(report) if given.json else f"{report['rows']} rows in {report['file']}")


def _pqi_plot(given: argparse.Namespace) -> None:
    from combsearch.commands.study_pqi_runs import draw_files

    draw_files(given.files, given.output, given.format, given.bound, given.json)
