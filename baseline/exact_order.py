"""Whether moves can be put in an order, and which few of them make it impossible: the cuts of the exact planner.

A *core* is a set of moves and of units that stay put to which no order of moves leads, wherever everything else goes:
the test leaves all else out of the cluster, which breaks no rule that would hold with it. So one core forbids every
placement that contains it. A *stop* is one further host on the way of a movable (it is parked); a stop of anything that
is not in the core cannot help.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numba import njit

from ..env.model.cluster import BoolArray, IntArray
from .exact_detours import find_detours
from .order_kernels import FOUND, IMPOSSIBLE, UNDECIDED, find_order
from .rule_kernels import is_allowed, shift
from .search_board import NONE, Board

ORDER_TRIES = 50_000  # moves tried for one draft with all choices of its stops
SHRINK_TRIES = 200_000  # moves tried to make one core smaller


@dataclass(frozen=True)
class Draft:
    """Moves without an order.

    Attributes:
        moving: (unit, target host) of what stands elsewhere at the end.
        staying: units that end where they are.
        stops: movables that may stop on the way; one twice in it may stop twice.
    """

    moving: tuple[tuple[int, int], ...]
    staying: tuple[int, ...]
    stops: tuple[int, ...] = ()


class Orders:
    """Answers about orders of moves from one start; what it does is counted in moves tried."""

    def __init__(self, start: Board) -> None:
        self.start = start.copy()
        self.tries = 0
        self._weight = 1 + len(start.failed_SF)  # with R7, a move tried takes longer: so many times, about
        self._home_U = start.units["home"]
        self._placed = np.flatnonzero(self._home_U >= 0)

    def find(self, draft: Draft) -> tuple[int, tuple[tuple[int, int], ...]]:
        """FOUND with (movable, target) in order, IMPOSSIBLE, or UNDECIDED (out of tries).

        Units that are neither moving nor staying are taken out of the cluster.
        """
        absent = self._absent(draft)
        if not draft.stops and self._stuck(draft, absent):
            return IMPOSSIBLE, ()
        most = ORDER_TRIES // self._weight
        tries = np.full(1, most)
        for moves in self._with_stops(draft):
            order = np.empty(len(moves), dtype=np.int64)
            movables, targets = np.array(moves, dtype=np.int64).reshape(-1, 2).T.copy()
            verdict = _find_order_without(self.start, absent, movables, targets, tries, order)
            if verdict != IMPOSSIBLE:
                self.tries += (most - int(tries[0])) * self._weight
                return (FOUND, tuple(moves[i] for i in order)) if verdict == FOUND else (UNDECIDED, ())
        self.tries += (most - int(tries[0])) * self._weight
        return IMPOSSIBLE, ()

    def detours(self, draft: Draft, movables: Iterable[int]) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The same with any number of stops of some movables, where these are few; all others stay or are left out."""
        target_of = dict(self._moves(draft))
        few = np.array(sorted({*movables, *target_of}), dtype=np.int64)
        goals = np.array([target_of.get(m, self.start.movables["host"][m]) for m in few], dtype=np.int64)
        verdict, moves, seen = find_detours(self.start, self._absent(draft), few, goals)
        self.tries += seen * few.size * self._weight
        return verdict, moves

    def core(self, draft: Draft) -> Draft:
        """A small part of an impossible draft that is impossible by itself."""
        stuck = set() if draft.stops else self._stuck(draft, self._absent(draft))
        if stuck:
            draft = replace(draft, moving=tuple(pair for pair in draft.moving if pair[0] in stuck))
        targets = {h for _, h in draft.moving}
        size_U = (self.start.units["demand"] / self.start.hosts["limit"].mean(axis=0)).max(axis=1)
        near = [u for u in draft.staying if self._home_U[u] in targets]
        self._ends_at = self.tries + SHRINK_TRIES
        draft = self._smaller(draft, replace(draft, staying=tuple(sorted(near, key=lambda u: size_U[u]))))
        for u in draft.staying:
            draft = self._smaller(draft, replace(draft, staying=tuple(other for other in draft.staying if other != u)))
        for pair in draft.moving:
            draft = self._smaller(draft, replace(draft, moving=tuple(other for other in draft.moving if other != pair)))
        return draft

    def members(self, units: Iterable[int]) -> list[int]:
        """The movables of some units."""
        rows = self.start.units[list(units)]
        spans = [range(first, end) for first, end in zip(rows["first_member"], rows["end_member"], strict=True)]
        return [int(self.start.member[i]) for span in spans for i in span]

    def warm_up(self) -> None:
        """Asks every question once, so that the kernels are compiled."""
        nothing = Draft((), tuple(int(u) for u in self._placed))
        self.find(nothing)
        self.detours(nothing, self.members(self._placed[:1]))

    def _smaller(self, draft: Draft, part: Draft) -> Draft:
        """The part, if it is impossible too; the draft otherwise."""
        if part.staying == draft.staying and part.moving == draft.moving:
            return draft
        in_part = set(self.members([*part.staying, *(u for u, _ in part.moving)]))
        if self.tries > self._ends_at or not part.moving or not in_part.issuperset(part.stops):
            return draft
        self.tries += len(part.moving)
        return part if self.find(part)[0] == IMPOSSIBLE else draft

    def _absent(self, draft: Draft) -> IntArray:
        """Movables of the units that a draft leaves out."""
        present = {*draft.staying, *(u for u, _ in draft.moving)}
        return np.array(self.members(u for u in self._placed.tolist() if u not in present), dtype=np.int64)

    def _moves(self, draft: Draft) -> list[tuple[int, int]]:
        """(movable, target) of what is moving."""
        return [(m, h) for u, h in draft.moving for m in self.members([u])]

    def _stuck(self, draft: Draft, absent: IntArray) -> set[int]:
        """Units that could not even go if whatever leaves its host went nowhere: each waits for another of them."""
        movables, targets = np.array(self._moves(draft), dtype=np.int64).reshape(-1, 2).T.copy()
        is_stuck = np.ones(movables.size, dtype=np.bool_)
        _find_stuck(self.start, absent, movables, targets, is_stuck)
        return {int(u) for u in self.start.movables["unit"][movables[is_stuck]]}

    def _with_stops(self, draft: Draft) -> Iterator[list[tuple[int, int]]]:
        """The moves with some or all of the stops, few first, at all choices of hosts.

        Of one movable's moves the earlier comes first in the list.
        """
        moves, home_M = self._moves(draft), self.start.movables["host"]
        is_moving = {m for m, _ in moves}
        some = {stops for n in range(len(draft.stops) + 1) for stops in combinations(draft.stops, n)}
        for stops in sorted(some, key=lambda stops: (len(stops), stops)):
            back = [(m, int(home_M[m])) for m in sorted(set(stops) - is_moving)]
            for hosts in product(*(np.flatnonzero(self.start.can_MH[m]).tolist() for m in stops)):
                away = list(zip(stops, hosts, strict=True))
                if all(h != home_M[m] or m in stops[:i] for i, (m, h) in enumerate(away)):
                    yield [*away, *moves, *back]


