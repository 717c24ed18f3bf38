"""The cheapest plan in which a given movable leaves its host: what it would cost to let that one move.

The movable is put on a host of its own that is in maintenance, so that the search has to find it another. That leaves
out what binds it to its home (its room there is free from the start, and it could come back), and the HA reservation:
no valid plan that moves it costs less. Where the plan found is valid in the cluster itself, it is the cheapest one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..env.model.cluster import NOWHERE, TOLERANCE, Array, HighAvailability, Host, HostState, Inventory
from ..env.model.state import State, state_from_demand
from .questions import is_valid
from .search import SearchLimits, SearchResult, search

FORCED_LIMITS = SearchLimits(nodes=20_000)


@dataclass(frozen=True)
class ForcedMove:
    """What a valid plan costs in which a movable has to move.

    Attributes:
        cost_gib: no such plan costs less; infinite where there is none.
        is_exact: whether there is a plan at this cost.
    """

    cost_gib: float
    is_exact: bool


def forced_move(state: State, m: int, limits: SearchLimits = FORCED_LIMITS) -> ForcedMove:
    """The cost of the cheapest valid plan that moves m, or a bound of it."""
    found = search(_evicted(state, m), limits)
    if found.moves is None:
        return ForcedMove(float("inf") if found.is_proven_refusal else found.floor_gib, found.is_proven_refusal)
    if not found.is_proven_optimal:
        return ForcedMove(found.floor_gib, False)
    if not is_valid(state, found.moves):  # mostly because something else came in before m had left
        found = _cheaper_or_same(found, search(_evicted(state, m, is_home_full=True), limits))
    return ForcedMove(found.cost_gib, found.moves is not None and is_valid(state, found.moves))


def _cheaper_or_same(found: SearchResult, other: SearchResult) -> SearchResult:
    """The other plan where it costs no more."""
    is_as_good = other.moves is not None and other.cost_gib <= found.cost_gib + TOLERANCE
    return other if is_as_good else found


def _evicted(state: State, m: int, *, is_home_full: bool = False) -> State:
    """The state with m on a host of its own, which is in maintenance; and where asked for, no room at its home."""
    inventory, settings = state.inventory, state.inventory.settings
    home = int(state.host_of_M[m])
    if home == NOWHERE:
        raise ValueError("only what is on a host can leave it")
    hosts = list(inventory.hosts)
    if is_home_full:
        share_R = np.array([settings.cpu_threshold, 1.0, settings.storage_cpu_threshold])
        left_R = np.maximum(state.used_HR[home] - state.demand_MR[m], TOLERANCE) / share_R
        hosts[home] = _sized(hosts[home], np.minimum(inventory.capacity_HR[home], left_R))
    waiting = Host("", 1.0, 1.0, 1.0, state=HostState.MAINTENANCE)
    hosts.append(_sized(waiting, np.nan_to_num(state.demand_MR[m]) + 1.0))
    host_of_M = state.host_of_M.copy()
    host_of_M[m] = inventory.host_count
    evicted = Inventory(
        hosts=tuple(hosts),
        vms=inventory.vms,
        sessions=inventory.sessions,
        rules=inventory.rules,
        settings=settings,
        high_availability=HighAvailability(),
    )
    return state_from_demand(evicted, state.demand_MR, host_of_M, swap_V=state.swap_V)


def _sized(host: Host, capacity_R: Array) -> Host:
    """The host with another capacity."""
    cpu_cores, memory_gib, storage_cpu_cores = (float(size) for size in capacity_R)
    return replace(host, cpu_cores=cpu_cores, memory_gib=memory_gib, storage_cpu_cores=storage_cpu_cores)
