"""Moves, plans, and `validate`: the replay that judges every planner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from .cluster import NOWHERE, TOLERANCE
from .contention import Contention, contentions
from .cost import migration_cost_M, node_score_H
from .memory import Resize, missing_resizes, wrong_resizes
from .rules import Reason, Violation, check_move, check_placement, is_ha_binding, resolved, vm_vm_affinity
from .state import State

COST_TOLERANCE_GIB = 0.01  # plan documents may round their costs to two decimals


class MoveKind(StrEnum):
    """What a move moves."""

    VM = "vm"
    SESSION = "session"


class Status(StrEnum):
    """How a planner answers."""

    PLANNED = "planned"
    NO_CONTENTION = "no-contention"
    REFUSED = "refused"
    OBSERVING = "observing"
    PLACED = "placed"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Move:
    """One migration of a VM or session from source to target (host ids)."""

    kind: MoveKind
    id: str
    source: str
    target: str
    cost_gib: float
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """What a planner wants: ordered moves, or the reason why there are none.

    A placement (`placed` or `rejected`) names the VM it is about: its moves make room, then the VM starts on `target`.
    `proven` says of a `planned` plan whether it is proven that no valid plan is cheaper, and of a `refused` one that
    there is none; None where nobody asked.
    """

    cluster: str
    planner: str
    status: Status
    reason: str
    contentions: tuple[Contention, ...] = ()
    moves: tuple[Move, ...] = ()
    resizes: tuple[Resize, ...] = ()
    cost_gib: float = 0.0
    solve_seconds: float = 0.0
    vm: str = ""
    target: str = ""
    proven: bool | None = None

    def without_moves(self, status: Status, reason: str) -> Plan:
        """The same plan with its moves taken back."""
        return replace(self, status=status, reason=reason, moves=(), resizes=(), cost_gib=0.0, proven=None)


def dense_move(state: State, move: Move) -> tuple[int, int]:
    """A move as (m, target index).

    Raises:
        KeyError: the id is not in the cluster.
    """
    index = state.inventory.vm_index if move.kind is MoveKind.VM else state.inventory.session_index
    return index[move.id], state.inventory.host_index[move.target]


def moves_of(state: State, dense: Sequence[tuple[int, int]], reasons: Sequence[str] | None = None) -> tuple[Move, ...]:
    """Moves of a plan from (m, target index) pairs, in order, with source, cost and reason filled in."""
    cost_M = migration_cost_M(state)
    inventory = state.inventory
    host_of = state.host_of_M.copy()
    moves = []
    for i, (m, target) in enumerate(dense):
        kind = MoveKind.VM if m < inventory.vm_count else MoveKind.SESSION
        source = inventory.hosts[host_of[m]].id
        cost_gib = float(cost_M[m])
        reason = reasons[i] if reasons else ""
        moves.append(Move(kind, inventory.movable_id(m), source, inventory.hosts[target].id, cost_gib, reason))
        host_of[m] = target
    return tuple(moves)


def replay(state: State, plan: Plan) -> State:
    """The state after all moves of a plan that has been found valid."""
    for move in plan.moves:
        state = state.moved(*dense_move(state, move))
    return state


def plan_score(state: State, dense: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """(total cost in GiB, sum of the targets' node scores just after each move): plans are ranked by it."""
    cost_M = migration_cost_M(state)
    cost_gib = score = 0.0
    for m, target in dense:
        state = state.moved(m, target)
        cost_gib += float(cost_M[m])
        score += float(node_score_H(state)[target])
    return cost_gib, score


def validate(
    state: State, plan: Plan, *, must_resolve: bool = True, cluster_name: str | None = None
) -> tuple[Violation, ...]:
    """Replays a plan and returns everything it breaks; empty where it is valid.

    The first move that cannot be carried out ends the replay: what follows would be judged from a state that never
    comes. A placement is judged after its moves: none of them may create a contention (R1, R8), nor may the VM on its
    target; contentions that were there before may stay.

    Args:
        state: the state before the plan.
        plan: the plan to judge.
        must_resolve: whether R9 binds (a plan of status `planned` leaves no contention). Planners that relieve what
            they can are run with False; R1-R8 bind them all the same.
        cluster_name: the cluster's name, where the plan's `cluster` is to be held against it.
    """
    broken = [Violation(Reason.PLAN, detail) for detail in _contradictions(state, plan, cluster_name)]
    placement = _placement(state, plan)
    is_ha_enforced = bool(plan.moves or placement) and is_ha_binding(state)
    cost_M = migration_cost_M(state)
    after = state
    for i, move in enumerate(plan.moves):
        if unknown := _unknown(state, move):
            return (*broken, Violation(Reason.PLAN, unknown, i))
        m, target = dense_move(state, move)
        if abs(move.cost_gib - cost_M[m]) > COST_TOLERANCE_GIB:
            detail = f"{move.id} costs {cost_M[m]:.2f} GiB, the plan says {move.cost_gib:.2f}"
            broken.append(Violation(Reason.PLAN, detail, i))
        if forbidden := _forbidden(after, move, is_ha_enforced):
            return (*broken, *(replace(violation, move=i) for violation in forbidden))
        after = after.moved(m, target)
    if placement is not None:
        if forbidden := check_placement(after, *placement, is_ha_enforced=is_ha_enforced):
            return (*broken, *forbidden)
        after = after.moved(*placement)
    broken += vm_vm_affinity(state, after)
    broken += [Violation(Reason.PLAN, detail) for detail in wrong_resizes(after, plan.resizes)]
    if must_resolve and plan.status is Status.PLANNED:
        broken += resolved(after)
        broken += [Violation(Reason.R9_UNRESOLVED, detail) for detail in missing_resizes(state, after, plan.resizes)]
    return tuple(broken)


def _forbidden(state: State, move: Move, is_ha_enforced: bool) -> tuple[Violation, ...]:
    """What forbids a move at its turn; its source must be where the movable then is."""
    m, target = dense_move(state, move)
    broken = check_move(state, m, target, is_ha_enforced=is_ha_enforced)
    if state.host_of_M[m] == state.inventory.host_index[move.source]:
        return broken
    detail = f"{move.id} is {_place(state, m)}, not on {move.source}"
    return Violation(Reason.R2_HOST_STATE, detail), *broken


def _contradictions(state: State, plan: Plan, cluster_name: str | None) -> Iterator[str]:
    """What is wrong with the document itself: another cluster, a status that does not fit, a sum that is none."""
    if cluster_name is not None and plan.cluster != cluster_name:
        yield f"the plan is for cluster {plan.cluster!r}, the snapshot is {cluster_name!r}"
    if plan.moves and plan.status not in (Status.PLANNED, Status.PLACED):
        yield f"status {plan.status} goes with no moves, the plan has {len(plan.moves)}"
    if plan.status is Status.NO_CONTENTION and (found := contentions(state)):
        yield f"status is no-contention, but {found[0].host} has {found[0].kind} contention"
    yield from _placement_contradictions(state, plan)
    total_gib = sum(move.cost_gib for move in plan.moves)
    if abs(plan.cost_gib - total_gib) > COST_TOLERANCE_GIB * max(1, len(plan.moves)) + TOLERANCE:
        yield f"cost_gib is {plan.cost_gib:.2f}, the moves add up to {total_gib:.2f}"


def _placement_contradictions(state: State, plan: Plan) -> Iterator[str]:
    """What is wrong with the VM and the target that a plan names."""
    inventory = state.inventory
    if plan.status not in (Status.PLACED, Status.REJECTED):
        if plan.vm or plan.target:
            yield f"status {plan.status} goes with no vm and no target, the plan names {plan.vm or plan.target}"
        return
    m = inventory.vm_index.get(plan.vm)
    if plan.status is Status.PLACED and not plan.vm:
        yield "status is placed, but the plan names no vm"
    elif plan.vm and m is None:
        yield f"there is no VM {plan.vm} in the cluster"
    elif m is not None and not inventory.is_on_M[m]:
        yield f"status is {plan.status}, but {plan.vm} is off"
    elif m is not None and state.host_of_M[m] != NOWHERE:
        yield f"status is {plan.status}, but {plan.vm} is {_place(state, m)} already"
    if plan.status is Status.REJECTED and plan.target:
        yield f"status is rejected, but the plan names the target {plan.target}"
    elif plan.status is Status.PLACED and not plan.target:
        yield "status is placed, but the plan names no target"
    elif plan.target and plan.target not in inventory.host_index:
        yield f"there is no host {plan.target} in the cluster"


def _placement(state: State, plan: Plan) -> tuple[int, int] | None:
    """The VM and the target of a placement as (m, host index); None where there is none that makes sense."""
    if plan.status is not Status.PLACED or any(_placement_contradictions(state, plan)):
        return None
    return state.inventory.vm_index[plan.vm], state.inventory.host_index[plan.target]


def _unknown(state: State, move: Move) -> str | None:
    """The id in a move that the cluster does not have, in a sentence."""
    inventory = state.inventory
    if move.id not in (inventory.vm_index if move.kind is MoveKind.VM else inventory.session_index):
        return f"there is no {'VM' if move.kind is MoveKind.VM else 'session'} {move.id} in the cluster"
    unknown = [host for host in (move.source, move.target) if host not in inventory.host_index]
    return f"there is no host {unknown[0]} in the cluster" if unknown else None


def _place(state: State, m: int) -> str:
    """Where a movable is, in words."""
    h = int(state.host_of_M[m])
    return f"on {state.inventory.hosts[h].id}" if h >= 0 else "not placed"
