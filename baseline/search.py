"""The search for the cheapest valid plan that resolves every contention, all or nothing.

1. Facts that rule out every plan are looked for first (`refusal.py`): they make refusing cheap, and tell why.
2. The cheapest relief of each contended host alone is found exactly. Their sum is a floor under the cost of any plan.
3. Only VMs of contended hosts may move (the *suspected* ones), at the cost of the floor: that is most often enough, and
   then the plan is proven to be the cheapest.
4. All may move. Branch and bound (`placement_kernels.py`) runs under cost limits that rise from the floor: cheap
   plans are searched before dear ones. It takes turns with two searches that find plans in very full clusters:
   randomised greedy ones (`greedy_kernels.py`) and local ones (`repair_kernels.py`). Turn by turn all get more effort.
5. Where cheaper placements were found to which no order of moves leads, detours are tried.
6. Among plans of that cost, one with lower node scores is sought by local search (`polish_kernels.py`).
7. Where few placements can be reached at all, every one of them is looked at (`reachable.py`): very few at once, more
   where no plan was found. That finds the cheapest plan of any number of detours, or proves that there is none.

Effort is counted in nodes, so that a limit on it gives the same plan on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..env.model.cluster import Array
from ..env.model.contention import unresolved_H
from ..env.model.state import State
from .reachable import FEW_PLACEMENTS, hemmed_in, reach
from .refusal import blocking_fact
from .search_tree import EPSILON_GIB
from .solver import Solver

LIMIT_STEPS = (1.0, 1.05, 1.1, 1.2, 1.33, 1.5, 1.75, 2.0, 2.5, 3.0, 5.0, np.inf)  # times the floor
BRANCH_NODES = 300  # for each limit, in the first turn
GREEDY_NODES = 1_500  # in the first turn
REPAIR_NODES = 2_500  # in the first turn
REPAIR_ROUNDS, MOST_REPAIR_ROUNDS = 500, 2_000  # of one local search: in the first turn, and later
TURN_GROWTH = 2
NODES_PER_HOST = 6  # a branch and bound with fewer for each contended host does not get to its first plan
SUSPECT_NODES = 400  # for each contended host
POLISH_SHARE = 0.1  # of the seconds, kept for lowering node scores


@dataclass(frozen=True)
class SearchLimits:
    """When the search gives up.

    Attributes:
        nodes: decisions tried; the same on every machine. A node takes 5 to 10 microseconds at 8-24 hosts.
        seconds: wall-clock limit, None for none: then the same state always gives the same plan.
        seconds_without_plan: the same where no plan has been found by then, None for no other limit.
    """

    nodes: int = 20_000
    seconds: float | None = None
    seconds_without_plan: float | None = None

    def seconds_left(self, began: float) -> float | None:
        """Seconds until the limit for a search that began then, 0 where it has passed; None where there is none."""
        return None if self.seconds is None else max(0.0, self.seconds - (time.perf_counter() - began))

    def __str__(self) -> str:
        nodes = f"{self.nodes:,} nodes"
        return nodes if self.seconds is None else f"{nodes} or {self.seconds:.3g} seconds"


@dataclass(frozen=True)
class SearchResult:
    """What the search found.

    Attributes:
        moves: (movable, target host) in order; None where no plan was found.
        cost_gib: cost of the moves.
        floor_gib: no plan costs less than this.
        is_proven_optimal: no valid plan is cheaper.
        is_proven_refusal: no valid plan exists.
        reason: why there is no plan, or how good it is known to be; a clause for people.
        nodes, seconds: effort.
    """

    moves: tuple[tuple[int, int], ...] | None
    cost_gib: float
    floor_gib: float
    is_proven_optimal: bool
    is_proven_refusal: bool
    reason: str
    nodes: int
    seconds: float

    def with_cheapest(self, moves: tuple[tuple[int, int], ...], cost_gib: float) -> SearchResult:
        """The same effort with a plan that was proven to be the cheapest."""
        known = "no plan is cheaper (proven)"
        return replace(self, moves=moves, cost_gib=cost_gib, floor_gib=cost_gib, is_proven_optimal=True, reason=known)


def search(state: State, limits: SearchLimits | None = None, price_M: Array | None = None) -> SearchResult:
    """The cheapest valid plan for all contentions of a state, or why there is none.

    Args:
        state: the state before the plan.
        limits: when to give up.
        price_M: what moving each movable counts as, GiB, >= 0, shape (M,); None for its migration cost. All costs of
            the result are then sums of prices.
    """
    began, limits = time.perf_counter(), limits or SearchLimits()
    if not unresolved_H(state).any():
        return SearchResult((), 0.0, 0.0, True, False, "nothing has to move", 0, time.perf_counter() - began)
    solver = Solver(state, price_M)
    fact = blocking_fact(state, solver.start) or hemmed_in(
        state, solver.start, FEW_PLACEMENTS, limits.seconds_left(began)
    )
    if fact is not None:
        return SearchResult(None, 0.0, 0.0, False, True, fact, 0, time.perf_counter() - began)
    found = _Search(solver, limits, began).run()
    if found.moves is None and not found.is_proven_refusal:
        found = _where_moves_lead(state, solver, found, limits.seconds_left(began))
    return replace(found, seconds=time.perf_counter() - began)


def _where_moves_lead(state: State, solver: Solver, found: SearchResult, seconds: float | None) -> SearchResult:
    """Step 7 for a search that found no plan, with the seconds that are left: at least those kept for polishing."""
    met = reach(state, solver.start, seconds=seconds)
    if met.moves is not None:
        return found.with_cheapest(met.moves, met.cost_gib)
    return found if met.refusal is None else replace(found, is_proven_refusal=True, reason=met.refusal)


class _Search:
    """One run: which engine works when, and what is known about the cheapest plan."""

    def __init__(self, solver: Solver, limits: SearchLimits, began: float) -> None:
        self.solver, self.limits, self.began = solver, limits, began
        self.searched_gib = 0.0  # no plan without detours is cheaper than this
        solver.is_late = self._is_late

    def run(self) -> SearchResult:
        """Steps 2 to 6."""
        solver = self.solver
        solver.prepare()
        is_closed = self._suspects_suffice() or self._turns()
        if is_closed and solver.could_detour_help:
            solver.lost_gib = np.inf
            is_closed = solver.branch(solver.best_gib, self._nodes_left(), may_detour=True)
            is_closed = is_closed and not solver.could_detour_help
        if is_closed:
            solver.floor_gib = solver.best_gib
        solver.polish()
        is_found = solver.best_moves is not None
        return SearchResult(
            moves=tuple((int(m), int(h)) for m, h in solver.best_moves.T) if solver.best_moves is not None else None,
            cost_gib=solver.best_gib if is_found else 0.0,
            floor_gib=solver.floor_gib,
            is_proven_optimal=is_closed and is_found,
            is_proven_refusal=is_closed and not is_found,
            reason=self._reason(is_closed, is_found),
            nodes=solver.nodes,
            seconds=time.perf_counter() - self.began,
        )

    def _suspects_suffice(self) -> bool:
        """Whether moves of suspected VMs alone give a plan at the cost of the floor."""
        nodes = max(BRANCH_NODES, min(SUSPECT_NODES * self.solver.contended_count, self._nodes_left() // 4))
        self.solver.branch_on_suspects(self.solver.floor_gib + 2 * EPSILON_GIB, nodes)
        return self.solver.best_moves is not None

    def _turns(self) -> bool:
        """The engines in turn; whether no cheaper plan without detours is left to find."""
        turn, is_greedy_useful = 0, True
        while True:
            effort = TURN_GROWTH**turn
            self.solver.shuffle(turn)
            is_worth_it = BRANCH_NODES * effort >= NODES_PER_HOST * self.solver.contended_count
            for limit_gib in self._cost_limits() if is_worth_it else ():
                if self._is_last_branch(limit_gib, BRANCH_NODES * effort):
                    return True
            best_gib = self.solver.best_gib
            if is_greedy_useful:
                self.solver.try_greedy(min(GREEDY_NODES * effort, self._nodes_left()))
                is_greedy_useful = best_gib == np.inf or self.solver.best_gib < best_gib
            rounds = min(REPAIR_ROUNDS * effort, MOST_REPAIR_ROUNDS)
            self.solver.repair(min(REPAIR_NODES * effort, self._nodes_left()), rounds)
            if self._nodes_left() == 0:
                return False
            turn += 1

    def _cost_limits(self) -> Iterator[float]:
        """Limits worth a search, rising to the cost of the best plan; they follow what is found meanwhile."""
        base_gib = max(self.solver.floor_gib, EPSILON_GIB)
        for step in LIMIT_STEPS:
            if self._nodes_left() == 0:
                return
            limit_gib = base_gib * step + 2 * EPSILON_GIB
            if limit_gib >= self.solver.best_gib:
                yield self.solver.best_gib
                return
            if limit_gib > self.searched_gib:
                yield limit_gib

    def _is_last_branch(self, limit_gib: float, nodes: int) -> bool:
        """One branch and bound; whether it shows that nothing cheaper than the best plan is left."""
        solver = self.solver
        if not solver.branch(limit_gib, min(nodes, self._nodes_left())):
            return False
        self.searched_gib = max(self.searched_gib, min(solver.next_gib, solver.best_gib))
        solver.floor_gib = max(solver.floor_gib, min(self.searched_gib, solver.lost_gib))
        return limit_gib > solver.best_gib - EPSILON_GIB or solver.next_gib == np.inf

    def _nodes_left(self) -> int:
        """Nodes that the limits still allow, by the clock at the speed so far."""
        left, spent, seconds = self.limits.nodes - self.solver.nodes, self._spent(), self._seconds()
        if seconds < np.inf:
            left = min(left, int((seconds - spent) / max(spent, 1e-3) * max(self.solver.nodes, 1000)))
        return max(left, 0)

    def _is_late(self) -> bool:
        """Whether the clock says that nothing more is to be begun."""
        seconds = self._seconds()
        return seconds < np.inf and self._spent() > seconds

    def _seconds(self) -> float:
        """Wall-clock limit of the search before polishing, inf for none."""
        limits = [self.limits.seconds]
        if self.solver.best_moves is None:
            limits.append(self.limits.seconds_without_plan)
        return (1 - POLISH_SHARE) * min((seconds for seconds in limits if seconds is not None), default=np.inf)

    def _spent(self) -> float:
        """Wall-clock seconds since the search began."""
        return time.perf_counter() - self.began

    def _reason(self, is_closed: bool, is_found: bool) -> str:
        """What is known about the plan, or why there is none."""
        gap_gib = self.solver.best_gib - self.solver.floor_gib
        if is_found and is_closed:
            return "no plan is cheaper (proven)"
        if is_closed:
            return "every placement leaves a host over its limits (proven by exhaustive search)"
        if self._nodes_left() > 0:  # everything was searched but plans with more than one detour
            if is_found:
                return f"only a plan with several detours could be cheaper, by at most {gap_gib:.1f} GiB"
            return "placements without contention exist, but no order of moves was found that leads to one by the rules"
        if is_found:
            return f"the search ended at its limit of {self.limits}; no plan is cheaper by more than {gap_gib:.1f} GiB"
        return f"no plan was found within the limit of {self.limits}; there may be one"
