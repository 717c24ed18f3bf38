"""Initial placement: the host a VM starts on, or why none can take it. Nothing is moved to make room here.

Among the hosts that `check_placement` allows, in this order: one where the VM meets no VM that anti-affinity (R4) keeps
apart from it, for R4 is soft here and only here; one where more VMs of its VM-VM affinity rules are, for R5 binds
migrations only, yet who starts together stays together; one with the lowest node score once the VM is there; the first
in the snapshot.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from enum import Enum, auto

import numpy as np

from .cluster import CPU, MEMORY, STORAGE, Cluster, HostState
from .cost import node_score_H
from .demand import Estimator, trend_estimate
from .plan import Plan, Status
from .rules import Reason, check_placement, ha_reservation, is_ha_binding, vm_vm_anti_affinity
from .state import State, state_of

RESOURCE_NAMES = ((CPU, "CPU"), (MEMORY, "memory"), (STORAGE, "storage controller"))


def place(cluster: Cluster, m: int, name: str = "ads", *, estimate: Estimator = trend_estimate) -> Plan:
    """The host a VM starts on as things are, or why there is none.

    Args:
        cluster: what there is, and who is where.
        m: a VM that is on and on no host.
        name: what the plan calls the planner.
        estimate: demand from samples.
    """
    started = time.perf_counter()
    state = state_of(cluster, estimate)
    is_ha_enforced = is_ha_binding(state)
    hosts = ranked_hosts(state, m)
    target = best_host(state, m, hosts, is_ha_enforced=is_ha_enforced)
    if target is None:
        reason = refusal(state, m)
        status, host = Status.REJECTED, ""
    else:
        reason = f"{why_there(state, m, target)}, the best of {len(hosts)} with room for it"
        status, host = Status.PLACED, cluster.inventory.hosts[target].id
    seconds = time.perf_counter() - started
    vm = cluster.inventory.movable_id(m)
    return Plan(cluster.name, name, status, reason, solve_seconds=seconds, vm=vm, target=host)


def ranked_hosts(state: State, m: int) -> list[int]:
    """Hosts that may take the VM as far as the host itself is concerned (all but R7), best first."""
    hosts = range(state.inventory.host_count)
    can = [h for h in hosts if not check_placement(state, m, h, is_ha_enforced=False)]
    return sorted(can, key=lambda h: host_rank(state, m, h))


def best_host(state: State, m: int, hosts: Sequence[int], *, is_ha_enforced: bool) -> int | None:
    """The first of some hosts, best first, that also keeps the HA reservation (R7), or None."""
    return next((h for h in hosts if not is_ha_enforced or ha_reservation(state, m, h) is None), None)


def host_rank(state: State, m: int, h: int) -> tuple[bool, int, float, int]:
    """Lower is better: whether R4 breaks, friends of VM-VM affinity there (negative), node score after, index."""
    is_clash = vm_vm_anti_affinity(state, m, h) is not None
    return is_clash, -_friends(state, m, h), float(node_score_H(state.moved(m, h))[h]), h


def why_there(state: State, m: int, h: int) -> str:
    """What a person reads of a VM that starts on host h: the score, who is there, and what had to give way."""
    vm, host = state.inventory.movable_id(m), state.inventory.hosts[h].id
    _, friends, score, _ = host_rank(state, m, h)
    said = f"{vm} starts on {host} at a node score of {score:.3f}"
    if friends:
        said += f", beside {-friends} of its affinity rules"
    clash = vm_vm_anti_affinity(state, m, h)
    return f"{said}, though {clash}" if clash else said


def _friends(state: State, m: int, h: int) -> int:
    """Other VMs of the VM's affinity rules on host h."""
    rules = (members for _, members in state.inventory.affinity_members if m in members)
    friends = {int(v) for members in rules for v in members if v != m and state.host_of_M[v] == h}
    return len(friends)


class Miss(Enum):
    """Why a host cannot take a VM; each host counts under the first that holds."""

    DOWN = auto()
    MAINTENANCE = auto()
    AFFINITY = auto()
    MEMORY = auto()
    GPU = auto()
    CPU = auto()
    STORAGE = auto()
    HA = auto()


