"""The rules a move must keep (R1-R4, R6-R8), and those a whole plan must keep (R5, R9).

Each rule is one function that returns what forbids the move, with figures, or None. `check_move` is what the validator,
the simulator and the daemon ask; `allowed_moves_NH` is the same for many moves at once, for masks and searches, and
`allowed_moves_MH` for all, by which tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .availability import first_unsurvivable
from .cluster import CPU, MEMORY, NOWHERE, RESOURCES, STORAGE, BoolArray, GpuProfile, HostState, IntArray
from .contention import contentions, unresolved_H
from .gpu import profiles_by_host, profiles_on, vgpus_fit
from .state import State


class Reason(StrEnum):
    """Which rule is broken. R1-R9 are those of the contract; `plan` is a plan document that contradicts itself."""

    R1_MEMORY = "R1 memory"
    R2_HOST_STATE = "R2 host state"
    R3_VM_HOST_AFFINITY = "R3 vm-host-affinity"
    R4_VM_VM_ANTI_AFFINITY = "R4 vm-vm-anti-affinity"
    R5_VM_VM_AFFINITY = "R5 vm-vm-affinity"
    R6_GPU = "R6 gpu"
    R7_HA_RESERVATION = "R7 ha reservation"
    R8_NEW_CONTENTION = "R8 no new contention"
    R9_UNRESOLVED = "R9 resolved"
    PLAN = "plan"


@dataclass(frozen=True)
class Violation:
    """One broken rule: by which move of the plan (its position, None for the plan as a whole) and by how much."""

    reason: Reason
    detail: str
    move: int | None = None

    def __str__(self) -> str:
        where = "" if self.move is None else f"move {self.move + 1}: "
        return f"{where}{self.reason}: {self.detail}"


def memory(state: State, m: int, target: int) -> str | None:
    """R1: the target's memory holds the VM."""
    used_gib, need_gib = state.used_HR[target, MEMORY], state.demand_MR[m, MEMORY]
    if used_gib + need_gib <= state.inventory.limit_HR[target, MEMORY]:
        return None
    host = state.inventory.hosts[target]
    free_gib = host.memory_gib - used_gib
    if free_gib < 0:
        return f"{_name(state, m)} cannot go to {host.id}, which lacks {-free_gib:.2f} GiB itself"
    return f"{_name(state, m)} needs {need_gib:.2f} GiB, {host.id} has {free_gib:.2f} GiB free"


def host_state(state: State, m: int, target: int) -> str | None:
    """R2: the target is up and another host than the source; the VM is on and placed."""
    if forbidden := _cannot_run(state, m, target):
        return forbidden
    source = state.host_of_M[m]
    if source == NOWHERE:
        return f"{_name(state, m)} is not placed on any host"
    if source == target:
        return f"{_name(state, m)} is on {state.inventory.hosts[target].id} already"
    return None


def placement_state(state: State, m: int, target: int) -> str | None:
    """R2 of a placement: the target is up; the VM is on, and on no host yet."""
    if forbidden := _cannot_run(state, m, target):
        return forbidden
    source = state.host_of_M[m]
    return None if source == NOWHERE else f"{_name(state, m)} is on {state.inventory.hosts[source].id} already"


def vm_host_affinity(state: State, m: int, target: int) -> str | None:
    """R3: the target is listed by every VM-host affinity rule of the VM."""
    if state.inventory.is_allowed_MH[m, target]:
        return None
    vm, host = state.inventory.movable_id(m), state.inventory.hosts[target].id
    rule = next(r for r in state.inventory.rules if r.hosts and vm in r.vms and host not in r.hosts)
    return f"{_name(state, m)} may run on {', '.join(rule.hosts)} only (rule {rule.id}), not on {host}"


def vm_vm_anti_affinity(state: State, m: int, target: int) -> str | None:
    """R4: no other VM of an anti-affinity rule of this VM is on the target."""
    clashes = np.flatnonzero(state.inventory.is_anti_MA[m] & (state.members_HA[target] > 0))
    if clashes.size == 0:
        return None
    rule = state.inventory.anti_affinity_rules[clashes[0]]
    there = [v for v in rule.vms if state.host_of_M[state.inventory.vm_index[v]] == target]
    # While VMs migrate, the world counts them on both sides.
    whom = f"{there[0]} on" if there else "a VM that is on its way to"
    return f"{_name(state, m)} must not join {whom} {state.inventory.hosts[target].id} (rule {rule.id})"


