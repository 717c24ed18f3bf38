"""Movables and targets in order, in numba, as far as somebody asks.

Of the movables only the first few dozen are asked for as a rule, so these are sorted by buckets of equal width, a
batch at a time: what is in the highest buckets first, then what is left in buckets of its own. Equals stand in the
order of their indices, as a stable sort would have them.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, STORAGE
from ..model.compiled import inlined
from .look_arrays import RoundArrays, Scratch
from .lowest_kernels import highest_below
from .rank_arrays import BUCKETS, PER_ROOT, Ranks


@inlined
def note_homes(now: RoundArrays, scratch: Scratch) -> None:
    """Who is free to move from each host, and what that would free; holds for a round."""
    first_H, free_XM = scratch.ranks.first_home_H, scratch.ranks.free_XM
    first_H[:] = 0
    for m in range(now.home_M.size):
        if now.is_free_M[m] and now.home_M[m] != NOWHERE:
            first_H[now.home_M[m] + 2] += 1
    for h in range(2, first_H.size):
        first_H[h] += first_H[h - 1]
    for m in range(now.home_M.size):
        if now.is_free_M[m] and now.home_M[m] != NOWHERE:
            i = first_H[now.home_M[m] + 1]
            first_H[now.home_M[m] + 1] += 1
            scratch.ranks.home_member_M[i] = m
            free_XM[CPU, i], free_XM[MEMORY, i] = now.demand_MR[m, CPU], now.demand_MR[m, MEMORY]
            free_XM[STORAGE, i], free_XM[PER_ROOT, i] = now.demand_MR[m, STORAGE], 1 / now.root_M[m]


@inlined
def sort_more(ranks: Ranks, i: int, wanted: int) -> bool:
    """Adds a batch of about `wanted` movables to order i; whether there are any left."""
    worth_M, order_M, place_B, first = ranks.worth_2M[i], ranks.order_2M[i], ranks.place_B, ranks.known_2[i]
    above = worth_M[order_M[first - 1]] if first > 0 else np.inf
    scale = (BUCKETS - 1) / highest_below(worth_M, above)
    if not scale < np.inf:
        return False
    for b in range(BUCKETS):
        place_B[b] = 0
    for m in range(worth_M.size):
        place_B[_bucket(worth_M[m], above, scale)] += 1
    end, least = first, BUCKETS
    while least > 1 and end - first < wanted:
        least -= 1
        place_B[least], end = end, end + place_B[least]
    picked_N, count = ranks.picked_M, np.uintp(0)
    for m in range(worth_M.size):  # without a branch, as nobody can foresee it
        picked_N[count] = m
        count += np.uintp((worth_M[m] * scale >= least) & (worth_M[m] < above))
    for n in range(count):
        b = _bucket(worth_M[picked_N[n]], above, scale)
        order_M[place_B[b]] = picked_N[n]
        place_B[b] += 1
    _sort_almost(ranks, i, first, end)
    ranks.known_2[i] = end
    return True


@inlined
def _bucket(worth: float, above: float, scale: float) -> np.uintp:
    """The bucket of a movable; the lowest is that of those in order already too, and is never emptied."""
    return np.uintp(np.int64(worth * scale)) if worth < above else np.uintp(0)


@inlined
def _sort_almost(ranks: Ranks, i: int, first: int, end: int) -> None:
    """Sorts the last ones of order i, which are far from their places only within a bucket."""
    order_M, worth_M = ranks.order_2M[i], ranks.worth_2M[i]
    for n in range(first + 1, end):
        m, k = order_M[n], n
        while k > first and worth_M[m] > worth_M[order_M[k - 1]]:
            order_M[k] = order_M[k - 1]
            k -= 1
        order_M[k] = m


@inlined
def sort_hosts(scratch: Scratch) -> None:
    """Brings targets in the order of what their node score is at least; they are almost in it."""
    order_H, least_H = scratch.ranks.host_order_H, scratch.least_H
    for n in range(1, order_H.size):
        h, k = order_H[n], n
        while k > 0 and least_H[h] < least_H[order_H[k - 1]]:
            order_H[k] = order_H[k - 1]
            k -= 1
        order_H[k] = h
