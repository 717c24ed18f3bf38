"""Rows of the shortlist in numba: a movable and its targets, in the order of their badness.

Most rows are asked for one or two targets, so a row is not sorted: the lowest entry is looked for each time, and
entries are only bounds until they are the lowest. Every loop over hosts is one that compiles to vector instructions.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, STORAGE, Array
from ..model.compiled import inlined
from .family_kernels import badness, loss, node_score
from .host_kernels import BLOCKS_OVER, PER_CPU, PER_MEMORY, PER_THRESHOLD, TREND_OVER
from .look_arrays import (
    BLOCK_WEIGHT,
    BLOCKS,
    EXCESS_WEIGHT,
    HA,
    HA_KNOWN,
    LEAST_DEMAND,
    TREND,
    TREND_ROW,
    TREND_WEIGHT,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .lowest_kernels import first_lowest
from .rank_kernels import RELIEF_FAMILY, WORTH_FAMILY
from .reserve_kernels import keeps_reservation
from .rule_kernels import finds_gpu

ROUNDING = 1e-9  # more than rounding can make of a badness; bounds stay below what they bound


@inlined
def weigh(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int, f: int) -> None:
    """Says of every target how bad it is at least for a row of family f, infinite where the rules forbid it."""
    m, badness_H, used_XH, limit_RH = scratch.row_L[n], scratch.badness_LH[n], scratch.used_XH, fixed.limit_RH
    cpu, memory, storage = now.demand_MR[m, CPU], now.demand_MR[m, MEMORY], now.demand_MR[m, STORAGE]
    is_open_H = fixed.is_open_MH[m]
    if f == WORTH_FAMILY:
        _bound_worth(now, scratch, n)
    else:
        _bound_badness(now, scratch, m, badness_H, PER_THRESHOLD if f == RELIEF_FAMILY else PER_CPU)
        if f == RELIEF_FAMILY:
            _bound_excess(now, scratch, m, badness_H)
    for h in range(badness_H.size):
        fits = (used_XH[0, h] + cpu <= limit_RH[0, h]) & (used_XH[1, h] + memory <= limit_RH[1, h])
        fits = fits & (used_XH[2, h] + storage <= limit_RH[2, h]) & is_open_H[h]
        badness_H[h] = badness_H[h] if fits else np.inf
    scratch.is_exact_LH[n] = False
    if plan.host_of_M[m] != NOWHERE:
        badness_H[plan.host_of_M[m]] = np.inf
    for i in range(fixed.first_anti_M[m], fixed.first_anti_M[m + 1]):
        for h in range(badness_H.size):
            if plan.members_HA[h, fixed.anti_rule[i]] > 0:
                badness_H[h] = np.inf
    if fixed.profile_M[m] >= 0 or plan.number_X[HA] == HA_KNOWN:
        _bar(fixed, now, plan, scratch, m, badness_H)


@inlined
def _bound_badness(now: RoundArrays, scratch: Scratch, m: int, badness_H: Array, per: int) -> None:
    """The mean of CPU and memory with m, but for rounding."""
    trend, memory = now.demand_MJB[m, 0, TREND], now.demand_MR[m, MEMORY]
    used_XH, bound_XH = scratch.used_XH, scratch.bound_XH
    for h in range(badness_H.size):
        both = (used_XH[TREND_ROW, h] + trend) * bound_XH[per, h] + (used_XH[1, h] + memory) * bound_XH[PER_MEMORY, h]
        badness_H[h] = 0.5 * both - ROUNDING


@inlined
def _bound_excess(now: RoundArrays, scratch: Scratch, m: int, badness_H: Array) -> None:
    """Adds what the excess is at least: the blocks exceed the level by no less on average than their mean does."""
    bound_XH = scratch.bound_XH
    for j in range(2):
        trend, blocks = now.demand_MJB[m, j, TREND], 0.0
        for b in range(1, 1 + BLOCKS):
            blocks += now.demand_MJB[m, j, b]
        blocks /= BLOCKS
        for h in range(badness_H.size):
            one = bound_XH[TREND_OVER + j, h] + trend * bound_XH[PER_THRESHOLD + j, h]
            other = bound_XH[BLOCKS_OVER + j, h] + blocks * bound_XH[PER_THRESHOLD + j, h]
            excess = TREND_WEIGHT * (one if one > 0.0 else 0.0) + BLOCK_WEIGHT * BLOCKS * (
                other if other > 0.0 else 0.0
            )
            badness_H[h] += EXCESS_WEIGHT * excess - ROUNDING


@inlined
def _bound_worth(now: RoundArrays, scratch: Scratch, n: int) -> None:
    """No target wins more than the leaving; the peaks of the movable tell later which target is not strained by it."""
    m = scratch.row_L[n]
    scratch.badness_LH[n] = -scratch.worth_L[n] if now.figure_X[LEAST_DEMAND] >= 0 else -np.inf
    for j in range(2):
        peak = -np.inf
        for b in range(1, 1 + BLOCKS):
            peak = max(peak, now.demand_MJB[m, j, b])
        scratch.peak_LJ[n, j] = peak


@inlined
def _bar(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int, badness_H: Array) -> None:
    """Takes out the targets that R6 or R7 forbids."""
    for h in range(badness_H.size):
        if badness_H[h] == np.inf:
            continue
        is_kept = plan.number_X[HA] != HA_KNOWN or keeps_reservation(fixed, now, plan, scratch, m, h)
        if not is_kept or (fixed.profile_M[m] >= 0 and not finds_gpu(fixed, plan, m, h)):
            badness_H[h] = np.inf


@inlined
def go_on(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int, f: int) -> None:
    """Finds the next best target of a row, -1 where there is none left, and takes it out of the row."""
    badness_H, is_exact_H = scratch.badness_LH[n], scratch.is_exact_LH[n]
    while True:
        h = first_lowest(badness_H)
        if h < 0 or is_exact_H[h]:
            break
        if f == WORTH_FAMILY:
            badness_H[h] = loss(fixed, now, plan, scratch, n, h)
        elif f == RELIEF_FAMILY:
            badness_H[h] = badness(fixed, now, plan, scratch.row_L[n], h)
        else:
            badness_H[h] = node_score(fixed, now, plan, scratch.row_L[n], h)
        is_exact_H[h] = True
    scratch.target_L[n], scratch.last_L[n] = h, np.inf
    if h >= 0:
        scratch.last_L[n] = badness_H[h]
        badness_H[h] = np.inf
