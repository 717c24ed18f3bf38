"""Where the rules let moves lead at all: in cramped clusters so few placements can be reached that all are looked at.

A search over placements finds out which of them are free of contention, not whether any move leads away from the
present one. Here the moves come first: every placement they lead to is looked at, cheapest first (`reach_kernels.py`).
The first that ends a plan is the end of the cheapest plan there is, however often things step aside on the way; where
none does, there is no plan.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..env.model.cluster import NOWHERE
from ..env.model.state import State
from .polish_kernels import polish
from .reach_kernels import END, ENDS, EXHAUSTED, OPEN, SEEN, Walk, walk_on
from .search_board import Board
from .solver import POLISH_WORK

FEW_PLACEMENTS = 100  # so few that it costs next to nothing
MOST_PLACEMENTS = 5_000  # some tens of milliseconds
MANY_PLACEMENTS = 2_000_000  # seconds: for somebody who waits
MOST_BYTES = 256 * 2**20  # that placements may take
PLACEMENT_BYTES = 96  # of one, besides its row
CHEAPER_GIB = 1e-4  # a plan must be cheaper by more than this to count as cheaper
WORK_AT_ONCE = 100_000  # of `walk_on` between two looks at the clock: some milliseconds
WALKABLE_CELLS = 1_000  # hosts times movables: with more, nobody need try to look at all placements


@dataclass(frozen=True)
class Reached:
    """What a walk over placements found.

    Attributes:
        moves: the cheapest plan there is, as (movable, target host) in order; None where none was found.
        cost_gib: its cost.
        is_all: whether all placements were looked at: without moves, there is no plan.
        placements: how many were seen.
    """

    moves: tuple[tuple[int, int], ...] | None
    cost_gib: float
    is_all: bool
    placements: int

    @property
    def refusal(self) -> str | None:
        """Why there is no plan, as a clause; None where one exists, or may exist."""
        if self.moves is not None or not self.is_all:
            return None
        if self.placements == 1:
            return "no move is allowed by the rules as things are (proven)"
        return f"moves can lead to no more than {self.placements:,} placements, and none of them ends a plan (proven)"


def reach(
    state: State,
    start: Board,
    most: int = MOST_PLACEMENTS,
    seconds: float | None = None,
    below_gib: float = np.inf,
) -> Reached:
    """Looks at the placements that moves lead to, until one ends a plan; that is then polished (`polish_kernels.py`).

    Args:
        state: the state before the plan; something in it has to move.
        start: its board; costs are what movables cost there.
        most: placements to remember; fewer where they would take more than `MOST_BYTES`.
        seconds: wall-clock limit, None for none: then the same state always gives the same answer. With none left,
            nothing is looked at.
        below_gib: only plans that cost less are of interest: then "all" is all that cost less.
    """
    began, board, walk = time.perf_counter(), start.copy(), _walk_from(start, most)
    inventory, swap_gib_M = state.inventory, np.zeros(state.inventory.movable_count)
    leaves_M = inventory.is_on_M & (state.host_of_M != NOWHERE) & inventory.is_maintenance_H[state.host_of_M]
    swap_gib_M[: inventory.vm_count] = state.swap_V
    verdict = OPEN
    while verdict == OPEN and (seconds is None or time.perf_counter() - began < seconds):
        verdict = walk_on(board, walk, leaves_M, swap_gib_M, below_gib - CHEAPER_GIB, WORK_AT_ONCE)
    seen, end = int(walk.counts[SEEN]), int(walk.counts[END])
    if verdict != ENDS:
        return Reached(None, 0.0, verdict == EXHAUSTED, seen)
    if end == 0:  # the start itself ends a plan
        return Reached((), 0.0, True, seen)
    moves = np.array(_moves_to(walk, end), dtype=np.int64).T.copy()
    polish(start, moves, moves.shape[1], POLISH_WORK // moves.shape[1])
    return Reached(tuple((int(m), int(h)) for m, h in moves.T), float(walk.cost_gib_N[end]), True, seen)


def hemmed_in(state: State, start: Board, most: int = MOST_PLACEMENTS, seconds: float | None = None) -> str | None:
    """Why there is no plan where moves lead to few placements, as a clause; None where one may exist."""
    return reach(state, start, most, seconds).refusal


def is_walkable(state: State) -> bool:
    """Whether a cluster is small enough that all its placements might be looked at."""
    return state.inventory.host_count * state.inventory.movable_count <= WALKABLE_CELLS


def _walk_from(start: Board, most: int) -> Walk:
    """A walk that has seen the start."""
    may_move_M = start.can_MH.sum(axis=1) > start.can_MH[np.arange(start.movables.size), start.movables["host"]]
    movable_P = np.flatnonzero(may_move_M)
    n = max(1, min(most, MOST_BYTES // (2 * movable_P.size + PLACEMENT_BYTES)))
    walk = Walk(
        movable_P=movable_P,
        place_NP=np.empty((n, movable_P.size), dtype=np.int16),
        cost_gib_N=np.empty(n),
        parent_N=np.full(n, -1, dtype=np.int64),
        key_N=np.empty(n, dtype=np.int64),
        slot_T=np.full(2 ** int(2 * n).bit_length(), -1, dtype=np.int64),
        heap_gib_K=np.empty(2 * n),
        heap_K=np.empty(2 * n, dtype=np.int64),
        counts=np.array([1, 1, NOWHERE, NOWHERE, 0], dtype=np.int64),
    )
    walk.place_NP[0] = start.movables["host"][movable_P]
    walk.cost_gib_N[0], walk.key_N[0], walk.slot_T[0], walk.heap_gib_K[0], walk.heap_K[0] = 0.0, 0, 0, 0.0, 0
    return walk


def _moves_to(walk: Walk, end: int) -> list[tuple[int, int]]:
    """The moves that lead from the start to a placement."""
    moves = []
    while end != 0:
        before = int(walk.parent_N[end])
        p = int(np.flatnonzero(walk.place_NP[end] != walk.place_NP[before])[0])
        moves.append((int(walk.movable_P[p]), int(walk.place_NP[end, p])))
        end = before
    return moves[::-1]
