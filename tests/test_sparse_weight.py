"""Products with weights stored by index, against products with the dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from combsearch.networks.sparse_weight import INDEX, SparseWeight, index_of, scattered

# outputs, inputs, entries: common, more entries than rows, wide, high, one, none.
CASES = [(5, 7, 9), (3, 4, 12), (2, 30, 6), (30, 2, 6), (6, 6, 1), (4, 5, 0), (1, 1, 1)]

Places = npt.NDArray[np.int64]


def places_of(case: tuple[int, int, int], seed: int = 0, twice: bool = False) -> Places:
    """Flat places in order; empty rows and columns among them, and with ``twice`` duplicates."""
    outputs, inputs, entries = case
    random = np.random.default_rng(seed)
    return np.sort(random.choice(outputs * inputs, entries, replace=twice))


def weight_of(values: torch.Tensor, places: Places, shape: tuple[int, int]) -> SparseWeight:
    index = index_of(places // shape[1], places % shape[1], shape)
    return SparseWeight(values, {name: torch.from_numpy(a) for name, a in index.items()})


def dense_of(values: torch.Tensor, places: Places, shape: tuple[int, int]) -> torch.Tensor:
    """The matrix, entry by entry, differentiable."""
    rows = []
    for i in range(shape[0]):
        row = []
        for j in range(shape[1]):
            own = [v for v, p in zip(values, places, strict=True) if p == i * shape[1] + j]
            row.append(sum(own, values.new_zeros(())))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_product_and_gradients_are_the_dense_matrices(
    case: tuple[int, int, int], twice: bool
) -> None:
    torch.manual_seed(0)
    shape, places = case[:2], places_of(case, twice=twice)
    values = torch.randn(case[2], requires_grad=True)
    x, down = torch.randn(4, shape[1], requires_grad=True), torch.randn(4, shape[0])
    y = weight_of(values, places, shape).times(x)
    expected = x @ dense_of(values, places, shape).T
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad(y, (values, x), down)
    wanted: Any = torch.autograd.grad(expected, (values, x), down, allow_unused=True)
    for own, other in zip(found, wanted, strict=True):
        whole = torch.zeros_like(own) if other is None else other
        torch.testing.assert_close(own, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("case", CASES[:5])
def test_first_and_second_gradients_are_those_of_finite_differences(
    case: tuple[int, int, int], twice: bool
) -> None:
    torch.manual_seed(0)
    shape, places = case[:2], places_of(case, twice=twice)
    values = torch.randn(case[2], dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, shape[1], dtype=torch.float64, requires_grad=True)

    def run(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(weight_of(values, places, shape).times(x))

    assert torch.autograd.gradcheck(run, (values, x))
    assert torch.autograd.gradgradcheck(run, (values, x))


def test_only_the_gradients_that_are_wanted() -> None:
    places = places_of(CASES[0])
    values, x = torch.randn(9), torch.randn(4, 7, requires_grad=True)
    weight_of(values, places, (5, 7)).times(x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and values.grad is None
    values.requires_grad_()
    weight_of(values, places, (5, 7)).times(x.detach()).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None


def loss(values: torch.Tensor, index: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.tanh(SparseWeight(values, index).times(x)).sum()
    return found


def batch(count: int, case: tuple[int, int, int]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """n networks, each with entries of its own."""
    shape = case[:2]
    index = []
    for seed in range(count):
        places = places_of(case, seed, twice=seed == 1)
        index.append(index_of(places // shape[1], places % shape[1], shape))
    stacked = {name: torch.from_numpy(np.stack([one[name] for one in index])) for name in INDEX}
    return torch.randn(count, case[2]), stacked


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_networks_side_by_side_with_entries_of_their_own(
    case: tuple[int, int, int], shared: bool
) -> None:
    torch.manual_seed(0)
    values, index = batch(3, case)
    x = torch.randn(6, case[1]) if shared else torch.randn(3, 6, case[1])
    lifted = torch.vmap(
        torch.func.grad(loss, argnums=(0, 2)), in_dims=(0, 0, None if shared else 0)
    )
    found = lifted(values, index, x)
    for i in range(3):
        own = {name: a[i] for name, a in index.items()}
        wanted = torch.func.grad(loss, argnums=(0, 2))(values[i], own, x if shared else x[i])
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a[i], b, rtol=1e-5, atol=1e-5)


def test_second_gradients_side_by_side() -> None:
    torch.manual_seed(0)
    values, index = batch(3, CASES[0])
    x = torch.randn(3, 6, 7)

    def norm(values: torch.Tensor, index: Any, x: torch.Tensor) -> torch.Tensor:
        a, b = torch.func.grad(loss, argnums=(0, 2))(values, index, x)
        total: torch.Tensor = (a**2).sum() + (b**3).sum()
        return total

    found = torch.vmap(torch.func.grad(norm, argnums=(0, 2)))(values, index, x)
    for i in range(3):
        own = {name: a[i] for name, a in index.items()}
        v, points = values[i].clone().requires_grad_(), x[i].clone().requires_grad_()
        dense = torch.zeros(35).index_put(
            (torch.repeat_interleave(torch.arange(5), own["rows"].diff()) * 7 + own["columns"],),
            v,
            accumulate=True,
        )
        y = torch.tanh(points @ dense.view(5, 7).T).sum()
        a, b = torch.autograd.grad(y, (v, points), create_graph=True)
        wanted = torch.autograd.grad((a**2).sum() + (b**3).sum(), (v, points))
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one[i], other, rtol=1e-4, atol=1e-5)


def test_one_index_for_all_networks() -> None:
    torch.manual_seed(0)
    values, index = batch(3, CASES[0])
    own = {name: a[0] for name, a in index.items()}
    x = torch.randn(6, 7)
    found = torch.vmap(lambda v: SparseWeight(v, own).times(x))(values)
    expected = torch.stack([SparseWeight(v, own).times(x) for v in values])
    torch.testing.assert_close(found, expected)


def test_index_of_describes_both_orders() -> None:
    # . a .        row after row: a b c; column after column: b a c
    # b . c
    index = index_of(np.array([0, 1, 1]), np.array([1, 0, 2]), (2, 3))
    assert {name: a.tolist() for name, a in index.items()} == {
        "columns": [1, 0, 2],
        "rows": [0, 1, 3],
        "turned": [1, 0, 2],
        "t_columns": [1, 0, 1],
        "t_rows": [0, 1, 2, 3],
        "inverse": [1, 0, 2],
    }
    assert all(a.dtype == np.int64 for a in index.values())


def test_scattered_adds_up_what_stands_twice() -> None:
    values = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    found = scattered(values, torch.tensor([5, 0, 5]), (2, 3))
    assert found.tolist() == [[2, 0, 0], [0, 0, 5]]
    (g,) = torch.autograd.grad(found, values, torch.arange(6.0).view(2, 3))
    assert g.tolist() == [5, 0, 5]
    many = torch.vmap(lambda v, p: scattered(v, p, (2, 2)))(
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0, 3], [1, 1]])
    )
    assert many.tolist() == [[[1, 0], [0, 2]], [[0, 7], [0, 0]]]


def test_points_may_be_laid_out_in_any_way_and_be_none() -> None:
    places = places_of(CASES[0])
    weight = weight_of(torch.randn(9), places, (5, 7))
    x = torch.randn(7, 6).T
    expected = x @ dense_of(weight.values, places, (5, 7)).T
    torch.testing.assert_close(weight.times(x), expected)
    assert weight.times(torch.zeros(0, 7)).shape == (0, 5)
