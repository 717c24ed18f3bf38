"""Moves that are worth their cost on a given demand to come: taken greedily, alone or two at a time.

Serves the clairvoyant planner, which knows that demand, and the learned one, which forecasts it. Greedy over *deeds*: a
single move, a swap, or making room and moving in. Pairs matter: on the true demand they bring the cost of a Bitbrains
day from 31 to 24 % of that of doing nothing, as a nearly full cluster has little to gain by single moves.

Every move keeps R1-R8 by `check_move`, on the estimate by which all plans are judged. VMs that R5 ties to one another
on their host move as one where that can be told (`clumps.py`), else they stay. A host in maintenance is emptied first,
whatever that is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..env.model.clumps import Clumped
from ..env.model.cluster import NOWHERE, Array, BoolArray, HostState
from ..env.model.rules import is_ha_binding
from ..env.model.state import State
from .foresight import Foresight
from .worth_kernels import NO_MOVE, Board, best_deed

PLAN_LIMIT = 8  # moves of one plan: about four minutes of the fifteen of a round
LEAST_WORTH = 1.0  # core-minutes that a deed must win
MOST_BARRED = 64  # deeds that look well and break a rule, before the search of a step is given up


Deed = tuple[tuple[int, int], ...]
"""One or two moves, (m, target), of movables and leads."""


class Choice(NamedTuple):
    """A move of a deed.

    Attributes:
        m, target: what moves where to.
        worth: of the whole deed net of its price, core-minutes; 0 for all of its moves but the first.
        other: the movable of another move of the deed, -1 where there is none.
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
    limits, chosen = limits or WorthLimits(), list[Choice]()
    search, deeds = _Search.of(state, foresight, price_M, settled), 0
    while deeds < limits.deeds and len(chosen) < limits.moves and (state.host_of_M != NOWHERE).any():
        left, here = limits.moves - len(chosen), search.here
        is_leaving_M, is_costly_M = sources(here.state, here.is_free_M, search.foresight.host_cost_H() > 0)
        found = search.deed(is_leaving_M, -np.inf, left) or search.deed(
            is_costly_M, limits.least_worth, left, with_pairs=limits.with_pairs and left > 1
        )
        if found is None:
            break
        chosen += search.choices(*found)
        search = search.after(found[1])
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


@dataclass(frozen=True, eq=False)
class _Search:
    """A cluster and its hour after some deeds.

    Attributes:
        here: the cluster.
        foresight: demand to come, that of a clump on its lead.
        price_M: what moving costs, core-minutes, the same; shape (M,).
        is_ha_enforced: whether R7 binds.
    """

    here: Clumped
    foresight: Foresight
    price_M: Array
    is_ha_enforced: bool

    @staticmethod
    def of(state: State, foresight: Foresight, price_M: Array, settled: frozenset[int]) -> _Search:
        """The search before any deed."""
        here = Clumped.of(state, settled)
        hour, prices_M = foresight.gathered(here.clumps), here.clumps.gathered(price_M)
        return _Search(here, hour, prices_M, is_ha_binding(state))

    def after(self, deed: Deed) -> _Search:
        """The search once a deed is done."""
        here, foresight = self.here, self.foresight
        for m, target in deed:
            here, foresight = here.moved(m, target), foresight.moved(m, target)
        return replace(self, here=here, foresight=foresight)

    def deed(
        self, is_source_M: BoolArray, least_worth: float, moves: int, *, with_pairs: bool = False
    ) -> tuple[float, Deed] | None:
        """The most valuable deed of so many moves that breaks no rule, and its worth; None where none is enough."""
        if not is_source_M.any():
            return None
        board = board_of(self.here, self.foresight, self.price_M, is_source_M, moves)
        barred: list[list[int]] = []
        while len(barred) < MOST_BARRED:
            worth, deed_4 = best_deed(board, least_worth, with_pairs, np.array(barred, dtype=np.int64).reshape(-1, 4))
            if deed_4[0] == NO_MOVE:
                return None
            deed = tuple((int(m), int(h)) for m, h in deed_4.reshape(2, 2) if m != NO_MOVE)
            if self._is_allowed(deed):
                return worth, deed
            barred.append(deed_4.tolist())
        return None

    def choices(self, worth: float, deed: Deed) -> list[Choice]:
        """A deed VM by VM."""
        found: list[Choice] = []
        for i, (m, target) in enumerate(deed):
            vms = [v for v, _ in self.here.clumps.moves(m, target)]
            partner = deed[1 - i][0] if len(deed) > 1 else (*vms, NO_MOVE)[1]
            found += [Choice(v, target, 0.0, partner if v == m else m) for v in vms]
        return [found[0]._replace(worth=worth), *found[1:]]

    def _is_allowed(self, deed: Deed) -> bool:
        """Whether the moves keep R1-R8 one after another."""
        here = self.here
        for i, (m, target) in enumerate(deed):
            # A lone first move is open by R1-R4, R6 and R8 already: only R7 is left to look at.
            if (i or self.is_ha_enforced) and here.check_moves(m, target, is_ha_enforced=self.is_ha_enforced):
                return False
            here = here.moved(m, target)
        return True


def board_of(
    here: Clumped, foresight: Foresight, price_M: Array, is_source_M: BoolArray, moves: int = PLAN_LIMIT
) -> Board:
    """The arrays that the kernel looks at; `moves` is how many a deed may take."""
    state, inventory = here.state, here.state.inventory
    return Board(
        used_HJB=np.ascontiguousarray(foresight.used_HJB),
        demand_MJB=np.ascontiguousarray(foresight.demand_MJB),
        minutes_B=foresight.minutes_B,
        threshold_HJ=np.ascontiguousarray(foresight.threshold_HJ),
        capacity_HJ=np.ascontiguousarray(foresight.capacity_HJ),
        host_of_M=state.host_of_M.astype(np.int64),
        is_source_M=is_source_M,
        is_free_M=here.is_free_M,
        is_open_MH=here.clumps.allowed_moves_MH(state, here.is_free_M),
        may_stand_MH=inventory.is_allowed_MH & inventory.is_up_H,
        estimate_MR=np.nan_to_num(state.demand_MR),
        loaded_HR=np.array(state.used_HR),
        limit_HR=np.array(inventory.limit_HR),
        price_M=np.nan_to_num(price_M),
        size_M=here.clumps.size_M(inventory.movable_count),
        moves=moves,
    )
