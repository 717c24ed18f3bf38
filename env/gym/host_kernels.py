"""What a look says of each host, in numba; hosts are worked out anew only where a move has changed them."""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, RESOURCES, TOLERANCE
from ..model.compiled import inlined
from .look_arrays import (
    BLOCK_WEIGHT,
    BLOCKS,
    NEAR,
    RELIEF_LEVEL,
    TREND,
    TREND_ROW,
    TREND_WEIGHT,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)

NODE, PER_MEMORY, TREND_OVER, BLOCKS_OVER, PER_THRESHOLD = 0, 1, 2, 4, 6
"""Rows of `Scratch.bound_XH`; the last three are two each, CPU and storage."""
ROUNDING = 1e-9  # more than rounding can make of a badness; bounds stay below what they bound
LATE_BLOCKS = 3  # the last quarter of an hour, for the slope


@inlined
def refresh_hosts(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """Works out what is stale in `scratch`."""
    for h in range(fixed.is_up_H.size):
        if plan.is_stale_H[h]:
            _refresh(fixed, plan, scratch, h)
            _note_chances(fixed, plan, scratch, h)
            plan.is_stale_H[h] = False
            scratch.is_unranked_H[h] = True
    if fixed.has_overcommit:
        _share_memory(fixed, now, plan, scratch)


@inlined
def _refresh(fixed: LookArrays, plan: PlanArrays, scratch: Scratch, h: int) -> None:
    """What the demand on one host amounts to."""
    is_near, strain = False, 0.0
    for j in range(2):
        used_B, cores = plan.used_HJB[h, j], fixed.threshold_HJ[h, j]
        scratch.excess_HJ[h, j] = excess_with(used_B, used_B, 0.0, RELIEF_LEVEL * cores) / cores
        for b in range(1 + BLOCKS):
            is_near = is_near or used_B[b] > NEAR * cores
        capacity = fixed.capacity_HR[h, 2 * j]
        high, peak, over, block_strain = figures_with(used_B, used_B, 0.0, cores, capacity)
        scratch.trend_HJ[h, j], scratch.high_HJ[h, j] = used_B[TREND] / cores, high / cores
        scratch.peak_HJ[h, j] = peak
        scratch.over_HJ[h, j] = over / cores
        strain += block_strain
    slope, std = slope_and_std(plan.used_HJB[h, 0])
    scratch.slope_H[h], scratch.std_H[h] = slope / fixed.threshold_HJ[h, 0], std / fixed.threshold_HJ[h, 0]
    scratch.strain_H[h] = strain
    scratch.is_near_H[h] = is_near and fixed.is_up_H[h]


@inlined
def _note_chances(fixed: LookArrays, plan: PlanArrays, scratch: Scratch, h: int) -> None:
    """What one host offers: whether leaving it may bring something, and what speaks against it as a target."""
    is_up, is_over, has_excess = fixed.is_up_H[h], False, False
    for j in range(2):
        is_over = is_over or plan.used_HJB[h, j, TREND] - fixed.threshold_HJ[h, j] > TOLERANCE
        has_excess = has_excess or scratch.excess_HJ[h, j] > 0
    is_overfull = plan.used_HR[h, MEMORY] > fixed.limit_HR[h, MEMORY]
    scratch.is_over_H[h] = (is_up and (is_over or is_overfull)) or fixed.is_maintenance_H[h]
    scratch.is_left_H[h] = (is_up and has_excess) or scratch.is_over_H[h]
    for r in range(RESOURCES):
        scratch.used_XH[r, h] = plan.used_HR[h, r]
    scratch.used_XH[TREND_ROW, h] = plan.used_HJB[h, 0, TREND]
    _note_least(fixed, plan, scratch, h)


@inlined
def _note_least(fixed: LookArrays, plan: PlanArrays, scratch: Scratch, h: int) -> None:
    """How ill one host would bear a movable without demand; a bit less, as rounding must not tell."""
    trend, memory = plan.used_HJB[h, 0, TREND], plan.used_HR[h, MEMORY] / fixed.capacity_HR[h, MEMORY]
    bound_XH, node = scratch.bound_XH, (trend / fixed.threshold_HJ[h, 0] + memory) / 2 - ROUNDING
    least = (trend / fixed.capacity_HR[h, CPU] + memory) / 2 - ROUNDING
    scratch.least_H[h] = least if least < np.inf else np.inf  # not known: nothing goes there
    bound_XH[NODE, h], bound_XH[PER_MEMORY, h] = node, 1 / fixed.capacity_HR[h, MEMORY]
    for j in range(2):
        used_B, cores, blocks = plan.used_HJB[h, j], fixed.threshold_HJ[h, j], 0.0
        for b in range(1, 1 + BLOCKS):
            blocks += used_B[b]
        bound_XH[TREND_OVER + j, h] = used_B[TREND] / cores - RELIEF_LEVEL
        bound_XH[BLOCKS_OVER + j, h] = blocks / BLOCKS / cores - RELIEF_LEVEL
        bound_XH[PER_THRESHOLD + j, h] = 1 / cores


@inlined
def excess_with(used_B: np.ndarray, more_B: np.ndarray, sign: float, level: float) -> float:
    """Weighted mean over the outlook of what used + sign * more has above a level, cores; `reference.excess`.

    Four sums, so that they need not wait for one another; the numpy twin adds up in the same order.
    """
    first = used_B[TREND] + sign * more_B[TREND] - level
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(1, 1 + BLOCKS, 4):
        w = used_B[i] + sign * more_B[i] - level
        x = used_B[i + 1] + sign * more_B[i + 1] - level
        y = used_B[i + 2] + sign * more_B[i + 2] - level
        z = used_B[i + 3] + sign * more_B[i + 3] - level
        a += w if w > 0.0 else 0.0
        b += x if x > 0.0 else 0.0
        c += y if y > 0.0 else 0.0
        d += z if z > 0.0 else 0.0
    return TREND_WEIGHT * (first if first > 0.0 else 0.0) + BLOCK_WEIGHT * ((a + b) + (c + d))


@inlined
def figures_with(
    used_B: np.ndarray, more_B: np.ndarray, sign: float, threshold: float, capacity: float
) -> tuple[float, float, float, float]:
    """Of used + sign * more, cores: the 80 % quantile and the highest block, and the weighted mean above a threshold.

    The fourth is the mean over the blocks of overload and unserved demand.
    """
    first, second, third = -np.inf, -np.inf, -np.inf
    over, unserved = 0.0, 0.0
    for i in range(1, 1 + BLOCKS):
        x = used_B[i] + sign * more_B[i]
        over += x - threshold if x > threshold else 0.0
        unserved += x - capacity if x > capacity else 0.0
        low = x if x < first else first
        first = x if x > first else first
        lower = low if low < second else second
        second = low if low > second else second
        third = lower if lower > third else third
    trend = used_B[TREND] + sign * more_B[TREND] - threshold
    weighted = TREND_WEIGHT * (trend if trend > 0.0 else 0.0) + BLOCK_WEIGHT * over
    return third, first, weighted, (over + unserved) / BLOCKS


@inlined
def slope_and_std(values_B: np.ndarray) -> tuple[float, float]:
    """Last quarter of the hour less the hour, and standard deviation of the blocks; the twin of `trends`."""
    total, late, square = 0.0, 0.0, 0.0
    for b in range(1, 1 + BLOCKS):
        total += values_B[b]
    mean = total / BLOCKS
    for b in range(1, 1 + BLOCKS):
        around = values_B[b] - mean
        square += around * around
        late += around if b > BLOCKS - LATE_BLOCKS else 0.0
    return late / LATE_BLOCKS, np.sqrt(square / BLOCKS)


@inlined
def _share_memory(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """What stays swapped out on each host once its memory is shared anew, GiB; `scarcity.swapped_gib_H`."""
    scratch.shared_H[:] = 0.0
    for m in range(fixed.vm_count):
        if fixed.is_overcommit_M[m] and plan.host_of_M[m] != NOWHERE:
            scratch.shared_H[plan.host_of_M[m]] += now.demand_MR[m, MEMORY]
    for h in range(fixed.is_up_H.size):
        shared_gib, capacity_gib = scratch.shared_H[h], fixed.capacity_HR[h, MEMORY]
        scratch.swapped_H[h] = swapped_gib(plan.used_HR[h, MEMORY], shared_gib, capacity_gib)


@inlined
def swapped_gib(used_gib: float, shared_gib: float, capacity_gib: float) -> float:
    """Need above the memory there is, at most what overcommit VMs need, GiB."""
    shared_gib = shared_gib if shared_gib > 0.0 else 0.0
    short_gib = used_gib - capacity_gib
    short_gib = short_gib if short_gib > 0.0 else 0.0
    return short_gib if short_gib < shared_gib else shared_gib


@inlined
def must_leave(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int) -> bool:
    """Whether m is on a host in maintenance, or needs memory on an overfull one; `contention.must_leave_M`."""
    h = plan.host_of_M[m]
    if h == NOWHERE or not fixed.is_on_M[m]:
        return False
    is_overfull = fixed.is_up_H[h] and plan.used_HR[h, MEMORY] > fixed.limit_HR[h, MEMORY]
    return fixed.is_maintenance_H[h] or (is_overfull and now.demand_MR[m, MEMORY] > 0)
