"""Debian's packages, unpacked into a private folder: nothing is installed, no rights are needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class NoPackages(Exception):
    """They cannot be had here; the message is one plain line."""


def unpack(names: Sequence[str], folder: Path) -> Path:
    """Packages, and those they need that this machine lacks, below ``folder``; their root.

    Raises:
        NoPackages: there is no apt-get, or it does not get them.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise NoPackages(f"it is not installed and there is no {tool} to get it")
    packages, root = folder / "packages", folder / "root"
    packages.mkdir(parents=True)
    root.mkdir()
    _download(names, packages)
    for package in sorted(packages.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(root)])
        package.unlink()
    return root


def _download(names: Sequence[str], packages: Path) -> None:
    """By the system's lists of packages; where they are old or none, by fresh ones of our own."""
    apt = ["apt-get", "-q", "-o", "Acquire::http::Timeout=10"]
    try:
        _fetch(apt, names, packages)
    except NoPackages:
        apt += ["-o", f"Dir::State::Lists={packages / 'lists'}", "-o", f"Dir::Cache={packages}"]
        (packages / "lists" / "partial").mkdir(parents=True)
        _run([*apt, "update"])
        _fetch(apt, names, packages)


def _fetch(apt: Sequence[str], names: Sequence[str], packages: Path) -> None:
    """What an installation would add."""
    said = _run([*apt, "--simulate", "--no-install-recommends", "install", *names])
    found = re.findall(r"^Inst (\S+)", said, re.MULTILINE)
    _run([*apt, "download", *found], timeout=300, cwd=packages)


def _run(command: Sequence[str], timeout: float = 60, cwd: Path | None = None) -> str:
    """What a command of the system says; NoPackages with the last line of its error."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=environment,
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise NoPackages(f"{command[0]} took more than {timeout:g} s") from error
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise NoPackages(f"{command[0]}: {said[-1] if said else error}") from error
    return done.stdout
