"""Subgroups of a permutation group, and the multisets of points that differ under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from combsearch.enumeration.paths import Ints, Words, too_large
from combsearch.kernels import orbits as kernel

_CANDIDATES = 2**22  # multisets tried at once
_Row = TypeVar("_Row", np.uint8, np.int16)


@dataclass(frozen=True, eq=False)
class Choices:
    """Multisets of the points of one class, one for every orbit under a group.

    Attributes:
        lists: int16 [choice, most points], the numbers of the points, ascending; then 0.
        sizes: int64 [choice], points.
        covered: int64 [choice], the union of their codes.
        groups: int64 [choice], the subgroup that leaves the choice as it is.
    """

    lists: npt.NDArray[np.int16]
    sizes: Ints
    covered: Ints
    groups: Ints

    def select(self, left: int, *, exact: bool) -> Choices:
        """Those of at most ``left`` points, or of ``left`` points."""
        chosen = np.flatnonzero(self.sizes == left if exact else self.sizes <= left)
        return Choices(
            self.lists[chosen], self.sizes[chosen], self.covered[chosen], self.groups[chosen]
        )

    def words(self, words: Words) -> Words:
        """Mask words of the choices, uint64 [choice, word], as neurons 0, 1, ... of ``words``.

        Args:
            words: uint64 [neuron, point, word].
        """
        bits = np.zeros((len(self.sizes), words.shape[2]), np.uint64)
        for place in range(min(self.lists.shape[1], len(words))):
            has = self.sizes > place
            bits[has] |= words[place, self.lists[has, place]]
        return bits


class Subgroups:
    """The subgroups of a group that have come up, by number; 0 is the whole group.

    Attributes:
        elements: uint8 [element, bit], where each permutation sends each bit of a code.
        members: of each subgroup its elements, int64 [element], the identity first.
    """

    def __init__(self, elements: npt.NDArray[np.uint8]) -> None:
        self.elements = elements
        self.members: list[Ints] = []
        self._numbers: dict[bytes, int] = {}
        self._number(np.arange(len(elements)))

    def _number(self, members: Ints) -> int:
        number = self._numbers.setdefault(members.tobytes(), len(self.members))
        if number == len(self.members):
            self.members.append(members)
        return number

    def choices(self, group: int, codes: Ints, most: int, *, stabilise: bool) -> Choices:
        """The least multiset of every orbit under a subgroup, small ones first.

        Args:
            group: number of the subgroup.
            codes: int64 [point], ascending, closed under the subgroup.
            most: points of the largest multisets.
            stabilise: whether to find the stabilisers; else ``groups`` are 0.

        Raises:
            UsageError: there are too many.
        """
        images, element_of = _different_rows(self._images(group, codes))
        lists = np.zeros((1, 0), np.int16)
        parts = []
        for size in range(most + 1):
            if size:
                lists = _extended(lists, images)
            after = self._stabilisers(group, lists, images, element_of) if stabilise else 0
            padded = np.zeros((len(lists), most), np.int16)
            padded[:, :size] = lists
            covered = np.bitwise_or.reduce(codes[lists], axis=1, initial=0)
            parts.append(
                (padded, np.full(len(lists), size), covered, after + np.zeros(len(lists), int))
            )
        return Choices(*map(np.concatenate, zip(*parts, strict=True)))

    def _images(self, group: int, codes: Ints) -> npt.NDArray[np.int16]:
        """The points that each element sends the points to: int16 [element, point]."""
        elements = self.elements[self.members[group]]
        sent = np.zeros((len(elements), len(codes)), np.int64)
        for bit, to in enumerate(elements.T.astype(np.int64)):
            sent |= (codes >> bit & 1) << to[:, None]
        return np.searchsorted(codes, sent).astype(np.int16)

    def _stabilisers(
        self,
        group: int,
        lists: npt.NDArray[np.int16],
        images: npt.NDArray[np.int16],
        element_of: Ints,
    ) -> Ints:
        """int64 [list]: the subgroup that leaves each multiset as it is."""
        members = self.members[group]
        if len(images) == 1 or not lists.shape[1]:
            return np.full(len(lists), group)
        flags = np.zeros((len(lists), len(images)), np.uint8)
        kernel.stabilisers(lists, images, flags)
        different, which = _different_rows(flags)
        numbers = [self._number(members[keeps[element_of] == 1]) for keeps in different]
        return np.array(numbers, np.int64)[which]


def _different_rows(rows: npt.NDArray[_Row]) -> tuple[npt.NDArray[_Row], Ints]:
    """The different rows of a table, and which of them each row is."""
    if len(rows) == 1:
        return rows, np.zeros(1, np.int64)
    whole = np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}").reshape(-1)
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return rows[first], which.reshape(-1).astype(np.int64)


def _extended(lists: npt.NDArray[np.int16], images: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """The least lists with one number more."""
    last = lists[:, -1].astype(np.int64) if lists.shape[1] else np.zeros(len(lists), np.int64)
    room = int((images.shape[1] - last).sum())
    if room > _CANDIDATES:
        raise too_large()
    longer = np.empty((room, lists.shape[1] + 1), np.int16)
    found = kernel.extend(lists, images, longer)
    return longer[:found].copy()
