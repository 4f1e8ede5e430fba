"""What pieces were made with, told without more than PyTorch and numpy."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import torch

from combsearch import __version__
from combsearch.commands.provenance import commit, gpu_facts, processor, repeat_command


def made_with(command: str, config: Any, trainer: str, tf32: bool, script: str) -> dict[str, Any]:
    """Command, versions and machine, as the summary of a run names them."""
    cuda = torch.cuda.is_available()
    return {
        "command": repeat_command(command, config),
        "script": script,
        "versions": {
            "combsearch": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": str(torch.__version__),
        },
        "trainer": trainer,
        "tf32": tf32,
        "commit": commit(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
            **(gpu_facts() if cuda else {}),
        },
    }
