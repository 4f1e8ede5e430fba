"""``combsearch study dctps parameters``, ``... allocate`` and ``... bench``: no training.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from combsearch.commands.tree import leaf
from combsearch.errors import UsageError

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands
    from combsearch.studies.dctps.allocate import Allocation

_MODULE = "study_dctps_tools"


def add_tools(commands: Commands) -> None:
    """Add ``parameters``, ``allocate`` and ``bench`` to the commands of the study.

    Their parsers set ``module``, ``function`` and ``parser``, as those of other commands do.
    """
    text = "prunable weights of a network and its other parameters"
    _parameters_options(leaf(commands, "parameters", _MODULE, _parameters, text))
    text = "weights that each layer keeps, by method and density, without training"
    _allocate_options(leaf(commands, "allocate", _MODULE, _allocate, text))
    text = "time and memory of the forms of a layer, and where they cross"
    _bench_options(leaf(commands, "bench", _MODULE, _bench, text))


def _network_options(command: argparse.ArgumentParser, several: bool) -> None:
    more = "; may be repeated" if several else ""
    command.add_argument(
        "--network", metavar="NAME", required=True, action="append" if several else "store",
        help=f"such as resnet50, or hidden widths such as 300,100{more}",
    )  # fmt: skip
    command.add_argument("--classes", type=int, default=10, metavar="N", help="(default 10)")
    command.add_argument(
        "--image", type=_whole_numbers, default=(3, 32, 32), metavar="C,H,W",
        help="channels, height, width (default 3,32,32)",
    )  # fmt: skip


def _parameters_options(command: argparse.ArgumentParser) -> None:
    _network_options(command, several=False)
    command.add_argument(
        "--offset", action="store_true", help="layers of DCT plus sparse, a trained factor each"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _allocate_options(command: argparse.ArgumentParser) -> None:
    _network_options(command, several=True)
    command.add_argument(
        "--densities", type=_numbers, default=(1.0, 0.1), metavar="X,...",
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
    command.add_argument("--format", choices=("png", "pdf"), default="png")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _bench_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="fewer sizes, shorter turns")
    command.add_argument(
        "-o", "--output", metavar="FOLDER", help="where bench.json and the figure go (default none)"
    )
    command.add_argument("--format", choices=("png", "pdf"), default="png")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError as error:
        message = f"invalid value: {text!r}, expected whole numbers separated by commas"
        raise argparse.ArgumentTypeError(message) from error


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError as error:
        message = f"invalid value: {text!r}, expected numbers separated by commas"
        raise argparse.ArgumentTypeError(message) from error


def _parameters(given: argparse.Namespace) -> None:
    parameters_command(given.network, given.classes, given.image, given.offset, given.json)


def _allocate(given: argparse.Namespace) -> None:
    allocate_command(
        given.network, given.classes, given.image, given.densities, given.methods.split(","),
        rounding=given.rounding, seed=given.seed, steps=given.steps, output=given.output,
        suffix=given.format, as_json=given.json,
    )  # fmt: skip


def _bench(given: argparse.Namespace) -> None:
    bench_command(given.quick, given.output, given.format, given.json)


# ------------------------------------------------------------------ parameters


def parameters_command(
    name: str, classes: int, image: Sequence[int], offset: bool = False, as_json: bool = False
) -> dict[str, Any]:
    """Print how many prunable weights and other parameters a network has.

    Args:
        name: of the network, or hidden widths.
        classes: outputs.
        image: (channels, height, width).
        offset: whether its layers are DCT plus sparse.
        as_json: print one JSON object instead of text.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: there is no such network, or it cannot take such images.
    """
    from combsearch.commands.output import say
    from combsearch.networks.offset import DctOffset
    from combsearch.networks.sizes import sizes
    from combsearch.studies.networks import image_network

    _check_image(image)
    found = sizes(image_network(name, image, classes, offset=DctOffset() if offset else None))
    report: dict[str, Any] = {
        "network": name,
        "image": list(image),
        "classes": classes,
        "offset": offset,
        "weights": found.weights,
        "other": found.other,
        "layers": [
            {"name": one.name, "shape": list(one.shape), "weights": one.weights}
            for one in found.layers
        ],
    }
    say(json.dumps(report) if as_json else _parameters_text(report))
    return report


def _check_image(image: Sequence[int]) -> None:
    if len(image) != 3:
        raise UsageError(f"image is {','.join(map(str, image))}, it must be C,H,W, such as 3,32,32")


def _parameters_text(report: dict[str, Any]) -> str:
    wide = max(len(layer["name"]) for layer in report["layers"])
    kind = ", DCT plus sparse" if report["offset"] else ""
    return "\n".join(
        [
            f"{report['network']}, images {'x'.join(map(str, report['image']))},"
            f" {report['classes']} classes{kind}",
            *(
                f"  {layer['name']:<{wide}}  {layer['weights']:>12,}"
                f"  {' x '.join(map(str, layer['shape']))}"
                for layer in report["layers"]
            ),
            f"{report['weights']:,} prunable weights in {len(report['layers'])} layers,"
            f" {report['other']:,} other parameters",
        ]
    )


# ------------------------------------------------------------------ allocate


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
    from combsearch.studies.dctps.allocate import (
        GAIN,
        Drawn,
        allocations,
        check_densities,
        check_methods,
    )
    from combsearch.studies.networks import image_network

    _check_image(image)
    _check_draw(seed, steps)
    chosen = check_methods(methods)
    check_densities(densities)
    networks = {name: image_network(name, image, classes, gain=GAIN) for name in names}
    drawn = Drawn(rounding, seed, steps)
    found = [
        one
        for name, network in networks.items()
        for one in allocations(name, network, chosen, densities, drawn, _progress)
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


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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


def _write_allocations(
    found: Sequence[Allocation], report: dict[str, Any], folder: Path, suffix: str
) -> list[str]:
    from combsearch.durable import make_folder, write_bytes, write_json
    from combsearch.plots.draw_dctps_allocation import draw_allocations
    from combsearch.studies.dctps.allocate import csv_table

    make_folder(folder)
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


# ------------------------------------------------------------------ bench


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
    from combsearch.durable import make_folder, write_json
    from combsearch.studies.dctps.bench import QUICK, Effort, bench

    report = {**bench(QUICK if quick else Effort(), say=_progress), "machine": machine()}
    files = []
    if output is not None:
        from combsearch.plots.draw_dctps_bench import draw_dctps_bench

        folder = Path(output)
        make_folder(folder)
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
