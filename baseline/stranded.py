"""VMs that are on and do not run: their host is down, or they have none. No plan moves them; people must know of them.

When a host goes down its VMs with HA restart on other hosts (`env/model/restart.py`); the others wait for it. Its
sessions are directed to other controllers. A VM without a host waits for a placement (`quell place`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..env.model.availability import victims
from ..env.model.cluster import NOWHERE, HostState
from ..env.model.restart import restart_in_order
from ..env.model.state import State, state_from_demand
from .blocking_words import listed

MANY = 6  # names told one by one


@dataclass(frozen=True)
class DownHost:
    """What a host that is down takes with it.

    Attributes:
        host: its id.
        restarts: VMs with HA, each with the host it can restart on as things are, empty where none has room.
        waiting: VMs without HA.
        sessions: what its storage controller served.
    """

    host: str
    restarts: tuple[tuple[str, str], ...]
    waiting: tuple[str, ...]
    sessions: tuple[str, ...]


@dataclass(frozen=True)
class Stranded:
    """All that is on and does not run: on hosts that are down (those with nothing on them too), and on no host."""

    down: tuple[DownHost, ...]
    unplaced: tuple[str, ...]


def stranded(state: State) -> Stranded:
    """What is on and does not run, in the order of the snapshot."""
    inventory = state.inventory
    restarts = restart_hosts_of(state)
    down = []
    for h in down_hosts(state):
        there = np.flatnonzero(inventory.is_on_M & (state.host_of_M == h)).tolist()
        vms = [m for m in there if m < inventory.vm_count]
        ha = [m for m in vms if inventory.is_ha_V[m]]
        found = tuple((inventory.movable_id(m), _host_id(state, restarts.get(m, NOWHERE))) for m in ha)
        waiting = tuple(inventory.movable_id(m) for m in vms if not inventory.is_ha_V[m])
        sessions = tuple(inventory.movable_id(m) for m in there if m >= inventory.vm_count)
        down.append(DownHost(inventory.hosts[h].id, found, waiting, sessions))
    nowhere = np.flatnonzero(inventory.is_on_M & (state.host_of_M == NOWHERE))
    return Stranded(tuple(down), tuple(inventory.movable_id(int(m)) for m in nowhere))


def down_hosts(state: State) -> tuple[int, ...]:
    """Indices of the hosts that are down."""
    return tuple(h for h, host in enumerate(state.inventory.hosts) if host.state is HostState.DOWN)


def after_failure(state: State) -> State:
    """The state with everything that stood on hosts that are down on no host."""
    host_of_M = state.host_of_M.copy()
    host_of_M[np.isin(host_of_M, down_hosts(state))] = NOWHERE
    return state_from_demand(state.inventory, state.demand_MR, host_of_M, swap_V=state.swap_V)


def restart_hosts_of(state: State) -> dict[int, int]:
    """Where the VMs with HA of hosts that are down can restart as things are: VM index -> host index."""
    return restart_in_order(after_failure(state), victims(state, down_hosts(state)).tolist())


def told_stranded(found: Stranded) -> tuple[str, ...]:
    """Sentences for people; none where everything that is on runs."""
    said = [_told_down(host) for host in found.down]
    if found.unplaced:
        are = "is on but has no host" if len(found.unplaced) == 1 else "are on but have no host"
        way = "`quell place SNAPSHOT --vm ID` seeks one, and makes room if need be"
        said.append(f"{some(found.unplaced)} {are}: {way}")
    return tuple(said)


def _told_down(down: DownHost) -> str:
    """ "host-2 is down: a restarts elsewhere (HA; as things are on host-1); b has no HA and waits for host-2"."""
    able = [vm for vm, host in down.restarts if host]
    stuck = [vm for vm, host in down.restarts if not host]
    clauses = []
    if able:
        hosts = some(sorted({host for _, host in down.restarts if host}))
        verb = "has HA and restarts" if len(able) == 1 else "have HA and restart"
        clauses.append(f"{some(able)} {verb} elsewhere (as things are, on {hosts})")
    if stuck:
        verb = "has HA and waits" if len(stuck) == 1 else "have HA and wait"
        clauses.append(f"{some(stuck)} {verb}, for no host that is up can take {_them(stuck)}")
    if down.waiting:
        verb = "has no HA and waits" if len(down.waiting) == 1 else "have no HA and wait"
        clauses.append(f"{some(down.waiting)} {verb} until {down.host} is back")
    if down.sessions:
        verb = "is a session and is" if len(down.sessions) == 1 else "are sessions and are"
        clauses.append(f"{some(down.sessions)} {verb} to be directed to another host")
    return f"{down.host} is down: {'; '.join(clauses) or 'it takes nothing, and nothing that should run is on it'}"


def some(names: Sequence[str]) -> str:
    """ "a, b and c"; where there are many, the first of them and how many more."""
    return listed(names if len(names) <= MANY else [*names[:MANY], f"{len(names) - MANY} more"])


def _them(names: Sequence[str]) -> str:
    """The pronoun."""
    return "it" if len(names) == 1 else "them"


def _host_id(state: State, h: int) -> str:
    """The id of a host, empty for none."""
    return "" if h == NOWHERE else state.inventory.hosts[h].id
