"""Which storage controller serves an iSCSI session: the sessions of a volume group are spread over the controllers.

A session is directed to a controller when its volume group is created or grows, and when its controller's host goes.
Nothing is copied, so this is done at once and is no move of a plan.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cluster import NOWHERE, STORAGE, IntArray
from .state import State


def balanced_sessions(state: State, sessions: Sequence[int]) -> dict[int, int]:
    """Host of the controller for each of these sessions: movable index -> host index.

    The most demanding one comes first. Each goes, among the hosts that are up, to one whose controller stays within its
    threshold if there is any; among those to one with the fewest sessions of the same volume group; among those to the
    one with the lowest storage utilization.

    Args:
        state: the cluster; where the sessions now are does not count.
        sessions: movable indices of open sessions.
    """
    inventory = state.inventory
    found: dict[int, int] = {}
    if not inventory.is_up_H.any():
        return found
    group_of_S = [session.volume_group for session in inventory.sessions]
    host_of_M = state.host_of_M.copy()
    used_H = state.used_HR[:, STORAGE].copy()
    for m in sessions:
        if host_of_M[m] != NOWHERE:
            used_H[host_of_M[m]] -= state.demand_MR[m, STORAGE]
        host_of_M[m] = NOWHERE
    for m in sorted(sessions, key=lambda m: (-state.demand_MR[m, STORAGE], m)):
        after_H = used_H + state.demand_MR[m, STORAGE]
        siblings_H = _siblings_H(state, host_of_M, group_of_S, group_of_S[m - inventory.vm_count])
        order = np.lexsort(
            (
                after_H / inventory.capacity_HR[:, STORAGE],
                siblings_H,
                after_H > inventory.limit_HR[:, STORAGE],
                ~inventory.is_up_H,
            )
        )
        h = int(order[0])
        found[m] = h
        host_of_M[m] = h
        used_H[h] += state.demand_MR[m, STORAGE]
    return found


def regrouped_sessions(state: State, newcomers: Sequence[int]) -> dict[int, int]:
    """Hosts of sessions that have just been opened, and of those of their volume groups that make way for balance.

    No more is redirected than needed so that no controller serves two sessions of a group more than another.

    Args:
        state: the cluster; the newcomers are on.
        newcomers: movable indices of the sessions.
    """
    found = balanced_sessions(state, newcomers)
    for m, h in found.items():
        state = state.moved(m, h)
    group_of_S = [session.volume_group for session in state.inventory.sessions]
    up = np.flatnonzero(state.inventory.is_up_H)
    for group in sorted({group_of_S[m - state.inventory.vm_count] for m in found}):
        while True:
            siblings_H = _siblings_H(state, state.host_of_M, group_of_S, group)[up]
            if siblings_H.max() - siblings_H.min() <= 1:
                break
            crowded, empty = int(up[siblings_H.argmax()]), int(up[siblings_H.argmin()])
            there = [
                state.inventory.vm_count + s
                for s, other in enumerate(group_of_S)
                if other == group and state.host_of_M[state.inventory.vm_count + s] == crowded
            ]
            m = min(there, key=lambda m: state.demand_MR[m, STORAGE])
            if state.used_HR[empty, STORAGE] + state.demand_MR[m, STORAGE] > state.inventory.limit_HR[empty, STORAGE]:
                break
            found[m] = empty
            state = state.moved(m, empty)
    return found


def _siblings_H(state: State, host_of_M: IntArray, group_of_S: Sequence[str], group: str) -> IntArray:
    """Open sessions of a volume group on each host; shape (H,)."""
    V = state.inventory.vm_count
    hosts = [
        host_of_M[V + s]
        for s, other in enumerate(group_of_S)
        if other == group and state.inventory.is_on_M[V + s] and host_of_M[V + s] != NOWHERE
    ]
    return np.bincount(np.array(hosts, dtype=np.int64), minlength=state.inventory.host_count)
