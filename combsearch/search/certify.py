"""Certify a saved network: re-evaluate it in plain PyTorch and count its parameters.

A number enters a table only when this agrees with it. The network is built from
``torch.nn.Linear`` and ``torch.nn.ReLU``, none of the code that trained it, and evaluated
over all points in float32 and float64. The two, or a kernel that adds in another order,
may disagree only on points whose logit is within rounding of 0; how many such points there
are (``undecided``) follows from a bound on the error of a float32 sum, so that accuracies
are compared without a tolerance of anyone's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from combsearch.connectivity import biases_kept, effective_nonzeros, nonzeros
from combsearch.errors import UsageError
from combsearch.frontier import KEPT, PRUNABLE, Found
from combsearch.mask import MaskBatch
from combsearch.nets import MLP, NetBatch
from combsearch.saved_network import About, SavedNetwork, network_facts, read_network
from combsearch.tasks.base import Task

_CHUNK = 2**16  # points evaluated at once
_HALF_ULP = 2.0**-24  # largest relative error of one float32 operation


@dataclass(frozen=True)
class Certificate:
    """What plain PyTorch says of a saved network.

    Attributes:
        path: the file.
        task: name of the task.
        points: training points of the task, all of which are evaluated.
        shape: neurons a layer, inputs and outputs too.
        nonzeros: weights and biases that the masks keep.
        weight_nonzeros: without biases.
        effective_nonzeros: without disconnected parameters (``connectivity``).
        counting: ``frontier.KEPT`` when all biases of live neurons are kept, else ``PRUNABLE``.
        eligible: whether no row and no column of a mask is 0, as in the enumeration.
        eligible_unused_inputs: the same, but inputs may be unused, as in the enumeration that
            has masks which leave inputs unused too.
        correct_float32, correct_float64: points classified right.
        undecided: points whose float32 class may depend on the order of additions.
        stated: what the file says about itself.
        disagreements: sentences, one for each thing stated that does not hold.
    """

    path: str
    task: str
    points: int
    shape: tuple[int, ...]
    nonzeros: int
    weight_nonzeros: int
    effective_nonzeros: int
    counting: str
    eligible: bool
    eligible_unused_inputs: bool
    correct_float32: int
    correct_float64: int
    undecided: int
    stated: About
    disagreements: tuple[str, ...]

    @property
    def accuracy_float32(self) -> float:
        """Share of the points classified right in float32."""
        return self.correct_float32 / self.points

    @property
    def accuracy_float64(self) -> float:
        """Share of the points classified right in float64."""
        return self.correct_float64 / self.points

    @property
    def accuracy(self) -> float:
        """The lower of the two: what is certified."""
        return min(self.accuracy_float32, self.accuracy_float64)

    def found(self) -> Found:
        """The network as ``Frontier`` and ``Bound`` take it."""
        return Found(
            self.nonzeros, self.accuracy, self.shape, self.effective_nonzeros, source=self.path
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        return {
            "path": self.path,
            "task": self.task,
            "points": self.points,
            "shape": list(self.shape),
            "nonzeros": self.nonzeros,
            "weight_nonzeros": self.weight_nonzeros,
            "effective_nonzeros": self.effective_nonzeros,
            "counting": self.counting,
            "eligible": self.eligible,
            "eligible_unused_inputs": self.eligible_unused_inputs,
            "accuracy": self.accuracy,
            "accuracy_float32": self.accuracy_float32,
            "accuracy_float64": self.accuracy_float64,
            "undecided": self.undecided,
            "stated": dict(self.stated),
            "disagreements": list(self.disagreements),
        }


def certify(path: Path | str, task: Task) -> Certificate:
    """Evaluate the network in ``path`` (.npz or .safetensors) on ``task``; see ``Certificate``.

    Raises:
        UsageError: there is no such file, or the network does not fit the task.
        CorruptDataError: it is no saved network.
    """
    return certify_saved(str(path), read_network(path), task)


def certify_saved(path: str, saved: SavedNetwork, task: Task) -> Certificate:
    """``certify`` of what has been read from ``path``."""
    nets = saved.nets
    assert isinstance(nets.network, MLP)
    shape = nets.network.shape
    if shape.inputs != task.inputs or shape.outputs not in _outputs(task):
        raise UsageError(
            f"{path} has {shape.inputs} inputs and {shape.outputs} outputs, but task"
            f" {task.name!r} needs {task.inputs} and {' or '.join(map(str, _outputs(task)))}"
        )
    scores = evaluate(nets, task)
    weights = [nets.masks[f"weight{layer}"] for layer in range(len(shape.layers))]
    masks = MaskBatch.from_dense(shape, weights)
    return Certificate(
        path=path,
        task=task.name,
        points=task.points,
        shape=shape.widths,
        nonzeros=int(nonzeros(nets)[0]),
        weight_nonzeros=int(masks.weight_nonzeros()[0]),
        effective_nonzeros=int(effective_nonzeros(nets)[0]),
        counting=KEPT if biases_kept(nets)[0] else PRUNABLE,
        eligible=bool(masks.eligible()[0]),
        eligible_unused_inputs=bool(masks.eligible(unused_inputs=True)[0]),
        correct_float32=scores.correct_float32,
        correct_float64=scores.correct_float64,
        undecided=scores.undecided,
        stated=saved.about,
        disagreements=_disagreements(saved, task, scores),
    )


def _outputs(task: Task) -> list[int]:
    return [1, 2] if task.classes == 2 else [task.classes]


@dataclass(frozen=True)
class Evaluation:
    """Points classified right, and those that rounding may decide; as in ``Certificate``."""

    correct_float32: int
    correct_float64: int
    undecided: int


def evaluate(nets: NetBatch, task: Task) -> Evaluation:
    """The first MLP of ``nets`` over all training points of ``task``, in plain PyTorch."""
    single, double = plain_model(nets, torch.float32), plain_model(nets, torch.float64)
    correct_float32 = correct_float64 = undecided = 0
    with torch.no_grad():
        for first in range(0, task.points, _CHUNK):
            x = torch.tensor(task.x[first : first + _CHUNK])
            y = torch.tensor(task.y[first : first + _CHUNK])
            logits = double(x.double())
            correct_float32 += int((_classes(single(x)) == y).sum())
            correct_float64 += int((_classes(logits) == y).sum())
            # Below or not a number: what overflows decides nothing.
            undecided += int((~(_gap(logits) > 2 * rounding_error(double, x.double()))).sum())
    return Evaluation(correct_float32, correct_float64, undecided)


def plain_model(nets: NetBatch, dtype: torch.dtype) -> torch.nn.Sequential:
    """The first MLP of ``nets`` as torch.nn modules."""
    assert isinstance(nets.network, MLP)
    one = nets[:1].numpy()
    steps: list[torch.nn.Module] = []
    for layer, (rows, columns) in enumerate(nets.network.shape.layers):
        # Without the layer's own draw, which would move torch's global random numbers on.
        linear = torch.nn.Linear(columns, rows, dtype=dtype, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(one.params[f"weight{layer}"][0]))
            linear.bias.copy_(torch.tensor(one.params[f"bias{layer}"][0]))
        steps += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*steps[:-1]).requires_grad_(False)


def _classes(logits: torch.Tensor) -> torch.Tensor:
    """[point] class; of one output a logit above 0 is class 1, of several the largest."""
    return (logits[:, 0] > 0) if logits.shape[1] == 1 else logits.argmax(dim=1)


def _gap(logits: torch.Tensor) -> torch.Tensor:
    """[point] by how much the class is decided: twice |logit|, or first less second largest."""
    if logits.shape[1] == 1:
        return 2 * logits[:, 0].abs()
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]


def rounding_error(model: torch.nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """[point] bound on the error of float32 logits, however their sums are ordered.

    A value of a layer is a sum of k products and a bias. With n = k + 1 its computed value
    is off by at most g (|W| |h| + |b|) with g = n u / (1 - n u) (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1), and by |W| times the error e of the
    computed inputs, whose size is then at most |h| + e.

    Args:
        model: in float64, as ``plain_model`` makes it.
        x: float64 [point, in], exact in float32.
    """
    value, error = x, torch.zeros_like(x)
    for step in model:
        if not isinstance(step, torch.nn.Linear):
            value = torch.relu(value)  # moves no two values further apart
            continue
        n = (step.in_features + 1) * _HALF_ULP
        size = torch.nn.functional.linear(value.abs() + error, step.weight.abs(), step.bias.abs())
        error = torch.nn.functional.linear(error, step.weight.abs()) + n / (1 - n) * size
        value = step(value)
    return error.amax(dim=1)


def _disagreements(saved: SavedNetwork, task: Task, scores: Evaluation) -> tuple[str, ...]:
    """What is stated and does not hold; what is stated of another task is left alone."""
    own, stated = network_facts(saved.nets), saved.about
    found = [
        f"{name} is stated as {stated[name]!r} and is {value!r}"
        for name, value in own.items()
        if stated.get(name, value) != value
    ]
    accuracy = stated.get("accuracy")
    if accuracy is None or stated.get("task", task.name) != task.name:
        return tuple(found)
    if not _agrees(accuracy, task.points, scores):
        found.append(
            f"accuracy is stated as {accuracy!r} and is {scores.correct_float32 / task.points!r}"
            f" in float32, where rounding decides {scores.undecided} of {task.points} points"
        )
    return tuple(found)


def _agrees(accuracy: str | float, points: int, scores: Evaluation) -> bool:
    """Whether a float32 evaluation in some order of additions may have this accuracy."""
    if isinstance(accuracy, str) or not 0 <= accuracy <= 1:
        return False
    # To the nearest point, since people write fewer digits than programs.
    return abs(round(accuracy * points) - scores.correct_float64) <= scores.undecided
