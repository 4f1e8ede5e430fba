"""A step of training as a CUDA graph, so that its launches do not dominate."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch

from combsearch.trainers.memory import is_out_of_memory

Update = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]
"""(x [batch, in] or [net, batch, in], y [batch], rates [net, 1]): one optimiser step in place."""

_WARM_UPS = 3


class Graphs:
    """The CUDA graphs of one ``fit``.

    They are captured on one stream, and those that are there at once share one pool of memory,
    so that many chunks in lockstep take the memory of one step: they are replayed one after
    another, and nothing in the pool is needed between replays.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._sharing: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()
        self._possible = True

    def capture(
        self, update: Update, rehearse: Callable[[torch.Tensor, torch.Tensor], object],
        x: torch.Tensor, y: torch.Tensor, rates: torch.Tensor,
    ) -> Update:  # fmt: skip
        """``update`` as a graph with its own input tensors; ``update`` itself if it cannot be.

        A step that synchronises with the host or draws shapes from data cannot be captured.

        Args:
            update: changes tensors that outlive the graph, in place.
            rehearse: what ``update`` computes of x and y, changing nothing.
            x, y, rates: inputs of ``update``.

        Raises:
            RuntimeError: memory ran out, see ``is_out_of_memory``.
        """
        if not self._possible:
            return update
        own = (x.clone(), y.clone(), rates.clone())
        self._warm_up(lambda: rehearse(own[0], own[1]))
        graph = torch.cuda.CUDAGraph()
        if not self._sharing:  # PyTorch refuses a pool whose graphs are all gone
            self._pool = torch.cuda.graph_pool_handle()
        try:
            self._record(graph, lambda: update(*own))
        except RuntimeError as error:
            # What becomes of a pool in which a capture failed is left open by PyTorch.
            self._sharing.clear()
            if is_out_of_memory(error):
                raise
            self._possible = False
            return update
        self._sharing.add(graph)

        def replay(*inputs: torch.Tensor) -> None:
            for mine, new in zip(own, inputs, strict=True):
                mine.copy_(new)
            graph.replay()

        return replay

    def _warm_up(self, rehearse: Callable[[], object]) -> None:
        """Libraries allocate their workspaces on first use, which must not be in a graph."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                rehearse()
        current.wait_stream(self._stream)

    def _record(self, graph: torch.cuda.CUDAGraph, step: Callable[[], object]) -> None:
        # The stream is entered here too: when the end of a capture fails, ``graph`` leaves its
        # own current.
        with (
            torch.cuda.device(self._device),
            torch.cuda.stream(self._stream),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream),
        ):
            step()
