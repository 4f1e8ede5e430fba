"""What phase two and exhaust report: the bound, level by level, and the network behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from combsearch.commands.tables import shape_text
from combsearch.mask import MaskBatch
from combsearch.nets import NetBatch
from combsearch.saved_network import save_network
from combsearch.search.level_results import (
    RaceLoss,
    best_run,
    found_bound,
    race_loss,
    row_network,
    successful_masks,
)
from combsearch.search.mask_plan import MaskPlan
from combsearch.search.results import row_facts
from combsearch.search.tally import Tally
from combsearch.search_config import Phase2Config


def make_report(plan: MaskPlan, tally: Tally, folder: Path | None) -> dict[str, Any]:
    """The result as JSON; writes best.npz of the network it names into ``folder``.

    Args:
        plan: of the run.
        tally: of the rows that count, digested.
        folder: of the run; None writes nothing.
    """
    report = levels_report(plan, tally)
    row = best_run(tally.best, plan.config.target)
    if folder is not None and row is not None:
        save_row(folder / "best.npz", plan, row)
    return report | {
        "run_folder": None if folder is None else str(folder),
        "trainer": plan.trainer,
        "seed": plan.config.seed,
        "digest": tally.digest(),
    }


def levels_report(plan: MaskPlan, tally: Tally) -> dict[str, Any]:
    """What of the result needs no digest and no folder."""
    config = plan.config
    loss = race_loss(plan, tally.controls)
    kept = 1.0 if not config.race else loss.at_least if loss else 0.0
    bound = found_bound(plan, tally, kept)
    good = successful_masks(tally)
    return {
        "command": plan.command,
        **bound.to_json(),
        "bound_of": "one initialisation" if plan.fixed else "random weights",
        "untried": list(plan.untried),
        **({"shape": config.shape} if isinstance(config, Phase2Config) else {}),
        "symmetry": plan.symmetry,
        "shapes": len({s.shape for s in plan.segments}),
        "cells": list(config.cells),
        "successful_orbits": {str(nonzeros): count for nonzeros, count in good.items()},
        "raced": config.race,
        "race": _race_json(loss),
        "best": _best_json(plan, best_run(tally.best, config.target)),
        "trained": sum(level.started for level in bound.levels),
        "rows": tally.rows,
        "core_seconds": round(tally.seconds, 3),
    }


def _race_json(loss: RaceLoss | None) -> dict[str, Any] | None:
    if loss is None:
        return None
    low, high = loss.interval
    return {
        "controls": loss.controls,
        "threshold": loss.threshold,
        "estimated": loss.estimated,
        "kept": loss.kept,
        "lost": loss.lost,
        "kept_share": loss.kept / (loss.kept + loss.lost),
        "kept_interval": [low, high],
        "kept_at_least": loss.at_least,
    }


def _best_json(plan: MaskPlan, row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "shape": list(map(int, row["shape"].split(","))),
        "mask": [layer[0].tolist() for layer in row_mask(plan, row["rank"]).dense()],
        "nonzeros": row["nonzeros"],
        "accuracy": row["accuracy"],
        "cell": row["cell"],
        "seed": plan.config.seed,
        "restart": row["restart"],
        "rank": row["rank"],
    }


def save_row(path: Path, plan: MaskPlan, row: dict[str, Any]) -> None:
    """Write the network that a row holds, with what is known about it."""
    about = row_facts(row, plan.task.name, plan.config)
    nets = row_network(row, plan.config.width, row_mask(plan, row["rank"]))
    save_network(path, nets, about=about)


def best_network(plan: MaskPlan, tally: Tally) -> NetBatch | None:
    """The network that the report names; None when all runs diverged."""
    row = best_run(tally.best, plan.config.target)
    if row is None:
        return None
    return row_network(row, plan.config.width, row_mask(plan, row["rank"]))


def row_mask(plan: MaskPlan, rank: int) -> MaskBatch:
    """The mask of a rank of the search, as a batch of one."""
    segment = next(s for s in reversed(plan.segments) if s.rank <= rank)
    return plan.piece_masks(segment, range(rank, rank + 1))


def report_text(report: dict[str, Any]) -> str:
    """The result for a reader."""
    target, best = f"{report['target']:g}", report["best"]
    if report["bound"] is not None:
        head = (
            f"bound {report['bound']}: ({shape_text(best['shape'])}) with {best['nonzeros']}"
            f" nonzeros reached {target} (accuracy {best['accuracy']:.5f}), trained from"
            f" {report['bound_of']}"
        )
    elif best:
        head = (
            f"no mask reached {target} up to {report['levels'][-1]['nonzeros']} nonzeros; the"
            f" best was ({shape_text(best['shape'])}) with {best['nonzeros']} at"
            f" {best['accuracy']:.5f}"
        )
    elif report["rows"]:
        head = "all runs diverged: lower the learning rates of --cells"
    else:
        head = "no run outlived its race: all were dead from the start; try more --restarts"
    lines = [
        head,
        "",
        f"{'nonzeros':>8} {'masks':>10} {'restarts':>9} {'successes':>9} {'best':>8}"
        "  excluded (95%): each mask, all at once",
    ]
    for x in report["levels"]:
        each, every = x["excluded_success_probability"], x["excluded_for_the_level"]
        stated = f"{each:.2e}, {every:.2e}" if x["closed"] else "-" if x["successes"] else "open"
        lines.append(
            f"{x['nonzeros']:>8} {x['orbits']:>10,} {x['restarts']:>9,} {x['successes']:>9,}"
            f" {x['best_accuracy']:>8.5f}  {stated}"
        )
    if race := report["race"]:
        low, high = race["kept_interval"]
        lines.append(
            f"\nraces kept {race['kept']} of {race['kept'] + race['lost']} control runs that"
            f" reached {race['threshold']:.4f} (95% interval of the share {low:.2f} to {high:.2f});"
            f" that at least {race['kept_at_least']:.2f} are kept (99%) enters what is excluded"
        )
        if race["estimated"]:
            lines.append(f"too few control runs reached {target}: at the target it is an estimate")
    elif report["race"] is None and report["raced"]:
        lines.append("\nno control run did better than chance: what racing loses is not known")
    if report["untried"]:
        lines.append(f"\nlevels {report['untried'][0]} to {report['untried'][-1]} were not tried")
    lines.append(f"\nrun folder {report['run_folder']}")
    return "\n".join(lines)
