"""``combsearch bench --gpu``: the trainers on a GPU, right and how quick, in under eight minutes.

Needs PyTorch with CUDA, numpy and CUDA's compiler only: what the CPU makes of the same networks
comes along in ``reference.npz``. A piece that fails is reported, the others go on.
"""

from __future__ import annotations

from combsearch.commands.gpu_check.command import gpu_check_command

__all__ = ["gpu_check_command"]
