"""Which movables are worth a look, in numba: the rows of every family of the shortlist.

Twins: `ranked`, `by_cover`, `worth_pairs`, `room_of_leaving` and `kinds` in `shortlist.py` and `families.py`.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, Array, IntArray
from ..model.compiled import inlined
from .family_kernels import cover_density, cover_of, gain_of, most_of
from .host_kernels import must_leave
from .look_arrays import (
    COVER_ROWS,
    FAMILY_ROWS,
    HOT_ROWS,
    LEAST_DEMAND,
    RELIEF_ROWS,
    ROOM_ROWS,
    WORTH_ROWS,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .lowest_kernels import highest_of
from .rule_kernels import some_target

RELIEF, EVACUATION, ROOM = 1, 2, 3  # values of `shortlist.Kind`
RELIEF_FAMILY, COVER_FAMILY, WORTH_FAMILY, ROOM_FAMILY = 0, 1, 2, 3
FIRST_ROW = np.cumsum(np.array([0, *FAMILY_ROWS[:-1]], dtype=np.int64))
ROWS, OPENED, TAKEN, TURN = 0, 1, 2, 3  # of `Scratch.family_FX`
LEAST_SHORT = 1e-9  # cores or GiB: what lacks less counts as nothing, where an upper bound will do
ROUNDED_UP = 1 + 1e-9
FIRST = np.int64(0)  # numba would compile kernels anew for the literal


@inlined
def rank_movables(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> int:
    """Fills the rows of `scratch`, family by family; returns how many movables room could be made for.

    Whether the rules let a movable go is asked last, and only of those that would get a row.
    """
    scratch.family_FX[:] = 0
    hot = _rank_cover(fixed, now, plan, scratch)
    scratch.is_unranked_H[:] = False
    _rank_relief(fixed, now, plan, scratch)
    _rank_worth(fixed, now, plan, scratch)
    _rank_room(fixed, now, plan, scratch, hot)
    return hot


@inlined
def _rank_cover(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> int:
    """The gain of every movable, the heap of those that bring some, the rows for cover, and what to make room for."""
    first = FIRST_ROW[COVER_FAMILY]
    row_N, worth_N = scratch.row_L[first : first + COVER_ROWS], scratch.worth_L[first : first + COVER_ROWS]
    hot, size, count, likely, is_contended = 0, 0, 0, FIRST, False
    for m in range(plan.host_of_M.size):
        h = plan.host_of_M[m]
        if not _may_leave(now, plan, m) or not scratch.is_left_H[h]:
            continue
        if scratch.is_unranked_H[h]:
            scratch.gain_M[m] = gain_of(fixed, now, plan, scratch, m)
            scratch.worth_M[m] = scratch.gain_M[m] / now.root_M[m]
            scratch.most_M[m] = np.nan
        gain, cover = scratch.gain_M[m], cover_of(fixed, now, plan, m) if scratch.is_over_H[h] else 0.0
        if gain > 0:
            scratch.heap_M[size], scratch.heap_worth_M[size] = m, scratch.worth_M[m]
            size += 1
        if cover > 0:
            density = cover_density(now, m, cover)
            hot, is_contended = hot if is_contended else 0, True
            hot = _insert(scratch.hot_Q, scratch.hot_worth_Q, hot, HOT_ROWS, m, density)
            if _is_better(worth_N, count, COVER_ROWS, density):
                target = some_target(fixed, now, plan, scratch, m, likely)
                if target >= 0:
                    count, likely = _insert(row_N, worth_N, count, COVER_ROWS, m, density), target
        elif gain > 0 and not is_contended and _is_hot(fixed, now, plan, scratch, m):
            hot = _insert(scratch.hot_Q, scratch.hot_worth_Q, hot, HOT_ROWS, m, scratch.worth_M[m])
    scratch.family_FX[RELIEF_FAMILY, ROWS], scratch.family_FX[COVER_FAMILY, ROWS] = size, count
    return hot


@inlined
def _rank_relief(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """The rows for relief: the best of the heap."""
    relief, likely, size = 0, FIRST, scratch.family_FX[RELIEF_FAMILY, ROWS]
    for i in range(size // 2 - 1, -1, -1):
        _sift(scratch, i, size)
    while size > 0 and relief < RELIEF_ROWS:
        m = scratch.heap_M[0]
        size -= 1
        scratch.heap_M[0], scratch.heap_worth_M[0] = scratch.heap_M[size], scratch.heap_worth_M[size]
        _sift(scratch, 0, size)
        target = some_target(fixed, now, plan, scratch, m, likely)
        if target >= 0:  # a host that took one takes the next one as a rule
            scratch.row_L[relief], likely = m, target
            relief += 1
    scratch.family_FX[RELIEF_FAMILY, ROWS] = relief


@inlined
def _rank_worth(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """The rows for worth: of those for relief what wins most by leaving."""
    first = FIRST_ROW[WORTH_FAMILY]
    row_N, worth_N = scratch.row_L[first : first + WORTH_ROWS], scratch.worth_L[first : first + WORTH_ROWS]
    count = 0
    for n in range(scratch.family_FX[RELIEF_FAMILY, ROWS]):
        m = scratch.row_L[n]
        if not scratch.strain_H[plan.host_of_M[m]] > 0:
            continue
        if np.isnan(scratch.most_M[m]):
            scratch.most_M[m] = most_of(fixed, now, plan, scratch, m)
        if scratch.most_M[m] > 0:
            count = _insert(row_N, worth_N, count, WORTH_ROWS, m, scratch.most_M[m])
    scratch.family_FX[WORTH_FAMILY, ROWS] = count
    for n in range(first, first + count):
        scratch.is_ready_L[n] = False
        scratch.last_L[n] = -scratch.worth_L[n] if now.figure_X[LEAST_DEMAND] >= 0 else -np.inf


@inlined
def _is_hot(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> bool:
    """Whether m is on a host that must be relieved."""
    h = plan.host_of_M[m]
    return (h != NOWHERE and scratch.is_near_H[h]) or must_leave(fixed, now, plan, m)


@inlined
def _may_leave(now: RoundArrays, plan: PlanArrays, m: int) -> bool:
    """Whether m is free to move, and has not done so."""
    return now.is_free_M[m] and plan.host_of_M[m] == now.home_M[m]


@inlined
def _sift(scratch: Scratch, i: int, size: int) -> None:
    """Lets the movable at place i of the heap sink to where it belongs: the most worth, then the first, on top."""
    heap_M, worth_M = scratch.heap_M, scratch.heap_worth_M
    m, worth = heap_M[i], worth_M[i]
    child = 2 * i + 1
    while child < size:
        if child + 1 < size:  # added up without a branch: which child it is cannot be foreseen
            is_more, is_equal = worth_M[child + 1] > worth_M[child], worth_M[child + 1] == worth_M[child]
            child += is_more | (is_equal & (heap_M[child + 1] < heap_M[child]))
        if worth > worth_M[child] or (worth == worth_M[child] and m < heap_M[child]):
            break
        heap_M[i], worth_M[i] = heap_M[child], worth_M[child]
        i, child = child, 2 * child + 1
    heap_M[i], worth_M[i] = m, worth


@inlined
def _is_better(worth_N: Array, count: int, rows: int, worth: float) -> bool:
    """Whether a newcomer belongs among the best rows."""
    return count < rows or worth > worth_N[rows - 1]


@inlined
def _insert(row_N: IntArray, worth_N: Array, count: int, rows: int, m: int, worth: float) -> int:
    """Puts m in its place among at most `rows` of the highest worth, behind its equals; returns how many there are."""
    if count == rows and worth <= worth_N[rows - 1]:
        return count
    i = min(count, rows - 1)
    while i > 0 and worth_N[i - 1] < worth:
        row_N[i], worth_N[i] = row_N[i - 1], worth_N[i - 1]
        i -= 1
    row_N[i], worth_N[i] = m, worth
    return min(count + 1, rows)


@inlined
def _rank_room(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, hot: int) -> None:
    """The rows for room, out of hosts that are not contended."""
    _find_places(fixed, now, plan, scratch, hot)
    first = FIRST_ROW[ROOM_FAMILY]
    row_N, worth_N = scratch.row_L[first : first + ROOM_ROWS], scratch.worth_L[first : first + ROOM_ROWS]
    count, likely = 0, FIRST
    for m in range(plan.host_of_M.size):
        h = plan.host_of_M[m]
        if not _may_leave(now, plan, m) or scratch.place_gain_H[h] <= 0:
            continue
        most = _most_room(now, scratch, m, h)
        if not most > 0 or not _is_better(worth_N, count, ROOM_ROWS, most / now.root_M[m]):
            continue
        worth = _room(fixed, now, plan, scratch, m, hot) / now.root_M[m]
        if not worth > 0 or not _is_better(worth_N, count, ROOM_ROWS, worth):
            continue
        if scratch.is_over_H[h] and cover_of(fixed, now, plan, m) > 0:
            continue
        target = some_target(fixed, now, plan, scratch, m, likely)
        if target >= 0:
            count, likely = _insert(row_N, worth_N, count, ROOM_ROWS, m, worth), target
    scratch.family_FX[ROOM_FAMILY, ROWS] = count


@inlined
def kind_of(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, hot: int) -> int:
    """The kind of the moves of m; `kinds`."""
    if must_leave(fixed, now, plan, m):
        return EVACUATION
    is_room = not _is_hot(fixed, now, plan, scratch, m) and _room(fixed, now, plan, scratch, m, hot) > 0
    return ROOM if is_room else RELIEF


@inlined
def _find_places(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, hot: int) -> None:
    """Where hot movables lack something, what they would gain there, and 1 / what they lack."""
    used_XH, limit_RH, need_RQ = scratch.used_XH, fixed.limit_RH, scratch.need_RQ
    for q in range(HOT_ROWS):
        m = scratch.hot_Q[q] if q < hot else 0
        scratch.hot_gain_Q[q] = scratch.gain_M[m] if q < hot else 0.0
        for r in range(RESOURCES):
            need_RQ[r, q] = now.demand_MR[m, r]
        for h in range(scratch.place_gain_H.size):
            is_open = q < hot and fixed.is_open_MH[m, h] and plan.host_of_M[m] != h
            scratch.gain_HQ[h, q] = scratch.hot_gain_Q[q] if is_open else 0.0
    for h in range(scratch.place_gain_H.size):
        gain_Q, per_RQ = scratch.gain_HQ[h], scratch.per_short_HRQ[h]
        for q in range(HOT_ROWS):
            cpu = used_XH[0, h] + need_RQ[0, q] - limit_RH[0, h]
            memory = used_XH[1, h] + need_RQ[1, q] - limit_RH[1, h]
            storage = used_XH[2, h] + need_RQ[2, q] - limit_RH[2, h]
            gain_Q[q] = gain_Q[q] if (cpu > 0) | (memory > 0) | (storage > 0) else 0.0
            per_RQ[0, q] = 1 / cpu if cpu > LEAST_SHORT else 1 / LEAST_SHORT
            per_RQ[1, q] = 1 / memory if memory > LEAST_SHORT else 1 / LEAST_SHORT
            per_RQ[2, q] = 1 / storage if storage > LEAST_SHORT else 1 / LEAST_SHORT
        scratch.place_gain_H[h] = highest_of(gain_Q)


@inlined
def _most_room(now: RoundArrays, scratch: Scratch, m: int, h: int) -> float:
    """What `_room` is at most, by vector instructions: most movables are through with that."""
    gain_Q, per_RQ, most_Q = scratch.gain_HQ[h], scratch.per_short_HRQ[h], scratch.most_Q
    cpu, memory = now.demand_MR[m, CPU] + LEAST_SHORT, now.demand_MR[m, MEMORY] + LEAST_SHORT
    storage = now.demand_MR[m, STORAGE] + LEAST_SHORT
    for q in range(HOT_ROWS):
        share = cpu * per_RQ[0, q]
        other, third = memory * per_RQ[1, q], storage * per_RQ[2, q]
        share = other if other < share else share
        share = third if third < share else share
        most_Q[q] = gain_Q[q] * (share if share < 1.0 else 1.0)
    return ROUNDED_UP * highest_of(most_Q)


@inlined
def _room(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, hot: int) -> float:
    """The best gain of a hot movable that could take the place of m, or its share where m leaves too little; else 0."""
    h, best = plan.host_of_M[m], 0.0
    if h == NOWHERE or scratch.place_gain_H[h] <= 0:
        return best
    for q in range(hot):
        gain = scratch.gain_HQ[h, q]
        if gain > best:
            share = 1.0
            for r in range(RESOURCES):
                short = plan.used_HR[h, r] + scratch.need_RQ[r, q] - fixed.limit_HR[h, r]
                if short > now.demand_MR[m, r]:
                    share = min(share, now.demand_MR[m, r] / short)
            best = max(best, share * gain)
    return best
