"""``combsearch study dctps parameters``, ``... allocate`` and ``... bench``: no training.

Standard library only at import, so that ``--help`` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combsearch.commands.study_dctps_allocate import add_allocate
from combsearch.commands.study_dctps_bench import add_bench
from combsearch.commands.study_dctps_parameters import add_parameters

if TYPE_CHECKING:
    from combsearch.commands.tree import Commands


def add_tools(commands: Commands) -> None:
    """Add ``parameters``, ``allocate`` and ``bench`` to the commands of the study.

    Their parsers set ``module``, ``function`` and ``parser``, as those of other commands do.
    """
    add_parameters(commands)
    add_allocate(commands)
    add_bench(commands)
