"""Numbers as a reader sees them: shares are cut, so that none reads as a target that it misses."""

from __future__ import annotations

import pytest

from combsearch.numerals import count, percent, plain_percent


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.00%"), (0.99999, "99.99%"), (0.994999, "99.49%"), (0.9636869, "96.36%"),
     (0.29, "29.00%"), (0.5, "50.00%"), (0, "0.00%")],
)  # fmt: skip
def test_shares_are_cut_and_never_rounded_up(share: float, text: str) -> None:
    assert percent(share) == text


def test_whole_hundredths_stay_what_they_are() -> None:
    for number in range(10_001):
        assert percent(number / 10_000) == f"{number // 100}.{number % 100:02}%"


def test_a_plain_percent_has_as_many_digits_as_it_needs() -> None:
    assert [plain_percent(share) for share in (0.995, 0.5, 0.9999, 1)] == [
        "99.5%", "50%", "99.99%", "100%",
    ]  # fmt: skip


def test_one_is_no_plural() -> None:
    assert [count(n, "run") for n in (0, 1, 24_576)] == ["0 runs", "1 run", "24,576 runs"]
