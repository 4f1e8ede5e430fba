"""Imports run one way: every module of the project stands in a layer and imports only lower ones.

The unit is what lies directly below ``combsearch`` (``store``, ``tasks``, ``kernels``);
inside a folder, modules import each other freely. Imports inside functions, under
``TYPE_CHECKING`` and through ``importlib.import_module`` count like any other.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Low to high, one layer a line. Units of one layer may import each other, in no
# circle, unless SEPARATE names them: those never do.
LAYERS = (
    ("kernels",),
    (
        "errors", "fields", "config", "search_config", "prune_config", "slurm_config", "mask",
        "rng", "registry", "durable", "figure_formats", "numerals",
    ),
    (
        "canonical", "counting", "connectivity", "disconnection", "flops", "nets", "sparsity",
        "tasks", "packed_masks", "rows", "prune_rows",
        "pqi_rows", "dimension_rows", "dctps_spiral_rows", "dctps_rows", "method_looks",
    ),
    (
        "enumeration", "store", "marks", "runfile", "shards", "pieces", "frontier", "networks",
        "trainers", "saved_network", "generators",
    ),
    ("pruning", "progress", "fetching"),
    ("search", "baselines"),
    ("sweep", "comparison", "studies"),
    ("engines", "plots", "report"),
    ("commands",),
    ("cli", "__main__"),
)  # fmt: skip
SEPARATE = (("search", "baselines"), ("engines", "plots", "report"))

# combsearch/__init__.py hands out the public names lazily: it imports no module, and
# no module reaches another through it. The version is all it may be asked for.
FACADE = "__init__"
FACADE_NAMES = frozenset({"__version__"})

# Units that must stay light (the command line's help) or pure: the libraries they may
# import besides the standard one. Through other units they may reach no further ones.
LIBRARIES: dict[str, frozenset[str]] = {
    FACADE: frozenset(),
    "errors": frozenset(),
    "fields": frozenset(),
    "config": frozenset(),
    "search_config": frozenset(),
    "prune_config": frozenset(),
    "slurm_config": frozenset(),
    "figure_formats": frozenset(),
    "registry": frozenset(),
    "mask": frozenset({"numpy"}),
    "rng": frozenset({"numpy"}),
}
# What lies beside combsearch/ in a checkout and inside it once installed.
BESIDE = ("baselines", "kernels")

Import = tuple[int, str]  # line, dotted name


def project_sources(root: Path) -> dict[str, str]:
    """Source text of every module, by its dotted name (a package ends in ``.__init__``)."""
    sources = {}
    for folder in ("combsearch", *BESIDE):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts if folder == "combsearch" else ("combsearch", *parts))
            sources[name] = path.read_text(encoding="utf-8")
    return sources


def unit_of(module: str) -> str:
    """``store`` for ``combsearch.store``, ``tasks`` for ``combsearch.tasks.base``."""
    return module.split(".")[1]


def imports_of(module: str, source: str) -> Iterator[Import]:
    """Every import of ``source``; ``from a import b`` gives ``a.b``."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source, filename=module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield from ((node.lineno, text) for text in _literal_start(node))


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _literal_start(call: ast.Call) -> list[str]:
    """The name that a dynamic import spells out; of an f-string, what stands before a value."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return [first.value.rstrip(".")]
    return []


def violations(sources: dict[str, str]) -> list[str]:
    """What breaks the layering in ``sources``, one sentence each; empty when nothing does."""
    found = []
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        unit = unit_of(module)
        if unit != FACADE and _layer(unit) is None:
            found.append(
                f"{module}: unknown unit {unit!r}: add it to its layer in LAYERS of "
                "tests/test_layers.py and to the architecture in README.md"
            )
            continue
        for line, target in imports_of(module, source):
            problem = _judge(unit, target, graph)
            if problem:
                found.append(f"{module}:{line}: {problem}")
    return found + _circles(graph)


def _judge(unit: str, target: str, graph: dict[str, set[str]]) -> str | None:
    """What is wrong with ``unit`` importing ``target``; notes the edge in ``graph``."""
    top, *rest = target.split(".")
    if top in BESIDE:
        return f"imports a bare {top!r}: another project's package; write combsearch.{top}"
    if top != "combsearch":
        return _judge_library(unit, top)
    if unit == FACADE and not rest:
        return None  # the start of the f-string that it resolves its names with
    if not rest or (_layer(rest[0]) is None and rest[0] not in FACADE_NAMES):
        return f"imports {target!r}: neither a module in LAYERS nor one that __init__ may give"
    if rest[0] in FACADE_NAMES or rest[0] == unit:
        return None
    graph.setdefault(unit, set()).add(rest[0])
    return _judge_edge(unit, rest[0])


def _judge_library(unit: str, top: str) -> str | None:
    allowed = LIBRARIES.get(unit)
    if allowed is None or top in allowed or top in sys.stdlib_module_names:
        return None
    return f"imports {top!r}; {unit} may import the standard library {sorted(allowed)} only"


def _judge_edge(unit: str, other: str) -> str | None:
    if unit == FACADE:
        return f"imports {other!r}: __init__ resolves names lazily"
    own, below = _layer(unit), _layer(other)
    assert own is not None and below is not None
    if below > own:
        return f"imports {other!r}, which is in a higher layer"
    if any(unit in group and other in group for group in SEPARATE):
        return f"imports {other!r}: the two stand apart (SEPARATE)"
    if unit in LIBRARIES and not LIBRARIES.get(other, {"anything"}) <= LIBRARIES[unit]:
        return f"imports {other!r}, which may import more libraries than {unit}"
    return None


def _layer(unit: str) -> int | None:
    return next((number for number, units in enumerate(LAYERS) if unit in units), None)


def _circles(graph: dict[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"import circle: {' -> '.join(reversed(error.args[1]))}"]
    return []


def test_every_import_of_the_project_runs_down(root: Path) -> None:
    sources = project_sources(root)
    assert "combsearch.errors" in sources and "combsearch.kernels.__init__" in sources
    found = violations(sources)
    assert not found, "\n" + "\n".join(found)


def test_the_table_names_each_unit_once() -> None:
    units = [unit for layer in LAYERS for unit in layer]
    assert len(units) == len(set(units))
    assert {unit for group in SEPARATE for unit in group} <= set(units)
    assert set(LIBRARIES) <= {*units, FACADE}


GOOD = {
    "combsearch.__init__": "import importlib\n__version__ = '1'",
    "combsearch.errors": "from __future__ import annotations",
    "combsearch.config": "from combsearch.errors import UsageError\nimport json",
    "combsearch.rng": "import numpy as np",
    "combsearch.kernels.__init__": "",
    "combsearch.kernels.cpu": "import numba\nfrom combsearch.kernels import layers",
    "combsearch.trainers.__init__": "from combsearch.trainers.loop import Loop",
    "combsearch.trainers.loop": "def fit():\n    import torch\n    import combsearch.kernels.cpu",
    "combsearch.cli": "from combsearch import __version__\nfrom combsearch import store, trainers",
}


def test_a_layered_project_passes() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("combsearch.mask", "from combsearch.store import RunStore", "'store', which is in a high"),
        ("combsearch.mask", "def f():\n    import combsearch.cli", "combsearch.mask:2: imports"),
        (
            "combsearch.nets",
            "if TYPE_CHECKING:\n    from combsearch.search.phase1 import run",
            "higher layer",
        ),
        ("combsearch.kernels.cpu", "from combsearch.errors import UsageError", "higher layer"),
        ("combsearch.kernels.cpu", "from .. import errors", "'errors', which is in a higher"),
        ("combsearch.tasks.toys", "from ..store import RunStore", "'store', which is in a higher"),
        ("combsearch.plots", "import combsearch.report.page", "the two stand apart"),
        ("combsearch.baselines.gmp", "from combsearch import search", "the two stand apart"),
        ("combsearch.store", "from combsearch import MaskBatch", "'combsearch.MaskBatch': neither"),
        ("combsearch.store", "import combsearch", "'combsearch': neither"),
        ("combsearch.store", "from combsearch import *", "neither"),
        ("combsearch.trainers.x", "from kernels import cpu", "bare 'kernels'"),
        ("combsearch.trainers.x", "import baselines.gmp", "bare 'baselines'"),
        ("combsearch.helpers", "", "unknown unit 'helpers': add it to its layer in LAYERS"),
        ("combsearch.helpers.deep", "", "unknown unit 'helpers'"),
        ("combsearch.__init__", "from combsearch.mask import NetShape", "resolves names lazily"),
        ("combsearch.config", "import numpy", "'numpy'; config may import the standard library"),
        ("combsearch.rng", "import torch.func", "'torch'; rng may import"),
        ("combsearch.config", "from combsearch.rng import philox", "may import more libraries"),
        (
            "combsearch.mask",
            "import importlib\nimportlib.import_module('combsearch.store')",
            "higher layer",
        ),
        ("combsearch.mask", "import_module(f'combsearch.trainers.{name}')", "higher layer"),
        ("combsearch.mask", "__import__('combsearch.cli')", "higher layer"),
    ],
)
def test_a_violation_is_found(module: str, source: str, message: str) -> None:
    found = violations({**GOOD, module: source})
    assert len(found) == 1, found
    assert message in found[0]
    assert found[0].startswith(module)


def test_a_circle_inside_a_layer_is_found() -> None:
    circle = {
        "combsearch.canonical": "from combsearch.counting import orbits",
        "combsearch.counting": "def f():\n    from combsearch.canonical import canonical_form",
    }
    [found] = violations({**GOOD, **circle})
    assert found.startswith("import circle: ")
    assert "canonical -> counting" in found and "counting -> canonical" in found


def test_sources_of_a_checkout_get_their_installed_names(tmp_path: Path) -> None:
    for path in ("combsearch/a/__init__.py", "combsearch/b.py", "kernels/c.py", "tests/d.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    assert set(project_sources(tmp_path)) == {
        "combsearch.a.__init__",
        "combsearch.b",
        "combsearch.kernels.c",
    }
