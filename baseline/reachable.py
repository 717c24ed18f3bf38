"""Where the rules let moves lead at all: in cramped clusters so few placements can be reached that all are looked at.

A search over placements finds out which of them are free of contention, not whether any move leads away from the
present one. Here the moves come first, so that a refusal is proven where nothing, or next to nothing, can move.
"""

from __future__ import annotations

import numpy as np

from ..env.model.contention import unresolved_H
from ..env.model.rules import allowed_moves_MH, check_move, is_ha_binding, vm_vm_affinity
from ..env.model.state import State

MOST_PLACEMENTS = 400  # looked at before giving up: some tens of milliseconds
FEW_PLACEMENTS = 32  # so few that it costs next to nothing


def hemmed_in(start: State, most: int = MOST_PLACEMENTS) -> str | None:
    """Why there is no plan where moves lead to few placements, as a clause; None where one may exist.

    Args:
        start: the state before the plan; something in it has to move.
        most: placements to look at.
    """
    reached = reachable_without_plan(start, most)
    if reached is None:
        return None
    if reached == 1:
        return "no move is allowed by the rules as things are (proven)"
    return f"moves can lead to no more than {reached} placements, and none of them ends a plan (proven)"


def reachable_without_plan(start: State, most: int = MOST_PLACEMENTS) -> int | None:
    """How many placements moves can lead to, if none of them ends a plan; None where one may, or where they are many.

    Args:
        start: the state before the plan.
        most: placements to look at.
    """
    is_ha_enforced = is_ha_binding(start)
    seen, waiting = {start.host_of_M.tobytes()}, [start]
    while waiting:
        state = waiting.pop()
        if not unresolved_H(state).any() and not vm_vm_affinity(start, state):
            return None
        moves = np.argwhere(allowed_moves_MH(state))
        if len(moves) > most:
            return None
        for m, h in moves.tolist():
            after = state.moved(m, h)
            key = after.host_of_M.tobytes()
            if key in seen or (is_ha_enforced and check_move(state, m, h, is_ha_enforced=True)):
                continue
            if len(seen) == most:
                return None
            seen.add(key)
            waiting.append(after)
    return len(seen)
