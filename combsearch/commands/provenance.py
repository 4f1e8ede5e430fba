"""What a result was made with: command, versions, commit, machine."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from combsearch import __version__
from combsearch.commands.settings import flag
from combsearch.config import changed

_LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "pyarrow")


def provenance(command: str, config: Any, trainer: str | None = None) -> dict[str, Any]:
    """As JSON; ``command`` repeats the search wherever its settings came from.

    ``machine`` names the GPUs where the trainer ran on one.
    """
    from combsearch.search.devices import on_gpu  # takes pyarrow, which ``commit`` does not

    versions = {"combsearch": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": repeat_command(command, config),
        "versions": versions,
        **({"trainer": trainer} if trainer else {}),
        "commit": commit(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
            **(gpu_facts() if trainer and on_gpu(trainer) else {}),
        },
    }


def repeat_command(command: str, config: Any) -> str:
    """``combsearch phase1`` with a flag for every setting that is not at its default."""
    words = ["combsearch", *command.split()]
    for name, value in changed(config).items():
        if isinstance(value, bool):
            words.append(flag(name) if value else flag(f"no_{name}"))
        else:
            items = value if isinstance(value, list) else [value]
            words += [flag(name), ",".join(map(str, items))]
    return shlex.join(words)


def commit() -> str | None:
    """The commit of this program, if it runs from a checkout."""
    return _commit(Path(__file__).resolve().parents[2])


def _commit(checkout: Path) -> str | None:
    """The commit of a checkout, with ``+`` when files differ from it; None when installed."""
    if not (checkout / ".git").exists():
        return None

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        changed_files = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed_files else "")
    except (OSError, subprocess.SubprocessError):
        return None


def gpu_facts() -> dict[str, Any]:
    """The GPUs that this process may use, the version of their driver, that of CUDA."""
    import torch

    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {"gpus": names, "driver": _driver(), "cuda": torch.version.cuda}


def _driver(facts: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """``"550.54.15"``, where the system tells it."""
    try:
        found = re.search(r"Kernel Module\b.*?\s(\d+\.[\d.]+)", facts.read_text())
    except OSError:
        return None
    return found[1] if found else None


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
