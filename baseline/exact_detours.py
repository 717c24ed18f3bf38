"""Every way of a few movables from host to host: whether they can get where they shall with any number of stops.

Dijkstra's algorithm over the placements of those few, all other things staying put or left out. Where the goal is not
reached, no plan whatever leads there; where it is, the way is a plan.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from ..env.model.cluster import Array, IntArray
from .order_kernels import FOUND, IMPOSSIBLE, UNDECIDED
from .rule_kernels import has_reservation, is_allowed, shift
from .search_board import NONE, Board

PLACEMENTS = 30_000  # of the few movables at most; with more it remains undecided


def find_detours(
    board: Board, absent: IntArray, movables: IntArray, goals: IntArray
) -> tuple[int, tuple[tuple[int, int], ...], int]:
    """The cheapest way of some movables to their goals.

    Args:
        board: the start; changed and put back.
        absent: movables to leave out of the cluster.
        movables, goals: who goes where; those that are to be at home again may step aside.

    Returns:
        FOUND, IMPOSSIBLE or UNDECIDED; the moves as (movable, target) in order; placements looked at.
    """
    homes = board.movables["host"][movables]
    options = [np.union1d(np.flatnonzero(board.can_MH[m]), [h]) for m, h in zip(movables, homes, strict=True)]
    counts = np.array([len(hosts) for hosts in options], dtype=np.int64)
    if movables.size == 0 or np.log(counts).sum() > np.log(PLACEMENTS):
        return UNDECIDED, (), 0
    if not all(goal in hosts for goal, hosts in zip(goals, options, strict=True)):
        return IMPOSSIBLE, (), 0
    option_NH = np.full((len(options), int(counts.max())), -1, dtype=np.int64)
    for i, hosts in enumerate(options):
        option_NH[i, : len(hosts)] = hosts
    radix = np.concatenate([[1], np.cumprod(counts)[:-1]]).astype(np.int64)
    first, last = (
        int(sum(int(np.searchsorted(hosts, h)) * r for hosts, h, r in zip(options, ends, radix, strict=True)))
        for ends in (homes, goals)
    )
    parent = np.full(int(counts.prod()), -2, dtype=np.int64)
    seen = _walk(board, absent, movables, option_NH, counts, radix, first, last, parent)
    if parent[last] == -2:
        return IMPOSSIBLE, (), seen
    moves = []
    while last != first:
        before = int(parent[last])
        i = int(np.flatnonzero(last // radix % counts != before // radix % counts)[0])
        moves.append((int(movables[i]), int(option_NH[i, last // radix[i] % counts[i]])))
        last = before
    return FOUND, tuple(reversed(moves)), seen


@njit(cache=True)
def _walk(
    b: Board,
    absent: IntArray,
    movables: IntArray,
    option_NH: IntArray,
    counts: IntArray,
    radix: IntArray,
    first: int,
    last: int,
    parent: IntArray,
) -> int:
    """Fills in where each placement is best come from, until the last one is reached; returns how many were seen."""
    away = np.empty(absent.size, dtype=np.int64)
    for i in range(absent.size):
        away[i] = shift(b, absent[i], NONE)
    n, seen = movables.size, 0
    homes = np.array([b.movables[m].host for m in movables])
    cost_gib: Array = np.full(parent.size, np.inf)
    is_done = np.zeros(parent.size, dtype=np.bool_)
    cost_gib[first], parent[first] = 0.0, -1
    queue = [(0.0, first)]
    while len(queue) > 0:
        spent_gib, key = heapq.heappop(queue)
        if is_done[key]:
            continue
        is_done[key] = True
        seen += 1
        if key == last:
            break
        for i in range(n):
            shift(b, movables[i], option_NH[i, key // radix[i] % counts[i]])
        for i in range(n):
            m, k = movables[i], key // radix[i] % counts[i]
            then_gib = spent_gib + b.movables[m].cost_gib
            for j in range(counts[i]):
                to = key + (j - k) * radix[i]
                if then_gib >= cost_gib[to] or not is_allowed(b, m, option_NH[i, j]):
                    continue
                if b.failed_SF.size > 0:
                    source = shift(b, m, option_NH[i, j])
                    is_reserved = has_reservation(b)
                    shift(b, m, source)
                    if not is_reserved:
                        continue
                cost_gib[to], parent[to] = then_gib, key
                heapq.heappush(queue, (then_gib, to))
    for i in range(n):
        shift(b, movables[i], homes[i])
    for i in range(absent.size):
        shift(b, absent[i], away[i])
    return seen
