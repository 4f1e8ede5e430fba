"""One labelling of the hidden neurons for each class of equal masks, on a CPU core.

A mask is a layered graph whose hidden neurons carry no names. Neurons get colours that
no relabelling changes: first by fan-in and fan-out, then again and again by the colours
of their neighbours, until no colour splits (colour refinement). Where neurons of a layer
still share a colour, one after the other is singled out and the colours are refined
again: a tree, whose leaves tell all neurons apart. The leaf with the least (colours on
the way, mask) names the neurons. Two leaves with the same mask are a symmetry, and what
a symmetry maps to a branch already seen is skipped (McKay, Practical graph isomorphism,
1981). Neurons with the same neighbours (twins) are told apart at the start: their order
cannot be seen in the mask.

Colours are hashes. Two that collide only split later, in the tree; no result rests on
hashes being different. A colour is fan-in and fan-out (8 bits each, from 255 down, so that
busy neurons come first) above 48 bits of hash::

    63 .. 56 | 55 .. 48 | 47 ... 0
     fan-in    fan-out     hash
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .cache import compiled

__all__ = ["canonical"]

Words = npt.NDArray[np.uint64]
_TOP = np.uint64(0xFFFF << 48)
_ONE = np.uint64(1)


def canonical(words: Words, widths: tuple[int, ...]) -> tuple[Words, npt.NDArray[np.int64]]:
    """Canonical masks, and the number of relabellings that change nothing as factors.

    Args:
        words: uint64 [mask, word], packed masks in the layout of ``combsearch.mask``.
        widths: neurons per layer, input and output included.

    Returns:
        uint64 [mask, word], and int64 [mask, factor]: the product of a row is the number
        of permutations of hidden neurons that map the mask to itself.
    """
    hidden = sum(widths[1:-1])
    found = np.zeros_like(words)
    factors = np.ones((len(words), 2 * hidden), np.int64)
    _canonical_all(np.ascontiguousarray(words), np.array(widths, np.int64), found, factors)
    return found, factors


@compiled
def _canonical_all(words: Any, widths: Any, found: Any, factors: Any) -> None:
    nodes = widths.sum()
    hidden = nodes - widths[0] - widths[-1]
    a = np.zeros((widths[1:] * widths[:-1]).sum(), np.uint8)
    sums = np.zeros((2, nodes), np.uint64)
    colours = np.zeros((hidden + 1, nodes), np.uint64)
    order = np.arange(nodes)
    for m in range(words.shape[0]):
        for p in range(a.size):
            a[p] = (words[m, p >> 6] >> np.uint64(p & 63)) & _ONE
        _start(a, widths, colours[0], factors[m, :hidden])
        trace = _refine(a, widths, colours[0], order, sums)
        if trace & _ONE:
            _relabel(a, widths, order, found[m])
        else:
            _search(a, widths, colours, order, sums, found[m], factors[m, hidden:])


@compiled
def _mix(z: Any) -> Any:
    """A bijection of 64 bits that looks random (the finaliser of SplitMix64)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def _start(a: Any, widths: Any, colour: Any, twins: Any) -> None:
    """First colours: layer, fan-in, fan-out and place among twins; inputs and outputs by name.

    ``twins`` [hidden]: a neuron's place among its twins, from 1; their product is the
    number of ways to permute twins.
    """
    last = widths.size - 1
    for node in range(widths[0]):
        colour[node] = _mix(np.uint64(node + 1))
    end = colour.size - widths[last]
    for node in range(end, colour.size):
        colour[node] = _mix(~np.uint64(node - end))
    node, below = widths[0], 0
    for layer in range(1, last):
        above = below + widths[layer] * widths[layer - 1]
        for i in range(widths[layer]):
            fan_in, fan_out = 0, 0
            for j in range(widths[layer - 1]):
                fan_in += a[below + i * widths[layer - 1] + j]
            for k in range(widths[layer + 1]):
                fan_out += a[above + k * widths[layer] + i]
            top = (255 - min(fan_in, 255)) << 8 | (255 - min(fan_out, 255))
            colour[node + i] = np.uint64(top) << np.uint64(48) | np.uint64(layer)
        for i in range(widths[layer]):
            place = 1
            for other in range(i):
                same = (colour[node + i] ^ colour[node + other]) & _TOP == 0
                if same and _are_twins(a, widths, layer, below, above, i, other):
                    place += 1
            twins[node - widths[0] + i] = place
        for i in range(widths[layer]):
            key = np.uint64(layer << 32 | twins[node - widths[0] + i])
            colour[node + i] = colour[node + i] & _TOP | _mix(key) >> np.uint64(16)
        node, below = node + widths[layer], above


