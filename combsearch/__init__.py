"""combsearch: the sparsest network that can do a task, and how far pruners stop from it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# In a checkout the folders kernels/ and baselines/ lie beside this package, not
# inside it (an installed copy has them inside): let both layouts import alike.
_beside = Path(__file__).resolve().parent.parent
if (_beside / "pyproject.toml").exists() and (_beside / "kernels" / "__init__.py").exists():
    __path__.append(str(_beside))

# Public name -> module. Resolved on first use, so that the command line stays quick.
_PUBLIC = {
    "NetShape": "mask",
    "MaskBatch": "mask",
    "Recipe": "config",
    "Schedule": "config",
    "SearchConfig": "config",
    "RunKeys": "rng",
    "Task": "tasks",
    "load_task": "tasks",
    "load_images": "tasks.images",
    "MLP": "nets",
    "NetBatch": "nets",
    "Scores": "nets",
    "load_network": "saved_network",
    "save_network": "saved_network",
    "get_trainer": "trainers",
    "Budget": "pruning",
    "keep_top": "pruning",
    "rewound": "pruning",
    "get_pruner": "baselines",
    "initial_mask": "baselines",
    "mask_space": "enumeration",
    "canonical_form": "canonical",
    "Bound": "frontier",
    "Frontier": "frontier",
    "RunStore": "store",
    "Shard": "store",
    "CombsearchError": "errors",
}
__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'combsearch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"combsearch.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