def gpu(state: State, m: int, target: int) -> str | None:
    """R6: the vGPUs on the target, this VM's among them, can be packed on its GPUs."""
    profile = state.inventory.vms[m].gpu if m < state.inventory.vm_count else None
    if profile is None:
        return None
    if vgpus_fit(state.inventory.gpu_stock_H[target], [*profiles_on(state, target, without=m), profile]):
        return None
    what = f"{profile.memory_gib:g} GiB of a GPU of model {profile.model}"
    return f"{_name(state, m)} needs {what}, {state.inventory.hosts[target].id} has none free for it"


def ha_reservation(state: State, m: int, target: int) -> str | None:
    """R7: the HA reservation that holds now still holds after the move. Ask only where it holds now."""
    failed = first_unsurvivable(state.moved(m, target))
    if failed is None:
        return None
    hosts = " and ".join(state.inventory.hosts[h].id for h in failed)
    return f"with {_name(state, m)} on {state.inventory.hosts[target].id}, the VMs of {hosts} could not all restart"


def no_new_contention(state: State, m: int, target: int) -> str | None:
    """R8: CPU and storage controller of the target stay within their thresholds."""
    inventory = state.inventory
    after_R = state.used_HR[target] + state.demand_MR[m]
    for resource, what in ((CPU, "CPU"), (STORAGE, "storage")):
        if not after_R[resource] <= inventory.limit_HR[target, resource]:  # NaN: nobody knows, so not allowed
            after = after_R[resource] / inventory.capacity_HR[target, resource]
            limit = inventory.settings.cpu_threshold if resource == CPU else inventory.settings.storage_cpu_threshold
            host = inventory.hosts[target].id
            if state.used_HR[target, resource] > inventory.limit_HR[target, resource]:
                return f"{_name(state, m)} cannot go to {host}, whose {what} is above its threshold of {limit:.1%}"
            return f"{_name(state, m)} would bring the {what} of {host} to {after:.1%}, threshold {limit:.1%}"
    return None


MOVE_RULES: tuple[tuple[Reason, Callable[[State, int, int], str | None]], ...] = (
    (Reason.R2_HOST_STATE, host_state),
    (Reason.R1_MEMORY, memory),
    (Reason.R3_VM_HOST_AFFINITY, vm_host_affinity),
    (Reason.R4_VM_VM_ANTI_AFFINITY, vm_vm_anti_affinity),
    (Reason.R6_GPU, gpu),
    (Reason.R8_NEW_CONTENTION, no_new_contention),
)
"""Rules of a single move that look at its target only. R7, which looks at the whole cluster, comes after them."""

PLACEMENT_RULES: tuple[tuple[Reason, Callable[[State, int, int], str | None]], ...] = (
    (Reason.R2_HOST_STATE, placement_state),
    *(row for row in MOVE_RULES if row[0] not in (Reason.R2_HOST_STATE, Reason.R4_VM_VM_ANTI_AFFINITY)),
)
"""The same for a VM that is on no host yet. R4 is soft for it: starting the VM comes first."""


def check_move(state: State, m: int, target: int, *, is_ha_enforced: bool) -> tuple[Violation, ...]:
    """Every rule the move of m to `target` breaks in this state; empty where it is allowed.

    Args:
        is_ha_enforced: whether R7 binds: `is_ha_binding(state)` of the state before the plan.
    """
    # Where it stands already, the others would count it twice.
    rules = MOVE_RULES if state.host_of_M[m] != target else MOVE_RULES[:1]
    return _broken(state, m, target, rules, is_ha_enforced)


def check_placement(state: State, m: int, target: int, *, is_ha_enforced: bool) -> tuple[Violation, ...]:
    """Every rule the start of m on `target` breaks, m being on and on no host; empty where it may start there.

    R4 is no violation here (see `vm_vm_anti_affinity` for whether it is kept), and R5 binds migrations only.

    Args:
        is_ha_enforced: whether R7 binds: `is_ha_binding(state)` of the state before the placement and its moves.
    """
    rules = PLACEMENT_RULES if state.host_of_M[m] == NOWHERE else PLACEMENT_RULES[:1]
    return _broken(state, m, target, rules, is_ha_enforced)


def _broken(
    state: State,
    m: int,
    target: int,
    rules: tuple[tuple[Reason, Callable[[State, int, int], str | None]], ...],
    is_ha_enforced: bool,
) -> tuple[Violation, ...]:
    """What m on `target` breaks of some rules and, where they are all kept, of R7."""
    broken = [Violation(reason, detail) for reason, rule in rules if (detail := rule(state, m, target))]
    if not broken and is_ha_enforced and (detail := ha_reservation(state, m, target)):
        broken.append(Violation(Reason.R7_HA_RESERVATION, detail))
    return tuple(broken)


