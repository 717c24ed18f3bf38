"""What a person reads of the facts that block a plan: one clause for each, with its figures."""

from __future__ import annotations

from collections.abc import Sequence

from ..env.model.cluster import HostState, PlacementRule, RuleKind
from ..env.model.state import State
from .blocking import RESOURCE_OF, Fact, FactKind, Figures, figures

WORDS = {FactKind.CPU: "CPU", FactKind.MEMORY: "memory", FactKind.STORAGE_CPU: "storage controller"}
FEW = 3  # hosts that are each told with all their figures
LEAST_TOLD = 0.01  # cores or GiB: figures have two decimals


def told(state: State, fact: Fact) -> str:
    """The fact with its figures, as a clause for people."""
    match fact.kind:
        case FactKind.CPU | FactKind.STORAGE_CPU | FactKind.MEMORY:
            return _told_bound(state, fact)
        case FactKind.RULE:
            return _told_rule(next(rule for rule in state.inventory.rules if rule.id == fact.rule))
        case FactKind.MAINTENANCE:
            return _told_maintenance(state, fact)
        case FactKind.DOWN:
            return f"{fact.host} is down: it takes nothing"
        case FactKind.GPU:
            return _told_gpu(state, fact)
        case FactKind.HA:
            failures = state.inventory.high_availability.host_failures
            what = "any host" if failures == 1 else f"any {failures} hosts"
            return f"the HA reservation: after a failure of {what} all VMs with HA must find memory on the others"


def _told_maintenance(state: State, fact: Fact) -> str:
    """ "host-1 is in maintenance: it takes nothing, and 2 VMs and 1 session have to leave it"."""
    bound = f"{fact.host} is in maintenance: it takes nothing"
    there_M = state.inventory.is_on_M & (state.host_of_M == state.inventory.host_index[fact.host])
    vms = int(there_M[: state.inventory.vm_count].sum())
    sessions = int(there_M.sum()) - vms
    if vms + sessions == 0:
        return bound
    what = [counted(count, name) for count, name in ((vms, "VM"), (sessions, "session")) if count]
    return f"{bound}, and {listed(what)} {'has' if vms + sessions == 1 else 'have'} to leave it"


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
        return f"{bound}, and must lose {amount(over, room.unit)}"
    return f"{bound}: {'room for ' + amount(-over, room.unit) if -over >= LEAST_TOLD else 'no room left'}"


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


def amount(figure: float, unit: str) -> str:
    """ "3.24 cores"; what is less than people read is not told as nothing."""
    return f"{figure:.2f} {unit}" if figure >= LEAST_TOLD else f"less than {LEAST_TOLD:.2f} {unit}"


def counted(number: int, what: str) -> str:
    """ "1 move", "2 moves"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


def fact_sentence(state: State, facts: Sequence[Fact], *, is_proven: bool = True) -> str:
    """ "Every plan is blocked by 3 facts: host-1 is at ..., and must lose 3.24 cores; rule p0 lets ...".

    Args:
        state: before the plan.
        facts: what is in force, all else lifted.
        is_proven: whether it is proven that they block every plan.
    """
    clauses: list[str] = []
    for kind in FactKind:
        alike = [(fact, figures(state, fact)) for fact in facts if fact.kind is kind]
        bounds = [(fact, room) for fact, room in alike if room is not None]
        is_long = len(bounds) > FEW
        clauses += [told(state, fact) for fact, room in alike if room is None or not is_long]
        clauses += [_told_together(bounds, is_over) for is_over in (True, False)] if is_long else []
    count = counted(len(facts), "fact")
    these = "this 1 fact" if len(facts) == 1 else f"these {len(facts)} facts"
    what = f"Every plan is blocked by {count}" if is_proven else f"No plan was found with {these} in force"
    return f"{what}: {'; '.join(clause for clause in clauses if clause)}."


def _told_together(bounds: Sequence[tuple[Fact, Figures]], is_over: bool) -> str:
    """ "host-1 (3.24) and host-2 (1.00) must lose 4.24 cores of CPU", or have room for it; empty for no such host."""
    alike = [(fact, room) for fact, room in bounds if (room.used > room.limit) == is_over]
    if not alike:
        return ""
    is_one = len(alike) == 1
    hosts = listed([fact.host if is_one else f"{fact.host} ({abs(r.used - r.limit):.2f})" for fact, r in alike])
    total = sum(abs(room.used - room.limit) for _, room in alike)
    have = "must lose" if is_over else "has room for" if is_one else "have room for"
    return f"{hosts} {have} {amount(total, alike[0][1].unit)} of {WORDS[alike[0][0].kind]}"
