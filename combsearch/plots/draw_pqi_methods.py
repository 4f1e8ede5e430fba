"""Accuracy and PQ index of the pruning methods over rounds: the paper's figures 2, 3 and 4."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from combsearch.plots.pqi_axes import join_row, value_axis, zero_line
from combsearch.plots.pqi_curves import (
    SCOPES,
    Quantity,
    Study,
    index_label,
    index_of,
    kept_share,
    left_share,
)
from combsearch.plots.pqi_panels import Frames, Lines, variant_looks
from combsearch.plots.style import styled

Row = tuple[str, Quantity, Quantity]
"""A frame: its label, what it shows, and the share of weights which that belongs to."""


@styled()
def pqi_retrained(study: Study, scope: str = "global", pair: str | None = None) -> Figure:
    """Figure 2: accuracy after a round's training, its gain on the dense network, PQ index.

    Upper row over rounds; lower row over the share of weights in that training, so that
    methods which prune at different speeds can be compared.

    Args:
        study: the chains.
        scope: which of them.
        pair: p:q of the index; by default ``study.pair``.

    Raises:
        UsageError: the scope has no rows that count, or the pair is not in the grid.
    """
    pair = study.checked(pair)
    frames: list[Row] = [
        ("retrained accuracy", lambda c: c["accuracy"], kept_share),
        (
            "retrained − dense\naccuracy (points)",
            lambda c: 100 * (c["accuracy"] - c["accuracy"][:, :1]),
            kept_share,
        ),
        (index_label(pair), index_of(study, pair), kept_share),
    ]
    return _over_both(study, scope, frames, "Retrained networks")


@styled()
def pqi_pruned(study: Study, scope: str = "global", pair: str | None = None) -> Figure:
    """Figure 3: accuracy under the next mask without training, its loss by that, PQ index.

    The loss counts from the retrained accuracy (last epoch) of the same round. Lower row: the
    accuracy over the weights that the pruning left, the index over those it was measured on.

    Raises:
        UsageError: as ``pqi_retrained``.
    """
    pair = study.checked(pair)
    frames: list[Row] = [
        ("pruned accuracy", lambda c: c["pruned_accuracy"], left_share),
        (
            "pruned − retrained\naccuracy (points)",
            lambda c: 100 * (c["pruned_accuracy"] - c["accuracy"]),
            left_share,
        ),
        (index_label(pair), index_of(study, pair), kept_share),
    ]
    return _over_both(study, scope, frames, "Pruned networks, not retrained")


@styled()
def pqi_scopes(study: Study, pair: str | None = None, *, by_share: bool = False) -> Figure:
    """Figure 4: a column a scope; retrained accuracy and PQ index, each on one scale.

    Args:
        study: the chains.
        pair: p:q of the index.
        by_share: over the share of weights left, not over rounds.

    Raises:
        UsageError: as ``pqi_retrained``.
    """
    pair = study.checked(pair)
    columns = [Lines.of(study, scope) for scope in study.scopes or SCOPES]
    every = [chains for lines in columns for chains in lines.chains]
    styles = variant_looks([chains.variant for chains in every])
    names = {variant: variant.name for variant in styles}
    columns = [Lines(lines.chains, styles, every, names) for lines in columns]
    head = columns[0].head
    figure, axes = Frames(2, len(columns), apart=0.2, below=0.14).open(head + 0.14)
    rows: list[tuple[str, Quantity]] = [
        ("retrained accuracy", lambda c: c["accuracy"]),
        (index_label(pair), index_of(study, pair)),
    ]
    for row, (label, quantity) in enumerate(rows):
        for column, lines in enumerate(columns):
            lines.draw(axes[row][column], kept_share if by_share else None, quantity)
        join_row(axes[row], label, percent=row == 0, lowest=row == 1)
    for frame, scope in zip(axes[0], study.scopes, strict=True):
        frame.set_title(f"scope: {scope}", loc="left", pad=3)
    columns[0].write_head(figure, "Scopes of pruning")
    return figure


@styled()
def pqi_gini(study: Study, scope: str = "global", pair: str | None = None) -> Figure:
    """PQ index and Gini index over rounds, side by side.

    Raises:
        UsageError: as ``pqi_retrained``.
    """
    pair = study.checked(pair)
    lines = Lines.of(study, scope)
    figure, axes = Frames(1, 2, apart=0.75).open(lines.head)
    shown: list[tuple[str, Quantity]] = [
        (index_label(pair), index_of(study, pair)),
        ("Gini index", lambda c: c["gini"]),
    ]
    for frame, (label, quantity) in zip(axes[0], shown, strict=True):
        lines.draw(frame, None, quantity)
        value_axis(frame, label)
    lines.write_head(figure, f"Weights of the retrained networks, scope {scope}")
    return figure


def _over_both(study: Study, scope: str, shown: Sequence[Row], what: str) -> Figure:
    """``shown`` (accuracy, difference, index) over rounds, below over the share of weights."""
    lines = Lines.of(study, scope)
    lowest = min(lines.lowest(share) for _, _, share in shown)
    figure, axes = Frames(2, len(shown)).open(lines.head)
    for column, (label, quantity, share) in enumerate(shown):
        for row, x in enumerate((None, share)):
            frame = axes[row][column]
            lines.draw(frame, x, quantity, lowest)
            value_axis(frame, label, percent=column == 0, least=2.0 if column == 1 else 0.02)
            if column == 1:
                zero_line(frame)
    lines.write_head(figure, f"{what}, scope {scope}")
    return figure
