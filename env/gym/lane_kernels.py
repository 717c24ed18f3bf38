"""Hosts with a movable or without it, sixteen at a time, in numba: what `figures_with` says of each.

Sums and quantiles over the blocks of one host wait for one another; those of many hosts need not. So the blocks of
sixteen are laid side by side (`Scratch.lane_X`), and every line here works on all of them by vector instructions.
"""

from __future__ import annotations

import numpy as np

from ..model.compiled import inlined
from .look_arrays import BLOCK_WEIGHT, BLOCKS, LANES, TREND, TREND_WEIGHT, LookArrays, PlanArrays, RoundArrays, Scratch

_BEHIND = (1 + BLOCKS) * LANES
FIRST, SECOND, THIRD = _BEHIND, _BEHIND + LANES, _BEHIND + 2 * LANES
OVER, UNSERVED = _BEHIND + 3 * LANES, _BEHIND + 4 * LANES
THRESHOLD, CAPACITY = _BEHIND + 5 * LANES, _BEHIND + 6 * LANES
WEIGHTED, STRAIN, HIGH, PEAK = OVER, UNSERVED, THIRD, FIRST  # what they become in the end
"""Rows of `Scratch.lane_X` behind the blocks, by where they begin."""


@inlined
def fill_lane(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    lane: int,
    m: int,
    h: int,
    j: int,
    sign: float,
) -> None:
    """Puts the demand on a host with m (sign 1) or without it (-1) into a lane."""
    used_B, own_B, lane_X = plan.used_HJB[h, j], now.demand_MJB[m, j], scratch.lane_X
    for b in range(1 + BLOCKS):
        lane_X[b * LANES + lane] = used_B[b] + sign * own_B[b]
    lane_X[THRESHOLD + lane], lane_X[CAPACITY + lane] = fixed.threshold_HJ[h, j], fixed.capacity_HR[h, 2 * j]


@inlined
def work_lanes(lane_X: np.ndarray) -> None:
    """Works out `HIGH`, `PEAK`, `WEIGHTED` and `STRAIN` of all lanes, also of those that nothing was put into."""
    for i in range(LANES):
        lane_X[FIRST + i] = lane_X[SECOND + i] = lane_X[THIRD + i] = -np.inf
        lane_X[OVER + i] = lane_X[UNSERVED + i] = 0.0
    for b in range(1, 1 + BLOCKS):
        for i in range(LANES):
            x, first, second, third = lane_X[b * LANES + i], lane_X[FIRST + i], lane_X[SECOND + i], lane_X[THIRD + i]
            over, unserved = x - lane_X[THRESHOLD + i], x - lane_X[CAPACITY + i]
            lane_X[OVER + i] += over if over > 0.0 else 0.0
            lane_X[UNSERVED + i] += unserved if unserved > 0.0 else 0.0
            low = x if x < first else first
            lane_X[FIRST + i] = x if x > first else first
            lower = low if low < second else second
            lane_X[SECOND + i] = low if low > second else second
            lane_X[THIRD + i] = lower if lower > third else third
    for i in range(LANES):
        over, trend = lane_X[OVER + i], lane_X[TREND * LANES + i] - lane_X[THRESHOLD + i]
        lane_X[STRAIN + i] = (over + lane_X[UNSERVED + i]) / BLOCKS
        lane_X[WEIGHTED + i] = TREND_WEIGHT * (trend if trend > 0.0 else 0.0) + BLOCK_WEIGHT * over
