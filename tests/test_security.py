"""What no user's file or name may do: run code, lead out of its folder, be swapped for another.

The first tests read the source: what unpickles, evaluates, calls a shell or uses a name in a
folder that others share must not be there at all. Hostile files are in the tests of their readers
and in ``soak/fuzz.py``, hostile run names in ``test_runfile.py``.
"""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from searching import write_task
from soaking import QUICK, TASK, in_process
from test_layers import project_sources

from combsearch import durable
from combsearch.errors import CombsearchError

UNPICKLERS = frozenset({"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"})
SHELLS = frozenset({"eval", "exec", "os.system", "os.popen", "commands.getoutput"})
SHARED_NAMES = frozenset({"tempfile.mktemp", "tempfile.gettempdir", "os.tempnam", "os.tmpnam"})
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
# A loader that can unpickle -> the argument that forbids it, and which must be spelt out.
LOADERS = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
}
CALLED = frozenset(name.split(".")[-1] for name in {*SHELLS, *SHARED_NAMES, *LOADERS, "load"})


def faults(source: str) -> Iterator[str]:
    """What is forbidden in a module, as ``line: what``."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or "", *names]
            for module in modules:
                if module.split(".")[0] in UNPICKLERS:
                    yield f"{line}: imports {module}"
        elif isinstance(node, ast.Call):
            yield from (f"{line}: {what}" for what in _faults_of(node))
        elif isinstance(node, ast.Constant) and str(node.value).startswith(SHARED_FOLDERS):
            yield f"{line}: names {node.value!r}"


def _faults_of(call: ast.Call) -> Iterator[str]:
    last = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if isinstance(call.func, ast.Attribute) and last not in CALLED and not call.keywords:
        return  # most calls: their names need not be put together
    name = ast.unparse(call.func)
    given = {one.arg: ast.unparse(one.value) for one in call.keywords}
    if name in SHELLS or name in SHARED_NAMES or name.endswith("joblib.load"):
        yield f"calls {name}"
    if given.get("shell", "False") != "False":
        yield f"{name} with a shell"
    if name in LOADERS:
        key, value = LOADERS[name]
        if given.get(key) != str(value):
            yield f"{name} without {key}={value}"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import pickle", "1: imports pickle"),
        ("from pickle import loads", "1: imports pickle"),
        ("x = 1\nnp.load(file)", "2: np.load without allow_pickle=False"),
        ("np.load(file, allow_pickle=True)", "1: np.load without allow_pickle=False"),
        ("torch.load(f, map_location='cpu')", "1: torch.load without weights_only=True"),
        ("subprocess.run(line, shell=True)", "1: subprocess.run with a shell"),
        ("eval(text)", "1: calls eval"),
        ("open('/tmp/x')", "1: names '/tmp/x'"),
        ("tempfile.mktemp()", "1: calls tempfile.mktemp"),
    ],
)
def test_what_is_forbidden_is_seen(source: str, what: str) -> None:
    assert list(faults(source)) == [what]


def test_nothing_forbidden_is_in_the_source(root: Path) -> None:
    found = [
        f"{module}:{fault}"
        for module, source in project_sources(root).items()
        for fault in faults(source)
    ]
    assert found == []


def test_files_and_folders_have_ordinary_permissions(tmp_path: Path) -> None:
    write_task(tmp_path / TASK)
    before = os.umask(0o027)
    try:
        assert in_process(*QUICK, "--run=r", "--jobs=1", cwd=tmp_path).code == 0
        ended = in_process("export", "r", "-o=net.npz", cwd=tmp_path)
    finally:
        os.umask(before)
    assert ended.code == 0, ended.err
    made = [tmp_path / "net.npz", *(tmp_path / "runs").rglob("*")]
    assert len(made) > 10
    for path in made:
        wanted = 0o750 if path.is_dir() else 0o640
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


@pytest.mark.parametrize("commit", [durable.write_bytes, durable.commit_new])
def test_a_link_with_the_name_of_a_temporary_file_is_not_followed(
    commit: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".combsearch-{durable._machine()}-{os.getpid()}-00000000.tmp").symlink_to(victim)
    assert callable(commit)
    with pytest.raises(CombsearchError, match="exists"):
        commit(tmp_path / "summary.json", b"{}")
    assert victim.read_bytes() == b"precious" and not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        "phase1 --width=2 --depth=2 --batch-size=16",
        "phase2 --shape=2,1 --batch-size=16",
        "exhaust --width=2 --depth=2 --max-nonzeros=9 --batch-size=16",
        "descend --shapes=2x2",
        "prune --widths=2 --methods=random_uniform --budgets=5 --restarts=1 --batch-size=16",
    ],
)
def test_every_command_refuses_a_name_that_leads_out_of_its_folder(
    command: str, tmp_path: Path
) -> None:
    folder = tmp_path / "inside"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "out").symlink_to(tmp_path)
    write_task(folder / TASK)
    before = sorted(tmp_path.rglob("*"))
    for name in ("../x", "/x", "a/../../x", "a\0b", "out/x"):
        ended = in_process(*command.split(), f"--task={TASK}", f"--run={name}", cwd=folder)
        assert ended.code == 2 and f"run name {name!r}: " in ended.error, ended.err
        assert sorted(tmp_path.rglob("*")) == before
