"""The update rules of ``trainers.base``: as values for one network, in place for many.

SGD and Nesterov's momentum are as in ``torch.optim.SGD`` without dampening (Sutskever et al.
2013, "On the importance of initialization and momentum in deep learning"), Adam is Kingma and
Ba 2015, algorithm 1, with weight decay added to the gradient as in ``torch.optim.Adam``, and
gradients are clipped as by ``torch.nn.utils.clip_grad_norm_``. Masks are applied by the caller.
"""

from __future__ import annotations

import torch

from combsearch.config import Recipe
from combsearch.nets import Arrays, NetBatch, as_tensor

SQUARES_DECAY = 0.999
"""Adam's second beta; its first is the recipe's momentum."""

EPSILON = 1e-8
"""Adam adds it to the root of the mean square."""

_CLIP_EPSILON = 1e-6  # that of clip_grad_norm_


def adam_of(
    nets: NetBatch, recipe: Recipe, size: int, device: torch.device, dtype: torch.dtype
) -> Arrays:
    """What the optimiser carries for n networks besides momenta, see ``NetBatch.adam``: copies.

    Args:
        nets: the networks; where they carry nothing, Adam starts anew.
        recipe: with SGD there is nothing to carry.
        size: P, parameters of one network.
        device, dtype: of ``squares``.

    Returns:
        ``squares`` [n, P] and ``steps`` int64 [n], or nothing.
    """
    if recipe.optimizer != "adam":
        return {}
    squares = torch.zeros((len(nets), size), device=device, dtype=dtype)
    steps = torch.zeros(len(nets), device=device, dtype=torch.int64)
    if nets.adam:
        squares.copy_(as_tensor(nets.adam["squares"]))
        steps.copy_(as_tensor(nets.adam["steps"]))
    return {"squares": squares, "steps": steps}


# ---- one network ---------------------------------------------------------------------


def updated(
    recipe: Recipe, rate: float, w: torch.Tensor, v: torch.Tensor, adam: Arrays, g: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Arrays]:
    """Parameters, momenta and ``adam`` of ONE network after a step.

    Args:
        recipe: its rule.
        rate: learning rate.
        w, v, g: parameters, momenta and gradient [P].
        adam: ``squares`` [P] and ``steps`` [], or nothing with SGD.
    """
    if recipe.clip:
        g = g * min(recipe.clip / (float(g.norm()) + _CLIP_EPSILON), 1.0)
    g = g + recipe.weight_decay * w
    if recipe.optimizer == "adam":
        return _adam(recipe.momentum, rate, w, v, adam, g)
    v = recipe.momentum * v + g
    towards = g + recipe.momentum * v if recipe.nesterov else v
    return w - rate * towards, v, adam


def _adam(
    beta: float, rate: float, w: torch.Tensor, v: torch.Tensor, adam: Arrays, g: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Arrays]:
    steps = adam["steps"] + 1
    v = beta * v + (1 - beta) * g
    squares = SQUARES_DECAY * adam["squares"] + (1 - SQUARES_DECAY) * g**2
    mean = v / (1 - beta ** int(steps))
    square = squares / (1 - SQUARES_DECAY ** int(steps))
    w = w - rate * mean / (square.sqrt() + EPSILON)
    return w, v, {"squares": squares, "steps": steps}


# ---- many networks, in place ---------------------------------------------------------


def update_in_place(
    recipe: Recipe,
    rates: torch.Tensor,
    w: torch.Tensor,
    v: torch.Tensor,
    adam: Arrays,
    g: torch.Tensor,
) -> None:
    """``updated`` of n networks, in place, with nothing that a CUDA graph could not hold.

    All memory is allocated before anything is written, so that a step which fails for want of
    memory leaves no trace.

    Args:
        recipe: the rule of all.
        rates: learning rates [net, 1].
        w, v: parameters and momenta [net, P], changed.
        adam: ``squares`` [net, P] and ``steps`` [net], changed, or nothing with SGD.
        g: gradients [net, P].
    """
    if recipe.clip:
        scale = recipe.clip / (torch.linalg.vector_norm(g, dim=1, keepdim=True) + _CLIP_EPSILON)
        decayed = (g * scale.clamp_(max=1)).add_(w, alpha=recipe.weight_decay)
    else:
        decayed = torch.add(g, w, alpha=recipe.weight_decay)
    if recipe.optimizer == "adam":
        _adam_in_place(recipe.momentum, rates, w, v, adam, decayed)
        return
    v.mul_(recipe.momentum).add_(decayed)
    towards = decayed.add_(v, alpha=recipe.momentum) if recipe.nesterov else v
    w.addcmul_(rates, towards, value=-1)


def _adam_in_place(
    beta: float,
    rates: torch.Tensor,
    w: torch.Tensor,
    v: torch.Tensor,
    adam: Arrays,
    decayed: torch.Tensor,
) -> None:
    """Adam; ``decayed`` is overwritten."""
    squares, steps = adam["squares"], adam["steps"]
    # In double precision, in which 1 - 0.999 has digits enough.
    taken = (steps[:, None] + 1).double()
    rates = rates / (1 - beta**taken).to(w.dtype)
    root = (1 - SQUARES_DECAY**taken).sqrt().to(w.dtype)
    steps.add_(1)
    v.mul_(beta).add_(decayed, alpha=1 - beta)
    squares.mul_(SQUARES_DECAY).addcmul_(decayed, decayed, value=1 - SQUARES_DECAY)
    torch.sqrt(squares, out=decayed).div_(root).add_(EPSILON)
    torch.div(v, decayed, out=decayed)
    w.addcmul_(rates, decayed, value=-1)
