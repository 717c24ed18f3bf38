"""Which VM of a trace on which day each VM of a cluster copies, and the shape of what it demands.

Shapes: V VMs, M movables (VMs, then sessions), S samples of 5 minutes (yesterday, then the day: 2 x 288).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.cluster import IntArray
from .split import TracePart
from .trace import SAMPLES_PER_DAY, Float32Array, Trace, hold_over_gaps

FloatArray = npt.NDArray[np.float64]

REQUEST_EXPONENT = 0.5  # controller CPU grows with requests, and requests get larger as throughput grows; assumed
STORAGE_PER_CPU_SPREAD = 1.0  # of the logarithm over VMs, where a trace has no disk I/O; assumed


@dataclass(frozen=True, eq=False)
class Draw:
    """Index in the trace and day of each of X rows, and what there was to say about it."""

    vm_X: IntArray
    day_X: IntArray
    notes: tuple[str, ...] = ()


def draw_vms(generator: np.random.Generator, part: TracePart, day: int, count: int) -> Draw:
    """`count` of the part's VMs that are active on a day.

    Where there are too few, VMs come again, as evenly as can be, each copy with another of the part's days where there
    is one: clones that peak in the same minute would make contention that no real cluster has.
    """
    pool = part.active_vms(day)
    if len(pool) >= count:
        return Draw(generator.choice(pool, size=count, replace=False), np.full(count, day))
    rounds = -(-count // len(pool))
    vm_V = np.concatenate([generator.permutation(pool) for _ in range(rounds)])[:count]
    day_V = np.full(count, day)
    others = [int(d) for d in generator.permutation(part.days) if d != day]
    for v in range(len(pool), count):
        days = [d for d in others if part.trace.is_active_VD[vm_V[v], d]] or [day]
        day_V[v] = days[(v // len(pool) - 1) % len(days)]
    trace = part.trace
    note = (
        f"{count} VMs were wanted, {len(pool)} are active in the part {part.name} of {trace.name} on "
        f"{trace.day_names[day]}: each stands for up to {rounds} VMs, its copies on other days if it has any"
    )
    return Draw(vm_V, day_V, (note,))


def cpu_shape(trace: Trace, draw: Draw) -> FloatArray:
    """CPU demand in cores before scaling; shape (X, S)."""
    return _two_days(trace, trace.cpu_cores_VT, draw)


def storage_shape(generator: np.random.Generator, trace: Trace, draw: Draw) -> FloatArray:
    """Storage demand before scaling, without unit; shape (X, S).

    It follows disk I/O, or where the trace has none the CPU, times a factor drawn for each row.
    """
    factor_X = np.exp(STORAGE_PER_CPU_SPREAD * generator.standard_normal(len(draw.vm_X)))
    if trace.io_kbs_VT is None:
        return cpu_shape(trace, draw) * factor_X[:, None]
    return np.asarray(_two_days(trace, trace.io_kbs_VT, draw) ** REQUEST_EXPONENT)


def memory_shape(trace: Trace, draw: Draw) -> FloatArray | None:
    """Active memory over configured memory; None where the trace does not say; shape (X, S)."""
    if trace.memory_used_gib_VT is None:
        return None
    return _two_days(trace, trace.memory_used_gib_VT, draw) / trace.memory_gib_V[draw.vm_X, None]


def _two_days(trace: Trace, values_VT: Float32Array, draw: Draw) -> FloatArray:
    """Yesterday and the day of each row, without gaps; shape (X, S).

    Where there is no yesterday, or the VM was not there for most of it, the day's first sample is held backwards.
    """
    by_day_VDS = values_VT.reshape(trace.vm_count, trace.day_count, SAMPLES_PER_DAY)
    before_X = np.maximum(draw.day_X - 1, 0)
    yesterday_XS, today_XS = by_day_VDS[draw.vm_X, before_X], by_day_VDS[draw.vm_X, draw.day_X]
    has_yesterday_X = (draw.day_X > 0) & trace.is_usable_VD[draw.vm_X, before_X] & trace.is_consecutive
    yesterday_XS[~has_yesterday_X] = np.nan
    return hold_over_gaps(np.concatenate([yesterday_XS, today_XS], axis=1)).astype(np.float64)
