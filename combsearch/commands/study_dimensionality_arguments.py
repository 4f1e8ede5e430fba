"""Arguments of ``combsearch study dimensionality``. Standard library only."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from combsearch.commands.arguments import export_options, published_options
from combsearch.commands.study_dimensionality_tools import add_tools
from combsearch.commands.study_generator import add_generator
from combsearch.commands.tree import group, leaf, runs
from combsearch.studies.dimensionality.config import CONFIGS

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands

_TEXTS = {
    "extrinsic": "images resized by nearest neighbour: their height and width vary",
    "intrinsic": "images of a generator whose latent coordinates from d on are 0; d varies",
    "task": "linear problems x = Az, y = sign(hz): of h t coordinates are kept, t varies",
    "spiral": "the Cubist Spiral in more inputs, whose sparsest networks a search knows",
}


def add_dimensionality(studies: Commands) -> None:
    """Add ``dimensionality`` and all below it to the studies."""
    text = "data dimensionality: how far networks prune as their data gain dimensions"
    names = group(studies, "dimensionality", "EXPERIMENT", text)
    for name, kind in CONFIGS.items():
        runs(names, name, "study_dimensionality", kind, _TEXTS[name])
    add_tools(names)
    add_generator(names)
    text = "the rows of a run, without masks, in one file to publish"
    export_options(leaf(names, "export", "study_dimensionality_runs", _export, text))
    text = "the paper's table of published rows: weights left by width and dimension, correlation"
    _table_options(leaf(names, "table", "study_dimensionality_runs", _table, text))
    text = "figures of published rows, and of all experiments side by side"
    _plot_options(leaf(names, "plot", "study_dimensionality_runs", _plot, text))


def _table_options(table: argparse.ArgumentParser) -> None:
    table.add_argument("file", metavar="FILE", help="a file that export wrote")
    table.add_argument(
        "--paper", metavar="TABLE.csv",
        help="values to show beside, columns group, dimension, mean, spread",
    )  # fmt: skip
    table.add_argument("-o", "--output", metavar="FOLDER", help="write a CSV a criterion there")
    table.add_argument("--json", action="store_true", help="print one JSON object")


def _plot_options(plot: argparse.ArgumentParser) -> None:
    published_options(plot)
    plot.add_argument(
        "--paper", action="append", default=[], metavar="EXPERIMENT:TABLE.csv",
        help="values to draw beside, columns group, dimension, mean, spread (repeat to add)",
    )  # fmt: skip


def _export(given: argparse.Namespace) -> None:
    from combsearch.commands.output import say
    from combsearch.commands.runs import find_run
    from combsearch.commands.study_dimensionality_runs import export_rows
    from combsearch.store import RunStore

    report = export_rows(RunStore.attach(find_run(given.run, given.runs)), given.output)
    say(json.dumps(report) if given.json else f"{report['rows']} rows in {report['file']}")


def _plot(given: argparse.Namespace) -> None:
    from combsearch.commands.study_dimensionality_runs import draw_files

    draw_files(given.files, given.output, given.format, given.paper, given.json)


def _table(given: argparse.Namespace) -> None:
    from combsearch.commands.study_dimensionality_runs import table_of_file

    table_of_file(given.file, given.paper, given.output, given.json)
