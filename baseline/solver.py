"""The engines of the search around one tally of what is known: branch and bound, greedy tries, local search, polish.

`search.py` decides which of them runs when, and for how long.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..env.model.cluster import NOWHERE, Array
from ..env.model.state import State
from .greedy_kernels import try_greedy
from .placement_kernels import evacuate, explore
from .polish_kernels import polish
from .repair_kernels import repair, repair_of
from .search_board import FREE, STAYS, board_of
from .search_tree import EPSILON_GIB, tree_of

RELIEF_NODES = 5_000  # for the cheapest relief of one host
POLISH_WORK = 40_000  # moves replayed for a lower score
NOISE = 0.3  # how much the rank of branches varies when it is shuffled


class Solver:
    """Boards, working memory, and the best plan so far; all costs are prices where those are given.

    Attributes:
        start: the board before the plan.
        contended_count: hosts that ask for moves.
        nodes: effort so far.
        best_moves: movables and targets of the best plan, in order; shape (2, n); None while there is none.
        best_gib: its cost, inf while there is none.
        floor_gib: cheapest relief of every contended host by itself, and what must leave anyway: no plan costs less.
        lost_gib: no placement that was found, but to which no order of moves leads, costs less.
        next_gib: after a complete branch and bound: placements it has not seen cost this or more.
        is_late: asked between pieces of work, and none is begun where it says yes; by default it never does.
    """

    def __init__(self, state: State, price_M: Array | None = None) -> None:
        self.start = board_of(state, price_M)
        self.is_late: Callable[[], bool] = lambda: False
        self.nodes = 0
        self.best_moves: np.ndarray | None = None
        self.best_gib = self.lost_gib = self.next_gib = float("inf")
        self.floor_gib = 0.0
        self.contended_count = int(self.start.hosts["is_contended"].sum())
        self._tree = tree_of(self.start)
        self._dice = np.array([1], dtype=np.int64)
        self._chance = np.random.default_rng(0)

    def prepare(self) -> None:
        """Makes the boards and finds the floor; asked for only where no fact rules out every plan.

        A host whose relief nobody had time to look for adds nothing to the floor, which stays a floor.
        """
        self._draft, self._lifted, self._greedy = self.start.copy(), self.start.copy(), self.start.copy()
        self._evacuated = self.start.copy()
        tally, hosts = self._tree.tally, self._draft.hosts
        self._must_gib = 0.0
        for h in np.flatnonzero(hosts["is_contended"] & hosts["is_up"]):
            tally["only_host"] = h
            if not self.is_late() and self.branch(np.inf, RELIEF_NODES):
                hosts["least_gib"][h] = tally["limit_gib"][0]
                self.floor_gib += float(tally["limit_gib"][0])
        self.best_moves, self.best_gib, tally["only_host"] = None, np.inf, NOWHERE
        self._must_gib = evacuate(self._draft, self._tree, self._lifted, self._evacuated)
        self.floor_gib += self._must_gib
        self._memory = repair_of(self._evacuated, self._must_gib, seed=1)

    def branch(self, limit_gib: float, nodes: int, *, may_detour: bool = False) -> bool:
        """Branch and bound for a plan below a cost; returns whether it was complete."""
        tally = self._reset(limit_gib)
        tally["node_limit"], tally["may_add_extras"] = nodes, may_detour
        is_complete = explore(self._draft, self._tree, self._lifted, self._must_gib)
        self.next_gib = float(tally["next_gib"][0])
        self.lost_gib = min(self.lost_gib, float(tally["lost_gib"][0]))
        self._take_over()
        return is_complete

    def branch_on_suspects(self, limit_gib: float, nodes: int) -> bool:
        """The same with only the units of contended hosts movable."""
        units = self._draft.units
        held_U = (units["mode"] == FREE) & ~self._draft.hosts["is_contended"][units["home"]]
        units["mode"][held_U] = STAYS
        is_complete = self.branch(limit_gib, nodes)
        units["mode"][held_U] = FREE
        self._draft.hosts["is_stale"] = True
        return is_complete

    def shuffle(self, turn: int) -> None:
        """Another order of branches for every turn; the natural one in turn 0."""
        self._tree.tally["is_place_first"], self._tree.tally["is_best_fit"] = turn % 2, turn // 2 % 2
        if turn > 0:
            self._draft.units["noise"] = self._chance.uniform(1 - NOISE, 1 + NOISE, self._draft.units.size)

    def try_greedy(self, nodes: int) -> None:
        """Greedy tries that cost about so many nodes."""
        tally = self._reset(self.best_gib)
        while tally["nodes"][0] < nodes and not self.is_late():
            try_greedy(self._greedy, self._tree, self.start, self._dice)
            tally["nodes"] += 1
        self._take_over()

    def repair(self, nodes: int, rounds: int) -> None:
        """Local searches of so many rounds each that cost about so many nodes."""
        tally = self._reset(self.best_gib)
        while tally["nodes"][0] < nodes and not self.is_late():
            best_moves = np.empty((2, 0), dtype=np.int64) if self.best_moves is None else self.best_moves
            repair(self._evacuated, self._memory, self._tree, self.start, best_moves, rounds)
        self._take_over()

    def polish(self) -> None:
        """Lowers the node scores of the best plan, at the same cost."""
        if self.best_moves is not None:
            n = self.best_moves.shape[1]
            polish(self.start, self.best_moves, n, POLISH_WORK // n)

    @property
    def could_detour_help(self) -> bool:
        """Whether a lost placement was cheaper than the best plan by more than the least further move."""
        return self.lost_gib + float(self.start.movables["cost_gib"].min()) < self.best_gib - EPSILON_GIB

    def _reset(self, limit_gib: float) -> np.ndarray:
        """The tally, ready for an engine."""
        tally = self._tree.tally
        tally["nodes"], tally["found"], tally["limit_gib"] = 0, 0, limit_gib
        tally["next_gib"], tally["lost_gib"] = np.inf, np.inf
        return tally

    def _take_over(self) -> None:
        """Keeps what an engine found, and counts its effort."""
        tally = self._tree.tally
        self.nodes += int(tally["nodes"][0])
        if tally["found"][0] > 0:
            self.best_moves = self._tree.best_moves[:, : tally["found"][0]].copy()
            self.best_gib = float(tally["limit_gib"][0])