def is_ha_binding(state: State) -> bool:
    """Whether R7 binds a plan that starts in this state: guaranteed mode, and the reservation is not lost already."""
    is_guaranteed = state.inventory.high_availability.is_guaranteed
    return is_guaranteed and first_unsurvivable(state, is_undecided_lost=False) is None


def allowed_moves_MH(state: State) -> BoolArray:
    """Every move that R1-R4, R6 and R8 allow, R7 left to `check_move`; shape (M, H)."""
    return allowed_moves_NH(state, np.arange(state.inventory.movable_count))


def allowed_moves_NH(state: State, movables_N: IntArray) -> BoolArray:
    """The same for some movables, each once; shape (N, H)."""
    inventory, source_N = state.inventory, state.host_of_M[movables_N]
    allowed_NH = inventory.is_allowed_MH[movables_N] & inventory.is_up_H
    for r in range(RESOURCES):  # three passes over (N, H) are much faster than one over (N, H, R)
        allowed_NH &= state.used_HR[:, r] + state.demand_MR[movables_N, r, None] <= inventory.limit_HR[:, r]
    allowed_NH &= (inventory.is_on_M[movables_N] & (source_N != NOWHERE))[:, None]
    allowed_NH &= source_N[:, None] != np.arange(inventory.host_count)
    for a in range(len(inventory.anti_affinity_rules)):
        allowed_NH[np.ix_(inventory.is_anti_MA[movables_N, a], state.members_HA[:, a] > 0)] = False
    _bar_full_gpus(state, movables_N, allowed_NH)
    return allowed_NH


def _bar_full_gpus(state: State, movables_N: IntArray, allowed_NH: BoolArray) -> None:
    """Takes out the moves that R6 forbids; packs once for each profile and host, however many VMs ask for it."""
    inventory = state.inventory
    rows_of: dict[GpuProfile, list[int]] = {}
    for n in np.flatnonzero(np.isin(movables_N, inventory.gpu_movables)).tolist():
        if allowed_NH[n].any() and (profile := inventory.vms[movables_N[n]].gpu) is not None:
            rows_of.setdefault(profile, []).append(n)
    profiles_H = profiles_by_host(state) if rows_of else []
    for profile, rows in rows_of.items():
        for h in np.flatnonzero(allowed_NH[rows].any(axis=0)).tolist():
            if not vgpus_fit(inventory.gpu_stock_H[h], [*profiles_H[h], profile]):
                allowed_NH[rows, h] = False


def vm_vm_affinity(before: State, after: State) -> list[Violation]:
    """R5: VMs of one affinity rule that shared a host before the plan share one after it."""
    broken = []
    for rule, members in before.inventory.affinity_members:
        for h in np.unique(before.host_of_M[members]):
            together = members[before.host_of_M[members] == h]
            if h != NOWHERE and np.unique(after.host_of_M[together]).size > 1:
                names = ", ".join(before.inventory.vms[v].id for v in together)
                broken.append(Violation(Reason.R5_VM_VM_AFFINITY, f"{names} no longer share a host (rule {rule.id})"))
    return broken


def tied_together(state: State) -> list[IntArray]:
    """The VMs of every VM-VM affinity rule that share a host, where there are two or more of them."""
    found = []
    for _, members in state.inventory.affinity_members:
        hosts, counts = np.unique(state.host_of_M[members], return_counts=True)
        found += [members[state.host_of_M[members] == h] for h in hosts[(counts > 1) & (hosts != NOWHERE)]]
    return found


def bound_M(state: State) -> BoolArray:
    """Movables that R5 ties to another one on their host, so that moving one alone would split them; shape (M,)."""
    is_bound_M = np.zeros(state.inventory.movable_count, dtype=np.bool_)
    for together in tied_together(state):
        is_bound_M[together] = True
    return is_bound_M


def resolved(after: State) -> list[Violation]:
    """R9: no contention is left anywhere, and nothing on a host in maintenance."""
    unresolved = {after.inventory.hosts[h].id for h in np.flatnonzero(unresolved_H(after))}
    return [
        Violation(Reason.R9_UNRESOLVED, f"{c.host} still has {c.kind} contention ({c.figures})")
        for c in contentions(after)
        if c.host in unresolved
    ]


def _cannot_run(state: State, m: int, target: int) -> str | None:
    """Why m cannot run on the target, wherever it is now: the host is not up, or the VM is off."""
    host = state.inventory.hosts[target]
    if host.state is not HostState.UP:
        return f"the state of {host.id} is {host.state}, not up"
    return None if state.inventory.is_on_M[m] else f"{_name(state, m)} is off"


def _name(state: State, m: int) -> str:
    """The movable's id as a person reads it."""
    return state.inventory.movable_id(m)
