"""The search as it will run, from packed masks to saved rows: its rate beside its kernel's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from combsearch.commands.gpu_check.machine import Machine

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "results" / "gpu" / "search.py"
MASKS = ROOT / "results" / "gpu" / "sample.masks"
"""All 228,967 orbits of (7,3,3) with 39 nonzeros, 12 restarts each in the best cell; made by::

    python results/gpu/masks.py results/gpu/sample.masks phase2 --shape 7,3,3 --restarts 12 \\
        --all --cells 0.05:cosine --min-nonzeros 39 --max-nonzeros 39
"""

_SAVES = 8  # of a search, of which the first, with all that a start costs, does not count
_LINE = re.compile(r"places ([\d,]+) to ([\d,]+) of ([\d,]+), ([\d,.]+) runs/s")
_STARTS = 60.0  # seconds that a start and a stop may take at most
_LEAST = 20.0  # seconds: shorter ones say nothing


def search_check(machine: Machine, until: float) -> dict[str, Any]:
    """Training runs a second of ``results/gpu/search.py``."""
    if machine.gpu.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()  # the search is another process on the same GPU
    seconds = min(machine.sizes.search_seconds, max(_LEAST, until - time.monotonic()))
    return searched(MASKS, seconds, "cuda")


def searched(masks: Path, seconds: float, trainer: str, *more: str) -> dict[str, Any]:
    """The same of any packed masks and trainer.

    Raises:
        RuntimeError: the search failed, or saved nothing.
    """
    if not SCRIPT.exists():
        raise RuntimeError(f"{SCRIPT} is not there: this takes a checkout, not an installed copy")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, str(SCRIPT), str(masks), "--out", folder, "--trainer", trainer,
            "--minutes", str(seconds / 60), "--save", str(seconds / _SAVES), *more,
        ]  # fmt: skip
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
            timeout=seconds + _STARTS, check=False,
        )  # fmt: skip
    rates = saves(done.stderr)
    if done.returncode not in (0, 75) or not rates:  # 75: stopped in time
        last = done.stderr.strip().splitlines()[-3:]
        raise RuntimeError(f"the search ended with exit code {done.returncode}: {' '.join(last)}")
    return {"models_per_second": steady(rates), "saves": rates}


def saves(log: str) -> list[dict[str, float]]:
    """Masks done and runs a second, of each line that the search writes when it saves."""
    found = []
    for first, last, _, rate in _LINE.findall(log):
        places = [int(number.replace(",", "")) for number in (first, last)]
        runs = max(float(rate.replace(",", "")), 0.5)  # written as a whole number
        found.append({"masks": places[1] - places[0], "rate": runs})
    return found


def steady(rates: list[dict[str, float]]) -> float:
    """The rate over all saves but the first, if there are enough; masks have alike many runs."""
    counted = rates[1:] if len(rates) > 2 else rates
    seconds = sum(save["masks"] / save["rate"] for save in counted)
    return sum(save["masks"] for save in counted) / seconds
