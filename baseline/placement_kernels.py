"""The branch and bound over final placements, in numba.

A node is a draft (see `draft_kernels.py`). The search asks, in this order:

1. Is a host over? Then one of its free units leaves: one branch for each, cheapest relief first; a unit whose branch is
   done stays for good in the branches after it, so that no set of units is tried twice.
2. Does a unit wait? The one with the fewest hosts that can take it goes to each of them in turn, then to hosts that can
   take it only once others have left (make-room chains: 1. sees to it).
3. Otherwise everything fits: an order of the moves is sought, and the plan is kept if it is the cheapest so far.

A node is cut off where its cost and a lower bound reach the limit: the best plan so far, or less where the caller wants
cheap plans only. It is cut off and counted as lost where the moves settled so far wait for one another in a circle, or
break the HA reservation: only further moves could help, of units that need not leave for room's sake ("extras") or by
way of a third host ("parking"). Both are tried when the caller asks for it, for they multiply the branches.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..env.model.cluster import CPU, RESOURCES
from .draft_kernels import IMPOSSIBLE_GIB, bound_with, fits, host_bound, put_back, relief, settle, take_off, unsettle
from .order_kernels import IMPOSSIBLE, find_parking, find_plain_order
from .rule_kernels import KEEP, has_reservation, inner, shift
from .search_board import FREE, NONE, STAYS, Board
from .search_tree import EPSILON_GIB, TRIES_PER_NODE, Tree, keep_if_ordered, list_moves

LEAVE, SETTLE = 0, 1  # what the options of a level are: units that leave, hosts for the unit that waits
PARKING_TRIES = 400  # moves tried for one placement without an order
MAKE_ROOM_KEY = 1e6  # hosts that must make room come after all others


@njit(cache=True)
def explore(b: Board, t: Tree, start: Board, spent_gib: float) -> bool:
    """Searches below the draft on board b; the best plan is left in `t`, the draft as it was.

    Args:
        start: the board before the plan.
        spent_gib: cost of the units that wait already.

    Returns:
        whether the search is complete, that is, not cut short by the node limit.
    """
    tally = t.tally[0]
    depth = KEEP
    _open(b, t, start, depth, spent_gib)
    while True:
        level = t.levels[depth]
        if level.position < level.count and tally.nodes <= tally.node_limit:
            spent_gib = _apply(b, t, start, depth)
            depth += 1
            _open(b, t, start, depth, spent_gib)
            continue
        if level.kind == LEAVE:  # units that stayed for the later branches are free again
            for i in range(level.position):
                b.units[t.options[depth, i]].mode = FREE
                b.hosts[b.units[t.options[depth, i]].home].is_stale = True
        if depth == 0:
            return tally.nodes <= tally.node_limit
        depth -= 1
        _revert(b, t, start, depth)
        t.levels[depth].position += 1


@njit(cache=True)
def evacuate(b: Board, t: Tree, start: Board, refuge: Board) -> float:
    """What must leave starts to wait on the draft b, is lifted off `start`, and settles anywhere on `refuge`.

    Returns:
        what that costs, GiB.
    """
    cost_gib = 0.0
    for u in range(b.units.size):
        if b.units[u].must_leave:
            take_off(b, u)
            _shift_members(start, u, NONE)
            _add_waiting(t, u)
            h = KEEP
            while not b.can_UH[u, h]:
                h += 1
            take_off(refuge, u)
            settle(refuge, u, h)
            cost_gib += b.units[u].cost_gib
    return cost_gib


@inner
def _apply(b: Board, t: Tree, start: Board, depth: int) -> float:
    """Tries the option at hand; returns the cost after it. What waits is lifted off the board `start` as well."""
    level = t.levels[depth]
    option = t.options[depth, level.position]
    if level.kind == LEAVE:
        take_off(b, option)
        _shift_members(start, option, NONE)
        _add_waiting(t, option)
        return level.spent_gib + b.units[option].cost_gib
    settle(b, level.unit, option)
    _shift_members(start, level.unit, b.units[level.unit].home)
    _drop_waiting(t, level.unit)
    return level.spent_gib


@inner
def _revert(b: Board, t: Tree, start: Board, depth: int) -> None:
    """Takes the option at hand back; a unit that has left stays from now on."""
    level = t.levels[depth]
    option = t.options[depth, level.position]
    if level.kind == LEAVE:
        put_back(b, option, STAYS)
        _shift_members(start, option, b.units[option].home)
        _drop_waiting(t, option)
    else:
        unsettle(b, level.unit, option)
        _shift_members(start, level.unit, NONE)
        _add_waiting(t, level.unit)


@inner
def _shift_members(start: Board, u: int, to: int) -> None:
    """Moves the members of a unit on the board before the plan."""
    for i in range(start.units[u].first_member, start.units[u].end_member):
        shift(start, start.member[i], to)


@inner
def _is_reachable(b: Board, t: Tree, start: Board, depth: int) -> bool:
    """Whether the moves settled so far could be put in an order if everything that waits were gone.

    Asked only after a unit has settled on a host that others have left: nowhere else can moves wait for one another.
    """
    level = t.levels[depth]
    if level.kind == LEAVE or b.hosts[t.options[depth, level.position]].departures == 0:
        return True
    n = list_moves(b, t)
    tries, order = np.full(1, 2 * n + 10), np.empty(n, np.int64)
    verdict = find_plain_order(start, t.draft_moves[0, :n], t.draft_moves[1, :n], tries, order)
    t.tally[0].nodes += (2 * n + 10 - tries[0]) // TRIES_PER_NODE
    return verdict != IMPOSSIBLE


@inner
def _add_waiting(t: Tree, u: int) -> None:
    """Unit u waits."""
    t.waiting[t.tally[0].waiting] = u
    t.tally[0].waiting += 1


@inner
def _drop_waiting(t: Tree, u: int) -> None:
    """Unit u waits no longer."""
    last = t.tally[0].waiting - 1
    for i in range(last + 1):
        if t.waiting[i] == u:
            t.waiting[i] = t.waiting[last]
    t.tally[0].waiting = last


@inner
def _open(b: Board, t: Tree, start: Board, depth: int, spent_gib: float) -> None:
    """Enters a node: leaves in `t` what can be tried from here, nothing where it is cut off or a plan was found."""
    tally, level = t.tally[0], t.levels[depth]
    level.count, level.position, level.kind, level.spent_gib = 0, 0, LEAVE, spent_gib
    tally.nodes += 1
    bound_gib, host = _bound(b, tally.only_host)
    if bound_gib == IMPOSSIBLE_GIB or depth + 1 >= t.levels.size:
        return
    if spent_gib + bound_gib > tally.limit_gib - EPSILON_GIB:
        tally.next_gib = min(tally.next_gib, spent_gib + bound_gib)
        return
    if depth > 0 and not tally.may_add_extras and not _is_reachable(b, t, start, depth - 1):
        tally.lost_gib = min(tally.lost_gib, spent_gib + bound_gib)
        return
    is_relief_only = tally.only_host >= 0
    if host >= 0 and (is_relief_only or tally.waiting == 0 or not tally.is_place_first):
        _list_leavers(b, t, depth, host)
    elif is_relief_only:
        tally.limit_gib = spent_gib
    elif tally.waiting > 0:
        _list_hosts(b, t, depth, spent_gib + bound_gib)
    else:
        _finish(b, t, start, spent_gib)
        if tally.may_add_extras and spent_gib < tally.limit_gib - EPSILON_GIB:  # not kept as it is
            _list_extras(b, t, depth)


@inner
def _bound(b: Board, only_host: int) -> tuple[float, int]:
    """Lower bound on the cost to come, and the host to relieve next: one begun before, else the dearest."""
    total_gib, chosen, best = 0.0, NONE, -1.0
    for h in range(b.hosts.size):
        if only_host >= 0 and h != only_host:
            continue
        if b.hosts[h].is_stale:
            b.hosts[h].bound_gib = host_bound(b, h)
            b.hosts[h].is_stale = False
        bound_gib = b.hosts[h].bound_gib
        if bound_gib >= 0:
            total_gib += bound_gib
            rank = bound_gib + (1e9 if b.hosts[h].departures + b.hosts[h].arrivals > 0 else 0.0)
            if rank > best:
                chosen, best = h, rank
    return total_gib, chosen


@inner
def _insert(t: Tree, depth: int, option: int, key: float) -> None:
    """Adds an option, keeping the level sorted by key, stable."""
    i = t.levels[depth].count
    while i > 0 and t.keys[i - 1] > key:
        t.keys[i] = t.keys[i - 1]
        t.options[depth, i] = t.options[depth, i - 1]
        i -= 1
    t.keys[i] = key
    t.options[depth, i] = option
    t.levels[depth].count += 1


@inner
def _list_leavers(b: Board, t: Tree, depth: int, host: int) -> None:
    """Free units that help the host, cheapest relief first."""
    for i in range(b.hosts[host].first_unit, b.hosts[host].end_unit):
        u = b.by_efficiency_RU[CPU, i]
        if b.units[u].mode == FREE:
            gain = relief(b, host, u)
            if gain > 0:
                _insert(t, depth, u, b.units[u].cost_gib / gain * b.units[u].noise)


@inner
def _list_extras(b: Board, t: Tree, depth: int) -> None:
    """Any free unit, cheapest first."""
    for u in range(b.units.size):
        if b.units[u].mode == FREE:
            _insert(t, depth, u, b.units[u].cost_gib * b.units[u].noise)


@inner
def _list_hosts(b: Board, t: Tree, depth: int, least_gib: float) -> None:
    """Hosts for the unit that has the fewest; those that must make room first come last, cheapest first."""
    tally = t.tally[0]
    u = _most_constrained(b, t)
    t.levels[depth].kind, t.levels[depth].unit = SETTLE, u
    for h in range(b.hosts.size):
        if not b.can_UH[u, h]:
            continue
        if fits(b, u, h):
            _insert(t, depth, h, _host_key(b, u, h, tally.is_best_fit))
            continue
        after_gib = bound_with(b, u, h)
        if after_gib == IMPOSSIBLE_GIB:
            continue
        rise_gib = after_gib - max(0.0, b.hosts[h].bound_gib)
        if least_gib + rise_gib > tally.limit_gib - EPSILON_GIB:
            tally.next_gib = min(tally.next_gib, least_gib + rise_gib)
        else:
            _insert(t, depth, h, MAKE_ROOM_KEY + rise_gib)


@inner
def _most_constrained(b: Board, t: Tree) -> int:
    """The waiting unit with the fewest hosts that can take it; the dearest of those."""
    chosen, fewest = NONE, b.hosts.size + 1
    for i in range(t.tally[0].waiting):
        u, count = t.waiting[i], 0
        for h in range(b.hosts.size):
            if count <= fewest and fits(b, u, h):
                count += 1
        if count < fewest or (count == fewest and b.units[u].cost_gib > b.units[chosen].cost_gib):
            chosen, fewest = u, count
    return chosen


@inner
def _host_key(b: Board, u: int, h: int, is_best_fit: bool) -> float:
    """Lower is tried first: the lower node score after the move, or the tighter fit."""
    score, room = 0.0, 1.0
    for r in range(RESOURCES):
        after = b.hosts[h].used[r] + b.units[u].demand[r]
        score += after * b.hosts[h].score_weight[r]
        room = min(room, 1 - after / b.hosts[h].limit[r])
    return room if is_best_fit else score


@inner
def _finish(b: Board, t: Tree, start: Board, spent_gib: float) -> None:
    """Everything fits: keeps the plan, or one with a detour by a third host where the caller wants that."""
    tally = t.tally[0]
    if keep_if_ordered(b, t, start, spent_gib):
        return
    if tally.may_add_extras and (start.failed_SF.size == 0 or has_reservation(b)):
        n = list_moves(b, t)
        tries, out = np.full(1, PARKING_TRIES), np.full((2, n + 2), NONE)
        budget_gib = tally.limit_gib - spent_gib - EPSILON_GIB
        parking_gib = find_parking(start, t.draft_moves[:, :n], budget_gib, tries, out)
        tally.nodes += (PARKING_TRIES - tries[0]) // TRIES_PER_NODE
        if parking_gib < np.inf:
            tally.found = n + 2 if out[0, n + 1] >= 0 else n + 1
            for i in range(tally.found):
                t.best_moves[0, i], t.best_moves[1, i] = out[0, i], out[1, i]
            tally.limit_gib = spent_gib + parking_gib
