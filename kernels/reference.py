"""The slow, obvious twin of ``cpu``: numpy, one sample after another.

Functions and arrays are those of ``cpu``, but for the number of lanes, which may be any,
and the type of number: all sums are made in that of ``w``, so float64 arrays tell how far
a float32 kernel is from the exact result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .layers import BLOCK

__all__ = ["gather", "gradient", "logits", "score", "train"]

Floats = npt.NDArray[Any]


def layers(w: Floats, widths: tuple[int, ...]) -> Iterator[tuple[Floats, Floats]]:
    """Views of the weights [out, in, lane] and biases [out, lane] in ``w`` [parameter, lane]."""
    at = 0
    for fan, out in itertools.pairwise(widths):
        weight, bias = w[at : at + out * fan], w[at + out * fan : at + out * fan + out]
        yield weight.reshape(out, fan, -1), bias
        at += out * (fan + 1)


def _activations(w: Floats, x: Floats, widths: tuple[int, ...]) -> list[Floats]:
    """What each layer gives for one sample ``x`` [inputs]: the inputs first, the logit last."""
    found = [np.repeat(x.astype(w.dtype)[:, None], w.shape[1], axis=1)]
    for weight, bias in layers(w, widths):
        if len(found) > 1:
            found[-1] = np.maximum(found[-1], 0)
        found.append((weight * found[-1]).sum(axis=1) + bias)
    return found


def logits(w: Floats, samples: Floats, widths: tuple[int, ...]) -> Floats:
    """Logits [sample, lane] of the networks ``w`` [parameter, lane]."""
    return np.stack([_activations(w, sample[:-1], widths)[-1][0] for sample in samples])


def gradient(w: Floats, sample: Floats, widths: tuple[int, ...]) -> Floats:
    """Of the cross-entropy of one sample, its label last: [parameter, lane]."""
    inputs = _activations(w, sample[:-1], widths)
    probability = np.exp(-np.logaddexp(0, -inputs.pop()))
    delta = probability - sample[-1].astype(w.dtype)
    parts: list[Floats] = []
    for weight, _ in reversed(list(layers(w, widths))):
        source = inputs.pop()
        parts[:0] = [(delta[:, None] * source).reshape(-1, w.shape[1]), delta]
        delta = (weight * delta[:, None]).sum(axis=0) * (source > 0)
    return np.concatenate(parts)


def gather(samples: Floats, orders: npt.NDArray[np.int32], batch: int) -> Floats:
    """See ``cpu.gather``."""
    padding = np.zeros((-batch % BLOCK, samples.shape[1]), samples.dtype)
    return np.stack(
        [
            np.concatenate(
                [
                    part
                    for start in range(0, len(order) - batch + 1, batch)
                    for part in (samples[order[start : start + batch]], padding)
                ]
            )
            for order in orders
        ]
    )


def train(
    w: Floats, v: Floats, m: Floats, rates: Floats, batches: Floats, widths: tuple[int, ...], *,
    batch: int, first: int, last: int, momentum: float, decay: float,
) -> None:  # fmt: skip
    """See ``cpu.train``."""
    padded = batch + -batch % BLOCK
    steps = batches.shape[1] // padded
    for step in range(first, last):
        epoch, start = step // steps, step % steps * padded
        for wg, vg, mg, rg in zip(w, v, m, rates, strict=True):
            g = np.zeros_like(wg)
            for sample in batches[epoch - first // steps, start : start + batch]:
                g += gradient(wg, sample, widths)
            vg[:] = momentum * vg + (g / batch + decay * wg)
            wg[:] = np.where(mg > 0, wg - rg[epoch] * vg, 0)


def score(
    w: Floats, samples: Floats, widths: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """See ``cpu.score``."""
    correct, finite = [], []
    for group in w:
        z = logits(group, samples, widths)
        correct.append(((z > 0) == (samples[:, -1:] > 0)).sum(axis=0))
        finite.append(np.isfinite(z).all(axis=0) & np.isfinite(group).all(axis=0))
    return np.array(correct), np.array(finite)
