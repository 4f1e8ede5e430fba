"""SLURM's programs: those of this machine, or Debian's packages unpacked into a private folder.

Nothing is installed: ``apt-get download`` and ``dpkg-deb --extract`` need no rights, and the
programs find their libraries, plugins and settings by what `Programs` and the cluster tell them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import debian

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
    try:
        return _unpacked(debian.unpack(PACKAGES, folder))
    except debian.NoPackages as reason:
        raise NoSlurm(f"no SLURM here: {reason}") from reason


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
