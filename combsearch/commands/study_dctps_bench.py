"""``combsearch study dctps bench``: what the forms of a layer cost.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from combsearch.commands.arguments import format_option
from combsearch.commands.study_dctps_networks import progress
from combsearch.commands.tree import leaf

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands


def add_bench(commands: Commands) -> None:
    """Add ``bench`` to the commands of the study."""
    text = "time and memory of the forms of a layer, and where they cross"
    command = leaf(commands, "bench", "study_dctps_bench", _bench, text)
    command.add_argument("--quick", action="store_true", help="fewer sizes, shorter turns")
    command.add_argument(
        "-o", "--output", metavar="FOLDER", help="where bench.json and the figure go (default none)"
    )
    format_option(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _bench(given: argparse.Namespace) -> None:
    bench_command(given.quick, given.output, given.format, given.json)


def bench_command(
    quick: bool = False, output: str | None = None, suffix: str = "png", as_json: bool = False
) -> dict[str, Any]:
    """Measure the forms of a layer; print, and write, what they take.

    Args:
        quick: fewer sizes, shorter turns.
        output: folder of ``bench.json`` and the figure; None for none.
        suffix: of the figure.
        as_json: print one JSON object instead of text.

    Returns:
        What ``as_json`` prints.
    """
    from combsearch.commands.bench import machine
    from combsearch.commands.output import say
    from combsearch.durable import check_folder_writable, make_folder, write_json
    from combsearch.studies.dctps.bench import QUICK, Effort, bench

    if output is not None:  # before what takes long
        make_folder(Path(output))
        check_folder_writable(Path(output))
    report = {**bench(QUICK if quick else Effort(), say=progress), "machine": machine()}
    files = []
    if output is not None:
        from combsearch.plots.draw_dctps_bench import draw_dctps_bench

        folder = Path(output)
        files = [folder / "bench.json", *draw_dctps_bench(report, folder, suffix)]
        write_json(files[0], report)
    say(json.dumps(report) if as_json else _bench_text(report, [str(file) for file in files]))
    return report


def _bench_text(report: dict[str, Any], files: Sequence[str]) -> str:
    lines = []
    for name, found in report["devices"].items():
        lines += [f"{name}; a layer forward and backward, {report['batch']} points, ms", ""]
        lines.append(f"{'transform':>16} {'matrix':>10} {'fast':>10} {'fast / matrix':>14}")
        for p in found["transform"]:
            lines.append(_line(f"{p['inputs']} x {p['outputs']}", p, "matrix", "fast"))
        lines += ["", f"{'convolution':>16} {'merged':>10} {'patches':>10} {'ratio':>14}"]
        for p in found["convolution"]:
            shape = f"{p['channels']}-{p['filters']} {p['size']}x{p['size']}/{p['groups']}"
            lines.append(_line(shape, p, "matrix", "fast"))
        lines += ["", f"{'S':>16} {'dense':>10} {'by index':>10} {'index / dense':>14}"]
        for p in found["sparse"]:
            shape = f"{p['inputs']} x {p['outputs']}"
            lines.append(_line(shape, p, "dense", "index") + f"   at {100 * p['density']:g}%")
        lines += ["", *_crossover_lines(found["crossovers"]), ""]
    return "\n".join([*lines, *_memory_lines(report["memory"]), *(f"wrote {f}" for f in files)])


def _line(name: str, point: dict[str, Any], first: str, second: str) -> str:
    a, b = point[f"{first}_ms"], point[f"{second}_ms"]
    return f"{name:>16} {a:>10.3f} {b:>10.3f} {point['ratio']:>14.2f}"


def _crossover_lines(found: dict[str, Any]) -> list[str]:
    def share(value: float | None) -> str:
        return "no density measured" if value is None else f"{100 * value:.2g}%"

    size = found["transform"]
    lines = [
        "the fast form is faster "
        + ("at no size measured" if size is None else f"from about {size:.0f} on")
    ]
    lines += [
        f"S by index is faster, {name}: up to {share(value)}"
        for name, value in found["sparse"].items()
    ]
    return [*lines, f"training steps of 784-300-100-10: up to {share(found['steps'])}"]


def _memory_lines(memory: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"{'stored':>16} {'density':>8} {'numbers':>12} {'dense':>12} {'index, bytes':>14}"]
    for p in memory:
        shape = f"{p['inputs']} x {p['outputs']}"
        lines.append(
            f"{shape:>16} {100 * p['density']:>7g}% {p['parameters']:>12,}"
            f" {p['dense_parameters']:>12,} {p['index_bytes']:>14,}"
        )
    return lines
