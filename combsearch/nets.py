"""Networks, batches of them, and their accuracy.

A ``Network`` is written for one network; ``torch.func.vmap`` lifts it to thousands. A
``NetBatch`` holds n of them as dictionaries of named arrays with a leading batch axis::

    params["weight1"]   float32 [net, out, in]     params["bias1"]   float32 [net, out]
    masks, momenta      the same names and shapes
    state               what a network carries besides parameters, often nothing

Arrays are numpy's, or torch's on a device while a trainer or pruner works on them.
torch is imported only where it is needed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.rng import RunKeys, uniform

if TYPE_CHECKING:
    import torch

    from combsearch.tasks.base import Task

Arrays = dict[str, Any]
"""Named numpy arrays or torch tensors with a leading batch axis."""

_WEIGHT_STREAM, _BIAS_STREAM = 0, 1
_KINDS = ("params", "masks", "momenta", "state")
_SCORE_POINTS = 2048  # points of one scoring chunk
_SCORE_FLOATS = 2**22  # activations of one scoring chunk, about 16 MB in float32


class Network(Protocol):
    """One network as pure functions; equal networks compare equal."""

    @property
    def prunable(self) -> tuple[str, ...]:
        """Names of the parameters that pruners may mask."""
        ...

    def init(self, keys: RunKeys) -> Arrays:
        """Initial parameters of n networks: name -> float32 [n, ...] numpy array."""
        ...

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """Logits and new state of ONE network (no batch axis in ``params`` and ``state``).

        Logits are [points], positive for class 1, or [points, classes].
        """
        ...


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: ReLU between layers, the last layer linear, biases everywhere.

    Parameters are ``weight0 [out, in]``, ``bias0 [out]``, ``weight1``, ... as in ``nn.Linear``.

    Attributes:
        shape: neurons per layer.
        init_width: width of the network whose initialisation a narrower one takes
            (the paper's D): layers after the first draw from U(-1/sqrt(D), 1/sqrt(D)).
    """

    shape: NetShape
    init_width: int = 16

    def __post_init__(self) -> None:
        if self.init_width < 1:
            raise UsageError(f"init_width is {self.init_width}, it must be from 1 up")

    @property
    def prunable(self) -> tuple[str, ...]:
        """The weights; a bias follows its neuron."""
        return tuple(f"weight{layer}" for layer in range(len(self.shape.layers)))

    def init(self, keys: RunKeys) -> Arrays:
        """nn.Linear's default draw, U(-b, b) with b = 1/sqrt(fan in), one network a key."""
        philox = keys.philox_keys()
        params: Arrays = {}
        for layer, (rows, cols) in enumerate(self.shape.layers):
            bound = 1 / math.sqrt(self.init_width if layer else self.shape.inputs)
            weight = uniform(philox, layer, rows, cols, _WEIGHT_STREAM)
            bias = uniform(philox, layer, rows, 1, _BIAS_STREAM)[:, :, 0]
            params[f"weight{layer}"] = _symmetric(weight, bound)
            params[f"bias{layer}"] = _symmetric(bias, bound)
        return params

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """Logits [points] (one output) or [points, outputs] of ``x`` [points, in]."""
        import torch

        last = len(self.shape.layers) - 1
        # Points stay the last axis: under vmap the small matrices then multiply long rows.
        h = x.T
        for layer in range(last + 1):
            h = params[f"weight{layer}"] @ h + params[f"bias{layer}"][:, None]
            h = h if layer == last else torch.relu(h)
        return (h[0] if self.shape.outputs == 1 else h.T), state


def _symmetric(u: npt.NDArray[np.float32], bound: float) -> npt.NDArray[np.float32]:
    """[0, 1) to [-bound, bound) in float32; 2u - 1 is exact, the product rounds once."""
    return np.asarray((2 * u - 1) * np.float32(bound))


