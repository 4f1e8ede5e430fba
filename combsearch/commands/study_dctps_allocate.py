"""``combsearch study dctps allocate``: weights that each layer keeps, without training.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from combsearch.commands.arguments import format_option
from combsearch.commands.study_dctps_networks import (
    check_image,
    network_options,
    numbers,
    progress,
)
from combsearch.commands.tree import leaf
from combsearch.errors import UsageError

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands
    from combsearch.studies.dctps.allocate import Allocation


def add_allocate(commands: Commands) -> None:
    """Add ``allocate`` to the commands of the study."""
    text = "weights that each layer keeps, by method and density, without training"
    command = leaf(commands, "allocate", "study_dctps_allocate", _allocate, text)
    network_options(command, several=True)
    command.add_argument(
        "--densities", type=numbers, default=(1.0, 0.1), metavar="X,...",
        help="percent of the weights (default 1,0.1)",
    )  # fmt: skip
    command.add_argument(
        "--methods", default="epl,epf", metavar="A,...",
        help="of epl, epf, erk, uniform, rigl, synflow (default epl,epf)",
    )  # fmt: skip
    command.add_argument(
        "--rounding", choices=("exact", "authors"), default="exact",
        help="of random supports: spend the budget, or what the authors' code keeps",
    )  # fmt: skip
    for name, default, text in (
        ("seed", 0, "of the initial weights that synflow scores"),
        ("steps", 100, "of synflow"),
    ):
        shown = f"{text} (default {default})"
        command.add_argument(f"--{name}", type=int, default=default, metavar="N", help=shown)
    command.add_argument(
        "-o", "--output", metavar="FOLDER", help="where tables and figures go (default none)"
    )
    format_option(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _allocate(given: argparse.Namespace) -> None:
    allocate_command(
        given.network, given.classes, given.image, given.densities, given.methods.split(","),
        rounding=given.rounding, seed=given.seed, steps=given.steps, output=given.output,
        suffix=given.format, as_json=given.json,
    )  # fmt: skip


def allocate_command(
    names: Sequence[str],
    classes: int,
    image: Sequence[int],
    densities: Sequence[float],
    methods: Sequence[str],
    *,
    rounding: str = "exact",
    seed: int = 0,
    steps: int = 100,
    output: str | None = None,
    suffix: str = "png",
    as_json: bool = False,
) -> dict[str, Any]:
    """Print, and write, how many weights each layer keeps.

    Args:
        names: of networks.
        classes: their outputs.
        image: (channels, height, width).
        densities: percents.
        methods: names.
        rounding: of random supports.
        seed, steps: of SynFlow.
        output: folder of ``allocation.json``, ``allocation.csv`` and figures; None for none.
        suffix: of figures.
        as_json: print one JSON object instead of text.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: something cannot be.
    """
    from combsearch.commands.output import say
    from combsearch.durable import check_folder_writable, make_folder
    from combsearch.studies.dctps.allocate import (
        GAIN,
        Drawn,
        allocations,
        check_densities,
        check_methods,
    )
    from combsearch.studies.networks import image_network

    check_image(image)
    _check_draw(seed, steps)
    chosen = check_methods(methods)
    check_densities(densities)
    densities = tuple(dict.fromkeys(densities))
    networks = {name: image_network(name, image, classes, gain=GAIN) for name in names}
    if output is not None:  # before what may take long
        make_folder(Path(output))
        check_folder_writable(Path(output))
    drawn = Drawn(rounding, seed, steps)
    found = [
        one
        for name, network in networks.items()
        for one in allocations(name, network, chosen, densities, drawn, progress)
    ]
    report: dict[str, Any] = {
        "command": "study dctps allocate",
        "classes": classes,
        "image": list(image),
        "rounding": rounding,
        "seed": seed,
        "steps": steps,
        "allocations": [_as_json(one) for one in found],
        "files": [],
    }
    if output is not None:
        report["files"] = _write_allocations(found, report, Path(output), suffix)
    say(json.dumps(report) if as_json else _allocations_text(found, report["files"]))
    return report


def _check_draw(seed: int, steps: int) -> None:
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed is {seed}, it must lie in 0 to 2**64 - 1")
    if steps < 1:
        raise UsageError(f"steps is {steps}, it must be at least 1")


def _as_json(one: Allocation) -> dict[str, Any]:
    return {
        "network": one.network,
        "method": one.method,
        "density": one.density,
        "budget": one.budget,
        "kept": sum(one.kept),
        "layers": list(one.kept),
        "names": list(one.layers),
        "weights": list(one.sizes),
        "emptied": list(one.emptied),
        "zero_scores": one.zero_scores,
    }


def from_json(one: dict[str, Any]) -> Allocation:
    """An allocation as ``allocation.json`` holds it.

    Raises:
        LookupError, TypeError: it holds none.
    """
    from combsearch.studies.dctps.allocate import Allocation

    layers, sizes, kept = (tuple(one[key]) for key in ("names", "weights", "layers"))
    facts = (one["network"], one["method"], one["density"], one["budget"])
    return Allocation(*facts, layers, sizes, kept, one["zero_scores"])


def _write_allocations(
    found: Sequence[Allocation], report: dict[str, Any], folder: Path, suffix: str
) -> list[str]:
    from combsearch.durable import write_bytes, write_json
    from combsearch.plots.draw_dctps_allocation import draw_allocations
    from combsearch.studies.dctps.allocate import csv_table

    files = [folder / "allocation.csv", *draw_allocations(found, folder, suffix)]
    write_bytes(files[0], csv_table(found).encode())
    names = [str(file) for file in (folder / "allocation.json", *files)]
    write_json(folder / "allocation.json", {**report, "files": names})
    return names


def _allocations_text(found: Sequence[Allocation], files: Sequence[str]) -> str:
    lines = []
    for one in found:
        least, most = min(one.kept), max(one.kept)
        lines.append(
            f"{one.network:<16} {one.method:<10} {one.density:>7g}%  kept {sum(one.kept):>10,} of"
            f" {sum(one.sizes):,} (asked for {one.budget:,.10g}), a layer {least:,} to {most:,}"
        )
        if one.zero_scores:
            lines.append("  every score was 0: what was kept says nothing of the method")
        if one.emptied:
            names = ", ".join(one.emptied[:6]) + (", ..." if len(one.emptied) > 6 else "")
            lines.append(f"  {len(one.emptied)} of {len(one.kept)} layers are empty: {names}")
    return "\n".join([*lines, *(f"wrote {file}" for file in files)])
