"""Why a plan is as it is: what each move brings, why a VM moves or stays, and what stands in the way of it.

The figures are those of the state that `ads` plans on. Nothing here decides anything: what forbids a move is asked of
the rules, what would be cheaper or possible of the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from shlex import quote

from ..env.model.cluster import NOWHERE, Cluster
from ..env.model.contention import Contention, ContentionKind
from ..env.model.plan import Plan, Status, dense_move, replay
from ..env.model.rules import is_ha_binding
from ..env.model.state import State, state_of
from .conflict import Conflict, Prover, find_conflict
from .effects import Change, Step, change_of, differs, hottest, steps_of
from .forced import ForcedMove, forced_move
from .host_answers import HostAnswer, host_answers, restart_answers, told_openings
from .placement import place_with_room
from .search import SearchLimits
from .stranded import Stranded, after_failure, down_hosts, restart_hosts_of, stranded, told_stranded

PLACEMENT_LIMITS = SearchLimits(nodes=200_000)


class Fate(StrEnum):
    """What becomes of a VM: by the plan, by a placement, or after its host went down."""

    MOVES = "moves"
    STAYS = "stays"
    OFF = "off"
    PLACED = "placed"
    REJECTED = "rejected"
    RESTARTS = "restarts"
    WAITS = "waits"


@dataclass(frozen=True)
class VmAnswer:
    """Why a VM or session moves or stays.

    Attributes:
        fate: what becomes of it.
        host: where it is, empty where nowhere.
        reasons: sentences for people.
        steps: its moves, or the moves that make room for it.
        hosts: every host, in the order of the snapshot; just before its first move where it moves; none for what is
            off or waits for its host.
        forced: what it would cost to let it move; None where that was not asked.
        target: where it starts, for a placement or a restart.
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
        stranded: what is on and does not run, which no plan moves.
    """

    reasons: tuple[str, ...]
    stranded: Stranded
    steps: tuple[Step, ...] = ()
    hosts: tuple[Change, ...] = ()
    conflict: Conflict | None = None


def explain_cluster(cluster: Cluster, plan: Plan, prover: Prover | None = None) -> ClusterAnswer:
    """Why the plan of a whole cluster is as it is.

    Args:
        cluster: before the plan.
        plan: what a planner answered; whether it has proven a refusal stands.
        prover: of that planner, where it proves more than the search can.
    """
    state = state_of(cluster)
    lost = stranded(state)
    if plan.status is Status.REFUSED:
        conflict = find_conflict(state, is_refusal_proven=plan.proven, prover=prover)
        return ClusterAnswer(told_stranded(lost), lost, conflict=conflict)
    steps, after = steps_of(state, plan)
    hosts = tuple(change for h in range(state.inventory.host_count) if differs(change := change_of(state, after, h)))
    calm = (hottest(state),) if plan.status is Status.NO_CONTENTION else ()
    return ClusterAnswer((*calm, *told_stranded(lost)), lost, steps, hosts)


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
    if not own and int(state.host_of_M[m]) in down_hosts(state):
        return _lost(state, m)
    if own:
        at = replay(state, replace(plan, moves=plan.moves[: own[0].number - 1]))
        told = tuple(_told_step(step, len(steps)) for step in own)
        return VmAnswer(name, Fate.MOVES, _host_id(state, m), told, own, host_answers(at, m, is_ha_binding(state)))
    hosts = host_answers(state, m, is_ha_binding(state))
    forced = forced_move(state, m) if plan.status is Status.PLANNED else None
    reasons = _why_stays(state, plan, steps, m, hosts, forced)
    return VmAnswer(name, Fate.STAYS, _host_id(state, m), reasons, (), hosts, forced)


def _waiting(cluster: Cluster, state: State, m: int) -> VmAnswer:
    """For a VM that has no host: where it starts, or why it cannot."""
    name = state.inventory.movable_id(m)
    placed = place_with_room(cluster, m, PLACEMENT_LIMITS)
    is_placed = placed.status is Status.PLACED
    steps, _ = steps_of(state, placed)
    hosts = host_answers(state, m, is_ha_binding(state))
    command = f"`quell place SNAPSHOT --vm {quote(name)}`"
    how = f"{command} gives this as a plan" if is_placed else f"it waits until {command} finds a host for it"
    reasons = f"{name} is on but has no host: no plan moves it, a placement starts it", placed.reason, how
    return VmAnswer(name, Fate.PLACED if is_placed else Fate.REJECTED, "", reasons, steps, hosts, target=placed.target)


def _lost(state: State, m: int) -> VmAnswer:
    """For what stands on a host that is down: where it restarts, or what it waits for."""
    inventory = state.inventory
    name, home = inventory.movable_id(m), _host_id(state, m)
    down = f"{name} does not run: its host {home} is down, and no plan moves it"
    if m >= inventory.vm_count:
        return VmAnswer(name, Fate.WAITS, home, (down, "a session of a host that is down is directed to another host"))
    if not inventory.is_ha_V[m]:
        waits = f"it has no HA, so it does not restart elsewhere: it waits until {home} is back"
        return VmAnswer(name, Fate.WAITS, home, (down, waits))
    hosts = restart_answers(after_failure(state), m)
    h = restart_hosts_of(state).get(m)
    if h is None:
        waits = "it has HA, but no host that is up can take it after the others that restart: it waits for one"
        return VmAnswer(name, Fate.WAITS, home, (down, waits), hosts=hosts)
    target = inventory.hosts[h].id
    restarts = f"it has HA, so it restarts elsewhere; as things are {target} can take it"
    return VmAnswer(name, Fate.RESTARTS, home, (down, restarts), hosts=hosts, target=target)


def _why_stays(
    state: State, plan: Plan, steps: Sequence[Step], m: int, hosts: Sequence[HostAnswer], forced: ForcedMove | None
) -> tuple[str, ...]:
    """Sentences on why m is not moved."""
    name, home = state.inventory.movable_id(m), _host_id(state, m)
    if plan.status is Status.NO_CONTENTION:
        return f"{name} stays on {home}: no host is contended, so nothing moves", hottest(state)
    if plan.status is not Status.PLANNED:
        told = [f"{name} stays on {home}: nothing moves, for {_told_refusal(plan)} ({plan.reason})"]
        return (*told, told_openings(name, hosts))
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
    return (*told, told_openings(name, hosts))


def _told_refusal(plan: Plan) -> str:
    """What is known of there being no plan; "there is none" only where that is proven."""
    if plan.proven is None:  # a planner that does not look for all plans, or refrains
        return f"planner {plan.planner} has no plan"
    if plan.proven:
        return "there is no plan"
    return "no plan was found within the limits; it is not proven that there is none"


def _told_forced(name: str, plan: Plan, forced: ForcedMove) -> str:
    """ "the cheapest plan that moves vm-7 costs 48.0 GiB; this one costs 16.0 GiB"."""
    if forced.cost_gib == float("inf"):
        return f"no valid plan moves {name}"
    what = f"the cheapest plan that moves {name} costs" if forced.is_exact else f"no plan moves {name} for less than"
    return f"{what} {forced.cost_gib:.1f} GiB; this one costs {plan.cost_gib:.1f} GiB"


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
