"""Scripts beside results import what there is: moving code must not break them unseen."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of what a script takes from combsearch."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("combsearch"):
            assert node.module is not None
            yield from ((node.module, alias.name) for alias in node.names)


def is_there(module: str, name: str) -> bool:
    found = importlib.import_module(module)
    if hasattr(found, name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


def test_every_script_imports_what_there_is(root: Path) -> None:
    scripts = sorted((root / "results").rglob("*.py"))
    assert scripts
    missing = [
        f"{path.relative_to(root)}: {module}.{name}"
        for path in scripts
        for module, name in imported(path.read_text("utf-8"))
        if not is_there(module, name)
    ]
    assert missing == []
    assert not is_there("combsearch.store", "no_such_name")
