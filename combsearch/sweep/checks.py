"""Settings of a sweep that are valid one by one and do not fit each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from combsearch.errors import UsageError
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.prune_config import PruneConfig
from combsearch.search.plan import SettingError


def check_size(shapes: Mapping[int, NetShape], most: int) -> None:
    """Refuse networks of more than ``most`` parameters; ``shapes`` are by width.

    Raises:
        SettingError: naming the width.
    """
    width = max(shapes)
    if shapes[width].parameters > most:
        raise SettingError(
            f"width {width} makes networks of {shapes[width].parameters:,} parameters, the most"
            f" that can be pruned is {most:,}",
            "widths",
        )


def check_budgets(
    config: PruneConfig, shapes: Mapping[int, NetShape], budgets: Mapping[int, tuple[int, ...]]
) -> None:
    """A budget that no width holds, and a width that holds none, are mistakes.

    Raises:
        SettingError: naming the budget or the width.
    """
    most, widest = max((shape.weights, width) for width, shape in shapes.items())
    for budget in config.budgets:
        if budget != "paper" and int(budget) > most:
            raise SettingError(
                f"budget {budget} is above the {most} weights of width {widest}"
                f"{', the largest' if len(shapes) > 1 else ''}",
                "budgets",
            )
    for width, found in budgets.items():
        if not found:
            raise SettingError(
                f"width {width} has {shapes[width].weights} weights: none of the budgets"
                f" ({', '.join(config.budgets)}) is possible with {config.depth} hidden layers;"
                " leave it out, or name other --budgets",
                "widths",
            )


def check_initial(initial: NetBatch, shapes: Iterable[NetShape]) -> None:
    """Each of ``shapes`` (hidden layers of one width) must be a leading block of ``initial``.

    Raises:
        UsageError: naming both shapes.
    """
    assert isinstance(initial.network, MLP)
    wide = initial.network.shape
    for shape in shapes:
        same = (wide.inputs, wide.outputs, len(wide.widths)) == (
            shape.inputs, shape.outputs, len(shape.widths),
        )  # fmt: skip
        if not same or min(wide.hidden) < max(shape.hidden):
            raise UsageError(
                f"init holds a network {wide.to_json()}, the leading block of which is to be"
                f" {shape.to_json()} at width {max(shape.hidden)}: it must have as many layers"
                " and be as wide"
            )
