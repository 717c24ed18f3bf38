"""The features of the cluster as a whole, in numba; the twin of `reference_features.context_features`."""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, STORAGE, TOLERANCE
from ..model.compiled import inlined
from .host_kernels import slope_and_std
from .look_arrays import (
    BLOCK_WEIGHT,
    BLOCKS,
    EXCESS_BEFORE,
    HA,
    HA_FREE,
    MINUTE,
    MOVES,
    SWAPPED,
    TREND,
    TREND_WEIGHT,
    WAITING,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .schema import CONTEXT

CONTENDED_AT, PRESSURE_AT = CONTEXT.index("contended_share"), CONTEXT.index("cpu_mean")
MEMORY_AT, EXCESS_AT = CONTEXT.index("memory_mean"), CONTEXT.index("cpu_excess_trend")
SLOPE_AT, LEFT_AT, TIME_AT = CONTEXT.index("cpu_slope"), CONTEXT.index("unevacuated_share"), CONTEXT.index("time_sin")
SCARCE_AT = CONTEXT.index("swap_share")
DAY_MINUTES = 1440


@inlined
def context_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    share_of_slots: float,
    context_C: np.ndarray,
) -> None:
    """All but the last feature, not yet clipped; means are over the hosts that are up, or over all if none is."""
    H = fixed.is_up_H.size
    up, unevacuated = 0, 0
    for h in range(H):
        up += fixed.is_up_H[h]
        unevacuated += fixed.is_maintenance_H[h] and plan.running_H[h] > 0
    contended = _unresolved(fixed, now, plan, scratch)
    moves = plan.number_X[MOVES]
    angle = 2 * np.pi * now.figure_X[MINUTE] / DAY_MINUTES
    context_C[CONTENDED_AT], context_C[CONTENDED_AT + 1] = contended / H, contended / (contended + 2)
    _pressure_into(fixed, plan, scratch, up, context_C)
    for j in range(2):
        _excess_into(fixed, now, plan, scratch, up, j, context_C)
    context_C[LEFT_AT], context_C[LEFT_AT + 1] = unevacuated / H, moves / (moves + 4)
    context_C[LEFT_AT + 2], context_C[LEFT_AT + 3] = plan.moved_gib[0] / fixed.mean_host_gib, share_of_slots
    context_C[TIME_AT], context_C[TIME_AT + 1] = np.sin(angle), np.cos(angle)
    _scarcity_into(fixed, now, plan, scratch, up, context_C)


@inlined
def _pressure_into(fixed: LookArrays, plan: PlanArrays, scratch: Scratch, up: int, context_C: np.ndarray) -> None:
    """Mean and highest pressure and memory, spread and slope of CPU."""
    H, counted, cores, total_B = fixed.is_up_H.size, 0, 0.0, scratch.sum_X[: 1 + BLOCKS]
    cpu, storage, memory, square = 0.0, 0.0, 0.0, 0.0
    top_cpu, top_storage, top_memory = -np.inf, -np.inf, -np.inf
    total_B[:] = 0.0
    for h in range(H):
        if not fixed.is_up_H[h] and up > 0:
            continue
        x, y, z = scratch.trend_HJ[h, 0], scratch.trend_HJ[h, 1], plan.used_HR[h, MEMORY] / fixed.capacity_HR[h, MEMORY]
        cpu, storage, memory, square = cpu + x, storage + y, memory + z, square + x * x
        top_cpu, top_storage, top_memory = max(top_cpu, x), max(top_storage, y), max(top_memory, z)
        counted += 1
        cores += fixed.threshold_HJ[h, 0]
        for b in range(1 + BLOCKS):
            total_B[b] += plan.used_HJB[h, 0, b]
    context_C[PRESSURE_AT], context_C[PRESSURE_AT + 1] = cpu / counted, top_cpu
    context_C[PRESSURE_AT + 2], context_C[PRESSURE_AT + 3] = storage / counted, top_storage
    context_C[MEMORY_AT], context_C[MEMORY_AT + 1] = memory / counted, top_memory
    context_C[SLOPE_AT] = slope_and_std(total_B)[0] / cores
    spread = square / counted - (cpu / counted) ** 2
    context_C[SLOPE_AT + 1] = np.sqrt(max(spread, 0.0))


