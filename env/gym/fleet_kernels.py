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

from ..model.compiled import bare, inlined, kernel
from ..world.arrays import Fate
from ..world.clock_kernels import DAY_MINUTES, ENDED, play_on
from .begin_kernels import add_move, cost_of
from .clump_kernels import NOBODY
from .feature_kernels import show_features
from .fleet_arrays import Board
from .look_arrays import HA, HA_FREE, MOVES, WAITING
from .look_kernels import ASK, list_moves_into
from .seat_kernels import seat_at
from .see_kernels import see
from .tick_counter import ticks

LOOK, LIST, PLAN, FORECAST = 3, 4, 5, 8
"""Why a cluster stops, besides ENDED, HAPPEN and START."""
STEP, GO_ON, BEGIN, BOOK, RESUME, FORESEEN = 0, 1, 2, 3, 4, 5
"""Phases: a step with its action; the next round; a day begins; Python has made shortlist and features of a step;
Python has done what was due in the middle of a round, or at its end; demand has been forecast."""
REST, ADVANCE, OFFER, SHOW, ADD = 0, 1, 2, 6, 7
"""Tasks of a cluster, besides LOOK and PLAN: its step is over; time goes on; a shortlist is made; features are."""
QUEUED = int(Fate.QUEUED)


@kernel
def run(seats: List, boards: List, first: int, end: int) -> int:
    """Runs clusters `first` to `end`, each as `phase_E` of the only board says, to the end of their steps.

    Returns:
        how many have stopped before that (`stop_E` says why).
    """
    stopped = 0
    for e in range(first, end):
        stopped += _run_one(seats, boards, e) != ENDED
    return stopped


@bare
def _run_one(seats: List, boards: List, e: int) -> int:
    """Runs one cluster; returns why it has stopped.

    The large kernels are called at one place each: whatever calls them is compiled with all that is in them.
    """
    board = seat_at(boards, 0)
    stop, hard, task = ENDED, LOOK, _begin(seats, board, e)
    if task == ADD:
        hard, task = LIST, OFFER
        _add(seats, board, e)
    while stop == ENDED and task != REST:
        part, started = task, ticks()
        if task == PLAN:
            stop = PLAN
        elif task == ADVANCE:
            stop = _advance(seats, e)
            task = _after_round(seats, e)
        elif task == LOOK:
            hard, task = LOOK, OFFER
            stop = _see(seats, e)
        elif task == OFFER:
            count = _offer(seats, board, e)
            stop = hard if count == ASK else ENDED
            task = _after_offer(seats, board, e, count, hard == LIST)
        elif _show(seats, board, e):
            _book(seats, board, e)
            task = REST
        else:
            stop = hard
        board.ticks_P[part] += ticks() - started
    board.stop_E[e] = stop
    return stop


@inlined
def _offer(seats: List, board: Board, e: int) -> int:
    """Puts a shortlist on the board; `list_moves_into`."""
    seat = seat_at(seats, e)
    movable_K, target_K, kind_K = board.movable_EK[e], board.target_EK[e], board.kind_EK[e]
    return list_moves_into(
        seat.fixed, seat.look, seat.plan, seat.scratch, movable_K, target_K, kind_K, board.mask_ES[e]
    )


@bare
def _show(seats: List, board: Board, e: int) -> bool:
    """Puts the features on the board; `features_into`."""
    seat = seat_at(seats, e)
    movable_K, target_K, kind_K = board.movable_EK[e], board.target_EK[e], board.kind_EK[e]
    mask_S, candidates_SF, context_C = board.mask_ES[e], board.candidates_ESF[e], board.context_EC[e]
    return show_features(
        seat.fixed, seat.look, seat.plan, seat.scratch, movable_K, target_K, kind_K, mask_S, candidates_SF, context_C
    )


