"""The search for the cheapest valid plan that resolves every contention, all or nothing.

1. Facts that rule out every plan are looked for first (`refusal.py`): they make refusing cheap, and tell why.
2. The cheapest relief of each contended host alone is found exactly. Their sum is a floor under the cost of any plan.
3. Only VMs of contended hosts may move (the *suspected* ones), at the cost of the floor: that is most often enough, and
   then the plan is proven to be the cheapest.
4. All may move. Branch and bound (`placement_kernels.py`) runs under cost limits that rise from the floor: cheap
   plans are searched before dear ones, and a search that ends under a limit raises the floor. Each limit gets few nodes
   at first; sweep after sweep they get more, and the branches another order.
5. Among plans of that cost, one with lower node scores is sought by local search (`polish_kernels.py`).

The nodes of a search are counted, so that a limit on them gives the same plan on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..env.model.contention import unresolved_H
from ..env.model.cost import migration_cost_M
from ..env.model.state import State
from .draft_kernels import take_off
from .placement_kernels import EPSILON_GIB, Tree, explore, tree_of
from .polish_kernels import polish
from .refusal import blocking_fact
from .search_board import FREE, STAYS, WAITS, Board, board_of

LIMIT_STEPS = (1.0, 1.05, 1.1, 1.2, 1.33, 1.5, 1.75, 2.0, 2.5, 3.0, 5.0, np.inf)  # times the floor
FIRST_SWEEP_NODES = 300
SWEEP_GROWTH = 4
RELIEF_NODES = 5_000  # for the cheapest relief of one host
POLISH_WORK = 100_000  # moves replayed for a lower score
NOISE = 0.3  # how much the rank of branches varies in later sweeps


@dataclass(frozen=True)
class SearchLimits:
    """When the search gives up.

    Attributes:
        nodes: decisions tried; the same on every machine. A node takes 5 to 10 microseconds at 8-24 hosts.
        seconds: wall-clock limit, None for none: then the same state always gives the same plan.
    """

    nodes: int = 40_000
    seconds: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """What the search found.

    Attributes:
        moves: (movable, target host) in order; None where no plan was found.
        cost_gib: cost of the moves.
        floor_gib: no plan costs less than this.
        is_proven_optimal: no valid plan is cheaper.
        is_proven_refusal: no valid plan exists.
        reason: why there is no plan, or how good it is known to be; a sentence without its full stop.
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


def search(state: State, limits: SearchLimits | None = None) -> SearchResult:
    """The cheapest valid plan for all contentions of a state, or why there is none."""
    return _Search(state, limits or SearchLimits()).run()


