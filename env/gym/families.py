"""The four families of moves that share the slots of a shortlist, each with a ranking of its own, in numpy.

    relief  what takes most off hosts near a threshold for its cost, to where the excess stays least
    cover   what takes most off a contention of now for its GiB, to the host with the lowest node score: what the
            cheapest plan that resolves all of it is made of
    worth   the pairs that win most core-minutes net of their price, should the outlook come true
    room    what leaves a host so that a movable of a hot one can take its place

They take turns by their shares, and a pair that two of them name is listed once. Evacuation is part of the first two.

Shapes: N ranked movables, P pairs; J, B as in `view.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, TOLERANCE, Array, BoolArray, IntArray
from ..model.contention import must_leave_M
from .look_arrays import BLOCKS, COVER_COST_SHARE, DEMAND_RESOURCES, TREND, WORTH_ROWS
from .schema import WORTH_MINUTES
from .view import PlanView


def cover_of_leaving(view: PlanView) -> Array:
    """Share of the contention of its host, by the estimate, that a movable's leaving resolves; shape (M,).

    Added up over CPU and storage where both are over; 1 where the movable must leave anyhow.
    """
    fixed, host_of_M = view.round, view.state.host_of_M
    over_HJ = view.used_HJB[:, :, TREND] - fixed.threshold_HJ
    over_HJ[~fixed.inventory.is_up_H] = 0.0
    over_MJ = np.where((host_of_M != NOWHERE)[:, None], over_HJ[host_of_M], 0.0)
    is_over_MJ = over_MJ > TOLERANCE
    part_MJ = np.minimum(fixed.demand_MJB[:, :, TREND], over_MJ) / np.where(is_over_MJ, over_MJ, 1.0)
    return np.where(must_leave_M(view.state), 1.0, np.where(is_over_MJ, part_MJ, 0.0).sum(axis=1))


def by_cover(cover_M: Array, view: PlanView, is_possible_M: BoolArray, rows: int) -> IntArray:
    """The movables that resolve some contention, at most `rows`, by what they resolve for each GiB."""
    fixed = view.round
    some = np.flatnonzero((cover_M > 0) & is_possible_M)
    density_N = cover_M[some] / (fixed.cost_M[some] + COVER_COST_SHARE * fixed.mean_cost_gib + TOLERANCE)
    return np.asarray(some[np.argsort(-density_N, kind="stable")[:rows]])


def node_score_NH(rows: IntArray, view: PlanView) -> Array:
    """Mean of CPU and memory utilization that hosts would have with a movable, by the estimate; shape (N, H)."""
    capacity_HR = view.round.inventory.capacity_HR
    cpu_NH = (view.used_HJB[:, 0, TREND] + view.round.demand_MJB[rows, 0, TREND, None]) / capacity_HR[:, CPU]
    memory_NH = (view.state.used_HR[:, MEMORY] + view.state.demand_MR[rows, MEMORY, None]) / capacity_HR[:, MEMORY]
    return np.asarray((cpu_NH + memory_NH) / 2)


def diagonal_pairs(
    rows: IntArray, badness_NH: Array, allowed_MH: BoolArray, step: float, slots: int
) -> tuple[IntArray, IntArray]:
    """Movables and targets along the diagonal of both ranks, those that the rules allow."""
    row_P, target_P = diagonal(np.where(allowed_MH[rows], badness_NH, np.inf), step, slots)
    return rows[row_P], target_P


def diagonal(badness_NH: Array, step: float, slots: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the finite entries with the lowest column rank + step * row; at most `slots` each."""
    order_NH = np.argsort(badness_NH, axis=1, kind="stable")
    column_rank_NH = np.empty(badness_NH.shape)
    np.put_along_axis(column_rank_NH, order_NH, np.arange(badness_NH.shape[1])[None, :] * 1.0, axis=1)
    sum_NH = np.where(np.isfinite(badness_NH), column_rank_NH + step * np.arange(len(badness_NH))[:, None], np.inf)
    best = np.argsort(sum_NH, axis=None, kind="stable")[:slots]
    best = best[np.isfinite(sum_NH.ravel()[best])]
    return np.divmod(best, badness_NH.shape[1])


def worth_pairs(relief: IntArray, view: PlanView, allowed_MH: BoolArray, slots: int) -> tuple[IntArray, IntArray]:
    """The pairs that win most by the outlook, net of their price; only those that win anything.

    Looked at are the movables whose leaving alone wins most, at most `WORTH_ROWS`.

    Args:
        relief: the movables to choose from.
        slots: pairs at most.

    Returns:
        movables and targets, each of shape (P,).
    """
    fixed, source_N = view.round, view.state.host_of_M[relief]
    strain_H = strain(view, view.used_HJB, np.arange(len(view.used_HJB)))
    without_N = strain(view, view.used_HJB[source_N] - fixed.demand_MJB[relief], source_N)
    most_N = strain_H[source_N] - without_N - fixed.look.now.price_M[relief] / WORTH_MINUTES
    best_N = np.argsort(-most_N, kind="stable")[:WORTH_ROWS]
    best_N = best_N[most_N[best_N] > 0]
    rows = relief[best_N]
    with_NH = np.stack(
        [strain(view, view.used_HJB + fixed.demand_MJB[m], np.arange(len(strain_H))) for m in rows] or [np.zeros((0,))]
    ).reshape(rows.size, strain_H.size)
    net_NH = np.where(allowed_MH[rows], most_N[best_N][:, None] - (with_NH - strain_H), -np.inf)
    order = np.argsort(-net_NH, axis=None, kind="stable")[:slots]
    n_P, target_P = np.divmod(order[net_NH.ravel()[order] > 0], max(strain_H.size, 1))
    return rows[n_P], target_P


def strain(view: PlanView, used_XJB: Array, hosts_X: IntArray) -> Array:
    """Overload and unserved demand of hosts, mean of the blocks of the outlook, cores; shape (X,).

    Added up one after another as the kernels do it.
    """
    threshold_XJ = view.round.threshold_HJ[hosts_X]
    capacity_XJ = view.round.inventory.capacity_HR[hosts_X][:, DEMAND_RESOURCES]
    total_X = np.zeros(len(hosts_X))
    for j in range(len(DEMAND_RESOURCES)):
        blocks_XB = used_XJB[:, j, 1:]
        over_XB = np.maximum(blocks_XB - threshold_XJ[:, j, None], 0.0)
        unserved_XB = np.maximum(blocks_XB - capacity_XJ[:, j, None], 0.0)
        total_X += (np.cumsum(over_XB, axis=1)[:, -1] + np.cumsum(unserved_XB, axis=1)[:, -1]) / BLOCKS
    return total_X


def in_turn(families: Sequence[tuple[IntArray, IntArray]], shares: Sequence[float], slots: int) -> IntArray:
    """(movable, target) pairs of several ordered lists by their shares, no pair twice; shape (P, 2)."""
    waiting = [list(zip(m_P.tolist(), target_P.tolist(), strict=True)) for m_P, target_P in families]
    taken = [0] * len(waiting)
    picks: dict[tuple[int, int], None] = {}
    while len(picks) < slots:
        due = [(taken[f] + 0.5) / shares[f] if taken[f] < len(pairs) else np.inf for f, pairs in enumerate(waiting)]
        f = int(np.argmin(due))
        if not np.isfinite(due[f]):
            break
        picks[waiting[f][taken[f]]] = None
        taken[f] += 1
    return np.array(list(picks), dtype=np.int64).reshape(-1, 2)
