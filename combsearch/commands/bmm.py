"""What a careful user would write by hand: all networks in batched matrix products, compiled.

The yardstick of ``combsearch bench``; nothing else uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from combsearch.mask import NetShape
from combsearch.tasks import Task

Parameters = list[torch.Tensor]


def _step(
    w: Parameters,
    v: Parameters,
    m: Parameters,
    x: torch.Tensor,
    y: torch.Tensor,
    rate: torch.Tensor,
) -> tuple[Parameters, Parameters]:
    """One step of SGD for n networks: w = [weight [n, out, in], bias [n, out, 1], ...].

    x is [n, in, batch], y [batch], rate [n, 1, 1].
    """
    activations = [x]
    for layer in range(0, len(w), 2):
        z = torch.baddbmm(w[layer + 1], w[layer], activations[-1])
        activations.append(torch.relu(z) if layer + 2 < len(w) else z)
    delta = (torch.sigmoid(activations[-1]) - y) / y.shape[0]
    gradients: Parameters = []
    for layer in range(len(w) - 2, -1, -2):
        below = activations[layer // 2]
        gradients[:0] = [torch.bmm(delta, below.transpose(1, 2)), delta.sum(2, keepdim=True)]
        if layer:
            delta = torch.bmm(w[layer].transpose(1, 2), delta) * (below > 0)
    v = [0.9 * old + (g + 5e-4 * p) for old, g, p in zip(v, gradients, w, strict=True)]
    return [(p - rate * u) * k for p, u, k in zip(w, v, m, strict=True)], v


def compiled_bmm_seconds(task: Task, shape: NetShape, count: int, steps: int) -> float:
    """Seconds a step of ``count`` networks, best of ``steps``, after compiling.

    Raises:
        Exception: whatever torch.compile raises where it has no compiler.
    """
    generator = np.random.default_rng(0)

    def draw(*size: int) -> torch.Tensor:
        return torch.tensor(generator.uniform(-0.25, 0.25, size), dtype=torch.float32)

    w: Parameters = []
    for out, fan in shape.layers:
        w += [draw(count, out, fan), draw(count, out, 1)]
    state: Any = (w, [torch.zeros_like(p) for p in w])
    ones, rate = [torch.ones_like(p) for p in w], torch.full((count, 1, 1), 0.05)
    step: Callable[..., Any] = torch.compile(_step)
    best = float("inf")
    with torch.no_grad():
        for number in range(steps + 3):
            rows = generator.integers(0, task.points, 128)
            x = torch.from_numpy(task.x[rows].T.copy()).expand(count, -1, -1)
            y = torch.from_numpy(task.y[rows].astype(np.float32))
            started = time.perf_counter()
            state = step(*state, ones, x, y, rate)
            if number >= 3:
                best = min(best, time.perf_counter() - started)
    return best
