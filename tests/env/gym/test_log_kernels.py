"""Logarithms for vector instructions: those of the library, to ten digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.gym.log_kernels import log_of, squashed
from quell.env.model.compiled import kernel


@kernel
def both(value: float) -> tuple[float, float]:
    """Logarithm of a positive number, and a number squashed."""
    return log_of(abs(value)), squashed(value)


@given(st.floats(1e-300, 1e300), st.sampled_from([-1.0, 1.0]))
def test_logarithms_are_those_of_the_library(size: float, sign: float) -> None:
    log, small = both(sign * size)
    assert log == pytest.approx(math.log(size), abs=1e-10, rel=1e-14)
    assert small == pytest.approx(sign * math.log1p(size), abs=1e-10, rel=1e-14)


@pytest.mark.parametrize("size", [2**-0.5, np.nextafter(2**-0.5, 0), 1.0, 2**0.5, 2.0, 0.01])
def test_where_the_power_of_two_changes(size: float) -> None:
    assert both(size)[0] == pytest.approx(math.log(size), abs=1e-10)


def test_nothing_stays_nothing() -> None:
    assert both(0.0)[1] == 0
