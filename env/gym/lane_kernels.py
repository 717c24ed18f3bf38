"""Hosts with a movable or without it, sixteen at a time, in numba: what `figures_with` says of each.

Sums and quantiles over the blocks of one host wait for one another; those of many hosts need not. So the blocks of
sixteen are laid side by side (`Scratch.lane_X`), and every line here works on all of them by vector instructions.
"""

from __future__ import annotations

import numpy as np

from ..model.compiled import inlined
from .log_kernels import squashed
from .look_arrays import BLOCK_WEIGHT, BLOCKS, LANES, TREND, TREND_WEIGHT, LookArrays, PlanArrays, RoundArrays, Scratch
from .schema import WORTH_MINUTES

_BEHIND = (1 + BLOCKS) * LANES
HIGH, PEAK = _BEHIND, _BEHIND + LANES
WEIGHTED, STRAIN = _BEHIND + 3 * LANES, _BEHIND + 4 * LANES
THRESHOLD, CAPACITY = _BEHIND + 5 * LANES, _BEHIND + 6 * LANES
"""Rows of `Scratch.lane_X` behind the blocks, by where they begin."""
NET, RELIEF, RATIO, PRICE = 0, LANES, 2 * LANES, 3 * LANES
ROOT, WORTH, RELIEF_LOG, WORTH_LOG = 4 * LANES, 5 * LANES, 6 * LANES, 7 * LANES
"""Rows of `Scratch.sum_X`."""


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
        first, second, third = -np.inf, -np.inf, -np.inf
        threshold, capacity, over, unserved = lane_X[THRESHOLD + i], lane_X[CAPACITY + i], 0.0, 0.0
        for b in range(1, 1 + BLOCKS):
            x = lane_X[b * LANES + i]
            over += x - threshold if x > threshold else 0.0
            unserved += x - capacity if x > capacity else 0.0
            low = x if x < first else first
            first = x if x > first else first
            lower = low if low < second else second
            second = low if low > second else second
            third = lower if lower > third else third
        trend = lane_X[TREND * LANES + i] - threshold
        lane_X[HIGH + i], lane_X[PEAK + i] = third, first
        lane_X[STRAIN + i] = (over + unserved) / BLOCKS
        lane_X[WEIGHTED + i] = TREND_WEIGHT * (trend if trend > 0.0 else 0.0) + BLOCK_WEIGHT * over


@inlined
def weigh_lanes(sum_X: np.ndarray, mean_host_cores: float) -> None:
    """What the moves of all lanes are worth: fills `ROOT`, `WORTH`, `RELIEF_LOG` and `WORTH_LOG`."""
    for i in range(LANES):
        net = sum_X[NET + i]
        root = np.sqrt(abs(net) / sum_X[RATIO + i])
        sum_X[ROOT + i] = root if net > 0.0 else -root
        relief = WORTH_MINUTES * sum_X[RELIEF + i] / mean_host_cores
        worth = relief - sum_X[PRICE + i] / mean_host_cores
        sum_X[WORTH + i], sum_X[RELIEF_LOG + i], sum_X[WORTH_LOG + i] = worth, squashed(relief), squashed(worth)
