"""One network of the study of DCT plus sparse, slow and obvious: torch.optim and plain numpy.

Only for MLPs. Initial weights, random draws and the order of minibatches are those of the plan;
masks, layers, optimiser steps, moves of RigL and the choice of the epoch are done anew.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F

from combsearch.nets import NetBatch
from combsearch.rng import epoch_order, uniform
from combsearch.studies.dctps.config import Setting
from combsearch.studies.dctps.plan import DctpsPlan

Named = dict[str, Any]


def counts_epl(sizes: list[int], budget: int) -> list[int]:
    """One weight after the other to the layer that has fewest and is not full."""
    counts = [0] * len(sizes)
    for _ in range(budget):
        free = [i for i in range(len(sizes)) if counts[i] < sizes[i]]
        counts[min(free, key=lambda i: (counts[i], i))] += 1
    return counts


def counts_erk(shapes: list[tuple[int, ...]], budget: int) -> list[int]:
    """Shares by the sum of a layer's dimensions, of layers that do not fill up."""
    full: set[int] = set()
    sizes = [math.prod(shape) for shape in shapes]
    while True:
        rest = budget - sum(sizes[i] for i in full)
        left = [i for i in range(len(shapes)) if i not in full]
        factor = rest / sum(sum(shapes[i]) for i in left)
        over = [i for i in left if factor * sum(shapes[i]) > sizes[i]]
        if not over:
            break
        full.add(max(over, key=lambda i: factor * sum(shapes[i]) / sizes[i]))
    exact = [sizes[i] if i in full else factor * sum(shapes[i]) for i in range(len(shapes))]
    counts = [int(e + 1e-6) for e in exact]
    order = sorted(range(len(shapes)), key=lambda i: counts[i] - exact[i])
    for i in order[: budget - sum(counts)]:
        counts[i] += 1
    return counts


@lru_cache
def transform(inputs: int, outputs: int) -> Any:
    """The orthonormal cosine transform, padded and truncated: float32 [outputs, inputs]."""
    whole = scipy.fft.dct(np.eye(max(inputs, outputs)), norm="ortho", axis=0)
    return torch.from_numpy(whole[:outputs, :inputs].astype(np.float32))


