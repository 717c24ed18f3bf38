"""How a cluster starts: its placement rules, drawn by seed, and a first placement that keeps them.

The first placement is balanced: VMs in order of decreasing demand, each on the host whose fuller resource, CPU or
memory, stays emptiest, among those that keep R1 (memory), R3 and R4 and, where possible, stay under the thresholds.
(With the node score, the mean of the two, instead of the fuller one, hosts end with their memory full and their CPU
idle: on synthetic days a third of the clusters of 8 hosts then began in contention, with the fuller one none of 16.)
VMs bound by a rule go first, so that the room they need is still there. VMs of a VM-VM affinity rule are placed
together.
Shapes: H hosts, V VMs, M movables, R resources.
"""

from __future__ import annotations

import numpy as np

from ..model.cluster import (
    CPU,
    MEMORY,
    NOWHERE,
    STORAGE,
    TOLERANCE,
    Array,
    BoolArray,
    Host,
    IntArray,
    Inventory,
    PlacementRule,
    RuleKind,
    Vm,
)
from ..model.errors import QuellError

ANTI_AFFINITY_SHARE = 0.20  # of VMs are in a VM-VM anti-affinity rule; assumed
ANTI_AFFINITY_SIZES = (2, 3, 4)  # VMs of such a rule, at most one a host
PINNED_SHARE = 0.06  # of VMs are in a VM-host affinity rule, which allows half of the hosts; assumed
PINNED_SIZES = (1, 2, 3)  # VMs of such a rule
PAIRED_SHARE = 0.06  # of VMs are in a VM-VM affinity rule of two; assumed


