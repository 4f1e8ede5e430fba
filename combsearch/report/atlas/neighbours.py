"""Which masks lie one weight apart, so that a reader can walk from one to the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from combsearch.enumeration import mask_space
from combsearch.mask import WORD_BITS, MaskBatch
from combsearch.report.atlas.data import Atlas

NOWHERE = 2**16 - 1
"""Stands for no mask: without the weight it would not be eligible, or it is not on the map."""


def one_weight_fewer(atlas: Atlas, most: int) -> npt.NDArray[np.uint16] | None:
    """For every weight that a mask keeps, the mask that is left when it goes.

    Returns:
        uint16 [kept weight]: place among the masks of the level below, or NOWHERE; the weights
        of a mask by ascending bit, mask after mask. None: they would be more than ``most``, or
        the order of the rows makes what is left no mask of the run.
    """
    kept = atlas.masks.weight_nonzeros()
    if int(kept.sum()) > most or atlas.plan.symmetry == "rows":
        return None
    mask, bit = _kept_bits(atlas.masks)
    words = atlas.masks.words[mask]
    flag = np.uint64(1) << (bit % WORD_BITS).astype(np.uint64)
    words[np.arange(len(mask)), bit // WORD_BITS] ^= flag
    left = MaskBatch(atlas.shape, words)
    sound = left.eligible(unused_inputs=atlas.plan.config.unused_inputs)
    found = np.full(len(mask), NOWHERE, np.uint16)
    found[sound] = _places(atlas, left[sound])
    return found


def _kept_bits(masks: MaskBatch) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(mask, bit) of every kept weight."""
    flat = [layer.reshape(len(masks), -1) for layer in masks.dense()]
    mask, bit = np.nonzero(np.concatenate(flat, axis=1))
    return mask, bit


def _places(atlas: Atlas, masks: MaskBatch) -> npt.NDArray[np.uint16]:
    config, plan = atlas.plan.config, atlas.plan
    most, unused = config.max_nonzeros or None, config.unused_inputs
    space = mask_space(atlas.shape, plan.symmetry, most, unused_inputs=unused)
    start = np.zeros(atlas.shape.dense_nonzeros + 1, np.int64)  # first ranks, by nonzeros
    for nonzeros in space.levels():
        start[nonzeros] = space.level_start(nonzeros)
    shown = np.isin(masks.nonzeros(), [segment.nonzeros for segment in atlas.segments])
    within = space.rank(masks) - start[masks.nonzeros()]
    return np.where(shown, within, NOWHERE).astype(np.uint16)
