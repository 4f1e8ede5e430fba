"""``combsearch study disconnection``: how random masks are disconnected, without training.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from combsearch.commands.arguments import format_option
from combsearch.commands.tree import leaf
from combsearch.errors import UsageError

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands

_MOST = 1024  # neurons of a layer: what exact numbers take minutes for
_NOT_DRAWN = "erk"  # nearly EPL in layers of equal width
_SHOWN = (15, 26, 40, 65)  # budgets of the table on standard output


@dataclass(frozen=True)
class _Settings:
    """What outcomes depend on."""

    widths: str | None = None


def add_disconnection(studies: Commands) -> None:
    """Add ``disconnection`` to the studies."""
    text = "how likely random masks are disconnected: exact, bounds, simulation"
    command = leaf(studies, "disconnection", "study_disconnection", _disconnection, text)
    command.add_argument(
        "--widths", metavar="N,...", help="of the hidden layers (default 3 to 8 and 16 to 256)"
    )
    command.add_argument(
        "-o", "--output", metavar="FOLDER", help="where rows and figures go (default none)"
    )
    format_option(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _disconnection(given: argparse.Namespace) -> None:
    disconnection_command(given.widths, given.output, given.format, given.json)


def disconnection_command(
    widths: str | None = None,
    output: str | None = None,
    suffix: str = "png",
    as_json: bool = False,
) -> dict[str, Any]:
    """Compute how random masks are disconnected; print, and write, what comes out.

    Args:
        widths: of hidden layers, ``"3,16"``; None takes those of the pruners' grid.
        output: folder of ``disconnection.json`` and the figures; None for none.
        suffix: of the figures: png, pdf or svg.
        as_json: print one JSON object instead of text.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: a width that cannot be.
    """
    from combsearch.commands.output import say
    from combsearch.commands.provenance import provenance
    from combsearch.commands.study_dctps_networks import progress
    from combsearch.durable import check_folder_writable, make_folder, write_json
    from combsearch.studies.random_masks import WIDTHS, apart_curves, whole_curves

    chosen = _widths(widths) if widths else WIDTHS
    if output is not None:  # before what takes a minute
        make_folder(Path(output))
        check_folder_writable(Path(output))
    report: dict[str, Any] = {
        "command": "study disconnection",
        "widths": list(chosen),
        "curves": whole_curves(chosen, progress),
        "two_layers": apart_curves(chosen),
    }
    report["made_with"] = provenance(report["command"], _Settings(widths))
    files: list[Path] = []
    if output is not None:
        files = [Path(output) / "disconnection.json"]
        write_json(files[0], report)
        files += draw_curves(report, Path(output), suffix)
    shown = {**report, "files": [str(file) for file in files]}
    say(json.dumps(shown) if as_json else _text(shown))
    return shown


def _widths(text: str) -> tuple[int, ...]:
    try:
        found = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        found = ()
    if not found or not 1 <= found[0] <= found[-1] <= _MOST:
        raise UsageError(
            f"--widths {text!r} must be whole numbers from 1 to {_MOST} with commas between, such"
            " as 3,16"
        )
    return found


def draw_curves(report: Mapping[str, Any], folder: Path, suffix: str = "png") -> list[Path]:
    """Write the figures of what ``disconnection.json`` holds to ``folder``; their paths."""
    from combsearch import plots

    whole = [one for one in report["curves"] if one["allocation"] != _NOT_DRAWN and one["kept"]]
    figures = {"two-layers": plots.two_layers(report["two_layers"])}
    if whole:
        figures["disconnection"] = plots.random_disconnection(whole)
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.{suffix}")
        plots.save(figure, files[-1])
    return files


def _text(report: Mapping[str, Any]) -> str:
    """Two tables for a reader."""
    lines = ["chance that no weight is disconnected, mean share that is; K weights kept"]
    lines.append(f"{'width':>6}" + "".join(f"{f'K = {k}':>20}" for k in _SHOWN) + "  drawn")
    for one in report["curves"]:
        rows = dict(
            zip(one["kept"], zip(one["whole"], one["disconnected"], strict=True), strict=True)
        )
        cells = (f"{rows[k][0]:.3g}, {rows[k][1] / k:.1%}" if k in rows else "-" for k in _SHOWN)
        lines.append(
            f"{one['width']:>6}" + "".join(f"{c:>20}" for c in cells) + f"  {one['drawn']}"
        )
    lines += [
        "",
        "chance of no path between two layers that keep N weights each; bound; as printed",
    ]
    for one in report["two_layers"]:
        for place, width in enumerate(one["width"]):
            three = (one[key][place] for key in ("exact", "bound", "printed"))
            numbers = "".join(f"{number:>10.4f}" for number in three)
            false = "  no bound" if one["printed"][place] > one["exact"][place] else ""
            lines.append(f"{width:>6}   N = {one['each']:<3}{numbers}{false}")
    return "\n".join([*lines, *(f"wrote {file}" for file in report["files"])])
