"""n networks of one kind, in some state of training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from combsearch.errors import UsageError
from combsearch.mask import MaskBatch
from combsearch.nets.arrays import Arrays, as_tensor, join
from combsearch.nets.mlp import mask_arrays
from combsearch.nets.network import Network, Stateful
from combsearch.rng import RunKeys

if TYPE_CHECKING:
    import torch

_KINDS = ("params", "masks", "momenta", "state", "adam")


@dataclass(frozen=True, eq=False)
class NetBatch:
    """n networks of one kind, in some state of training.

    Attributes:
        network: what they all are.
        params: name -> float32 [n, ...]; masked entries are exactly 0.
        masks: 0/1 float32, the same names and shapes as ``params``.
        momenta: float32, the same names and shapes.
        state: other arrays [n, ...] that ``network.apply`` carries.
        adam: what Adam carries besides momenta: ``squares`` [n, P], the running mean of squared
            gradients of all parameters in their order, and ``steps`` int64 [n], those taken;
            empty before its first step and after SGD. Momenta that are set to 0 mean a new
            start, and so does leaving this empty.
    """

    network: Network
    params: Arrays
    masks: Arrays
    momenta: Arrays
    state: Arrays = dataclasses.field(default_factory=dict)
    adam: Arrays = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {name: tuple(a.shape) for name, a in self.params.items()}
        for kind in ("masks", "momenta"):
            found = {name: tuple(a.shape) for name, a in getattr(self, kind).items()}
            if found != shapes:
                raise UsageError(f"{kind} {found} differ from the parameters {shapes}")
        if self.adam:
            _check_adam(self.adam, len(self), sum(math.prod(s[1:]) for s in shapes.values()))

    @classmethod
    def create(
        cls, network: Network, keys: RunKeys, masks: MaskBatch | Mapping[str, Any] | None = None
    ) -> NetBatch:
        """Initialised networks, one a key, masked, momenta 0.

        Args:
            network: its state starts as it says (``Stateful``), or empty.
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
            state=network.initial_state(len(keys)) if isinstance(network, Stateful) else {},
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
        if any(bool(b.adam) != bool(first.adam) for b in batches):
            raise UsageError(
                "cannot join networks that carry what Adam gathered with others that do not;"
                " dataclasses.replace(nets, adam={}) leaves it out"
            )
        joined = {
            kind: {name: join([getattr(b, kind)[name] for b in batches]) for name in names}
            for kind, names in ((k, list(getattr(first, k))) for k in _KINDS)
        }
        return NetBatch(first.network, **joined)


def _check_adam(adam: Arrays, count: int, size: int) -> None:
    found = {name: tuple(a.shape) for name, a in adam.items()}
    needed = {"squares": (count, size), "steps": (count,)}
    if found != needed:
        raise UsageError(f"adam holds {found}, it must be empty or {needed}")


def _mask_for(name: str, param: npt.NDArray[Any], mask: Any) -> npt.NDArray[np.float32]:
    """``mask`` as float32 of the shape of ``param``; one mask serves all, None keeps all."""
    if mask is None:
        return np.ones_like(param)
    array = np.asarray(mask, np.float32)
    if array.shape[1:] != param.shape[1:] or len(array) not in (1, len(param)):
        raise UsageError(f"the mask of {name} is {array.shape}, the networks need {param.shape}")
    return np.broadcast_to(array, param.shape).copy()
