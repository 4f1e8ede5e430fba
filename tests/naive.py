"""Brute-force oracles: slow, plain, and written without a look at the code they check."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

# ---- tasks ---------------------------------------------------------------------------


def cubist_spiral() -> tuple[list[tuple[float, float]], list[int]]:
    """Points and labels of the Cubist Spiral from its specification, in plain Python."""
    import struct

    def single(value: float) -> float:
        return float(struct.unpack("f", struct.pack("f", value))[0])

    points, labels = [], []
    for label, push in enumerate((15.0, -15.0)):
        corners = []
        for k in range(17):
            theta = math.pi + k * 4 * math.pi / 16 + 0.4 * math.pi
            r = 10 * theta + math.pi
            corners.append(((r + push) * math.cos(theta), (r + push) * math.sin(theta)))
        lengths = [math.dist(corners[i], corners[i + 1]) for i in range(16)]
        for i, length in enumerate(lengths):
            n = int(length / math.fsum(lengths) * 25_000)
            for j in range(n):
                t = j / (n - 1)
                x, y = (
                    t * p + (1 - t) * q for p, q in zip(corners[i], corners[i + 1], strict=True)
                )
                points.append((single(x), single(y)))
                labels.append(label)
    scaled = []
    for axis in (0, 1):
        values = [point[axis] for point in points]
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
        scaled.append([(v - mean) / deviation for v in values])
    return list(zip(*scaled, strict=True)), labels


def csv_points(text: str) -> tuple[list[list[float]], list[float]]:
    """Inputs and labels of a valid CSV text: a header is a first line that is no numbers."""
    import csv

    rows = list(csv.reader(text.removeprefix("\ufeff").splitlines(), skipinitialspace=True))
    rows = [row for row in rows if "".join(row).strip()]
    label = -1
    try:
        [float(field) for field in rows[0]]
    except ValueError:
        for i, name in enumerate(rows.pop(0)):
            if name.strip("# ").lower() in ("y", "label"):
                label = i
    inputs, labels = [], []
    for row in rows:
        numbers = [float(field) for field in row]
        labels.append(numbers.pop(label))
        inputs.append(numbers)
    return inputs, labels


# ---- store ---------------------------------------------------------------------------


def rows_digest(rows: list[dict[str, object]]) -> str:
    """Digest of saved rows from its definition, row by row; parameters as lists or None."""
    import hashlib
    import struct

    def key(row: dict[str, object]) -> tuple[object, ...]:
        return row["rank"], str(row["cell"]).encode(), row["restart"]

    rows = sorted(rows, key=key)
    total = hashlib.sha256(b"combsearch rows 1\n" + str(len(rows)).encode() + b"\n")
    kinds = "rank q, shape s, mask Q, nonzeros i, cell s, restart i, accuracy d, status s"
    for name, kind in [pair.split() for pair in kinds.split(", ")] + [["parameters", "f"]]:
        sizes, values = b"", b""
        for row in rows:
            value = row[name]
            if kind == "s":
                sizes += struct.pack("<i", len(str(value).encode()))
                values += str(value).encode()
            elif kind == "f":
                assert value is None or isinstance(value, list)
                sizes += struct.pack("<i", -1 if value is None else len(value))
                values += b"".join(struct.pack("<f", entry) for entry in value or [])
            else:
                values += struct.pack("<" + kind, value)
        first, second = (sizes, values) if kind in "sf" else (values, b"")
        total.update(name.encode() + b"\n")
        total.update(hashlib.sha256(first).digest() + hashlib.sha256(second).digest())
    return total.hexdigest()


# ---- random numbers ------------------------------------------------------------------


def philox4x32(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 in Python's integers, from the paper's figure."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [
            (second >> 32) ^ c[1] ^ k[0],
            second % 2**32,
            (first >> 32) ^ c[3] ^ k[1],
            first % 2**32,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def splitmix64(x: int) -> int:
    """The output that splitmix64 gives from state ``x``."""
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return x ^ (x >> 31)


def epoch_order(seed: int, block: int, epoch: int, points: int) -> list[int]:
    """The order of an epoch, one index at a time."""
    word = splitmix64(seed)
    for part in (int.from_bytes(b"order", "big"), block, epoch):
        word = splitmix64(word ^ part)
    key = [word % 2**32, word >> 32]
    keys = [k for i in range(3) for k in philox4x32([i, 0, 0, 0], key)]
    bits = 0
    while 2**bits < points:
        bits += 1
    high_bits, low_bits = bits // 2, bits - bits // 2

    def scramble(value: int, round_key: int, out_bits: int) -> int:
        value ^= round_key
        value = ((value ^ (value >> 16)) * 0x7FEB352D) % 2**32
        value = ((value ^ (value >> 15)) * 0x846CA68B) % 2**32
        return (value ^ (value >> 16)) >> (32 - out_bits)

    order = []
    for index in range(2**bits):
        high, low = index >> low_bits, index % 2**low_bits
        for turn in range(12):
            if turn % 2 == 0:
                low ^= scramble(high, keys[turn], low_bits)
            else:
                high ^= scramble(low, keys[turn], high_bits)
        image = high * 2**low_bits + low
        if image < points:
            order.append(image)
    return order


# ---- networks and training -----------------------------------------------------------


def mask_nonzeros(matrices: list[list[list[int]]]) -> int:
    """Weights kept and rows that keep one, of one mask as nested lists."""
    return sum(sum(row) + (1 if any(row) else 0) for matrix in matrices for row in matrix)


def mask_eligible(matrices: list[list[list[int]]]) -> bool:
    """Whether every row and every column of every layer keeps a weight."""
    return all(
        all(any(row) for row in matrix) and all(any(column) for column in zip(*matrix, strict=True))
        for matrix in matrices
    )


def train_mlp(
    weights: list[Array],
    biases: list[Array],
    masks: list[Array],
    bias_masks: list[Array],
    batches: Iterable[tuple[int, Array, Array]],
    *,
    lr: float,
    schedule: str,
    epochs: int,
    dtype: str,
) -> tuple[list[Array], list[Array]]:
    """Train one MLP with torch.nn and torch.optim; new weights [out, in] and biases [out].

    ``batches`` are (epoch, x, y). Momentum 0.9, weight decay 5e-4; the losses are binary
    cross-entropy for one output, else cross-entropy.
    """
    import torch

    kind = getattr(torch, dtype)
    layers = []
    for weight, bias in zip(weights, biases, strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=kind)
        layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
        layers.append(layer)
    steps: list[torch.nn.Module] = [layers[0]]
    for layer in layers[1:]:
        steps += [torch.nn.ReLU(), layer]
    model = torch.nn.Sequential(*steps)
    optimiser = torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=5e-4)
    schedulers: Any = torch.optim.lr_scheduler
    if schedule == "cosine":
        scheduler = schedulers.CosineAnnealingLR(optimiser, epochs)
    else:
        scheduler = schedulers.MultiStepLR(optimiser, [15, 30] if schedule == "step" else [])
    now = 0
    for epoch, x, y in batches:
        while now < epoch:
            scheduler.step()
            now += 1
        logits = model(torch.tensor(x, dtype=kind))
        if logits.shape[1] == 1:
            loss = torch.nn.BCEWithLogitsLoss()(logits[:, 0], torch.tensor(y, dtype=kind))
        else:
            loss = torch.nn.CrossEntropyLoss()(logits, torch.tensor(y, dtype=torch.int64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for layer, mask, bias_mask in zip(layers, masks, bias_masks, strict=True):
            layer.weight.data.mul_(torch.tensor(mask))
            layer.bias.data.mul_(torch.tensor(bias_mask))
    return (
        [layer.weight.detach().numpy() for layer in layers],
        [layer.bias.detach().numpy() for layer in layers],
    )


# ---- search --------------------------------------------------------------------------


def dense_shapes(width: int, depth: int, inputs: int, outputs: int) -> list[tuple[int, ...]]:
    """All widths (inputs, hidden ..., outputs) in the order of a search."""
    import itertools

    found = []
    for hidden in itertools.product(range(1, width + 1), repeat=depth):
        widths = (inputs, *hidden, outputs)
        weights = sum(a * b for a, b in itertools.pairwise(widths))
        found.append((weights + sum(widths[1:]), widths))
    return [widths for _, widths in sorted(found)]


def accuracy_of_mlp(flat: Array, widths: list[int], x: Array, y: Array) -> float:
    """Accuracy of parameters (weight0 row-major, bias0, weight1, ...) by plain torch.nn."""
    import torch

    steps: list[torch.nn.Module] = []
    start = 0
    for fan, out in itertools.pairwise(widths):
        layer = torch.nn.Linear(fan, out)
        weight = torch.tensor(flat[start : start + fan * out]).reshape(out, fan)
        bias = torch.tensor(flat[start + fan * out : start + (fan + 1) * out])
        layer.load_state_dict({"weight": weight, "bias": bias})
        steps += [layer, torch.nn.ReLU()]
        start += (fan + 1) * out
    with torch.no_grad():
        logits = torch.nn.Sequential(*steps[:-1])(torch.tensor(x))
    return float(((logits[:, 0] > 0) == torch.tensor(y > 0)).double().mean())


# ---- connectivity --------------------------------------------------------------------


def connected_parameters(
    widths: list[int], weights: list[Array], biases: list[Array]
) -> tuple[set[tuple[int, int, int]], set[tuple[int, int]]]:
    """The kept parameters of a masked MLP that count, by walking every walk of kept weights.

    Weights are (layer, out, in), biases (layer, out). A walk begins at any neuron of any
    layer and ends at an output. On one from an input every weight counts. Biases count on
    all. On one that begins at a neuron with a bias and passes no fed neuron before neuron
    ``out``, the weight into ``out`` counts when ``out`` has no bias.
    """
    last = len(widths) - 1

    def walks(layer: int, neuron: int) -> Iterable[list[tuple[int, int]]]:
        """Walks from a neuron to an output, as (column of neurons, neuron)."""
        if layer == last:
            yield [(layer, neuron)]
            return
        for out in range(widths[layer + 1]):
            if weights[layer][out][neuron]:
                for walk in walks(layer + 1, out):
                    yield [(layer, neuron), *walk]

    every = [
        walk for layer, width in enumerate(widths) for i in range(width) for walk in walks(layer, i)
    ]
    fed = {(0, i) for i in range(widths[0])}
    for layer in range(last):
        for out, into in itertools.product(range(widths[layer + 1]), range(widths[layer])):
            if weights[layer][out][into] and (layer, into) in fed:
                fed.add((layer + 1, out))
    kept_weights, kept_biases = set(), set()
    for walk in every:
        steps = [(a[0], b[1], a[1]) for a, b in itertools.pairwise(walk)]
        if walk[0][0] == 0:
            kept_weights |= set(steps)
        elif biases[walk[0][0] - 1][walk[0][1]]:
            for layer, out, into in steps:
                if (layer, into) in fed:
                    break
                if not biases[layer][out]:
                    kept_weights.add((layer, out, into))
        kept_biases |= {(layer - 1, i) for layer, i in walk if layer and biases[layer - 1][i]}
    return kept_weights, kept_biases
