"""A synthetic trace: VMs as large as in a real fleet, with demand that moves as real demand does.

Two sources calibrate it, and a test holds it to both.
*Fleet*: Hotspot Mitigations for the Masses (SoCC 2019; 5,389 hosts, 101,762 VMs): 48 cores and 100 GB a host, 13 VMs a
host, vCPU : core 1.35, CPU utilization 25 %, memory 44 %, 99 % of VMs use at most 13 % of a host's CPU, dimensions
weakly correlated.
*Shape*: the Bitbrains trace of August 2013: autocorrelation of a VM's CPU 0.56 at 15 min, 0.43 at 1 h, 0.31 at 24 h;
coefficient of variation 0.62 (median over VMs); 66-94 % of spikes above 2 standard deviations shorter than 10 minutes.

The shape of a VM is exp(level), level being a sum of independent parts: a daily cycle, persistent level shifts (AR(1)
of four days), activity of half an hour (AR(1)), and noise. Spikes and boot storms come on top. Everything is drawn per
VM from one `numpy.random.Generator`, so that the same seed gives the same trace.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model.cluster import read_only
from ..model.errors import TraceError
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY, Float32Array, Trace

FloatArray = npt.NDArray[np.float64]

# vCPUs and their shares; the mean of 4.9 gives vCPU : core = 1.35 with 13 VMs on 48 cores (fleet)
VCPU_SIZES = (1, 2, 4, 8, 16, 24)
VCPU_SHARES = (0.12, 0.31, 0.30, 0.19, 0.06, 0.02)
# GiB and their shares; the mean of 3.4 GiB gives 44 % of 100 GB with 13 VMs (fleet)
MEMORY_SIZES_GIB = (1, 2, 4, 8, 16)
MEMORY_SHARES = (0.27, 0.36, 0.22, 0.11, 0.04)
SIZE_CORRELATION = 0.3  # of vCPUs, memory and disk I/O of a VM on the normal scale ("weakly correlated", fleet)
# mean utilization of the vCPUs: Beta(1.9, 7.6) has mean 0.20 = 25 % of 48 cores for 13 VMs of 4.9 vCPUs (fleet)
UTILIZATION_BETA = (1.9, 7.6)

# Variance of the level and the time constants of its parts: fitted to the autocorrelations (shape)
NOISE_SHARE_MEAN, NOISE_SHARE_SPREAD = 0.16, 0.15  # white noise: uniform over VMs within mean +- spread
DAILY_SHARE, SHIFT_SHARE, ACTIVITY_SHARE = 0.22, 0.55, 0.23  # of what is not noise
HARMONIC_SHARE = 0.4  # of the daily cycle's variance
SHIFT_MINUTES = 5760.0
ACTIVITY_MINUTES = 28.0
VARIATION_MEDIAN, VARIATION_SPREAD = (
    0.60,
    0.45,
)  # coefficient of variation over VMs: lognormal (shape: 0.29 / 0.62 / 1.14)
NIGHT_SHARE = 0.25  # of VMs work at night, such as backups; assumed

SPIKES_PER_DAY = 3.0  # per VM, mean; assumed, so that spikes of one sample prevail (shape)
SPIKE_HEIGHT = 1.5  # times the VM's mean, on top; exponential; assumed
LONG_SPIKE_SHARE = 0.2  # of spikes go on for another sample, and so on (shape: 66-94 % under 10 minutes)
STORM_GROUPS = 6  # of VMs that boot together, such as the desktops of one customer; assumed
STORMS_PER_DAY = 0.15  # of a group; assumed
STORM_MEMBERS = 0.6  # of a group's VMs take part; assumed
STORM_UTILIZATION = 0.6  # of the vCPUs while booting, for 5 to 10 minutes; assumed

IO_LEVEL_KBS, IO_SPREAD = 5.0, 2.6  # median over VMs, and spread of its logarithm (shape: median 8.6, 95 % below 1,140)
BURSTS_PER_DAY = 3.0  # of disk I/O, such as backups and scans; assumed
BURST_HEIGHT = (
    20.0  # times the VM's level; exponential (shape: 1 % of samples above 8 times, 0.1 % above 65 times the mean)
)
BURST_SAMPLES = 4.0  # length, mean, geometric; assumed


def synthetic_trace(seed: int, vms: int = 300, days: int = 14) -> Trace:
    """A trace of `vms` VMs over `days` consecutive days; the same for the same arguments.

    Args:
        seed: of the generator, >= 0.
        vms: number of VMs, >= 1.
        days: number of days, >= 1.

    Raises:
        TraceError: an argument is out of its range.
    """
    for key, value, least in (("seed", seed, 0), ("vms", vms, 1), ("days", days, 1)):
        if value < least:
            raise TraceError(f"synthetic trace, {key}: {value} is less than {least}")
    generator = np.random.default_rng(seed)
    samples = days * SAMPLES_PER_DAY
    vcpus_V, memory_V, io_level_V = _sizes(generator, vms)
    mean_V = vcpus_V * generator.beta(*UTILIZATION_BETA, size=vms)
    shape_VT = _shape(generator, vms, samples)
    cpu_VT = mean_V[:, None] * (shape_VT + _spikes(generator, vms, samples))
    cpu_VT = np.maximum(cpu_VT, _storms(generator, vms, days) * STORM_UTILIZATION * vcpus_V[:, None])
    cpu_VT = np.minimum(cpu_VT, vcpus_V[:, None]).astype(np.float32)
    io_VT = io_level_V[:, None] * (shape_VT + _bursts(generator, vms, samples))
    return Trace(
        name=f"synthetic:{seed}",
        vm_ids=tuple(f"synthetic-{v}" for v in range(vms)),
        vcpus_V=read_only(vcpus_V, dtype=np.float32),
        memory_gib_V=read_only(memory_V, dtype=np.float32),
        cpu_cores_VT=read_only(cpu_VT, dtype=np.float32),
        io_kbs_VT=read_only(io_VT, dtype=np.float32),
        day_names=tuple(f"day-{d:02d}" for d in range(days)),
        is_consecutive=True,
    )


def _sizes(generator: np.random.Generator, vms: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """vCPUs, memory in GiB and level of disk I/O in KB/s, weakly correlated; each of shape (V,)."""
    common_V = generator.standard_normal(vms)
    own_3V = generator.standard_normal((3, vms))
    normal_3V = np.sqrt(SIZE_CORRELATION) * common_V + np.sqrt(1 - SIZE_CORRELATION) * own_3V
    # The share of the normal distribution below a value picks the size; a sorted table stands in for the integral.
    rank_2V = np.searchsorted(_NORMAL_QUANTILES, normal_3V[:2]) / len(_NORMAL_QUANTILES)
    vcpus_V = np.array(VCPU_SIZES)[np.searchsorted(np.cumsum(VCPU_SHARES)[:-1], rank_2V[0])]
    memory_V = np.array(MEMORY_SIZES_GIB)[np.searchsorted(np.cumsum(MEMORY_SHARES)[:-1], rank_2V[1])]
    return vcpus_V.astype(np.float64), memory_V.astype(np.float64), IO_LEVEL_KBS * np.exp(IO_SPREAD * normal_3V[2])


def _shape(generator: np.random.Generator, vms: int, samples: int) -> FloatArray:
    """Demand over its mean without spikes, > 0; shape (V, T)."""
    level_VT = np.sqrt(DAILY_SHARE) * _daily(generator, vms, samples)
    level_VT += np.sqrt(SHIFT_SHARE) * _autoregression(generator, vms, samples, SHIFT_MINUTES)
    level_VT += np.sqrt(ACTIVITY_SHARE) * _autoregression(generator, vms, samples, ACTIVITY_MINUTES)
    noise_V1 = NOISE_SHARE_MEAN + NOISE_SHARE_SPREAD * generator.uniform(-1, 1, size=(vms, 1))
    level_VT = np.sqrt(1 - noise_V1) * level_VT + np.sqrt(noise_V1) * generator.standard_normal((vms, samples))
    variation_V = VARIATION_MEDIAN * np.exp(VARIATION_SPREAD * generator.standard_normal(vms))
    sigma_V = np.sqrt(np.log1p(variation_V**2))  # of a lognormal with that coefficient of variation
    return np.asarray(np.exp(sigma_V[:, None] * level_VT - sigma_V[:, None] ** 2 / 2))


def _daily(generator: np.random.Generator, vms: int, samples: int) -> FloatArray:
    """A daily cycle of mean 0 and variance 1, busy around the working day or the night; shape (V, T).

    The second harmonic makes the busy time narrower than the quiet one.
    """
    peak_hour_V = np.where(generator.random(vms) < NIGHT_SHARE, 2.0, 14.0) + 2.0 * generator.standard_normal(vms)
    hour_T = np.arange(samples) * SAMPLE_MINUTES / 60
    angle_VT = 2 * np.pi * (hour_T - peak_hour_V[:, None]) / 24
    first, second = np.sqrt(1 - HARMONIC_SHARE), np.sqrt(HARMONIC_SHARE)
    return np.asarray(np.sqrt(2) * (first * np.cos(angle_VT) + second * np.cos(2 * angle_VT)))


def _autoregression(generator: np.random.Generator, vms: int, samples: int, time_constant_minutes: float) -> FloatArray:
    """AR(1) of mean 0 and variance 1 that forgets with a time constant; shape (V, T)."""
    keep = np.exp(-SAMPLE_MINUTES / time_constant_minutes)
    values_TV = generator.standard_normal((samples, vms))
    values_TV[1:] *= np.sqrt(1 - keep**2)
    for t in range(1, samples):
        values_TV[t] += keep * values_TV[t - 1]
    return values_TV.T


def _spikes(generator: np.random.Generator, vms: int, samples: int) -> FloatArray:
    """Short spikes, in units of a VM's mean; most last one sample; shape (V, T)."""
    start_VT = generator.random((vms, samples)) < SPIKES_PER_DAY / SAMPLES_PER_DAY
    return _held(generator, start_VT, 1 / (1 - LONG_SPIKE_SHARE), SPIKE_HEIGHT)


