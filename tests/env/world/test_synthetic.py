"""The synthetic trace is held to the figures that it claims to be calibrated on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from quell.env.model.errors import TraceError
from quell.env.world.synthetic import STORM_UTILIZATION, synthetic_trace
from quell.env.world.traces import Trace

Array = npt.NDArray[np.float64]
HOST_CORES, VMS_PER_HOST = 48, 13  # of the fleet's mean host


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    """Three default traces: figures hold for the generator, not for one lucky seed."""
    return [synthetic_trace(seed) for seed in (1, 2, 3)]


def io_of(trace: Trace) -> npt.NDArray[np.float32]:
    """Disk I/O of a trace that has it."""
    assert trace.io_kbs_VT is not None
    return trace.io_kbs_VT


def autocorrelation(values_VT: Array, lag: int) -> float:
    """Mean over VMs of the correlation of a VM's demand with its own a lag earlier."""
    earlier, later = values_VT[:, :-lag], values_VT[:, lag:]
    earlier, later = earlier - earlier.mean(axis=1, keepdims=True), later - later.mean(axis=1, keepdims=True)
    norm_V = np.sqrt((earlier**2).sum(axis=1) * (later**2).sum(axis=1))
    return float(((earlier * later).sum(axis=1) / norm_V).mean())


def spike_lengths(values_VT: Array) -> Array:
    """Samples that each excursion above mean + 2 standard deviations of its VM lasts."""
    limit_V = values_VT.mean(axis=1) + 2 * values_VT.std(axis=1)
    edges = np.diff(np.pad((values_VT > limit_V[:, None]).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    return np.asarray(np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1])


@pytest.mark.parametrize(("minutes", "expected"), [(15, 0.56), (60, 0.43), (24 * 60, 0.31)])
def test_demand_is_as_persistent_as_in_bitbrains(traces: list[Trace], minutes: int, expected: float) -> None:
    for trace in traces:
        assert autocorrelation(trace.cpu_cores_VT.astype(np.float64), minutes // 5) == pytest.approx(expected, abs=0.05)


def test_most_spikes_are_shorter_than_ten_minutes(traces: list[Trace]) -> None:
    for trace in traces:
        assert 0.66 <= (spike_lengths(trace.cpu_cores_VT.astype(np.float64)) == 1).mean() <= 0.94


def test_demand_varies_as_in_bitbrains(traces: list[Trace]) -> None:
    for trace in traces:
        variation_V = trace.cpu_cores_VT.std(axis=1) / trace.cpu_cores_VT.mean(axis=1)
        assert np.median(variation_V) == pytest.approx(0.62, abs=0.1)


def test_vms_are_as_large_as_in_the_fleet(traces: list[Trace]) -> None:
    mean_V = np.concatenate([trace.cpu_cores_VT.mean(axis=1) for trace in traces])
    vcpus_V = np.concatenate([trace.vcpus_V for trace in traces])
    memory_V = np.concatenate([trace.memory_gib_V for trace in traces])
    assert vcpus_V.mean() * VMS_PER_HOST / HOST_CORES == pytest.approx(1.35, abs=0.12)
    assert mean_V.mean() * VMS_PER_HOST / HOST_CORES == pytest.approx(0.25, abs=0.03)
    assert memory_V.mean() * VMS_PER_HOST / 100 == pytest.approx(0.44, abs=0.05)


def test_99_percent_of_vms_use_at_most_13_percent_of_a_host(traces: list[Trace]) -> None:
    for trace in traces:
        assert np.quantile(trace.cpu_cores_VT.mean(axis=1) / HOST_CORES, 0.99) == pytest.approx(0.13, abs=0.03)


def test_sizes_are_weakly_correlated(traces: list[Trace]) -> None:
    logs = [[t.vcpus_V for t in traces], [t.memory_gib_V for t in traces], [io_of(t).mean(axis=1) for t in traces]]
    correlation = np.corrcoef(np.log([np.concatenate(values) for values in logs]))
    assert ((correlation[np.triu_indices(3, 1)] > 0.1) & (correlation[np.triu_indices(3, 1)] < 0.5)).all()


def test_disk_io_comes_in_bursts(traces: list[Trace]) -> None:
    """In Bitbrains 1 % of the samples lie above 8 times and 0.1 % above 65 times a VM's mean."""
    io_VT = np.concatenate([io_of(trace) for trace in traces])
    ratio = io_VT / io_VT.mean(axis=1, keepdims=True)
    assert 8 < np.quantile(ratio, 0.99) < 25
    assert np.quantile(ratio, 0.999) > 30
    assert np.median(ratio) < 0.8


def test_boot_storms_hit_many_vms_at_once(traces: list[Trace]) -> None:
    """At some moment a good part of the fleet is at the booting utilization or above; on average hardly any VM is."""
    trace = traces[0]
    booting_T = (trace.cpu_cores_VT >= 0.999 * STORM_UTILIZATION * trace.vcpus_V[:, None]).mean(axis=0)
    assert booting_T.max() > 0.10
    assert np.median(booting_T) < 0.05


def test_demand_stays_between_zero_and_the_vcpus(traces: list[Trace]) -> None:
    for trace in traces:
        assert (trace.cpu_cores_VT > 0).all()
        assert (trace.cpu_cores_VT <= trace.vcpus_V[:, None]).all()


def test_the_same_arguments_give_the_same_trace() -> None:
    first, again, other = synthetic_trace(5, 20, 3), synthetic_trace(5, 20, 3), synthetic_trace(6, 20, 3)
    assert np.array_equal(first.cpu_cores_VT, again.cpu_cores_VT)
    assert np.array_equal(io_of(first), io_of(again))
    assert not np.array_equal(first.cpu_cores_VT, other.cpu_cores_VT)
    assert (first.vm_count, first.day_count, first.is_consecutive) == (20, 3, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"), [((-1, 5, 5), "seed: -1"), ((0, 0, 5), "vms: 0"), ((0, 5, 0), "days: 0 is less than 1")]
)
def test_arguments_out_of_range_are_refused(arguments: tuple[int, int, int], sentence: str) -> None:
    with pytest.raises(TraceError, match=sentence):
        synthetic_trace(*arguments)
