"""A quick and strict test of the HA reservation (R7) for all moves at once.

`availability.py` searches a restart plan for every failure, for one move at a time. Here one restart plan is made for
every failure (each victim on the host with the most room left), and what it leaves free tells for every move whether
the same plan, hardly changed, still works after it:

    the target does not fail    what restarts on it must still fit beside the VM
    only the target fails       the VM restarts on its source, which has just become free by as much; where the source
                                is overfull, not up or not allowed, some other host must take it
    only the source fails       one victim less
    source and target fail      the same victims as before

So a move that passes keeps the reservation; some that would keep it do not pass (the contract allows a stricter test).
Where VMs with a vGPU would have to restart, the restart plans are those of the search, and moves of VMs with a vGPU,
which change what the others find free, are left to it.

Shapes: F failures (sets of hosts), H hosts, M movables, N some of the movables.
"""

from __future__ import annotations

import numpy as np

from ..model.availability import failure_scenarios, restart_hosts
from ..model.cluster import MEMORY, NOWHERE, Array, BoolArray, IntArray
from ..model.gpu import profiles_by_host
from ..model.state import State

Slack = tuple[Array, BoolArray]
"""What a restart plan leaves free on each host in every failure, GiB; which hosts fail; each of shape (F, H)."""


def keeps_reservation_MH(state: State, found: Slack | None) -> BoolArray:
    """Moves that surely keep the reservation; none of a VM that `must_be_searched_M`, or without plan; shape (M, H).

    Args:
        state: a state in which the reservation holds.
        found: `restart_slack(state)`.
    """
    inventory = state.inventory
    M, H, V = inventory.movable_count, inventory.host_count, inventory.vm_count
    keeps_MH = np.zeros((M, H), dtype=np.bool_)
    keeps_MH[V:] = True  # a session needs no memory
    if found is None:
        return keeps_MH
    slack_FH, failed_FH = found
    need_V = state.demand_MR[:V, MEMORY]
    headroom_H = headroom_gib_H(found)
    keeps_MH[:V] = need_V[:, None] <= headroom_H[None, :]
    source_V = state.host_of_M[:V]
    can_return_V = (headroom_H[source_V] >= 0) & inventory.is_allowed_MH[np.arange(V), source_V]
    stranded = np.flatnonzero(_is_ha_V(state) & ~can_return_V & (source_V != NOWHERE))
    if stranded.size:
        keeps_MH[stranded] &= _has_another_host_NH(state, stranded, slack_FH, failed_FH)
    keeps_MH[must_be_searched_M(state)] = False
    return keeps_MH


def headroom_gib_H(found: Slack) -> Array:
    """Memory that may still be used of each host before some failure is not survived by the same restart plan, GiB.

    Infinite on a host that every failure hits, minus infinity on one that takes no VM; shape (H,).
    """
    slack_FH, failed_FH = found
    return np.asarray(np.where(failed_FH, np.inf, slack_FH).min(axis=0))


def restart_slack(state: State) -> Slack | None:
    """One restart plan for every failure: what it leaves free, and which hosts fail.

    Returns:
        memory each survivor has left, GiB, -inf for hosts that fail or take no VM, shape (F, H); which hosts fail,
        shape (F, H). None where no restart plan is found for some failure.
    """
    inventory = state.inventory
    V = inventory.vm_count
    scenarios_F = list(failure_scenarios(state))
    failed_FH = np.zeros((len(scenarios_F), inventory.host_count), dtype=np.bool_)
    np.put_along_axis(failed_FH, np.array(scenarios_F, dtype=np.int64), True, axis=1)
    free_H = inventory.limit_HR[:, MEMORY] - state.used_HR[:, MEMORY]
    free_FH = np.where(failed_FH | ~inventory.is_up_H, -np.inf, free_H)
    need_V, allowed_VH = state.demand_MR[:V, MEMORY], inventory.is_allowed_MH[:V]
    source_V = np.where(_is_ha_V(state), state.host_of_M[:V], NOWHERE)
    slack_FH = free_FH.copy()
    fits_F, profiles_H = np.zeros(len(scenarios_F), dtype=np.bool_), None
    if must_pack_gpus(state):
        profiles_H = profiles_by_host(state)
    else:
        fits_F = place_worst_fit(slack_FH, padded_victims(failed_FH, source_V, need_V, allowed_VH), need_V, allowed_VH)
    for f in np.flatnonzero(~fits_F):  # the search finds more, and takes longer
        restart = restart_hosts(state, scenarios_F[f], profiles_H)
        if restart is None:
            return None
        slack_FH[f] = free_FH[f]
        for v, h in restart.items():
            slack_FH[f, h] -= need_V[v]
    return slack_FH, failed_FH


