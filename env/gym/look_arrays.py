"""A look at a cluster as plain arrays, for the kernels of shortlist and features.

Three tuples of arrays by what changes them: `LookArrays` of the inventory (nothing does), `RoundArrays` of one look
(moves do not), `PlanArrays` of the plan so far (every move does); and `Scratch`, what the kernels remember between two
calls. All have the same types whatever the cluster, so that one compiled loop can go through many clusters.

Shapes besides those of `cluster.py` and `view.py` (J, B): F failures to survive, N hosts of one failure, G GPUs, C vGPU
profiles, L rows of the shortlist, Q movables that room is made for.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..model.cluster import CPU, MEMORY, STORAGE, Array, BoolArray, IntArray, Inventory, read_only
from ..world.migration import WorldSettings
from ..world.price import pricing_of
from .inventory_arrays import gpu_arrays, own, reservation_arrays, rule_arrays
from .rank_arrays import Ranks, new_ranks

DEMAND_RESOURCES = [CPU, STORAGE]  # axis J
BLOCKS = 12  # of the last hour
BLOCK_MINUTES = 5  # traces have 5-minute samples, so shorter blocks would say nothing more
TREND = 0  # scenario of the trend estimate; the blocks follow, newest last
TREND_WEIGHT = 0.5  # of the trend against the whole hour; assumed, the demand of the next hour lies between the two
BLOCK_WEIGHT = (1 - TREND_WEIGHT) / BLOCKS
WEIGHT_B = read_only([TREND_WEIGHT] + [BLOCK_WEIGHT] * BLOCKS)

NEAR = 0.9  # of a threshold: while no host is above it in any scenario, the round is quiet; assumed
RELIEF_LEVEL = 0.7  # of a threshold: what lies above it is worth taking away, as demand may grow
RELIEF_ROWS, COVER_ROWS, WORTH_ROWS, ROOM_ROWS = 48, 32, 12, 16  # movables of each family (see `families.py`)
RELIEF_SHARE, COVER_SHARE, WORTH_SHARE, ROOM_SHARE = 0.8, 0.8, 0.4, 0.4  # of the slots, how often their turn comes
ROW_STEP, COVER_STEP, ROOM_STEP = 0.08, 0.15, 0.2  # how many target ranks one rank of a movable counts
FAMILY_ROWS = (RELIEF_ROWS, COVER_ROWS, WORTH_ROWS, ROOM_ROWS)
FAMILY_STEPS = (ROW_STEP, COVER_STEP, 0.0, ROOM_STEP)  # worth ranks pairs, not movables and targets
HOT_ROWS = 16  # movables that room is made for
COST_SHARE, COVER_COST_SHARE = 0.2, 0.02  # of the mean migration cost is added to each: a move is never for nothing
EXCESS_WEIGHT = 10.0  # of excess against utilization, where targets are ranked
# The best of some dozens of variants on validation days of Bitbrains; `quell bench recall` measures what they hold.

HA_FREE, HA_KNOWN, HA_ASK = 0, 1, 3
"""Whether R7 binds the plan: no; yes, and the slack is known; only the search (`availability.py`) can tell."""

MOVES, HA, IS_SLACK_STALE = 0, 1, 2  # of `PlanArrays.number_X`
MEAN_COST, MINUTE, WAITING, LEAST_DEMAND, SWAPPED = 0, 1, 2, 3, 4  # of `RoundArrays.figure_X`
EXCESS_BEFORE = 5  # of CPU and storage, cores, before the plan; NaN where that has not been worked out
TREND_ROW = 3  # of `Scratch.used_XH`, behind the resources
LOG_RATIO, LOG_PRICE, SLOPE, STD = 0, 1, 2, 3  # of `RoundArrays.own_M4`
BOUND_ROWS = 8  # of `Scratch.bound_XH`
LANES = 16  # of `Scratch.lane_X`
LANE_ROWS = 1 + BLOCKS + 7  # see `lane_kernels.py`, as for `Scratch.sum_X`


class LookArrays(NamedTuple):
    """What the inventory says; kernels never change it."""

    vm_count: int
    is_guaranteed: bool
    has_overcommit: bool
    must_pack_gpus: bool  # VMs with a vGPU would have to restart: the search must find where
    trend_minutes: int
    rule_count: int  # A
    session_cost_gib: float
    mean_host_gib: float
    mean_host_cores: float
    threshold_J: Array  # utilization
    capacity_HR: Array
    limit_HR: Array
    threshold_HJ: Array  # cores
    mean_threshold_J: Array
    limit_RH: Array
    least_per_core: float  # of a host with the most cores
    least_per_gib: float
    order_FP: IntArray  # rows of each family in the order of their turns: by rank of the target and of the row
    running_count: int  # VMs that are on
    is_up_H: BoolArray
    is_maintenance_H: BoolArray
    is_allowed_MH: BoolArray  # R3
    is_open_MH: BoolArray  # R3, and the host is up
    is_open_everywhere_M: BoolArray
    is_on_M: BoolArray
    is_restarted_M: BoolArray  # after a failure of its host
    choices_M: IntArray  # hosts that R3 allows
    is_overcommit_M: BoolArray
    first_anti_M: IntArray  # (M + 1,): its rules in `anti_rule`
    anti_rule: IntArray
    first_affinity: IntArray  # rules + 1: their VMs in `affinity_member`
    affinity_member: IntArray
    tied: IntArray  # all of these, each once, ascending
    alike_M: IntArray  # see `clumps.alike`
    profile_M: IntArray
    has_rules_M: BoolArray  # whether R4 or R6 binds it
    vgpu_gib_M: Array
    gpu_gib_H: Array
    first_gpu_H: IntArray  # (H + 1,): its GPUs in `slots_GC`
    slots_GC: IntArray
    profile_gib_C: Array
    failed_FN: IntArray
    failed_FH: BoolArray
    pricing: Array


class RoundArrays(NamedTuple):
    """What one look shows; moves do not change it. The demand of a clump is its lead's (see `clumps.py`)."""

    demand_MR: Array
    demand_MJB: Array
    lead_M: IntArray  # who stands for each, itself as a rule
    next_M: IntArray  # who moves behind each lead, and so on; -1 ends it
    cost_M: Array
    root_M: Array  # what a gain is divided by, where movables are ranked
    price_M: Array  # core-minutes; that of a clump is its VMs' together
    is_free_M: BoolArray
    home_M: IntArray  # host before the plan
    before_HJB: Array  # demand on each host before the plan
    swap_M: Array
    restart_order_M: IntArray  # most constrained first; behind those that restart, -1
    figure_X: Array
    own_M4: Array  # features of movables; NaN in the first column where they have not been worked out


