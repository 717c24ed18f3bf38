"""What a value of a trace can be: the bounds, and that every column we use has some."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.world import believable
from quell.env.world.believable import Bounds
from quell.env.world.bitbrains_parquet import SAMPLE_COLUMNS, VM_COLUMNS
from quell.env.world.bitbrains_raw import BOUNDS

ABSURD = 1e17


@pytest.mark.parametrize(
    ("bounds", "value", "told"),
    [
        (Bounds(10), 10.5, "10.5 is above 10, the most that can be"),
        (Bounds(10), np.inf, "inf is not a number >= 0"),
        (Bounds(10), np.nan, "nan is not a number >= 0"),
        (Bounds(10), -1, "-1 is not a number >= 0"),
        (Bounds(10, least=1), 1e-300, "1e-300 is above 0, yet below 1, the least that can be"),
        (Bounds(10, is_whole=True), 2.5, "2.5 is not a whole number"),
    ],
)
def test_the_first_value_that_cannot_be_is_told(bounds: Bounds, value: float, told: str) -> None:
    assert bounds.first_fault(np.array([0, bounds.most, value, -5])) == (2, told)


@pytest.mark.parametrize("bounds", [Bounds(10), Bounds(10, least=1), Bounds(10, is_whole=True)])
def test_zero_and_both_ends_can_be(bounds: Bounds) -> None:
    assert bounds.first_fault(np.array([0, 1, bounds.least, bounds.most])) is None


@pytest.mark.parametrize("columns", [BOUNDS, SAMPLE_COLUMNS, VM_COLUMNS], ids=["raw", "samples", "vms"])
def test_no_column_takes_anything(columns: dict[str, Bounds]) -> None:
    """A value of 1e300 MHz passed with a warning, and the cost of the day was in the millions."""
    passed = [name for name, bounds in columns.items() if bounds.first_fault(np.array([ABSURD])) is None]
    assert passed == []


def test_the_largest_values_stay_finite_as_they_are_stored() -> None:
    """Traces hold 32-bit numbers; CPU is in cores, and a core is as slow as sizes allow."""
    slowest_core_mhz = believable.SIZE_MHZ.least / believable.CORES.most
    largest = [believable.USED_MHZ.most / slowest_core_mhz, 2 * believable.DISK_KBS.most, believable.MEMORY_KIB.most]
    assert np.isfinite(np.array(largest, dtype=np.float32)).all()
