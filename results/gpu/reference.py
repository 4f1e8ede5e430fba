"""Writes the CPU's results that ``combsearch bench --gpu`` compares a GPU with.

``python results/gpu/reference.py``: about two minutes of a core.
"""

from __future__ import annotations

from combsearch.commands.gpu_check import cases, reference
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer


def main() -> None:
    """Train all cases on this machine's CPU."""
    fused, vmap = get_trainer("fused"), get_trainer("vmap")
    made = reference.make(
        [
            *((case, reference.trained, fused) for case in (*cases.CASES, cases.BLOCKS)),
            *((case, reference.whole_runs, fused) for case in cases.RUNS),
            *((case, reference.shown, vmap) for case in cases.WIDE),
        ],
        cubist_spiral(),
    )
    made.write(reference.PATH)
    print(f"{reference.PATH.stat().st_size} bytes", made.about)


if __name__ == "__main__":
    main()
