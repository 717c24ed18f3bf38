"""The smallest set of facts that blocks every plan of a refused cluster, and what lifting a single one would cost.

Whether some facts block every plan is asked of the search (`search.py`), on a state in which only they are in force.
Every plan that it finds there breaks some of the other facts: every blocking set has one of those. So

1. QuickXplain (Junker, 2004) finds a blocking set from which no fact can be left out;
2. a smallest set with one fact of each broken set is tried as long as that is smaller: where it blocks, or is no
   smaller, the smallest blocking set is found and proven (implicit hitting sets; Ignatiev et al., 2015).

Where the search ends at its limit it counts as "there may be a plan": the set found blocks all the same, but may not
be the smallest, which is then said. Only where it cannot prove that all facts together block every plan, facts with
which it finds none count as blocking, and what is found is said to be no proof.

Whether there is a plan at all is for the planner to say that was asked: where it has proven its refusal, that stands,
whatever the search knows. A planner with a proof of its own (`exact`) is asked whether the facts found block too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..env.model.state import State
from .blocking import RESOURCE_OF, Fact, FactKind, relaxed
from .least_room import Repair, with_least_room
from .questions import Answer, Facts, Moves, QuestionLimits, Questions

CHOICES_LIMIT = 20_000  # choices tried for a smallest hitting set
MOST_PROOFS = 3  # sets of facts that a planner with a proof of its own is asked about

Prover = Callable[[State], tuple[Moves | None, bool]]
"""A plan or None, and whether it is proven that there is none (or none cheaper)."""


@dataclass(frozen=True)
class Conflict:
    """Why there is no plan.

    Attributes:
        facts: a set that blocks every plan (see `is_blocking`); empty where there is a plan.
        is_proven: whether it is proven that there is no plan.
        is_blocking: whether it is proven that the facts block every plan, all others lifted; else no plan was found
            with them in force, and that is all.
        is_smallest: whether they do and no set of fewer facts does (proven).
        repairs: for each single fact without which a plan was found, that plan; cheapest first.
        moves: a plan that exists though a planner refused; None where none is known.
        cost_gib: its cost.
        reason: what the search said of it, a clause; empty where the planner's own answer stands.
    """

    facts: tuple[Fact, ...] = ()
    is_proven: bool = False
    is_blocking: bool = False
    is_smallest: bool = False
    repairs: tuple[Repair, ...] = ()
    moves: Moves | None = None
    cost_gib: float = 0.0
    reason: str = ""


def find_conflict(
    state: State,
    limits: QuestionLimits | None = None,
    *,
    is_refusal_proven: bool | None = None,
    prover: Prover | None = None,
) -> Conflict:
    """The smallest set of facts that blocks every plan for a state, as far as the limits allow.

    Args:
        state: the state before the plan.
        limits: when the questions to the search end.
        is_refusal_proven: whether a planner that looked for a plan has proven that there is none; None where none
            looked for one: then the search is asked.
        prover: of a planner with a proof of its own.
    """
    limits = limits or QuestionLimits()
    asked = Questions(state, limits)
    found = asked.solve(asked.everything, limits.first_nodes)
    asked.nodes_left = limits.all_nodes
    if found.moves is not None:
        return Conflict(moves=found.moves, cost_gib=found.cost_gib)
    if not found.is_proven_refusal:
        asked.presume()
    is_proven = found.is_proven_refusal or bool(is_refusal_proven)
    blocking = _explained(asked, frozenset(), _start(asked))
    lifted = _repairs(asked, blocking)  # a fact that is in no blocking set forbids no plan by itself
    repairs = with_least_room(asked, lifted, is_proven=is_proven)
    smallest, is_blocking, is_smallest = _judged(asked, blocking, prover if is_proven else None)
    facts = tuple(fact for fact in asked.facts if fact in smallest)
    reason = found.reason if is_refusal_proven is None else ""
    is_blocking = is_proven and is_blocking
    return Conflict(facts, is_proven, is_blocking, is_blocking and is_smallest, repairs, reason=reason)


def _judged(asked: Questions, blocking: Facts, prover: Prover | None) -> tuple[Facts, bool, bool]:
    """The smallest blocking set; whether it is proven to block, and to be the smallest if it does."""
    smallest, is_smallest = _smallest(asked, blocking)
    if not asked.is_presuming or prover is None:
        return smallest, not asked.is_presuming, is_smallest
    for _ in range(MOST_PROOFS):
        moves, is_proven = prover(relaxed(asked.state, asked.facts, smallest))
        if moves is None:
            return smallest, is_proven, is_smallest
        asked.disprove(smallest, moves)
        asked.blocked.append(asked.everything)
        blocking = _explained(asked, frozenset(), asked.facts)
        smallest, is_smallest = _smallest(asked, blocking)
    return smallest, False, False


def _start(asked: Questions) -> Sequence[Fact]:
    """A set that blocks every plan: hosts without room for one resource already may, else all facts together."""
    for kind in RESOURCE_OF:
        some = frozenset(f for f in asked.facts if f.kind in (kind, FactKind.MAINTENANCE, FactKind.DOWN))
        if asked.answer(some) is Answer.BLOCKED:
            return [fact for fact in asked.facts if fact in some]
    return asked.facts


def _repairs(asked: Questions, facts: Facts) -> list[Repair]:
    """The plans that single facts forbid; up to half of the effort that is left goes into them."""
    repairs = []
    nodes_kept = asked.nodes_left // 2
    for fact in asked.facts:
        rest = asked.everything - {fact}
        if fact in facts and asked.nodes_left > nodes_kept and not asked.is_blocked(rest):
            found = asked.solve(rest, asked.nodes_for(rest))
            if found.moves is not None:
                repairs.append(Repair(fact, found.moves, found.cost_gib, found.is_proven_optimal))
    return repairs


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
