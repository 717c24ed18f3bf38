"""Facts that rule out every plan. Each is cheap to check, sound, and tells a person what to change."""

from __future__ import annotations

import numpy as np

from ..env.model.cluster import CPU, MEMORY, RESOURCES, STORAGE, TOLERANCE
from ..env.model.state import State
from .search_board import FREE, Board

NAMES = {CPU: ("CPU", "cores"), MEMORY: ("memory", "GiB"), STORAGE: ("storage controller CPU", "cores")}


def blocking_fact(state: State, board: Board) -> str | None:
    """The first fact that makes every plan impossible, as a clause; None where there is none of these kinds."""
    return _too_little_room(state, board) or _stuck_on_maintenance(state, board) or _stuck_on_hot_host(state, board)


def _too_little_room(state: State, board: Board) -> str | None:
    """More must leave its host than all other hosts could take, were VMs divisible."""
    inventory = state.inventory
    for r in range(RESOURCES):
        over_H = np.maximum(0.0, _excess_H(board, r))
        leaving_H = np.where(inventory.is_maintenance_H, _must_leave_H(board, r), np.where(inventory.is_up_H, over_H, 0))
        free_H = np.where(inventory.is_up_H, np.maximum(0.0, board.hosts["limit"][:, r] - board.hosts["used"][:, r]), 0)
        if leaving_H.sum() > free_H.sum() + TOLERANCE:
            what, unit = NAMES[r]
            return (
                f"{leaving_H.sum():.2f} {unit} of {what} would have to move, and all hosts together have room for "
                f"{free_H.sum():.2f} {unit} below their thresholds"
            )
    return None


def _excess_H(board: Board, r: int) -> np.ndarray:
    """What each host that is up has to lose of resource r, if more than 0; shape (H,)."""
    excess_H = board.hosts["used"][:, r] - board.hosts["limit"][:, r]
    return excess_H if r != MEMORY else np.where(board.hosts["needs_memory"], excess_H, 0.0)


def _must_leave_H(board: Board, r: int) -> np.ndarray:
    """Demand of the units that must leave each host in maintenance; shape (H,)."""
    leaving = board.units[board.units["must_leave"]]
    return np.bincount(leaving["home"], weights=leaving["demand"][:, r], minlength=board.hosts.size)


def _stuck_on_maintenance(state: State, board: Board) -> str | None:
    """Something on a host in maintenance has no host it could ever move to."""
    for u in np.flatnonzero(board.units["must_leave"] & (board.units["mode"] != FREE)):
        inventory = state.inventory
        who = inventory.movable_id(int(board.member[board.units["first_member"][u]]))
        host = inventory.hosts[board.units["home"][u]].id
        return f"{who} must leave {host}, which is in maintenance, and no host that is up may take it or is large enough"
    return None


def _stuck_on_hot_host(state: State, board: Board) -> str | None:
    """A host stays over its limit even if everything on it that may move does."""
    inventory = state.inventory
    units = board.units
    for h in np.flatnonzero(board.hosts["is_contended"] & inventory.is_up_H):
        staying = units[(units["home"] == h) & (units["mode"] != FREE)]
        for r in range(RESOURCES):
            if r == MEMORY and not board.hosts["needs_memory"][h]:
                continue
            left = staying["demand"][:, r].sum()
            if left > board.hosts["limit"][h, r] + TOLERANCE:
                what, unit = NAMES[r]
                return (
                    f"what cannot leave {inventory.hosts[h].id} takes {left:.2f} {unit} of {what}, "
                    f"more than its {board.hosts['limit'][h, r]:.2f}"
                )
    return None
