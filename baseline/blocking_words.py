"""What a person reads of the facts that block a plan: one clause for each, with its figures."""

from __future__ import annotations

from collections.abc import Sequence

from ..env.model.cluster import HostState, PlacementRule, RuleKind
from ..env.model.state import State
from .blocking import RESOURCE_OF, Fact, FactKind, Figures, figures

WORDS = {FactKind.CPU: "CPU", FactKind.MEMORY: "memory", FactKind.STORAGE_CPU: "storage controller"}
FEW = 3  # hosts that are each told with all their figures


def told(state: State, fact: Fact) -> str:
    """The fact with its figures, as a clause for people."""
    match fact.kind:
        case FactKind.CPU | FactKind.STORAGE_CPU | FactKind.MEMORY:
            return _told_bound(state, fact)
        case FactKind.RULE:
            return _told_rule(next(rule for rule in state.inventory.rules if rule.id == fact.rule))
        case FactKind.MAINTENANCE:
            h = state.inventory.host_index[fact.host]
            count = int((state.inventory.is_on_M & (state.host_of_M == h)).sum())
            return f"{fact.host} is in maintenance: it takes nothing" + (
                f" and has to lose all {count}" if count else ""
            )
        case FactKind.DOWN:
            return f"{fact.host} is down"
        case FactKind.GPU:
            return _told_gpu(state, fact)
        case FactKind.HA:
            failures = state.inventory.high_availability.host_failures
            what = "any host" if failures == 1 else f"any {failures} hosts"
            return f"the HA reservation: after a failure of {what} all VMs with HA must find memory on the others"


def _told_bound(state: State, fact: Fact) -> str:
    """ "host-1 is at 93.1% CPU, threshold 85.0%, and must lose 3.24 cores"."""
    room = figures(state, fact)
    assert room is not None
    h, r = state.inventory.host_index[fact.host], RESOURCE_OF[fact.kind]
    utilization, over = state.utilization_HR[h, r], room.used - room.limit
    if fact.kind is FactKind.MEMORY:
        bound = f"{fact.host} holds {room.used:.2f} of {room.limit:.2f} GiB of memory"
    else:
        threshold = room.limit / float(state.inventory.capacity_HR[h, r])
        bound = f"{fact.host} is at {utilization:.1%} {WORDS[fact.kind]}, threshold {threshold:.1%}"
    if state.inventory.hosts[h].state is not HostState.UP:
        return bound
    if over > 0:
        return f"{bound}, and must lose {over:.2f} {room.unit}"
    return f"{bound}: room for {-over:.2f} {room.unit}"


def _told_rule(rule: PlacementRule) -> str:
    """ "rule p0 lets a and b run on host-1 only"."""
    vms = listed(rule.vms)
    match rule.kind:
        case RuleKind.VM_HOST_AFFINITY:
            return f"rule {rule.id} lets {vms} run on {listed(rule.hosts)} only"
        case RuleKind.VM_VM_ANTI_AFFINITY:
            return f"rule {rule.id} keeps {vms} apart"
        case RuleKind.VM_VM_AFFINITY:
            return f"rule {rule.id} keeps {vms} together"


def _told_gpu(state: State, fact: Fact) -> str:
    """ "host-2 has 24 of 48 GiB of its GPUs in use"."""
    h = state.inventory.host_index[fact.host]
    total_gib = state.inventory.gpu_memory_H[h]
    if total_gib == 0:
        return f"{fact.host} has no GPU"
    return f"{fact.host} has {state.gpu_used_H()[h]:g} of the {total_gib:g} GiB of its GPUs in use"


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def fact_sentence(state: State, facts: Sequence[Fact], *, is_proven: bool = True) -> str:
    """ "Every plan is blocked by 3 facts: host-1 is at ..., and must lose 3.24 cores; rule p0 lets ..."."""
    clauses: list[str] = []
    for kind in FactKind:
        alike = [(fact, figures(state, fact)) for fact in facts if fact.kind is kind]
        bounds = [(fact, room) for fact, room in alike if room is not None]
        is_long = len(bounds) > FEW
        clauses += [told(state, fact) for fact, room in alike if room is None or not is_long]
        clauses += [_told_together(bounds, is_over) for is_over in (True, False)] if is_long else []
    count = "1 fact" if len(facts) == 1 else f"{len(facts)} facts"
    what = "Every plan is blocked by" if is_proven else "No plan was found because of"
    return f"{what} {count}: {'; '.join(clause for clause in clauses if clause)}."


def _told_together(bounds: Sequence[tuple[Fact, Figures]], is_over: bool) -> str:
    """ "host-1 (3.24) and host-2 (1.00) must lose 4.24 cores of CPU", or have room for it; empty for no such host."""
    alike = [(fact, room) for fact, room in bounds if (room.used > room.limit) == is_over]
    if not alike:
        return ""
    hosts = listed([f"{fact.host} ({abs(room.used - room.limit):.2f})" for fact, room in alike])
    amount = sum(abs(room.used - room.limit) for _, room in alike)
    have = "must lose" if is_over else "has room for" if len(alike) == 1 else "have room for"
    return f"{hosts} {have} {amount:.2f} {alike[0][1].unit} of {WORDS[alike[0][0].kind]}"
