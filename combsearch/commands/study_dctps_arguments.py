"""Arguments of ``combsearch study dctps``. Standard library only."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from combsearch.commands.arguments import export_options, published_options
from combsearch.commands.study_dctps_spiral import add_spiral
from combsearch.commands.study_dctps_tools import add_tools
from combsearch.commands.tree import actions, leaf, runs
from combsearch.studies.dctps.config import DctpsConfig

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands


def add_dctps(studies: Commands) -> None:
    """Add ``dctps`` and all below it to the studies."""
    text = "DCT plus sparse: very sparse networks beside a fixed dense transform"
    names = actions(runs(studies, "dctps", "study_dctps_run", DctpsConfig, text))
    text = "the rows of a run in one file to publish"
    export_options(leaf(names, "export", "study_dctps_runs", _export, text))
    text = "figures of published rows"
    published_options(leaf(names, "plot", "study_dctps_runs", _plot, text))
    add_tools(names)
    add_spiral(names)


def _export(given: argparse.Namespace) -> None:
    from combsearch.commands.output import say
    from combsearch.commands.runs import find_run
    from combsearch.commands.study_dctps_runs import export_rows
    from combsearch.store import RunStore

    report = export_rows(RunStore.attach(find_run(given.run, given.runs)), given.output)
    say(json.dumps(report) if given.json else f"{report['rows']} rows in {report['file']}")


def _plot(given: argparse.Namespace) -> None:
    from combsearch.commands.study_dctps_runs import draw_files

    draw_files(given.files, given.output, given.format, given.json)