@inlined
def _excess_into(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, up: int, j: int, context_C: np.ndarray
) -> None:
    """Demand above the thresholds as a share of them all: by the trend, over the outlook, and taken off by the plan."""
    trend, after, cores = 0.0, 0.0, 0.0
    for h in range(fixed.is_up_H.size):
        if not fixed.is_up_H[h] and up > 0:
            continue
        threshold = fixed.threshold_HJ[h, j]
        cores += threshold
        trend += max(plan.used_HJB[h, j, TREND] - threshold, 0.0)
        after += scratch.over_HJ[h, j] * threshold
    if plan.number_X[MOVES] == 0:
        now.figure_X[EXCESS_BEFORE + j] = after
    elif np.isnan(now.figure_X[EXCESS_BEFORE + j]):
        now.figure_X[EXCESS_BEFORE + j] = _excess_before(fixed, now, up, j)
    context_C[EXCESS_AT + j] = trend / cores
    context_C[EXCESS_AT + 2 + j] = after / cores
    context_C[EXCESS_AT + 4 + j] = (now.figure_X[EXCESS_BEFORE + j] - after) / cores


@inlined
def _excess_before(fixed: LookArrays, now: RoundArrays, up: int, j: int) -> float:
    """Weighted mean over the outlook of what is above the thresholds before the plan, cores."""
    before = 0.0
    for h in range(fixed.is_up_H.size):
        if fixed.is_up_H[h] or up == 0:
            before += _weighted_over(now.before_HJB[h, j], fixed.threshold_HJ[h, j])
    return before


@inlined
def _weighted_over(used_B: np.ndarray, threshold: float) -> float:
    """Weighted mean over the outlook of what is above a threshold, cores."""
    over = 0.0
    for b in range(1, 1 + BLOCKS):
        over += max(used_B[b] - threshold, 0.0)
    return TREND_WEIGHT * max(used_B[TREND] - threshold, 0.0) + BLOCK_WEIGHT * over


@inlined
def _unresolved(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> int:
    """How many hosts ask for moves; `contention.unresolved_H`."""
    swap_H, has_swap, count = scratch.room_H, now.figure_X[SWAPPED] > 0, 0
    if has_swap:
        _add_swap(fixed, now, plan, swap_H)
    for h in range(fixed.is_up_H.size):
        cpu = plan.used_HR[h, CPU] / fixed.capacity_HR[h, CPU]
        storage = plan.used_HR[h, STORAGE] / fixed.capacity_HR[h, STORAGE]
        is_hot = cpu > fixed.threshold_J[0] + TOLERANCE or storage > fixed.threshold_J[1] + TOLERANCE
        is_short = has_swap and swap_H[h] > TOLERANCE
        is_short = is_short and plan.used_HR[h, MEMORY] / fixed.capacity_HR[h, MEMORY] > 1 + TOLERANCE
        is_left = fixed.is_maintenance_H[h] and plan.running_H[h] > 0
        count += (fixed.is_up_H[h] and (is_hot or is_short)) or is_left
    return count


@inlined
def _add_swap(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, swap_H: np.ndarray) -> None:
    """Memory swapped out on each host, GiB."""
    swap_H[:] = 0.0
    for m in range(fixed.vm_count):
        if now.swap_M[m] > TOLERANCE and plan.host_of_M[m] != NOWHERE:
            swap_H[plan.host_of_M[m]] += now.swap_M[m]


@inlined
def _scarcity_into(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, up: int, context_C: np.ndarray
) -> None:
    """Swap, hosts that are out, who waits, and what is left for restarts; the twin of `scarcity_of_cluster`."""
    H, swapped_gib, memory_gib = fixed.is_up_H.size, 0.0, 0.0
    least = np.inf
    for h in range(H):
        memory_gib += fixed.capacity_HR[h, MEMORY]
        swapped_gib += scratch.swapped_H[h] if fixed.has_overcommit else 0.0
        if fixed.is_up_H[h] and plan.number_X[HA] != HA_FREE:
            least = min(least, scratch.headroom_H[h] / fixed.capacity_HR[h, MEMORY])
    context_C[SCARCE_AT] = swapped_gib / memory_gib
    context_C[SCARCE_AT + 1] = 1.0 - up / H
    context_C[SCARCE_AT + 2] = now.figure_X[WAITING] / max(1, fixed.running_count)
    context_C[SCARCE_AT + 3] = 1.0 if fixed.is_guaranteed else 0.0
    is_known = up > 0 and plan.number_X[HA] != HA_FREE
    context_C[SCARCE_AT + 4] = max(-1.0, min(1.0, least)) if is_known else 0.0
