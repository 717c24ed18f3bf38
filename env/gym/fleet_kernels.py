"""A step of many clusters in one compiled call: the twin of `ClusterEnv.step` for all that is not rare.

A cluster stops where Python must do something (see `clock_kernels.py`), besides at the end of its step:

    LOOK   shortlist or features are hard to tell (R7 with vGPUs, or no quick restart plan): Python looks
    LIST   the same after a move of a plan
    PLAN   such a plan goes on: Python takes the action
    FORECAST  a look is due, and Python forecasts demand for it

Python does it and lets the cluster go on. What a cluster puts before the policy goes to its row of the board.
"""

from __future__ import annotations

import numpy as np
from numba.typed import List

from ..model.cluster import CPU, MEMORY, STORAGE
from ..model.compiled import bare, inlined, kernel
from ..world.arrays import Fate
from ..world.clock_kernels import DAY_MINUTES, ENDED, play_on
from ..world.memory_kernels import needed_gib
from .begin_kernels import add_move, begin_into
from .day_tables import block_mean
from .feature_kernels import features_into
from .fleet_arrays import Board, Seat
from .look_arrays import BLOCK_MINUTES, BLOCKS, HA, HA_FREE, MOVES, TREND, WAITING
from .look_kernels import ASK, list_moves_into
from .tick_counter import ticks

LOOK, LIST, PLAN, FORECAST = 3, 4, 5, 8
"""Why a cluster stops, besides ENDED, HAPPEN and START."""
STEP, GO_ON, BEGIN, BOOK, RESUME, FORESEEN = 0, 1, 2, 3, 4, 5
"""Phases: a step with its action; the next round; a day begins; Python has made shortlist and features of a step;
Python has done what was due in the middle of a round, or at its end; demand has been forecast."""
REST, ADVANCE, OFFER, SHOW, ADD = 0, 1, 2, 6, 7
"""Tasks of a cluster, besides LOOK and PLAN: its step is over; time goes on; a shortlist is made; features are."""
QUEUED = int(Fate.QUEUED)
HOUR = BLOCKS * BLOCK_MINUTES


@kernel
def run(seats: List, board: Board, first: int, end: int) -> int:
    """Runs clusters `first` to `end`, each as `board.phase_E` says, to the end of their steps.

    The large kernels are called at one place each: whatever calls them is compiled with all that is in them.

    Returns:
        how many have stopped before that (`board.stop_E` says why).
    """
    stopped = 0
    for e in range(first, end):
        seat = seats[e]
        stop, hard, task = ENDED, LOOK, _begin(seat, board, e)
        if task == ADD:
            hard, task = LIST, OFFER
            _add(seat, board, e)
        while stop == ENDED and task != REST:
            part, started = task, ticks()
            if task == PLAN:
                stop = PLAN
            elif task == ADVANCE:
                _set_end(seat)
                stop = play_on(seat.day, seat.pace, seat.now, seat.log, seat.control[0].until)
                task = _after_round(seat)
            elif task == LOOK and seat.control[0].has_outlook and not seat.control[0].is_foreseen:
                stop = FORECAST
            elif task == LOOK:
                _see(seat)
                hard, task = LOOK, OFFER
            elif task == OFFER:
                count = _offer(seat, board, e)
                stop = hard if count == ASK else ENDED
                task = _after_offer(seat, board, e, count, hard == LIST)
            elif _show(seat, board, e):
                _book(seat, board, e)
                task = REST
            else:
                stop = hard
            board.ticks_P[part] += ticks() - started
        board.stop_E[e] = stop
        stopped += stop != ENDED
    return stopped


@inlined
def _offer(seat: Seat, board: Board, e: int) -> int:
    """Puts a shortlist on the board; `list_moves_into`."""
    movable_K, target_K, kind_K = board.movable_EK[e], board.target_EK[e], board.kind_EK[e]
    return list_moves_into(
        seat.fixed, seat.look, seat.plan, seat.scratch, movable_K, target_K, kind_K, board.mask_ES[e]
    )


