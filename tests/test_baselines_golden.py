"""Masks that the authors' own code made, bit for bit (``golden_pruners/``, facts in its README)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from combsearch.baselines import AT_INITIALISATION, initial_mask
from combsearch.baselines.layer_budgets import erdos_renyi_kernel
from combsearch.tasks import cubist_spiral

FILES = sorted(Path(__file__).with_name("golden_pruners").glob("*.npz"))
TASK = cubist_spiral()


def test_all_are_there() -> None:
    assert len(FILES) == 12


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
@pytest.mark.parametrize("method", AT_INITIALISATION)
def test_paper_mode_is_the_authors_code(method: str, file: Path) -> None:
    with np.load(file) as golden:
        weights = [golden[f"w{layer}"] for layer in range(4)]
        biases = [golden[f"b{layer}"] for layer in range(4)]
        budget, index = int(golden["budget"]), golden["batch_index"]
        found = initial_mask(method, weights, biases, TASK.x, TASK.y, index, budget, "paper")
        for layer, mask in enumerate(found):
            np.testing.assert_array_equal(mask, golden[f"{method}_m{layer}"])
        exact = initial_mask(method, weights, biases, TASK.x, TASK.y, index, budget)
        assert sum(int(mask.sum()) for mask in exact) == budget


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_erk_densities(file: Path) -> None:
    with np.load(file) as golden:
        width, budget = int(golden["width"]), int(golden["budget"])
        shapes = [(width, 2), (width, width), (width, width), (1, width)]
        found = erdos_renyi_kernel(shapes, budget)
        np.testing.assert_allclose(found, golden["erk_density"], rtol=1e-12)