@bare
def _begin(seats: List, board: Board, e: int) -> int:
    """The first task of a cluster in its phase."""
    seat = seat_at(seats, e)
    phase, action, told = board.phase_E[e], board.action_E[e], board.told_E[e]
    if phase == BOOK:
        _book(seats, board, e)
        return REST
    if phase == FORESEEN:
        return LOOK
    if phase == BEGIN:
        return _after_round(seats, e)
    if phase == RESUME:
        return ADVANCE if seat.now.clock[0].minute < seat.control[0].until else _after_round(seats, e)
    if phase == GO_ON:
        return ADVANCE if seat.now.clock[0].minute < DAY_MINUTES else LOOK
    if seat.control[0].is_python:
        return PLAN
    told.moves = 0
    is_move = 0 < action < board.mask_ES.shape[1] and board.mask_ES[e, action]
    told.is_masked_action = action != 0 and not is_move
    if is_move:
        return ADD
    _carry_out(seats, board, e)
    return ADVANCE if seat.now.clock[0].minute < DAY_MINUTES else LOOK


@inlined
def _add(seats: List, board: Board, e: int) -> None:
    """Adds the move of the action to the plan, and those that go with it."""
    seat = seat_at(seats, e)
    slot, chosen = board.action_E[e] - 1, seat.plan.number_X[MOVES]
    m, target = board.movable_EK[e, slot], board.target_EK[e, slot]
    v = m
    while v != NOBODY:
        seat.chosen_L2[chosen, 0], seat.chosen_L2[chosen, 1] = v, target
        v, chosen = seat.look.next_M[v], chosen + 1
    add_move(seat.fixed, seat.look, seat.plan, m, target)


@bare
def _advance(seats: List, e: int) -> int:
    """Lets time go on to the end of the round that has begun, else of the next one; returns why it stopped."""
    seat = seat_at(seats, e)
    control, minute = seat.control[0], seat.now.clock[0].minute
    if minute >= control.until:
        control.until = min(minute + control.round_minutes, DAY_MINUTES)
    return play_on(seat.day, seat.pace, seat.now, seat.log, control.until)


@bare
def _after_round(seats: List, e: int) -> int:
    """What comes after a round: a look, or the next round while moves are under way."""
    seat = seat_at(seats, e)
    clock = seat.now.clock[0]
    is_busy = clock.active > 0 or clock.head < clock.end
    return ADVANCE if is_busy and clock.minute < DAY_MINUTES else LOOK


@bare
def _after_offer(seats: List, board: Board, e: int, count: int, is_added: bool) -> int:
    """What comes after a shortlist: the agent chooses, or time goes on."""
    seat = seat_at(seats, e)
    control, is_over = seat.control[0], seat.now.clock[0].minute >= DAY_MINUTES
    has_choice = count > 0 or not control.skips_quiet
    if is_added and (seat.plan.number_X[MOVES] >= control.plan_limit or not has_choice):
        if count != ASK:
            _carry_out(seats, board, e)
        return LOOK if is_over else ADVANCE
    return SHOW if has_choice or is_over else ADVANCE


@inlined
def _see(seats: List, e: int) -> int:
    """Looks at the cluster; FORECAST where demand must be forecast before, else ENDED."""
    control = seat_at(seats, e).control[0]
    if control.has_outlook and not control.is_foreseen:
        return FORECAST
    see(seats, e)
    return ENDED


@bare
def _carry_out(seats: List, board: Board, e: int) -> None:
    """Queues the moves of the plan; every one of them was on a shortlist, so the plan is valid."""
    seat = seat_at(seats, e)
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
        # Of a clump each VM copies its own memory; the look shows that of all as its lead's.
        seat.log[row].cost_gib = cost_of(seat.fixed, seat.need_V[m] if m < seat.need_V.size else 0.0, m)
        seat.log[row].plan = clock.plan
        seat.log[row].outcome = QUEUED
    clock.end += moves
    board.told_E[e].moves = moves


@bare
def _book(seats: List, board: Board, e: int) -> None:
    """Gives the reward of the minutes since the last one: cost avoided against the twin, term by term."""
    seat = seat_at(seats, e)
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
