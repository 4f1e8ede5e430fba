"""The sparsest network in a run's rows at another target: ``extract.py RUN TARGET FILE.npz``."""

from __future__ import annotations

import sys
from pathlib import Path

from combsearch.commands.mask_report import save_row
from combsearch.search.level_results import best_run
from combsearch.search.saved_plan import saved_plan
from combsearch.store import RunStore


def main(run: str, target: float, file: str) -> None:
    """See the module."""
    store = RunStore.attach(run)
    plan, row = saved_plan(store), best_run(store.read(), target)
    if row is None or row["accuracy"] < target:
        raise SystemExit(f"{run} holds no saved network that reaches {target}")
    save_row(Path(file), plan, row)
    print(row["nonzeros"], row["accuracy"])


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
