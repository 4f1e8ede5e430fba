"""SLURM's programs: those of this machine, or Debian's packages unpacked into a private folder.

Nothing is installed: ``apt-get download`` and ``dpkg-deb --extract`` need no rights, and the
programs find their libraries, plugins and settings by what `Programs` and the cluster tell them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DAEMONS = ("munged", "mungekey", "slurmctld", "slurmd", "slurmstepd")
CLIENTS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")


class NoSlurm(Exception):
    """This machine neither has SLURM nor can get it; the message is one plain line."""


@dataclass(frozen=True)
class Programs:
    """Where the programs lie.

    Attributes:
        paths: file of each name of DAEMONS and CLIENTS.
        libraries: folders with libraries that are not this system's; none where installed.
        plugins: folder of SLURM's plugins; None: where the programs look by themselves.
    """

    paths: dict[str, Path]
    libraries: tuple[Path, ...] = ()
    plugins: Path | None = None

    def environment(self) -> dict[str, str]:
        """What the programs need to be told to find their libraries."""
        return {"LD_LIBRARY_PATH": ":".join(map(str, self.libraries))} if self.libraries else {}


def find_programs(folder: Path) -> Programs:
    """The installed programs, else Debian's unpacked into ``folder``; raises NoSlurm."""
    return _installed() or unpack_programs(folder)


def _installed() -> Programs | None:
    search = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    found = {name: shutil.which(name, path=search) for name in (*DAEMONS, *CLIENTS)}
    paths = {name: Path(path) for name, path in found.items() if path}
    return Programs(paths) if len(paths) == len(found) else None


def unpack_programs(folder: Path) -> Programs:
    """Debian's packages, and those they need that this machine lacks, below ``folder``."""
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise NoSlurm(f"no SLURM here: it is not installed and there is no {tool} to get it")
    packages, root = folder / "packages", folder / "root"
    packages.mkdir(parents=True)
    root.mkdir()
    _download(packages)
    for package in sorted(packages.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(root)])
    return _unpacked(root)


def _download(packages: Path) -> None:
    """By the system's lists of packages; where they are old or none, by fresh ones of our own."""
    apt = ["apt-get", "-q", "-o", "Acquire::http::Timeout=10"]
    try:
        _fetch(apt, packages)
    except NoSlurm:
        apt += ["-o", f"Dir::State::Lists={packages / 'lists'}", "-o", f"Dir::Cache={packages}"]
        (packages / "lists" / "partial").mkdir(parents=True)
        _run([*apt, "update"])
        _fetch(apt, packages)


def _fetch(apt: Sequence[str], packages: Path) -> None:
    """What an installation would add."""
    said = _run([*apt, "--simulate", "--no-install-recommends", "install", *PACKAGES])
    names = re.findall(r"^Inst (\S+)", said, re.MULTILINE)
    _run([*apt, "download", *names], cwd=packages)


def _run(command: Sequence[str], timeout: float = 60, cwd: Path | None = None) -> str:
    """What a command of the system says; NoSlurm with the last line of its error."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=environment,
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise NoSlurm(f"no SLURM here: {command[0]} took more than {timeout} s") from error
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise NoSlurm(f"no SLURM here: {command[0]}: {said[-1] if said else error}") from error
    return done.stdout


def _unpacked(root: Path) -> Programs:
    folders = [root / "usr" / part for part in ("bin", "sbin")]
    for folder in folders:
        for program in folder.glob("*-wlm"):
            # As an installation does. Not only a name: by it the daemons know what they are.
            (folder / program.name.removesuffix("-wlm")).symlink_to(program.name)
    files = {path.name: path for folder in folders for path in folder.iterdir()}
    plugins = next(root.glob("usr/lib/*/slurm-wlm/auth_munge.so"), None)
    missing = [name for name in (*DAEMONS, *CLIENTS) if name not in files]
    if missing or plugins is None:
        wanted = ", ".join(missing) or "auth_munge.so"
        raise NoSlurm(f"no SLURM here: the packages that apt-get gave hold no {wanted}")
    paths = {name: files[name] for name in (*DAEMONS, *CLIENTS)}
    return Programs(paths, (plugins.parent.parent, plugins.parent), plugins.parent)
