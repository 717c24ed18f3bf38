"""Packing vGPUs (R6), held against trying every assignment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.cluster import GpuProfile
from quell.env.model.gpu import Stock, vgpus_fit


def profiles(model: str, *sizes: float) -> list[GpuProfile]:
    """vGPU profiles of one model."""
    return [GpuProfile(model, size) for size in sizes]


@pytest.mark.parametrize(
    ("stock", "wanted", "fits"),
    [
        ([], [], True),
        ([], profiles("A", 1), False),
        ([("A", 48.0)], [], True),
        ([("A", 48.0)], profiles("A", 24, 24), True),
        ([("A", 48.0)], profiles("A", 24, 24, 24), False),
        ([("A", 48.0)], profiles("B", 24), False),
        ([("A", 48.0)], profiles("A", 24, 12), False),  # one profile size on a GPU at a time
        ([("A", 48.0), ("A", 48.0)], profiles("A", 24, 12), True),
        ([("A", 48.0), ("A", 48.0)], profiles("A", 24, 12, 8), False),
        ([("A", 48.0), ("B", 48.0)], profiles("A", 24) + profiles("B", 12), True),
        ([("A", 48.0)], profiles("A", 49), False),
        ([("A", 4.8)], profiles("A", 1.6, 1.6, 1.6), True),  # 4.8 / 1.6 is a little less than 3 in floats
        ([("A", 24.0), ("A", 48.0)], profiles("A", 24, 48), True),  # 24 must not take the large GPU
        ([("A", 24.0), ("A", 48.0)], profiles("A", 48, 24, 24), False),
        ([("A", 24.0), ("A", 48.0)], profiles("A", 12, 24, 24), True),
        ([("A", 24.0), ("A", 16.0)], profiles("A", 8, 8, 8, 16), True),
    ],
)
def test_examples(stock: Stock, wanted: list[GpuProfile], fits: bool) -> None:
    assert vgpus_fit(tuple(stock), wanted) == fits
    assert vgpus_fit(tuple(reversed(stock)), reversed(wanted)) == fits


def fits_by_trying_all(stock: Sequence[tuple[str, float]], wanted: Sequence[GpuProfile]) -> bool:
    """Whether some assignment of each profile to a GPU keeps the contract's words."""
    for gpu_of in product(range(len(stock)), repeat=len(wanted)):
        if all(
            is_within(stock[g], [profile for profile, its in zip(wanted, gpu_of, strict=True) if its == g])
            for g in range(len(stock))
        ):
            return True
    return not wanted


def is_within(gpu: tuple[str, float], on_it: Sequence[GpuProfile]) -> bool:
    """One GPU: each profile of its model, all of one size, together at most its memory."""
    model, memory_gib = gpu
    return (
        all(profile.model == model for profile in on_it)
        and len({profile.memory_gib for profile in on_it}) <= 1
        and sum(profile.memory_gib for profile in on_it) <= memory_gib
    )


MODELS = st.sampled_from(["A", "B"])


@given(
    st.lists(st.tuples(MODELS, st.sampled_from([16.0, 24.0, 48.0])), max_size=4),
    st.lists(st.builds(GpuProfile, MODELS, st.sampled_from([8.0, 12.0, 16.0, 24.0])), max_size=5),
)
def test_fits_where_some_assignment_does(stock: list[tuple[str, float]], wanted: list[GpuProfile]) -> None:
    assert vgpus_fit(tuple(sorted(stock)), wanted) == fits_by_trying_all(stock, wanted)