@inlined
def _show(seat: Seat, board: Board, e: int) -> bool:
    """Puts the features on the board; `features_into`."""
    movable_K, target_K, kind_K = board.movable_EK[e], board.target_EK[e], board.kind_EK[e]
    mask_S, candidates_SF, context_C = board.mask_ES[e], board.candidates_ESF[e], board.context_EC[e]
    return features_into(
        seat.fixed, seat.look, seat.plan, seat.scratch, movable_K, target_K, kind_K, mask_S, candidates_SF, context_C
    )


@bare
def _begin(seat: Seat, board: Board, e: int) -> int:
    """The first task of a cluster in its phase."""
    phase, action, told = board.phase_E[e], board.action_E[e], board.told_E[e]
    if phase == BOOK:
        _book(seat, board, e)
        return REST
    if phase == FORESEEN:
        return LOOK
    if phase == BEGIN:
        return _after_round(seat)
    if phase == RESUME:
        return ADVANCE if seat.now.clock[0].minute < seat.control[0].until else _after_round(seat)
    if phase == GO_ON:
        return ADVANCE if seat.now.clock[0].minute < DAY_MINUTES else LOOK
    if seat.control[0].is_python:
        return PLAN
    told.moves = 0
    is_move = 0 < action < board.mask_ES.shape[1] and board.mask_ES[e, action]
    told.is_masked_action = action != 0 and not is_move
    if is_move:
        return ADD
    _carry_out(seat, board, e)
    return ADVANCE if seat.now.clock[0].minute < DAY_MINUTES else LOOK


@inlined
def _add(seat: Seat, board: Board, e: int) -> None:
    """Adds the move of the action to the plan."""
    slot, chosen = board.action_E[e] - 1, seat.plan.number_X[MOVES]
    m, target = board.movable_EK[e, slot], board.target_EK[e, slot]
    seat.chosen_L2[chosen, 0], seat.chosen_L2[chosen, 1] = m, target
    add_move(seat.fixed, seat.look, seat.plan, m, target)


@bare
def _set_end(seat: Seat) -> None:
    """Until when time goes on: to the end of the round that has begun, else of the next one."""
    control, minute = seat.control[0], seat.now.clock[0].minute
    if minute >= control.until:
        control.until = min(minute + control.round_minutes, DAY_MINUTES)


@bare
def _after_round(seat: Seat) -> int:
    """What comes after a round: a look, or the next round while moves are under way."""
    clock = seat.now.clock[0]
    is_busy = clock.active > 0 or clock.head < clock.end
    return ADVANCE if is_busy and clock.minute < DAY_MINUTES else LOOK


@bare
def _after_offer(seat: Seat, board: Board, e: int, count: int, is_added: bool) -> int:
    """What comes after a shortlist: the agent chooses, or time goes on."""
    control, is_over = seat.control[0], seat.now.clock[0].minute >= DAY_MINUTES
    has_choice = count > 0 or not control.skips_quiet
    if is_added and (seat.plan.number_X[MOVES] >= control.plan_limit or not has_choice):
        if count != ASK:
            _carry_out(seat, board, e)
        return LOOK if is_over else ADVANCE
    return SHOW if has_choice or is_over else ADVANCE


@inlined
def _see(seat: Seat) -> None:
    """Looks at what telemetry shows now: memory, and demand of the last hour; a plan without moves begins."""
    minute = seat.now.clock[0].minute
    for v in range(seat.need_V.size):
        need_gib = needed_gib(seat.day, v, minute)
        seat.swap_V[v] = 0.0
        if seat.day.slot_V[v] >= 0 and seat.now.host_of_M[v] >= 0:
            usage_gib = min(need_gib, seat.now.physical_V[v])
            seat.swap_V[v] = need_gib - usage_gib
            need_gib = usage_gib + seat.swap_V[v]
        seat.need_V[v] = min(need_gib, seat.day.configured_V[v])
    _see_demand(seat, minute)
    if seat.control[0].has_outlook:
        _foresee(seat)
    minute_of_day = (seat.control[0].first_minute + minute) % DAY_MINUTES
    begin_into(seat.fixed, seat.look, seat.plan, seat.scratch, seat.now.host_of_M, seat.swap_V, minute_of_day)


