"""Rows of a typed list, read where they lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numba.core.errors import NumbaError
from numba.typed import List

from quell.env.gym.seat_kernels import seat_at
from quell.env.model.compiled import bare, kernel


class Row(NamedTuple):
    """Fields of several types."""

    number: int
    is_big: bool
    values: np.ndarray
    pair: tuple[np.ndarray, float]


@bare
def sum_at(rows: List, i: int) -> float:
    """Everything in a row, added up."""
    row = seat_at(rows, i)
    return row.number + row.is_big + row.values.sum() + row.pair[0][0] * row.pair[1]


@kernel
def sums(rows: List) -> tuple[float, float]:
    """Of two rows."""
    return sum_at(rows, 0), sum_at(rows, 1)


@kernel
def listed(row: Row) -> List:
    """The same row twice."""
    rows = List()
    rows.append(row)
    rows.append(row)
    return rows


@kernel
def replace(rows: List, i: int, row: Row) -> None:
    """Puts another row there."""
    rows[i] = row


def test_rows_are_read_as_they_are_now() -> None:
    rows = listed(Row(3, True, np.array([1.0, 2.0]), (np.array([5.0]), 2.0)))
    assert sums(rows) == (17, 17)
    values = np.array([100.0])
    replace(rows, 1, Row(0, False, values, (np.array([0.0]), 1.0)))
    assert sums(rows) == (17, 100)
    values[0] = 7.0
    assert sums(rows) == (17, 7)


@kernel
def counted(rows: List) -> int:
    """Would count down references that nobody has counted up."""
    return seat_at(rows, 0).values.size


def test_kernels_that_count_references_may_not_read_rows_like_that() -> None:
    rows = listed(Row(3, True, np.array([1.0, 2.0]), (np.array([5.0]), 2.0)))
    with pytest.raises((NumbaError, TypeError), match="count no references"):
        counted(rows)
