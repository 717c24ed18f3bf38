"""What a policy sees: F numbers for every candidate move, C for the cluster; all scale-free, finite and clipped.

CPU and storage are given as *pressure*: demand / (threshold x capacity), so 1 is the threshold, whatever the settings.
Memory is memory needed / memory. Everything else is a share, a ratio or the logarithm of one, so one network serves
clusters of every size. Raise the version of `SCHEMA` whenever a feature keeps its name and changes its meaning.

Shapes: N candidates that are not empty, S = K + 1 slots with stop, F and C features, D the four sides (source before
and after the move, target before and after); J, B as in `view.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model.cluster import CPU, MEMORY, Array, IntArray
from ..model.contention import unevacuated_H, unresolved_H
from .feature_kernels import features_into
from .host_kernels import LATE_BLOCKS
from .look_arrays import BLOCKS, DEMAND_RESOURCES, IS_SLACK_STALE, TREND, WEIGHT_B
from .scarcity import scarcity_of_cluster, scarcity_of_moves
from .schema import CANDIDATE, CONTEXT, LEAST_RATIO, LIMIT, ROUND_SECONDS, STOP_PAIRS, WORTH_MINUTES, FeatureSchema
from .shortlist import Kind, Shortlist
from .view import WORLD, PlanView

Float32Array = npt.NDArray[np.float32]

SCHEMA = FeatureSchema(version="4", candidate=CANDIDATE, context=CONTEXT)

HIGH_BLOCK = int(0.8 * BLOCKS)  # of the sorted blocks of an hour: the 80 % quantile


def features(view: PlanView, listed: Shortlist) -> tuple[Float32Array, Float32Array]:
    """What the policy sees before its next choice.

    Args:
        view: the cluster after the moves chosen so far.
        listed: its shortlist.

    Returns:
        the features of stop and of each candidate, 0 in empty slots, shape (K + 1, F); those of the cluster, shape
        (C,); all within +-`LIMIT`.
    """
    look, arrays = view.round.look, view.arrays
    arrays.is_stale_H[:], arrays.number_X[IS_SLACK_STALE] = True, 1  # another view may have used the scratch arrays
    candidates_SF = np.empty((listed.mask_S.size, len(CANDIDATE)), dtype=np.float32)
    context_C = np.empty(len(CONTEXT), dtype=np.float32)
    slots = (listed.movable_K, listed.target_K, listed.kind_K, listed.mask_S)
    is_told = features_into(look.fixed, look.now, arrays, look.scratch, *slots, candidates_SF, context_C)
    return (candidates_SF, context_C) if is_told else reference_features(view, listed)


def reference_features(view: PlanView, listed: Shortlist) -> tuple[Float32Array, Float32Array]:
    """The same without kernels; it also knows the answer where these cannot tell (see `look_kernels.py`)."""
    filled = np.flatnonzero(listed.mask_S[1:])
    movable_N, target_N = listed.movable_K[filled], listed.target_K[filled]
    worth_N = worth_of_moves(view, movable_N, target_N)[2]
    share_of_slots = filled.size / max(1, listed.mask_S.size - 1)
    context_C = context_features(view, share_of_slots, float(worth_N.max()) if filled.size else 0.0)
    candidates_SF = np.zeros((listed.mask_S.size, len(CANDIDATE)), dtype=np.float32)
    candidates_SF[0] = _bounded(stop_features(context_C))
    if filled.size:
        candidates_SF[1 + filled] = _bounded(move_features(view, movable_N, target_N, listed.kind_K[filled]))
    return candidates_SF, _bounded(context_C)


def move_features(view: PlanView, movable_N: IntArray, target_N: IntArray, kind_N: IntArray) -> Array:
    """Features of moves, not yet clipped; shape (N, F)."""
    fixed = view.round
    source_N = view.state.host_of_M[movable_N]
    own_NJB = fixed.demand_MJB[movable_N] / fixed.threshold_HJ[source_N][:, :, None]
    pressure_DNJB = side_pressures(view, movable_N, source_N, target_N)
    blocks_DNJB = np.sort(pressure_DNJB[..., 1:], axis=-1)
    excess_DNJ = np.maximum(pressure_DNJB - 1.0, 0.0) @ WEIGHT_B
    memory_ND = side_memory(view, movable_N, source_N, target_N)
    slope_N3, std_N3 = trends(np.stack([pressure_DNJB[0, :, 0], pressure_DNJB[2, :, 0], own_NJB[:, 0]], axis=1))
    net_N = net_relief(excess_DNJ, fixed.threshold_HJ, source_N, target_N)
    cost_N = fixed.cost_M[movable_N]
    ratio_N = np.maximum(cost_N / fixed.mean_cost_gib, LEAST_RATIO)
    columns = [
        np.zeros(len(movable_N)),
        kind_N == Kind.RELIEF,
        kind_N == Kind.EVACUATION,
        kind_N == Kind.ROOM,
        movable_N >= fixed.inventory.vm_count,
        *_by_side(pressure_DNJB[..., TREND]),
        *_by_side(blocks_DNJB[..., HIGH_BLOCK]),
        *_by_side(excess_DNJ),
        *memory_ND.T,
        *blocks_DNJB[3, :, :, -1].T,
        *slope_N3.T,
        *std_N3.T,
        *own_NJB[:, :, TREND].T,
        memory_ND[:, 0] - memory_ND[:, 1],
        net_N,
        np.sign(net_N) * np.sqrt(np.abs(net_N) / ratio_N),
        cost_N / fixed.mean_host_gib,
        np.log(ratio_N),
        (WORLD.base_seconds + WORLD.seconds_per_gib * cost_N) / ROUND_SECONDS,
        *scarcity_of_moves(view, movable_N, source_N, target_N).T,
        *squashed(worth_of_moves(view, movable_N, target_N)),
    ]
    return np.stack(columns, axis=1)


def stop_features(context_C: Array) -> Array:
    """Features of stop: its flag, and in the places of the source what the plan so far would leave; shape (F,)."""
    row_F = np.zeros(len(CANDIDATE))
    row_F[0] = 1.0
    for taken, given in STOP_PAIRS:
        row_F[taken] = context_C[given]
    return row_F


def context_features(view: PlanView, share_of_slots: float, best_worth: float) -> Array:
    """Features of the cluster, not yet clipped; pressures and memory are those of its U hosts that are up; shape (C,).

    Args:
        share_of_slots: share of the slots that hold a candidate.
        best_worth: the highest worth of these, host-minutes; 0 if there are none.
    """
    fixed, up = view.round, view.round.up
    hosts = fixed.inventory.host_count
    used_UJB, threshold_UJ = view.used_HJB[up], fixed.threshold_HJ[up]
    trend_UJ = used_UJB[..., TREND] / threshold_UJ
    memory_U = (view.state.used_HR[:, MEMORY] / fixed.inventory.capacity_HR[:, MEMORY])[up]
    trend_J, outlook_J = total_excess(used_UJB, threshold_UJ)
    removed_J = total_excess(fixed.used_HJB[up], threshold_UJ)[1] - outlook_J
    slope_J, _ = trends(used_UJB.sum(axis=0) / threshold_UJ.sum(axis=0)[:, None])
    contended = int(np.count_nonzero(unresolved_H(view.state)))
    moves = len(view.moves)
    angle = 2 * np.pi * (fixed.time.hour * 60 + fixed.time.minute) / 1440
    return np.array(
        [
            contended / hosts,
            contended / (contended + 2),
            *np.stack([trend_UJ.mean(axis=0), trend_UJ.max(axis=0)], axis=1).ravel(),
            memory_U.mean(),
            memory_U.max(),
            *trend_J,
            *outlook_J,
            *removed_J,
            slope_J[0],
            trend_UJ[:, 0].std(),
            np.count_nonzero(unevacuated_H(view.state)) / hosts,
            moves / (moves + 4),
            view.moved_gib / fixed.mean_host_gib,
            share_of_slots,
            np.sin(angle),
            np.cos(angle),
            *scarcity_of_cluster(view),
            squashed(np.array(best_worth)),
        ]
    )


def worth_of_moves(view: PlanView, movable_N: IntArray, target_N: IntArray) -> Array:
    """Relief, price and worth (relief less price) of moves in the hour to come, host-minutes; shape (3, N).

    Relief is overload and unserved demand, CPU and storage, taken off source and target in the mean of the blocks; the
    trend, by which the rules judge, says less of an hour than they do. A host-minute is a minute of the mean CPU
    capacity of a host.
    """
    fixed, capacity_HJ = view.round, view.round.inventory.capacity_HR[:, DEMAND_RESOURCES]
    source_N, demand_NJB = view.state.host_of_M[movable_N], fixed.demand_MJB[movable_N][..., 1:]
    relief_N = np.zeros(len(movable_N))
    for host_N, sign in ((source_N, -1.0), (target_N, 1.0)):
        used_NJB = view.used_HJB[host_N][..., 1:]
        for demand, factor in ((used_NJB, 1.0), (used_NJB + sign * demand_NJB, -1.0)):
            for level_HJ in (fixed.threshold_HJ, capacity_HJ):
                relief_N += factor * np.maximum(demand - level_HJ[host_N][..., None], 0.0).mean(axis=2).sum(axis=1)
    host_cores = float(view.round.inventory.capacity_HR[:, CPU].mean())
    relief_N = WORTH_MINUTES * relief_N / host_cores
    price_N = fixed.price_M[movable_N] / host_cores
    return np.stack([relief_N, price_N, relief_N - price_N])


def squashed(values: Array) -> Array:
    """sign(x) log(1 + |x|): wide ranges within the limits."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def side_pressures(view: PlanView, movable_N: IntArray, source_N: IntArray, target_N: IntArray) -> Array:
    """Pressure on source before and after each move, and on target before and after; shape (4, N, J, B)."""
    demand_NJB = view.round.demand_MJB[movable_N]
    used_DNJB = np.empty((4, *demand_NJB.shape))
    used_DNJB[0] = view.used_HJB[source_N]
    used_DNJB[1] = used_DNJB[0] - demand_NJB
    used_DNJB[2] = view.used_HJB[target_N]
    used_DNJB[3] = used_DNJB[2] + demand_NJB
    host_DN = np.stack([source_N, source_N, target_N, target_N])
    return np.asarray(used_DNJB / view.round.threshold_HJ[host_DN][..., None])


