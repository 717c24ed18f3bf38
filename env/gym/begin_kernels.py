"""The beginning of a round in numba: what moves would cost, who may move, and who is where before the first of them."""

from __future__ import annotations

import numpy as np

from ..model.cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, TOLERANCE, Array, IntArray
from ..model.compiled import bare, inlined, inner, kernel
from ..world.price import move_price
from .clump_kernels import NOBODY, find_clumps, gather_clumps
from .look_arrays import (
    BLOCKS,
    COST_SHARE,
    EXCESS_BEFORE,
    HA,
    HA_ASK,
    HA_FREE,
    HA_KNOWN,
    IS_SLACK_STALE,
    LEAST_DEMAND,
    LOG_RATIO,
    MEAN_COST,
    MINUTE,
    MOVES,
    SWAPPED,
    TREND,
    WAITING,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
)
from .reserve_kernels import reserve_into


@kernel
def begin_into(
    fixed: LookArrays,
    now: RoundArrays,
    plan: PlanArrays,
    scratch: Scratch,
    host_of_M: IntArray,
    swap_V: Array,
    minute_of_day: int,
    has_clumps: bool,
) -> int:
    """Begins a plan without moves, the demand of each movable being in `now` already.

    Args:
        host_of_M: where everything is, -1 for nowhere.
        swap_V: memory swapped out, GiB.
        minute_of_day: of the clock.
        has_clumps: whether clumps may be moved; else who is tied to another one stays.

    Returns:
        whether R7 binds: `HA_FREE`, `HA_KNOWN` or `HA_ASK`.
    """
    plan.host_of_M[:] = host_of_M
    now.home_M[:] = host_of_M
    now.figure_X[MINUTE] = minute_of_day
    _note_who(fixed, now, host_of_M, swap_V)
    find_clumps(fixed, now, has_clumps)
    _price_moves(fixed, now)
    gather_clumps(fixed, now)
    now.figure_X[LEAST_DEMAND] = _least_demand(now)
    now.own_M4[:, LOG_RATIO] = np.nan
    now.figure_X[EXCESS_BEFORE:] = np.nan
    _note_costs(fixed, now)
    add_up(fixed, now, plan)
    now.before_HJB[:] = plan.used_HJB
    plan.number_X[HA] = HA_FREE
    if fixed.is_guaranteed:
        _order_restarts(fixed, now)
        plan.number_X[HA] = HA_KNOWN
        if fixed.must_pack_gpus or not reserve_into(fixed, now, plan, scratch):
            plan.number_X[HA] = HA_ASK
    return plan.number_X[HA]


@bare
def begin_again(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, news: int, minute_of_day: int) -> None:
    """`begin_into` where but for demand nothing has changed since the last look, at which this plan began.

    Args:
        news: blocks of demand that are new; the others have moved up.
        minute_of_day: of the clock.
    """
    _price_moves(fixed, now)
    gather_clumps(fixed, now)
    now.figure_X[MINUTE] = minute_of_day
    now.figure_X[LEAST_DEMAND] = _least_demand(now)
    now.own_M4[:, LOG_RATIO] = np.nan
    now.figure_X[EXCESS_BEFORE:] = np.nan
    _add_news(now, plan, news)
    plan.is_stale_H[:] = True


@bare
def _least_demand(now: RoundArrays) -> float:
    """What no demand is below: 0, or minus infinity where some is negative."""
    demand_X, negative = now.demand_MJB.reshape(-1), 0
    for i in range(demand_X.size):
        negative += demand_X[i] < 0.0
    return -np.inf if negative > 0 else 0.0


@bare
def _add_news(now: RoundArrays, plan: PlanArrays, news: int) -> None:
    """`add_up` of new blocks and of the trend; memory on each host stays as it is."""
    old = BLOCKS - news
    for h in range(plan.used_HJB.shape[0]):
        for j in range(2):
            for b in range(1, 1 + old):
                plan.used_HJB[h, j, b] = plan.used_HJB[h, j, b + news]
            plan.used_HJB[h, j, 1 + old :] = 0.0
            plan.used_HJB[h, j, TREND] = 0.0
    for m in range(plan.host_of_M.size):
        h = plan.host_of_M[m]
        for j in range(2 if h != NOWHERE else 0):
            plan.used_HJB[h, j, TREND] += now.demand_MJB[m, j, TREND]
            for b in range(1 + old, 1 + BLOCKS):
                plan.used_HJB[h, j, b] += now.demand_MJB[m, j, b]
    for h in range(plan.used_HJB.shape[0]):
        plan.used_HR[h, CPU], plan.used_HR[h, STORAGE] = plan.used_HJB[h, 0, TREND], plan.used_HJB[h, 1, TREND]
        for j in range(2):
            for b in range(1 + BLOCKS):
                now.before_HJB[h, j, b] = plan.used_HJB[h, j, b]