def must_pack_gpus(state: State) -> bool:
    """Whether VMs with a vGPU would have to restart: then the search of `availability.py` makes the restart plans."""
    return bool(_is_ha_V(state)[state.inventory.gpu_movables].any())


def must_be_searched_M(state: State) -> BoolArray:
    """Movables of whose moves only the search can tell: VMs with a vGPU, where such VMs must restart; shape (M,)."""
    return np.asarray((state.inventory.gpu_memory_M > 0) & must_pack_gpus(state))


def padded_victims(failed_FH: BoolArray, source_V: IntArray, need_V: Array, allowed_VH: BoolArray) -> IntArray:
    """VMs each failure hits, most constrained first (fewest hosts, then most memory), -1 at the end; shape (F, N)."""
    order = np.lexsort((-need_V, allowed_VH.sum(axis=1)))
    order = order[source_V[order] != NOWHERE]
    hit_FV = failed_FH[:, source_V[order]]
    count_F = hit_FV.sum(axis=1)
    victims_FN = np.full((len(failed_FH), int(count_F.max(initial=0))), -1)
    f, v = np.nonzero(hit_FV)
    victims_FN[f, np.arange(f.size) - (np.cumsum(count_F) - count_F)[f]] = order[v]
    return victims_FN


def place_worst_fit(slack_FH: Array, victims_FN: IntArray, need_V: Array, allowed_VH: BoolArray) -> BoolArray:
    """Places each failure's victims one after another where most is left; takes them off `slack_FH`; shape (F,).

    Returns:
        whether all of them fit.
    """
    rows = np.arange(len(slack_FH))
    fits_F = np.ones(len(slack_FH), dtype=np.bool_)
    is_pinned = not allowed_VH.all()
    for victim_F in victims_FN.T:
        need_F = np.where(victim_F >= 0, need_V[victim_F], 0.0)
        room_FH = np.where(allowed_VH[victim_F], slack_FH, -np.inf) if is_pinned else slack_FH
        best_F = room_FH.argmax(axis=1)
        fits_F &= (room_FH[rows, best_F] >= need_F) | (victim_F < 0)
        slack_FH[rows, best_F] -= need_F
    return fits_F


def _is_ha_V(state: State) -> BoolArray:
    """VMs that must restart after a failure; shape (V,)."""
    inventory = state.inventory
    return np.asarray(inventory.is_ha_V & inventory.is_on_M[: inventory.vm_count])


def _has_another_host_NH(state: State, vms: IntArray, slack_FH: Array, failed_FH: BoolArray) -> BoolArray:
    """Whether VMs that cannot restart on their source find a host in every failure of the target; shape (N, H)."""
    need_N = state.demand_MR[vms, MEMORY]
    room_FNH = np.where(state.inventory.is_allowed_MH[vms][None], slack_FH[:, None, :], -np.inf)
    fits_FN = room_FNH.max(axis=2) >= need_N
    # A failure that takes the source as well hits the same VMs before and after the move.
    hits_source_FN = failed_FH[:, state.host_of_M[vms]]
    fails_NH = (~fits_FN & ~hits_source_FN).T.astype(np.int64) @ failed_FH.astype(np.int64)
    return np.asarray(fails_NH == 0)
