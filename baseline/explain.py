"""Why a plan is as it is: what each move brings, why a VM moves or stays, and what stands in the way of it.

The figures are those of the state that `ads` plans on. Nothing here decides anything: what forbids a move is asked of
the rules, what would be cheaper or possible of the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ..env.model.cluster import NOWHERE, Cluster
from ..env.model.contention import Contention, ContentionKind
from ..env.model.cost import node_score_H
from ..env.model.plan import Plan, Status, dense_move, replay
from ..env.model.rules import (
    Reason,
    Violation,
    check_move,
    check_placement,
    is_ha_binding,
    vm_vm_affinity,
    vm_vm_anti_affinity,
)
from ..env.model.state import State, state_of
from .conflict import Conflict, find_conflict
from .effects import Change, Step, change_of, differs, hottest, shares_of, steps_of
from .forced import ForcedMove, forced_move
from .placement import place_with_room
from .search import SearchLimits

PLACEMENT_LIMITS = SearchLimits(nodes=200_000)


class Standing(StrEnum):
    """How a host stands to a VM."""

    HERE = "here"
    OPEN = "open"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class HostAnswer:
    """Whether a VM could go to a host as things are: `change` of the host if it did (if it left, for its own host).

    Attributes:
        rule: the first rule that blocks the host, empty where none does.
        detail: the rule's reason with its figures, or what speaks for the host.
    """

    host: str
    standing: Standing
    rule: str
    detail: str
    change: Change


class Fate(StrEnum):
    """What a plan does with a VM."""

    MOVES = "moves"
    STAYS = "stays"
    OFF = "off"
    PLACED = "placed"
    REJECTED = "rejected"


@dataclass(frozen=True)
class VmAnswer:
    """Why a VM or session moves or stays.

    Attributes:
        fate: what the plan does with it.
        host: where it is, empty where nowhere.
        reasons: sentences for people.
        steps: its moves, or the moves that make room for it.
        hosts: every host, in the order of the snapshot; just before its first move where it moves.
        forced: what it would cost to let it move; None where that was not asked.
        target: where it starts, for a placement.
    """

    id: str
    fate: Fate
    host: str
    reasons: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    hosts: tuple[HostAnswer, ...] = ()
    forced: ForcedMove | None = None
    target: str = ""


@dataclass(frozen=True)
class ClusterAnswer:
    """Why a cluster's plan is as it is.

    Attributes:
        reasons: sentences for people.
        steps: every move with what it brings.
        hosts: every host that changes, from before the plan to after it.
        conflict: for a refusal, the facts that block every plan.
    """

    reasons: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    hosts: tuple[Change, ...] = ()
    conflict: Conflict | None = None


def explain_cluster(cluster: Cluster, plan: Plan) -> ClusterAnswer:
    """Why the plan of a whole cluster is as it is."""
    state = state_of(cluster)
    if plan.status is Status.REFUSED:
        return ClusterAnswer((), conflict=find_conflict(state))
    steps, after = steps_of(state, plan)
    hosts = tuple(change for h in range(state.inventory.host_count) if differs(change := change_of(state, after, h)))
    return ClusterAnswer((hottest(state),) if plan.status is Status.NO_CONTENTION else (), steps, hosts)


def explain_movable(cluster: Cluster, plan: Plan, m: int) -> VmAnswer:
    """Why VM or session m moves in a plan for the cluster, or why it does not."""
    state = state_of(cluster)
    inventory = state.inventory
    name = inventory.movable_id(m)
    if not inventory.is_on_M[m]:
        return VmAnswer(name, Fate.OFF, _host_id(state, m), (f"{name} is off: only what runs is moved or placed",))
    if state.host_of_M[m] == NOWHERE:
        return _waiting(cluster, state, m)
    steps, _ = steps_of(state, plan)
    own = tuple(step for step in steps if dense_move(state, step.move)[0] == m)
    if own:
        at = replay(state, replace(plan, moves=plan.moves[: own[0].number - 1]))
        told = tuple(_told_step(step, len(steps)) for step in own)
        return VmAnswer(name, Fate.MOVES, _host_id(state, m), told, own, host_answers(at, m, is_ha_binding(state)))
    hosts = host_answers(state, m, is_ha_binding(state))
    forced = forced_move(state, m) if plan.status is Status.PLANNED else None
    reasons = _why_stays(state, plan, steps, m, hosts, forced)
    return VmAnswer(name, Fate.STAYS, _host_id(state, m), reasons, (), hosts, forced)


def host_answers(state: State, m: int, is_ha_enforced: bool) -> tuple[HostAnswer, ...]:
    """For every host, whether m could go there alone as things are; by what rule not."""
    answers = []
    scores_now = node_score_H(state)
    for h, host in enumerate(state.inventory.hosts):
        if state.host_of_M[m] == h:
            left_R = (state.used_HR[h] - state.demand_MR[m]) / state.inventory.capacity_HR[h]
            change = Change(host.id, shares_of(state, h), tuple(float(share) for share in left_R))
            answers.append(HostAnswer(host.id, Standing.HERE, "", f"is here; node score {scores_now[h]:.3f}", change))
            continue
        after = state.moved(m, h)
        change = change_of(state, after, h)
        broken = _broken(state, after, m, h, is_ha_enforced)
        if broken:
            answers.append(HostAnswer(host.id, Standing.BLOCKED, broken[0].reason, broken[0].detail, change))
        else:
            score = f"node score {node_score_H(after)[h]:.3f}"
            clash = vm_vm_anti_affinity(state, m, h)
            detail = f"{change.figures}, {score}" + (f"; {clash}, which is a last resort" if clash else "")
            answers.append(HostAnswer(host.id, Standing.OPEN, "", detail, change))
    return tuple(answers)


def _broken(state: State, after: State, m: int, h: int, is_ha_enforced: bool) -> tuple[Violation, ...]:
    """What forbids m on host h; R5, which binds whole plans, comes last."""
    if state.host_of_M[m] == NOWHERE:
        return check_placement(state, m, h, is_ha_enforced=is_ha_enforced)
    split = [Violation(Reason.R5_VM_VM_AFFINITY, f"alone: {v.detail}") for v in vm_vm_affinity(state, after)]
    return (*check_move(state, m, h, is_ha_enforced=is_ha_enforced), *split)


def _waiting(cluster: Cluster, state: State, m: int) -> VmAnswer:
    """For a VM that has no host: where it starts, or why it cannot."""
    name = state.inventory.movable_id(m)
    placed = place_with_room(cluster, m, PLACEMENT_LIMITS)
    fate = Fate.PLACED if placed.status is Status.PLACED else Fate.REJECTED
    steps, at = steps_of(state, placed)
    hosts = host_answers(state, m, is_ha_binding(state))
    return VmAnswer(name, fate, "", (f"{name} has no host yet", placed.reason), steps, hosts, target=placed.target)


def _why_stays(
    state: State, plan: Plan, steps: Sequence[Step], m: int, hosts: Sequence[HostAnswer], forced: ForcedMove | None
) -> tuple[str, ...]:
    """Sentences on why m is not moved."""
    name, home = state.inventory.movable_id(m), _host_id(state, m)
    if plan.status is Status.NO_CONTENTION:
        return f"{name} stays on {home}: no host is contended, so nothing moves", hottest(state)
    if plan.status is not Status.PLANNED:
        told = [f"{name} stays on {home}: nothing moves, for there is no plan ({plan.reason})"]
        return (*told, _told_openings(name, hosts))
    there = [contention for contention in plan.contentions if contention.host == home]
    instead = [step for step in steps if step.move.source == home]
    if not there:
        told = [f"{name} stays on {home}: that host is not contended, and the plan does not need its room"]
    elif instead:
        moved = " and ".join(f"{step.move.id} ({step.move.cost_gib:.1f} GiB)" for step in instead)
        what = "instead" if not _is_maintenance(there) else "alone"
        told = [
            f"{name} stays on {home}, which is contended: {moved} {'leave' if len(instead) > 1 else 'leaves'} it {what}"
        ]
    else:
        told = [f"{name} stays on {home}: its swapping ends without a move"]
    if forced is not None:
        told.append(_told_forced(name, plan, forced))
    return (*told, _told_openings(name, hosts))


def _told_forced(name: str, plan: Plan, forced: ForcedMove) -> str:
    """ "the cheapest plan that moves vm-7 costs 48.0 GiB; this one costs 16.0 GiB"."""
    if forced.cost_gib == float("inf"):
        return f"no valid plan moves {name}"
    what = f"the cheapest plan that moves {name} costs" if forced.is_exact else f"no plan moves {name} for less than"
    return f"{what} {forced.cost_gib:.1f} GiB; this one costs {plan.cost_gib:.1f} GiB"


def _told_openings(name: str, hosts: Sequence[HostAnswer]) -> str:
    """Whether anything could take it as things are."""
    others = [answer for answer in hosts if answer.standing is not Standing.HERE]
    free = [answer.host for answer in others if answer.standing is Standing.OPEN]
    if free:
        return f"as things are, {len(free)} of the {len(others)} other hosts could take {name}: {', '.join(free)}"
    return f"as things are, none of the {len(others)} other hosts could take {name}"


def _is_maintenance(there: Sequence[Contention]) -> bool:
    """Whether a host has to be emptied."""
    return any(contention.kind is ContentionKind.MAINTENANCE for contention in there)


def _told_step(step: Step, count: int) -> str:
    """ "vm-7 moves from host-1 to host-3 (move 2 of 3, 16.0 GiB): relieves CPU of host-1 (CPU 90.2% to 74.1%, ...)"."""
    move = step.move
    where = (
        f"{move.id} moves from {move.source} to {move.target} (move {step.number} of {count}, {move.cost_gib:.1f} GiB)"
    )
    return f"{where}: {step.effect}; {move.target}: {step.target.figures}"


def _host_id(state: State, m: int) -> str:
    """The host m is on, empty where it is on none."""
    h = int(state.host_of_M[m])
    return "" if h == NOWHERE else state.inventory.hosts[h].id
