"""Estimated demand: what a spike does to it (nothing) and what a lasting demand does (everything)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.cluster import CPU, STORAGE
from quell.env.model.contention import contentions
from quell.env.model.demand import quantile_estimate, trend_estimate
from quell.env.model.snapshot import parse_snapshot
from quell.env.model.state import state_of

NAN = math.nan
CORES = st.floats(0, 200, allow_nan=False)


@pytest.mark.parametrize(
    ("samples", "estimate"),
    [
        ([7.0], 7.0),  # a lone number is the estimate itself
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 5.5),
        ([1, 1, 1, 1, 1, 1, 90, 90, 90, 90], 1.0),  # four minutes of ten
        ([90, 1, 90, 1, 90, 1, 90, 1, 1, 1], 1.0),  # four minutes, scattered
        ([4, 4, 4, 4, 4, 4, 4, 4, 4, 4], 4.0),
        ([90] * 50 + [4] * 10, 4.0),  # what was before the window does not count
        ([4] * 50 + [90] * 10, 90.0),
        ([NAN, NAN, NAN, NAN, NAN, NAN, NAN, 1, 2, 9], 2.0),  # a shorter list: its own samples decide
        ([NAN] * 9 + [3], 3.0),
        ([2, 6], 4.0),
    ],
)
def test_the_estimate_is_the_median_over_ten_minutes(samples: list[float], estimate: float) -> None:
    assert trend_estimate(np.array([samples]), 10) == pytest.approx([estimate], abs=1e-12)


def test_rows_do_not_disturb_each_other() -> None:
    samples_NT = np.array([[NAN, NAN, 5.0], [1.0, 2.0, 3.0], [NAN, 4.0, 8.0]])
    np.testing.assert_allclose(trend_estimate(samples_NT, 10), [5.0, 2.0, 6.0])


@pytest.mark.parametrize(("quantile", "estimate"), [(0.0, 0.0), (0.5, 5.0), (0.8, 8.0), (1.0, 10.0)])
def test_other_quantiles(quantile: float, estimate: float) -> None:
    ramp = np.arange(11.0)
    assert quantile_estimate(ramp[None, :], 11, quantile) == pytest.approx([estimate])
    assert quantile_estimate(np.array([[NAN, *ramp]]), 12, quantile) == pytest.approx([estimate])


@given(st.lists(CORES, min_size=1, max_size=30), st.integers(1, 20), st.integers(0, 30))
def test_missing_samples_in_front_change_nothing(samples: list[float], window: int, missing: int) -> None:
    bare, padded = np.array([samples]), np.array([[NAN] * missing + samples])
    np.testing.assert_allclose(trend_estimate(padded, window), trend_estimate(bare, window), rtol=1e-12)


@given(st.lists(CORES, min_size=1, max_size=30), st.integers(1, 20))
def test_the_estimate_lies_between_the_samples_of_the_window(samples: list[float], window: int) -> None:
    (estimate,) = trend_estimate(np.array([samples]), window)
    assert min(samples[-window:]) <= estimate <= max(samples[-window:])


# A spike must not make a contention, a lasting demand must: the contract's two demands on any smoothing


def snapshot_of(cpu_samples: list[list[float]], **settings: float) -> dict[str, Any]:
    """One host of 100 cores and threshold 0.85, and a VM for each list of samples."""
    host = {"id": "host", "cpu_cores": 100, "memory_gib": 1000, "storage_cpu_cores": 100}
    vms = [
        {
            "id": f"vm-{v}",
            "host": "host",
            "vcpus": 8,
            "memory_gib": 1,
            "cpu_demand_cores": samples,
            "storage_cpu_demand_cores": samples,
        }
        for v, samples in enumerate(cpu_samples)
    ]
    return {
        "format": "quell.cluster/1",
        "name": "one-host",
        "time": "2026-01-01T12:00:00Z",
        "hosts": [host],
        "vms": vms,
        "settings": settings,
    }


def kinds(document: dict[str, Any]) -> list[str]:
    """The kinds of contention found in a document."""
    return [contention.kind.value for contention in contentions(state_of(parse_snapshot(document)))]


@given(
    window=st.integers(1, 30),
    history=st.integers(0, 30),
    is_spiking=st.data(),
    height=st.floats(0, 1e6),
    vms=st.integers(1, 6),
)
def test_spikes_shorter_than_half_the_window_make_no_contention(
    window: int, history: int, is_spiking: st.DataObject, height: float, vms: int
) -> None:
    base = 84.0 / vms
    rows = []
    for _ in range(vms):  # several at once: a boot storm
        spiking = is_spiking.draw(st.sets(st.integers(0, window - 1), max_size=(window - 1) // 2))
        rows.append([base] * history + [base + height if t in spiking else base for t in range(window)])
    assert kinds(snapshot_of(rows, trend_window_seconds=60.0 * window)) == []


@given(window=st.integers(1, 30), history=st.integers(0, 30), vms=st.integers(1, 6))
def test_demand_held_for_the_whole_window_makes_a_contention(window: int, history: int, vms: int) -> None:
    rows = [[0.0] * history + [86.0 / vms] * window for _ in range(vms)]
    document = snapshot_of(rows, trend_window_seconds=60.0 * window)
    assert kinds(document) == ["cpu", "storage-cpu"]


@given(seconds=st.floats(1, 1800), at=st.integers(0, 29))
def test_windows_that_are_no_whole_minutes_filter_spikes_too(seconds: float, at: int) -> None:
    spike_minutes = math.ceil(seconds / 120) - 1  # the longest below half the window
    samples = [84.0] * 30
    samples[at : at + spike_minutes] = [1000.0] * len(samples[at : at + spike_minutes])
    assert kinds(snapshot_of([samples], trend_window_seconds=seconds)) == []


@given(seconds=st.floats(121, 1800))
def test_windows_that_are_no_whole_minutes_notice_lasting_demand_too(seconds: float) -> None:
    samples = [0.0] * 60 + [86.0] * int(seconds // 60)  # full minutes inside the window
    assert kinds(snapshot_of([samples], trend_window_seconds=seconds)) == ["cpu", "storage-cpu"]


def test_a_lone_number_is_the_estimate_beside_vms_with_many_samples() -> None:
    document = snapshot_of([[1.0] * 120, [2.0, 4.0, 90.0]])
    document["vms"].append(document["vms"][0] | {"id": "lone", "cpu_demand_cores": 33.5, "storage_cpu_demand_cores": 7})
    demand_MR = state_of(parse_snapshot(document)).demand_MR
    assert demand_MR[:, CPU].tolist() == [1.0, 4.0, 33.5]
    assert demand_MR[:, STORAGE].tolist() == [1.0, 4.0, 7.0]


def test_a_planner_may_bring_an_estimator_of_its_own() -> None:
    cluster = parse_snapshot(snapshot_of([[1.0, 2.0, 3.0]], trend_window_seconds=120.0))
    seen: list[int] = []

    def newest(samples_NT: np.ndarray, window_minutes: int) -> np.ndarray:
        seen.append(window_minutes)
        return samples_NT[:, -1]

    assert state_of(cluster, newest).demand_MR[0, CPU] == 3.0
    assert set(seen) == {2}
