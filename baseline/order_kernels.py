"""Finding an order in which given moves can be carried out, each state in between keeping R1-R4 and R6-R8.

A depth-first search over the sets of moves already done; a set that led nowhere is remembered by its hash and not
entered again. Of two moves of one movable (it is parked on the way) the earlier in the list comes first.
"""

from __future__ import annotations

import numpy as np

from ..env.model.cluster import BoolArray, IntArray
from .rule_kernels import IN, KEEP, has_reservation, inner, is_allowed, shift
from .search_board import NONE, Board

TABLE = 1024  # remembered sets; a power of two
SMALL = 20_000  # failures times `ha` VMs up to which asking for R7 takes no longer than a few tries
FOUND, IMPOSSIBLE, UNDECIDED = 1, 0, -1


@inner
def find_order(start: Board, movables: IntArray, targets: IntArray, tries: IntArray, order: IntArray) -> int:
    """Fills `order` with an order of the moves that keeps the rules all the way.

    Args:
        start: the board before the plan; changed and put back.
        movables, targets: the moves.
        tries: (1,): moves to try before giving up; what is left of them afterwards.
        order: receives positions in `movables`.

    Returns:
        FOUND, IMPOSSIBLE (no order exists), or UNDECIDED (out of tries).
    """
    verdict = _find_order(start, movables, targets, tries, order, False)
    if verdict != FOUND or start.failed_SF.size == 0 or _keeps_reservation(start, movables, targets, order):
        return verdict
    return _find_order(start, movables, targets, tries, order, True)


@inner
def find_plain_order(start: Board, movables: IntArray, targets: IntArray, tries: IntArray, order: IntArray) -> int:
    """`find_order` that asks for R7 only where that does not take long: what it finds is a hint, no plan."""
    is_ha_asked = 0 < start.failed_SF.shape[0] * start.restart_order.size <= SMALL
    verdict = _find_order(start, movables, targets, tries, order, False)
    if verdict != FOUND or not is_ha_asked or _keeps_reservation(start, movables, targets, order):
        return verdict
    return _find_order(start, movables, targets, tries, order, True)


@inner
def _keeps_reservation(start: Board, movables: IntArray, targets: IntArray, order: IntArray) -> bool:
    """Whether the HA reservation holds after every move, in this order."""
    n = movables.size
    sources = np.empty(n, dtype=np.int64)
    done, is_kept = 0, True
    while done < n and is_kept:
        sources[done] = shift(start, movables[order[done]], targets[order[done]])
        done += 1
        is_kept = has_reservation(start)
    while done > 0:
        done -= 1
        shift(start, movables[order[done]], sources[done])
    return is_kept


@inner
def _find_order(
    start: Board, movables: IntArray, targets: IntArray, tries: IntArray, order: IntArray, is_ha_asked: bool
) -> int:
    """`find_order`, with or without R7, which comes last because it takes longer than all other rules together."""
    n = movables.size
    price = 1 + (start.failed_SF.shape[0] * start.restart_order.size // SMALL if is_ha_asked else 0)
    seen = np.zeros(TABLE, dtype=np.int64)
    is_done = np.zeros(n, dtype=np.bool_)
    sources = np.zeros(n, dtype=np.int64)
    position = np.zeros(n + 1, dtype=np.int64)
    depth, key, verdict = KEEP, IN, UNDECIDED
    tries[0] -= 1
    while tries[0] > 0:
        if depth == n:
            verdict = FOUND
            break
        i = position[depth]
        while i < n and not _is_ready(start, movables, targets, is_done, i):
            i += 1
        if i < n:
            tries[0] -= price
            position[depth] = i + 1
            sources[i] = shift(start, movables[i], targets[i])
            is_done[i] = True
            key ^= _hash(i)
            if seen[key & (TABLE - 1)] != key and (not is_ha_asked or has_reservation(start)):
                seen[key & (TABLE - 1)] = key
                order[depth] = i
                depth += 1
                position[depth] = 0
                continue
        elif depth == 0:
            verdict = IMPOSSIBLE
            break
        else:
            depth -= 1
            i = order[depth]
        shift(start, movables[i], sources[i])
        is_done[i] = False
        key ^= _hash(i)
    while depth > 0:
        depth -= 1
        shift(start, movables[order[depth]], sources[order[depth]])
    return verdict


@inner
def _is_ready(b: Board, movables: IntArray, targets: IntArray, is_done: BoolArray, i: int) -> bool:
    """Whether move i is still to do, waits for no earlier move of its movable, and is allowed now."""
    if is_done[i] or not is_allowed(b, movables[i], targets[i]):
        return False
    waits = False
    for j in range(i):
        waits = waits or (movables[j] == movables[i] and not is_done[j])
    return not waits


@inner
def _hash(i: int) -> int:
    """A number with well mixed bits for move i."""
    z = (i + 1) * 0x1E3779B97F4A7C15
    z = (z ^ (z >> 30)) * 0x3F58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x14D049BB133111EB
    return z ^ (z >> 31)


@inner
def find_parking(start: Board, moves: IntArray, budget_gib: float, tries: IntArray, out: IntArray) -> float:
    """Seeks an order with one more move: something is parked on a third host, so that the others can pass.

    Args:
        start: the board before the plan; changed and put back.
        moves: movables and targets that cannot be put in an order; shape (2, n).
        budget_gib: what the parking may cost at most.
        tries: as in `find_order`.
        out: receives the moves in order; shape (2, n + 2).

    Returns:
        what the parking costs, inf where there is none.
    """
    n = moves.shape[1]
    longer, order = np.empty((2, n + 2), dtype=np.int64), np.empty(n + 2, dtype=np.int64)
    best_gib = np.inf
    for m in range(start.movables.size):
        at = NONE
        for i in range(n):
            if moves[0, i] == m:
                at = i
        cost_gib = start.movables[m].cost_gib * (1 if at >= 0 else 2)
        if cost_gib >= min(budget_gib, best_gib):
            continue
        count = n + 1 if at >= 0 else n + 2
        for i in range(n):
            longer[0, i + 1], longer[1, i + 1] = moves[0, i], moves[1, i]
        longer[0, 0], longer[0, n + 1], longer[1, n + 1] = m, m, start.movables[m].host
        for h in range(start.hosts.size):
            longer[1, 0] = h
            if tries[0] <= 0:
                return best_gib
            is_parking = start.can_MH[m, h] and h != start.movables[m].host and (at < 0 or h != moves[1, at])
            if not is_parking or find_order(start, longer[0, :count], longer[1, :count], tries, order) != FOUND:
                continue
            best_gib = cost_gib
            for i in range(count):
                out[0, i], out[1, i] = longer[0, order[i]], longer[1, order[i]]
            break
    return best_gib
