"""Drafts of a placement, and a lower bound on what finishing one costs, in numba.

A draft is a board on which some units wait or have moved. A host is *over* where it breaks what the finished plan
must keep: a threshold, the memory of a host that swaps or takes something in, anti-affinity with a newcomer, GPUs that
do not hold a newcomer.
"""

from __future__ import annotations

import numpy as np

from ..env.model.cluster import CPU, MEMORY, RESOURCES
from ..env.model.gpu_kernels import vgpus_pack
from .rule_kernels import IN, KEEP, OUT, inlined, inner, shift
from .search_board import FREE, MOVED, NONE, WAITS, Board

IMPOSSIBLE_GIB = np.inf


@inner
def take_off(b: Board, u: int) -> None:
    """Unit u leaves its home and waits."""
    b.units[u].mode = WAITS
    b.hosts[b.units[u].home].departures += 1
    _shift_unit(b, u, NONE, KEEP)


@inner
def put_back(b: Board, u: int, mode: int) -> None:
    """The opposite of `take_off`."""
    b.units[u].mode = mode
    b.hosts[b.units[u].home].departures -= 1
    _shift_unit(b, u, b.units[u].home, KEEP)


@inner
def settle(b: Board, u: int, h: int) -> None:
    """Waiting unit u moves to host h."""
    b.units[u].mode = MOVED
    b.hosts[h].arrivals += 1
    _shift_unit(b, u, h, IN)


@inner
def unsettle(b: Board, u: int, h: int) -> None:
    """The opposite of `settle`."""
    b.units[u].mode = WAITS
    b.hosts[h].arrivals -= 1
    _shift_unit(b, u, NONE, OUT)


@inner
def _shift_unit(b: Board, u: int, to: int, arriving: int) -> None:
    """Moves every member of u; keeps newcomers and clashes counted (arriving: IN, OUT again, KEEP from or to home)."""
    for i in range(b.units[u].first_member, b.units[u].end_member):
        m = b.member[i]
        h = to if to >= 0 else b.movables[m].host
        b.hosts[h].is_stale = True
        first, end = b.movables[m].first_rule, b.movables[m].end_rule
        for j in range(first, end):
            b.hosts[h].clashes -= _clashes(b, h, b.anti_rule[j])
        shift(b, m, to)
        for j in range(first, end):
            b.arrived_HA[h, b.anti_rule[j]] += arriving
            b.hosts[h].clashes += _clashes(b, h, b.anti_rule[j])
        if b.movables[m].profile >= 0:
            b.hosts[h].vgpu_arrivals += arriving


@inlined
def _clashes(b: Board, h: int, a: int) -> int:
    """1 where a newcomer shares host h with another VM of anti-affinity rule a."""
    return 1 if b.arrived_HA[h, a] > 0 and b.members_HA[h, a] > 1 else 0


@inlined
def fits(b: Board, u: int, h: int) -> bool:
    """Whether waiting unit u fits on h as it is, so that h is not over afterwards."""
    if not b.can_UH[u, h]:
        return False
    for r in range(RESOURCES):
        if b.hosts[h].used[r] + b.units[u].demand[r] > b.hosts[h].limit[r]:
            return False
    for i in range(b.units[u].first_member, b.units[u].end_member):
        m = b.member[i]
        for j in range(b.movables[m].first_rule, b.movables[m].end_rule):
            if b.members_HA[h, b.anti_rule[j]] > 0:
                return False
    return not b.units[u].has_vgpu or _holds_vgpus(b, u, h)


@inner
def _holds_vgpus(b: Board, u: int, h: int) -> bool:
    """Whether the GPUs of h hold the vGPUs of u besides those that are there."""
    wanted_C = b.profiles_HC[h].copy()
    for i in range(b.units[u].first_member, b.units[u].end_member):
        if b.movables[b.member[i]].profile >= 0:
            wanted_C[b.movables[b.member[i]].profile] += 1
    return vgpus_pack(wanted_C, b.slots_GC[b.hosts[h].first_gpu : b.hosts[h].end_gpu])


@inner
def lacks_gpus(b: Board, h: int) -> bool:
    """Whether a vGPU has come to h and not all vGPUs there can be packed."""
    if b.hosts[h].vgpu_arrivals == 0:
        return False
    return not vgpus_pack(b.profiles_HC[h], b.slots_GC[b.hosts[h].first_gpu : b.hosts[h].end_gpu])


@inlined
def excess(b: Board, h: int, r: int) -> float:
    """How much of resource r must leave host h; 0 or less where nothing must."""
    if not b.hosts[h].is_up or (r == MEMORY and not b.hosts[h].needs_memory and b.hosts[h].arrivals == 0):
        return 0.0
    return b.hosts[h].used[r] - b.hosts[h].limit[r]


