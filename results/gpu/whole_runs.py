"""Whole runs of the paper's recipe: the kernels for a GPU, executed on the CPU, against ``fused``.

The kernels' own source, compiled for the CPU (``tests/cuda_on_cpu``), trains dense networks for
all 19,500 steps; weights and momenta must be those of the CPU's kernel to the last bit, and the
right answers the same. Two minutes of a core and a C++ compiler; from the top of a checkout::

    PYTHONPATH=.:tests python results/gpu/whole_runs.py
"""

from __future__ import annotations

import numpy as np
from cuda_on_cpu import OnCpu

from combsearch import MLP, MaskBatch, NetBatch, NetShape, Recipe, RunKeys, get_trainer, load_task

RUNS = {(7, 3, 3): 64, (3, 3, 3): 64, (16, 16, 16): 16}  # a thread, a thread, a warp a network


def compare(hidden: tuple[int, ...], restarts: int) -> str:
    """A line on networks of one shape."""
    shape, recipe, task = NetShape.from_hidden(hidden), Recipe(lr=0.05), load_task("cubist_spiral")
    mask, cells = MaskBatch.dense_of(shape), [recipe.cell] * restarts
    keys = RunKeys.make(0, np.repeat(mask.keys(), restarts), cells, np.arange(restarts))
    start = NetBatch.create(MLP(shape), keys, mask)
    ours, fused = (t.fit(start, task, recipe, keys) for t in (OnCpu(), get_trainer("fused")))
    pairs = [(ours.params, fused.params), (ours.momenta, fused.momenta)]
    bits = all(np.array_equal(a[name], b[name]) for a, b in pairs for name in a)
    found, expected = OnCpu().score(ours, task), get_trainer("fused").score(fused, task)
    answers = np.array_equal(found.correct, expected.correct)
    return f"{shape}: {restarts} runs, same bits {bits}, same right answers {answers}"


if __name__ == "__main__":
    for hidden, restarts in RUNS.items():
        print(compare(hidden, restarts), flush=True)
