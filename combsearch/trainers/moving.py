"""Augmentation on a device: what ``move_images`` does to pixels, done to normalised images.

Moves are drawn on the CPU by ``draw_moves``, by the key of a network's run (or of its block,
where networks share them), the epoch and the image's number in the training set. So neither
chunks nor segments of training nor neighbours change what a network sees.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from combsearch.rng import U32, as_philox_key, mix64
from combsearch.tasks.augmentation import Augmentation
from combsearch.tasks.images import Moves, draw_moves

_SHARED_TAG = np.uint64(0x736861726564)  # "shared": keeps these keys apart from those of orders


def shared_key(seed: int, block: int) -> U32:
    """The Philox key of the moves that all networks of a block share: uint32 [1, 2]."""
    word = mix64(np.uint64(seed))
    for part in (_SHARED_TAG, np.uint64(block)):
        word = mix64(word ^ part)
    return as_philox_key(word)[None]


class Mover:
    """Moves minibatches of normalised images, whose rows are flat.

    Args:
        augmentation: the moves to draw.
        device, dtype: of the minibatches.
    """

    def __init__(
        self, augmentation: Augmentation, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._augmentation = augmentation
        channels, height, width = augmentation.image_shape
        pad = augmentation.pad
        self._shape = (channels, height + 2 * pad, width + 2 * pad)
        # Rounded as pixels are, whatever the dtype.
        black = torch.tensor(augmentation.black, dtype=torch.float32, device=device).to(dtype)
        self._black = black[:, None, None]
        self._down = torch.arange(height, device=device)[:, None] * self._shape[2]
        self._across = torch.arange(width, device=device)

    def __call__(
        self, x: torch.Tensor, keys: U32, epoch: int, images: npt.NDArray[np.integer]
    ) -> torch.Tensor:
        """``x`` as each of k copies sees it: [k, batch, in].

        Args:
            x: [batch, in].
            keys: uint32 [k, 2].
            epoch: from 0.
            images: [batch], the numbers of the images in the training set.
        """
        flip, pad = self._augmentation.flip, self._augmentation.pad
        moves = draw_moves(keys, epoch, images, flip=flip, pad=pad)
        framed = self._framed(x).flatten(2)
        places = self._places(moves)[:, :, None]  # the same for all channels
        shape = (len(places), *framed.shape[:2], places.shape[-1])
        return framed.expand(len(places), -1, -1, -1).gather(3, places.expand(shape)).flatten(2)

    def _framed(self, x: torch.Tensor) -> torch.Tensor:
        """Rows [batch, in] as images with their black frames [batch, channels, rows, columns]."""
        images = x.view(len(x), *self._augmentation.image_shape)
        pad, (height, width) = self._augmentation.pad, images.shape[2:]
        framed = self._black.expand(len(x), *self._shape).clone()
        framed[:, :, pad : pad + height, pad : pad + width] = images
        return framed

    def _places(self, moves: Moves) -> torch.Tensor:
        """Where in a framed channel each pixel comes from: int64 [k, batch, height * width]."""
        last = len(self._across) - 1
        first = moves.row * self._shape[2] + moves.column + np.where(moves.flip, last, 0)
        both = self._sent(np.stack([first, np.where(moves.flip, -1, 1)]))
        corners, turns = both[..., None, None].unbind()
        return (corners + self._down + turns * self._across).flatten(2)

    def _sent(self, numbers: npt.NDArray[np.int64]) -> torch.Tensor:
        """``numbers`` on the device; a GPU goes on with its work meanwhile."""
        found = torch.from_numpy(numbers)
        if self._down.is_cuda:
            found = found.pin_memory()
        return found.to(self._down.device, non_blocking=True)