def refusal(state: State, m: int) -> str:
    """Why no host can take the VM: how many hosts refuse for which reason, and the nearest miss of each.

    Asked where none can: a host that keeps all other rules then breaks the HA reservation (R7).
    """
    vm = state.inventory.movable_id(m)
    if not state.inventory.is_on_M[m]:
        return f"{vm} is off"
    unknown = [what for r, what in RESOURCE_NAMES if np.isnan(state.demand_MR[m, r])]
    if unknown:
        return f"no host can take {vm}: its {' and '.join(unknown)} demand is not known"
    hosts_of: dict[Miss, list[int]] = defaultdict(list)
    for h in range(state.inventory.host_count):
        hosts_of[_miss(state, m, h)].append(h)
    groups = sorted(hosts_of.items(), key=lambda group: (-len(group[1]), group[0].value))
    told: list[str] = []
    for miss, hosts in groups:
        count = f"{len(hosts)} of {state.inventory.host_count}" if not told else f"{len(hosts)}"
        told.append(f"{count} {_told(state, m, miss, hosts)}")
    return f"no host can take {vm}: {', '.join(told)}"


def _miss(state: State, m: int, h: int) -> Miss:
    """Under what a host that cannot take the VM counts."""
    reasons = {violation.reason for violation in check_placement(state, m, h, is_ha_enforced=False)}
    if Reason.R2_HOST_STATE in reasons:
        return Miss.DOWN if state.inventory.hosts[h].state is HostState.DOWN else Miss.MAINTENANCE
    rows = (
        (Reason.R3_VM_HOST_AFFINITY, Miss.AFFINITY),
        (Reason.R1_MEMORY, Miss.MEMORY),
        (Reason.R6_GPU, Miss.GPU),
    )
    for reason, miss in rows:
        if reason in reasons:
            return miss
    if not reasons:
        return Miss.HA
    is_cpu = not state.used_HR[h, CPU] + state.demand_MR[m, CPU] <= state.inventory.limit_HR[h, CPU]
    return Miss.CPU if is_cpu else Miss.STORAGE


def _told(state: State, m: int, miss: Miss, hosts: Sequence[int]) -> str:
    """A reason with the nearest miss among its hosts: "lack memory (most free: host-2, 5.2 of the 16.0 GiB ...)"."""
    inventory, is_one = state.inventory, len(hosts) == 1
    lack, are = ("lacks", "is") if is_one else ("lack", "are")
    match miss:
        case Miss.DOWN | Miss.MAINTENANCE:
            return f"{are} {'down' if miss is Miss.DOWN else 'in maintenance'}"
        case Miss.AFFINITY:
            vm = inventory.vms[m].id
            ids = ", ".join(rule.id for rule in inventory.rules if rule.hosts and vm in rule.vms)
            return f"{are} ruled out by its host affinity ({ids})"
        case Miss.MEMORY:
            free_H = inventory.capacity_HR[:, MEMORY] - state.used_HR[:, MEMORY]
            h = max(hosts, key=lambda h: free_H[h])
            figures = f"{max(0.0, free_H[h]):.1f} of the {state.demand_MR[m, MEMORY]:.1f} GiB it needs"
            return f"{lack} memory (most free: {inventory.hosts[h].id}, {figures})"
        case Miss.GPU:
            profile = inventory.vms[m].gpu
            what = f"for {profile.memory_gib:g} GiB of model {profile.model}" if profile is not None else ""
            return f"{lack} a free GPU {what}"
        case Miss.HA:
            return f"would lose the HA reservation ({ha_reservation(state, m, hosts[0])})"
    return _told_contention(state, m, CPU if miss is Miss.CPU else STORAGE, hosts)


def _told_contention(state: State, m: int, r: int, hosts: Sequence[int]) -> str:
    """The same for CPU or storage controller: the host that would stay lowest."""
    inventory = state.inventory
    after_H = (state.used_HR[:, r] + state.demand_MR[m, r]) / inventory.capacity_HR[:, r]
    h = min(hosts, key=lambda h: after_H[h])
    settings = inventory.settings
    what, threshold = (
        ("CPU", settings.cpu_threshold) if r == CPU else ("storage controller", settings.storage_cpu_threshold)
    )
    return f"would exceed the {what} threshold of {threshold:.1%} (lowest: {inventory.hosts[h].id}, {after_H[h]:.1%})"
