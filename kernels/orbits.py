"""Multisets of points up to a permutation group, and the rank of a mask in its orbit's place.

See ``combsearch.enumeration.points`` for what points are. A multiset is the ascending
list of its points' numbers; the least list of an orbit stands for the orbit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cache import compiled


@compiled
def _compare(counts: Any, images: Any, flags: Any) -> bool:
    """Whether no image of a multiset is less; flags which group elements leave it as it is.

    The list of g's inverse applied to the multiset with these ``counts`` is less where
    counts[g(i)] > counts[i] at the first i that differs.
    """
    for g in range(images.shape[0]):
        flags[g] = 1
        for i in range(counts.size):
            image = counts[images[g, i]]
            if image != counts[i]:
                if image > counts[i]:
                    return False
                flags[g] = 0
                break
    return True


@compiled
def extend(lists: Any, images: Any, longer: Any) -> int:
    """Least lists with one number more: every least list less its last number is least itself.

    Args:
        lists: int16 [list, k], all least lists of length k, ascending.
        images: int16 [element, point], the points that each group element sends the points
            to; all elements, or those that differ in their action on the points.
        longer: int16 [at least the result, k + 1], filled with the least lists of length k + 1.

    Returns:
        Lists found.
    """
    size, points = lists.shape[1], images.shape[1]
    counts, flags = np.zeros(points, np.int16), np.zeros(images.shape[0], np.uint8)
    found = 0
    for row in range(lists.shape[0]):
        counts[:] = 0
        for i in range(size):
            counts[lists[row, i]] += 1
        for added in range(lists[row, size - 1] if size else 0, points):
            counts[added] += 1
            if images.shape[0] == 1 or _compare(counts, images, flags):
                longer[found, :size] = lists[row]
                longer[found, size] = added
                found += 1
            counts[added] -= 1
    return found


@compiled
def stabilisers(lists: Any, images: Any, flags: Any) -> None:
    """Flag which group elements leave each multiset as it is: uint8 [list, element]."""
    counts = np.zeros(images.shape[1], np.int16)
    for row in range(lists.shape[0]):
        counts[:] = 0
        for i in range(lists.shape[1]):
            counts[lists[row, i]] += 1
        _compare(counts, images, flags[row])


@compiled
def _ones(bits: int) -> int:
    """Set bits of a number."""
    total = 0
    while bits:
        bits &= bits - 1
        total += 1
    return total


@compiled
def _read_points(mask: Any, fields: Any, owner: Any, place: Any, codes: Any) -> None:
    """The code of every point of a mask; see ``rank_points`` for the arrays."""
    for p in range(owner.size):
        code = 0
        for f in range(2):
            first, width, base, across, along = fields[owner[p], f]
            for b in range(width):
                at = base + b * across + place[p] * along
                if mask[at >> 6] >> np.uint64(at & 63) & np.uint64(1):
                    code |= 1 << (first + b)
        codes[p] = code


@compiled
def _in_class(code: int, tests: Any) -> bool:
    """Whether a point keeps the fixed bits and the weights of a class."""
    if code & tests[0] != tests[1] or _ones(code & tests[2]) != tests[3]:
        return False
    last: bool = _ones(code & tests[4]) == tests[5]
    return last


@compiled
def _sent(code: int, element: Any) -> int:
    """The code with its bits permuted."""
    image, bit = 0, 0
    while code:
        if code & 1:
            image |= 1 << int(element[bit])
        code >>= 1
        bit += 1
    return image


@compiled
def _insert(codes: Any, count: int, code: int) -> None:
    """Put ``code`` in its place among the first ``count`` codes, which ascend."""
    while count and codes[count - 1] > code:
        codes[count] = codes[count - 1]
        count -= 1
    codes[count] = code


@compiled
def _best_element(chosen: Any, count: int, elements: Any, members: Any, best: Any,
                  image: Any) -> int:  # fmt: skip
    """The member that makes the ascending list of codes least; the list goes to ``best``."""
    found = -1
    for g in members:
        for i in range(count):
            _insert(image, i, _sent(chosen[i], elements[g]))
        less = found < 0
        for i in range(count):
            if less or image[i] != best[i]:
                less = less or image[i] < best[i]
                break
        if less:
            best[:count] = image[:count]
            found = g
    return found


@compiled
def _write_points(codes: Any, count: int, fields: Any, place: int, word: Any) -> None:
    """The mask bits of the first ``count`` codes as neurons ``place``, ``place + 1``, ..."""
    word[:] = 0
    for i in range(count):
        for f in range(2):
            first, width, base, across, along = fields[f]
            for b in range(width):
                if codes[i] >> (first + b) & 1:
                    at = base + b * across + (place + i) * along
                    word[at >> 6] |= np.uint64(1) << np.uint64(at & 63)


@compiled
def rank_points(
    start: Any, target: Any, step: Any, words: Any, counts: Any, group: Any, members_start: Any,
    members: Any, elements: Any, fields: Any, owner: Any, place: Any, parts: Any, masks: Any,
    weights: Any, ranks: Any,
) -> None:  # fmt: skip
    """The rank of every mask's orbit among the paths of its weight, -1 where it is none.

    Args:
        start: as the next four, the graph of ``kernels.masks``.
        group: int32 [node], the group of each node.
        members_start: int64 [group + 1], where its members start.
        members: int64, the elements of all groups.
        elements: uint8 [element, bit], where a permutation sends the bits of a code.
        fields: int64 [layer, 2, 5]: first bit, width, base, across, along; width 0: no field.
        owner: int64 [point], the points layer that it lies in.
        place: int64 [point], its place in the layer.
        parts: int64 [depth, 9]: the six tests of the class (fixed bits and their values, two
            times some bits and how many of them are set), the layer, the first and the end
            of its turn's points, all of them counted.
        masks: uint64 [mask, word].
        weights: int32 [mask], weights kept.
        ranks: int64 [mask], filled.
    """
    codes, word = np.zeros(owner.size, np.int64), np.zeros(masks.shape[1], np.uint64)
    chosen, best = np.zeros(owner.size + 1, np.int64), np.zeros(owner.size + 1, np.int64)
    image = np.zeros(owner.size + 1, np.int64)
    for m in range(masks.shape[0]):
        node, left, rank, placed = 0, weights[m], 0, 0
        _read_points(masks[m], fields, owner, place, codes)
        for k in range(parts.shape[0]):
            layer, first, end = parts[k, 6], parts[k, 7], parts[k, 8]
            if k and parts[k - 1, 7] != first:
                placed = 0
            count = 0
            for p in range(first, end):
                if _in_class(codes[p], parts[k]):
                    _insert(chosen, count, codes[p])
                    count += 1
            low, high = members_start[group[node]], members_start[group[node] + 1]
            best[:count] = chosen[:count]
            if count and high - low > 1:
                g = _best_element(chosen, count, elements, members[low:high], best, image)
                for p in range(first, owner.size):
                    codes[p] = _sent(codes[p], elements[g])
            _write_points(best, count, fields[layer], place[first] + placed, word)
            placed += count
            e, last = start[node], start[node + 1]
            while e < last and (words[e] != word).any():
                if step[e] <= left:
                    rank += counts[target[e], left - step[e]]
                e += 1
            if e == last or step[e] > left:
                rank = -1
                break
            node, left = target[e], left - step[e]
        ranks[m] = rank