@dataclass(frozen=True, eq=False)
class NetBatch:
    """n networks of one kind, in some state of training.

    Attributes:
        network: what they all are.
        params: name -> float32 [n, ...]; masked entries are exactly 0.
        masks: 0/1 float32, the same names and shapes as ``params``.
        momenta: float32, the same names and shapes.
        state: other arrays [n, ...] that ``network.apply`` carries.
    """

    network: Network
    params: Arrays
    masks: Arrays
    momenta: Arrays
    state: Arrays = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {name: tuple(a.shape) for name, a in self.params.items()}
        for kind in ("masks", "momenta"):
            found = {name: tuple(a.shape) for name, a in getattr(self, kind).items()}
            if found != shapes:
                raise UsageError(f"{kind} {found} differ from the parameters {shapes}")

    @classmethod
    def create(
        cls, network: Network, keys: RunKeys, masks: MaskBatch | Mapping[str, Any] | None = None
    ) -> NetBatch:
        """Initialised networks, one a key, masked, momenta 0.

        Args:
            network: its ``state`` starts empty.
            keys: n run keys.
            masks: n masks, or one for all; a dictionary of masks by parameter name (those
                left out keep everything); None keeps everything. A bias is masked when
                its row of the mask is zero (the rule of the search).
        """
        params = network.init(keys)
        named = mask_arrays(masks) if isinstance(masks, MaskBatch) else dict(masks or {})
        unknown = sorted(set(named) - set(params))
        if unknown:
            raise UsageError(f"masks for unknown parameters {unknown} (known: {list(params)})")
        full = {name: _mask_for(name, p, named.get(name)) for name, p in params.items()}
        return cls(
            network=network,
            params={name: p * full[name] for name, p in params.items()},
            masks=full,
            momenta={name: np.zeros_like(p) for name, p in params.items()},
        )

    def __len__(self) -> int:
        return len(next(iter(self.params.values())))

    def __getitem__(self, index: slice | npt.NDArray[Any]) -> NetBatch:
        """The networks at a slice or an array of indices (of the kind the arrays are)."""
        return self.map(lambda a: a[index])

    def map(self, function: Callable[[Any], Any]) -> NetBatch:
        """``function`` applied to every array."""
        new = {k: {n: function(a) for n, a in getattr(self, k).items()} for k in _KINDS}
        return NetBatch(self.network, **new)

    def numpy(self) -> NetBatch:
        """The same networks as numpy arrays; no copy when they already are."""
        return self.map(lambda a: a if isinstance(a, np.ndarray) else a.detach().cpu().numpy())

    def to_torch(self, device: str | torch.device = "cpu") -> NetBatch:
        """The same networks as tensors on ``device``; no copy when memory can be shared."""
        return self.map(lambda a: as_tensor(a, device))

    @staticmethod
    def concat(batches: Sequence[NetBatch]) -> NetBatch:
        """All networks of ``batches`` in order; they are of one kind and all numpy or all torch."""
        if not batches:
            raise UsageError("cannot join an empty list of batches")
        first = batches[0]
        if any(b.network != first.network for b in batches):
            raise UsageError(f"cannot join networks of different kinds: {first.network} and others")
        joined = {
            kind: {name: _join([getattr(b, kind)[name] for b in batches]) for name in names}
            for kind, names in ((k, list(getattr(first, k))) for k in _KINDS)
        }
        return NetBatch(first.network, **joined)