def _bursts(generator: np.random.Generator, vms: int, samples: int) -> FloatArray:
    """Bursts of disk I/O, in units of a VM's level; shape (V, T)."""
    start_VT = generator.random((vms, samples)) < BURSTS_PER_DAY / SAMPLES_PER_DAY
    return _held(generator, start_VT, BURST_SAMPLES, BURST_HEIGHT)


def _held(
    generator: np.random.Generator, start_VT: npt.NDArray[np.bool_], mean_samples: float, height: float
) -> FloatArray:
    """Events of exponential height held for a geometric number of samples; shape (V, T)."""
    values_VT = np.zeros(start_VT.shape)
    vm, first = np.nonzero(start_VT)
    length = generator.geometric(1 / mean_samples, size=vm.size)
    tall = generator.exponential(height, size=vm.size)
    for offset in range(int(length.max(initial=0))):
        lasting = (length > offset) & (first + offset < start_VT.shape[1])
        values_VT[vm[lasting], first[lasting] + offset] = tall[lasting]
    return values_VT


def _storms(generator: np.random.Generator, vms: int, days: int) -> Float32Array:
    """1 while a VM boots together with its group, else 0; shape (V, T)."""
    is_booting_VT = np.zeros((vms, days * SAMPLES_PER_DAY), dtype=np.float32)
    group_V = generator.integers(STORM_GROUPS, size=vms)
    for group in range(STORM_GROUPS):
        for day in np.flatnonzero(generator.random(days) < STORMS_PER_DAY):
            start = day * SAMPLES_PER_DAY + int(generator.integers(6 * 12, 10 * 12))  # between 6 and 10 o'clock
            members = np.flatnonzero((group_V == group) & (generator.random(vms) < STORM_MEMBERS))
            is_booting_VT[members, start] = 1
            is_booting_VT[members[generator.random(members.size) < 0.5], start + 1] = 1
    return is_booting_VT


def _normal_quantiles(points: int) -> FloatArray:
    """Quantiles of the standard normal distribution at evenly spaced shares (numpy has no inverse of it)."""
    grid = np.linspace(-6, 6, 24001)
    density = np.exp(-(grid**2) / 2)
    share = np.cumsum(density) / density.sum()
    return np.asarray(np.interp((np.arange(points) + 0.5) / points, share, grid))


_NORMAL_QUANTILES = _normal_quantiles(10_000)
