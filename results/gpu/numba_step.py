"""The kernel of kernels/cuda/thread.cu once more, as Python source for numba-cuda.

numba has no templates and puts what is indexed in a loop into memory, so every parameter is a
scalar of its own and every sum is written out, one operation a line, in the order of thread.cu.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from combsearch.kernels import sigmoid

HEAD = """\
import numpy as np
from numba import cuda
from numba.cuda import libdevice

F = np.float32
ZERO, ONE, LIMIT, ROUND, MINUS_LOG2E = {constants}
{exp2}

@cuda.jit(device=True, inline=True)
def sigmoid(z):
    z = libdevice.fminf(libdevice.fmaxf(z, -LIMIT), LIMIT)
    shifted = libdevice.fmaf_rn(z, MINUS_LOG2E, ROUND)
    rest = libdevice.fmaf_rn(z, MINUS_LOG2E, libdevice.fsub_rn(ROUND, shifted))
    power = libdevice.fmaf_rn(rest, EXP2_5, EXP2_4)
    power = libdevice.fmaf_rn(rest, power, EXP2_3)
    power = libdevice.fmaf_rn(rest, power, EXP2_2)
    power = libdevice.fmaf_rn(rest, power, EXP2_1)
    power = libdevice.fmaf_rn(rest, power, EXP2_0)
    bits = libdevice.float_as_int(power)
    bits += np.int32(libdevice.float_as_int(shifted) << np.int32(23))
    power = libdevice.int_as_float(np.int32(bits))
    return libdevice.frcp_rn(libdevice.fadd_rn(ONE, power))

@cuda.jit(device=True, inline=True)
def fma(x, y, z):
    return libdevice.fmaf_rn(x, y, z)

@cuda.jit(device=True, inline=True)
def rectified(value):
    return ZERO if value < ZERO else value

@cuda.jit(device=True, inline=True)
def where_positive(test, value):
    return value if test > ZERO else ZERO

def train(w, v, masks, rates, samples, networks, batch, steps, first, last, momentum, decay, mean):
    lane = cuda.threadIdx.x
    index = cuda.blockIdx.x * np.int32({threads}) + lane
    if index >= networks:
        return
    velocity = cuda.shared.array(0, np.float32)
"""


def source(widths: tuple[int, ...], threads: int) -> str:
    """A Python module whose ``train`` is that kernel for networks with these neurons a layer."""
    offsets = _offsets(widths)
    parameters = offsets[-1]
    constants = (0.0, 1.0, sigmoid.LIMIT, sigmoid.ROUND, sigmoid.MINUS_LOG2E)
    head = HEAD.format(
        constants=", ".join(f"F({value!r})" for value in constants),
        exp2="\n".join(f"EXP2_{power} = F({value!r})" for power, value in enumerate(sigmoid.EXP2)),
        threads=threads,
    )
    every = range(parameters)
    body = [
        *(f"m{k} = masks[index, {k}]" for k in range(-(-parameters // 32))),
        *(f"w{p} = w[index, {p}]" for p in every),
        *(f"velocity[{p * threads} + lane] = v[index, {p}]" for p in every),
        "at_sample = np.int32(0)",
        "for at in range(first, last):",
        *(f"    g{p} = ZERO" for p in every),
        "    for b in range(batch):",
        *(f"        {line}" for line in _sample(widths, offsets)),
        "        at_sample += np.int32(1)",
        "    rate = rates[index, at // steps]",
        *(f"    {line}" for p in every for line in _step(p, threads)),
        *(f"w[index, {p}] = w{p}" for p in every),
        *(f"v[index, {p}] = velocity[{p * threads} + lane]" for p in every),
    ]
    return head + "".join(f"    {line}\n" for line in body)


def _offsets(widths: tuple[int, ...]) -> list[int]:
    """Where the parameters of each layer start, and the end of the last."""
    sizes = [(fan + 1) * out for fan, out in itertools.pairwise(widths)]
    return [0, *itertools.accumulate(sizes)]


def _sample(widths: tuple[int, ...], offsets: list[int]) -> Iterator[str]:
    """Forward and backward of one sample: ``a{layer}_{neuron}`` activations, ``d`` deltas."""
    layers = list(enumerate(itertools.pairwise(widths)))
    last = len(layers)
    yield from (f"a0_{i} = samples[at_sample, {i}]" for i in range(widths[0]))
    for k, (fan, out) in layers:
        for n in range(out):
            yield f"s = w{offsets[k] + fan * out + n}"
            for i in range(fan):
                yield f"s = fma(w{offsets[k] + n * fan + i}, a{k}_{i}, s)"
            yield f"a{k + 1}_{n} = {'rectified(s)' if k + 1 < last else 's'}"
    label = f"samples[at_sample, {widths[0]}]"
    yield f"d{last}_0 = libdevice.fsub_rn(sigmoid(a{last}_0), {label})"
    for k, (fan, out) in reversed(layers):
        for i in range(fan if k else 0):
            yield "s = ZERO"
            for n in range(out):
                yield f"s = fma(w{offsets[k] + n * fan + i}, d{k + 1}_{n}, s)"
            yield f"d{k}_{i} = where_positive(a{k}_{i}, s)"
        for n in range(out):
            for i in range(fan):
                p = offsets[k] + n * fan + i
                yield f"g{p} = fma(d{k + 1}_{n}, a{k}_{i}, g{p})"
            p = offsets[k] + fan * out + n
            yield f"g{p} = libdevice.fadd_rn(g{p}, d{k + 1}_{n})"


def _step(p: int, threads: int) -> Iterator[str]:
    """SGD with momentum and weight decay of one parameter."""
    yield f"gradient = fma(decay, w{p}, libdevice.fmul_rn(g{p}, mean))"
    yield f"momenta = fma(momentum, velocity[{p * threads} + lane], gradient)"
    yield f"velocity[{p * threads} + lane] = momenta"
    kept = f"m{p // 32} >> np.int32({p % 32}) & np.int32(1)"
    yield f"w{p} = fma(-rate, momenta, w{p}) if {kept} else ZERO"
