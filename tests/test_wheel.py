"""The wheel: it holds every package under its installed name and runs where nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import combsearch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(os.environ.get("COMBSEARCH_OFFLINE")),
        reason="COMBSEARCH_OFFLINE is set: building needs a package index",
    ),
]

FOLDERS = {
    "combsearch": "combsearch",
    "baselines": "combsearch/baselines",
    "kernels": "combsearch/kernels",
}
# A user's shell as far as it matters here; above all without PYTHONPATH.
INHERITED = ("HOME", "LANG", "PATH", "SSL_CERT_FILE", "TMPDIR", "COMBSEARCH_CACHE", "MPLBACKEND")

IMPORT_ALL = """
import importlib, pkgutil
import combsearch, combsearch.baselines, combsearch.kernels
for found in pkgutil.walk_packages(combsearch.__path__, "combsearch."):
    if not found.name.endswith(".__main__"):
        importlib.import_module(found.name)
        print(found.name)
"""


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """Standard output of a command that must succeed; it sees INHERITED, pip's settings, more."""
    kept = {k: v for k, v in os.environ.items() if k in INHERITED or k.startswith("PIP_")} | more
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as a fresh clone has it: what was built before is left out."""
    copy = tmp_path_factory.mktemp("wheel") / "source"
    built = shutil.ignore_patterns(
        ".*", "*.egg-info", "__pycache__", "build", "dist", "runs", "results"
    )
    shutil.copytree(root, copy, ignore=built)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel, built from the source distribution, so that this one is complete as well."""
    out = source.parent / "dist"
    run(sys.executable, "-m", "build", "--outdir", out, source, cwd=source.parent)
    [built] = out.glob("*.whl")
    return built


def dependencies(wheel: Path) -> dict[str, metadata.Distribution]:
    """What is installed here of all that the wheel needs, directly or not, by name."""
    [about] = (path for path in zipfile.Path(wheel).iterdir() if path.name.endswith(".dist-info"))
    waiting: list[tuple[metadata.Distribution, set[str]]] = [
        (metadata.PathDistribution(about), set())
    ]
    found, seen = {}, set()
    while waiting:
        distribution, extras = waiting.pop()
        for text in distribution.requires or ():
            need = Requirement(text)
            asked = need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            if asked and (name := (need.name, frozenset(need.extras))) not in seen:
                seen.add(name)
                found[need.name] = metadata.distribution(need.name)
                waiting.append((found[need.name], need.extras))
    return found


def link_into(folder: Path, distribution: metadata.Distribution) -> None:
    """Each file and package of an installed distribution as a link."""
    assert distribution.files, f"{distribution.name} does not say what it installed"
    tops = {path.parts[0] for path in distribution.files} - {"..", "__pycache__"}
    for top in tops:
        if not (folder / top).exists():  # a namespace is one of several distributions
            (folder / top).symlink_to(str(distribution.locate_file(top)))


@pytest.fixture(scope="module")
def bin_folder(wheel: Path) -> Iterator[Path]:
    """Commands of a new virtual environment that holds the wheel, what it depends on, and pip.

    All but the wheel are links to what is in this environment, where ``make`` has installed
    it by the same requirements: a gigabyte is neither unpacked nor deleted.
    """
    venv = wheel.parent.parent / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=wheel.parent)
    [folder] = venv.glob("lib/python3*/site-packages")
    for distribution in (*dependencies(wheel).values(), metadata.distribution("pip")):
        link_into(folder, distribution)
    install = ("-m", "pip", "install", "--quiet", "--no-deps")
    run(venv / "bin" / "python", *install, wheel, cwd=wheel.parent)
    yield venv / "bin"
    shutil.rmtree(venv)


def expected_files(source: Path) -> set[str]:
    """Names in the wheel of all files that lie in the package folders."""
    return {
        f"{installed}/{path.relative_to(source / folder).as_posix()}"
        for folder, installed in FOLDERS.items()
        for path in (source / folder).rglob("*")
        if path.is_file()
    }


def test_wheel_holds_every_file_of_every_package_and_nothing_else(
    source: Path, wheel: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - metadata == expected_files(source)
    assert {name.split("/")[0] for name in names - metadata} == {"combsearch"}
    assert "combsearch/py.typed" in names
    assert {"combsearch/kernels/__init__.py", "combsearch/baselines/__init__.py"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in metadata)


def test_every_folder_with_modules_is_a_package(source: Path) -> None:
    folders = {
        path.parent
        for folder in FOLDERS
        for path in (source / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert not folders, f"without an __init__.py these are not installed: {sorted(folders)}"


def test_every_module_imports_with_the_declared_dependencies_alone(
    bin_folder: Path, tmp_path: Path
) -> None:
    imported = run(bin_folder / "python", "-c", IMPORT_ALL, cwd=tmp_path).split()
    assert {"combsearch.errors", "combsearch.kernels", "combsearch.baselines"} <= set(imported)
    where = run(
        bin_folder / "python", "-c", "import combsearch; print(combsearch.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(bin_folder.parent)


def test_dependencies_agree(bin_folder: Path, tmp_path: Path) -> None:
    run(bin_folder / "python", "-m", "pip", "check", cwd=tmp_path)


def test_command_shows_its_help_and_version(bin_folder: Path, tmp_path: Path) -> None:
    command = bin_folder / "combsearch"
    assert "phase1" in run(command, "--help", cwd=tmp_path)
    assert combsearch.__version__ in run(command, "--version", cwd=tmp_path)


def test_command_runs_a_search(bin_folder: Path, tmp_path: Path) -> None:
    tiny = ("--task", "xor", "--width", "2", "--restarts", "1", "--epochs", "2", "--jobs", "1")
    command = (bin_folder / "combsearch", "phase1", "--json", *tiny)
    # Kernels in a new place are compiled anew: in a quarter of the time, and not to be kept.
    quick = {"NUMBA_OPT": "0", "COMBSEARCH_CACHE": str(tmp_path / "cache")}
    report = json.loads(run(*command, cwd=tmp_path, **quick))
    assert report["trained"] == 8 * 6
    assert (tmp_path / report["run_folder"] / "best.npz").exists()
