"""Whether a queued move may start, in numba: `check_move` on the state of the minute, for one move.

What is hard is left to Python: VMs with a vGPU, and an HA reservation of which the quick restart plan (each VM where
least is left, as the search of `availability.py` tries it first) does not know. The answer is then ASK.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, STORAGE, Array
from ..model.compiled import bare, inlined
from .arrays import DOWN, UP, Day, Log, Now
from .memory_kernels import shown_gib
from .trace import Float32Array

NO, YES, ASK = 0, 1, 2
"""Whether a move may start; ASK: only Python can tell."""


@bare
def trend(demand_NMJ: Float32Array, sorted_T: Float32Array, m: int, j: int, first: int, end: int) -> float:
    """Median demand of minutes `first` to `end`, as `trend_estimate` has it of float32; `sorted_T` is room.

    What lies before the first minute that is known is left out.
    """
    first = max(first, 0)
    count = end - first
    for t in range(count):
        sorted_T[t] = demand_NMJ[first + t, m, j]
    gap = 1
    while gap < count // 8:  # Shell's sort; for short windows plain insertion
        gap = 3 * gap + 1
    while gap > 0:
        for t in range(gap, count):
            value, i = sorted_T[t], t
            while i >= gap and sorted_T[i - gap] > value:
                sorted_T[i] = sorted_T[i - gap]
                i -= gap
            sorted_T[i] = value
        gap //= 3
    middle = count // 2
    if count % 2:
        return np.float64(sorted_T[middle])
    return np.float64(np.float32(sorted_T[middle - 1] + sorted_T[middle]) / np.float32(2))


@bare
def used_of(day: Day, now: Now, log: Log, h: int, minute: int, used_R: Array) -> None:
    """Estimated demand on a host, with what is on its way to it."""
    V = day.configured_V.size
    used_R[:] = 0.0
    for m in range(now.host_of_M.size):
        if now.host_of_M[m] == h and now.is_on_M[m]:
            _add(day, now, m, minute, V, used_R)
    for a in range(now.clock[0].active):
        move = log[now.active_A[a]]
        if move.target == h and now.is_on_M[move.m]:
            _add(day, now, move.m, minute, V, used_R)


@inlined
def _add(day: Day, now: Now, m: int, minute: int, V: int, used_R: Array) -> None:
    """Adds the demand of a movable that is on."""
    end = day.history_minutes + minute
    first = end - day.trend_minutes
    if m < V:
        used_R[CPU] += trend(day.demand_NMJ, now.work.window_T, m, 0, first, end)
        used_R[MEMORY] += shown_gib(day, now, m, minute)
    used_R[STORAGE] += trend(day.demand_NMJ, now.work.window_T, m, 1, first, end)


@bare
def may_start(day: Day, now: Now, log: Log, i: int, minute: int) -> int:
    """Whether move i of the log keeps the rules now: NO, YES or ASK."""
    move = log[i]
    m, target = move.m, move.target
    if now.host_of_M[m] != move.source or move.source < 0 or move.source == target:
        return NO
    if now.state_H[target] != UP or not now.is_on_M[m] or not day.is_allowed_MH[m, target]:
        return NO
    if day.gpu_gib_M[m] > 0:
        return ASK
    if _clashes(day, now, log, m, target):
        return NO
    used_R = now.work.used_R
    used_of(day, now, log, target, minute, used_R)
    _add(day, now, m, minute, day.configured_V.size, used_R)
    for r in range(3):
        if not used_R[r] <= day.limit_HR[target, r]:
            return NO
    if not now.clock[0].is_ha_enforced:
        return YES
    return YES if _keeps_reservation(day, now, log, m, target, minute) else ASK


@bare
def _clashes(day: Day, now: Now, log: Log, m: int, target: int) -> bool:
    """Whether an anti-affinity rule keeps m off the target (R4)."""
    for a in range(day.is_anti_MA.shape[1]):
        if not day.is_anti_MA[m, a]:
            continue
        for other in range(now.host_of_M.size):
            if now.host_of_M[other] == target and day.is_anti_MA[other, a]:
                return True
        for i in range(now.clock[0].active):
            move = log[now.active_A[i]]
            if move.target == target and day.is_anti_MA[move.m, a]:
                return True
    return False


@bare
def _keeps_reservation(day: Day, now: Now, log: Log, m: int, target: int, minute: int) -> bool:
    """Whether the quick restart plan survives every failure once m is on the target; False where it might."""
    H, V, work = now.state_H.size, day.configured_V.size, now.work
    need_V, host_V, free_H, used_H = work.need_V, work.host_V, work.host_HX[:, 0], work.host_HX[:, 1]
    for v in range(V):
        host_V[v] = now.host_of_M[v]
    if m < V:
        host_V[m] = target
    used_H[:] = 0.0
    for v in range(V):
        need_V[v] = shown_gib(day, now, v, minute)
        if host_V[v] >= 0:
            used_H[host_V[v]] += need_V[v]
        if host_V[v] >= 0 and day.is_ha_V[v] and now.is_on_M[v] and day.gpu_gib_M[v] > 0:
            return False
    for a in range(now.clock[0].active):
        move = log[now.active_A[a]]
        if move.m < V:
            used_H[move.target] += need_V[move.m]
    for h in range(H):
        free_H[h] = day.limit_HR[h, MEMORY] - used_H[h] if now.state_H[h] == UP else -1.0
    return _survives_all(day, now)


@bare
def _survives_all(day: Day, now: Now) -> bool:
    """Whether every failure of `host_failures` hosts that are there is survived."""
    H, there = now.state_H.size, 0
    for h in range(H):
        there += now.state_H[h] != DOWN
    is_double = min(day.host_failures, there) > 1
    for one in range(H):
        if now.state_H[one] == DOWN:
            continue
        if not is_double and not _survives(day, now, one, one):
            return False
        for other in range(one + 1, H if is_double else 0):
            if now.state_H[other] != DOWN and not _survives(day, now, one, other):
                return False
    return True


@bare
def _survives(day: Day, now: Now, one: int, other: int) -> bool:
    """Whether all `ha` VMs of two hosts (or one, twice) find room, each on the host that has least left."""
    work = now.work
    need_V, host_V, victim_V, left_H = work.need_V, work.host_V, work.victim_V, work.host_HX[:, 2]
    for h in range(left_H.size):
        left_H[h] = work.host_HX[h, 0]
    left_H[one] = left_H[other] = -1.0
    count = 0
    for v in range(host_V.size):
        if (host_V[v] != one and host_V[v] != other) or not day.is_ha_V[v] or not now.is_on_M[v]:
            continue
        i = count
        while i > 0 and _is_before(day, need_V, v, victim_V[i - 1]):
            victim_V[i] = victim_V[i - 1]
            i -= 1
        victim_V[i] = v
        count += 1
    for i in range(count):
        v, best = victim_V[i], -1
        for h in range(left_H.size):
            if left_H[h] >= need_V[v] and day.is_allowed_MH[v, h] and (best < 0 or left_H[h] < left_H[best]):
                best = h
        if best < 0 or left_H[best] < 0:
            return False
        left_H[best] -= need_V[v]
    return True


@inlined
def _is_before(day: Day, need_V: Array, v: int, other: int) -> bool:
    """Whether v restarts before another that stands before it: fewer hosts to choose from, then more memory."""
    mine, its = day.choices_M[v], day.choices_M[other]
    return mine < its or (mine == its and need_V[v] > need_V[other])
