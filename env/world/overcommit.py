"""Memory overcommit: how far hosts are overbooked, and how much memory each VM needs minute by minute.

Guests keep what they have touched for a while, so a need is remembered activity: the largest of what was active,
forgotten with a time constant. Activity is the active memory of the trace where it has it, else the CPU times a
process of its own; both are spiky and say nothing of the level. So the level is set: one shift for all VMs, on a
logistic scale between minimum and configured, brings the mean need of the cluster to what is wanted.
Shapes: V VMs, S samples of 5 minutes (yesterday, then the day).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model.cluster import BoolArray
from .trace import SAMPLE_MINUTES, SAMPLES_PER_DAY

FloatArray = npt.NDArray[np.float64]

NEED_SHARE = 0.45  # of its configured memory an overcommit VM needs on average; assumed
NEED_FILL = 0.72  # of the hosts' memory is needed on average; assumed
MINIMUM_SHARE = 0.2  # of its configured memory a VM always keeps; assumed
STEEPNESS = 1.5  # of the logistic scale: how far needs of VMs lie apart, and how far each one swings; assumed
MEMORY_MINUTES = 120.0  # until what was touched is forgotten by two thirds; assumed
WANDER_MINUTES, WANDER_SPREAD = 300.0, 1.0  # of the process of a VM's own, on the logarithm of activity; assumed
LEAST_ACTIVITY = 1e-3  # of configured memory, or of the vCPUs: a guest's own housekeeping; assumed
BISECTIONS = 24
LOWEST_SHIFT, HIGHEST_SHIFT = -30.0, 30.0  # of the logistic scale: everybody at the minimum, everybody at configured


def configured_fill(overcommit_share: float) -> float:
    """Configured memory of all VMs over the memory of all hosts, where so many VMs are overcommitted.

    It is as much as makes the needs `NEED_FILL` of the hosts on average: 1.17 with 70 % of the VMs.
    """
    return NEED_FILL / (1 - (1 - NEED_SHARE) * overcommit_share)


def draw_overcommit(generator: np.random.Generator, count: int, share: float) -> BoolArray:
    """Which VMs are overcommitted; shape (V,)."""
    is_overcommit_V = np.zeros(count, dtype=np.bool_)
    is_overcommit_V[generator.permutation(count)[: round(share * count)]] = True
    return is_overcommit_V


def remembered_activity(
    generator: np.random.Generator, memory_share_VS: FloatArray | None, cpu_share_VS: FloatArray
) -> FloatArray:
    """Logarithm of what each VM has lately been active with; shape (V, S).

    Args:
        generator: of the overcommit alone.
        memory_share_VS: active memory over configured memory, where the trace has it.
        cpu_share_VS: CPU over vCPUs.
    """
    active_VS = cpu_share_VS if memory_share_VS is None else memory_share_VS
    level_SV = np.log(np.maximum(active_VS, LEAST_ACTIVITY)).T.copy()
    if memory_share_VS is None:
        level_SV += WANDER_SPREAD * _wandering(generator, level_SV.shape)
    forgotten = SAMPLE_MINUTES / MEMORY_MINUTES
    for s in range(1, len(level_SV)):
        np.maximum(level_SV[s], level_SV[s - 1] - forgotten, out=level_SV[s])
    return level_SV.T


def _wandering(generator: np.random.Generator, shape_SV: tuple[int, ...]) -> FloatArray:
    """AR(1) of mean 0 and variance 1 for each VM; shape (S, V)."""
    keep = float(np.exp(-SAMPLE_MINUTES / WANDER_MINUTES))
    values_SV = generator.standard_normal(shape_SV)
    values_SV[1:] *= np.sqrt(1 - keep**2)
    for s in range(1, shape_SV[0]):
        values_SV[s] += keep * values_SV[s - 1]
    return values_SV


def memory_needs(
    level_VS: FloatArray, configured_V: FloatArray, minimum_V: FloatArray, is_there_VS: BoolArray, total_gib: float
) -> FloatArray:
    """Memory each VM needs, GiB, between its minimum and what is configured; shape (V, S).

    Args:
        level_VS: logarithm of remembered activity.
        configured_V: configured memory, GiB.
        minimum_V: memory a VM always keeps, GiB.
        is_there_VS: whether a VM is there in each sample of the day; shape (V, 288).
        total_gib: wanted mean over the day of what all VMs that are there need together; what minimums and configured
            memory do not allow is not reached.
    """
    scaled_VS = STEEPNESS * level_VS
    # Every sixth sample, half an hour apart, says enough of the mean: needs change slowly.
    day_VS, there_VS = scaled_VS[:, -SAMPLES_PER_DAY::6], is_there_VS[:, ::6]
    weight_VS = there_VS * (configured_V - minimum_V)[:, None] / there_VS.shape[1]
    wanted = total_gib - float((there_VS * minimum_V[:, None]).sum()) / there_VS.shape[1]
    low, high = LOWEST_SHIFT, HIGHEST_SHIFT
    for _ in range(BISECTIONS):
        shift = (low + high) / 2
        if float((weight_VS * _logistic(day_VS + shift)).sum()) < wanted:
            low = shift
        else:
            high = shift
    return np.asarray(minimum_V[:, None] + (configured_V - minimum_V)[:, None] * _logistic(scaled_VS + high))


def _logistic(values: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-values)))