@bare
def _foresee(seat: Seat) -> None:
    """Puts the forecast in the place of the last hour; `forecast_into`."""
    seat.control[0].is_foreseen = False
    for m in range(seat.forecast_MJB.shape[0]):
        for j in range(2):
            for b in range(BLOCKS):
                seat.look.demand_MJB[m, j, 1 + b] = seat.forecast_MJB[m, j, b] if seat.fixed.is_on_M[m] else 0.0


@bare
def _carry_out(seat: Seat, board: Board, e: int) -> None:
    """Queues the moves of the plan; every one of them was on a shortlist, so the plan is valid."""
    clock, moves = seat.now.clock[0], seat.plan.number_X[MOVES]
    if moves == 0 or clock.minute >= DAY_MINUTES:
        return
    clock.plan += 1
    clock.is_ha_enforced = seat.plan.number_X[HA] != HA_FREE
    for i in range(moves):
        m, row = seat.chosen_L2[i, 0], clock.end + i
        seat.log[row].m = m
        seat.log[row].source = seat.look.home_M[m]
        seat.log[row].target = seat.chosen_L2[i, 1]
        seat.log[row].cost_gib = seat.look.cost_M[m]
        seat.log[row].plan = clock.plan
        seat.log[row].outcome = QUEUED
    clock.end += moves
    board.told_E[e].moves = moves


@bare
def _see_demand(seat: Seat, minute: int) -> None:
    """`outlook_into` from the tables of the day."""
    look, fixed, end = seat.look, seat.fixed, seat.day.history_minutes + minute
    trend_MJ = seat.tables.trend_QMJ[-(-minute // seat.control[0].round_minutes)]
    block_TMJ, first = seat.tables.block_TMJ, (end - HOUR) // BLOCK_MINUTES
    is_tabled = minute % BLOCK_MINUTES == 0  # else the rounds are no multiples of five minutes
    V = seat.need_V.size
    for m in range(look.demand_MR.shape[0]):
        is_on = fixed.is_on_M[m]
        for j in range(2):
            look.demand_MJB[m, j, TREND] = trend_MJ[m, j] if is_on else 0.0
            for b in range(BLOCKS):
                look.demand_MJB[m, j, 1 + b] = block_TMJ[first + b, m, j] if is_on and is_tabled else 0.0
                if is_on and not is_tabled:
                    begin = end - HOUR + b * BLOCK_MINUTES
                    look.demand_MJB[m, j, 1 + b] = block_mean(seat.day.demand_NMJ, m, j, begin)
        look.demand_MR[m, CPU] = look.demand_MJB[m, 0, TREND]
        look.demand_MR[m, MEMORY] = seat.need_V[m] if is_on and m < V else 0.0
        look.demand_MR[m, STORAGE] = look.demand_MJB[m, 1, TREND]


@bare
def _book(seat: Seat, board: Board, e: int) -> None:
    """Gives the reward of the minutes since the last one: cost avoided against the twin, term by term."""
    told, minute, scale = board.told_E[e], seat.now.clock[0].minute, seat.control[0].scale
    twin_4 = seat.twin_Q4[-(-minute // seat.control[0].round_minutes)]
    told.minute = minute
    if not seat.control[0].is_python:
        told.waiting_vms = np.int64(seat.look.figure_X[WAITING])
    reward = 0.0
    for i in range(4):
        told.costs[i], told.twin_costs[i], told.rewards[i] = seat.now.cost_4[i], twin_4[i], 0.0
        if not board.is_new_E[e]:
            own = seat.now.cost_4[i] - seat.booked_24[1, i]
            told.rewards[i] = ((twin_4[i] - seat.booked_24[0, i]) - own) / scale
            reward += told.rewards[i]
            seat.booked_24[0, i], seat.booked_24[1, i] = twin_4[i], seat.now.cost_4[i]
    board.rewards_E[e] = reward
    board.is_over_E[e] = minute >= DAY_MINUTES
