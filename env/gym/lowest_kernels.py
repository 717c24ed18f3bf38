"""The lowest and the highest of many numbers in numba, by vector instructions."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..model.cluster import Array

# `inlined` for numbers of which none is NaN: only then does the compiler take vector instructions.
ordered = njit(  # type: ignore[call-overload]
    cache=True,
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    error_model="numpy",
    _nrt=False,
    forceinline=True,
    fastmath={"nnan", "nsz"},
)


@ordered
def least_of(values_X: Array) -> float:
    """The lowest value, infinite where there is none; none may be NaN."""
    least = np.inf
    for i in range(values_X.size):
        least = values_X[i] if values_X[i] < least else least
    return least


@ordered
def highest_of(values_X: Array) -> float:
    """The highest value, minus infinity where there is none; none may be NaN."""
    most = -np.inf
    for i in range(values_X.size):
        most = values_X[i] if values_X[i] > most else most
    return most


@ordered
def first_lowest(values_X: Array) -> int:
    """The first of the lowest values, -1 where all are infinite; none may be NaN."""
    least = least_of(values_X)
    if least < np.inf:
        for i in range(values_X.size):
            if values_X[i] == least:
                return i
    return -1
