"""The quick test of the HA reservation (R7) in numba: the twin of `headroom.py`, where the theory stands."""

from __future__ import annotations

import numpy as np

from ..model.cluster import MEMORY
from ..model.compiled import inlined, inner
from .look_arrays import IS_SLACK_STALE, LookArrays, PlanArrays, RoundArrays, Scratch


@inner
def reserve_into(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> bool:
    """One restart plan for every failure: what it leaves free goes to `scratch`.

    Returns:
        whether a plan is found for every failure, each victim on the host with the most room left.
    """
    if plan.number_X[IS_SLACK_STALE] == 0:
        return True
    F, H = fixed.failed_FH.shape
    first_H, victims, positions = _victims_by_host(now, plan, H)
    scratch.headroom_H[:] = np.inf
    heads = np.empty(fixed.failed_FN.shape[1], dtype=np.int64)
    for f in range(F):
        slack_H = scratch.slack_FH[f]
        for h in range(H):
            free_gib = fixed.limit_HR[h, MEMORY] - plan.used_HR[h, MEMORY]
            slack_H[h] = free_gib if fixed.is_up_H[h] and not fixed.failed_FH[f, h] else -np.inf
        for n in range(heads.size):
            heads[n] = first_H[fixed.failed_FN[f, n]]
        while True:
            chosen = -1
            for n in range(heads.size):
                is_there = heads[n] < first_H[fixed.failed_FN[f, n] + 1]
                if is_there and (chosen < 0 or positions[heads[n]] < positions[heads[chosen]]):
                    chosen = n
            if chosen < 0:
                break
            if not _place(fixed, now, slack_H, victims[heads[chosen]]):
                return False
            heads[chosen] += 1
        for h in range(H):
            if not fixed.failed_FH[f, h] and slack_H[h] < scratch.headroom_H[h]:
                scratch.headroom_H[h] = slack_H[h]
    plan.number_X[IS_SLACK_STALE] = 0
    return True


@inlined
def _place(fixed: LookArrays, now: RoundArrays, slack_H: np.ndarray, v: int) -> bool:
    """Puts a victim where most is left; whether it fits there."""
    best, room_gib = -1, -np.inf
    for h in range(slack_H.size):
        if slack_H[h] > room_gib and fixed.is_allowed_MH[v, h]:
            best, room_gib = h, slack_H[h]
    if best < 0 or not room_gib >= now.demand_MR[v, MEMORY]:
        return False
    slack_H[best] -= now.demand_MR[v, MEMORY]
    return True


@inner
def _victims_by_host(now: RoundArrays, plan: PlanArrays, H: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What restarts, host after host, in restart order: where each host's begin, who, and at which place in it."""
    first_H = np.zeros(H + 2, dtype=np.int64)
    count = 0
    for v in now.restart_order_M:
        if v < 0:
            break
        first_H[plan.host_of_M[v] + 2] += 1  # the first row is for those that are nowhere
        count += 1
    begins = np.cumsum(first_H)
    first_H[:] = begins
    victims, positions = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    for position in range(count):
        v = now.restart_order_M[position]
        i = begins[plan.host_of_M[v] + 1]
        victims[i], positions[i] = v, position
        begins[plan.host_of_M[v] + 1] += 1
    return first_H[1:], victims, positions


@inlined
def keeps_reservation(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, target: int
) -> bool:
    """Whether the move of m surely keeps the reservation; the twin of `headroom.keeps_reservation_MH`."""
    if m >= fixed.vm_count:
        return True  # a session needs no memory
    source, need_gib = plan.host_of_M[m], now.demand_MR[m, MEMORY]
    if not need_gib <= scratch.headroom_H[target]:
        return False
    if not fixed.is_restarted_M[m] or (scratch.headroom_H[source] >= 0 and fixed.is_allowed_MH[m, source]):
        return True
    for f in range(fixed.failed_FH.shape[0]):
        if fixed.failed_FH[f, target] and not fixed.failed_FH[f, source]:
            fits = False
            for h in range(fixed.is_up_H.size):
                fits = fits or (fixed.is_allowed_MH[m, h] and scratch.slack_FH[f, h] >= need_gib)
            if not fits:
                return False
    return True