def as_tensor(
    array: Any, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> torch.Tensor:
    """``array`` (numpy or torch) as a tensor; its memory is shared where that is possible."""
    import torch

    if isinstance(array, np.ndarray) and not array.flags.writeable:
        array = array.copy()  # torch knows no read-only tensors and warns of them
    return torch.as_tensor(array, device=device, dtype=dtype)


def _join(arrays: Sequence[Any]) -> Any:
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import torch

    return torch.cat(list(arrays))


def _mask_for(name: str, param: npt.NDArray[Any], mask: Any) -> npt.NDArray[np.float32]:
    """``mask`` as float32 of the shape of ``param``; one mask serves all, None keeps all."""
    if mask is None:
        return np.ones_like(param)
    array = np.asarray(mask, np.float32)
    if array.shape[1:] != param.shape[1:] or len(array) not in (1, len(param)):
        raise UsageError(f"the mask of {name} is {array.shape}, the networks need {param.shape}")
    return np.broadcast_to(array, param.shape).copy()


def mask_arrays(masks: MaskBatch) -> dict[str, npt.NDArray[np.float32]]:
    """``weight0``, ``bias0``, ...: 0/1 float32; a bias is kept when its row keeps a weight."""
    named: dict[str, npt.NDArray[np.float32]] = {}
    for layer, dense in enumerate(masks.dense()):
        named[f"weight{layer}"] = dense.astype(np.float32)
        named[f"bias{layer}"] = np.asarray(dense.any(axis=2), np.float32)
    return named


def flat_arrays(arrays: Arrays) -> npt.NDArray[np.float32]:
    """Arrays of n MLPs as float32 [n, parameter]: weight0 row-major, bias0, ...; a copy."""
    layers = range(len(arrays) // 2)
    names = [f"{kind}{layer}" for layer in layers for kind in ("weight", "bias")]
    parts = [np.asarray(arrays[name], np.float32) for name in names]
    return np.concatenate([a.reshape(len(a), math.prod(a.shape[1:])) for a in parts], axis=1)


def mean_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean loss of ONE network over some points, a scalar.

    Args:
        logits: [points]: binary cross-entropy with logits; [points, classes]: cross-entropy.
        labels: [points], classes from 0, of any dtype.
    """
    import torch.nn.functional as F

    if logits.ndim == 2:
        return F.cross_entropy(logits, labels.long())
    # softplus(-z) for class 1, softplus(z) for class 0; beyond 40 it is linear even in float64.
    sign = 1 - 2 * labels.to(logits.dtype)
    return F.softplus(sign * logits, threshold=40).mean()


@dataclass(frozen=True, eq=False)
class Scores:
    """How n networks do on a task.

    Attributes:
        correct: int64 [n], points classified right.
        points: points there are.
        diverged: bool [n], some parameter or logit is not finite.
    """

    correct: npt.NDArray[np.int64]
    points: int
    diverged: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """float64 [n], share of the points classified right."""
        return self.correct / self.points

    @staticmethod
    def concat(parts: Sequence[Scores]) -> Scores:
        """The scores of several batches on one task, in order."""
        return Scores(
            np.concatenate([p.correct for p in parts]),
            parts[0].points,
            np.concatenate([p.diverged for p in parts]),
        )


def score(nets: NetBatch, task: Task, device: str | torch.device = "cpu") -> Scores:
    """Accuracy over ``task.x`` (the training points), in float32 by torch, in chunks.

    A logit above 0 is class 1; exactly 0, or NaN, is class 0. With several outputs the
    class is the first largest logit.
    """
    import torch

    x, y = as_tensor(task.x, device), as_tensor(task.y, device)
    chunk = max(1, _SCORE_FLOATS // (_SCORE_POINTS * _widest(nets)))
    with torch.no_grad():
        parts = [
            _score_chunk(nets[first : first + chunk].to_torch(device), x, y)
            for first in range(0, len(nets), chunk)
        ]
    if not parts:
        return Scores(np.zeros(0, np.int64), task.points, np.zeros(0, np.bool_))
    return Scores.concat(parts)


def _widest(nets: NetBatch) -> int:
    """A guess of the floats a point needs in one network: its widest layer, or 64 at least."""
    return max([64] + [int(a.shape[1]) for a in nets.params.values()])


def _score_chunk(nets: NetBatch, x: torch.Tensor, y: torch.Tensor) -> Scores:
    import torch

    forward = torch.func.vmap(lambda p, s, rows: nets.network.apply(p, s, rows)[0], (0, 0, None))
    correct = torch.zeros(len(nets), dtype=torch.int64, device=x.device)
    finite = torch.ones(len(nets), dtype=torch.bool, device=x.device)
    for param in nets.params.values():
        finite &= torch.isfinite(param).flatten(1).all(dim=1)
    for first in range(0, len(x), _SCORE_POINTS):
        part = slice(first, first + _SCORE_POINTS)
        logits = forward(nets.params, nets.state, x[part])
        finite &= torch.isfinite(logits).flatten(1).all(dim=1)
        guess = logits > 0 if logits.ndim == 2 else logits.argmax(dim=2)
        correct += (guess == y[part]).sum(dim=1)
    return Scores(correct.cpu().numpy(), len(x), (~finite).cpu().numpy())