@inner
def host_bound(b: Board, h: int) -> float:
    """Least cost, or less, at which free units can leave h so that it is no longer over.

    Returns:
        -1 where h is not over, IMPOSSIBLE_GIB where its free units do not suffice.
    """
    bound = -1.0
    for r in range(RESOURCES):
        over = excess(b, h, r)
        if over > 0:
            bound = max(bound, _cheapest_share(b, h, r, over))
    if b.hosts[h].clashes > 0:
        bound = max(bound, _clash_bound(b, h))
    if b.hosts[h].vgpu_arrivals > 0 and lacks_gpus(b, h):
        bound = max(bound, _vgpu_bound(b, h))
    if bound >= 0 and b.hosts[h].departures == 0:
        bound = max(bound, b.hosts[h].least_gib)
    return bound


@inner
def bound_with(b: Board, u: int, h: int) -> float:
    """What `host_bound` of h would be once the waiting unit u has settled there."""
    is_plain = not b.units[u].has_vgpu and b.hosts[h].clashes == 0
    for i in range(b.units[u].first_member, b.units[u].end_member):
        m = b.member[i]
        for j in range(b.movables[m].first_rule, b.movables[m].end_rule):
            is_plain = is_plain and b.members_HA[h, b.anti_rule[j]] == 0
    if not is_plain:
        settle(b, u, h)
        bound = host_bound(b, h)
        unsettle(b, u, h)
        return bound
    bound = -1.0
    for r in range(RESOURCES):
        over = b.hosts[h].used[r] + b.units[u].demand[r] - b.hosts[h].limit[r]
        if over > 0:
            bound = max(bound, _cheapest_share(b, h, r, over))
    if b.hosts[h].vgpu_arrivals > 0 and lacks_gpus(b, h):
        bound = max(bound, _vgpu_bound(b, h))
    if bound >= 0 and b.hosts[h].departures == 0:
        bound = max(bound, b.hosts[h].least_gib)
    return bound


@inlined
def _cheapest_share(b: Board, h: int, r: int, needed: float) -> float:
    """Fractional knapsack: the cheapest units per core or GiB leave, the last one in part; at least one as a whole."""
    total, cheapest = 0.0, IMPOSSIBLE_GIB
    for i in range(b.hosts[h].first_unit, b.hosts[h].end_unit):
        u = b.by_efficiency_RU[r, i]
        amount = b.units[u].demand[r]
        if b.units[u].mode != FREE or amount <= 0:
            continue
        cheapest = min(cheapest, b.units[u].cost_gib)
        if needed > 0:
            total += b.units[u].cost_gib * min(1.0, needed / amount)
            needed -= amount
    return max(total, cheapest) if needed <= 0 else IMPOSSIBLE_GIB


@inner
def _clash_bound(b: Board, h: int) -> float:
    """What it costs that every free unit in a clash leaves; two newcomers, or one that stays, cannot be helped."""
    worst = 0.0
    for a in range(b.arrived_HA.shape[1]):
        if _clashes(b, h, a) == 0:
            continue
        total, left = 0.0, b.members_HA[h, a] - 1
        for i in range(b.hosts[h].first_unit, b.hosts[h].end_unit):
            u = b.by_efficiency_RU[CPU, i]
            if b.units[u].mode == FREE and memberships(b, u, a) > 0:
                total += b.units[u].cost_gib
                left -= memberships(b, u, a)
        worst = max(worst, total if left <= 0 else IMPOSSIBLE_GIB)
    return worst


@inner
def memberships(b: Board, u: int, a: int) -> int:
    """How many movables of unit u are in anti-affinity rule a."""
    count = 0
    for i in range(b.units[u].first_member, b.units[u].end_member):
        m = b.member[i]
        for j in range(b.movables[m].first_rule, b.movables[m].end_rule):
            count += b.anti_rule[j] == a
    return count


@inner
def _vgpu_bound(b: Board, h: int) -> float:
    """The cheapest free unit with a vGPU: one at least must leave."""
    cheapest = IMPOSSIBLE_GIB
    for i in range(b.hosts[h].first_unit, b.hosts[h].end_unit):
        u = b.by_efficiency_RU[CPU, i]
        if b.units[u].mode == FREE and b.units[u].has_vgpu:
            cheapest = min(cheapest, b.units[u].cost_gib)
    return cheapest


@inner
def relief(b: Board, h: int, u: int) -> float:
    """Which share of what makes h over the leaving of u would take away, summed; 0 where it is no help."""
    total = 0.0
    for r in range(RESOURCES):
        over = excess(b, h, r)
        if over > 0:
            total += min(1.0, b.units[u].demand[r] / over)
    if b.hosts[h].clashes > 0:
        for a in range(b.arrived_HA.shape[1]):
            if _clashes(b, h, a) > 0 and memberships(b, u, a) > 0:
                total += 1.0
    if b.units[u].has_vgpu and lacks_gpus(b, h):
        total += 1.0
    return total
