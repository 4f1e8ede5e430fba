"""A saved network in plain numpy: unpacking, and its activations over the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError

if TYPE_CHECKING:
    from combsearch.mask import NetShape
    from combsearch.tasks import Task

F32: TypeAlias = npt.NDArray[np.float32]
Layers: TypeAlias = tuple[list[F32], list[F32]]
Shape: TypeAlias = "NetShape | Sequence[int]"
Parameters: TypeAlias = "npt.ArrayLike | Mapping[str, npt.ArrayLike]"

REACH = 2.25  # the paper draws the standardised spiral over [-2.25, 2.25] squared


def widths_of(shape: Shape) -> tuple[int, ...]:
    """Widths with input and output of a ``NetShape`` or of a plain sequence."""
    widths = shape if isinstance(shape, Sequence) else shape.widths
    return tuple(int(width) for width in widths)


def unpack(shape: Shape, parameters: Parameters) -> Layers:
    """Weights (float32 [out, in] a layer) and biases (float32 [out] a layer) of one network.

    ``parameters`` is the flat column of saved rows (weight0 row-major, bias0, weight1, ...)
    or a mapping with weight0, bias0, ..., as a ``NetBatch`` holds; a leading batch axis
    of length 1 is dropped.

    Raises:
        UsageError: when sizes do not fit ``shape``, or a parameter is not finite.
    """
    widths = widths_of(shape)
    sizes = list(zip(widths[1:], widths[:-1], strict=True))
    if isinstance(parameters, Mapping):
        extra = [name for name in parameters if name not in _names(len(sizes))]
        if extra:
            raise UsageError(f"shape {widths} has no {extra[0]!r}")
        flat = np.concatenate([_named(parameters, layer, size) for layer, size in enumerate(sizes)])
    else:
        flat = np.asarray(parameters, np.float32).ravel()
    needed = sum(rows * columns + rows for rows, columns in sizes)
    if len(flat) != needed:
        raise UsageError(f"shape {widths} has {needed} parameters, but {len(flat)} were given")
    if not np.isfinite(flat).all():
        raise UsageError("the network has parameters that are not finite: it diverged")
    weights, biases, at = [], [], 0
    for rows, columns in sizes:
        weights.append(flat[at : at + rows * columns].reshape(rows, columns))
        at += rows * columns
        biases.append(flat[at : at + rows])
        at += rows
    return weights, biases


def _names(layers: int) -> set[str]:
    return {f"{kind}{layer}" for layer in range(layers) for kind in ("weight", "bias")}


def _named(parameters: Mapping[str, npt.ArrayLike], layer: int, size: tuple[int, int]) -> F32:
    """One layer of a mapping, flat, its shapes checked: a transposed weight has the same size."""
    flat = []
    for name, expected in ((f"weight{layer}", size), (f"bias{layer}", size[:1])):
        if name not in parameters:
            raise UsageError(f"no {name!r} among the parameters (given: {', '.join(parameters)})")
        value = np.asarray(parameters[name], np.float32)
        if value.shape not in (expected, (1, *expected)):
            raise UsageError(f"{name} has shape {value.shape}, expected {expected}")
        flat.append(value.ravel())
    return np.concatenate(flat)


def check_plane(weights: Sequence[F32], task: Task | None) -> None:
    """Whether a network, and the task if any, can be drawn over a plane.

    Raises:
        UsageError: unless there are two inputs and one output.
    """
    inputs, outputs = weights[0].shape[1], weights[-1].shape[0]
    if (inputs, outputs) != (2, 1):
        raise UsageError(
            f"only networks with 2 inputs and 1 output can be drawn over a plane, "
            f"this one has {inputs} and {outputs}"
        )
    if task is not None and task.x.shape[1] != 2:
        raise UsageError(
            f"task {task.name!r} has {task.x.shape[1]} columns: only points in a plane can be drawn"
        )


def activations(weights: Sequence[F32], biases: Sequence[F32], x: F32) -> list[F32]:
    """Output of every layer, float32 [n, out] each: after ReLU, but the last one (logits)."""
    outputs, value, last = [], x, len(weights) - 1
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        value = value @ weight.T + bias
        if layer < last:
            value = np.maximum(value, np.float32(0))
        outputs.append(value)
    return outputs


def logits(weights: Sequence[F32], biases: Sequence[F32], x: F32) -> F32:
    """Logit of every point, float32 [n]; above 0 is class 1, exactly 0 is class 0."""
    result: F32 = activations(weights, biases, x)[-1][:, 0]
    return result


def nonzeros(weights: Sequence[F32]) -> int:
    """Nonzero weights plus live biases; a bias is live when its row is not all zero."""
    return sum(int(np.count_nonzero(w)) + int((w != 0).any(axis=1).sum()) for w in weights)


def plane(side: int, reach: float = REACH) -> F32:
    """Centres of ``side`` x ``side`` pixels over [-reach, reach]^2, float32 [side*side, 2].

    Row-major from the lower left: reshape to [side, side] and draw with origin "lower".
    """
    step = 2 * reach / side
    axis = -reach + step * (np.arange(side, dtype=np.float32) + np.float32(0.5))
    first, second = np.meshgrid(axis, axis)
    return np.stack([first.ravel(), second.ravel()], axis=1).astype(np.float32)


def reach_of(task: Task | None) -> float:
    """Half the side of the plane: the paper's 2.25, more where a task's points lie outside."""
    if task is None:
        return REACH
    farthest = float(np.abs(task.x).max())
    return REACH if farthest <= REACH else farthest * 1.05
