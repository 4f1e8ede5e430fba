"""How many networks fit side by side: bytes one needs, bytes there are."""

from __future__ import annotations

import os

import torch

from combsearch.nets import NetBatch, mean_loss

CPU_BYTES = 32 * 2**20
"""Largest working set of a chunk on a CPU: about a core's share of the last-level cache.

Smaller chunks pay more for calls, larger ones for memory traffic; narrow and wide
networks alike were quickest near it.
"""

MOST_NETS = 2**15
"""In a chunk, whatever the memory: so many fill any GPU."""

_PARAMETER_COPIES = 8  # w, v, mask, gradient, and what the update and backward pass hold
_ACTIVATION_COPIES = 2  # what backward keeps, and as much again in passing

# Of an allocator, the driver, and libraries that allocate workspaces.
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")


_OWN_BATCHES = 3  # of a network with its own: itself, and where its pixels come from (int64)


def net_bytes(nets: NetBatch, x: torch.Tensor, y: torch.Tensor, own: bool = False) -> int:
    """Bytes that one more network takes while it is trained, estimated.

    Counts the parameters and what one forward pass keeps for the backward pass. The peak of
    a step of MLPs was 0.8 to 1.4 times as much (tests/test_memory.py).

    Args:
        nets: the first of them is tried.
        x: a minibatch [points, ...] on the device.
        y: its labels [points].
        own: whether every network has a minibatch of its own; else they share it.
    """
    one = nets[:1].to_torch(x.device)
    params = {name: a[0].detach().clone().requires_grad_() for name, a in one.params.items()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        # Detached: an operation that holds its own result would never be freed, nor the points
        # that it came from.
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        logits, _ = nets.network.apply(params, {n: a[0] for n, a in one.state.items()}, x)
        mean_loss(logits, y)
    for shared in (*params.values(), x, y):
        saved.pop(shared.untyped_storage().data_ptr(), None)
    parameters = sum(int(a.nbytes) for a in (*params.values(), *one.state.values()))
    batches = _OWN_BATCHES * int(x.nbytes) if own else 0
    return _PARAMETER_COPIES * parameters + _ACTIVATION_COPIES * sum(saved.values()) + batches


def working_bytes(device: torch.device, share: float) -> int:
    """Bytes a chunk may take on ``device``: ``share`` of what is free, on a CPU ``CPU_BYTES``."""
    if device.type == "cuda":
        # PyTorch keeps what it has freed; to the driver that is in use.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(share * (torch.cuda.mem_get_info(device)[0] + kept))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(CPU_BYTES, int(share * free))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python reports that memory ran out, on any device.

    Also in an error of cleaning up after that, such as one of the end of a CUDA graph.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    if any(text in str(error) for text in _OUT_OF_MEMORY):
        return True
    return error.__context__ is not None and is_out_of_memory(error.__context__)
