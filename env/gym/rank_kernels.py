"""Which movables are worth a look, in numba: the rows of every family of the shortlist.

Twins: `ranked`, `by_cover`, `worth_pairs`, `room_of_leaving` and `kinds` in `shortlist.py` and `families.py`.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import NOWHERE, RESOURCES, Array, IntArray
from ..model.compiled import inlined
from .family_kernels import cover_density, cover_of, gain_of, most_of
from .host_kernels import must_leave
from .look_arrays import (
    COVER_ROWS,
    FAMILY_ROWS,
    HOT_ROWS,
    RELIEF_ROWS,
    ROOM_ROWS,
    WORTH_ROWS,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .rule_kernels import some_target

RELIEF, EVACUATION, ROOM = 1, 2, 3  # values of `shortlist.Kind`
RELIEF_FAMILY, COVER_FAMILY, WORTH_FAMILY, ROOM_FAMILY = 0, 1, 2, 3
FIRST_ROW = np.cumsum(np.array([0, *FAMILY_ROWS[:-1]], dtype=np.int64))
ROWS, OPENED, TAKEN, IS_OVER = 0, 1, 2, 3  # of `Scratch.family_FX`
FIRST = np.int64(0)  # numba would compile kernels anew for the literal


@inlined
def rank_movables(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """Fills the rows of `scratch`, family by family, and says how many there are of each.

    Whether the rules let a movable go is asked last, and only of those that would get a row.
    """
    scratch.family_FX[:] = 0
    hot = _rank_cover(fixed, now, plan, scratch)
    scratch.is_unranked_H[:] = False
    relief, likely = 0, FIRST  # a host that took one takes the next one as a rule
    size = scratch.family_FX[RELIEF_FAMILY, ROWS]
    for i in range(size // 2 - 1, -1, -1):
        _sift(scratch, i, size)
    while size > 0 and relief < RELIEF_ROWS:
        m = scratch.heap_M[0]
        size -= 1
        scratch.heap_M[0] = scratch.heap_M[size]
        _sift(scratch, 0, size)
        target = some_target(fixed, now, plan, scratch, m, likely)
        if target >= 0:
            scratch.row_L[relief], likely = m, target
            relief += 1
    scratch.family_FX[RELIEF_FAMILY, ROWS] = relief
    _rank_worth(fixed, now, plan, scratch, relief)
    _rank_room(fixed, now, plan, scratch, hot)
    for f in range(FIRST_ROW.size):
        for n in range(FIRST_ROW[f], FIRST_ROW[f] + scratch.family_FX[f, ROWS]):
            scratch.kind_L[n] = _kind(fixed, now, plan, scratch, scratch.row_L[n], hot)


@inlined
def _rank_cover(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> int:
    """The gain of every movable, the heap of those that bring some, the rows for cover, and what to make room for."""
    first = FIRST_ROW[COVER_FAMILY]
    row_N, worth_N = scratch.row_L[first : first + COVER_ROWS], scratch.worth_L[first : first + COVER_ROWS]
    hot, size, count, likely, is_contended = 0, 0, 0, FIRST, False
    for m in range(plan.host_of_M.size):
        h = plan.host_of_M[m]
        if h == NOWHERE or scratch.is_unranked_H[h]:
            scratch.gain_M[m] = gain_of(fixed, now, plan, scratch, m)
            scratch.worth_M[m] = scratch.gain_M[m] / now.root_M[m]
        gain, cover = scratch.gain_M[m], cover_of(fixed, now, plan, m)
        if not (gain > 0 or cover > 0) or not _may_leave(now, plan, m):
            continue
        if gain > 0:
            scratch.heap_M[size] = m
            size += 1
        if cover > 0:
            density = cover_density(now, m, cover)
            hot, is_contended = hot if is_contended else 0, True
            hot = _insert(scratch.hot_Q, scratch.hot_worth_Q, hot, HOT_ROWS, m, density)
            if _is_better(worth_N, count, COVER_ROWS, density):
                target = some_target(fixed, now, plan, scratch, m, likely)
                if target >= 0:
                    count, likely = _insert(row_N, worth_N, count, COVER_ROWS, m, density), target
        elif not is_contended and _is_hot(fixed, now, plan, scratch, m):
            hot = _insert(scratch.hot_Q, scratch.hot_worth_Q, hot, HOT_ROWS, m, scratch.worth_M[m])
    scratch.family_FX[RELIEF_FAMILY, ROWS], scratch.family_FX[COVER_FAMILY, ROWS] = size, count
    return hot


@inlined
def _rank_worth(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, relief: int) -> None:
    """The rows for worth: of those for relief what wins most by leaving."""
    first = FIRST_ROW[WORTH_FAMILY]
    row_N, worth_N = scratch.row_L[first : first + WORTH_ROWS], scratch.worth_L[first : first + WORTH_ROWS]
    count = 0
    for n in range(relief):
        most = most_of(fixed, now, plan, scratch, scratch.row_L[n])
        if most > 0:
            count = _insert(row_N, worth_N, count, WORTH_ROWS, scratch.row_L[n], most)
    scratch.family_FX[WORTH_FAMILY, ROWS] = count


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
def _comes_first(scratch: Scratch, m: int, other: int) -> bool:
    """Whether m is worth more than the other, or as much and listed before it."""
    own, others = scratch.worth_M[m], scratch.worth_M[other]
    return own > others or (own == others and m < other)


@inlined
def _sift(scratch: Scratch, i: int, size: int) -> None:
    """Lets the movable at place i of the heap sink to where it belongs."""
    m = scratch.heap_M[i]
    child = 2 * i + 1
    while child < size:
        if child + 1 < size and _comes_first(scratch, scratch.heap_M[child + 1], scratch.heap_M[child]):
            child += 1
        if not _comes_first(scratch, scratch.heap_M[child], m):
            break
        scratch.heap_M[i] = scratch.heap_M[child]
        i, child = child, 2 * child + 1
    scratch.heap_M[i] = m


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
        if not _may_leave(now, plan, m):
            continue
        most = scratch.place_gain_H[plan.host_of_M[m]]
        if most <= 0 or not _is_better(worth_N, count, ROOM_ROWS, most / now.root_M[m]):
            continue
        gain = _room(now, plan, scratch, m, hot)
        worth = gain / now.root_M[m]
        if gain > 0 and _is_better(worth_N, count, ROOM_ROWS, worth) and cover_of(fixed, now, plan, m) <= 0:
            target = some_target(fixed, now, plan, scratch, m, likely)
            if target >= 0:
                count, likely = _insert(row_N, worth_N, count, ROOM_ROWS, m, worth), target
    scratch.family_FX[ROOM_FAMILY, ROWS] = count


@inlined
def _kind(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, hot: int) -> int:
    """The kind of the moves of m; `kinds`."""
    if must_leave(fixed, now, plan, m):
        return EVACUATION
    is_room = not _is_hot(fixed, now, plan, scratch, m) and _room(now, plan, scratch, m, hot) > 0
    return ROOM if is_room else RELIEF


@inlined
def _find_places(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, hot: int) -> None:
    """Where hot movables lack something, and how much."""
    scratch.place_gain_H[:] = 0.0
    for q in range(hot):
        m = scratch.hot_Q[q]
        gain = scratch.gain_M[m]
        for h in range(fixed.is_up_H.size):
            is_short = False
            for r in range(RESOURCES):
                short = plan.used_HR[h, r] + now.demand_MR[m, r] - fixed.limit_HR[h, r]
                scratch.short_QHR[q, h, r] = short
                is_short = is_short or short > 0
            can_go = fixed.is_up_H[h] and fixed.is_allowed_MH[m, h] and plan.host_of_M[m] != h
            scratch.is_place_QH[q, h] = is_short and can_go
            if is_short and can_go and gain > scratch.place_gain_H[h]:
                scratch.place_gain_H[h] = gain


@inlined
def _room(now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, hot: int) -> float:
    """The best gain of a hot movable that could take the place of m, or its share where m leaves too little; else 0."""
    h, best = plan.host_of_M[m], 0.0
    if h == NOWHERE:
        return best
    for q in range(hot):
        gain = scratch.gain_M[scratch.hot_Q[q]]
        if gain > best and scratch.is_place_QH[q, h]:
            share = 1.0
            for r in range(RESOURCES):
                need = scratch.short_QHR[q, h, r]
                if need > now.demand_MR[m, r]:
                    share = min(share, now.demand_MR[m, r] / need)
            best = max(best, share * gain)
    return best
