"""Facts that rule out every plan. Each is cheap to check, sound, and tells a person what to change."""

from __future__ import annotations

import numpy as np

from ..env.model.cluster import CPU, MEMORY, RESOURCES, STORAGE, TOLERANCE, Array
from ..env.model.state import State
from .search_board import FREE, Board

NAMES = {CPU: ("CPU", "cores"), MEMORY: ("memory", "GiB"), STORAGE: ("storage controller CPU", "cores")}


def blocking_fact(state: State, board: Board) -> str | None:
    """The first fact that makes every plan impossible, as a clause; None where there is none of these kinds."""
    return (
        _too_little_room(state, board)
        or _stuck_on_maintenance(state, board)
        or _stuck_on_hot_host(state, board)
        or _too_many_large_ones(board)
    )


def _too_little_room(state: State, board: Board) -> str | None:
    """More must leave its host than all other hosts could take, were VMs divisible."""
    inventory = state.inventory
    for r in range(RESOURCES):
        over_H = np.maximum(0.0, _excess_H(board, r))
        leaving_H = np.where(
            inventory.is_maintenance_H, _must_leave_H(board, r), np.where(inventory.is_up_H, over_H, 0)
        )
        free_H = np.where(inventory.is_up_H, np.maximum(0.0, board.hosts["limit"][:, r] - board.hosts["used"][:, r]), 0)
        if leaving_H.sum() > free_H.sum() + TOLERANCE:
            what, unit = NAMES[r]
            return (
                f"{leaving_H.sum():.2f} {unit} of {what} would have to move, and all hosts together have room for "
                f"{free_H.sum():.2f} {unit} left"
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
        return (
            f"{who} must leave {host}, which is in maintenance, and no host that is up may take it or is large enough"
        )
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


def _too_many_large_ones(board: Board) -> str | None:
    """Large VMs do not share hosts in any way, wherever they may run.

    Two bounds of bin packing: so many units of a size or more fit on all hosts; and the bound L2 of Martello and Toth
    (Knapsack Problems, 1990) as if all hosts were as large as the largest.
    """
    placed = board.units[board.units["home"] >= 0]
    placed = placed[board.hosts["is_up"][placed["home"]] | placed["must_leave"]]
    for r in (CPU, STORAGE):
        limit_H = board.hosts["limit"][board.hosts["is_up"], r]
        size_U = np.sort(placed["demand"][:, r])[::-1]
        size_U = size_U[size_U > TOLERANCE]
        room_U = np.floor(limit_H[None, :] / size_U[:, None]).sum(axis=1)
        what, unit = NAMES[r]
        for i in np.flatnonzero(room_U < np.arange(1, size_U.size + 1))[:1]:
            return (
                f"{i + 1} VMs or sessions need {size_U[i]:.2f} {unit} of {what} or more each, "
                f"and all hosts together hold {room_U[i]:.0f} of that size"
            )
        needed = _hosts_needed(size_U, float(limit_H.max(initial=0.0)))
        if needed > limit_H.size:
            return f"the largest VMs cannot share hosts by {what}: they need {needed} hosts, and {limit_H.size} are up"
    return None


def _hosts_needed(size_U: Array, limit: float) -> int:
    """Bound L2: hosts of one size that the items need at least; `size_U` falls."""
    if size_U.size == 0 or limit <= 0:
        return 0
    sums = np.concatenate(([0.0], np.cumsum(size_U)))
    most = 0
    halves = int(np.searchsorted(-size_U, -limit / 2, side="left"))  # items above half a host
    for small in np.unique(np.minimum(size_U, limit / 2)):
        alone = int(np.searchsorted(-size_U, -(limit - small), side="left"))  # items that leave no room for a small one
        end = int(np.searchsorted(-size_U, -small, side="right"))  # items of the small one's size or more
        spare = (halves - alone) * limit - (sums[halves] - sums[alone])
        rest = max(0.0, sums[end] - sums[halves] - spare)
        most = max(most, halves + int(np.ceil(rest / limit - TOLERANCE)))
    return most
