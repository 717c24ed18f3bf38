"""The smallest set of facts that blocks every plan of a refused cluster, and what lifting a single one would cost.

Whether some facts block every plan is asked of the search (`search.py`), on a state in which only they are in force.
Every plan that it finds there breaks some of the other facts: every blocking set has one of those. So

1. QuickXplain (Junker, 2004) finds a blocking set from which no fact can be left out;
2. a smallest set with one fact of each broken set is tried as long as that is smaller: where it blocks, or is no
   smaller, the smallest blocking set is found and proven (implicit hitting sets; Ignatiev et al., 2015).

Where the search ends at its limit it counts as "there may be a plan": the set found blocks all the same, but may not
be the smallest, which is then said. Only where it is not even proven that all facts together block every plan, facts
with which the search finds none count as blocking, and what is found is said to be no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..env.model.state import State
from .blocking import RESOURCE_OF, Fact, FactKind
from .questions import Answer, Facts, Moves, QuestionLimits, Questions, most_HR, over
from .search import SearchResult

CHOICES_LIMIT = 20_000  # choices tried for a smallest hitting set


@dataclass(frozen=True)
class Repair:
    """A plan that a single fact forbids.

    Attributes:
        fact: the fact; all others stay in force.
        moves: the plan, as (movable, target host).
        cost_gib: its cost.
        is_cheapest: whether no plan without the fact is cheaper (proven).
        missing: how much of the host's bound the plan uses beyond it, cores or GiB; 0 where the fact is no such bound.
    """

    fact: Fact
    moves: Moves
    cost_gib: float
    is_cheapest: bool
    missing: float


@dataclass(frozen=True)
class Conflict:
    """Why there is no plan.

    Attributes:
        facts: a set that blocks every plan (see `is_proven`); empty where there is a plan.
        is_proven: whether it does; else the search found no plan with these facts in force, and that is all.
        is_smallest: whether it does and no set of fewer facts does (proven).
        repairs: for each single fact without which a plan was found, that plan; cheapest first.
        found: what the search for a plan with all facts in force said.
    """

    facts: tuple[Fact, ...]
    is_proven: bool
    is_smallest: bool
    repairs: tuple[Repair, ...]
    found: SearchResult


def find_conflict(state: State, limits: QuestionLimits | None = None) -> Conflict:
    """The smallest set of facts that blocks every plan for a state, as far as the limits allow."""
    limits = limits or QuestionLimits()
    asked = Questions(state, limits)
    found = asked.solve(asked.everything, limits.first_nodes)
    asked.nodes_left = limits.all_nodes
    if found.moves is not None:
        return Conflict((), False, False, (), found)
    if not found.is_proven_refusal:
        asked.presume()
    start = _start(asked)
    blocking = _explained(asked, frozenset(), [fact for fact in asked.facts if fact in start])
    repairs = _repairs(asked, blocking)  # a fact that is in no blocking set forbids no plan by itself
    smallest, is_smallest = _smallest(asked, blocking)
    facts, is_proven = tuple(fact for fact in asked.facts if fact in smallest), found.is_proven_refusal
    return Conflict(facts, is_proven, is_proven and is_smallest, repairs, found)


def _start(asked: Questions) -> Facts:
    """A set that blocks every plan: hosts without room for one resource already may, else all facts together."""
    for kind in RESOURCE_OF:
        some = frozenset(f for f in asked.facts if f.kind in (kind, FactKind.MAINTENANCE, FactKind.DOWN))
        if asked.answer(some) is Answer.BLOCKED:
            return some
    return asked.everything


def _repairs(asked: Questions, facts: Facts) -> tuple[Repair, ...]:
    """The plans that single facts forbid, cheapest first; up to half of the effort that is left goes into them."""
    repairs = []
    nodes_kept = asked.nodes_left // 2
    for fact in asked.facts:
        rest = asked.everything - {fact}
        if fact in facts and asked.nodes_left > nodes_kept and not asked.is_blocked(rest):
            found = asked.solve(rest, asked.nodes_for(rest))
            if found.moves is not None:
                missing = over(asked.state, fact, most_HR(asked.state, found.moves))
                repairs.append(Repair(fact, found.moves, found.cost_gib, found.is_proven_optimal, missing))
    return tuple(sorted(repairs, key=lambda repair: repair.cost_gib))


def _explained(asked: Questions, kept: Facts, others: Sequence[Fact]) -> Facts:
    """QuickXplain: which of the others are needed beside `kept` to block every plan; all of them together do."""
    if asked.answer(kept) is Answer.BLOCKED:
        return frozenset()
    if len(others) <= 1:
        return frozenset(others)
    half = len(others) // 2
    second = _explained(asked, kept.union(others[:half]), others[half:])
    first = _explained(asked, kept | second, others[:half])
    return first | second


def _smallest(asked: Questions, blocking: Facts) -> tuple[Facts, bool]:
    """The smallest blocking set, or the one at hand; and whether it is proven to be the smallest."""
    while True:
        hitting = _smallest_hitting(asked, asked.broken(), len(blocking))
        if hitting is None:
            return blocking, False
        if len(hitting) >= len(blocking):
            return blocking, True
        answer = asked.answer(hitting)
        if answer is Answer.BLOCKED:
            return hitting, True
        if answer is Answer.UNDECIDED:
            return blocking, False
        _widen(asked, hitting)


def _widen(asked: Questions, in_force: Facts) -> None:
    """Looks for plans that break as few facts as possible, none of `in_force` among them."""
    kept = next(opened for opened in asked.opened if in_force <= opened)
    for fact in asked.facts:
        if fact not in kept and asked.answer(kept | {fact}) is Answer.OPEN:
            kept = next(opened for opened in asked.opened if kept | {fact} <= opened)


def _smallest_hitting(asked: Questions, broken: Sequence[Facts], enough: int) -> Facts | None:
    """A smallest set with a fact of every broken set, first facts first; None where that takes too long.

    Args:
        enough: no set needs to be smaller than this: any of that size is returned.
    """
    tried = 0

    def choose(chosen: Facts, size: int) -> Facts | None:
        nonlocal tried
        tried += 1
        missed = [facts for facts in broken if not facts & chosen]
        if not missed:
            return chosen
        if tried > CHOICES_LIMIT or len(chosen) + len(_disjoint(missed)) > size:
            return None
        for i in asked.ranks(missed[0]):
            if (found := choose(chosen | {asked.facts[i]}, size)) is not None:
                return found
        return None

    for size in range(len(_disjoint(broken)), enough):
        if (found := choose(frozenset(), size)) is not None or tried > CHOICES_LIMIT:
            return found
    return frozenset(asked.facts[:enough])


def _disjoint(sets: Sequence[Facts]) -> list[Facts]:
    """Some of the sets that have nothing in common: a hitting set has a fact for each."""
    found: list[Facts] = []
    for facts in sets:
        if not any(facts & other for other in found):
            found.append(facts)
    return found
