"""The table of bounds: the paper's, ours trained, ours existing; every network certified again.

Reads the summaries of the published runs, certifies the network behind each number in plain
PyTorch (float32 and float64), and writes bounds.json, bounds.md and frontier.png here.

    python results/bounds/bounds.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from combsearch import plots
from combsearch.connectivity import compact, nonzeros
from combsearch.frontier import KEPT, PRUNABLE, Frontier
from combsearch.nets import MLP
from combsearch.saved_network import load_network
from combsearch.search.certify import certify
from combsearch.tasks import cubist_spiral
from combsearch.trainers import get_trainer

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER.parent
TARGETS = (0.95, 0.995, 1.0)
# "Sparsest Models Elude Pruning" (ICML 2024): its best from random weights, from one start.
PAPER = {0.95: 30, 0.995: 45}
PAPER_ONE_START = {0.95: 26, 0.995: 38}
# Folder -> how its networks were found, and a pattern of their files.
TRAINED = {
    "phase1-0.95": "best.npz",
    "phase1-0.995": "best.npz",
    "exhaust-0.95": "best.npz",
    "phase2-3x3x3-0.95": "best.npz",
    "phase2-6x3x2-0.995": "best.npz",
    "phase2-6x3x2-top": "best*.npz",
    "phase2-7x3x3-0.995": "best.npz",
    "trainability": "trained-*.npz",
}
ONE_START = {"initialisations": "best-*.npz", "ticket-22": "best.npz"}
EXISTING = {f"descend-{name}": "frontier/*.npz" for name in ("0.95", "0.995", "1")}
BIASES = {f"descend-biases-{name}": "frontier/*.npz" for name in ("0.95", "0.995", "1")}
KINDS = {
    "trained from random weights": TRAINED,
    "trained from one initialisation": ONE_START,
    "exists, biases kept": EXISTING,
    "exists, biases prunable": BIASES,
}


def certified(folders: dict[str, str]) -> Iterator[tuple[Path, Any]]:
    """(file, certificate) of every network; an untrue statement in a file ends everything."""
    for folder, pattern in folders.items():
        for path in sorted((RESULTS / folder).glob(pattern)):
            found = certify(path, cubist_spiral())
            if found.disagreements:
                raise SystemExit(f"{path}: {found.disagreements}")
            yield path, found


def lowest(networks: list[tuple[Path, Any]], target: float) -> dict[str, Any] | None:
    """The certified network with the fewest nonzeros that reaches ``target``."""
    good = [(f.nonzeros, -f.accuracy, path, f) for path, f in networks if f.accuracy >= target]
    if not good:
        return None
    nonzeros, _, path, found = min(good, key=lambda entry: entry[:2])
    return {
        "nonzeros": nonzeros,
        "shape": list(found.shape),
        "accuracy": found.accuracy,
        "network": path.relative_to(RESULTS).as_posix(),
    }


def draw(network: Path, file: Path) -> None:
    """The picture of one network."""
    nets, task = compact(load_network(network)), cubist_spiral()
    assert isinstance(nets.network, MLP)
    layers = range(len(nets.network.shape.layers))
    weights, biases = (
        [nets.params[f"{kind}{layer}"][0] for layer in layers] for kind in ("weight", "bias")
    )
    accuracy = float(get_trainer("fused").score(nets, task).accuracy[0])
    size = int(nonzeros(nets)[0])
    figure = plots.network(
        nets.network.shape.widths, weights, biases, task=task, accuracy=accuracy, size=size
    )
    plots.save(figure, file.with_name(file.name.replace(",", "").replace(" ", "-")))


def main() -> None:
    """See the module."""
    networks = {kind: list(certified(folders)) for kind, folders in KINDS.items()}
    table = {
        f"{target:g}": {
            "paper": PAPER.get(target),
            "paper, one initialisation": PAPER_ONE_START.get(target),
            **{kind: lowest(found, target) for kind, found in networks.items()},
        }
        for target in TARGETS
    }
    for target, row in table.items():
        for kind, found in row.items():
            if isinstance(found, dict):
                draw(RESULTS / found["network"], FOLDER / "networks" / f"{target} {kind}.png")
    (FOLDER / "bounds.json").write_text(json.dumps(table, indent=1) + "\n")
    (FOLDER / "bounds.md").write_text(markdown(table))
    lines = {}
    for kind, found in networks.items():
        counting = PRUNABLE if "prunable" in kind else KEPT
        steps = Frontier.of((f.found() for _, f in found), counting).by_nonzeros
        lines[kind] = ([s.nonzeros for s in steps], [s.accuracy for s in steps])
    points = [(f"the paper, {t:g}", n, t) for t, n in PAPER.items()]
    points += [(f"the paper, one initialisation, {t:g}", n, t) for t, n in PAPER_ONE_START.items()]
    plots.save(plots.frontiers(lines, TARGETS, points), FOLDER / "frontier.png")
    print(markdown(table))


def markdown(table: dict[str, Any]) -> str:
    """The table for README files."""
    kinds = ["paper", "paper, one initialisation", *KINDS]
    lines = ["| target | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for target, row in table.items():
        cells = []
        for kind in kinds:
            found = row[kind]
            if isinstance(found, dict):
                shape = ",".join(map(str, found["shape"][1:-1]))
                cells.append(
                    f"[**{found['nonzeros']}**](../{found['network']}) ({shape})"
                    f" {100 * found['accuracy']:.2f}%"
                )
            else:
                cells.append(str(found or "-"))
        lines.append(f"| {100 * float(target):g}% | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
