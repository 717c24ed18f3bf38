"""What makes room for a movable of a hot host by leaving, in numba; twins `room_for`, `room_of_leaving` and `kinds`."""

from __future__ import annotations

from ..model.cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, Array, IntArray
from ..model.compiled import inlined
from .family_kernels import cover_of
from .host_kernels import must_leave
from .look_arrays import HOT_ROWS, ROOM_ROWS, LookArrays, PlanArrays, RoundArrays, Scratch
from .lowest_kernels import highest_of
from .rank_arrays import PER_ROOT
from .rank_kernels import FIRST, FIRST_ROW, ROOM_FAMILY, ROWS, is_hot
from .rule_kernels import some_target

RELIEF, EVACUATION, ROOM = 1, 2, 3  # values of `shortlist.Kind`
LEAST_SHORT = 1e-9  # cores or GiB: what lacks less counts as nothing, where an upper bound will do
ROUNDED_UP = 1 + 1e-9


@inlined
def rank_room(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, hot: int) -> None:
    """The rows for room, out of hosts that are not contended.

    Those of the last list are tried first: they are a good guess, and a bound will do for most of the others.
    """
    find_places(fixed, now, plan, scratch, hot)
    row_N, count, likely = scratch.ranks.row_L[FIRST_ROW[ROOM_FAMILY] :], FIRST, scratch.ranks.host_order_H[0]
    for n in range(ROOM_ROWS):
        scratch.ranks.guess_N[n] = row_N[n]
    for n in range(ROOM_ROWS):
        m = scratch.ranks.guess_N[n]
        if not scratch.ranks.is_tried_M[m]:
            scratch.ranks.is_tried_M[m] = True
            count, likely = _try_room(fixed, now, plan, scratch, m, count, likely)
    for h in range(scratch.ranks.place_gain_H.size):
        if scratch.ranks.place_gain_H[h] > 0:
            count, likely = _try_host(fixed, now, plan, scratch, h, count, likely)
    for n in range(ROOM_ROWS):
        scratch.ranks.is_tried_M[scratch.ranks.guess_N[n]] = False
    scratch.ranks.family_FX[ROOM_FAMILY, ROWS] = count


@inlined
def _try_host(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, h: int, count: int, likely: int
) -> tuple[int, int]:
    """Gives rows to the movables of h that may deserve one; the bound is that of `room_of`."""
    first, end, place_gain = (
        scratch.ranks.first_home_H[h],
        scratch.ranks.first_home_H[h + 1],
        scratch.ranks.place_gain_H[h],
    )
    by_cpu, by_memory, by_storage = (
        scratch.ranks.steep_HR[h, CPU],
        scratch.ranks.steep_HR[h, MEMORY],
        scratch.ranks.steep_HR[h, STORAGE],
    )
    free_XM, bound_M, last = scratch.ranks.free_XM, scratch.ranks.bound_M, FIRST_ROW[ROOM_FAMILY] + ROOM_ROWS - 1
    for i in range(first, end):
        most, other = (free_XM[CPU, i] + LEAST_SHORT) * by_cpu, (free_XM[MEMORY, i] + LEAST_SHORT) * by_memory
        third = (free_XM[STORAGE, i] + LEAST_SHORT) * by_storage
        most, other = most if most < place_gain else place_gain, other if other < third else third
        bound_M[i] = ROUNDED_UP * free_XM[PER_ROOT, i] * (other if other < most else most)
    for i in range(first, end):
        is_too_low = count == ROOM_ROWS and bound_M[i] < scratch.ranks.worth_L[last]
        if not is_too_low and not scratch.ranks.is_tried_M[scratch.ranks.home_member_M[i]]:
            count, likely = _try_room(fixed, now, plan, scratch, scratch.ranks.home_member_M[i], count, likely)
    return count, likely


@inlined
def _try_room(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, count: int, likely: int
) -> tuple[int, int]:
    """Gives m a row for room if it deserves one; how many there are, and a host that takes something."""
    first, h = FIRST_ROW[ROOM_FAMILY], plan.host_of_M[m]
    row_N, worth_N = scratch.ranks.row_L[first : first + ROOM_ROWS], scratch.ranks.worth_L[first : first + ROOM_ROWS]
    if not now.is_free_M[m] or h != now.home_M[m]:
        return count, likely
    worth = room_of(now, plan, scratch, m) / now.root_M[m]
    if not worth > 0 or (count == ROOM_ROWS and not _comes_before(row_N, worth_N, ROOM_ROWS - 1, m, worth)):
        return count, likely
    if scratch.is_over_H[h] and cover_of(fixed, now, plan, m) > 0:
        return count, likely
    target = some_target(fixed, now, plan, scratch, m, likely)
    if target < 0:
        return count, likely
    return _insert(row_N, worth_N, count, m, worth), target