class PlanArrays(NamedTuple):
    """Where the plan so far puts everything."""

    host_of_M: IntArray
    used_HR: Array
    used_HJB: Array
    members_HA: IntArray
    profiles_HC: IntArray  # vGPUs in use
    running_H: IntArray  # movables that are on
    moved_gib: Array  # (1,)
    number_X: IntArray
    is_stale_H: BoolArray  # for `Scratch`


class Scratch(NamedTuple):
    """What kernels remember; hosts are looked at anew only where a move has changed them."""

    excess_HJ: Array  # weighted, above `RELIEF_LEVEL`, in thresholds
    is_near_H: BoolArray
    is_over_H: BoolArray  # by the trend, or in a way that all must leave
    is_left_H: BoolArray  # whether leaving it may bring something
    trend_HJ: Array  # pressure
    high_HJ: Array
    peak_HJ: Array  # highest block, cores
    over_HJ: Array  # weighted, above 1
    slope_H: Array  # of CPU
    std_H: Array
    strain_H: Array  # overload and unserved demand, mean of the blocks, cores
    used_XH: Array  # `PlanArrays.used_HR` and the trend of CPU, resource by resource
    least_H: Array  # what the node score with any movable is at least
    bound_XH: Array  # what badness is made of at least; see `host_kernels.py`
    shared_H: Array  # what overcommit VMs need, GiB
    swapped_H: Array  # GiB, once memory is shared anew
    slack_FH: Array
    headroom_H: Array
    is_unranked_H: BoolArray  # whether a move has changed it since movables were ranked last
    slot_of_M: IntArray  # slot whose features show the source side of the movable
    net_M: Array  # excess that its leaving takes off, in mean host thresholds
    strain_M: Array  # overload and unserved demand that it takes off, mean of the blocks, cores
    job_P: IntArray  # slots whose features are worked out side by side
    lane_X: Array  # room for that, resource after resource
    sum_X: Array  # room for sums
    room_H: Array  # room for sums, host by host
    ranks: Ranks


@lru_cache(maxsize=64)
def look_arrays(inventory: Inventory) -> LookArrays:
    """What the kernels need of an inventory; made once for each."""
    settings = inventory.settings
    thresholds_J = np.array([settings.cpu_threshold, settings.storage_cpu_threshold])
    threshold_HJ = inventory.capacity_HR[:, DEMAND_RESOURCES] * thresholds_J
    is_overcommit_M = np.concatenate([inventory.is_overcommit_V, np.zeros(len(inventory.sessions), dtype=np.bool_)])
    rules, gpus = rule_arrays(inventory), gpu_arrays(inventory)
    return LookArrays(
        vm_count=inventory.vm_count,
        has_overcommit=bool(is_overcommit_M.any()),
        trend_minutes=max(1, math.ceil(settings.trend_window_seconds / 60)),
        session_cost_gib=float(settings.session_move_cost_gib),
        mean_host_gib=float(inventory.capacity_HR[:, MEMORY].mean()),
        mean_host_cores=float(inventory.capacity_HR[:, CPU].mean()),
        threshold_J=thresholds_J,
        capacity_HR=own(inventory.capacity_HR),
        limit_HR=own(inventory.limit_HR),
        threshold_HJ=threshold_HJ,
        mean_threshold_J=threshold_HJ.mean(axis=0),
        limit_RH=own(inventory.limit_HR.T),
        least_per_core=float(1 / inventory.capacity_HR[:, CPU].max(initial=1.0)),
        least_per_gib=float(1 / inventory.capacity_HR[:, MEMORY].max(initial=1.0)),
        order_FP=_turns(inventory.host_count),
        running_count=int(np.count_nonzero(inventory.is_on_M[: inventory.vm_count])),
        is_up_H=own(inventory.is_up_H),
        is_maintenance_H=own(inventory.is_maintenance_H),
        is_allowed_MH=own(inventory.is_allowed_MH),
        is_open_MH=own(inventory.is_allowed_MH & inventory.is_up_H),
        is_open_everywhere_M=own(np.asarray((inventory.is_allowed_MH & inventory.is_up_H).all(axis=1))),
        is_on_M=own(inventory.is_on_M),
        choices_M=inventory.is_allowed_MH.sum(axis=1, dtype=np.int64),
        is_overcommit_M=is_overcommit_M,
        **rules,
        **gpus,
        has_rules_M=np.asarray((np.diff(rules["first_anti_M"]) > 0) | (gpus["profile_M"] >= 0)),
        **reservation_arrays(inventory),
        pricing=pricing_of(WorldSettings()),  # its measured constants
    )


