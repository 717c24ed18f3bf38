"""R1-R4, R6-R8 in numba: the twin of `env/model/rules.py` for searches that ask a million times.

A property test holds the two together. The kernels change the board in place; whoever calls takes the change back.
No kernel calls itself: numba does not load recursive functions from its cache safely. And numba notices only changes in
a kernel's own file: after changing kernels that others call, delete `__pycache__`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..env.model.availability import SEARCH_LIMIT
from ..env.model.cluster import MEMORY, RESOURCES, TOLERANCE, Array, IntArray
from ..env.model.gpu_kernels import vgpus_pack
from .search_board import NONE, Board

inner = njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
"""For kernels that only kernels call: they compile in half the time."""
inlined = njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", forceinline=True)
"""For the smallest and most often called of those: handing over a board takes longer than what they do."""


IN, OUT, KEEP = np.int64(1), np.int64(-1), np.int64(0)
"""Changes of a count; numbers of one type, for the reason that `NONE` is one."""


@inlined
def roll(dice: IntArray, below: int) -> int:
    """A random number from 0 to below - 1: the upper bits of a linear congruential generator whose state is dice[0]."""
    dice[0] = (dice[0] * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
    return (dice[0] >> 33) % below


@inner
def shift(b: Board, m: int, target: int) -> int:
    """Moves m to `target` (or NONE) and returns where it was."""
    source = b.movables[m].host
    profile = b.movables[m].profile
    for h, sign in ((source, OUT), (target, IN)):
        if h < 0:
            continue
        for r in range(RESOURCES):
            b.hosts[h].used[r] += sign * b.movables[m].demand[r]
        for i in range(b.movables[m].first_rule, b.movables[m].end_rule):
            b.members_HA[h, b.anti_rule[i]] += sign
        if profile >= 0:
            b.profiles_HC[h, profile] += sign
            b.hosts[h].vgpu_gib += sign * b.movables[m].vgpu_gib
    b.movables[m].host = target
    return source


@inner
def is_allowed(b: Board, m: int, target: int) -> bool:
    """Whether R1-R4, R6 and R8 allow the move of m to `target`."""
    if not b.can_MH[m, target] or b.movables[m].host == target:
        return False
    for r in range(RESOURCES):
        if b.hosts[target].used[r] + b.movables[m].demand[r] > b.hosts[target].limit[r]:
            return False
    for i in range(b.movables[m].first_rule, b.movables[m].end_rule):
        if b.members_HA[target, b.anti_rule[i]] > 0:
            return False
    c = b.movables[m].profile
    if c < 0:
        return True
    b.profiles_HC[target, c] += 1
    fits = vgpus_pack(b.profiles_HC[target], b.slots_GC[b.hosts[target].first_gpu : b.hosts[target].end_gpu])
    b.profiles_HC[target, c] -= 1
    return fits


@inner
def has_reservation(b: Board) -> bool:
    """R7: whichever hosts fail, their `ha` VMs find room; the twin of `availability.has_reservation`."""
    H = b.hosts.size
    first_H, positions = _restart_order_by_host(b)
    victims = np.empty(b.restart_order.size, dtype=np.int64)
    free_H, up_free_H = np.empty(H), np.empty(H)
    profiles_HC = b.profiles_HC.copy()
    up_gib = 0.0
    for h in range(H):
        up_free_H[h] = b.hosts[h].limit[MEMORY] - b.hosts[h].used[MEMORY] if b.hosts[h].is_up else -1.0
        up_gib += max(0.0, up_free_H[h])
    by_free, order = _by_free(up_free_H), np.empty(H, dtype=np.int64)
    for i in range(b.failed_SF.shape[0]):
        count = _victims(b, b.failed_SF[i], first_H, positions, victims)
        need_gib, free_gib = 0.0, up_gib
        for v in victims[:count]:
            need_gib += b.movables[v].demand[MEMORY]
        free_H[:] = up_free_H
        for h in b.failed_SF[i]:
            free_gib -= max(0.0, free_H[h])
            free_H[h] = -1.0
        if need_gib > free_gib + TOLERANCE:
            return False
        if _fit_at_once(b, victims[:count], free_H, by_free, order):
            continue
        for h in range(H):
            free_H[h] = up_free_H[h] if free_H[h] >= 0 else -1.0
        if not _can_restart(b, victims[:count], free_H, profiles_HC):
            return False
        profiles_HC[:] = b.profiles_HC
    return True


@inner
def _by_free(free_H: Array) -> IntArray:
    """Hosts in the order (free memory, index)."""
    by_free = np.empty(free_H.size, dtype=np.int64)
    for h in range(free_H.size):
        i = h
        while i > 0 and free_H[by_free[i - 1]] > free_H[h]:
            by_free[i] = by_free[i - 1]
            i -= 1
        by_free[i] = h
    return by_free


@inner
def _fit_at_once(b: Board, victims: IntArray, free_H: Array, by_free: IntArray, order: IntArray) -> bool:
    """Whether `_can_restart` would succeed without a step back, found much faster; False where it might not.

    Args:
        free_H: free memory, negative where nothing may restart; changed.
        by_free: hosts in the order (free memory, index) of a `free_H` in which fewer hosts have failed.
        order: scratch for those that are left.
    """
    count = 0
    for h in by_free:
        if free_H[h] >= 0:
            order[count] = h
            count += 1
    for v in victims:
        need_gib, low, high = b.movables[v].demand[MEMORY], KEEP, KEEP + count
        while low < high:
            middle = (low + high) // 2
            if free_H[order[middle]] >= need_gib:
                high = middle
            else:
                low = middle + 1
        while low < count and not b.restart_MH[v, order[low]]:
            low += 1
        if low == count or b.movables[v].profile >= 0:
            return False
        h = order[low]
        free_H[h] -= need_gib
        while low > 0 and (free_H[order[low - 1]], order[low - 1]) > (free_H[h], h):
            order[low] = order[low - 1]
            low -= 1
        order[low] = h
    return True


@inner
def _restart_order_by_host(b: Board) -> tuple[IntArray, IntArray]:
    """Positions in the restart order, rising, host after host (what is nowhere first); and where each host's begin."""
    first_H = np.zeros(b.hosts.size + 2, dtype=np.int64)
    for v in b.restart_order:
        first_H[b.movables[v].host + 1] += 1
    for h in range(b.hosts.size + 1):
        first_H[h + 1] += first_H[h]
    positions = np.empty(b.restart_order.size, dtype=np.int64)
    for i in range(b.restart_order.size - 1, -1, -1):
        h = b.movables[b.restart_order[i]].host + 1
        first_H[h] -= 1
        positions[first_H[h]] = i
    return first_H[1:], positions