@compiled
def _are_twins(a: Any, widths: Any, layer: int, below: int, above: int, i: int, j: int) -> bool:
    """Whether two neurons of a layer have the same neighbours, below and above."""
    fan = widths[layer - 1]
    for k in range(fan):
        if a[below + i * fan + k] != a[below + j * fan + k]:
            return False
    for k in range(widths[layer + 1]):
        at = above + k * widths[layer]
        if a[at + i] != a[at + j]:
            return False
    return True


@compiled
def _refine(a: Any, widths: Any, colour: Any, order: Any, sums: Any) -> Any:
    """Refine ``colour`` until no colour splits; sort ``order`` by it within each hidden layer.

    Returns a hash of all colours in their order, whose lowest bit says whether every
    neuron has a colour of its own.
    """
    hidden = colour.size - widths[0] - widths[-1]
    cells = 0
    while True:
        _gather(a, widths, colour, sums)
        for node in range(widths[0], widths[0] + hidden):
            below = sums[0, node] * np.uint64(0x9E3779B97F4A7C15)
            above = sums[1, node] * np.uint64(0xC2B2AE3D27D4EB4F)
            z = _mix(colour[node] + (below ^ above >> np.uint64(29)) + above)
            colour[node] = colour[node] & _TOP | z >> np.uint64(16)
        before, cells = cells, _sort(widths, colour, order)
        if cells in (before, hidden):
            break
    trace = np.uint64(0)
    for place in range(widths[0], widths[0] + hidden):
        trace = _mix(trace + colour[order[place]])
    return trace | _ONE if cells == hidden else trace & ~_ONE


@compiled
def _gather(a: Any, widths: Any, colour: Any, sums: Any) -> None:
    """``sums`` [below or above, node]: sums of the colours of a node's neighbours."""
    sums[:] = np.uint64(0)
    p, source = 0, 0
    for layer in range(1, widths.size):
        target = source + widths[layer - 1]
        for i in range(target, target + widths[layer]):
            total, own = np.uint64(0), colour[i]
            for j in range(source, target):
                keep = np.uint64(0) - np.uint64(a[p])  # all bits or none: no branch to guess
                total += colour[j] & keep
                sums[1, j] += own & keep
                p += 1
            sums[0, i] = total
        source = target


@compiled
def _sort(widths: Any, colour: Any, order: Any) -> int:
    """Sort the nodes of each hidden layer by colour; the number of different colours."""
    cells, first = 0, widths[0]
    for layer in range(1, widths.size - 1):
        end = first + widths[layer]
        for place in range(first + 1, end):
            node, at = order[place], place
            while at > first and colour[order[at - 1]] > colour[node]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = node
        for place in range(first, end):
            new = place == first or colour[order[place]] != colour[order[place - 1]]
            cells += 1 if new else 0
        first = end
    return cells


@compiled
def _relabel(a: Any, widths: Any, order: Any, words: Any) -> None:
    """The mask with node ``order[i]`` in place i, packed."""
    words[:] = np.uint64(0)
    p, start, source = 0, 0, 0
    for layer in range(1, widths.size):
        fan = widths[layer - 1]
        target = source + fan
        for i in range(target, target + widths[layer]):
            row = start + (order[i] - target) * fan - source
            for j in range(source, target):
                words[p >> 6] |= np.uint64(a[row + order[j]]) << np.uint64(p & 63)
                p += 1
        start, source = p, target


