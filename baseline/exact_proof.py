"""The cheapest plan, proven: OR-tools CP-SAT over final placements, and orders found for them.

1. The search (`search.py`) gives a plan to beat, or none. In small clusters, against the clock, all placements that
   moves lead to are looked at where these are not too many (`reachable.py`); then that is all.
2. CP-SAT seeks the cheapest placement below its cost by all rules that bind the end of a plan (`exact_model.py`).
3. If a failure could not be survived there (R7), restarts after it enter the model. If no order of moves leads there by
   the rules, the few moves and stays that are to blame are cut off (`exact_order.py`), unless something of them is
   parked on the way, which costs a further move. Then again from 2.
4. Once nothing cheaper is left, the plan is proven to be the cheapest; without a plan, that there is none.
5. Among plans of that cost, one with lower node scores is sought by local search, as in `search.py`.

Whatever ends the proof early, the bound that CP-SAT has by then holds. With one worker and a fixed seed, limits on work
(not on seconds) give the same plan on every machine.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from ortools.sat.python import cp_model

from ..env.model.availability import failure_scenarios, restart_hosts
from ..env.model.cluster import TOLERANCE
from ..env.model.contention import unresolved_H
from ..env.model.gpu import profiles_by_host
from ..env.model.memory import resizes
from ..env.model.plan import Plan, Status, moves_of, plan_score, validate
from ..env.model.rules import is_ha_binding
from ..env.model.state import State
from .exact_limits import ExactLimits, ExactResult
from .exact_model import CHEAPER_GIB, OutOfTimeError, PlacementModel
from .exact_order import FOUND, IMPOSSIBLE, UNDECIDED, Draft, Orders
from .exact_solve import solve
from .polish_kernels import polish
from .reachable import MANY_PLACEMENTS, hemmed_in, is_walkable, reach
from .refusal import blocking_fact
from .search import search
from .search_board import STAYS, Board, board_of
from .solver import POLISH_WORK, Solver

STOPS = 2  # parking moves of one plan that are sought; plans with more only count in the bound
FAILURES_AT_ONCE = 24  # that enter the model after one placement
WALK_SHARE = 0.4  # of the seconds left, for looking at all placements
TRIES_PER_WORK = 1_000_000  # moves tried that count as one unit of CP-SAT's deterministic time, about a second


def prove(state: State, limits: ExactLimits | None = None) -> ExactResult:
    """The cheapest valid plan for all contentions of a state and whether that is proven, or why there is none."""
    began, limits = time.perf_counter(), limits or ExactLimits()
    if not unresolved_H(state).any():
        return ExactResult((), 0.0, 0.0, True, True, "nothing has to move", 0, time.perf_counter() - began)
    start = board_of(state)
    fact = blocking_fact(state, start) or hemmed_in(state, start, seconds=limits.seconds)
    if fact is not None:
        return ExactResult(None, 0.0, 0.0, True, False, fact, 0, time.perf_counter() - began)
    return _Proof(state, limits, began).run()


class _Proof:
    """One run: the best plan so far, and what no plan can be cheaper than."""

    def __init__(self, state: State, limits: ExactLimits, began: float) -> None:
        self.state, self.limits, self.began = state, limits, began
        self.start = board_of(state)
        self.orders = Orders(self.start)
        self.first = search(state, limits.search)
        self.best, self.best_gib = self.first.moves, self.first.cost_gib if self.first.moves is not None else np.inf
        self.bound_gib = 0.0
        self.walk_refusal: str | None = None
        self.is_closed_by_model = False
        self.open_gib = np.inf  # no plan to a placement that was given up without proof costs less
        self.placements, self.work = 0, 0.0
        self.covered: set[tuple[int, ...]] = set()

    def run(self) -> ExactResult:
        """Steps 2 to 5."""
        if self._look_at_all():
            return self._result(True)
        try:
            self.model = PlacementModel(self._worth_moving(), self._has_time_left)
        except OutOfTimeError:
            return self._result(self._is_first_proven())
        self.is_ha_binding = is_ha_binding(self.state)
        is_open, is_closed = True, False
        while is_open and not is_closed and self._has_time_left():
            status, bound_gib = self._solve()
            is_open = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
            if is_open:
                self._judge(self.model.draft(self.solver), bound_gib)
            self.bound_gib = max(self.bound_gib, min(bound_gib, self.open_gib, self.best_gib))
            is_closed = self.bound_gib >= self.best_gib - CHEAPER_GIB
        self.is_closed_by_model = is_closed
        return self._result(is_closed or self._is_first_proven())

    def _look_at_all(self) -> bool:
        """Whether all placements that moves lead to were looked at, against the clock; the best plan is kept."""
        seconds = self.limits.seconds
        if seconds is None or self._is_first_proven() or not is_walkable(self.state):
            return False
        met = reach(self.state, self.start, MANY_PLACEMENTS, WALK_SHARE * self._seconds_left(), self.best_gib)
        if met.moves is not None:
            if not self._is_valid(met.moves):
                return False
            self._keep(met.moves)
        elif self.best is None:
            self.walk_refusal = met.refusal
        return met.is_all

    def _worth_moving(self) -> Board:
        """The start with those held that no plan cheaper than the best one moves: it has to pay the floor besides."""
        board = self.start.copy()
        if self.best is not None:
            solver = Solver(self.state)
            solver.prepare()
            units = board.units
            is_needless_U = ~board.hosts["is_contended"][units["home"]] & ~units["must_leave"]
            is_dear_U = units["cost_gib"] + solver.floor_gib > self.best_gib - CHEAPER_GIB
            units["mode"][is_needless_U & is_dear_U] = STAYS
        return board

    def _solve(self) -> tuple[cp_model.CpSolverStatus, float]:
        """Seeks the cheapest placement that may beat the best plan; CP-SAT's status and bound."""
        if self.best is not None:
            self.model.must_cost_less(self.best_gib)
        self.model.minimize()
        self.solver, status = solve(self.model.cp, self._work_left(), self._seconds_left())
        self.work += self.solver.deterministic_time
        if status == cp_model.INFEASIBLE:
            return status, np.inf
        return status, self.model.cost_gib(self.solver.best_objective_bound)

    def _judge(self, draft: Draft, bound_gib: float) -> None:
        """Takes over the plan for a placement, or teaches the model why there is none."""
        self.placements += 1
        if self._is_overfull(draft) or self._is_lost_in_failures(draft):
            return
        is_twice = len(set(draft.stops)) < len(draft.stops)  # the model has no third stop of one movable
        verdict, moves = (UNDECIDED, ()) if len(draft.stops) > STOPS else self.orders.find(draft)
        if verdict == FOUND and self._is_valid(moves):
            self._keep(moves)
        elif verdict == IMPOSSIBLE and not is_twice:
            self._learn(self.orders.core(draft))
        else:
            self._give_up(draft, bound_gib)

    def _keep(self, moves: tuple[tuple[int, int], ...]) -> None:
        """Keeps a valid plan if it is the best so far."""
        cost_gib = plan_score(self.state, moves)[0]
        if cost_gib < self.best_gib:
            self.best, self.best_gib = moves, cost_gib

    def _learn(self, core: Draft) -> None:
        """No plan has this core without further stops, nor with such single ones as are of no help."""
        members = self.orders.members([*core.staying, *(u for u, _ in core.moving)])
        if self.orders.detours(core, members)[0] == IMPOSSIBLE:
            self.model.forbid(core)
            return
        self.model.forbid(core, members)
        for parked in [replace(core, stops=(m,)) for m in members] if not core.stops else []:
            if self.orders.find(parked)[0] == IMPOSSIBLE:
                self.model.forbid(parked, members)

    def _give_up(self, draft: Draft, bound_gib: float) -> None:
        """Leaves a placement aside to which few tries found no order; there may be one, unless all ways are looked at.

        Small clusters allow for that; in others only what stops in the draft may stop on the way.
        """
        verdict, moves = self.orders.detours(draft, range(self.start.movables.size))
        if verdict == UNDECIDED:
            self.open_gib = min(self.open_gib, max(self.bound_gib, bound_gib))
            verdict, moves = self.orders.detours(draft, draft.stops)
        if verdict == FOUND and self._is_valid(moves):
            self._keep(moves)
        self.model.forbid(replace(draft, stops=()))

    def _is_overfull(self, draft: Draft) -> bool:
        """Whether a host is over its limits by what rounding hid from the model, which then knows it."""
        hosts, units = self.start.hosts, self.start.units
        is_over = False
        for h in sorted({h for _, h in draft.moving}):
            coming = tuple(pair for pair in draft.moving if pair[1] == h)
            staying = tuple(u for u in draft.staying if units["home"][u] == h)
            used_R = units["demand"][[u for u, _ in coming] + list(staying)].sum(axis=0)
            if (used_R > hosts["limit"][h] + TOLERANCE**2).any():
                self.model.forbid(Draft(coming, staying))
                is_over = True
        return is_over

    def _is_lost_in_failures(self, draft: Draft) -> bool:
        """Whether a failure cannot be survived at the end (R7); the model then knows it."""
        if not self.is_ha_binding:
            return False
        after = self.state
        for u, h in draft.moving:
            for m in self.orders.members([u]):
                after = after.moved(m, h)
        profiles_H = profiles_by_host(after)
        lost = [failed for failed in failure_scenarios(after) if restart_hosts(after, failed, profiles_H) is None]
        new = [failed for failed in lost if failed not in self.covered]
        for failed in new[:FAILURES_AT_ONCE]:
            self.covered.add(failed)
            self.model.survive(failed)
        if lost and not new:  # by the model they fit; the rule's own search did not find how
            self.model.forbid(draft)
        return bool(lost)

    def _is_valid(self, moves: tuple[tuple[int, int], ...]) -> bool:
        """Whether the one judge of plans lets them pass."""
        after = self.state
        for m, h in moves:
            after = after.moved(m, h)
        made = moves_of(self.state, moves)
        cost_gib = sum(move.cost_gib for move in made)
        plan = Plan("", "", Status.PLANNED, "", moves=made, resizes=resizes(self.state, after), cost_gib=cost_gib)
        return validate(self.state, plan) == ()

    def _is_first_proven(self) -> bool:
        """Whether the search proved its own answer, and nothing changed it."""
        return self.first.is_proven_refusal or (self.first.is_proven_optimal and self.best == self.first.moves)

    def _result(self, is_closed: bool) -> ExactResult:
        """What is known at the end."""
        is_found = self.best is not None
        self.bound_gib = self.best_gib if is_closed and is_found else max(self.bound_gib, self.first.floor_gib)
        return ExactResult(
            moves=self._polished(),
            cost_gib=self.best_gib if is_found else 0.0,
            bound_gib=self.bound_gib if is_found or not is_closed else 0.0,
            is_proven=is_closed,
            is_proven_by_model=self.is_closed_by_model,
            reason=self._reason(is_closed),
            placements=self.placements,
            seconds=time.perf_counter() - self.began,
        )

    def _polished(self) -> tuple[tuple[int, int], ...] | None:
        """The best plan with node scores as low as local search makes them."""
        if self.best is None or self.best == self.first.moves:  # the search polishes what it finds
            return self.best
        moves = np.array(self.best, dtype=np.int64).T.copy()
        polish(self.start, moves, moves.shape[1], POLISH_WORK // moves.shape[1])
        polished = tuple((int(m), int(h)) for m, h in moves.T)
        return polished if self._is_valid(polished) else self.best

    def _reason(self, is_closed: bool) -> str:
        """What is known about the plan, or why there is none; a clause."""
        if self.best is not None:
            if is_closed:
                return f"no plan is cheaper (proven, bound {self.bound_gib:.2f} GiB)"
            return f"the proof ended at {self._end()}; no plan is cheaper than {self.bound_gib:.2f} GiB (bound)"
        if self.first.is_proven_refusal:
            return self.first.reason
        if self.walk_refusal is not None:
            return self.walk_refusal
        if is_closed:
            return "no placement keeps every rule and can be reached by an order of moves (proven by CP-SAT)"
        return (
            f"none was found; the proof ended at {self._end()}, and a plan would cost {self.bound_gib:.2f} GiB or more"
        )

    def _end(self) -> str:
        """What ended the proof."""
        if self._has_time_left():
            return f"plans with more than {STOPS} parking moves"
        return f"its limit of {self.limits}"

    def _has_time_left(self) -> bool:
        """Whether the limits allow more."""
        return self._seconds_left() > 0 and self._work_left() > 0

    def _seconds_left(self) -> float:
        """Seconds that the limits still allow."""
        return np.inf if self.limits.seconds is None else self.limits.seconds - (time.perf_counter() - self.began)

    def _work_left(self) -> float:
        """Work that the limits still allow."""
        return self.limits.work - self.work - self.orders.tries / TRIES_PER_WORK
