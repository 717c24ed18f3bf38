"""The lowest and the highest of many numbers in numba, by vector instructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..model.cluster import Array
from ..model.compiled import inlined


def _of_two(name: str) -> Any:
    """The lower or the higher of two numbers, neither NaN: comparisons would not become vector instructions."""

    @intrinsic
    def of_two(typing_context: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            double = ir.DoubleType()
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(double, [double] * 2), name)
            return builder.call(function, arguments, fastmath=("nnan", "nsz"))

        return types.float64(types.float64, types.float64), generate

    return of_two


_lower = _of_two("llvm.minnum.f64")
_higher = _of_two("llvm.maxnum.f64")


@inlined
def least_of(values_X: Array) -> float:
    """The lowest value, infinite where there is none; none may be NaN."""
    least = np.inf
    for i in range(values_X.size):
        least = _lower(values_X[i], least)
    return least


@inlined
def highest_of(values_X: Array) -> float:
    """The highest value, minus infinity where there is none; none may be NaN."""
    most = -np.inf
    for i in range(values_X.size):
        most = _higher(values_X[i], most)
    return most


@inlined
def highest_below(values_X: Array, above: float) -> float:
    """The highest value below `above`, 0 where there is none; none may be NaN."""
    most = 0.0
    for i in range(values_X.size):
        most = _higher(values_X[i] if values_X[i] < above else 0.0, most)
    return most


@inlined
def first_lowest(values_X: Array) -> int:
    """The first of the lowest values, -1 where all are infinite; none may be NaN."""
    least = least_of(values_X)
    if least < np.inf:
        for i in range(values_X.size):
            if values_X[i] == least:
                return i
    return -1
