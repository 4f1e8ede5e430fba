"""What every test shares: quiet libraries, one thread, one cache of compiled kernels."""

from __future__ import annotations

import gc
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _cache_folder() -> Path:
    """A folder that outlives the session: kernels take seconds to compile.

    The virtual environment is the natural place (it goes when its libraries go); else a
    folder of this user's among the temporary ones. Never the user's own cache.
    """
    prefix = Path(sys.prefix)
    if sys.prefix != sys.base_prefix and os.access(prefix, os.W_OK):
        return prefix / "combsearch-cache"
    folder = Path(tempfile.gettempdir()) / f"combsearch-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    mine = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    if mine and not facts.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp())  # another user's: compiled code of theirs would run here


# Set before torch, numba or matplotlib is imported; child processes inherit all of it.
os.environ["MPLBACKEND"] = "Agg"
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ.setdefault("COMBSEARCH_CACHE", str(_cache_folder()))
# A developer's own defaults of commands must not decide a test; what is a machine's stays.
_MACHINE = (
    "COMBSEARCH_CACHE", "COMBSEARCH_DATA", "COMBSEARCH_LANES", "COMBSEARCH_OFFLINE",
    "COMBSEARCH_SCREENSHOTS",
)  # fmt: skip
for _name in [name for name in os.environ if name.startswith("COMBSEARCH_")]:
    if _name not in _MACHINE:
        del os.environ[_name]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def kernel_cache() -> Path:
    """The folder of compiled kernels that the whole session, child processes too, uses."""
    return Path(os.environ["COMBSEARCH_CACHE"])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped without it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no reference data beside the checkout ({folder.name}/)")
    return folder


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are no name: an archive holds the time it was made, and workers then disagree."""
    return argname if isinstance(val, bytes) else None


def pytest_collection() -> None:
    """Collect no garbage meanwhile: there is none, and each round visits torch and every test."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor look at these objects again: rounds are quick then."""
    gc.enable()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among several workers files with slow tests go first: none is left with one at the end."""
    if hasattr(config, "workerinput"):  # of pytest-xdist, which gives out whole files in order
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)
