"""What a network is: pure functions of its parameters, written for one network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from combsearch.nets.arrays import Arrays
from combsearch.rng import RunKeys

if TYPE_CHECKING:
    import torch


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


@runtime_checkable
class Stateful(Network, Protocol):
    """A network with state that training gathers and evaluation uses, as batch norm does.

    ``apply`` is its training form: it normalises by the minibatch, say, and its new state
    has moved towards the minibatch's statistics.
    """

    def initial_state(self, count: int) -> Arrays:
        """The state of ``count`` networks before training: name -> [count, ...] numpy array."""
        ...

    def evaluate(self, params: Arrays, state: Arrays, x: torch.Tensor) -> torch.Tensor:
        """Logits of ONE network in use: by ``state`` alone, point by point."""
        ...


def evaluate(network: Network, params: Arrays, state: Arrays, x: torch.Tensor) -> torch.Tensor:
    """Logits of ONE network in use rather than in training: [points] or [points, classes]."""
    if isinstance(network, Stateful):
        return network.evaluate(params, state, x)
    return network.apply(params, state, x)[0]


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
