"""The pruners for one network, as slow and plain as can be: oracles of the batched ones.

Weights and biases are lists of torch tensors in PyTorch's layout; a batch is (x, y). Masks
come back as lists of 0/1 tensors. ``exact`` mode: exactly so many weights, ties by index.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

Tensors = list[torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor]


def forward(
    weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = F.linear(x, weight, bias)
        if layer < len(weights) - 1:
            x = torch.relu(x)
    return x[:, 0]


def loss(
    weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], batch: Batch
) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(forward(weights, biases, batch[0]), batch[1])


def gradient(weights: Tensors, biases: Tensors, batch: Batch) -> Tensors:
    leaves = [w.clone().requires_grad_() for w in weights]
    return list(torch.autograd.grad(loss(leaves, biases, batch), leaves))


def highest(scores: Tensors, k: int) -> Tensors:
    """Masks of the k highest scores of all layers; of equal ones those that come first."""
    flat = torch.cat([s.reshape(-1) for s in scores]).tolist()
    chosen = set(sorted(range(len(flat)), key=lambda i: (-flat[i], i))[:k])
    mask = torch.tensor([float(i in chosen) for i in range(len(flat))])
    parts = torch.split(mask, [s.numel() for s in scores])
    return [p.view_as(s) for p, s in zip(parts, scores, strict=True)]


def left(weights: int, k: int, share: float) -> int:
    return max(k, round(float(weights * (k / weights) ** share)))


def magnitude(weights: Tensors, k: int) -> Tensors:
    return highest([w.abs() for w in weights], k)


def snip(weights: Tensors, biases: Tensors, batch: Batch, k: int) -> Tensors:
    found = gradient(weights, biases, batch)
    return highest([(w * g).abs() for w, g in zip(weights, found, strict=True)], k)


def in_steps(
    weights: Tensors, biases: Tensors, batches: Sequence[Batch], k: int, returning: bool
) -> Tensors:
    """Iterative SNIP, or FORCE when pruned weights may return; a batch a step."""
    masks = [torch.ones_like(w) for w in weights]
    total = sum(w.numel() for w in weights)
    for step, batch in enumerate(batches, start=1):
        now = [w * m for w, m in zip(weights, masks, strict=True)]
        found = gradient(now, biases, batch)
        values = weights if returning else now
        scores = [(v * g).abs() for v, g in zip(values, found, strict=True)]
        if not returning:
            scores = [s.masked_fill(m == 0, -1) for s, m in zip(scores, masks, strict=True)]
        masks = highest(scores, left(total, k, step / len(batches)))
    return masks


def synflow(weights: Tensors, biases: Tensors, k: int, steps: int = 100) -> Tensors:
    masks = [torch.ones_like(w) for w in weights]
    total = sum(w.numel() for w in weights)
    for step in range(1, steps + 1):
        leaves = [(w.abs() * m).requires_grad_() for w, m in zip(weights, masks, strict=True)]
        flow = forward(leaves, [b.abs() for b in biases], torch.ones(1, weights[0].shape[1]))
        found = torch.autograd.grad(flow.sum(), leaves)
        scores = [(w * g).abs().detach() for w, g in zip(leaves, found, strict=True)]
        scores = [s.masked_fill(m == 0, -1) for s, m in zip(scores, masks, strict=True)]
        masks = highest(scores, left(total, k, step / steps))
    return masks


def grasp(
    weights: Tensors, biases: Tensors, classes: Sequence[Batch], k: int, temperature: float = 200.0
) -> Tensors:
    """``classes``: the samples of each class."""
    leaves = [w.clone().requires_grad_() for w in weights]

    def total() -> torch.Tensor:
        losses = [
            F.binary_cross_entropy_with_logits(forward(leaves, biases, x) / temperature, y)
            for x, y in classes
        ]
        return torch.stack(losses).sum()

    fixed = [g.detach() for g in torch.autograd.grad(total(), leaves)]
    alive = torch.autograd.grad(total(), leaves, create_graph=True)
    product = sum((a * b).sum() for a, b in zip(fixed, alive, strict=True))
    assert isinstance(product, torch.Tensor)
    hg = torch.autograd.grad(product, leaves)
    return highest([w * h for w, h in zip(weights, hg, strict=True)], k)


def prospr(
    weights: Tensors, biases: Tensors, batches: Sequence[Batch], k: int, lr: float, momentum: float
) -> Tensors:
    """An SGD step on each batch but the last, on which the loss is taken."""
    masks = [torch.ones_like(w).requires_grad_() for w in weights]
    params = [w * m for w, m in zip(weights, masks, strict=True)]
    params += [b.clone().requires_grad_() for b in biases]
    depth = len(weights)
    velocity = [torch.zeros_like(p) for p in params]
    for batch in batches[:-1]:
        value = loss(params[:depth], params[depth:], batch)
        found = torch.autograd.grad(value, params, create_graph=True)
        velocity = [momentum * v + g for v, g in zip(velocity, found, strict=True)]
        params = [p - lr * v for p, v in zip(params, velocity, strict=True)]
    meta = torch.autograd.grad(loss(params[:depth], params[depth:], batches[-1]), masks)
    return highest([g.abs() for g in meta], k)


def cubic(weights: int, k: int, share: float) -> int:
    return max(k, round(k + (weights - k) * (1 - share) ** 3))


def rigl_update(
    weight: torch.Tensor, mask: torch.Tensor, grad: torch.Tensor, moves: int
) -> torch.Tensor:
    """One layer's mask after an update: the smallest go, where the gradient is largest grow."""
    kept = [i for i in range(mask.numel()) if mask.view(-1)[i]]
    kept.sort(key=lambda i: (-abs(float(weight.view(-1)[i])), i))
    staying = set(kept[: len(kept) - moves])
    others = [i for i in range(mask.numel()) if i not in staying]
    others.sort(key=lambda i: (-abs(float(grad.view(-1)[i])), i))
    chosen = staying | set(others[:moves])
    return torch.tensor([float(i in chosen) for i in range(mask.numel())]).view_as(mask)


