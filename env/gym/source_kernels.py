"""What a movable and its source show of a move, in numba, whatever the target."""

from __future__ import annotations

import numpy as np

from ..model.cluster import MEMORY
from ..model.compiled import inlined
from .host_kernels import PER_MEMORY, PER_THRESHOLD, slope_and_std, swapped_gib
from .log_kernels import log_of, squashed
from .look_arrays import (
    LOG_PRICE,
    LOG_RATIO,
    MEAN_COST,
    SLOPE,
    STD,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .schema import CANDIDATE, LEAST_RATIO, LIMIT, ROUND_SECONDS

KIND_AT, SESSION_AT = CANDIDATE.index("is_relief") - 1, CANDIDATE.index("is_session")
MEMORY_AT, SLOPE_AT = CANDIDATE.index("memory_source_before"), CANDIDATE.index("cpu_slope_source")
STD_AT, SHARE_AT = CANDIDATE.index("cpu_std_source"), CANDIDATE.index("cpu_share")
NET_AT, SCARCE_AT = CANDIDATE.index("net_relief"), CANDIDATE.index("is_overcommit")
WORTH_AT = CANDIDATE.index("outlook_relief")


@inlined
def movable_into(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, kind: int, row_F: np.ndarray
) -> None:
    """What is left of the source side: kind, price, course of the hour and memory."""
    source, own_4 = plan.host_of_M[m], now.own_M4[m]
    if np.isnan(own_4[LOG_RATIO]):
        own_4[LOG_RATIO] = bounded(log_of(cost_ratio(now, m)))
        own_4[LOG_PRICE] = squashed(now.price_M[m] / fixed.mean_host_cores)
        own_4[SLOPE], own_4[STD] = slope_and_std(now.demand_MJB[m, 0])
    row_F[KIND_AT + kind] = 1.0
    row_F[SESSION_AT] = 1.0 if m >= fixed.vm_count else 0.0
    share, cost_gib = scratch.bound_XH[PER_THRESHOLD, source], now.cost_M[m]
    row_F[SLOPE_AT], row_F[SLOPE_AT + 2] = bounded(scratch.slope_H[source]), bounded(own_4[SLOPE] * share)
    row_F[STD_AT], row_F[STD_AT + 2] = bounded(scratch.std_H[source]), bounded(own_4[STD] * share)
    row_F[NET_AT + 2], row_F[NET_AT + 3] = bounded(cost_gib / fixed.mean_host_gib), own_4[LOG_RATIO]
    row_F[NET_AT + 4] = bounded((fixed.pricing[0] + fixed.pricing[1] * cost_gib) / ROUND_SECONDS)
    row_F[WORTH_AT + 1] = bounded(own_4[LOG_PRICE])
    _source_memory_into(fixed, now, plan, scratch, m, source, row_F)


@inlined
def _source_memory_into(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, source: int, row_F: np.ndarray
) -> None:
    """Memory of the source before and after, and what else is scarce there; see `scarcity_of_moves`."""
    need_gib, has_gib = now.demand_MR[m, MEMORY], fixed.capacity_HR[source, MEMORY]
    used_gib, share = plan.used_HR[source, MEMORY], scratch.bound_XH[PER_MEMORY, source]
    row_F[MEMORY_AT], row_F[MEMORY_AT + 1] = bounded(used_gib * share), bounded((used_gib - need_gib) * share)
    row_F[SHARE_AT + 2] = bounded(need_gib * share)
    if fixed.has_overcommit:
        row_F[SCARCE_AT] = 1.0 if fixed.is_overcommit_M[m] else 0.0
        shared_gib = scratch.shared_H[source] - (need_gib if fixed.is_overcommit_M[m] else 0.0)
        row_F[SCARCE_AT + 2] = bounded(scratch.swapped_H[source] / has_gib)
        row_F[SCARCE_AT + 3] = bounded(swapped_gib(used_gib - need_gib, shared_gib, has_gib) / has_gib)
    if fixed.profile_gib_C.size:
        row_F[SCARCE_AT + 1] = 1.0 if fixed.vgpu_gib_M[m] > 0 else 0.0
        row_F[SCARCE_AT + 4] = bounded(gpu_share(fixed, plan, source))


@inlined
def gpu_share(fixed: LookArrays, plan: PlanArrays, h: int) -> float:
    """vGPU memory in use of the memory of a host's GPUs, 0 where it has none."""
    used_gib = 0.0
    for c in range(fixed.profile_gib_C.size):
        used_gib += plan.profiles_HC[h, c] * fixed.profile_gib_C[c]
    return used_gib / fixed.gpu_gib_H[h] if fixed.gpu_gib_H[h] > 0 else 0.0


@inlined
def cost_ratio(now: RoundArrays, m: int) -> float:
    """Migration cost, in mean migration costs, at least `LEAST_RATIO`."""
    ratio = now.cost_M[m] / now.figure_X[MEAN_COST]
    return ratio if ratio > LEAST_RATIO else LEAST_RATIO


@inlined
def bounded(value: float) -> float:
    """A feature within +-`LIMIT`."""
    value = value if value < LIMIT else LIMIT
    return value if value > -LIMIT else -LIMIT
