"""The least room on one host that allows a plan, all else as it is: what `With room for ... more` claims.

A plan found with a bound lifted tells how much it uses beyond it; less may do for another plan. The search is asked
again with less and less room, until it finds none with `STEP` less. Every figure that is told has a valid plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..env.model.cluster import TOLERANCE
from ..env.model.state import State
from .blocking import RESOURCE_OF, Fact, most_room, relaxed, widened
from .questions import Moves, Questions, is_valid, most_HR, over

STEP = 0.01  # cores or GiB: what people read
MOST_QUESTIONS = 20  # for one host: they halve what is open, or try just below what the best plan so far uses
MOST_REPAIRS = 8  # for which the least room is sought, cheapest first: as many as people are shown


@dataclass(frozen=True)
class Repair:
    """A plan that a single fact forbids.

    Attributes:
        fact: the fact; all others stay in force.
        moves: the plan, as (movable, target host).
        cost_gib: its cost.
        is_cheapest: whether no plan is cheaper without the fact; with `missing` room, where it is a bound (proven).
        missing: room beyond the host's bound with which the plan is valid, cores or GiB; 0 where the fact is no bound.
        is_least: whether there is no plan with `STEP` less room (proven); False where the fact is no bound.
    """

    fact: Fact
    moves: Moves
    cost_gib: float
    is_cheapest: bool
    missing: float = 0.0
    is_least: bool = False


def rounded_up(room: float, decimals: int = 2) -> float:
    """The room with few decimals, never less than what is needed but for float noise."""
    return math.ceil(round(room * 10**decimals, 4)) / 10**decimals


def with_least_room(asked: Questions, repairs: Sequence[Repair], *, is_proven: bool) -> tuple[Repair, ...]:
    """The repairs with the least room that was found to do, cheapest first.

    Args:
        asked: who asks the search; it has its own share of effort for this.
        repairs: plans found with a single fact lifted.
        is_proven: whether it is proven that there is no plan without more room.
    """
    kept, asked.nodes_left = asked.nodes_left, asked.limits.room_nodes
    base = relaxed(asked.state, asked.facts, asked.everything)
    narrowed = [_sufficient(base, repair) for repair in sorted(repairs, key=lambda repair: repair.cost_gib)]
    for i, repair in enumerate(narrowed[:MOST_REPAIRS]):
        if repair.fact.kind in RESOURCE_OF:
            narrowed[i] = _narrowed(asked, base, repair, is_proven=is_proven)
    asked.nodes_left = kept
    return tuple(sorted(narrowed, key=lambda repair: repair.cost_gib))


def _sufficient(base: State, repair: Repair) -> Repair:
    """The repair with room with which its plan is valid: what it uses, or all where something else needs it too.

    After a failure (R7) VMs may need the memory to restart, which the plan itself does not use.
    """
    if repair.fact.kind not in RESOURCE_OF:
        return repair
    used = over(base, repair.fact, most_HR(base, repair.moves))
    is_enough = is_valid(widened(base, repair.fact, used), repair.moves)
    return replace(repair, missing=used if is_enough else most_room(base, repair.fact))


def _narrowed(asked: Questions, base: State, repair: Repair, *, is_proven: bool) -> Repair:
    """The repair with the least room, as far as the limits allow."""
    too_little, is_below = 0.0, False
    is_used = repair.missing < most_room(base, repair.fact)  # the plan uses that much: less takes another plan
    for _ in range(MOST_QUESTIONS):
        if _is_narrow(repair, too_little) or asked.nodes_left <= 0:
            break
        is_below = is_used and not is_below
        room = repair.missing - STEP if is_below else (too_little + repair.missing) / 2
        found = asked.ask(widened(base, repair.fact, room), asked.everything, asked.nodes_for(asked.everything))
        if found.moves is None:
            too_little, is_proven = room, is_proven and found.is_proven_refusal
            continue
        used = over(base, repair.fact, most_HR(base, found.moves))
        is_used = too_little < used <= room and is_valid(widened(base, repair.fact, used), found.moves)
        missing = used if is_used else room
        repair = Repair(repair.fact, found.moves, found.cost_gib, found.is_proven_optimal, missing)
    repair = replace(repair, is_least=is_proven and _is_narrow(repair, too_little))
    return _rounded_down(base, repair)


def _rounded_down(base: State, repair: Repair) -> Repair:
    """The repair with a rounder figure where its plan is valid with that too: 20.00 for 20.0002."""
    rounder = math.floor(repair.missing / STEP) * STEP
    is_enough = rounder > 0 and is_valid(widened(base, repair.fact, rounder), repair.moves)
    return replace(repair, missing=rounder) if is_enough else repair


def _is_narrow(repair: Repair, too_little: float) -> bool:
    """Whether the room that does and the room that does not are as close as people read figures."""
    return repair.missing - too_little <= STEP * (1 + TOLERANCE)
