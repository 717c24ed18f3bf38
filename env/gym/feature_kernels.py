"""The features in numba, for loops over many clusters; the twin of `reference_features`, equal within 1e-5."""

from __future__ import annotations

import numpy as np

from ..model.cluster import MEMORY, BoolArray, IntArray
from ..model.compiled import inlined, kernel
from .context_kernels import context_into
from .host_kernels import PER_MEMORY, PER_THRESHOLD, refresh_hosts
from .lane_kernels import (
    HIGH,
    NET,
    PEAK,
    PRICE,
    RATIO,
    RELIEF,
    RELIEF_LOG,
    ROOT,
    STRAIN,
    WEIGHTED,
    WORTH,
    WORTH_LOG,
    fill_lane,
    weigh_lanes,
    work_lanes,
)
from .log_kernels import squashed
from .look_arrays import (
    HA,
    HA_ASK,
    HA_FREE,
    LANES,
    TREND,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .reserve_kernels import reserve_into
from .schema import CANDIDATE, CONTEXT, STOP_PAIRS
from .source_kernels import (
    MEMORY_AT,
    NET_AT,
    SCARCE_AT,
    SHARE_AT,
    SLOPE_AT,
    STD_AT,
    WORTH_AT,
    bounded,
    cost_ratio,
    gpu_share,
    movable_into,
)

TREND_AT, HIGH_AT = CANDIDATE.index("cpu_trend_source_before"), CANDIDATE.index("cpu_high_source_before")
OVER_AT, PEAK_AT = CANDIDATE.index("cpu_excess_source_before"), CANDIDATE.index("cpu_peak_target_after")
BEST_AT = CONTEXT.index("worth_best")
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
    return show_features(fixed, now, plan, scratch, movable_K, target_K, kind_K, mask_S, candidates_SF, context_C)


@inlined
def show_features(
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
    """`features_into` for other kernels: handing over so many arrays takes half as long as what is done with them."""
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
    per_mean_J = 1 / fixed.mean_threshold_J[0], 1 / fixed.mean_threshold_J[1]
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
            scratch.net_M[m] += taken * per_mean_J[j]
            scratch.strain_M[m] -= scratch.lane_X[STRAIN + i]
            row_F[SHARE_AT + j] = bounded(now.demand_MJB[m, j, TREND] * scratch.bound_XH[PER_THRESHOLD + j, source])
            if j == 1:
                movable_into(fixed, now, plan, scratch, m, kind_K[k], row_F)


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
    best_worth, per_mean_J = -np.inf, (1 / fixed.mean_threshold_J[0], 1 / fixed.mean_threshold_J[1])
    for j in range(2):
        for i in range(jobs):
            k = scratch.job_P[i]
            fill_lane(fixed, now, plan, scratch, i, movable_K[k], target_K[k], j, 1.0)
        work_lanes(scratch.lane_X)
        for i in range(jobs):
            k = scratch.job_P[i]
            m, h, row_F = movable_K[k], target_K[k], candidates_SF[1 + k]
            _side_into(fixed, scratch, i, h, j, row_F, 4 + j)
            row_F[PEAK_AT + j] = bounded(scratch.lane_X[PEAK + i] * scratch.bound_XH[PER_THRESHOLD + j, h])
            net = (scratch.over_HJ[h, j] * fixed.threshold_HJ[h, j] - scratch.lane_X[WEIGHTED + i]) * per_mean_J[j]
            if j == 0:
                scratch.sum_X[NET + i] = scratch.net_M[m] + net
                scratch.sum_X[RELIEF + i] = scratch.strain_M[m] + scratch.strain_H[h] - scratch.lane_X[STRAIN + i]
            else:
                scratch.sum_X[NET + i] += net
                scratch.sum_X[RELIEF + i] -= scratch.lane_X[STRAIN + i]
                scratch.sum_X[RATIO + i], scratch.sum_X[PRICE + i] = cost_ratio(now, m), now.price_M[m]
    weigh_lanes(scratch.sum_X, fixed.mean_host_cores)
    for i in range(jobs):
        k = scratch.job_P[i]
        _target_into(fixed, now, plan, scratch, i, movable_K[k], target_K[k], candidates_SF[1 + k])
        best_worth = max(best_worth, scratch.sum_X[WORTH + i])
    return best_worth


@inlined
def _target_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    lane: int,
    m: int,
    target: int,
    row_F: np.ndarray,
) -> None:
    """What a move brings, and what is scarce on its target."""
    sum_X = scratch.sum_X
    row_F[NET_AT], row_F[NET_AT + 1] = bounded(sum_X[NET + lane]), bounded(sum_X[ROOT + lane])
    row_F[SLOPE_AT + 1], row_F[STD_AT + 1] = bounded(scratch.slope_H[target]), bounded(scratch.std_H[target])
    row_F[WORTH_AT], row_F[WORTH_AT + 2] = bounded(sum_X[RELIEF_LOG + lane]), bounded(sum_X[WORTH_LOG + lane])
    need_gib, has_gib = now.demand_MR[m, MEMORY], fixed.capacity_HR[target, MEMORY]
    used_gib, share = plan.used_HR[target, MEMORY], scratch.bound_XH[PER_MEMORY, target]
    row_F[MEMORY_AT + 2] = bounded(used_gib * share)
    row_F[MEMORY_AT + 3] = bounded((used_gib + need_gib) * share)
    if fixed.profile_gib_C.size:
        row_F[SCARCE_AT + 5] = bounded(gpu_share(fixed, plan, target))
    if plan.number_X[HA] != HA_FREE:
        row_F[SCARCE_AT + 6] = max(-1.0, min(1.0, (scratch.headroom_H[target] - need_gib) / has_gib))


@inlined
def _side_into(fixed: LookArrays, scratch: Scratch, lane: int, h: int, j: int, row_F: np.ndarray, i: int) -> None:
    """Pressure on a host before and after a move: statistic by statistic, at place i of the sides."""
    share, lane_X = scratch.bound_XH[PER_THRESHOLD + j, h], scratch.lane_X
    row_F[TREND_AT + i] = bounded(scratch.trend_HJ[h, j])
    row_F[TREND_AT + 2 + i] = bounded(lane_X[TREND * LANES + lane] * share)
    row_F[HIGH_AT + i], row_F[HIGH_AT + 2 + i] = bounded(scratch.high_HJ[h, j]), bounded(lane_X[HIGH + lane] * share)
    row_F[OVER_AT + i], row_F[OVER_AT + 2 + i] = (
        bounded(scratch.over_HJ[h, j]),
        bounded(lane_X[WEIGHTED + lane] * share),
    )
