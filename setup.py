"""The packages and where they lie; everything else stands in pyproject.toml.

Declarative metadata can either search for packages or map folders to names. This
project needs both: ``kernels/`` and ``baselines/`` lie beside ``combsearch/`` and are
installed inside it, and a new package folder must not have to be listed anywhere.
"""

from __future__ import annotations

from setuptools import find_packages, setup

BESIDE = ("baselines", "kernels")

packages = find_packages(include=["combsearch", "combsearch.*"])
for folder in BESIDE:
    found = find_packages(include=[folder, f"{folder}.*"])
    packages += [f"combsearch.{name}" for name in found]

setup(
    packages=packages,
    package_dir={f"combsearch.{folder}": folder for folder in BESIDE},
)
