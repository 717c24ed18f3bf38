"""Questions to the search: whether some facts block every plan; and what its answers say about other sets of facts.

A set that blocks every plan does so with more facts too. A plan that is found is valid with every fact that it does not
break: it answers for all sets of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from ..env.model.availability import failure_scenarios
from ..env.model.cluster import MEMORY, TOLERANCE, Array
from ..env.model.contention import unresolved_H
from ..env.model.memory import resizes
from ..env.model.plan import Plan, Status, moves_of, validate
from ..env.model.state import State
from .blocking import RESOURCE_OF, Fact, FactKind, facts_of, figures, relaxed
from .reservation_kernels import keeps_reservation
from .search import SearchLimits, SearchResult, search
from .search_board import board_of

Facts = frozenset[Fact]
Moves = tuple[tuple[int, int], ...]

SCENARIOS_PER_NODE = 4  # failures that take about as long to check as a node without them


@dataclass(frozen=True)
class QuestionLimits:
    """When the search for the smallest blocking set gives up.

    Attributes:
        first_nodes: for the question whether all facts together block every plan; not a part of the others.
        nodes: for every other question.
        all_nodes: for all of them together.
        question_nodes: what a question counts beside its nodes.
        room_nodes: for all questions together about the least room that allows a plan.
    """

    first_nodes: int = 40_000
    nodes: int = 10_000
    all_nodes: int = 200_000
    question_nodes: int = 500
    room_nodes: int = 60_000


class Answer(Enum):
    """Whether some facts block every plan."""

    BLOCKED = auto()
    OPEN = auto()
    UNDECIDED = auto()


class Questions:
    """Questions to the search, and what its answers say about other sets of facts."""

    def __init__(self, state: State, limits: QuestionLimits) -> None:
        self.state, self.limits = state, limits
        self.facts = facts_of(state)
        self.everything: Facts = frozenset(self.facts)
        self.blocked: list[Facts] = []
        self.opened: list[Facts] = []  # each as large as one plan allows
        self.undecided: list[Facts] = []
        self.is_presuming = False
        self.nodes_left = limits.all_nodes

    def answer(self, in_force: Facts) -> Answer:
        """Whether some facts block every plan."""
        if self.is_blocked(in_force):
            return Answer.BLOCKED
        if any(in_force <= opened for opened in self.opened):
            return Answer.OPEN
        if in_force in self.undecided or self.nodes_left <= 0:
            return Answer.UNDECIDED
        found = self.solve(in_force, self.nodes_for(in_force))
        if found.moves is not None:
            return Answer.OPEN
        return Answer.BLOCKED if self.is_blocked(in_force) else Answer.UNDECIDED

    def presume(self) -> None:
        """From now on, facts with which the search finds no plan count as blocking."""
        self.is_presuming = True
        self.blocked += self.undecided
        self.undecided = []

    def is_blocked(self, in_force: Facts) -> bool:
        """Whether some facts are known, or presumed, to block every plan."""
        return any(blocked <= in_force for blocked in self.blocked)

    def nodes_for(self, in_force: Facts) -> int:
        """How many nodes a question about these facts may cost."""
        return self.limits.nodes // self._weight(in_force)

    def solve(self, in_force: Facts, nodes: int) -> SearchResult:
        """One search with some facts in force; what it says is kept."""
        found = self.ask(relaxed(self.state, self.facts, in_force), in_force, nodes)
        if found.moves is not None:
            self.opened.append(self._widest(in_force, found.moves))
        else:
            is_blocked = found.is_proven_refusal or self.is_presuming
            (self.blocked if is_blocked else self.undecided).append(in_force)
        return found

    def ask(self, state: State, in_force: Facts, nodes: int) -> SearchResult:
        """One search on a state in which some facts are in force; its effort is counted."""
        found = search(state, SearchLimits(nodes))
        self.nodes_left -= found.nodes * self._weight(in_force) + self.limits.question_nodes
        return found

    def disprove(self, in_force: Facts, moves: Moves) -> None:
        """These facts were presumed to block every plan, and the moves are one."""
        self.blocked = [blocked for blocked in self.blocked if not blocked <= in_force]
        self.opened.append(self._widest(in_force, moves))

    def broken(self) -> list[Facts]:
        """The facts that each plan found breaks, none of them a part of another."""
        sets = sorted({self.everything - opened for opened in self.opened}, key=lambda s: (len(s), self.ranks(s)))
        return [s for i, s in enumerate(sets) if not any(smaller <= s for smaller in sets[:i])]

    def ranks(self, facts: Facts) -> list[int]:
        """Positions of some facts, in order."""
        return [i for i, fact in enumerate(self.facts) if fact in facts]

    def _weight(self, in_force: Facts) -> int:
        """How much longer a node takes with these facts: R7 makes it dearer."""
        if Fact(FactKind.HA) not in in_force:
            return 1
        return 1 + sum(1 for _ in failure_scenarios(self.state)) // SCENARIOS_PER_NODE

    def _widest(self, in_force: Facts, dense: Moves) -> Facts:
        """These facts and all others that the moves, a valid plan with these, do not break."""
        others = [fact for fact in self.facts if fact not in in_force]
        peak_HR = most_HR(self.state, dense)
        ha = [fact for fact in others if fact.kind is FactKind.HA]
        held = [fact for fact in others if fact.kind is not FactKind.HA and over(self.state, fact, peak_HR) == 0]
        return self._kept(self._kept(in_force, held, dense), ha, dense)

    def _kept(self, in_force: Facts, others: Sequence[Fact], dense: Moves) -> Facts:
        """These facts and as many others as may be in force while the moves stay a valid plan."""
        both = in_force.union(others)
        if not self.is_blocked(both) and self._allows(both, dense):
            return both
        if len(others) <= 1:
            return in_force
        half = len(others) // 2
        return self._kept(self._kept(in_force, others[:half], dense), others[half:], dense)

    def _allows(self, in_force: Facts, dense: Moves) -> bool:
        """Whether moves are a valid plan with some facts in force; R7 by its kernel, which is much faster."""
        ha = {fact for fact in in_force if fact.kind is FactKind.HA}
        is_kept = True
        if ha:
            moves_N2 = np.array(dense, dtype=np.int64).reshape(-1, 2)
            is_kept = keeps_reservation(board_of(relaxed(self.state, self.facts, in_force)), moves_N2)
        return is_kept and is_valid(relaxed(self.state, self.facts, in_force - ha), dense)


def is_valid(state: State, dense: Moves) -> bool:
    """Whether some moves are a valid plan that resolves everything."""
    after = state
    for m, target in dense:
        after = after.moved(m, target)
    moves = moves_of(state, dense)
    cost_gib = sum(move.cost_gib for move in moves)
    return not validate(state, Plan("", "", Status.PLANNED, "", (), moves, resizes(state, after), cost_gib))


def most_HR(state: State, dense: Moves) -> Array:
    """The most that rules let be compared with each host's bounds during some moves; shape (H, R).

    What is used after every arrival and, where a contention has to be resolved, in the end; 0 where nothing counts.
    """
    peak_HR = np.zeros_like(state.used_HR)
    counts_memory_H = unresolved_H(state)
    for m, target in dense:
        state = state.moved(m, target)
        peak_HR[target] = np.maximum(peak_HR[target], state.used_HR[target])
    in_the_end_HR = state.used_HR.copy()
    in_the_end_HR[~counts_memory_H, MEMORY] = 0.0
    return np.maximum(peak_HR, in_the_end_HR)


def over(state: State, fact: Fact, peak_HR: Array) -> float:
    """How far that goes beyond a host's bound, cores or GiB; 0 where the fact is no such bound."""
    room = figures(state, fact)
    if room is None:
        return 0.0
    beyond = float(peak_HR[state.inventory.host_index[fact.host], RESOURCE_OF[fact.kind]]) - room.limit
    return beyond if beyond > TOLERANCE * room.limit else 0.0