class _Search:
    """One run: the boards, the tree, and what is known so far."""

    def __init__(self, state: State, limits: SearchLimits) -> None:
        self.state, self.limits = state, limits
        self.began = time.perf_counter()
        self.nodes = 0
        self.floor_gib = 0.0
        self.best_gib = np.inf
        self.best: np.ndarray | None = None
        self.lost_gib = np.inf  # cheapest placement that no order of moves leads to

    def run(self) -> SearchResult:
        """All five steps."""
        if not unresolved_H(self.state).any():
            return self._result("nothing has to move", is_closed=True)
        self.start = board_of(self.state)
        fact = blocking_fact(self.state, self.start)
        if fact is not None:
            return self._result(fact, is_closed=True)
        self.board, self.tree = self.start.copy(), tree_of(self.start)
        self._find_floor()
        is_closed = self._suspected_only() or self._sweeps()
        if is_closed and self._could_extras_help():
            is_closed = self._explore(self.best_gib, self._nodes_left(), may_add_extras=True)
        if self.best is not None:
            n = self.best.shape[1]
            polish(self.start, self.best, n, POLISH_WORK // n)
        return self._result(self._reason(is_closed), is_closed=is_closed and not self._could_extras_help())

    def _find_floor(self) -> None:
        """Cheapest relief of each contended host alone, and VMs that must leave in any case."""
        tally, hosts, units = self.tree.tally, self.board.hosts, self.board.units
        for h in np.flatnonzero(hosts["is_contended"] & hosts["is_up"]):
            tally["only_host"] = h
            if self._explore(np.inf, RELIEF_NODES, spent_gib=0.0):
                hosts["least_gib"][h] = tally["limit_gib"][0]
                self.floor_gib += tally["limit_gib"][0]
        tally["only_host"] = -1
        self.must_gib = 0.0
        for u in np.flatnonzero(units["must_leave"]):
            take_off(self.board, u)
            self.tree.waiting[tally["waiting"][0]] = u
            tally["waiting"] += 1
            self.must_gib += float(units["cost_gib"][u])
        self.floor_gib += self.must_gib

    def _suspected_only(self) -> bool:
        """Searches at the cost of the floor, with only the units of contended hosts movable; whether a plan was found."""
        units = self.board.units
        is_suspected_U = self.board.hosts["is_contended"][units["home"]]
        held = (units["mode"] == FREE) & ~is_suspected_U
        units["mode"][held] = STAYS
        self._explore(self.floor_gib + 2 * EPSILON_GIB, FIRST_SWEEP_NODES)
        units["mode"][held] = FREE
        return self.best is not None

    def _sweeps(self) -> bool:
        """Searches with all movable under rising limits; returns whether nothing cheaper is left to find."""
        rng = np.random.default_rng(0)
        for sweep in range(64):
            cap = FIRST_SWEEP_NODES * SWEEP_GROWTH**sweep
            self.tree.tally["is_place_first"], self.tree.tally["is_best_fit"] = sweep % 2, sweep // 2 % 2
            if sweep > 0:
                self.board.units["noise"] = rng.uniform(1 - NOISE, 1 + NOISE, self.board.units.size)
            for limit_gib in self._cost_limits():
                is_complete = self._explore(limit_gib, cap)
                if is_complete:
                    is_last = limit_gib >= self.best_gib or self.best_gib < limit_gib
                    next_gib = float(self.tree.tally["next_gib"][0])
                    self.floor_gib = max(self.floor_gib, min(next_gib, self.best_gib))
                    if is_last or next_gib == np.inf:
                        return True
                if self._is_out_of_time():
                    return False
        return False

    def _cost_limits(self) -> Iterator[float]:
        """Limits still worth a search, rising to the cost of the best plan; they follow what is found meanwhile."""
        base_gib = max(self.floor_gib, EPSILON_GIB)
        for step in LIMIT_STEPS:
            limit_gib = base_gib * step + 2 * EPSILON_GIB
            if limit_gib >= self.best_gib:
                yield self.best_gib
                return
            if limit_gib > self.floor_gib:
                yield limit_gib

    def _explore(
        self, limit_gib: float, nodes: int, *, spent_gib: float | None = None, may_add_extras: bool = False
    ) -> bool:
        """One branch and bound; keeps a better plan, returns whether the search was complete."""
        tally = self.tree.tally
        tally["nodes"], tally["node_limit"] = 0, min(nodes, self._nodes_left())
        tally["limit_gib"], tally["next_gib"], tally["found"], tally["lost_gib"] = limit_gib, np.inf, 0, np.inf
        tally["may_add_extras"] = may_add_extras
        is_complete = explore(self.board, self.tree, self.start, self.must_gib if spent_gib is None else spent_gib)
        self.nodes += int(tally["nodes"][0])
        self.lost_gib = min(self.lost_gib, float(tally["lost_gib"][0]))
        if tally["found"][0] > 0:
            self.best = self.tree.best_moves[:, : tally["found"][0]].copy()
            self.best_gib = float(tally["limit_gib"][0])
        return is_complete

    def _could_extras_help(self) -> bool:
        """Whether a placement without an order was cheaper than the best plan by more than the least further move."""
        return self.lost_gib + float(self.start.movables["cost_gib"].min()) < self.best_gib

    def _nodes_left(self) -> int:
        """Nodes that the limits still allow, by the clock at the speed so far."""
        left = self.limits.nodes - self.nodes
        if self.limits.seconds is not None:
            spent = time.perf_counter() - self.began
            left = min(left, int((self.limits.seconds - spent) / max(spent, 1e-3) * max(self.nodes, 1000)))
        return max(left, 0)

    def _is_out_of_time(self) -> bool:
        return self._nodes_left() == 0

    def _reason(self, is_closed: bool) -> str:
        """What is known about the plan, or why there is none."""
        effort = f"{self.nodes} nodes"
        if self.best is not None:
            return "the cheapest plan" if is_closed else f"within {self.best_gib - self.floor_gib:.2f} GiB of the cheapest"
        if is_closed and self.lost_gib == np.inf:
            return f"no placement keeps every host within its limits (proven, {effort})"
        if self.lost_gib < np.inf:
            return f"a placement exists, but no order of moves to it that keeps the rules was found ({effort})"
        return f"no plan was found within the limit of {effort}; there may be one"

    def _result(self, reason: str, *, is_closed: bool) -> SearchResult:
        """The result as it stands."""
        nothing_to_do = not unresolved_H(self.state).any()
        moves: tuple[tuple[int, int], ...] | None = () if nothing_to_do else None
        if self.best is not None:
            moves = tuple((int(m), int(h)) for m, h in self.best.T)
        cost_M = migration_cost_M(self.state)
        return SearchResult(
            moves=moves,
            cost_gib=float(sum(cost_M[m] for m, _ in moves or ())),
            floor_gib=self.floor_gib,
            is_proven_optimal=is_closed and moves is not None,
            is_proven_refusal=is_closed and moves is None,
            reason=reason,
            nodes=self.nodes,
            seconds=time.perf_counter() - self.began,
        )
