"""The features in numba, for loops over many clusters; the twin of `reference_features`, equal within 1e-5."""

from __future__ import annotations

import numpy as np

from ..model.cluster import MEMORY, BoolArray, IntArray
from ..model.compiled import inlined, kernel
from .context_kernels import context_into
from .host_kernels import refresh_hosts, slope_and_std, swapped_gib
from .lane_kernels import HIGH, PEAK, STRAIN, WEIGHTED, fill_lane, work_lanes
from .look_arrays import (
    HA,
    HA_ASK,
    HA_FREE,
    LANES,
    LOG_PRICE,
    LOG_RATIO,
    MEAN_COST,
    SLOPE,
    STD,
    TREND,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .reserve_kernels import reserve_into
from .schema import CANDIDATE, CONTEXT, LEAST_RATIO, LIMIT, ROUND_SECONDS, STOP_PAIRS, WORTH_MINUTES

KIND_AT, SESSION_AT = CANDIDATE.index("is_relief") - 1, CANDIDATE.index("is_session")
TREND_AT, HIGH_AT = CANDIDATE.index("cpu_trend_source_before"), CANDIDATE.index("cpu_high_source_before")
OVER_AT, MEMORY_AT = CANDIDATE.index("cpu_excess_source_before"), CANDIDATE.index("memory_source_before")
PEAK_AT, SLOPE_AT = CANDIDATE.index("cpu_peak_target_after"), CANDIDATE.index("cpu_slope_source")
STD_AT, SHARE_AT = CANDIDATE.index("cpu_std_source"), CANDIDATE.index("cpu_share")
NET_AT, SCARCE_AT = CANDIDATE.index("net_relief"), CANDIDATE.index("is_overcommit")
WORTH_AT, BEST_AT = CANDIDATE.index("outlook_relief"), CONTEXT.index("worth_best")
NO_RELIEF = 1e-9  # host-minutes: rounding
STOP_TAKES, STOP_FROM = np.array([at for at, _ in STOP_PAIRS]), np.array([at for _, at in STOP_PAIRS])


@kernel
def features_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    movable_K: IntArray,
    target_K: IntArray,
    kind_K: IntArray,
    mask_S: BoolArray,
    candidates_SF: np.ndarray,
    context_C: np.ndarray,
) -> bool:
    """What the policy sees before its next choice.

    Args:
        movable_K: movable of each slot, as the shortlist has it; target_K, kind_K and mask_S too.
        candidates_SF: gets the features of stop and of each candidate, 0 in empty slots; float32.
        context_C: gets those of the cluster; float32.

    Returns:
        False where only the numpy twin can tell what R7 leaves free; then nothing is written.
    """
    refresh_hosts(fixed, now, plan, scratch)
    if plan.number_X[HA] == HA_ASK:
        return False
    if plan.number_X[HA] != HA_FREE and not reserve_into(fixed, now, plan, scratch):
        return False
    filled, best_worth = _moves_into(fixed, now, plan, scratch, movable_K, target_K, kind_K, mask_S, candidates_SF)
    context_into(fixed, now, plan, scratch, filled / max(1, movable_K.size), context_C)
    context_C[BEST_AT] = squashed(best_worth)
    for i in range(context_C.size):
        context_C[i] = bounded(context_C[i])
    candidates_SF[0] = 0.0
    candidates_SF[0, 0] = 1.0
    for i in range(STOP_TAKES.size):
        candidates_SF[0, STOP_TAKES[i]] = context_C[STOP_FROM[i]]
    return True


@inlined
def _moves_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    movable_K: IntArray,
    target_K: IntArray,
    kind_K: IntArray,
    mask_S: BoolArray,
    candidates_SF: np.ndarray,
) -> tuple[int, float]:
    """The rows of the slots; returns how many are filled, and the highest worth among them, host-minutes."""
    filled, best_worth, jobs = 0, -np.inf, 0
    for k in range(movable_K.size):
        candidates_SF[1 + k] = 0.0
        if mask_S[1 + k]:
            filled += 1
            m, known = movable_K[k], scratch.slot_of_M[movable_K[k]]
            if not (known < k and mask_S[1 + known] and movable_K[known] == m):
                scratch.slot_of_M[m] = scratch.job_P[jobs] = k
                jobs += 1
        if jobs == LANES or (jobs > 0 and k == movable_K.size - 1):
            _sources_into(fixed, now, plan, scratch, jobs, movable_K, kind_K, candidates_SF)
            jobs = 0
    for k in range(movable_K.size):
        if mask_S[1 + k]:
            known = scratch.slot_of_M[movable_K[k]]
            if known != k:  # its source side stands there
                for i in range(candidates_SF.shape[1]):
                    candidates_SF[1 + k, i] = candidates_SF[1 + known, i]
            scratch.job_P[jobs] = k
            jobs += 1
        if jobs == LANES or (jobs > 0 and k == movable_K.size - 1):
            worth = _targets_into(fixed, now, plan, scratch, jobs, movable_K, target_K, candidates_SF)
            best_worth, jobs = max(best_worth, worth), 0
    return filled, best_worth if filled > 0 else 0.0