@njit(cache=True)
def _find_order_without(
    start: Board, absent: IntArray, movables: IntArray, targets: IntArray, tries: IntArray, order: IntArray
) -> int:
    """`find_order` without some movables on the board, which is put back."""
    homes = np.empty(absent.size, dtype=np.int64)
    for i in range(absent.size):
        homes[i] = shift(start, absent[i], NONE)
    verdict = find_order(start, movables, targets, tries, order)
    for i in range(absent.size):
        shift(start, absent[i], homes[i])
    return verdict


@njit(cache=True)
def _find_stuck(start: Board, absent: IntArray, movables: IntArray, targets: IntArray, is_stuck: BoolArray) -> None:
    """Marks the moves that stay forbidden when allowed ones leave the board, again and again; it is put back."""
    homes, sources = np.empty(absent.size, dtype=np.int64), np.empty(movables.size, dtype=np.int64)
    for i in range(absent.size):
        homes[i] = shift(start, absent[i], NONE)
    is_new = True
    while is_new:
        is_new = False
        for i in range(movables.size):
            if is_stuck[i] and is_allowed(start, movables[i], targets[i]):
                sources[i] = shift(start, movables[i], NONE)
                is_stuck[i], is_new = False, True
    for i in range(movables.size):
        if not is_stuck[i]:
            shift(start, movables[i], sources[i])
    for i in range(absent.size):
        shift(start, absent[i], homes[i])
