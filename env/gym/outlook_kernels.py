"""From telemetry to demand, in numba: the trend estimate by which the rules judge, and the blocks of the last hour.

Twins: `state_of` (env/model/state.py) and `view.recent_blocks`.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, STORAGE, Array
from ..model.compiled import bare, inner, kernel
from .look_arrays import BLOCK_MINUTES, BLOCKS, TREND, LookArrays, RoundArrays

HOUR = BLOCKS * BLOCK_MINUTES


@kernel
def outlook_into(
    fixed: LookArrays, now: RoundArrays, cpu_VT: Array, storage_MT: Array, first: int, end: int, need_V: Array
) -> None:
    """Fills `now.demand_MR` and `now.demand_MJB`.

    Args:
        cpu_VT: CPU demand, cores, one sample a minute; shape (V, T).
        storage_MT: storage controller demand, cores; shape (M, T).
        first: telemetry begins with this sample.
        end: and ends before this one.
        need_V: memory each VM needs, GiB.
    """
    V = fixed.vm_count
    trend_into(cpu_VT, max(first, end - fixed.trend_minutes), end, now.demand_MR[:V, CPU])
    trend_into(storage_MT, max(first, end - fixed.trend_minutes), end, now.demand_MR[:, STORAGE])
    blocks_into(cpu_VT, max(first, end - HOUR), end, now.demand_MJB[:V, 0])
    blocks_into(storage_MT, max(first, end - HOUR), end, now.demand_MJB[:, 1])
    for m in range(now.demand_MR.shape[0]):
        if m >= V:
            now.demand_MR[m, CPU] = 0.0
            now.demand_MJB[m, 0] = 0.0
        now.demand_MR[m, MEMORY] = need_V[m] if m < V else 0.0
        if not fixed.is_on_M[m]:
            now.demand_MR[m] = 0.0
            now.demand_MJB[m] = 0.0
        for j in range(2):
            trend = now.demand_MR[m, CPU if j == 0 else STORAGE]
            now.demand_MJB[m, j, TREND] = 0.0 if np.isnan(trend) else trend


@kernel
def forecast_into(fixed: LookArrays, now: RoundArrays, forecast_MJB: Array) -> None:
    """Puts a forecast, cores, in the place of the blocks; the trend stays. Shape (M, J, BLOCKS)."""
    for m in range(now.demand_MJB.shape[0]):
        for j in range(2):
            for b in range(BLOCKS):
                now.demand_MJB[m, j, 1 + b] = forecast_MJB[m, j, b] if fixed.is_on_M[m] else 0.0


@kernel
def blocks_of(samples_NT: Array) -> Array:
    """Means of the 5-minute blocks of the last hour, oldest first, finite; shape (N, BLOCKS).

    A missing sample counts as the mean of the others of its row (0 where there are none); where telemetry is shorter
    than an hour, its oldest sample stands for the time before.
    """
    demand_NB = np.zeros((samples_NT.shape[0], 1 + BLOCKS))
    end = samples_NT.shape[1]
    blocks_into(samples_NT, max(0, end - HOUR), end, demand_NB)
    return demand_NB[:, 1:]


@inner
def trend_into(samples_NT: Array, begin: int, end: int, trend_N: Array) -> None:
    """Median of the samples from `begin` to `end`; NaN where there is none."""
    has_gap = False
    for n in range(trend_N.size):
        for t in range(begin, end):
            has_gap = has_gap or np.isnan(samples_NT[n, t])
    ordered_T = np.empty(end - begin, dtype=samples_NT.dtype)
    for n in range(trend_N.size):
        count = 0
        for t in range(begin, end):
            value = samples_NT[n, t]
            if np.isnan(value):
                continue
            i = count
            while i > 0 and ordered_T[i - 1] > value:
                ordered_T[i] = ordered_T[i - 1]
                i -= 1
            ordered_T[i] = value
            count += 1
        trend_N[n] = _middle(ordered_T, count, has_gap)


@bare
def _middle(ordered_T: Array, count: int, has_gap: bool) -> float:
    """The median of `count` values in order; rounded as numpy does it with and without gaps."""
    if count == 0:
        return np.nan
    low, high = ordered_T[(count - 1) // 2], ordered_T[count // 2]
    if count % 2 == 1:
        return low
    return high - (high - low) * 0.5 if has_gap else (low + high) * 0.5


@bare
def blocks_into(samples_NT: Array, begin: int, end: int, demand_NB: Array) -> None:
    """Means of the 5-minute blocks of the hour before `end`, behind the trend in `demand_NB`."""
    missing_minutes = HOUR - (end - begin)
    for n in range(demand_NB.shape[0]):
        has_gap = missing_minutes > 0
        for b in range(BLOCKS if not has_gap else 0):
            block = 0.0
            for i in range(BLOCK_MINUTES):
                block += samples_NT[n, begin + b * BLOCK_MINUTES + i]
            demand_NB[n, 1 + b] = block / BLOCK_MINUTES
            has_gap = has_gap or np.isnan(block)
        if has_gap:
            _blocks_with_gaps_into(samples_NT, begin, end, n, demand_NB)


@bare
def _blocks_with_gaps_into(samples_NT: Array, begin: int, end: int, n: int, demand_NB: Array) -> None:
    """The same for a row in which samples are missing: within the hour, or before telemetry begins."""
    missing_minutes = HOUR - (end - begin)
    total, count = 0.0, 0
    for t in range(begin, end):
        if not np.isnan(samples_NT[n, t]):
            total += samples_NT[n, t]
            count += 1
    mean = total / max(count, 1)
    for b in range(BLOCKS):
        block = 0.0
        for i in range(BLOCK_MINUTES):
            value = samples_NT[n, begin + max(0, b * BLOCK_MINUTES + i - missing_minutes)]
            block += mean if np.isnan(value) else value
        demand_NB[n, 1 + b] = block / BLOCK_MINUTES
