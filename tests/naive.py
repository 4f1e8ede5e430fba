"""Brute-force oracles: slow, plain, and written without a look at the code they check."""

from __future__ import annotations

import math

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