def side_memory(view: PlanView, movable_N: IntArray, source_N: IntArray, target_N: IntArray) -> Array:
    """Memory utilization of source before and after each move, and of target before and after; shape (N, 4)."""
    capacity_H = view.round.inventory.capacity_HR[:, MEMORY]
    used_H, need_N = view.state.used_HR[:, MEMORY], view.state.demand_MR[movable_N, MEMORY]
    source_gib_N, target_gib_N = used_H[source_N], used_H[target_N]
    used_4N = np.stack([source_gib_N, source_gib_N - need_N, target_gib_N, target_gib_N + need_N])
    return np.asarray((used_4N / capacity_H[np.stack([source_N, source_N, target_N, target_N])]).T)


def net_relief(excess_DNJ: Array, threshold_HJ: Array, source_N: IntArray, target_N: IntArray) -> Array:
    """Excess of source and target that each move takes away, CPU and storage, in mean host thresholds; shape (N,)."""
    scale_HJ = threshold_HJ / threshold_HJ.mean(axis=0)
    away_NJ = (excess_DNJ[0] - excess_DNJ[1]) * scale_HJ[source_N]
    added_NJ = (excess_DNJ[3] - excess_DNJ[2]) * scale_HJ[target_N]
    return np.asarray((away_NJ - added_NJ).sum(axis=1))


