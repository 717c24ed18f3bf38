"""Rows of the shortlist in numba: a movable and its targets, in the order of their badness.

Most rows are asked for one or two targets, so a row is not sorted: hosts are gone through in the order of what their
badness is at least with any movable, until no host behind can be better. In the family of worth, where most targets
tie, they are gone through in turn until one is as good as any can be.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, STORAGE
from ..model.compiled import inlined
from .family_kernels import badness, loss, node_score
from .host_kernels import BLOCKS_OVER, NODE, PER_MEMORY, PER_THRESHOLD, ROUNDING, TREND_OVER
from .look_arrays import (
    BLOCK_WEIGHT,
    BLOCKS,
    EXCESS_WEIGHT,
    LEAST_DEMAND,
    TREND,
    TREND_WEIGHT,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .lowest_kernels import first_lowest
from .rank_kernels import RELIEF_FAMILY, WORTH_FAMILY
from .rule_kernels import may_go


@inlined
def open_row(fixed: LookArrays, now: RoundArrays, scratch: Scratch, n: int, f: int) -> None:
    """Begins a row of family f."""
    scratch.ranks.target_L[n], scratch.ranks.last_L[n] = -1, -np.inf
    if f == RELIEF_FAMILY:
        _bound_badness(fixed, now, scratch, n)
    elif f == WORTH_FAMILY:
        _begin_worth(now, scratch, n)


@inlined
def _bound_badness(fixed: LookArrays, now: RoundArrays, scratch: Scratch, n: int) -> None:
    """What badness is at least: the blocks exceed the level by no less than their mean does; infinite without room."""
    m, badness_H, bound_XH = scratch.ranks.row_L[n], scratch.ranks.badness_LH[n], scratch.bound_XH
    used_XH, limit_RH, demand_R, is_open_H = scratch.used_XH, fixed.limit_RH, now.demand_MR[m], fixed.is_open_MH[m]
    cpu_B, storage_B = now.demand_MJB[m, 0], now.demand_MJB[m, 1]
    needed_cpu, needed_gib, needed_storage = demand_R[CPU], demand_R[MEMORY], demand_R[STORAGE]
    cpu, storage = 0.0, 0.0
    for b in range(1, 1 + BLOCKS):
        cpu += cpu_B[b]
        storage += storage_B[b]
    cpu, storage, cpu_trend, storage_trend = cpu / BLOCKS, storage / BLOCKS, cpu_B[TREND], storage_B[TREND]
    for h in range(badness_H.size):
        per, other_per = bound_XH[PER_THRESHOLD, h], bound_XH[PER_THRESHOLD + 1, h]
        a, b = bound_XH[TREND_OVER, h] + cpu_trend * per, bound_XH[BLOCKS_OVER, h] + cpu * per
        c = bound_XH[TREND_OVER + 1, h] + storage_trend * other_per
        d = bound_XH[BLOCKS_OVER + 1, h] + storage * other_per
        trends = (a if a > 0.0 else 0.0) + (c if c > 0.0 else 0.0)
        blocks = (b if b > 0.0 else 0.0) + (d if d > 0.0 else 0.0)
        node = bound_XH[NODE, h] + 0.5 * (cpu_trend * per + needed_gib * bound_XH[PER_MEMORY, h])
        least = node + EXCESS_WEIGHT * (TREND_WEIGHT * trends + BLOCKS * BLOCK_WEIGHT * blocks - ROUNDING)
        fits = (used_XH[0, h] + needed_cpu <= limit_RH[0, h]) & (used_XH[1, h] + needed_gib <= limit_RH[1, h])
        fits = fits & (used_XH[2, h] + needed_storage <= limit_RH[2, h]) & is_open_H[h]
        badness_H[h] = least if fits else np.inf


@inlined
def go_on(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int, f: int) -> None:
    """Finds the next best target of a row, -1 where there is none left."""
    if f == RELIEF_FAMILY:
        _go_on_by_badness(fixed, now, plan, scratch, n)
    elif f == WORTH_FAMILY:
        _go_on_by_worth(fixed, now, plan, scratch, n)
    else:
        _go_on_by_score(fixed, now, plan, scratch, n)


@inlined
def _go_on_by_badness(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int) -> None:
    """The lowest bound is worked out until that changes nothing; infinite is what is taken or what the rules forbid."""
    m, badness_H, best, target = scratch.ranks.row_L[n], scratch.ranks.badness_LH[n], np.inf, -1
    while True:
        h = first_lowest(badness_H)
        if h < 0 or h == target:
            break
        if not may_go(fixed, now, plan, scratch, m, h):
            badness_H[h] = np.inf
            continue
        badness_H[h] = badness(fixed, now, plan, m, h)
        if badness_H[h] < best or (badness_H[h] == best and h < target):
            best, target = badness_H[h], h
    scratch.ranks.target_L[n], scratch.ranks.last_L[n] = target, best
    if target >= 0:
        badness_H[target] = np.inf


@inlined
def _go_on_by_score(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int) -> None:
    """The target with the lowest node score behind the last one."""
    m, last, behind, best, target = (
        scratch.ranks.row_L[n],
        scratch.ranks.last_L[n],
        scratch.ranks.target_L[n],
        np.inf,
        -1,
    )
    order_H, least_H, added = scratch.ranks.host_order_H, scratch.least_H, -np.inf
    if now.figure_X[LEAST_DEMAND] >= 0:
        added = 0.5 * (
            now.demand_MJB[m, 0, TREND] * fixed.least_per_core + now.demand_MR[m, MEMORY] * fixed.least_per_gib
        )
    for k in range(order_H.size):
        h = order_H[k]
        if least_H[h] + added > best:
            break
        if h == behind or not may_go(fixed, now, plan, scratch, m, h):
            continue
        score = node_score(fixed, now, plan, m, h)
        if (score > last or (score == last and h > behind)) and (score < best or (score == best and h < target)):
            best, target = score, h
    scratch.ranks.target_L[n], scratch.ranks.last_L[n] = target, best


@inlined
def _begin_worth(now: RoundArrays, scratch: Scratch, n: int) -> None:
    """Nothing is known of any host; the peaks of the movable tell later which one is not strained by it."""
    scratch.ranks.ahead_L[n] = 0
    for h in range(scratch.ranks.badness_LH.shape[1]):
        scratch.ranks.badness_LH[n, h] = np.inf
    for j in range(2):
        peak = -np.inf
        for b in range(1, 1 + BLOCKS):
            peak = max(peak, now.demand_MJB[scratch.ranks.row_L[n], j, b])
        scratch.ranks.peak_LJ[n, j] = peak


@inlined
def _go_on_by_worth(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int) -> None:
    """No target wins more than the leaving: the first that wins as much is taken at once."""
    m, badness_H = scratch.ranks.row_L[n], scratch.ranks.badness_LH[n]
    least = -scratch.ranks.worth_L[n] if now.figure_X[LEAST_DEMAND] >= 0 else -np.inf
    for h in range(scratch.ranks.ahead_L[n], badness_H.size):
        if may_go(fixed, now, plan, scratch, m, h):
            badness_H[h] = loss(fixed, now, plan, scratch, n, h)
            if badness_H[h] <= least:
                scratch.ranks.ahead_L[n], scratch.ranks.target_L[n], scratch.ranks.last_L[n] = h + 1, h, badness_H[h]
                badness_H[h] = np.inf
                return
    scratch.ranks.ahead_L[n] = badness_H.size
    h = first_lowest(badness_H)
    scratch.ranks.target_L[n], scratch.ranks.last_L[n] = h, np.inf
    if h >= 0:
        scratch.ranks.last_L[n] = badness_H[h]
        badness_H[h] = np.inf
