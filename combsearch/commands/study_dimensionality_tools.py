"""``combsearch study dimensionality correlate`` and ``... estimate``: two statistics of files.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from combsearch.commands.tree import leaf
from combsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from combsearch.commands.tree import Commands

_MODULE = "study_dimensionality_tools"

LIMIT = 20_000
"""Points that are used of a file with more: what a minute and 2 GB do for small images."""

_PAPER = ("extrinsic", "intrinsic", "task")
_MAX_SEED = 2**64 - 1


def add_tools(commands: Commands) -> None:
    """Add ``correlate`` and ``estimate`` to the commands of the study.

    Their parsers set ``module``, ``function`` and ``parser``, as those of other commands do.
    """
    text = "rank correlation of dimension and weights left, from a table"
    _correlate_options(leaf(commands, "correlate", _MODULE, _correlate, text))
    text = "maximum-likelihood intrinsic dimension of points or images"
    _estimate_options(leaf(commands, "estimate", _MODULE, _estimate, text))


def _correlate_options(correlate: argparse.ArgumentParser) -> None:
    correlate.add_argument(
        "table", metavar="TABLE.csv", help="columns group, dimension, mean and spread; others too"
    )
    for name, default, text in (
        ("draws", 1000, "trials drawn in a rollout, with replacement"),
        ("rollouts", 5000, "samples of the correlation"),
        ("seeds", 3, "seeds in a mean: outcomes deviate by spread / sqrt(seeds)"),
        ("seed", 0, "seed of the draws"),
    ):
        _whole(correlate, name, default, text)
    correlate.add_argument(
        "--paper", choices=_PAPER, help="show the paper's correlation of this experiment beside it"
    )
    correlate.add_argument("--json", action="store_true", help="print one JSON object")


def _estimate_options(estimate: argparse.ArgumentParser) -> None:
    estimate.add_argument(
        "points", metavar="FILE", help="a .npy of numbers [n, ...], or a .npz with such a key x"
    )
    estimate.add_argument(
        "--k", metavar="K,...", type=_numbers, default=(3, 5, 10, 20), dest="ks",
        help="numbers of nearest neighbours (default 3,5,10,20)",
    )  # fmt: skip
    _whole(estimate, "limit", LIMIT, "points that are used, drawn from all if there are more")
    _whole(estimate, "seed", 0, "seed of that draw")
    estimate.add_argument("--json", action="store_true", help="print one JSON object")


def _whole(parser: argparse.ArgumentParser, name: str, default: int, text: str) -> None:
    shown = f"{text} (default {default})"
    parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=shown)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError as error:
        message = f"invalid value: {text!r}, expected whole numbers separated by commas"
        raise argparse.ArgumentTypeError(message) from error


def _correlate(given: argparse.Namespace) -> None:
    correlate_command(
        given.table, given.draws, given.rollouts, given.seeds, given.seed, given.json, given.paper
    )


def _estimate(given: argparse.Namespace) -> None:
    estimate_command(given.points, given.ks, given.limit, given.seed, given.json)


def correlate_command(
    path: str,
    draws: int = 1000,
    rollouts: int = 5000,
    seeds: int = 3,
    seed: int = 0,
    as_json: bool = False,
    paper: str | None = None,
) -> dict[str, Any]:
    """Print the Monte-Carlo Spearman correlation of a table.

    Args:
        path: a CSV, see ``combsearch.studies.dimensionality.tables``.
        draws: trials drawn in a rollout.
        rollouts: samples of the correlation.
        seeds: how many were averaged in a mean of the table.
        seed: of the draws.
        as_json: print one JSON object instead of text.
        paper: experiment whose published correlation is shown beside it.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: a bad table or number.
    """
    from combsearch.commands.output import say
    from combsearch.studies.dimensionality.correlation import monte_carlo_spearman
    from combsearch.studies.dimensionality.published import published_correlation
    from combsearch.studies.dimensionality.tables import read_table, trials_of

    known = published_correlation(paper) if paper is not None else None
    found = monte_carlo_spearman(trials_of(read_table(path)), draws, rollouts, seeds, seed)
    report: dict[str, Any] = {
        "mean": found.mean,
        "std": found.std,
        "rollouts": found.rollouts,
        "draws": draws,
        "trials": found.trials,
        "seeds": seeds,
        "seed": seed,
        "table": path,
    }
    if known is not None:
        report |= {"paper": paper, "paper_mean": known.mean, "paper_std": known.std}
    say(json.dumps(report) if as_json else _correlation_text(report))
    return report


def _correlation_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['table']}: {report['trials']} trials",
        f"Spearman correlation of dimension and weights left: {report['mean']:.3f} ±"
        f" {report['std']:.3f}",
        f"  {report['rollouts']:,} rollouts of {report['draws']:,} draws, outcomes from N(mean,"
        f" spread / sqrt({report['seeds']})), seed {report['seed']}",
        "  the deviation is that of the draws: it shrinks with more of them, not with more trials",
    ]
    if "paper" in report:
        lines.append(
            f"the paper, {report['paper']}: {report['paper_mean']:.2f} ± {report['paper_std']:.2f}"
        )
    return "\n".join(lines)


def estimate_command(
    path: str,
    ks: Sequence[int] = (3, 5, 10, 20),
    limit: int = LIMIT,
    seed: int = 0,
    as_json: bool = False,
) -> dict[str, Any]:
    """Print the maximum-likelihood intrinsic dimension of the points in a file.

    Args:
        path: an .npy [n, ...] of real numbers, or an .npz with such an array under ``x``.
        ks: numbers of nearest neighbours.
        limit: points that are used; they are drawn from all when there are more.
        seed: of that draw.
        as_json: print one JSON object instead of text.

    Returns:
        What ``as_json`` prints.

    Raises:
        UsageError: a bad file, k, limit or seed.
    """
    from combsearch.commands.output import say
    from combsearch.commands.points_file import read_points
    from combsearch.studies.dimensionality.intrinsic_dimension import intrinsic_dimension

    _check_draw(limit, seed)
    points = read_points(path)
    try:
        found = intrinsic_dimension(points[_drawn(len(points), limit, seed)], ks)
    except UsageError as error:
        among = f" (of the {limit} that were drawn)" if len(points) > limit else ""
        raise UsageError(f"points {path!r}{among}: {error}") from error
    report = {
        "points": path,
        "n": found.points,
        "of": len(points),
        "duplicates": found.duplicates,
        "features": found.features,
        "seed": seed,
        "estimates": [
            {"k": one.k, "dimension": one.dimension, "standard_error": one.standard_error}
            for one in found.estimates
        ],
    }
    say(json.dumps(report) if as_json else _estimate_text(report))
    return report


def _check_draw(limit: int, seed: int) -> None:
    if limit < 3:
        raise UsageError(f"limit is {limit}, it must be at least 3 points")
    if not 0 <= seed <= _MAX_SEED:
        raise UsageError(f"seed is {seed}, it must lie in 0 to 2**64 - 1")


def _drawn(points: int, limit: int, seed: int) -> npt.NDArray[np.intp] | slice:
    """Which of ``points`` are used: all, or ``limit`` of them, in the file's order."""
    import numpy as np

    if points <= limit:
        return slice(None)
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, 0], np.uint64)))
    return np.sort(generator.choice(points, limit, replace=False))


def _estimate_text(report: dict[str, Any]) -> str:
    used = report["n"] + report["duplicates"]
    drawn = f", drawn from {report['of']:,} with seed {report['seed']}"
    lines = [
        f"{report['points']}: {report['n']:,} points of {report['features']:,} features"
        f"{drawn if used < report['of'] else ''}",
        "intrinsic dimension by maximum likelihood (Levina and Bickel; inverses averaged)",
        *(
            f"  k {one['k']:>3}   {one['dimension']:9.3f} ± {one['standard_error']:.3f}"
            for one in report["estimates"]
        ),
        "  the error is that of sampling; the estimate is low for high dimensions and few points",
    ]
    if report["duplicates"]:
        lines.insert(1, f"{report['duplicates']:,} more equal one of them and were left out")
    return "\n".join(lines)