@inlined
def _comes_before(row_N: IntArray, worth_N: Array, n: int, m: int, worth: float) -> bool:
    """Whether m belongs before row n: it is worth more, or the same with a lower index."""
    return worth > worth_N[n] or (worth == worth_N[n] and m < row_N[n])


@inlined
def _insert(row_N: IntArray, worth_N: Array, count: int, m: int, worth: float) -> int:
    """Puts m in its place among the rows; returns how many there are."""
    i = min(count, ROOM_ROWS - 1)
    while i > 0 and _comes_before(row_N, worth_N, i - 1, m, worth):
        row_N[i], worth_N[i] = row_N[i - 1], worth_N[i - 1]
        i -= 1
    row_N[i], worth_N[i] = m, worth
    return min(count + 1, ROOM_ROWS)


@inlined
def kind_of(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> int:
    """The kind of the moves of m; `kinds`."""
    if must_leave(fixed, now, plan, m):
        return EVACUATION
    return ROOM if not is_hot(fixed, now, plan, scratch, m) and _makes_room(now, plan, scratch, m) else RELIEF


@inlined
def _makes_room(now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> bool:
    """Whether `room_of` is above 0; what frees some of everything makes some room wherever it is wanted."""
    cpu, memory, storage = now.demand_MR[m, CPU], now.demand_MR[m, MEMORY], now.demand_MR[m, STORAGE]
    if min(cpu, memory, storage) > LEAST_SHORT:
        return scratch.ranks.place_gain_H[plan.host_of_M[m]] > 0
    return room_of(now, plan, scratch, m) > 0


@inlined
def find_places(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, hot: int) -> None:
    """Where hot movables lack something, what they would gain there, and what they lack."""
    _note_gains(fixed, now, plan, scratch, hot)
    most_Q = scratch.ranks.most_Q
    for h in range(scratch.ranks.place_gain_H.size):
        gain_Q, short_RQ = scratch.ranks.gain_HQ[h], scratch.ranks.short_HRQ[h]
        for r in range(RESOURCES):
            used, limit, need_Q, short_Q = (
                scratch.used_XH[r, h],
                fixed.limit_RH[r, h],
                scratch.ranks.need_RQ[r],
                short_RQ[r],
            )
            for q in range(most_Q.size):
                short_Q[q] = used + need_Q[q] - limit
        for q in range(most_Q.size):
            is_short = (short_RQ[0, q] > 0) | (short_RQ[1, q] > 0) | (short_RQ[2, q] > 0)
            gain_Q[q] = gain_Q[q] if is_short else 0.0
        scratch.ranks.place_gain_H[h] = highest_of(gain_Q)
        for r in range(RESOURCES):
            short_Q = short_RQ[r]
            for q in range(most_Q.size):
                most_Q[q] = gain_Q[q] / (short_Q[q] if short_Q[q] > LEAST_SHORT else LEAST_SHORT)
            scratch.ranks.steep_HR[h, r] = highest_of(most_Q)


@inlined
def _note_gains(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, hot: int) -> None:
    """What hot movables need, and what they gain on hosts where they may be."""
    H, gain_Q = scratch.ranks.place_gain_H.size, scratch.ranks.most_Q
    for q in range(HOT_ROWS):
        m = scratch.ranks.hot_Q[q] if q < hot else 0
        gain_Q[q] = scratch.ranks.gain_M[m] if q < hot else 0.0
        for r in range(RESOURCES):
            scratch.ranks.need_RQ[r, q] = now.demand_MR[m, r]
    for h in range(H):
        for q in range(gain_Q.size):
            scratch.ranks.gain_HQ[h, q] = gain_Q[q]
    for q in range(hot):
        m = scratch.ranks.hot_Q[q]
        scratch.ranks.gain_HQ[plan.host_of_M[m], q] = 0.0
        if not fixed.is_open_everywhere_M[m]:
            for h in range(H):
                scratch.ranks.gain_HQ[h, q] = scratch.ranks.gain_HQ[h, q] if fixed.is_open_MH[m, h] else 0.0


@inlined
def room_of(now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> float:
    """The best gain of a hot movable that could take the place of m, or its share where m leaves too little; else 0."""
    h = plan.host_of_M[m]
    if h == NOWHERE or not scratch.ranks.place_gain_H[h] > 0:
        return 0.0
    gain_Q, short_RQ, room_Q = scratch.ranks.gain_HQ[h], scratch.ranks.short_HRQ[h], scratch.ranks.most_Q
    cpu, memory, storage = now.demand_MR[m, CPU], now.demand_MR[m, MEMORY], now.demand_MR[m, STORAGE]
    for q in range(room_Q.size):
        share = cpu / short_RQ[0, q] if short_RQ[0, q] > cpu else 1.0
        other = memory / short_RQ[1, q] if short_RQ[1, q] > memory else 1.0
        third = storage / short_RQ[2, q] if short_RQ[2, q] > storage else 1.0
        share = other if other < share else share
        room_Q[q] = gain_Q[q] * (third if third < share else share)
    return highest_of(room_Q)