class Naive:
    """A network in training: ``history`` has validation accuracy and parameters by epoch."""

    def __init__(self, plan: DctpsPlan, setting: Setting, seed: int) -> None:
        self.plan, self.setting, self.seed = plan, setting, seed
        self.keys = plan.keys(seed)
        network = plan.network(setting.method)
        self.names = network.prunable
        start = NetBatch.create(network, self.keys).params
        self.w = {name: torch.tensor(a[0], requires_grad=True) for name, a in start.items()}
        self.recipe = plan.config.recipe(setting.method)
        self.budget = setting.budget(sum(self.w[name].numel() for name in self.names))
        self.per_epoch = len(plan.training.x) // plan.config.batch_size
        self.mask = self.first_mask()
        self.apply_mask()
        self.history: list[tuple[float, Named, Named]] = []

    def logits(self, w: Named, x: Any) -> Any:
        for place, name in enumerate(self.names):
            layer = name.removesuffix(".weight")
            found = F.linear(x, w[name], w[f"{layer}.bias"])
            if self.setting.method.offset:
                matrix = transform(x.shape[1], len(w[name]))
                found = found + w.get(f"{layer}.alpha", 1.0) * F.linear(x, matrix)
            x = found if place == len(self.names) - 1 else torch.relu(found)
        return x

    # ---- masks

    def first_mask(self) -> Named:
        support = self.setting.method.support
        if support == "dense":
            return {name: torch.ones_like(self.w[name]) for name in self.names}
        if support == "force":
            return self.force()
        shapes = [tuple(self.w[name].shape) for name in self.names]
        erk = support == "erk" or (support == "rigl" and not self.setting.method.offset)
        sizes = [math.prod(shape) for shape in shapes]
        counts = counts_erk(shapes, self.budget) if erk else counts_epl(sizes, self.budget)
        masks = {}
        for layer, (name, count) in enumerate(zip(self.names, counts, strict=True)):
            draws = uniform(self.keys.philox_keys(), layer, shapes[layer][0], shapes[layer][1], 2)[
                0
            ]
            masks[name] = self.highest(draws, count)
        return masks

    @staticmethod
    def highest(scores: Any, count: int) -> Any:
        flat = np.asarray(scores, np.float64).reshape(-1)
        kept = np.zeros(len(flat), np.float32)
        kept[np.argsort(-flat, kind="stable")[:count]] = 1
        return torch.from_numpy(kept.reshape(np.shape(scores)))

    def force(self) -> Named:
        config = self.plan.config
        # One minibatch a step.
        assert config.force_batches == 0 and self.plan.training.classes == 10
        whole = sum(self.w[name].numel() for name in self.names)
        masks = {name: torch.ones_like(self.w[name]) for name in self.names}
        for step in range(1, config.force_steps + 1):
            gradients = self.gradients(step - 1, masks)
            scores = {name: (g * self.w[name].detach()).abs() for name, g in gradients.items()}
            goal = math.exp(
                math.log(whole) + step / config.force_steps * math.log(self.budget / whole)
            )
            flat = np.concatenate([scores[name].numpy().reshape(-1) for name in self.names])
            kept = self.highest(flat, round(goal))
            at = 0
            for name in self.names:
                size = self.w[name].numel()
                masks[name] = kept[at : at + size].reshape(self.w[name].shape)
                at += size
        return masks

    def gradients(self, step: int, masks: Named) -> Named:
        x, y = self.batch(step)
        leaf = {name: w.detach().clone().requires_grad_() for name, w in self.w.items()}
        with torch.no_grad():
            for name in self.names:
                leaf[name] *= masks[name]
        loss = F.cross_entropy(self.logits(leaf, x), y)
        found = torch.autograd.grad(loss, [leaf[name] for name in self.names])
        return dict(zip(self.names, found, strict=True))

    def apply_mask(self) -> None:
        with torch.no_grad():
            for name, mask in self.mask.items():
                self.w[name] *= mask

    # ---- training

    def batch(self, step: int) -> tuple[Any, Any]:
        config, training = self.plan.config, self.plan.training
        epoch, place = divmod(step, self.per_epoch)
        order = epoch_order(config.seed, self.seed, epoch, len(training.x))
        rows = order[place * config.batch_size : (place + 1) * config.batch_size]
        return torch.from_numpy(training.x[rows]), torch.from_numpy(training.y[rows]).long()

    def run(self) -> Naive:
        config = self.plan.config
        values = list(self.w.values())
        decay: dict[str, Any] = {"weight_decay": config.weight_decay}
        make: dict[str, Any] = {
            "adam": lambda: torch.optim.Adam(values, lr=self.recipe.lr, **decay),
            "sgd": lambda: torch.optim.SGD(values, lr=self.recipe.lr, momentum=0.9, **decay),
        }
        optimizer = make[config.optimizer]()
        total = config.epochs * self.per_epoch
        last_move = int(config.rigl_end * total)
        for number in range(1, total + 1):
            epoch = (number - 1) // self.per_epoch
            if config.optimizer == "sgd":
                drops = sum(epoch >= milestone for milestone in config.milestones)
                optimizer.param_groups[0]["lr"] = self.recipe.lr * config.factor**drops
            moves = number % config.rigl_interval == 0 and number < last_move
            if self.setting.method.support == "rigl" and moves:
                self.move(number, last_move, optimizer)
            else:
                x, y = self.batch(number - 1)
                optimizer.zero_grad()
                loss: Any = F.cross_entropy(self.logits(self.w, x), y)
                loss.backward()
                optimizer.step()
                self.apply_mask()
            if number % self.per_epoch == 0:
                now = {name: w.detach().numpy().copy() for name, w in self.w.items()}
                valid = self.accuracy(now, self.plan.training.x_test, self.plan.training.y_test)
                self.history.append((valid, now, dict(self.mask)))
        return self

    def move(self, number: int, last_move: int, optimizer: Any) -> None:
        gradients = self.gradients(number - 1, self.mask)
        share = self.plan.config.rigl_fraction / 2 * (1 + math.cos(math.pi * number / last_move))
        for name in self.names:
            kept = self.mask[name].numpy()
            count, size = int(kept.sum()), np.abs(self.w[name].detach().numpy())
            going = int(share * count)
            stay = self.highest(np.where(kept == 1, size, -np.inf), count - going).numpy()
            grow = np.where(stay == 1, -np.inf, np.abs(gradients[name].numpy()))
            self.mask[name] = torch.from_numpy(stay) + self.highest(grow, going)
            both = torch.from_numpy(kept) * self.mask[name]
            state = optimizer.state[self.w[name]]
            for kind in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
                if kind in state:
                    state[kind] *= both
            with torch.no_grad():
                self.w[name] *= both

    def accuracy(self, w: Named, x: Any, y: Any) -> float:
        with torch.no_grad():
            plain = {name: torch.as_tensor(a) for name, a in w.items()}
            found = self.logits(plain, torch.from_numpy(x)).argmax(1).numpy()
        return float((found == y).mean())

    # ---- what came of it

    def row(self) -> Named:
        valid = [found[0] for found in self.history]
        best = valid.index(max(valid))
        test = self.plan.test
        w, mask = self.history[best][1], self.history[best][2]
        return {
            "accuracy": self.accuracy(w, test.x, test.y),
            "valid_accuracy": valid[best],
            "best_epoch": best,
            "last_accuracy": self.accuracy(self.history[-1][1], test.x, test.y),
            "layer_kept": [int(mask[name].sum()) for name in self.names],
            "alphas": [float(a) for name, a in w.items() if name.endswith("alpha")],
        }
