"""The multilayer perceptron of the searches with a fixed dense offset: DCT plus sparse (DCTpS).

Price and Tanner 2021, "Dense for the Price of Sparse", section 2: a layer computes
alpha D h + S h + b, D the discrete cosine transform as ``cosine`` has it. A support says which
entries of S and which biases are trained. Its places are numbered from 0 as ``flat_arrays`` lays
an MLP out: S of the first layer row by row, its biases, S of the second, ...
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from combsearch.mask import NetShape
from combsearch.nets import MLP, Arrays
from combsearch.networks.cosine import dct_matrix, dct_matrix_on
from combsearch.rng import RunKeys


@dataclass(frozen=True)
class DctMLP:
    """ReLU between layers, the last layer linear.

    Parameters are ``weight0 [out, in]`` (S, initially 0), ``bias0 [out]`` (as of ``MLP``),
    ``alpha0 []`` (initially 1; a parameter only where it is trained), ``weight1``, ...

    Attributes:
        shape: neurons per layer.
        init_width: of ``MLP``, for the biases.
        trainable: whether alpha is trained; else it stays 1.
    """

    shape: NetShape
    init_width: int = 16
    trainable: bool = True

    def __post_init__(self) -> None:
        self._plain()  # checks

    @property
    def prunable(self) -> tuple[str, ...]:
        """S of each layer."""
        return self._plain().prunable

    @property
    def places(self) -> int:
        """Entries of S and biases: what a support chooses from."""
        return sum(rows * (cols + 1) for rows, cols in self.shape.layers)

    @property
    def scales(self) -> int:
        """Trainable parameters besides: one alpha a layer, or none."""
        return len(self.shape.layers) if self.trainable else 0

    def init(self, keys: RunKeys) -> Arrays:
        """S is 0, biases are as of ``MLP``, alpha is 1: one network a key."""
        plain = self._plain().init(keys)
        params: Arrays = {}
        for layer in range(len(self.shape.layers)):
            params[f"weight{layer}"] = np.zeros_like(plain[f"weight{layer}"])
            params[f"bias{layer}"] = plain[f"bias{layer}"]
            if self.trainable:
                params[f"alpha{layer}"] = np.ones(len(keys), np.float32)
        return params

    def apply(self, params: Arrays, state: Arrays, x: torch.Tensor) -> tuple[torch.Tensor, Arrays]:
        """Logits [points] (one output) or [points, outputs] of ``x`` [points, in]."""
        last = len(self.shape.layers) - 1
        # Points stay the last axis: under vmap the small matrices then multiply long rows.
        h = x.T
        for layer, (rows, cols) in enumerate(self.shape.layers):
            offset = dct_matrix_on(cols, rows, x.device, x.dtype)
            if self.trainable:
                offset = params[f"alpha{layer}"] * offset
            h = (params[f"weight{layer}"] + offset) @ h + params[f"bias{layer}"][:, None]
            h = h if layer == last else torch.relu(h)
        return (h[0] if self.shape.outputs == 1 else h.T), state

    def offset(self) -> npt.NDArray[np.float64]:
        """D of all layers by place, 0 where a bias is: float64 [place]."""
        parts = [
            part
            for rows, cols in self.shape.layers
            for part in (dct_matrix(cols, rows).reshape(-1), np.zeros(rows))
        ]
        return np.concatenate(parts)

    def masks(self, supports: npt.NDArray[np.integer]) -> Arrays:
        """Masks of S and biases that keep n supports of k places each, int [n, k].

        Returns:
            name -> float32 [n, ...].
        """
        kept = np.zeros((len(supports), self.places), np.float32)
        np.put_along_axis(kept, supports, 1, axis=1)
        found: Arrays = {}
        at = 0
        for layer, (rows, cols) in enumerate(self.shape.layers):
            found[f"weight{layer}"] = kept[:, at : at + rows * cols].reshape(-1, rows, cols)
            found[f"bias{layer}"] = kept[:, at + rows * cols : at + rows * (cols + 1)]
            at += rows * (cols + 1)
        return found

    def biases(self) -> npt.NDArray[np.bool_]:
        """Which places are biases: bool [place]."""
        parts = [np.arange(rows * (cols + 1)) >= rows * cols for rows, cols in self.shape.layers]
        return np.concatenate(parts)

    def _plain(self) -> MLP:
        return MLP(self.shape, self.init_width)