@inner
def _victims(b: Board, failed_F: IntArray, first_H: IntArray, positions: IntArray, victims: IntArray) -> int:
    """Puts the `ha` VMs of the failed hosts into `victims`, in restart order; returns how many."""
    heads, count = np.empty(failed_F.size, dtype=np.int64), 0
    for f in range(failed_F.size):
        heads[f] = first_H[failed_F[f]]
    while True:
        next_position, chosen = b.restart_order.size, NONE
        for f in range(failed_F.size):
            if heads[f] < first_H[failed_F[f] + 1] and positions[heads[f]] < next_position:
                next_position, chosen = positions[heads[f]], KEEP + f
        if chosen < 0:
            return count
        victims[count] = b.restart_order[next_position]
        count += 1
        heads[chosen] += 1


@inner
def _can_restart(b: Board, victims: IntArray, free_H: Array, profiles_HC: IntArray) -> bool:
    """Whether all victims fit on the hosts that are left, best fit first, with backtracking."""
    last_gib, last_h = np.full(victims.size + 1, -1.0), np.full(victims.size + 1, NONE)
    i, tries_left = 0, SEARCH_LIMIT
    while i < victims.size:
        v = victims[i]
        c = b.movables[v].profile
        h = _next_fit(b, v, free_H, last_gib[i], last_h[i])
        if h < 0:
            if i == 0:
                return False
            last_gib[i], last_h[i] = -1.0, NONE
            i -= 1
            free_H[last_h[i]] = last_gib[i]
            if b.movables[victims[i]].profile >= 0:
                profiles_HC[last_h[i], b.movables[victims[i]].profile] -= 1
            continue
        if tries_left == 0:
            return False
        tries_left -= 1
        last_gib[i], last_h[i] = free_H[h], h
        if c >= 0:
            profiles_HC[h, c] += 1
            if not vgpus_pack(profiles_HC[h], b.slots_GC[b.hosts[h].first_gpu : b.hosts[h].end_gpu]):
                profiles_HC[h, c] -= 1
                continue
        free_H[h] -= b.movables[v].demand[MEMORY]
        i += 1
    return True


@inner
def _next_fit(b: Board, v: int, free_H: Array, last_gib: float, last_h: int) -> int:
    """The host that holds v and follows (last_gib, last_h) in the order (free memory, index), or NONE."""
    best = NONE
    for h in range(free_H.size):
        is_later = free_H[h] > last_gib or (free_H[h] == last_gib and h > last_h)
        fits = is_later and free_H[h] >= b.movables[v].demand[MEMORY] and b.restart_MH[v, h]
        if fits and (best < 0 or free_H[h] < free_H[best]):
            best = h
    return best
