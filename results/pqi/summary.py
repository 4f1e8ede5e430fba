"""What became of each chain, as Markdown: ``summary.py FILE.parquet ...``."""

from __future__ import annotations

import sys
from pathlib import Path

from combsearch.commands.study_pqi_report import make_report
from combsearch.studies.pqi.published import published

PAIR = "0.5:1"


def phases_text(phases: list[list[float]]) -> str:
    """As ``falls to 7, rises to 27, falls``."""
    words = [f"{'rises' if change > 0 else 'falls'} to {last:g}" for _, last, change in phases]
    return ", ".join(words)


def main(files: list[str]) -> None:
    """Print a table a file."""
    for file in files:
        config, rows = published(Path(file))
        report = make_report(config, rows, file)
        print(f"{Path(file).stem}: {report['rows']} rows, {report['diverged']} diverged\n")
        print(
            "| method | scope | dense | within a point down to | last | accuracy there |"
            " PQ index, by round |"
        )
        print("|---|---|---|---|---|---|---|")
        for chain in report["chains"]:
            shares = [chain[n] for n in ("dense_accuracy", "smallest_share", "last_share")]
            dense, smallest, last = (f"{100 * share:.4g}%" for share in shares)
            end = f"{100 * chain['last_accuracy']:.1f} ± {100 * chain['last_spread']:.1f}%"
            cells = [chain["method"], chain["scope"], dense, smallest, last, end]
            print(f"| {' | '.join(cells)} | {phases_text(chain['phases'][PAIR])} |")
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
