"""The search where somebody waits for the answer: within seconds, a plan or a proof that there is none.

1. Small clusters: `search.py` for a share of the seconds. Most often that ends with a proof.
2. Where it does not: every placement that moves lead to and that costs less, if they are not too many (`reachable.py`).
3. The search, for longer; larger clusters begin here.
4. Where there is no plan yet: the proof by CP-SAT (`exact_proof.py`), unless its model would take too long.

Steps 2 and 4 may find a plan as well as prove that there is none.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ..env.model.cluster import Array
from ..env.model.cost import migration_cost_M
from ..env.model.state import State
from .exact_limits import ExactLimits
from .reachable import MANY_PLACEMENTS, is_walkable, reach
from .search import SearchLimits, SearchResult, search
from .search_board import board_of

NODES = 5_000_000  # beyond what a few seconds allow: with somebody waiting, the clock decides
PROVABLE_CELLS = 10_000  # hosts times movables: with more, the search alone gets all the time
FIRST_SHARE = 0.05  # of the seconds, for a first search in a small cluster
WALK_SHARE = 0.5  # of the seconds left, for looking at placements
SEARCH_SHARE = 0.8  # of the seconds left, for a search without a plan before the proof is asked for
PROOF_NODES = 500  # of the search that the proof starts with: the long one has been
LEAST_SECONDS = 0.05  # with less, nothing more is asked


def search_in_time(state: State, seconds: float, price_M: Array | None = None) -> SearchResult:
    """The cheapest valid plan within some seconds, or why there is none, and whether that is proven.

    Args:
        state: the state before the plan.
        seconds: wall-clock limit.
        price_M: what moving each movable counts as, as in `search`.
    """
    deadline = time.perf_counter() + seconds
    is_provable = state.inventory.host_count * state.inventory.movable_count <= PROVABLE_CELLS
    share, first = SEARCH_SHARE if is_provable else 1.0, None
    if is_walkable(state):
        first = search(state, SearchLimits(NODES, FIRST_SHARE * seconds), price_M)
        if not _is_certain(first):
            first = _walked(state, first, WALK_SHARE * _left(deadline), price_M)
        if _is_certain(first) or _left(deadline) < LEAST_SECONDS:
            return first
    left = _left(deadline)
    found = search(state, SearchLimits(NODES, left, share * left), price_M)
    if first is not None and first.moves is not None and (found.moves is None or first.cost_gib < found.cost_gib):
        return first
    if found.moves is not None or found.is_proven_refusal or not is_provable or _left(deadline) < LEAST_SECONDS:
        return found
    return _proven(state, found, _left(deadline), price_M)


def _is_certain(found: SearchResult) -> bool:
    """Whether the plan is the cheapest, or there is none."""
    return found.is_proven_optimal or found.is_proven_refusal


def _left(deadline: float) -> float:
    """Seconds until then."""
    return max(0.0, deadline - time.perf_counter())


def _walked(state: State, found: SearchResult, seconds: float, price_M: Array | None) -> SearchResult:
    """What looking at all placements brings; what was found where it does not come to an end."""
    below_gib = np.inf if found.moves is None else found.cost_gib
    met = reach(state, board_of(state, price_M), MANY_PLACEMENTS, seconds, below_gib)
    if met.moves is not None:
        return found.with_cheapest(met.moves, met.cost_gib)
    if found.moves is not None:
        return found.with_cheapest(found.moves, found.cost_gib) if met.is_all else found
    return found if met.refusal is None else replace(found, is_proven_refusal=True, reason=met.refusal)


def _proven(state: State, found: SearchResult, seconds: float, price_M: Array | None) -> SearchResult:
    """What CP-SAT makes of it; imported here, so that nobody waits for OR-tools who does not need it."""
    from .exact_proof import prove

    proof = prove(state, ExactLimits(np.inf, seconds, SearchLimits(PROOF_NODES, seconds)))
    if proof.moves is None:
        return replace(found, is_proven_refusal=True, reason=proof.reason) if proof.is_proven else found
    cost_M = migration_cost_M(state) if price_M is None else price_M
    cost_gib = float(cost_M[[m for m, _ in proof.moves]].sum())
    is_cheapest = proof.is_proven and price_M is None
    return replace(found, moves=proof.moves, cost_gib=cost_gib, is_proven_optimal=is_cheapest, reason=proof.reason)