@lru_cache(maxsize=64)
def _turns(H: int) -> IntArray:
    """The rows of each family, every one as often as there are hosts, in the order of their turns; shape (F, P)."""
    order_FP = np.zeros((len(FAMILY_ROWS), max(FAMILY_ROWS) * H), dtype=np.int64)
    for f, (rows, step) in enumerate(zip(FAMILY_ROWS, FAMILY_STEPS, strict=True)):
        due_NH = np.arange(H) * 1.0 + (step * np.arange(rows))[:, None]
        order_FP[f, : rows * H] = np.argsort(due_NH, axis=None, kind="stable") // max(H, 1)
    return order_FP


def new_round(fixed: LookArrays) -> tuple[RoundArrays, PlanArrays, Scratch]:
    """Buffers for looks at one cluster; the kernels fill them."""
    M, H = fixed.is_allowed_MH.shape
    now = RoundArrays(
        demand_MR=np.zeros((M, 3)),
        demand_MJB=np.zeros((M, 2, 1 + BLOCKS)),
        lead_M=np.arange(M),
        next_M=np.full(M, -1),
        cost_M=np.zeros(M),
        root_M=np.ones(M),
        price_M=np.zeros(M),
        is_free_M=np.zeros(M, dtype=np.bool_),
        home_M=np.full(M, -1),
        before_HJB=np.zeros((H, 2, 1 + BLOCKS)),
        swap_M=np.zeros(M),
        restart_order_M=np.full(M, -1, dtype=np.int64),
        figure_X=np.zeros(7),
        own_M4=np.full((M, 4), np.nan),
    )
    return now, new_plan(fixed), _new_scratch(fixed)


def new_plan(fixed: LookArrays) -> PlanArrays:
    """Buffers for one plan."""
    M, H = fixed.is_allowed_MH.shape
    return PlanArrays(
        host_of_M=np.full(M, -1),
        used_HR=np.zeros(fixed.capacity_HR.shape),
        used_HJB=np.zeros((H, 2, 1 + BLOCKS)),
        members_HA=np.zeros((H, fixed.rule_count), dtype=np.int64),
        profiles_HC=np.zeros((H, fixed.slots_GC.shape[1]), dtype=np.int64),
        running_H=np.zeros(H, dtype=np.int64),
        moved_gib=np.zeros(1),
        number_X=np.zeros(3, dtype=np.int64),
        is_stale_H=np.ones(H, dtype=np.bool_),
    )


def _new_scratch(fixed: LookArrays) -> Scratch:
    """Buffers for the kernels' own use."""
    M, H = fixed.is_allowed_MH.shape
    integers = {"slot_of_M": M, "job_P": LANES}
    claims = {"is_near_H": H, "is_over_H": H, "is_left_H": H, "is_unranked_H": H}
    shapes: dict[str, Any] = {
        **dict.fromkeys(("excess_HJ", "trend_HJ", "high_HJ", "peak_HJ", "over_HJ"), (H, 2)),
        **dict.fromkeys(
            ("slope_H", "std_H", "strain_H", "shared_H", "swapped_H", "headroom_H", "least_H", "room_H"), H
        ),
        **dict.fromkeys(("net_M", "strain_M"), M),
        "used_XH": (TREND_ROW + 1, H),
        "bound_XH": (BOUND_ROWS, H),
        "slack_FH": fixed.failed_FH.shape,
        "lane_X": LANE_ROWS * LANES,
        "sum_X": 8 * LANES,
    }
    made: dict[str, npt.NDArray[Any]] = {name: np.zeros(shape) for name, shape in shapes.items()}
    made |= {name: np.zeros(size, dtype=np.int64) for name, size in integers.items()}
    made |= {name: np.ones(size, dtype=np.bool_) for name, size in claims.items()}
    return Scratch(ranks=new_ranks(M, H, len(FAMILY_ROWS), sum(FAMILY_ROWS), HOT_ROWS, ROOM_ROWS), **made)
