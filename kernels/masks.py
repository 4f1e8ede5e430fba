"""Walks through the layered graphs whose paths are masks (``combsearch.enumeration.paths``).

A graph in arrays: the edges of node s are start[s] to start[s + 1] in order; an edge has
a target node, a step (weights that it keeps) and words (the mask bits that it sets).
Nodes of one layer have consecutive numbers and edges lead one layer on; node 0 is the
root, the last node the end, ``depth`` edges away. counts[s, w] is the number of paths
from s to the end that keep w weights; paths of one weight are ranked edge by edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cache import compiled

FULL = 2**63 - 1  # a count that is at least this


@compiled
def count_paths(start: Any, target: Any, step: Any, counts: Any) -> None:
    """Fill ``counts`` (int64 [node, weight], zeros), which stop at ``FULL``."""
    nodes, weights = counts.shape
    counts[nodes - 1, 0] = 1
    for s in range(nodes - 2, -1, -1):
        for e in range(start[s], start[s + 1]):
            t, d = target[e], step[e]
            for w in range(d, weights):
                total = counts[s, w] + counts[t, w - d]
                counts[s, w] = total if total >= 0 else FULL


@compiled
def _descend(start: Any, target: Any, step: Any, counts: Any, rank: int, left: Any, edge: Any,
             node: Any) -> None:  # fmt: skip
    """Set the edges of the path of this rank; node[0] and left[0] are given."""
    for k in range(edge.size):
        e = start[node[k]]
        while True:
            w = left[k] - step[e]
            if w >= 0:
                paths = counts[target[e], w]
                if rank < paths:
                    break
                rank -= paths
            e += 1
        edge[k], node[k + 1], left[k + 1] = e, target[e], w


@compiled
def walk(
    start: Any, target: Any, step: Any, words: Any, counts: Any, feasible: Any,
    depth: int, weight: int, rank: int, out: Any,
) -> int:  # fmt: skip
    """Write the words of the paths from ``rank`` on that keep ``weight`` weights into ``out``.

    Args:
        feasible: uint8 [node, weight], whether counts > 0.
        out: uint64 [path, word]; must not hold more rows than there are paths from ``rank`` on.

    Returns:
        Rows written, all of them.
    """
    size = words.shape[1]
    node, left = np.zeros(depth + 1, np.int64), np.zeros(depth + 1, np.int64)
    edge, bits = np.zeros(depth, np.int64), np.zeros((depth + 1, size), np.uint64)
    left[0] = weight
    if out.shape[0] == 0:
        return 0
    _descend(start, target, step, counts, rank, left, edge, node)
    for k in range(depth - 1):
        for i in range(size):
            bits[k + 1, i] = bits[k, i] | words[edge[k], i]
    last, done = depth - 1, 0
    while True:
        end, rest = start[node[last] + 1], left[last]
        for e in range(edge[last], end):
            if step[e] == rest:
                for i in range(size):
                    out[done, i] = bits[last, i] | words[e, i]
                done += 1
                if done == out.shape[0]:
                    return done
        k = last - 1
        edge[k] += 1
        while k < last:
            e, end, rest = edge[k], start[node[k] + 1], left[k]
            while e < end and (step[e] > rest or not feasible[target[e], rest - step[e]]):
                e += 1
            if e == end:
                k -= 1
                edge[k] += 1
                continue
            edge[k], node[k + 1], left[k + 1] = e, target[e], rest - step[e]
            for i in range(size):
                bits[k + 1, i] = bits[k, i] | words[e, i]
            k += 1
            edge[k] = start[node[k]]


@compiled
def rank_words(
    start: Any, target: Any, step: Any, words: Any, counts: Any, bits: Any, masks: Any,
    weights: Any, ranks: Any,
) -> None:  # fmt: skip
    """The rank of every mask among the paths of its weight, -1 where it is none.

    Args:
        bits: uint64 [depth, word], the mask bits that the edges of each layer decide.
        masks: uint64 [mask, word].
        weights: int32 [mask], weights kept.
        ranks: int64 [mask], filled.
    """
    for m in range(masks.shape[0]):
        node, left, rank = 0, weights[m], 0
        if left >= counts.shape[1]:
            rank, left = -1, 0
        for k in range(bits.shape[0]):
            if rank < 0:
                break
            e, end, found = start[node], start[node + 1], False
            while e < end:
                found = True
                for i in range(masks.shape[1]):
                    found = found and words[e, i] == masks[m, i] & bits[k, i]
                if found:
                    break
                if step[e] <= left:
                    rank += counts[target[e], left - step[e]]
                e += 1
            if found and step[e] <= left:
                node, left = target[e], left - step[e]
            else:
                rank = -1
        ranks[m] = rank
