"""Randomised greedy plans, for clusters so full that branch and bound is slow to find its first plan, in numba.

Each try starts with everything at home and takes one move after another that the rules allow there and then, so that
there is a way to wherever it gets: the move that relieves a host most for its cost, where need be after another one
that makes room for it; now and then a random one. Costs are blurred by chance, so that every try is different. Once no
host is over, whatever can go home again does.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..env.model.cluster import CPU, MEMORY, RESOURCES, STORAGE, Array, IntArray
from .draft_kernels import excess, fits, put_back, relief, settle, take_off, unsettle
from .rule_kernels import inner, roll
from .search_board import FREE, MOVED, NONE, STAYS, Board
from .search_tree import Tree, keep_if_ordered

MOVES_PER_TRY = 40  # at most, repeated ones included, or
MOVES_PER_HOST = 8  # so many for every host that is contended at the start, if that is more
UNITS_PER_NODE = 20  # units looked at for a move that count as a node
BLUR = 0.7  # costs of a try are multiplied by 1 - BLUR to 1 + BLUR


@njit(cache=True)
def try_greedy(b: Board, t: Tree, start: Board, dice: IntArray) -> None:
    """One try; a plan cheaper than the limit goes to `t` as in `placement_kernels.explore`.

    Args:
        b: a board like `start`; changed and put back.
        t: receives the plan; its nodes are counted up.
        start: the board before the plan.
        dice: (1,) state of the random numbers.
    """
    tally = t.tally[0]
    price_U = np.empty(b.units.size)
    for u in range(b.units.size):
        price_U[u] = b.units[u].cost_gib * (1 - BLUR + 2 * BLUR * roll(dice, 1 << 20) / (1 << 20))
    is_done = False
    for _ in range(max(MOVES_PER_TRY, MOVES_PER_HOST * b.hosts["is_contended"].sum())):
        host = _over_host(b, dice)
        if host < 0:
            is_done = True
            break
        tally.nodes += 1 + b.units.size // UNITS_PER_NODE
        if not _relieve(b, host, price_U) and not _make_room(b, host, price_U) and not _shuffle(b, host, dice):
            break
    if is_done:
        keep_if_ordered(b, t, start, _go_home(b))
    for u in range(b.units.size):
        if b.units[u].mode == MOVED:
            _move(b, u, b.units[u].home)


@inner
def _is_over(b: Board, h: int) -> bool:
    """Whether something must leave the host."""
    return excess(b, h, CPU) > 0 or excess(b, h, MEMORY) > 0 or excess(b, h, STORAGE) > 0


@inner
def _over_host(b: Board, dice: IntArray) -> int:
    """One of the hosts that are over or in maintenance and not empty, at random, or NONE."""
    chosen, seen = NONE, 0
    for h in range(b.hosts.size):
        if _is_over(b, h) or _must_empty(b, h):
            seen += 1
            if roll(dice, seen) == 0:
                chosen = h
    return chosen


@inner
def _must_empty(b: Board, h: int) -> bool:
    """Whether something that must leave is still on the host."""
    if b.hosts[h].is_up:
        return False
    for i in range(b.hosts[h].first_unit, b.hosts[h].end_unit):
        u = b.by_efficiency_RU[0, i]
        if b.units[u].must_leave and b.units[u].mode == FREE:
            return True
    return False


@inner
def _place(b: Board, u: int) -> int:
    """Where unit u stands."""
    return b.movables[b.member[b.units[u].first_member]].host


@inner
def _move(b: Board, u: int, to: int) -> None:
    """Moves unit u, be it for the first time, again, or home."""
    if b.units[u].mode == MOVED:
        unsettle(b, u, _place(b, u))
    else:
        take_off(b, u)
    if to == b.units[u].home:
        put_back(b, u, FREE)
    else:
        settle(b, u, to)


@inner
def _price(b: Board, u: int, to: int, price_U: Array) -> float:
    """What the move adds to the cost of the placement."""
    if b.units[u].mode == FREE:
        return price_U[u]
    return -price_U[u] if to == b.units[u].home else 0.0


@inner
def _gain(b: Board, host: int, u: int) -> float:
    """How much the leaving of u helps the host."""
    if not b.hosts[host].is_up:
        return 1.0 if b.units[u].must_leave else 0.0
    return relief(b, host, u)


@inner
def _relieve(b: Board, host: int, price_U: Array) -> bool:
    """Makes the allowed move that relieves the host most cheaply; False where there is none."""
    best, best_u, best_to = np.inf, NONE, NONE
    for u in range(b.units.size):
        if b.units[u].mode == STAYS or _place(b, u) != host:
            continue
        gain = _gain(b, host, u)
        if gain <= 0:
            continue
        for to in range(b.hosts.size):
            if to != host and _fits(b, u, to):
                rank = _price(b, u, to, price_U) / gain + 1e-3 * _tightness(b, u, to)
                if rank < best:
                    best, best_u, best_to = rank, u, to
    if best_u >= 0:
        _move(b, best_u, best_to)
    return best_u >= 0


@inner
def _tightness(b: Board, u: int, h: int) -> float:
    """Free share of the scarcest resource of h with u on it: tight hosts first, to keep the others free."""
    room = 1.0
    for r in range(RESOURCES):
        room = min(room, 1 - (b.hosts[h].used[r] + b.units[u].demand[r]) / b.hosts[h].limit[r])
    return room


@inner
def _fits(b: Board, u: int, h: int) -> bool:
    """Whether u may move to h now."""
    if h != b.units[u].home:
        return fits(b, u, h)
    if b.units[u].must_leave or not b.hosts[h].is_up or b.units[u].has_vgpu and b.hosts[h].vgpu_arrivals > 0:
        return False
    for r in range(RESOURCES):
        if b.hosts[h].used[r] + b.units[u].demand[r] > b.hosts[h].limit[r]:
            return False
    for i in range(b.units[u].first_member, b.units[u].end_member):
        m = b.member[i]
        for j in range(b.movables[m].first_rule, b.movables[m].end_rule):
            if b.arrived_HA[h, b.anti_rule[j]] > 0:
                return False
    return True


@inner
def _make_room(b: Board, host: int, price_U: Array) -> bool:
    """Makes the cheapest pair of moves of which the first makes room for the second, which relieves the host."""
    best = np.inf
    best_u, best_to, best_v, best_v_to = NONE, NONE, NONE, NONE
    for u in range(b.units.size):
        if b.units[u].mode == STAYS or _place(b, u) != host:
            continue
        gain = _gain(b, host, u)
        if gain <= 0:
            continue
        for v in range(b.units.size):
            to = _place(b, v)
            if v == u or to == host or to < 0 or b.units[v].mode == STAYS or not b.can_UH[u, to]:
                continue
            rank = (_price(b, u, to, price_U) + max(0.0, _price(b, v, NONE, price_U))) / gain
            if rank >= best or not _would_fit(b, u, to, v):
                continue
            for v_to in range(b.hosts.size):
                if v_to != to and v_to != host and _fits(b, v, v_to):
                    best, best_u, best_to, best_v, best_v_to = rank, u, to, v, v_to
                    break
    if best_u < 0:
        return False
    _move(b, best_v, best_v_to)
    if not _fits(b, best_u, best_to):  # a rule other than room forbids it
        return True
    _move(b, best_u, best_to)
    return True


@inner
def _would_fit(b: Board, u: int, h: int, v: int) -> bool:
    """Whether h has room for u once v has left."""
    for r in range(RESOURCES):
        if b.hosts[h].used[r] + b.units[u].demand[r] - b.units[v].demand[r] > b.hosts[h].limit[r]:
            return False
    return True


@inner
def _shuffle(b: Board, host: int, dice: IntArray) -> bool:
    """A random allowed move of a unit elsewhere, so that room opens up; False where chance finds none."""
    for _ in range(50):
        u, to = roll(dice, b.units.size), roll(dice, b.hosts.size)
        if b.units[u].mode != STAYS and _place(b, u) != to and _place(b, u) >= 0 and to != host and _fits(b, u, to):
            _move(b, u, to)
            return True
    return False


@inner
def _go_home(b: Board) -> float:
    """Sends home whatever fits there, dearest first; returns the cost of what is left."""
    while True:
        best = NONE
        for u in range(b.units.size):
            is_dearer = best < 0 or b.units[u].cost_gib > b.units[best].cost_gib
            if b.units[u].mode == MOVED and is_dearer and _fits(b, u, b.units[u].home):
                best = u
        if best < 0:
            break
        _move(b, best, b.units[best].home)
    cost_gib = 0.0
    for u in range(b.units.size):
        if b.units[u].mode == MOVED:
            cost_gib += b.units[u].cost_gib
    return cost_gib
