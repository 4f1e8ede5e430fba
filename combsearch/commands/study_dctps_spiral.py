"""Arguments of ``combsearch study dctps spiral``. Standard library only."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from combsearch.commands.arguments import export_options, published_options
from combsearch.commands.tree import actions, leaf, runs
from combsearch.studies.dctps.spiral_config import SpiralConfig

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands

_MODULE = "study_dctps_spiral_runs"


def add_spiral(commands: Commands) -> None:
    """Add ``spiral`` and all below it to the commands of ``study dctps``."""
    text = "the Cubist Spiral: how few parameters beside a free dense offset reach a target"
    names = actions(runs(commands, "spiral", "study_dctps_spiral_run", SpiralConfig, text))
    text = "the rows of a run in one file to publish, with the best network of each budget"
    export_options(leaf(names, "export", _MODULE, _export, text))
    text = "figure of published rows beside the bounds of the plain search"
    _plot_options(leaf(names, "plot", _MODULE, _plot, text))


def _plot_options(plot: argparse.ArgumentParser) -> None:
    published_options(plot)
    plot.add_argument(
        "--bound", action="append", default=[], metavar="TARGET:TRAINED:EXISTS",
        help="fewest nonzeros that the plain search trained and that exist (repeat for targets)",
    )  # fmt: skip


def _export(given: argparse.Namespace) -> None:
    from combsearch.commands.output import say
    from combsearch.commands.runs import find_run
    from combsearch.commands.study_dctps_spiral_runs import export_rows
    from combsearch.store import RunStore

    report = export_rows(RunStore.attach(find_run(given.run, given.runs)), given.output)
    say(json.dumps(report) if given.json else f"{report['rows']} rows in {report['file']}")


def _plot(given: argparse.Namespace) -> None:
    from combsearch.commands.study_dctps_spiral_runs import draw_files

    draw_files(given.files, given.output, given.format, given.bound, given.json)
