"""The pruners for ONE image network as a plain torch module: oracles, slow and obvious.

Masks come back as lists of 0/1 tensors in the order of ``network.prunable``; ties by index.
"""

from __future__ import annotations

from collections.abc import Sequence

import naive_pruners as naive
import torch
import torch.nn.functional as F
from naive_networks import plain
from torch import nn

from combsearch.nets import NetBatch
from combsearch.networks import ImageNetwork

Batch = tuple[torch.Tensor, torch.Tensor]


def module_of(nets: NetBatch, index: int) -> nn.Module:
    """One of the networks with all its parameters and running statistics."""
    assert isinstance(nets.network, ImageNetwork)
    module = plain(nets.network)
    arrays = {**nets.params, **nets.state}
    missing = module.load_state_dict(
        {name: torch.tensor(a[index]) for name, a in arrays.items()}, strict=False
    )
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    assert [n for n, p in module.named_parameters() if p.ndim > 1] == list(nets.network.prunable)
    return module


def weights_of(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.ndim > 1]


def mean_gradient(module: nn.Module, batches: Sequence[Batch]) -> list[torch.Tensor]:
    total = [torch.zeros_like(w) for w in weights_of(module)]
    for x, y in batches:
        found = torch.autograd.grad(F.cross_entropy(module(x), y), weights_of(module))
        total = [t + g / len(batches) for t, g in zip(total, found, strict=True)]
    return total


def in_steps(
    module: nn.Module, batches: Sequence[Sequence[Batch]], k: int, returning: bool
) -> list[torch.Tensor]:
    """Iterative SNIP, or FORCE where weights may return; some batches a step. SNIP is one step."""
    module.train()
    first = [w.detach().clone() for w in weights_of(module)]
    masks = [torch.ones_like(w) for w in first]
    total = sum(w.numel() for w in first)
    for step, some in enumerate(batches, start=1):
        with torch.no_grad():
            for weight, start, mask in zip(weights_of(module), first, masks, strict=True):
                weight.copy_(start * mask)
        gradients = mean_gradient(module, some)
        scores = [(w * g).abs() for w, g in zip(first, gradients, strict=True)]
        if not returning:
            scores = [s.masked_fill(m == 0, -1) for s, m in zip(scores, masks, strict=True)]
        masks = naive.highest(scores, naive.left(total, k, step / len(batches)))
    return masks


def rigl_by_adam(
    module: nn.Module,
    masks: list[torch.Tensor],
    batches: Sequence[Batch],
    *,
    rates: Sequence[float],
    decay: float,
    interval: int,
    fraction: float,
    stop: int,
) -> list[torch.Tensor]:
    """Masks after a step on each batch, every ``interval``-th an update; ``module`` is trained.

    Every parameter of ``module`` is a weight. What moves begins anew: both running means are 0.
    """
    weights = weights_of(module.train())
    adam = torch.optim.Adam(weights, weight_decay=decay)
    for step, ((x, y), rate) in enumerate(zip(batches, rates, strict=True), start=1):
        with torch.no_grad():
            for weight, mask in zip(weights, masks, strict=True):
                weight.mul_(mask)
        gradients = torch.autograd.grad(F.cross_entropy(module(x), y), weights)
        if step % interval or step >= stop:
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            adam.param_groups[0]["lr"] = rate
            adam.step()
            continue
        share = naive.cosine_share(fraction, step, stop)
        for i, weight in enumerate(weights):
            moves = int(share * int(masks[i].sum()))
            new = naive.rigl_update(weight.detach(), masks[i], gradients[i], moves)
            for mean in ("exp_avg", "exp_avg_sq"):
                adam.state[weight][mean] *= new * masks[i]
            masks[i] = new
    with torch.no_grad():
        for weight, mask in zip(weights, masks, strict=True):
            weight.mul_(mask)
    return masks


def flow_scores(module: nn.Module, point: torch.Size) -> list[torch.Tensor]:
    """|w dR/dw| with R the sum of outputs of ``module`` in use for ones; its weights are abs."""
    weights = weights_of(module)
    ones = torch.ones(1, *point, dtype=weights[0].dtype)
    found = torch.autograd.grad(module.eval()(ones).sum(), weights)
    return [(w * g).abs().detach() for w, g in zip(weights, found, strict=True)]


def synflow(module: nn.Module, point: torch.Size, k: int, steps: int) -> list[torch.Tensor]:
    """In the dtype of ``module``."""
    with torch.no_grad():
        for param in module.parameters():
            param.abs_()
    masks = [torch.ones_like(w) for w in weights_of(module)]
    total = sum(m.numel() for m in masks)
    for step in range(1, steps + 1):
        with torch.no_grad():
            for weight, mask in zip(weights_of(module), masks, strict=True):
                weight.mul_(mask)
        scores = flow_scores(module, point)
        scores = [s.masked_fill(m == 0, -1) for s, m in zip(scores, masks, strict=True)]
        found = naive.highest(scores, naive.left(total, k, step / steps))
        masks = [mask.to(scores[0].dtype) for mask in found]
    return masks
