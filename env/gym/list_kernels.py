"""Slots for (movable, target) pairs, the families in turn, in numba; the twin of `in_turn`, `diagonal`, `worth_pairs`.

Rows are opened in the order of their rank, and targets found one by one as they are needed (`row_kernels.py`): most of
the (row, host) table is never looked at. Along the diagonal rows take turns in an order that only the number of hosts
decides (`LookArrays.order_FP`); where worth decides, the best of the opened rows is looked for.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import IntArray
from ..model.compiled import inlined
from .look_arrays import (
    COVER_SHARE,
    FAMILY_ROWS,
    RELIEF_SHARE,
    ROOM_SHARE,
    WORTH_SHARE,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .rank_kernels import FIRST_ROW, OPENED, ROWS, TAKEN, TURN, WORTH_FAMILY
from .room_kernels import kind_of
from .row_kernels import go_on, open_row

SHARE_F = np.array([RELIEF_SHARE, COVER_SHARE, WORTH_SHARE, ROOM_SHARE])
ROWS_F = np.array(FAMILY_ROWS)


@inlined
def deal_slots(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    movable_K: IntArray,
    target_K: IntArray,
    kind_K: IntArray,
) -> int:
    """Fills the slots from the front; returns how many."""
    count = 0
    for f in range(SHARE_F.size):
        scratch.ranks.due_F[f] = 0.5 / SHARE_F[f]
    while count < movable_K.size:
        f = _next_family(scratch)
        if f < 0:
            break
        n = _next_row(fixed, now, plan, scratch, f)
        if n < 0:
            scratch.ranks.due_F[f] = np.inf
            continue
        m, target = scratch.ranks.row_L[n], scratch.ranks.target_L[n]
        scratch.ranks.family_FX[f, TAKEN] += 1
        scratch.ranks.due_F[f] = (scratch.ranks.family_FX[f, TAKEN] + 0.5) / SHARE_F[f]
        if not scratch.ranks.is_listed_MH[m, target]:
            scratch.ranks.is_listed_MH[m, target] = True
            movable_K[count], target_K[count], kind_K[count] = m, target, scratch.ranks.kind_L[n]
            count += 1
    for k in range(count):
        scratch.ranks.is_listed_MH[movable_K[k], target_K[k]] = False
    return count


@inlined
def _next_family(scratch: Scratch) -> int:
    """The family whose turn it is, -1 when all are through."""
    best, least = -1, np.inf
    for f in range(SHARE_F.size):
        if scratch.ranks.due_F[f] < least:
            best, least = f, scratch.ranks.due_F[f]
    return best


@inlined
def _next_row(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, f: int) -> int:
    """The row of a family that has its next pair, with the target in `target_L`; -1 when there is none."""
    while True:
        n = _due_by_worth(scratch) if f == WORTH_FAMILY else _due_on_diagonal(fixed, scratch, f)
        if n < 0:
            return n
        if f == WORTH_FAMILY and scratch.ranks.is_ready_L[n]:
            scratch.ranks.is_ready_L[n] = False
            return n
        if n == FIRST_ROW[f] + scratch.ranks.family_FX[f, OPENED]:
            scratch.ranks.family_FX[f, OPENED] += 1
            scratch.ranks.kind_L[n] = kind_of(fixed, now, plan, scratch, scratch.ranks.row_L[n])
            open_row(fixed, now, scratch, n, f)
        go_on(fixed, now, plan, scratch, n, f)
        scratch.ranks.is_ready_L[n] = True
        if f != WORTH_FAMILY and scratch.ranks.target_L[n] >= 0:
            return n


@inlined
def _due_on_diagonal(fixed: LookArrays, scratch: Scratch, f: int) -> int:
    """The row whose turn it is, opened or the first that is not; -1 when all are through."""
    rows, opened, turns = (
        scratch.ranks.family_FX[f, ROWS],
        scratch.ranks.family_FX[f, OPENED],
        ROWS_F[f] * fixed.is_up_H.size,
    )
    for turn in range(scratch.ranks.family_FX[f, TURN], turns):
        i = fixed.order_FP[f, turn]
        if i < rows and (i >= opened or scratch.ranks.target_L[FIRST_ROW[f] + i] >= 0):
            scratch.ranks.family_FX[f, TURN] = turn + 1
            return FIRST_ROW[f] + i
    scratch.ranks.family_FX[f, TURN] = turns
    return -1


@inlined
def _due_by_worth(scratch: Scratch) -> int:
    """The row that may win most, be it opened or the first that is not, the first of equals; -1 when all are through.

    It has won that before, or its next target is known (`is_ready_L`), or nobody has looked yet.
    """
    best, least = -1, np.inf
    for i in range(min(scratch.ranks.family_FX[WORTH_FAMILY, OPENED] + 1, scratch.ranks.family_FX[WORTH_FAMILY, ROWS])):
        n = FIRST_ROW[WORTH_FAMILY] + i
        if scratch.ranks.last_L[n] < least:
            best, least = n, scratch.ranks.last_L[n]
    return best
