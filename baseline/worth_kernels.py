"""The most valuable deed on a cluster whose demand to come is given, in numba: the twin of `worth_search.reference`.

A deed is one move or two that only make sense together: a swap (a VM of a costly host for one of its target's), or
making room (a VM steps off the target first). Worth is what the deed takes off the cost of the hosts it touches, less
the price of its moves. Shapes: J, B as in `foresight.py`; P barred deeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..env.model.cluster import RESOURCES, Array, BoolArray, IntArray
from ..env.model.compiled import bare, inner, kernel

NO_MOVE = -1


class Board(NamedTuple):
    """What a deed is judged on.

    Attributes:
        used_HJB: demand on each host, cores or GiB; shape (H, J, B).
        demand_MJB: demand of each movable; shape (M, J, B).
        minutes_B: minutes that each block stands for; shape (B,).
        threshold_HJ: demand above which a host is overloaded; shape (H, J).
        capacity_HJ: demand above which some of it goes unserved; shape (H, J).
        host_of_M: where everything is, -1 for nowhere; shape (M,).
        is_source_M: movables that a deed may start from; shape (M,).
        is_free_M: movables that may move at all; shape (M,).
        is_open_MH: moves that the rules allow now, R7 left out; shape (M, H).
        may_stand_MH: hosts that are up and allowed by R3; shape (M, H).
        estimate_MR: demand by which the rules judge; shape (M, R).
        loaded_HR: the same on each host; shape (H, R).
        limit_HR: what may be used of each host; shape (H, R).
        price_M: what moving each movable costs by itself, core-minutes; shape (M,).
        size_M: how many moves that takes, more than one for the lead of a clump; shape (M,).
        moves: how many a deed may take.
    """

    used_HJB: Array
    demand_MJB: Array
    minutes_B: Array
    threshold_HJ: Array
    capacity_HJ: Array
    host_of_M: IntArray
    is_source_M: BoolArray
    is_free_M: BoolArray
    is_open_MH: BoolArray
    may_stand_MH: BoolArray
    estimate_MR: Array
    loaded_HR: Array
    limit_HR: Array
    price_M: Array
    size_M: IntArray
    moves: int


@kernel
def best_deed(b: Board, least: float, with_pairs: bool, barred_P4: IntArray) -> tuple[float, IntArray]:
    """The deed of the greatest worth, core-minutes; (movable, target) of its first and second move; shape (4,).

    Args:
        b: the cluster.
        least: a deed must be worth more than this.
        with_pairs: whether to look for swaps and for room as well.
        barred_P4: deeds that may not be named.

    Returns:
        `least` and -1 four times where there is none.
    """
    H, M = b.used_HJB.shape[0], b.demand_MJB.shape[0]
    cost_H = np.empty(H)
    for h in range(H):
        cost_H[h] = _cost(b, h, NO_MOVE, NO_MOVE)
    landing_MH = np.full((M, H), np.inf)
    best_4 = np.full(4, NO_MOVE, dtype=np.int64)
    deed_4 = best_4.copy()
    worth = least
    for m in range(M):
        for h in range(H):
            if b.is_free_M[m] and b.is_open_MH[m, h]:
                landing_MH[m, h] = _cost(b, h, m, NO_MOVE) - cost_H[h]
    for m in range(M):
        if b.is_source_M[m] and b.is_free_M[m] and b.size_M[m] <= b.moves:
            relief = cost_H[b.host_of_M[m]] - _cost(b, b.host_of_M[m], NO_MOVE, m)
            for h in range(H):
                net = relief - landing_MH[m, h] - b.price_M[m]
                if net > worth:
                    _name(deed_4, m, h, NO_MOVE, NO_MOVE)
                    if not _is_barred(deed_4, barred_P4):
                        worth, best_4[:] = net, deed_4
    if with_pairs:
        worth = _best_pair(b, worth, cost_H, landing_MH, barred_P4, best_4)
    return worth, best_4


@inner
def _best_pair(
    b: Board, worth: float, cost_H: Array, landing_MH: Array, barred_P4: IntArray, best_4: IntArray
) -> float:
    """The worth of the best swap or room that beats `worth`; goes into `best_4`."""
    M, H = landing_MH.shape
    deed_4 = np.empty(4, dtype=np.int64)
    exit_M2 = np.full((M, 2), NO_MOVE, dtype=np.int64)
    for m in range(M):
        _two_least(landing_MH[m], exit_M2[m])
    start_H1, order_M = _by_host(b)
    for m in range(M):
        source = b.host_of_M[m]
        if not (b.is_source_M[m] and b.is_free_M[m]):
            continue
        relief = cost_H[source] - _cost(b, source, NO_MOVE, m)
        for t in range(H):
            if t == source or not b.may_stand_MH[m, t]:
                continue
            for i in range(start_H1[t], start_H1[t + 1]):
                other = order_M[i]
                price = b.price_M[m] + b.price_M[other]
                if cost_H[source] + cost_H[t] - price <= worth or b.size_M[m] + b.size_M[other] > b.moves:
                    continue
                changed = cost_H[t] - _cost(b, t, m, other)
                if b.is_open_MH[m, t] and _fits(b, other, source, m):
                    net = cost_H[source] - _cost(b, source, other, m) + changed - price
                    _name(deed_4, m, t, other, source)
                    if net > worth and not _is_barred(deed_4, barred_P4):
                        worth, best_4[:] = net, deed_4
                exit = exit_M2[other, 0] if exit_M2[other, 0] != source else exit_M2[other, 1]
                if exit != NO_MOVE and _fits(b, m, t, other):
                    net = relief + changed - landing_MH[other, exit] - price
                    _name(deed_4, other, exit, m, t)
                    if net > worth and not _is_barred(deed_4, barred_P4):
                        worth, best_4[:] = net, deed_4
    return worth


@bare
def _cost(b: Board, h: int, comes: int, leaves: int) -> float:
    """Cost of a host if these movables come and leave, core-minutes."""
    total = 0.0
    for j in range(b.used_HJB.shape[1]):
        threshold, capacity = b.threshold_HJ[h, j], b.capacity_HJ[h, j]
        for block in range(b.minutes_B.size):
            used = b.used_HJB[h, j, block]
            if comes >= 0:
                used += b.demand_MJB[comes, j, block]
            if leaves >= 0:
                used -= b.demand_MJB[leaves, j, block]
            if used > threshold:
                total += b.minutes_B[block] * (used - threshold + max(used - capacity, 0.0))
    return total


@bare
def _fits(b: Board, m: int, h: int, leaves: int) -> bool:
    """Whether m may stand on h once another one has left it: R1, R3 and R8; the rest is left to the judge."""
    if not b.may_stand_MH[m, h]:
        return False
    for r in range(RESOURCES):
        if b.loaded_HR[h, r] - b.estimate_MR[leaves, r] + b.estimate_MR[m, r] > b.limit_HR[h, r]:
            return False
    return True


@inner
def _by_host(b: Board) -> tuple[IntArray, IntArray]:
    """The free movables host by host, and where each host's begin; shapes (H + 1,) and (M,)."""
    H, M = b.used_HJB.shape[0], b.demand_MJB.shape[0]
    start_H1 = np.zeros(H + 1, dtype=np.int64)
    order_M = np.empty(M, dtype=np.int64)
    n = 0
    for h in range(H):
        start_H1[h] = n
        for m in range(M):
            if b.host_of_M[m] == h and b.is_free_M[m]:
                order_M[n] = m
                n += 1
    start_H1[H] = n
    return start_H1, order_M


@bare
def _two_least(values_X: Array, index_2: IntArray) -> None:
    """Indices of the two smallest finite values, -1 where there are none."""
    first, second = np.inf, np.inf
    for i in range(values_X.size):
        if values_X[i] < first:
            first, second = values_X[i], first
            index_2[0], index_2[1] = i, index_2[0]
        elif values_X[i] < second:
            second, index_2[1] = values_X[i], i


@bare
def _name(deed_4: IntArray, m: int, target: int, other: int, other_target: int) -> None:
    """Writes a deed down."""
    deed_4[0], deed_4[1], deed_4[2], deed_4[3] = m, target, other, other_target


@bare
def _is_barred(deed_4: IntArray, barred_P4: IntArray) -> bool:
    """Whether a deed is on the list of those that may not be named."""
    for p in range(barred_P4.shape[0]):
        is_same = True
        for i in range(4):
            is_same = is_same and deed_4[i] == barred_P4[p, i]
        if is_same:
            return True
    return False