def total_excess(used_HJB: Array, threshold_HJ: Array) -> tuple[Array, Array]:
    """Demand above the thresholds as a share of them all: by the trend, and over the outlook; each of shape (J,)."""
    over_HJB = np.maximum(used_HJB - threshold_HJ[:, :, None], 0.0)
    share_JB = over_HJB.sum(axis=0) / threshold_HJ.sum(axis=0)[:, None]
    return share_JB[:, TREND], share_JB @ WEIGHT_B


def trends(values_XB: Array) -> tuple[Array, Array]:
    """Slope (last quarter of the hour less the hour) and standard deviation of the blocks; each of shape (X)."""
    blocks_XB = values_XB[..., 1:]
    around_XB = blocks_XB - blocks_XB.sum(axis=-1, keepdims=True) / BLOCKS
    slope_X = around_XB[..., -LATE_BLOCKS:].sum(axis=-1) / LATE_BLOCKS
    return slope_X, np.sqrt((around_XB * around_XB).sum(axis=-1) / BLOCKS)


def _by_side(values_DNJ: Array) -> Array:
    """One row for every side and resource, in the order of `SCHEMA`; shape (8, N)."""
    return np.asarray(values_DNJ.transpose(0, 2, 1).reshape(8, -1))


def _bounded(values: Array) -> Float32Array:
    """The values as float32, clipped to +-`LIMIT`."""
    return np.clip(values, -LIMIT, LIMIT).astype(np.float32)
