"""The sparsest network in a run's rows at another target: ``extract.py RUN TARGET FILE.npz``."""

from __future__ import annotations

import sys
from pathlib import Path

from combsearch.commands.mask_report import row_mask
from combsearch.commands.mask_runs import saved_plan
from combsearch.saved_network import run_facts, save_network
from combsearch.search.level_results import best_run, row_network
from combsearch.store import RunStore


def main(run: str, target: float, file: str) -> None:
    """See the module."""
    store = RunStore.attach(run)
    plan, row = saved_plan(store), best_run(store.read(), target)
    if row is None or row["accuracy"] < target:
        raise SystemExit(f"{run} holds no saved network that reaches {target}")
    about = run_facts(
        task=plan.task.name,
        accuracy=row["accuracy"],
        recipe=plan.recipe.with_cell(row["cell"]),
        seed=plan.config.seed,
        restart=row["restart"],
        init_width=plan.config.width,
    )
    nets = row_network(row, plan.config.width, row_mask(plan, row["rank"]))
    save_network(Path(file), nets, about=about)
    print(row["nonzeros"], row["accuracy"])


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