def cosine_share(fraction: float, step: int, stop: int) -> float:
    return fraction / 2 * (1 + math.cos(math.pi * step / stop))


def rigl(
    weights: Tensors,
    biases: Tensors,
    masks: Tensors,
    batches: Sequence[Batch],
    *,
    rates: Sequence[float],
    momentum: float,
    decay: float,
    interval: int,
    fraction: float,
    stop: int,
) -> tuple[Tensors, Tensors]:
    """(weights, masks) after one step on each batch, every ``interval``-th an update instead."""
    params = [p.clone() for p in (*weights, *biases)]
    depth, velocity = len(weights), [torch.zeros_like(p) for p in params]
    every = with_biases(masks)
    params = [p * m for p, m in zip(params, every, strict=True)]
    for step, (batch, rate) in enumerate(zip(batches, rates, strict=True), start=1):
        leaves = [p.clone().requires_grad_() for p in params]
        found = torch.autograd.grad(loss(leaves[:depth], leaves[depth:], batch), leaves)
        if step % interval == 0 and step < stop:
            share = cosine_share(fraction, step, stop)
            masks = [
                rigl_update(w, m, g, int(share * int(m.sum())))
                for w, m, g in zip(params[:depth], every[:depth], found[:depth], strict=True)
            ]
            before, every = every, with_biases(masks)
            velocity = [v * a * b for v, a, b in zip(velocity, before, every, strict=True)]
        else:
            velocity = [
                m * (momentum * v + g + decay * p)
                for p, v, g, m in zip(params, velocity, found, every, strict=True)
            ]
            params = [p - rate * v for p, v in zip(params, velocity, strict=True)]
        params = [p * m for p, m in zip(params, every, strict=True)]
    return params[:depth], every[:depth]


def with_biases(masks: Tensors) -> Tensors:
    """Masks of weights, then of biases: a bias goes when no weight leads on from its neuron."""
    lead_on = [(mask.sum(dim=0) > 0).float() for mask in masks[1:]]
    return [*masks, *lead_on, torch.ones(masks[-1].shape[0])]
