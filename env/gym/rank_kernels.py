"""Which movables are worth a look, in numba: the rows of every family of the shortlist but room (`room_kernels.py`).

Twins: `ranked`, `by_cover` and `worth_pairs` in `shortlist.py` and `families.py`.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import NOWHERE, Array, IntArray
from ..model.compiled import inlined
from .family_kernels import cover_density, cover_of, gain_of, most_of
from .host_kernels import must_leave
from .look_arrays import (
    COVER_ROWS,
    FAMILY_ROWS,
    HOT_ROWS,
    LEAST_DEMAND,
    RELIEF_ROWS,
    WORTH_ROWS,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .order_kernels import note_homes, sort_hosts, sort_more
from .rule_kernels import some_target
from .schema import WORTH_MINUTES

RELIEF_FAMILY, COVER_FAMILY, WORTH_FAMILY, ROOM_FAMILY = 0, 1, 2, 3
BY_RELIEF, BY_COVER = 0, 1  # orders of movables, `Ranks.order_2M`
FIRST_ROW = np.cumsum(np.array([0, *FAMILY_ROWS[:-1]], dtype=np.int64))
ROWS, OPENED, TAKEN, TURN = 0, 1, 2, 3  # of `Ranks.family_FX`
FIRST = np.int64(0)  # numba would compile kernels anew for the literal


@inlined
def rank_movables(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> int:
    """Fills the rows of `scratch`, but those for room; returns how many movables room could be made for.

    Whether the rules let a movable go is asked last, and only of those that would get a row.
    """
    scratch.ranks.family_FX[:] = 0
    order_leavers(fixed, now, plan, scratch)
    rank_relief(fixed, now, plan, scratch)
    rank_cover(fixed, now, plan, scratch)
    rank_worth(fixed, now, plan, scratch)
    return note_hot(fixed, now, plan, scratch)


@inlined
def order_leavers(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """Works out what leaving brings on hosts that a move has changed, and forgets the orders."""
    if scratch.is_unranked_H.all():  # a new look, as far as can be told
        note_homes(now, scratch)
        scratch.ranks.worth_2M[:] = 0.0
    for h in range(scratch.is_unranked_H.size):
        if scratch.is_unranked_H[h]:
            _weigh_leavers(fixed, now, plan, scratch, h)
    scratch.is_unranked_H[:] = False
    scratch.ranks.known_2[:] = 0
    sort_hosts(scratch)


@inlined
def _weigh_leavers(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, h: int) -> None:
    """What it brings when the movables of a host leave, each by what it costs."""
    for i in range(scratch.ranks.first_home_H[h], scratch.ranks.first_home_H[h + 1]):
        m, worth, density = scratch.ranks.home_member_M[i], 0.0, 0.0
        if scratch.is_left_H[h] and plan.host_of_M[m] == h:
            scratch.ranks.most_M[m] = np.nan
            scratch.ranks.gain_M[m] = gain_of(fixed, now, plan, scratch, m)
            worth = scratch.ranks.gain_M[m] / now.root_M[m] if scratch.ranks.gain_M[m] > 0 else 0.0
            if scratch.is_over_H[h]:
                cover = cover_of(fixed, now, plan, m)
                density = cover_density(now, m, cover) if cover > 0 else 0.0
        scratch.ranks.worth_2M[BY_RELIEF, m], scratch.ranks.worth_2M[BY_COVER, m] = worth, density


@inlined
def rank_relief(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """The rows for relief: what brings most and may go."""
    scratch.ranks.family_FX[RELIEF_FAMILY, ROWS] = _fill(fixed, now, plan, scratch, BY_RELIEF, 0, RELIEF_ROWS)


@inlined
def rank_cover(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """The rows for cover: what resolves most and may go."""
    first = FIRST_ROW[COVER_FAMILY]
    scratch.ranks.family_FX[COVER_FAMILY, ROWS] = _fill(fixed, now, plan, scratch, BY_COVER, first, COVER_ROWS)


@inlined
def _fill(
    fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, i: int, first: int, rows: int
) -> int:
    """Rows with the first of an order that may go; returns how many."""
    count, likely, n = 0, scratch.ranks.host_order_H[0], 0
    while count < rows and (n < scratch.ranks.known_2[i] or sort_more(scratch.ranks, i, rows + n)):
        m = scratch.ranks.order_2M[i, n]
        target = some_target(fixed, now, plan, scratch, m, likely)
        if target >= 0:  # a host that took one takes the next one as a rule
            scratch.ranks.row_L[first + count], likely = m, target
            count += 1
        n += 1
    return count


@inlined
def rank_worth(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> None:
    """The rows for worth: of those for relief what wins most by leaving."""
    first = FIRST_ROW[WORTH_FAMILY]
    row_N, worth_N = scratch.ranks.row_L[first : first + WORTH_ROWS], scratch.ranks.worth_L[first : first + WORTH_ROWS]
    count = 0
    for n in range(scratch.ranks.family_FX[RELIEF_FAMILY, ROWS]):
        m = scratch.ranks.row_L[n]
        most = scratch.strain_H[plan.host_of_M[m]] - now.price_M[m] / WORTH_MINUTES  # were all of it taken off
        if not most > 0 or (count == WORTH_ROWS and most <= worth_N[WORTH_ROWS - 1]):
            continue
        if np.isnan(scratch.ranks.most_M[m]):
            scratch.ranks.most_M[m] = most_of(fixed, now, plan, scratch, m)
        if scratch.ranks.most_M[m] > 0:
            count = _insert(row_N, worth_N, count, WORTH_ROWS, m, scratch.ranks.most_M[m])
    scratch.ranks.family_FX[WORTH_FAMILY, ROWS] = count
    for n in range(first, first + count):
        scratch.ranks.is_ready_L[n] = False
        scratch.ranks.last_L[n] = -scratch.ranks.worth_L[n] if now.figure_X[LEAST_DEMAND] >= 0 else -np.inf


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
def note_hot(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch) -> int:
    """What room could be made for: what resolves most where something is contended, else the first that are hot."""
    hot, n = 0, 0
    is_contended = scratch.ranks.known_2[BY_COVER] > 0 or sort_more(scratch.ranks, BY_COVER, HOT_ROWS)
    i = BY_COVER if is_contended else BY_RELIEF
    while hot < HOT_ROWS and (n < scratch.ranks.known_2[i] or sort_more(scratch.ranks, i, HOT_ROWS + n)):
        m = scratch.ranks.order_2M[i, n]
        if is_contended or is_hot(fixed, now, plan, scratch, m):
            scratch.ranks.hot_Q[hot] = m
            hot += 1
        n += 1
    return hot


@inlined
def is_hot(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> bool:
    """Whether m is on a host that must be relieved."""
    h = plan.host_of_M[m]
    return (h != NOWHERE and scratch.is_near_H[h]) or must_leave(fixed, now, plan, m)
