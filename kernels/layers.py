"""The operations that the kernels are made of, as numba intrinsics; ``emit`` writes their code.

Arguments: ``w``, ``v``, ``m``, ``g`` parameters, velocities, masks and gradients, ``a`` and ``e``
activations and deltas, ``x`` samples; ``at``, ``source``, ``to``, ``delta``, ``active`` where in
an array a layer starts; ``fan`` and ``out`` a layer's neurons before and behind its weights.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from . import emit
from .vector import operation

BLOCK = emit.BLOCK


@intrinsic
def first_layer(_context, w, x, sample, a, to, inputs, out):
    """Activations of the first layer, from the samples."""
    return operation(emit.write_first, "aaiaiii", (w, x, sample, a, to, inputs, out))


@intrinsic
def hidden_layer(_context, w, at, a, source, to, fan, out):
    """Activations of a later hidden layer."""
    return operation(emit.write_hidden, "aiaiiii", (w, at, a, source, to, fan, out))


@intrinsic
def output_step(_context, w, g, at, a, source, fan, x, sample, inputs, valid, e):
    """Output layer, forward and backward: its gradients and the deltas of its inputs.

    The derivative of the cross-entropy by the logit is sigmoid(logit) - label.
    """
    arguments = (w, g, at, a, source, fan, x, sample, inputs, valid, e)
    return operation(emit.write_output, "aaiaiiaiiia", arguments)


@intrinsic
def output_score(_context, w, at, a, source, fan, x, sample, inputs, samples, score):
    """Adds right answers to score[0]; makes score[1] NaN where a logit is not finite."""
    arguments = (w, at, a, source, fan, x, sample, inputs, samples, score)
    return operation(emit.write_output_score, "aiaiiaiiia", arguments)


@intrinsic
def hidden_delta(_context, w, at, e, source, to, a, active, fan, out):
    """Deltas of a layer's inputs from the deltas of its outputs."""
    return operation(emit.write_delta, "aiaiiaiii", (w, at, e, source, to, a, active, fan, out))


@intrinsic
def gradient(_context, g, at, e, delta, a, source, fan, out):
    """Adds the block's gradients of a later layer's parameters."""
    return operation(emit.write_gradient, "aiaiaiii", (g, at, e, delta, a, source, fan, out))


@intrinsic
def first_gradient(_context, g, e, delta, x, sample, inputs, out):
    """Adds the block's gradients of the first layer's parameters."""
    return operation(emit.write_first_gradient, "aaiaiii", (g, e, delta, x, sample, inputs, out))


@intrinsic
def first_step(_context, w, g, at, e, source, a, active, x, sample, inputs, fan, out):
    """The first layer's gradients from the deltas of the second; its own deltas are not stored."""
    arguments = (w, g, at, e, source, a, active, x, sample, inputs, fan, out)
    return operation(emit.write_first_step, "aaiaiaiaiiii", arguments)


@intrinsic
def update(_context, w, v, m, g, lr, rate, count, mean, decay, momentum):
    """One step of SGD with momentum and weight decay, masked; clears the gradients."""
    arguments = (w, v, m, g, lr, rate, count, mean, decay, momentum)
    return operation(emit.write_update, "aaaaaiifff", arguments)


@intrinsic
def clear(_context, e, count):
    """Zero the first ``count`` vectors."""
    return operation(emit.write_clear, "ai", (e, count))


@intrinsic
def align_stack(_context):
    """Align the caller's frame to 64 bytes: else every spilled vector straddles cache lines."""

    def generate(context: Any, builder: Any, _signature: Any, _values: Any) -> Any:
        builder.function.attributes.alignstack = 64
        return context.get_dummy_value()

    return types.void(), generate
