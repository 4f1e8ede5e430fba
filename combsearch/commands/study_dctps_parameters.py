"""``combsearch study dctps parameters``: how large a network is.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from combsearch.commands.study_dctps_networks import check_image, network_options
from combsearch.commands.tree import leaf

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands


def add_parameters(commands: Commands) -> None:
    """Add ``parameters`` to the commands of the study."""
    text = "prunable weights of a network and its other parameters"
    command = leaf(commands, "parameters", "study_dctps_parameters", _parameters, text)
    network_options(command, several=False)
    command.add_argument(
        "--offset", action="store_true", help="layers of DCT plus sparse, a trained factor each"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _parameters(given: argparse.Namespace) -> None:
    parameters_command(given.network, given.classes, given.image, given.offset, given.json)


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

    check_image(image)
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