@inlined
def _sources_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    jobs: int,
    movable_K: IntArray,
    kind_K: IntArray,
    candidates_SF: np.ndarray,
) -> None:
    """What does not depend on the target of a move, for the slots in `job_P`: its source, its movable and its price."""
    for j in range(2):
        for i in range(jobs):
            m = movable_K[scratch.job_P[i]]
            fill_lane(fixed, now, plan, scratch, i, m, plan.host_of_M[m], j, -1.0)
        work_lanes(scratch.lane_X)
        for i in range(jobs):
            k = scratch.job_P[i]
            m = movable_K[k]
            source, row_F = plan.host_of_M[m], candidates_SF[1 + k]
            if j == 0:
                scratch.net_M[m], scratch.strain_M[m] = 0.0, scratch.strain_H[source]
            _side_into(fixed, scratch, i, source, j, row_F, j)
            taken = scratch.over_HJ[source, j] * fixed.threshold_HJ[source, j] - scratch.lane_X[WEIGHTED + i]
            scratch.net_M[m] += taken / fixed.mean_threshold_J[j]
            scratch.strain_M[m] -= scratch.lane_X[STRAIN + i]
            row_F[SHARE_AT + j] = bounded(now.demand_MJB[m, j, TREND] / fixed.threshold_HJ[source, j])
            if j == 1:
                _movable_into(fixed, now, plan, scratch, m, kind_K[k], row_F)


@inlined
def _movable_into(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, kind: int, row_F: np.ndarray
) -> None:
    """What is left of the source side: kind, price, course of the hour and memory."""
    source, own_4 = plan.host_of_M[m], now.own_M4[m]
    if np.isnan(own_4[LOG_RATIO]):
        own_4[LOG_RATIO] = bounded(np.log(_cost_ratio(now, m)))
        own_4[LOG_PRICE] = squashed(now.price_M[m] / fixed.mean_host_cores)
        own_4[SLOPE], own_4[STD] = slope_and_std(now.demand_MJB[m, 0])
    row_F[KIND_AT + kind] = 1.0
    row_F[SESSION_AT] = 1.0 if m >= fixed.vm_count else 0.0
    share, cost_gib = 1 / fixed.threshold_HJ[source, 0], now.cost_M[m]
    row_F[SLOPE_AT], row_F[SLOPE_AT + 2] = bounded(scratch.slope_H[source]), bounded(own_4[SLOPE] * share)
    row_F[STD_AT], row_F[STD_AT + 2] = bounded(scratch.std_H[source]), bounded(own_4[STD] * share)
    row_F[NET_AT + 2], row_F[NET_AT + 3] = bounded(cost_gib / fixed.mean_host_gib), own_4[LOG_RATIO]
    row_F[NET_AT + 4] = bounded((fixed.pricing[0] + fixed.pricing[1] * cost_gib) / ROUND_SECONDS)
    row_F[WORTH_AT + 1] = bounded(own_4[LOG_PRICE])
    _source_memory_into(fixed, now, plan, scratch, m, source, row_F)


@inlined
def _targets_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    jobs: int,
    movable_K: IntArray,
    target_K: IntArray,
    candidates_SF: np.ndarray,
) -> float:
    """What depends on the target, for the slots in `job_P`; returns the highest worth of their moves, host-minutes."""
    best_worth = -np.inf
    for j in range(2):
        for i in range(jobs):
            k = scratch.job_P[i]
            fill_lane(fixed, now, plan, scratch, i, movable_K[k], target_K[k], j, 1.0)
        work_lanes(scratch.lane_X)
        for i in range(jobs):
            k = scratch.job_P[i]
            m, h, row_F = movable_K[k], target_K[k], candidates_SF[1 + k]
            _side_into(fixed, scratch, i, h, j, row_F, 4 + j)
            row_F[PEAK_AT + j] = bounded(scratch.lane_X[PEAK + i] / fixed.threshold_HJ[h, j])
            added = scratch.over_HJ[h, j] * fixed.threshold_HJ[h, j] - scratch.lane_X[WEIGHTED + i]
            net, strain = added / fixed.mean_threshold_J[j], -scratch.lane_X[STRAIN + i]
            if j == 0:
                scratch.sum_X[i] = scratch.net_M[m] + net
                scratch.sum_X[LANES + i] = scratch.strain_M[m] + scratch.strain_H[h] + strain
            else:
                net, strain = scratch.sum_X[i] + net, scratch.sum_X[LANES + i] + strain
                best_worth = max(best_worth, _target_into(fixed, now, plan, scratch, m, h, net, strain, row_F))
    return best_worth


