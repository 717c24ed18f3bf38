"""Moves that are worth their cost on a given demand to come: taken greedily, alone or two at a time.

Serves the clairvoyant planner, which knows that demand, and the learned one, which forecasts it. Greedy over *deeds*: a
single move, a swap, or making room and moving in. Pairs matter: on the true demand they bring the cost of a Bitbrains
day from 31 to 24 % of that of doing nothing, as a nearly full cluster has little to gain by single moves.

Every move keeps R1-R8 by `check_move`, on the estimate by which all plans are judged; VMs that R5 ties to others on
their host stay. A host in maintenance is emptied first, whatever that is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..env.model.cluster import NOWHERE, Array, BoolArray, HostState
from ..env.model.rules import allowed_moves_MH, bound_M, check_move, is_ha_binding
from ..env.model.state import State
from .foresight import Foresight
from .worth_kernels import NO_MOVE, Board, best_deed

PLAN_LIMIT = 8  # moves of one plan: about four minutes of the fifteen of a round
LEAST_WORTH = 1.0  # core-minutes that a deed must win
MOST_BARRED = 64  # deeds that look well and break a rule, before the search of a step is given up


class Choice(NamedTuple):
    """A move of a deed.

    Attributes:
        m, target: what moves where to.
        worth: of the whole deed net of its price, core-minutes; 0 for the second move of a pair.
        other: the movable of the deed's other move, -1 where there is none.
    """

    m: int
    target: int
    worth: float
    other: int = NO_MOVE


@dataclass(frozen=True)
class WorthLimits:
    """What a search may do.

    Attributes:
        moves: of one plan at most.
        least_worth: core-minutes that a deed must win.
        with_pairs: whether it looks for swaps and for room as well.
        deeds: of one plan at most.
    """

    moves: int = PLAN_LIMIT
    least_worth: float = LEAST_WORTH
    with_pairs: bool = True
    deeds: int = PLAN_LIMIT


def choose_deeds(
    state: State,
    foresight: Foresight,
    price_M: Array,
    limits: WorthLimits | None = None,
    settled: frozenset[int] = frozenset(),
) -> list[Choice]:
    """The moves that are worth their price, the most valuable deed first.

    Args:
        state: the cluster by the estimate that rules judge by.
        foresight: demand to come.
        price_M: what moving each movable costs by itself, core-minutes; shape (M,).
        limits: what the search may do.
        settled: movables that stay, because the plan has moved them already.
    """
    limits = limits or WorthLimits()
    is_free_M = ~bound_M(state) & state.inventory.is_on_M & (state.host_of_M != NOWHERE)
    is_free_M[list(settled)] = False
    is_ha_enforced = is_ha_binding(state)
    chosen: list[Choice] = []
    deeds = 0
    while deeds < limits.deeds and len(chosen) < limits.moves and (state.host_of_M != NOWHERE).any():
        is_leaving_M, is_costly_M = sources(state, is_free_M, foresight.host_cost_H() > 0)
        must_leave = _deed(state, foresight, price_M, is_leaving_M, is_free_M, is_ha_enforced, -np.inf)
        is_pair_short = len(chosen) + 2 <= limits.moves
        deed = must_leave or _deed(
            state,
            foresight,
            price_M,
            is_costly_M,
            is_free_M,
            is_ha_enforced,
            limits.least_worth,
            with_pairs=limits.with_pairs and is_pair_short,
        )
        if not deed:
            break
        for choice in deed:
            state, foresight = state.moved(choice.m, choice.target), foresight.moved(choice.m, choice.target)
            is_free_M[choice.m] = False  # once a plan
        chosen += deed
        deeds += 1
    return chosen


def choice_reason(state: State, choice: Choice) -> str:
    """Why a move is part of the plan, for people.

    Args:
        state: before the plan.
        choice: one of its moves.
    """
    host = state.inventory.hosts[state.host_of_M[choice.m]]
    if host.state is HostState.MAINTENANCE:
        return f"empties {host.id}, which is in maintenance"
    if choice.other == NO_MOVE:
        return f"avoids {choice.worth:.0f} core-minutes net of its cost"
    other = state.inventory.movable_id(choice.other)
    if choice.worth:
        return f"avoids {choice.worth:.0f} core-minutes net of its cost together with that of {other}"
    return f"goes with the move of {other}"


def sources(state: State, is_free_M: BoolArray, is_costly_H: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Free movables on hosts in maintenance, and those on hosts that cost something; each of shape (M,)."""
    is_leaving_M = is_free_M & state.inventory.is_maintenance_H[state.host_of_M]
    return is_leaving_M, is_free_M & is_costly_H[state.host_of_M]


def _deed(
    state: State,
    foresight: Foresight,
    price_M: Array,
    is_source_M: BoolArray,
    is_free_M: BoolArray,
    is_ha_enforced: bool,
    least_worth: float,
    *,
    with_pairs: bool = False,
) -> list[Choice]:
    """The most valuable deed that breaks no rule, one move after another; empty where none is worth enough."""
    if not is_source_M.any():
        return []
    board = board_of(state, foresight, price_M, is_source_M, is_free_M)
    barred: list[list[int]] = []
    while len(barred) < MOST_BARRED:
        worth, deed_4 = best_deed(board, least_worth, with_pairs, np.array(barred, dtype=np.int64).reshape(-1, 4))
        if deed_4[0] == NO_MOVE:
            return []
        moves = [(int(m), int(h)) for m, h in deed_4.reshape(2, 2) if m != NO_MOVE]
        if _is_allowed(state, moves, is_ha_enforced):
            others = [m for m, _ in reversed(moves)] if len(moves) > 1 else [NO_MOVE]
            return [Choice(m, h, worth * (i == 0), others[i]) for i, (m, h) in enumerate(moves)]
        barred.append(deed_4.tolist())
    return []


def board_of(state: State, foresight: Foresight, price_M: Array, is_source_M: BoolArray, is_free_M: BoolArray) -> Board:
    """The arrays that the kernel looks at."""
    inventory = state.inventory
    return Board(
        used_HJB=np.ascontiguousarray(foresight.used_HJB),
        demand_MJB=np.ascontiguousarray(foresight.demand_MJB),
        minutes_B=foresight.minutes_B,
        threshold_HJ=np.ascontiguousarray(foresight.threshold_HJ),
        capacity_HJ=np.ascontiguousarray(foresight.capacity_HJ),
        host_of_M=state.host_of_M.astype(np.int64),
        is_source_M=is_source_M,
        is_free_M=is_free_M,
        is_open_MH=allowed_moves_MH(state),
        may_stand_MH=inventory.is_allowed_MH & inventory.is_up_H,
        estimate_MR=np.nan_to_num(state.demand_MR),
        loaded_HR=np.array(state.used_HR),
        limit_HR=np.array(inventory.limit_HR),
        price_M=np.nan_to_num(price_M),
    )


def _is_allowed(state: State, moves: list[tuple[int, int]], is_ha_enforced: bool) -> bool:
    """Whether the moves keep R1-R8 one after another."""
    for i, (m, target) in enumerate(moves):
        # A lone first move is open by R1-R4, R6 and R8 already: only R7 is left to look at.
        if (i or is_ha_enforced) and check_move(state, m, target, is_ha_enforced=is_ha_enforced):
            return False
        state = state.moved(m, target)
    return True
