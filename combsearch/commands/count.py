"""``combsearch count``: how many masks there are, level by level, without making any."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from combsearch import counting
from combsearch.commands.output import say
from combsearch.errors import UsageError
from combsearch.mask import NetShape

_WIDEST = 64  # neurons of a layer: beyond it there are more cycle types than can be summed


def count_command(
    shape: str | None = None,
    max_nonzeros: int | None = None,
    inputs: int = 2,
    outputs: int = 1,
    width: int = 16,
    depth: int = 3,
    as_json: bool = False,
    unused_inputs: bool = False,
) -> dict[str, Any]:
    """Print the eligible masks of one shape, or the orbits of every shape, by nonzeros.

    Args:
        shape: hidden widths such as ``"7,3,3"``; None counts over all shapes.
        max_nonzeros: last level to count, biases included; needed without ``shape``.
        inputs: input neurons.
        outputs: output neurons.
        width: neurons of the widest hidden layer; not used with ``shape``.
        depth: hidden layers; not used with ``shape``.
        as_json: print one JSON object instead of a table.
        unused_inputs: count masks too that leave inputs unused.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: nothing to count, or values out of range.
    """
    numbers = {"inputs": inputs, "outputs": outputs, "width": width, "depth": depth}
    for name, value in numbers.items():
        if value < 1:
            raise UsageError(f"--{name} is {value}, it must be from 1 up")
    if shape is not None:
        parsed = NetShape.parse(shape, inputs, outputs)
        if max(parsed.hidden) > _WIDEST:
            raise UsageError(f"shape ({parsed}): layers of at most {_WIDEST} neurons are counted")
        report = _of_shape(parsed, max_nonzeros, unused_inputs)
    elif max_nonzeros is not None:
        report = _over_shapes(max_nonzeros, depth, inputs, outputs, width, unused_inputs)
    else:
        raise UsageError(
            "count needs a shape, such as --shape 7,3,3, or the largest network of any shape,"
            " such as --max-nonzeros 25"
        )
    say(json.dumps(report) if as_json else _text(report))
    return report


def _of_shape(shape: NetShape, max_nonzeros: int | None, unused: bool) -> dict[str, Any]:
    _check_reachable(shape, max_nonzeros, f"mask of shape ({shape})", unused)
    if max_nonzeros is None:
        rows = counting.row_sorted_masks(shape, unused_inputs=unused)
    else:
        by_nonzeros = counting.row_sorted_by_nonzeros(shape, max_nonzeros, unused_inputs=unused)
        rows = sum(by_nonzeros.values())
    levels = counting.orbits_by_nonzeros(shape, max_nonzeros, unused_inputs=unused)
    return {
        "shape": shape.to_json(),
        **({} if max_nonzeros is None else {"max_nonzeros": max_nonzeros}),
        **({"unused_inputs": True} if unused else {}),
        "rows": rows,
        "orbits": sum(levels.values()),
        "by_nonzeros": _named(levels),
    }


def _over_shapes(
    max_nonzeros: int, depth: int, inputs: int, outputs: int, width: int, unused: bool
) -> dict[str, Any]:
    narrowest = NetShape.from_hidden((1,) * depth, inputs, outputs)
    layers = f"{depth} hidden layer{'s' if depth > 1 else ''}"
    _check_reachable(narrowest, max_nonzeros, f"network with {layers}", unused)
    counted = counting.orbits_over_shapes(
        max_nonzeros, depth, inputs, outputs, width, unused_inputs=unused
    )
    levels: Counter[int] = Counter()
    for of_shape in counted.values():
        levels.update(of_shape)
    return {
        "max_nonzeros": max_nonzeros,
        **({"unused_inputs": True} if unused else {}),
        "shapes": len(counted),
        "orbits": levels.total(),
        "by_nonzeros": _named(levels),
        "by_shape": [
            {"shape": shape.to_json(), "orbits": sum(of_shape.values()), "smallest": min(of_shape)}
            for shape, of_shape in counted.items()
        ],
    }


def _check_reachable(shape: NetShape, max_nonzeros: int | None, what: str, unused: bool) -> None:
    smallest = counting.smallest_nonzeros(shape, unused_inputs=unused)
    if max_nonzeros is not None and max_nonzeros < smallest:
        raise UsageError(
            f"no {what} has as few as {max_nonzeros} nonzeros, biases counted:"
            f" give --max-nonzeros {smallest} or more"
        )


def _named(levels: Mapping[int, int]) -> dict[str, int]:
    """Keys as JSON has them, ascending."""
    return {str(nonzeros): levels[nonzeros] for nonzeros in sorted(levels)}


def _text(report: dict[str, Any]) -> str:
    """A headline, and a line a level."""
    limit = f" of at most {report['max_nonzeros']} nonzeros" if "max_nonzeros" in report else ""
    limit += ", inputs used or not" if report.get("unused_inputs") else ""
    if "rows" in report:
        hidden = ",".join(map(str, report["shape"][1:-1]))
        head = f"({hidden}): {report['rows']:,} row-sorted masks{limit},"
    else:
        shapes = report["shapes"]
        head = f"{shapes:,} shape{'s' if shapes > 1 else ''} with masks{limit},"
    lines = [f"{head} {report['orbits']:,} orbit{'s' if report['orbits'] > 1 else ''}", ""]
    size = max(len(f"{report['orbits']:,}"), len("up to here"))
    lines.append(f"{'nonzeros':>8}  {'orbits':>{size}}  {'up to here':>{size}}")
    total = 0
    for nonzeros, count in report["by_nonzeros"].items():
        total += count
        lines.append(f"{nonzeros:>8}  {count:>{size},}  {total:>{size},}")
    return "\n".join(lines)
