"""Local search over final placements, for clusters so full that units have to change places, in numba.

Every unit stands somewhere; hosts may be over meanwhile. Each round takes a unit of a host that is over (or, where none
is but the placement costs too much, one that has moved) and makes the best change for it: to another host, home, or in
exchange for another unit. Where no change helps, what is wrong there counts more from then on, so that the search
leaves the hollow. A placement with no host over, cheaper than the best plan and with an order of moves, is the new best
plan; the next one has to be cheaper.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..env.model.cluster import MEMORY, RESOURCES, Array, IntArray
from .draft_kernels import memberships, put_back, settle, take_off, unsettle
from .rule_kernels import IN, KEEP, OUT, inlined, inner, roll, vgpus_pack
from .search_board import FREE, MOVED, NONE, STAYS, Board
from .search_tree import EPSILON_GIB, Tree, keep_if_ordered

TABU_ROUNDS = 50  # a unit does not return to the host it left for so many rounds
SWITCH_ON = 0.01  # what any excess counts besides its size, so that the last bit of it matters too
COST_SCALE = 0.1  # what cost above the budget counts, in units of the median cost of a unit
UNITS_PER_NODE = 150  # units looked at in a round that count as a node
CHANCE = 20  # every so many rounds without a gain a change is made all the same


class Repair(NamedTuple):
    """Working memory of the local search."""

    weight_HR: Array  # how much an excess counts
    tabu_UH: IntArray  # round until which a unit must not go to a host
    budget: Array  # [cost allowed, weight of what is above it, cost now, median cost of a unit], GiB
    dice: IntArray  # (1,) state of the random numbers


def repair_of(b: Board, spent_gib: float, seed: int) -> Repair:
    """Memory for a local search on a board where units worth `spent_gib` have moved."""
    budget = np.array([np.inf, 1.0, spent_gib, max(1e-9, float(np.median(b.units["cost_gib"])))])
    tabu_UH = np.zeros((b.units.size, b.hosts.size), dtype=np.int64)
    return Repair(np.ones((b.hosts.size, RESOURCES)), tabu_UH, budget, np.array([seed], dtype=np.int64))


@njit(cache=True)
def repair(b: Board, p: Repair, t: Tree, start: Board, best: IntArray, rounds: int) -> None:
    """One local search; a better plan goes to `t` as in `placement_kernels.explore`, rounds count as nodes.

    Args:
        b: the board; changed, but ready for the next search.
        start: the board before the plan.
        best: the best plan, from which every other search starts; shape (2, n), n = 0 where there is none.
        rounds: rounds to do.
    """
    tally = t.tally[0]
    _start_anew(b, p)
    if roll(p.dice, 2) == 0:
        for i in range(best.shape[1]):
            u = b.movables[best[0, i]].unit
            if _place(b, u) != best[1, i]:
                _go(b, p, u, best[1, i], -TABU_ROUNDS)
    for now in range(rounds):
        tally.nodes += 1 + b.units.size // UNITS_PER_NODE
        p.budget[0] = min(p.budget[0], tally.limit_gib - EPSILON_GIB)
        u = _troubled_unit(b, p)
        if u == NONE:
            p.budget[0] = p.budget[2] - EPSILON_GIB  # seek another one, whether this one can be reached or not
            keep_if_ordered(b, t, start, p.budget[2])
            continue
        gain, to, partner = _best_change(b, p, u, now)
        if to < 0 or (gain <= 0 and roll(p.dice, CHANCE) > 0):
            _raise_weights(b, p)
            continue
        source = _place(b, u)
        _go(b, p, u, to, now)
        if partner >= 0:
            _go(b, p, partner, source, now)


@inlined
def _place(b: Board, u: int) -> int:
    """Where unit u stands."""
    return b.movables[b.member[b.units[u].first_member]].host


@inlined
def _wrong(b: Board, p: Repair, h: int, gone: int, come: int, arrivals: int) -> float:
    """Weighted excess of host h if unit `gone` left, unit `come` came and its newcomers were so many more."""
    if not b.hosts[h].is_up:
        return 0.0
    total = 0.0
    for r in range(RESOURCES):
        over = b.hosts[h].used[r] - b.hosts[h].limit[r]
        if gone >= 0:
            over -= b.units[gone].demand[r]
        if come >= 0:
            over += b.units[come].demand[r]
        is_bound = r != MEMORY or b.hosts[h].needs_memory or b.hosts[h].arrivals + arrivals > 0
        if over > 0 and is_bound:
            total += p.weight_HR[h, r] * (SWITCH_ON + over / b.hosts[h].limit[r])
    return total


@inner
def _troubled_unit(b: Board, p: Repair) -> int:
    """A unit at random: of hosts that are over; else, where the cost is too high, of those that have moved."""
    chosen, seen, is_over = NONE, 0, False
    for h in range(b.hosts.size):
        is_over = is_over or _wrong(b, p, h, NONE, NONE, KEEP) > 0
    if not is_over and p.budget[2] <= p.budget[0]:
        return NONE
    for u in range(b.units.size):
        if b.units[u].mode == STAYS or _place(b, u) < 0:
            continue
        is_wrong = _wrong(b, p, _place(b, u), NONE, NONE, KEEP) > 0 if is_over else b.units[u].mode == MOVED
        if is_wrong:
            seen += 1
            if roll(p.dice, seen) == 0:
                chosen = u
    return chosen


@inner
def _start_anew(b: Board, p: Repair) -> None:
    """Everything that has moved goes home, but for what must not; no weight, no taboo, any cost."""
    for u in range(b.units.size):
        if b.units[u].mode == MOVED and not b.units[u].must_leave:
            _go(b, p, u, b.units[u].home, -TABU_ROUNDS)
    p.weight_HR.fill(1.0)
    p.tabu_UH.fill(0)
    p.budget[0], p.budget[1] = np.inf, 1.0


@inner
def _raise_weights(b: Board, p: Repair) -> None:
    """What is wrong now counts more."""
    for h in range(b.hosts.size):
        for r in range(RESOURCES):
            is_bound = r != MEMORY or b.hosts[h].needs_memory or b.hosts[h].arrivals > 0
            if is_bound and b.hosts[h].is_up and b.hosts[h].used[r] > b.hosts[h].limit[r]:
                p.weight_HR[h, r] += 0.1
    if p.budget[2] > p.budget[0]:
        p.budget[1] += 0.1


@inlined
def _dear(p: Repair, change_gib: float) -> float:
    """Weighted cost above the budget if the cost changed so much."""
    over_gib = p.budget[2] + change_gib - p.budget[0]
    return COST_SCALE * p.budget[1] * over_gib / p.budget[3] if over_gib > 0 else 0.0


@inlined
def _price(b: Board, u: int, to: int) -> float:
    """By how much the cost of the placement changes when u goes to host `to`."""
    before = b.units[u].cost_gib if b.units[u].mode == MOVED else 0.0
    return (b.units[u].cost_gib if to != b.units[u].home else 0.0) - before


@inner
def _best_change(b: Board, p: Repair, u: int, now: int) -> tuple[float, int, int]:
    """The best change for unit u: (gain, host to go to, unit that comes in exchange or -1)."""
    best, best_to, best_v = -np.inf, NONE, NONE
    h = _place(b, u)
    is_new = b.units[u].home != h
    dear = _dear(p, 0.0)
    left = _wrong(b, p, h, NONE, NONE, KEEP) - _wrong(b, p, h, u, NONE, OUT if is_new else KEEP)
    for to in range(b.hosts.size):
        if to == h or p.tabu_UH[u, to] > now or not _may_stand(b, u, to, NONE):
            continue
        comes_new = IN if b.units[u].home != to else KEEP
        gain = left + _wrong(b, p, to, NONE, NONE, KEEP) - _wrong(b, p, to, NONE, u, comes_new)
        gain += dear - _dear(p, _price(b, u, to))
        if gain > best:
            best, best_to = gain, to
    here = _wrong(b, p, h, NONE, NONE, KEEP)
    for v in range(b.units.size):
        to = _place(b, v)
        if to < 0 or to == h or b.units[v].mode == STAYS or b.units[u].has_vgpu or b.units[v].has_vgpu:
            continue
        if p.tabu_UH[u, to] > now or p.tabu_UH[v, h] > now:
            continue
        new_here = (IN if b.units[v].home != h else KEEP) - (IN if is_new else KEEP)
        new_there = (IN if b.units[u].home != to else 0) - (IN if b.units[v].home != to else KEEP)
        gain = here + _wrong(b, p, to, NONE, NONE, KEEP) + dear
        gain -= _wrong(b, p, h, u, v, new_here) + _wrong(b, p, to, v, u, new_there)
        gain -= _dear(p, _price(b, u, to) + _price(b, v, h))
        if gain > best and _may_stand(b, u, to, v) and _may_stand(b, v, h, u):
            best, best_to, best_v = gain, to, v
    return best, best_to, best_v


@inner
def _may_stand(b: Board, u: int, h: int, leaving: int) -> bool:
    """Whether u may stand on h by R2-R4 and R6 once unit `leaving` has left h; room is another matter."""
    is_home = h == b.units[u].home
    if (is_home and b.units[u].must_leave) or (not is_home and not b.can_UH[u, h]):
        return False
    for i in range(b.units[u].first_member, b.units[u].end_member):
        m = b.member[i]
        for j in range(b.movables[m].first_rule, b.movables[m].end_rule):
            a = b.anti_rule[j]
            count = b.arrived_HA[h, a] if is_home else b.members_HA[h, a]
            if count > 0 and leaving >= 0:
                count -= memberships(b, leaving, a)
            if count > 0:
                return False
    if not b.units[u].has_vgpu or (is_home and b.hosts[h].vgpu_arrivals == 0):
        return True
    wanted_C = b.profiles_HC[h].copy()
    for i in range(b.units[u].first_member, b.units[u].end_member):
        if b.movables[b.member[i]].profile >= 0:
            wanted_C[b.movables[b.member[i]].profile] += 1
    return vgpus_pack(wanted_C, b.slots_GC[b.hosts[h].first_gpu : b.hosts[h].end_gpu])


@inner
def _go(b: Board, p: Repair, u: int, to: int, now: int) -> None:
    """Unit u goes to host `to`, and does not come back soon."""
    source = _place(b, u)
    p.budget[2] += _price(b, u, to)
    p.tabu_UH[u, source] = now + TABU_ROUNDS // 2 + roll(p.dice, TABU_ROUNDS)
    if b.units[u].mode == MOVED:
        unsettle(b, u, source)
    else:
        take_off(b, u)
    if to == b.units[u].home:
        put_back(b, u, FREE)
    else:
        settle(b, u, to)
