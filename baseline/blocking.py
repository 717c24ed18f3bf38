"""Facts that may stand between a cluster and every plan, each of which can be lifted: a state without it is made.

A fact is one bound of one kind on one host (CPU, memory, storage controller, GPUs), a host in maintenance or down, one
placement rule, or the HA reservation. A state with more facts in force allows no plan that one with fewer forbids:
that is what lets `conflict.py` look for the smallest set of facts that blocks every plan.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ..env.model.cluster import (
    CPU,
    MEMORY,
    STORAGE,
    Gpu,
    HighAvailability,
    Host,
    HostState,
    Inventory,
    Settings,
)
from ..env.model.contention import unresolved_H
from ..env.model.rules import is_ha_binding
from ..env.model.state import State, state_from_demand


class FactKind(StrEnum):
    """What a fact is about. The order is the one in which people meet them."""

    MAINTENANCE = "maintenance"
    CPU = "cpu"
    STORAGE_CPU = "storage-cpu"
    MEMORY = "memory"
    RULE = "rule"
    GPU = "gpu"
    DOWN = "down"
    HA = "ha"


@dataclass(frozen=True)
class Fact:
    """One fact: of a host or, where there is none, of a placement rule; neither for the HA reservation."""

    kind: FactKind
    host: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Figures:
    """How much of a host's bound is used, and how much may be, tolerance apart; cores or GiB."""

    used: float
    limit: float
    unit: str


RESOURCE_OF = {FactKind.CPU: CPU, FactKind.MEMORY: MEMORY, FactKind.STORAGE_CPU: STORAGE}


def facts_of(state: State) -> tuple[Fact, ...]:
    """Every fact that could matter, those of contended hosts first."""
    inventory = state.inventory
    is_contended_H = unresolved_H(state)
    by_host = [(h, host) for h, host in enumerate(inventory.hosts)]
    by_host.sort(key=lambda pair: not is_contended_H[pair[0]])
    found = [Fact(FactKind(host.state), host.id) for h, host in by_host if _is_liftable(state, h)]
    total_R = np.nansum(state.demand_MR, axis=0)
    for is_first in (True, False):
        for kind, r in RESOURCE_OF.items():
            is_scarce_H = (total_R[r] > inventory.limit_HR[:, r]) & (is_contended_H == is_first)
            found += [Fact(kind, host.id) for h, host in by_host if is_scarce_H[h]]
        if is_first:
            found += [Fact(FactKind.RULE, rule=rule.id) for rule in inventory.rules]
            found += [Fact(FactKind.HA)] if is_ha_binding(state) else []
    if any(inventory.is_on_M[inventory.gpu_movables]):
        found += [Fact(FactKind.GPU, host.id) for _, host in by_host]
    return tuple(found)


def _is_liftable(state: State, h: int) -> bool:
    """Whether host h could be back up: one that is down only where nothing stands on it, which would then count."""
    if state.inventory.hosts[h].state is HostState.DOWN:
        return not (state.inventory.is_on_M & (state.host_of_M == h)).any()
    return state.inventory.hosts[h].state is HostState.MAINTENANCE


def relaxed(state: State, facts: Sequence[Fact], in_force: Set[Fact]) -> State:
    """The state with only those of its facts (`facts_of`) in force that are named."""
    inventory = state.inventory
    lifted = [fact for fact in facts if fact not in in_force]
    gone = {fact.rule for fact in lifted if fact.kind is FactKind.RULE}
    is_reserved = Fact(FactKind.HA) in in_force  # where it does not bind now, it must not come back either
    total_R = np.nansum(state.demand_MR, axis=0)
    hosts = list(inventory.hosts)
    for fact in lifted:
        if fact.host:
            h = inventory.host_index[fact.host]
            hosts[h] = _lifted(inventory, hosts[h], fact.kind, total_R)
    freed = Inventory(
        hosts=tuple(hosts),
        vms=inventory.vms,
        sessions=inventory.sessions,
        rules=tuple(rule for rule in inventory.rules if rule.id not in gone),
        settings=inventory.settings,
        high_availability=inventory.high_availability if is_reserved else HighAvailability(),
    )
    return state_from_demand(freed, state.demand_MR, state.host_of_M, swap_V=state.swap_V)


def widened(state: State, fact: Fact, room: float) -> State:
    """The state with so much more room (cores or GiB, below the threshold) within a bound of a host."""
    inventory = state.inventory
    h = inventory.host_index[fact.host]
    hosts = list(inventory.hosts)
    hosts[h] = _roomier(hosts[h], fact.kind, room, inventory.settings)
    wider = replace(inventory, hosts=tuple(hosts))
    return state_from_demand(wider, state.demand_MR, state.host_of_M, swap_V=state.swap_V)


def most_room(state: State, fact: Fact) -> float:
    """Room for everything there is, within the bound of a host, cores or GiB: more never helps."""
    return float(np.nansum(state.demand_MR[:, RESOURCE_OF[fact.kind]]))


def _roomier(host: Host, kind: FactKind, room: float, settings: Settings) -> Host:
    """The host with so much more room below its threshold, cores or GiB."""
    match kind:
        case FactKind.CPU:
            return replace(host, cpu_cores=host.cpu_cores + room / settings.cpu_threshold)
        case FactKind.MEMORY:
            return replace(host, memory_gib=host.memory_gib + room)
        case FactKind.STORAGE_CPU:
            return replace(host, storage_cpu_cores=host.storage_cpu_cores + room / settings.storage_cpu_threshold)
        case _:
            raise ValueError(f"{kind} is no resource of a host")


def _lifted(inventory: Inventory, host: Host, kind: FactKind, total_R: np.ndarray) -> Host:
    """The host without one of its bounds: with room for everything there is."""
    match kind:
        case FactKind.CPU | FactKind.MEMORY | FactKind.STORAGE_CPU:
            return _roomier(host, kind, float(total_R[RESOURCE_OF[kind]]), inventory.settings)
        case FactKind.GPU:
            asked = [vm.gpu for vm in inventory.vms if vm.gpu is not None and vm.is_on]
            more = tuple(Gpu(f"more-{i}", gpu.model, gpu.memory_gib) for i, gpu in enumerate(asked))
            return replace(host, gpus=host.gpus + more)
        case FactKind.MAINTENANCE | FactKind.DOWN:
            return replace(host, state=HostState.UP)
        case _:
            raise ValueError(f"{kind} is no bound of a host")


def figures(state: State, fact: Fact) -> Figures | None:
    """Used and limit of a fact about a resource of a host; None for the others."""
    if fact.kind not in RESOURCE_OF:
        return None
    r, h, settings = RESOURCE_OF[fact.kind], state.inventory.host_index[fact.host], state.inventory.settings
    share = (settings.cpu_threshold, 1.0, settings.storage_cpu_threshold)[r]
    limit = float(state.inventory.capacity_HR[h, r]) * share
    return Figures(float(state.used_HR[h, r]), limit, "GiB" if r == MEMORY else "cores")
