"""The files of a user's own pruners: once one is edited, it must not continue a saved run."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from combsearch.baselines import METHODS, get_pruner
from combsearch.registry import import_object, lookup


def source_digests(methods: Sequence[str]) -> dict[str, str]:
    """sha256 of the file that each pruner of a user's own is in; all ``methods`` are checked.

    Raises:
        UsageError: one of ``methods`` is unknown, or cannot be made.
    """
    for name in methods:
        if ":" not in name:  # to import it takes seconds, of torch
            lookup("method", name, METHODS)
    return {name: _source_digest(name) for name in methods if ":" in name}


def short_digest(sources: Mapping[str, str]) -> str:
    """Eight hex characters that name the state of these files."""
    text = json.dumps(dict(sources), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _source_digest(name: str) -> str:
    get_pruner(name)
    found = import_object("pruner", name)
    module = sys.modules.get(getattr(found, "__module__", None) or name.partition(":")[0])
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()
