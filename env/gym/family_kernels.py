"""What the families of a shortlist rank by, in numba; twins and theory in `families.py`."""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, TOLERANCE
from ..model.compiled import inlined
from .host_kernels import excess_with, must_leave
from .look_arrays import (
    BLOCKS,
    COVER_COST_SHARE,
    EXCESS_WEIGHT,
    MEAN_COST,
    RELIEF_LEVEL,
    TREND,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .schema import WORTH_MINUTES


@inlined
def gain_of(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> float:
    """What it brings when m leaves its host: 1 where it must, else the relief, in thresholds of the host."""
    h = plan.host_of_M[m]
    if h == NOWHERE:
        return 0.0
    if must_leave(fixed, now, plan, m):
        return 1.0
    if not fixed.is_up_H[h] or not (scratch.excess_HJ[h, 0] > 0 or scratch.excess_HJ[h, 1] > 0):
        return 0.0
    gain = 0.0
    for j in range(2):
        if scratch.excess_HJ[h, j] > 0:
            cores = fixed.threshold_HJ[h, j]
            left = excess_with(plan.used_HJB[h, j], now.demand_MJB[m, j], -1.0, RELIEF_LEVEL * cores) / cores
            gain += scratch.excess_HJ[h, j] - left
    return gain


@inlined
def cover_of(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int) -> float:
    """Share of the contention of its host that m resolves by leaving; 1 where it must leave."""
    h = plan.host_of_M[m]
    if h == NOWHERE:
        return 0.0
    if must_leave(fixed, now, plan, m):
        return 1.0
    cover = 0.0
    for j in range(2):
        over = plan.used_HJB[h, j, TREND] - fixed.threshold_HJ[h, j]
        if over > TOLERANCE and fixed.is_up_H[h]:
            cover += min(now.demand_MJB[m, j, TREND], over) / over
    return cover


@inlined
def cover_density(now: RoundArrays, m: int, cover: float) -> float:
    """What m resolves for each GiB."""
    return cover / (now.cost_M[m] + COVER_COST_SHARE * now.figure_X[MEAN_COST] + TOLERANCE)


@inlined
def most_of(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, m: int) -> float:
    """What the leaving of m alone wins by the outlook, net of its price, cores."""
    h = plan.host_of_M[m]
    if not scratch.strain_H[h] > 0:
        return 0.0
    without = _strain_with(fixed, now, plan, m, h, -1.0)
    return scratch.strain_H[h] - without - now.price_M[m] / WORTH_MINUTES


@inlined
def badness(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int, h: int) -> float:
    """How ill a host would bear a movable: the excess it would have, then CPU and memory; `target_badness`."""
    cpu = (plan.used_HJB[h, 0, TREND] + now.demand_MJB[m, 0, TREND]) / fixed.threshold_HJ[h, 0]
    memory = (plan.used_HR[h, MEMORY] + now.demand_MR[m, MEMORY]) / fixed.capacity_HR[h, MEMORY]
    excess = 0.0
    for j in range(2):
        cores = fixed.threshold_HJ[h, j]
        excess += excess_with(plan.used_HJB[h, j], now.demand_MJB[m, j], 1.0, RELIEF_LEVEL * cores) / cores
    return (cpu + memory) / 2 + EXCESS_WEIGHT * excess


@inlined
def node_score(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int, h: int) -> float:
    """Mean of CPU and memory utilization with m; `node_score_NH`."""
    cpu = (plan.used_HJB[h, 0, TREND] + now.demand_MJB[m, 0, TREND]) / fixed.capacity_HR[h, CPU]
    memory = (plan.used_HR[h, MEMORY] + now.demand_MR[m, MEMORY]) / fixed.capacity_HR[h, MEMORY]
    return (cpu + memory) / 2


@inlined
def loss(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, scratch: Scratch, n: int, h: int) -> float:
    """What a move of row n wins by the outlook, net of its price, with its sign changed; infinite if it wins nothing.

    A host whose peak leaves room for that of the movable is not strained by it.
    """
    strain, m = 0.0, scratch.ranks.row_L[n]
    for j in range(2):
        if scratch.peak_HJ[h, j] + scratch.ranks.peak_LJ[n, j] > fixed.threshold_HJ[h, j]:
            strain = np.nan
    if np.isnan(strain):
        strain = _strain_with(fixed, now, plan, m, h, 1.0)
    net = scratch.ranks.worth_L[n] - (strain - scratch.strain_H[h])
    return -net if net > 0 else np.inf


@inlined
def _strain_with(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int, h: int, sign: float) -> float:
    """Overload and unserved demand of a host with m or without it, mean of the blocks, cores; `families.strain`."""
    strain = 0.0
    for j in range(2):
        used_B, more_B = plan.used_HJB[h, j], now.demand_MJB[m, j]
        threshold, capacity = fixed.threshold_HJ[h, j], fixed.capacity_HR[h, 2 * j]
        over, unserved = 0.0, 0.0
        for b in range(1, 1 + BLOCKS):
            x = used_B[b] + sign * more_B[b]
            over += x - threshold if x > threshold else 0.0
            unserved += x - capacity if x > capacity else 0.0
        strain += (over + unserved) / BLOCKS
    return strain