@compiled
def _search(
    a: Any, widths: Any, colours: Any, order: Any, sums: Any, best: Any, factors: Any
) -> None:
    """Walk the tree from ``colours[0]``; the least leaf's mask goes to ``best``.

    ``factors`` [depth]: how many branches of the least leaf's path are symmetric to it, at
    each depth; their product is the number of symmetries (orbit-stabiliser theorem).
    """
    most, nodes = colours.shape[0], colours.shape[1]
    path, best_path = np.zeros(most, np.int64), np.full(most, -1, np.int64)
    trace, best_trace = np.zeros(most, np.uint64), np.zeros(most, np.uint64)
    cells, sizes, turn = np.zeros((most, nodes), np.int64), path.copy(), path.copy()
    parent = np.zeros((most, nodes), np.int64)  # orbits under the symmetries found that
    best_order, words = order.copy(), np.zeros_like(best)  # fix the path down to a depth
    depth, sizes[0] = 0, _open(widths, colours[0], order, cells[0], parent[0])
    while depth >= 0:
        if turn[depth] == sizes[depth]:
            if (path[:depth] == best_path[:depth]).all():
                factors[depth] = _orbit(
                    cells[depth, : sizes[depth]], parent[depth], best_path[depth]
                )
            depth -= 1
            continue
        node = cells[depth, turn[depth]]
        turn[depth] += 1
        if _seen(cells[depth, : turn[depth] - 1], parent[depth], node):
            continue
        path[depth] = node
        colour = colours[depth + 1]
        colour[:] = colours[depth]
        colour[node] = colour[node] & _TOP | _mix(colour[node]) >> np.uint64(16)
        trace[depth] = _refine(a, widths, colour, order, sums)
        first = best_path[0] < 0
        versus = -1 if first else _compare(trace[: depth + 1], best_trace[: depth + 1])
        if versus > 0:
            continue
        if not trace[depth] & _ONE:
            depth += 1
            sizes[depth] = _open(widths, colour, order, cells[depth], parent[depth])
            turn[depth] = 0
            continue
        _relabel(a, widths, order, words)
        if versus == 0:
            versus = _compare(words, best)
        if versus < 0:
            best[:], best_order[:], best_path[:], best_trace[:] = words, order, path, trace
            factors[depth + 1 :] = 1
        elif versus == 0:
            depth = _prune(best_order, order, best_path, path, depth, parent)


@compiled
def _open(widths: Any, colour: Any, order: Any, cell: Any, parent: Any) -> Any:
    """Pick the first of the smallest colours shared by several neurons; its size."""
    for node in range(parent.size):
        parent[node] = node
    size, start, first = parent.size + 1, 0, widths[0]
    for layer in range(1, widths.size - 1):
        end, place = first + widths[layer], first
        while place < end:
            stop = place + 1
            while stop < end and colour[order[stop]] == colour[order[place]]:
                stop += 1
            if 1 < stop - place < size:
                size, start = stop - place, place
            place = stop
        first = end
    cell[:size] = order[start : start + size]
    return size


@compiled
def _root(parent: Any, node: Any) -> Any:
    while parent[node] != node:
        node = parent[node]
    return node


@compiled
def _orbit(cell: Any, parent: Any, node: int) -> int:
    """Neurons of ``cell`` in the orbit of ``node``."""
    count = 0
    for other in cell:
        count += 1 if _root(parent, other) == _root(parent, node) else 0
    return count


@compiled
def _seen(cell: Any, parent: Any, node: int) -> Any:
    """Whether a symmetry maps ``node`` to one of ``cell``."""
    return _orbit(cell, parent, node) > 0


@compiled
def _compare(left: Any, right: Any) -> int:
    """Lexicographic: -1, 0 or 1."""
    for i in range(left.size):
        if left[i] != right[i]:
            return -1 if left[i] < right[i] else 1
    return 0


@compiled
def _prune(best_order: Any, order: Any, best_path: Any, path: Any, depth: int, parent: Any) -> int:
    """Use the symmetry that maps the least leaf to this one; the depth to go on from.

    Both leaves are below the depth where their paths part. If the symmetry fixes the path
    so far and maps branch to branch there, the rest of this branch has nothing new.
    """
    image = np.empty_like(order)
    for place in range(order.size):
        image[best_order[place]] = order[place]
    for level in range(depth + 1):
        for node in range(order.size):
            left, right = _root(parent[level], node), _root(parent[level], image[node])
            parent[level, max(left, right)] = min(left, right)
        if path[level] != best_path[level]:
            return level if image[best_path[level]] == path[level] else depth
        if image[path[level]] != path[level]:
            break
    return depth
