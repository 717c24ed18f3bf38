"""Slots for (movable, target) pairs, the families in turn, in numba; the twin of `in_turn`, `diagonal`, `worth_pairs`.

Rows are opened in the order of their rank, and targets ranked one by one as they are needed: most of the (row, host)
table is never looked at.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import IntArray
from ..model.compiled import inlined
from .family_kernels import badness, loss, node_score
from .look_arrays import (
    COVER_SHARE,
    COVER_STEP,
    RELIEF_SHARE,
    ROOM_SHARE,
    ROOM_STEP,
    ROW_STEP,
    WORTH_SHARE,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .rank_kernels import FIRST_ROW, IS_OVER, OPENED, RELIEF_FAMILY, ROWS, TAKEN, WORTH_FAMILY
from .rule_kernels import may_go

SHARE_F = np.array([RELIEF_SHARE, COVER_SHARE, WORTH_SHARE, ROOM_SHARE])
STEP_F = np.array([ROW_STEP, COVER_STEP, 0.0, ROOM_STEP])


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
    while count < movable_K.size:
        f = _next_family(scratch)
        if f < 0:
            break
        n = _next_row(fixed, now, plan, scratch, f)
        if n < 0:
            scratch.family_FX[f, IS_OVER] = 1
            continue
        m, target = scratch.row_L[n], scratch.target_L[n]
        scratch.family_FX[f, TAKEN] += 1
        _go_on(scratch, n)
        if not _is_listed(movable_K, target_K, count, m, target):
            movable_K[count], target_K[count], kind_K[count] = m, target, scratch.kind_L[n]
            count += 1
    return count


@inlined
def _next_family(scratch: Scratch) -> int:
    """The family whose turn it is, -1 when all are through."""
    best, least = -1, np.inf
    for f in range(SHARE_F.size):
        due = (scratch.family_FX[f, TAKEN] + 0.5) / SHARE_F[f]
        if scratch.family_FX[f, IS_OVER] == 0 and due < least:
            best, least = f, due
    return best


@inlined
def _is_listed(movable_K: IntArray, target_K: IntArray, count: int, m: int, target: int) -> bool:
    """Whether the pair has a slot already."""
    for k in range(count):  # noqa: SIM110  numba knows no generators
        if movable_K[k] == m and target_K[k] == target:
            return True
    return False


@inlined
def _next_row(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, f: int) -> int:
    """The row of a family that its next pair is taken from, -1 when there is none; opens rows as they are needed."""
    while True:
        n = _best_row(scratch, f)
        if n < 0 or n < FIRST_ROW[f] + scratch.family_FX[f, OPENED]:
            return n
        _open(fixed, now, plan, scratch, n, f)
        scratch.family_FX[f, OPENED] += 1


@inlined
def _best_row(scratch: Scratch, f: int) -> int:
    """The row that comes next, the first of equals, be it opened or the first one that is not.

    By worth: what its next pair wins, or at most can win. Else by its next target's rank and its own.
    """
    best, least, opened = -1, np.inf, scratch.family_FX[f, OPENED]
    for i in range(min(opened + 1, scratch.family_FX[f, ROWS])):
        n = FIRST_ROW[f] + i
        if i < opened and scratch.target_L[n] < 0:
            continue  # has no target left
        if f == WORTH_FAMILY:
            total = scratch.last_L[n] if i < opened else -scratch.worth_L[n]
        else:
            total = (scratch.rank_L[n] if i < opened else 0) * 1.0 + STEP_F[f] * i
        if total < least:
            best, least = n, total
    return best


@inlined
def _open(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int, f: int) -> None:
    """Weighs the targets of a row and finds its best one."""
    m = scratch.row_L[n]
    for h in range(fixed.is_up_H.size):
        value = np.inf
        if may_go(fixed, now, plan, scratch, m, h):
            if f == RELIEF_FAMILY:
                value = badness(fixed, now, plan, scratch, m, h)
            elif f == WORTH_FAMILY:
                value = loss(fixed, now, plan, scratch, m, h, scratch.worth_L[n])
            else:
                value = node_score(fixed, now, plan, m, h)
        scratch.badness_LH[n, h] = value
    scratch.last_L[n], scratch.target_L[n], scratch.rank_L[n] = -np.inf, -1, -1
    _go_on(scratch, n)


@inlined
def _go_on(scratch: Scratch, n: int) -> None:
    """The next best target of a row; -1 when there is none left."""
    badness_H, last, last_h = scratch.badness_LH[n], scratch.last_L[n], scratch.target_L[n]
    best, least = -1, np.inf
    for h in range(badness_H.size):
        is_later = badness_H[h] > last or (badness_H[h] == last and h > last_h)
        if is_later and badness_H[h] < least:
            best, least = h, badness_H[h]
    scratch.last_L[n], scratch.target_L[n] = least, best
    scratch.rank_L[n] += 1