@inlined
def _target_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    m: int,
    target: int,
    net: float,
    strain: float,
    row_F: np.ndarray,
) -> float:
    """What a move brings, and what is scarce on its target; returns its worth, host-minutes."""
    root = np.sqrt(abs(net) / _cost_ratio(now, m))
    row_F[NET_AT], row_F[NET_AT + 1] = bounded(net), bounded(root if net > 0 else -root)
    row_F[SLOPE_AT + 1], row_F[STD_AT + 1] = bounded(scratch.slope_H[target]), bounded(scratch.std_H[target])
    relief = WORTH_MINUTES * strain / fixed.mean_host_cores
    worth = relief - now.price_M[m] / fixed.mean_host_cores
    if abs(relief) < NO_RELIEF:  # logarithms take their time
        row_F[WORTH_AT], row_F[WORTH_AT + 2] = 0.0, bounded(-now.own_M4[m, LOG_PRICE])
    else:
        row_F[WORTH_AT], row_F[WORTH_AT + 2] = bounded(squashed(relief)), bounded(squashed(worth))
    need_gib, has_gib = now.demand_MR[m, MEMORY], fixed.capacity_HR[target, MEMORY]
    row_F[MEMORY_AT + 2] = bounded(plan.used_HR[target, MEMORY] / has_gib)
    row_F[MEMORY_AT + 3] = bounded((plan.used_HR[target, MEMORY] + need_gib) / has_gib)
    if fixed.profile_gib_C.size:
        row_F[SCARCE_AT + 5] = bounded(_gpu_share(fixed, plan, target))
    if plan.number_X[HA] != HA_FREE:
        row_F[SCARCE_AT + 6] = max(-1.0, min(1.0, (scratch.headroom_H[target] - need_gib) / has_gib))
    return worth


@inlined
def _side_into(fixed: LookArrays, scratch: Scratch, lane: int, h: int, j: int, row_F: np.ndarray, i: int) -> None:
    """Pressure on a host before and after a move: statistic by statistic, at place i of the sides."""
    share, lane_X = 1 / fixed.threshold_HJ[h, j], scratch.lane_X
    row_F[TREND_AT + i] = bounded(scratch.trend_HJ[h, j])
    row_F[TREND_AT + 2 + i] = bounded(lane_X[TREND * LANES + lane] * share)
    row_F[HIGH_AT + i], row_F[HIGH_AT + 2 + i] = bounded(scratch.high_HJ[h, j]), bounded(lane_X[HIGH + lane] * share)
    row_F[OVER_AT + i], row_F[OVER_AT + 2 + i] = (
        bounded(scratch.over_HJ[h, j]),
        bounded(lane_X[WEIGHTED + lane] * share),
    )


@inlined
def _cost_ratio(now: RoundArrays, m: int) -> float:
    """Migration cost, in mean migration costs, at least `LEAST_RATIO`."""
    ratio = now.cost_M[m] / now.figure_X[MEAN_COST]
    return ratio if ratio > LEAST_RATIO else LEAST_RATIO


@inlined
def _source_memory_into(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, source: int, row_F: np.ndarray
) -> None:
    """Memory of the source before and after, and what else is scarce there; see `scarcity_of_moves`."""
    need_gib, has_gib = now.demand_MR[m, MEMORY], fixed.capacity_HR[source, MEMORY]
    used_gib = plan.used_HR[source, MEMORY]
    row_F[MEMORY_AT], row_F[MEMORY_AT + 1] = bounded(used_gib / has_gib), bounded((used_gib - need_gib) / has_gib)
    row_F[SHARE_AT + 2] = bounded(need_gib / has_gib)
    if fixed.has_overcommit:
        row_F[SCARCE_AT] = 1.0 if fixed.is_overcommit_M[m] else 0.0
        shared_gib = scratch.shared_H[source] - (need_gib if fixed.is_overcommit_M[m] else 0.0)
        row_F[SCARCE_AT + 2] = bounded(scratch.swapped_H[source] / has_gib)
        row_F[SCARCE_AT + 3] = bounded(swapped_gib(used_gib - need_gib, shared_gib, has_gib) / has_gib)
    if fixed.profile_gib_C.size:
        row_F[SCARCE_AT + 1] = 1.0 if fixed.vgpu_gib_M[m] > 0 else 0.0
        row_F[SCARCE_AT + 4] = bounded(_gpu_share(fixed, plan, source))


@inlined
def _gpu_share(fixed: LookArrays, plan: PlanArrays, h: int) -> float:
    """vGPU memory in use of the memory of a host's GPUs, 0 where it has none."""
    used_gib = 0.0
    for c in range(fixed.profile_gib_C.size):
        used_gib += plan.profiles_HC[h, c] * fixed.profile_gib_C[c]
    return used_gib / fixed.gpu_gib_H[h] if fixed.gpu_gib_H[h] > 0 else 0.0


@inlined
def squashed(value: float) -> float:
    """sign(x) log(1 + |x|)."""
    size = np.log1p(abs(value))
    return size if value > 0 else -size


@inlined
def bounded(value: float) -> float:
    """A feature within +-`LIMIT`."""
    value = value if value < LIMIT else LIMIT
    return value if value > -LIMIT else -LIMIT
