"""Logarithms that compile to vector instructions, as those of the library do not."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from ..model.compiled import inlined

LOG_2 = math.log(2.0)
MANTISSA_BITS = 52
ROOT_OF_HALF = 0x3FE6A09E667F3BCD  # as bits


@intrinsic
def _bits_of(typing_context: Any, value: Any) -> Any:
    """The bits of a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _number_of(typing_context: Any, bits: Any) -> Any:
    """The number that has these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@inlined
def log_of(value: float) -> float:
    """The logarithm of a normal number above 0, correct to 1e-10.

    The number is 2 ** power * y, y from 1/sqrt 2 to sqrt 2; with s = (y - 1) / (y + 1) log y is
    2 (s + s^3 / 3 + s^5 / 5 + ...).
    """
    power = (_bits_of(value) - ROOT_OF_HALF) >> MANTISSA_BITS  # type: ignore[call-arg]
    y = _number_of(_bits_of(value) - (power << MANTISSA_BITS))
    s = (y - 1.0) / (y + 1.0)
    q = s * s
    return power * LOG_2 + 2.0 * s * (1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q / 11)))))


@inlined
def squashed(value: float) -> float:
    """sign(x) log(1 + |x|)."""
    size = log_of(1.0 + abs(value))
    return size if value > 0 else -size
