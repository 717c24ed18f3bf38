"""Initial placement that makes room: where no host can take a new VM, others are rearranged so that one can.

The moves are migrations, so every rule of migrations binds them (R4 too, which is soft for the VM that starts). Where
no moves lead to a host that can take it, or only such as would end in contention, the placement is rejected.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..env.model.cluster import Cluster
from ..env.model.demand import Estimator, trend_estimate
from ..env.model.placement import host_rank, place, why_there
from ..env.model.plan import Plan, Status, moves_of, plan_score, replay, validate
from ..env.model.state import State, state_of
from .make_room import Room, RoomSolver, blocking_fact, make_room, possible_hosts
from .search import SearchLimits

LIMITS = SearchLimits(nodes=2_000)  # what a simulated day can bear: most that is found is found within it
Moves = tuple[tuple[int, int], ...]


def place_with_room(
    cluster: Cluster,
    m: int,
    limits: SearchLimits = LIMITS,
    name: str = "ads",
    *,
    estimate: Estimator = trend_estimate,
) -> Plan:
    """The host a VM starts on, after the cheapest moves that make room where no host can take it as things are.

    Args:
        cluster: what there is, and who is where.
        m: a VM that is on and on no host.
        limits: when the search for moves gives up; only the nodes count, so that every machine answers the same.
        name: what the plan calls the planner.
        estimate: demand from samples.
    """
    started = time.perf_counter()
    plain = place(cluster, m, name, estimate=estimate)
    state = state_of(cluster, estimate)
    if plain.status is Status.PLACED or not _may_search(state, m):
        return plain
    found = _rearranged(cluster, state, m, limits, plain)
    return replace(found, solve_seconds=time.perf_counter() - started)


def _may_search(state: State, m: int) -> bool:
    """Whether moves could help at all: not a VM that is off or whose demand nobody knows."""
    return bool(state.inventory.is_on_M[m] and state.host_of_M[m] < 0 and np.isfinite(state.demand_MR[m]).all())


def _rearranged(cluster: Cluster, state: State, m: int, limits: SearchLimits, plain: Plan) -> Plan:
    """The plan with moves, or the rejection that also says why no moves help."""
    hosts = sorted(possible_hosts(state, m), key=lambda h: host_rank(state, m, h))
    fact = blocking_fact(state, m, hosts)
    why = fact or ""
    while hosts and fact is None:
        room = make_room(state, m, hosts, limits)
        if room.target < 0:
            why = room.reason
            break
        found = _best_of(cluster, state, m, room, plain)
        if found is not None:
            return found
        # The judge has the last word: what it does not let pass is sought elsewhere.
        why, hosts = "the moves that were found break a rule", [h for h in hosts if h != room.target]
    return replace(plain, reason=f"{plain.reason}; {why}")


def _best_of(cluster: Cluster, state: State, m: int, room: Room, plain: Plan) -> Plan | None:
    """The valid plan of the moves found, with lower node scores where the same cost allows; None if it is invalid."""
    solver = RoomSolver(state, m)
    solver.aim(room.target)
    polished = solver.polished(np.array(room.moves, dtype=np.int64).reshape(-1, 2).T.copy())
    other: Moves = tuple((int(mover), int(target)) for mover, target in polished.T)
    for moves in sorted({other, room.moves}, key=lambda moves: (plan_score(state, moves), moves)):
        plan = _placed(state, m, room, moves, plain)
        if not validate(state, plan, cluster_name=cluster.name):
            return plan
    return None


def _placed(state: State, m: int, room: Room, dense: Moves, plain: Plan) -> Plan:
    """The plan of some moves and the start after them."""
    moves = moves_of(state, dense, move_reasons(state, m, room.target, dense))
    cost_gib = sum(move.cost_gib for move in moves)
    plan = replace(
        plain,
        status=Status.PLACED,
        moves=moves,
        cost_gib=cost_gib,
        target=state.inventory.hosts[room.target].id,
    )
    count = f"{len(moves)} move{'' if len(moves) == 1 else 's'}"
    there = why_there(replay(state, plan), m, room.target)
    return replace(plan, reason=f"{there}, once {count} ({cost_gib:.1f} GiB) made room; {room.reason}")


def move_reasons(state: State, m: int, target: int, dense: Sequence[tuple[int, int]]) -> list[str]:
    """Why each move is part of the plan, for people: "makes room on host-3 for vm-9"."""
    inventory = state.inventory
    vm = inventory.movable_id(m)
    reasons = []
    at = state
    for i, (mover, to) in enumerate(dense):
        source = int(at.host_of_M[mover])
        guests = [inventory.movable_id(other) for other, there in dense[i + 1 :] if there == source and other != mover]
        if source == target:
            reasons.append(f"makes room on {inventory.hosts[source].id} for {vm}")
        elif guests:
            reasons.append(f"makes room on {inventory.hosts[source].id} for {' and '.join(guests)}")
        else:
            reasons.append(f"lets others make room for {vm}")
        at = at.moved(mover, to)
    return reasons