def draw_rules(
    generator: np.random.Generator, vms: tuple[Vm, ...], hosts: tuple[Host, ...], mean_cpu_V: Array
) -> tuple[PlacementRule, ...]:
    """Placement rules over the VMs; no VM is in more than one, so that rules never contradict each other.

    Pairs are drawn among the VMs that demand and hold less than the median, so that they fit on a host together.
    """
    ids, host_ids = [vm.id for vm in vms], [host.id for host in hosts]
    H, V = len(hosts), len(vms)
    memory_V = np.array([vm.memory_gib for vm in vms])
    small_V = (mean_cpu_V <= np.median(mean_cpu_V)) & (memory_V <= np.median(memory_V))
    pairs = int(min(round(PAIRED_SHARE * V), small_V.sum())) // 2
    paired = generator.permutation(np.flatnonzero(small_V))[: 2 * pairs]
    rules = [
        PlacementRule(f"affinity-{i + 1}", RuleKind.VM_VM_AFFINITY, tuple(ids[v] for v in paired[2 * i : 2 * i + 2]))
        for i in range(pairs)
    ]
    if H == 1:
        return tuple(rules)
    free = [int(v) for v in generator.permutation(np.setdiff1d(np.arange(V), paired))]
    for group in _groups(generator, free, ANTI_AFFINITY_SHARE * V, [s for s in ANTI_AFFINITY_SIZES if s <= H]):
        rule_id = f"anti-affinity-{len(rules) - pairs + 1}"
        rules.append(PlacementRule(rule_id, RuleKind.VM_VM_ANTI_AFFINITY, tuple(ids[v] for v in group)))
    pinned = _groups(generator, free, PINNED_SHARE * V, list(PINNED_SIZES)) if H > 2 else []
    for i, group in enumerate(pinned):
        allowed = np.sort(generator.choice(H, size=(H + 1) // 2, replace=False))
        names = tuple(host_ids[h] for h in allowed)
        rules.append(
            PlacementRule(f"host-affinity-{i + 1}", RuleKind.VM_HOST_AFFINITY, tuple(ids[v] for v in group), names)
        )
    return tuple(rules)


def _groups(generator: np.random.Generator, free: list[int], members: float, sizes: list[int]) -> list[list[int]]:
    """Groups of drawn sizes taken off the list of free VMs, about `members` VMs in all."""
    groups: list[list[int]] = []
    left = round(members)
    while left >= min(sizes) and len(free) >= min(sizes):
        size = min(int(generator.choice(sizes)), left, len(free))
        groups.append([free.pop() for _ in range(size)])
        left -= size
    return groups


def place_initially(inventory: Inventory, demand_MR: Array, home_M: IntArray | None = None) -> IntArray:
    """A first placement: balanced, within R1-R4, and without contention where this order finds one; shape (M,).

    What is off is placed nowhere. R6 is kept by whoever says where VMs with a vGPU stand.

    Args:
        inventory: hosts (all up), VMs, sessions and rules.
        demand_MR: expected demand: cores, GiB, controller cores; shape (M, R).
        home_M: the one host a movable is to stand on, -1 where any will do; shape (M,).

    Raises:
        QuellError: a VM finds no host with memory and rules allowing it.
    """
    used_HR = np.zeros((inventory.host_count, 3))
    members_HA = np.zeros((inventory.host_count, inventory.is_anti_MA.shape[1]), dtype=np.bool_)
    host_of_M = np.full(inventory.movable_count, NOWHERE, dtype=np.int64)
    home_M = host_of_M.copy() if home_M is None else home_M
    may_MH = inventory.is_allowed_MH & ((home_M[:, None] == NOWHERE) | (home_M[:, None] == np.arange(len(used_HR))))
    for unit in _units(inventory, demand_MR, home_M):
        h = _best_host(inventory, unit, demand_MR, used_HR, members_HA, may_MH)
        host_of_M[unit] = h
        used_HR[h] += demand_MR[unit].sum(axis=0)
        members_HA[h] |= inventory.is_anti_MA[unit].any(axis=0)
    return host_of_M


def _units(inventory: Inventory, demand_MR: Array, home_M: IntArray) -> list[IntArray]:
    """What is placed together, in order: with a home, bound by R3, by R5, by R4, then the rest; the largest first."""
    share_M = np.max(demand_MR / inventory.capacity_HR.mean(axis=0), axis=1)
    rank_M = np.full(inventory.movable_count, 3)
    rank_M[inventory.is_anti_MA.any(axis=1)] = 2
    rank_M[~inventory.is_allowed_MH.all(axis=1)] = 0
    rank_M[home_M != NOWHERE] = -1
    rank_M[inventory.vm_count :] = 4
    together = [members for _, members in inventory.affinity_members]
    paired = {int(m) for members in together for m in members}
    units = [np.array([m]) for m in range(inventory.movable_count) if m not in paired and inventory.is_on_M[m]]
    rank_M[list(paired)] = 1
    return sorted([*together, *units], key=lambda unit: (rank_M[unit[0]], -share_M[unit].sum()))


def _best_host(
    inventory: Inventory,
    unit: IntArray,
    demand_MR: Array,
    used_HR: Array,
    members_HA: BoolArray,
    may_MH: BoolArray,
) -> int:
    """The host for one unit: among the calm ones where CPU and memory stay emptiest, else the least overfull one."""
    after_HR = used_HR + demand_MR[unit].sum(axis=0)
    breaks_anti_H = (members_HA & inventory.is_anti_MA[unit].any(axis=0)).any(axis=1)
    may_H = may_MH[unit].all(axis=0) & ~breaks_anti_H
    fits_H = may_H & (after_HR[:, MEMORY] <= inventory.capacity_HR[:, MEMORY] + TOLERANCE)
    if not fits_H.any():
        names = ", ".join(inventory.movable_id(int(m)) for m in unit)
        need, free = demand_MR[unit, MEMORY].sum(), (inventory.capacity_HR - used_HR)[may_H, MEMORY].max(initial=0)
        raise QuellError(
            f"first placement: {names} needs {need:g} GiB, the allowed hosts have at most {free:g} GiB free"
        )
    over_HR = after_HR / inventory.limit_HR
    worst_H = np.maximum(over_HR[:, CPU], over_HR[:, STORAGE])
    is_calm_H = fits_H & (worst_H <= 1)
    if not is_calm_H.any():
        return int(np.argmin(np.where(fits_H, over_HR.max(axis=1), np.inf)))
    utilization_HR = after_HR / inventory.capacity_HR
    if unit[0] >= inventory.vm_count:  # a session has neither CPU nor memory: the controller decides
        return int(np.argmin(np.where(is_calm_H, utilization_HR[:, STORAGE], np.inf)))
    fuller_H = np.maximum(over_HR[:, CPU], over_HR[:, MEMORY])
    return int(np.argmin(np.where(is_calm_H, fuller_H, np.inf)))