@bare
def _note_who(fixed: LookArrays, now: RoundArrays, host_of_M: IntArray, swap_V: Array) -> None:
    """Who swaps, who may move, and how many wait."""
    waiting, swapped = 0, 0
    for m in range(host_of_M.size):
        is_vm = m < fixed.vm_count
        now.swap_M[m] = swap_V[m] if is_vm and fixed.is_on_M[m] else 0.0
        swapped += now.swap_M[m] > TOLERANCE
        now.is_free_M[m] = fixed.is_on_M[m] and host_of_M[m] != NOWHERE
        waiting += is_vm and fixed.is_on_M[m] and host_of_M[m] == NOWHERE
    now.figure_X[WAITING], now.figure_X[SWAPPED] = waiting, swapped


@bare
def _price_moves(fixed: LookArrays, now: RoundArrays) -> None:
    """What every single move would cost, core-minutes."""
    for m in range(now.price_M.size):
        cost_gib = cost_of(fixed, now.demand_MR[m, MEMORY], m)
        now.price_M[m] = move_price(cost_gib, now.demand_MJB[m, 0, TREND], fixed.pricing)


@bare
def _note_costs(fixed: LookArrays, now: RoundArrays) -> None:
    """What every move would copy, GiB, and what gains are divided by."""
    total_gib, running = 0.0, 0
    for m in range(now.cost_M.size):
        now.cost_M[m] = cost_of(fixed, now.demand_MR[m, MEMORY], m)
        if fixed.is_on_M[m]:
            total_gib += now.cost_M[m]
            running += 1
    mean_gib = total_gib / running if total_gib > 0 else 1.0
    now.figure_X[MEAN_COST] = mean_gib
    for m in range(now.cost_M.size):
        now.root_M[m] = np.sqrt(now.cost_M[m] + COST_SHARE * mean_gib + TOLERANCE)


@inlined
def cost_of(fixed: LookArrays, need_gib: float, m: int) -> float:
    """What moving m copies, GiB, where it needs so much memory; `cost.migration_cost_M`, 0 where that is not known."""
    cost_gib = need_gib + fixed.vgpu_gib_M[m] if m < fixed.vm_count else fixed.session_cost_gib
    return 0.0 if np.isnan(cost_gib) else cost_gib


@bare
def add_up(fixed: LookArrays, now: RoundArrays, plan: PlanArrays) -> None:
    """Adds up what is on each host."""
    plan.used_HR[:] = 0.0
    plan.used_HJB[:] = 0.0
    plan.members_HA[:] = 0
    plan.profiles_HC[:] = 0
    plan.running_H[:] = 0
    plan.moved_gib[0] = 0.0
    plan.number_X[MOVES] = 0
    plan.number_X[IS_SLACK_STALE] = 1
    plan.is_stale_H[:] = True
    for m in range(plan.host_of_M.size):
        if plan.host_of_M[m] != NOWHERE:
            _shift(fixed, now, plan, m, plan.host_of_M[m], 1)


@kernel
def add_move(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int, target: int) -> None:
    """Adds the move of m to `target` to the plan, and those of all that it is the lead of."""
    v = m
    while v != NOBODY:
        _shift(fixed, now, plan, v, plan.host_of_M[v], -1)
        _shift(fixed, now, plan, v, target, 1)
        plan.host_of_M[v] = target
        plan.moved_gib[0] += now.cost_M[v]
        plan.number_X[MOVES] += 1
        v = now.next_M[v]
    plan.number_X[IS_SLACK_STALE] = 1


@inlined
def _shift(fixed: LookArrays, now: RoundArrays, plan: PlanArrays, m: int, h: int, sign: int) -> None:
    """Puts m on host h (sign 1), or takes it off (-1)."""
    plan.is_stale_H[h] = True
    for r in range(RESOURCES):
        plan.used_HR[h, r] += sign * now.demand_MR[m, r]
    for j in range(2):
        for b in range(1 + BLOCKS):
            plan.used_HJB[h, j, b] += sign * now.demand_MJB[m, j, b]
    for i in range(fixed.first_anti_M[m], fixed.first_anti_M[m + 1]):
        plan.members_HA[h, fixed.anti_rule[i]] += sign
    if fixed.profile_M[m] >= 0:
        plan.profiles_HC[h, fixed.profile_M[m]] += sign
    if fixed.is_on_M[m]:
        plan.running_H[h] += sign


@inner
def _order_restarts(fixed: LookArrays, now: RoundArrays) -> None:
    """Who restarts first after a failure: fewest hosts to choose from, then most memory; `headroom.padded_victims`."""
    H = fixed.is_up_H.size
    by_need_V = np.argsort(-now.demand_MR[: fixed.vm_count, MEMORY], kind="mergesort")
    begins = np.zeros(H + 2, dtype=np.int64)
    for v in by_need_V:
        begins[fixed.choices_M[v] + 1] += fixed.is_restarted_M[v]
    for c in range(H + 1):
        begins[c + 1] += begins[c]
    now.restart_order_M[:] = -1
    for v in by_need_V:
        if fixed.is_restarted_M[v]:
            now.restart_order_M[begins[fixed.choices_M[v]]] = v
            begins[fixed.choices_M[v]] += 1
