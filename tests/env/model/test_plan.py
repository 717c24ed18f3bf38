"""The judge of every planner: the known plan and its wrong variants, each caught at its move by its rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quell.env.model.cluster import NOWHERE, Cluster
from quell.env.model.contention import contentions
from quell.env.model.plan import Move, MoveKind, Plan, Status, moves_of, plan_score, replay, validate
from quell.env.model.rules import Reason, allowed_moves_MH, check_move, is_ha_binding, resolved, vm_vm_affinity
from quell.env.model.snapshot import read_snapshot
from quell.env.model.state import State, state_of
from tests.env.model.clusters import random_clusters, small_cluster

SIZE = {"memory_gib": 512, "storage_cpu_cores": 8}


def vm(host: str | None, cores: float, memory_gib: float, **more: Any) -> dict[str, Any]:
    """A VM of the example below."""
    return {"host": host, "cpu_demand_cores": cores, "memory_gib": memory_gib} | more


# node-1 is at 90 %, and no host takes one of its VMs as things are.
NODES: dict[str, Any] = {"node-1": SIZE, "node-2": SIZE, "node-3": SIZE}
NODE_VMS = {
    "a1": vm("node-1", 45, 64),
    "a2": vm("node-1", 45, 72),
    "b1": vm("node-2", 35, 32),
    "b2": vm("node-2", 30, 32),
    "c1": vm("node-3", 35, 32),
    "c2": vm("node-3", 15, 16),
}
THREE_NODES = small_cluster(NODES, NODE_VMS)


def move(movable: str, source: str, target: str, cost_gib: float, kind: MoveKind = MoveKind.VM) -> Move:
    """A move."""
    return Move(kind, movable, source, target, cost_gib)


def plan_of(*moves: Move, status: Status = Status.PLANNED, **more: Any) -> Plan:
    """A plan whose cost is the sum of its moves."""
    return Plan("small", "test", status, "", moves=moves, cost_gib=sum(m.cost_gib for m in moves), **more)


C2_AWAY = move("c2", "node-3", "node-2", 16)
A1_THERE = move("a1", "node-1", "node-3", 64)
KNOWN_PLAN = plan_of(C2_AWAY, A1_THERE)


def judged(cluster: Cluster, plan: Plan, *, must_resolve: bool = True) -> list[str]:
    """Everything that is wrong with a plan, as a person reads it."""
    return [str(violation) for violation in validate(state_of(cluster), plan, must_resolve=must_resolve)]


def test_the_known_plan_is_valid() -> None:
    assert judged(THREE_NODES, KNOWN_PLAN) == []
    after = replay(state_of(THREE_NODES), KNOWN_PLAN)
    assert after.utilization_HR[:, 0].tolist() == [0.45, 0.8, 0.8]


def test_the_published_example_is_this_cluster(shared_dir: Any) -> None:
    published = state_of(read_snapshot(shared_dir / "spec" / "examples" / "three-nodes.json"))
    ours = state_of(THREE_NODES)
    np.testing.assert_array_equal(published.demand_MR, ours.demand_MR)
    np.testing.assert_array_equal(published.used_HR, ours.used_HR)
    assert validate(published, KNOWN_PLAN) == ()


HOT_1 = "R9 resolved: node-1 still has cpu contention (90.0%, threshold 85.0%)"
INTO_THE_HEAT = "move 1: R8 no new contention: c2 cannot go to node-1, whose CPU is above its threshold of 85.0%"


def over(move_number: int, vm_id: str, host: str, percent: str) -> str:
    """The sentence of R8."""
    return (
        f"move {move_number}: R8 no new contention: {vm_id} would bring the CPU of {host} to {percent}, threshold 85.0%"
    )


@pytest.mark.parametrize(
    ("moves", "broken"),
    [
        ([], [HOT_1]),
        ([C2_AWAY], [HOT_1]),
        ([A1_THERE], [over(1, "a1", "node-3", "95.0%")]),
        ([A1_THERE, C2_AWAY], [over(1, "a1", "node-3", "95.0%")]),
        # The swap trap: both moves together are fine, the moment between them is not.
        ([A1_THERE, move("c2", "node-3", "node-1", 16)], [over(1, "a1", "node-3", "95.0%")]),
        (
            [move("c2", "node-3", "node-1", 16), A1_THERE],
            [INTO_THE_HEAT],
        ),
        ([C2_AWAY, move("a1", "node-1", "node-2", 64)], [over(2, "a1", "node-2", "125.0%")]),
        ([C2_AWAY, A1_THERE, move("a2", "node-1", "node-3", 72)], [over(3, "a2", "node-3", "125.0%")]),
        ([C2_AWAY, move("a2", "node-1", "node-3", 72)], []),  # dearer, and valid
        (
            [C2_AWAY, C2_AWAY],
            ["move 2: R2 host state: c2 is on node-2, not on node-3", "move 2: R2 host state: c2 is on node-2 already"],
        ),
        ([C2_AWAY, move("a1", "node-2", "node-3", 64)], ["move 2: R2 host state: a1 is on node-1, not on node-2"]),
    ],
)
def test_variants_of_the_known_plan(moves: list[Move], broken: list[str]) -> None:
    assert judged(THREE_NODES, plan_of(*moves)) == broken


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        (move("zz", "node-3", "node-2", 16), "move 1: plan: there is no VM zz in the cluster"),
        (move("c2", "node-9", "node-2", 16), "move 1: plan: there is no host node-9 in the cluster"),
        (move("c2", "node-3", "node-9", 16), "move 1: plan: there is no host node-9 in the cluster"),
        (move("c2", "node-3", "node-2", 16, MoveKind.SESSION), "move 1: plan: there is no session c2 in the cluster"),
        (move("c2", "node-3", "node-2", 16.02), "move 1: plan: c2 costs 16.00 GiB, the plan says 16.02"),
    ],
)
def test_a_first_move_that_contradicts_the_snapshot(wrong: Move, broken: str) -> None:
    assert judged(THREE_NODES, plan_of(wrong, A1_THERE)) == [broken]


def test_costs_may_be_rounded_to_two_decimals() -> None:
    cluster = small_cluster(NODES, NODE_VMS | {"c2": vm("node-3", 15, 16.004)})
    assert judged(cluster, KNOWN_PLAN) == []


def test_the_cost_of_a_plan_is_the_sum_of_its_moves() -> None:
    assert judged(THREE_NODES, replace(KNOWN_PLAN, cost_gib=64)) == [
        "plan: cost_gib is 64.00, the moves add up to 80.00"
    ]


@pytest.mark.parametrize("status", [Status.REFUSED, Status.OBSERVING, Status.REJECTED])
def test_moves_go_with_planned_only(status: Status) -> None:
    assert judged(THREE_NODES, plan_of(C2_AWAY, A1_THERE, status=status)) == [
        f"plan: status {status} goes with no moves, the plan has 2"
    ]
    assert judged(THREE_NODES, plan_of(status=status)) == []


def test_no_contention_where_there_is_one() -> None:
    assert judged(THREE_NODES, plan_of(status=Status.NO_CONTENTION)) == [
        "plan: status is no-contention, but node-1 has cpu contention"
    ]
    calm = small_cluster(NODES, {"a": vm("node-1", 45, 64)})
    assert judged(calm, plan_of(status=Status.NO_CONTENTION)) == []


def test_a_plan_for_another_cluster() -> None:
    state = state_of(THREE_NODES)
    (broken,) = validate(state, KNOWN_PLAN, cluster_name="web")
    assert str(broken) == "plan: the plan is for cluster 'small', the snapshot is 'web'"
    assert validate(state, KNOWN_PLAN, cluster_name="small") == ()


# What need not be resolved


def test_a_partial_plan_is_valid_where_not_everything_must_be_resolved() -> None:
    assert judged(THREE_NODES, plan_of(C2_AWAY), must_resolve=False) == []
    assert judged(THREE_NODES, plan_of(A1_THERE), must_resolve=False) == [over(1, "a1", "node-3", "95.0%")]


def test_a_vm_may_be_parked_and_brought_back() -> None:
    """c2 makes room for a1 on node-2, where it is in the way of nobody; then it goes home."""
    hosts: dict[str, Any] = {"h": {}, "g": {}, "i": {}}
    vms = {"hot": vm("h", 50, 20), "warm": vm("h", 40, 90), "x": vm("g", 40, 1), "y": vm("g", 20, 1)}
    plan = plan_of(
        move("y", "g", "i", 1),
        move("warm", "h", "i", 90),
        move("y", "i", "g", 1),
    )
    assert judged(small_cluster(hosts, vms), plan) == []


def test_maintenance_is_resolved_when_nothing_runs_there() -> None:
    hosts = {"m": {"state": "maintenance"}, "g": {}}
    vms = {"a": vm("m", 1, 10), "b": vm("m", 1, 10, power="off")}
    cluster = small_cluster(hosts, vms, {"s": {"controller": "m"}})
    vm_away, session_away = move("a", "m", "g", 10), move("s", "m", "g", 1, MoveKind.SESSION)
    left = "R9 resolved: m still has maintenance contention (memory {} in use)"
    assert judged(cluster, plan_of(vm_away, session_away)) == []
    assert judged(cluster, plan_of(vm_away)) == [left.format("0.0%")]
    assert judged(cluster, plan_of(session_away)) == [left.format("10.0%")]


def test_vms_that_shared_a_host_must_share_one_at_the_end() -> None:
    together = ({"kind": "vm-vm-affinity", "vms": ["c1", "c2"]},)
    cluster = small_cluster(NODES, NODE_VMS, policies=together)
    assert judged(cluster, KNOWN_PLAN) == ["R5 vm-vm-affinity: c1, c2 no longer share a host (rule p0)"]


def test_a_pair_may_be_parted_on_the_way() -> None:
    together = ({"kind": "vm-vm-affinity", "vms": ["a", "b"]},)
    cluster = small_cluster(
        {"h": {}, "g": {}}, {"a": vm("h", 45, 10), "b": vm("h", 35, 10), "c": vm("h", 10, 5)}, policies=together
    )
    assert judged(cluster, plan_of(move("a", "h", "g", 10), move("b", "h", "g", 10))) == []
    assert judged(cluster, plan_of(move("a", "h", "g", 10))) == [
        "R5 vm-vm-affinity: a, b no longer share a host (rule p0)"
    ]


# R7: binds where the reservation held before


def test_a_plan_must_keep_the_ha_reservation_that_held_before() -> None:
    hosts = {"h": {}, "g": {}, "i": {"memory_gib": 40}}
    vms = {"a": vm("h", 50, 60), "b": vm("h", 40, 30, ha=False), "c": vm("g", 10, 40)}
    cluster = small_cluster(hosts, vms, ha=1)
    assert judged(cluster, plan_of(move("b", "h", "i", 30))) == []
    assert judged(cluster, plan_of(move("b", "h", "g", 30))) == [
        "move 1: R7 ha reservation: with b on g, the VMs of h could not all restart"
    ]
    assert judged(small_cluster(hosts, vms), plan_of(move("b", "h", "g", 30))) == []


def test_a_plan_need_not_restore_a_reservation_that_was_lost_before() -> None:
    vms = {"a": vm("h", 50, 40), "b": vm("h", 40, 70), "c": vm("g", 10, 50)}
    cluster = small_cluster({"h": {}, "g": {}}, vms, ha=1)
    assert judged(cluster, plan_of(move("a", "h", "g", 40))) == []


# Placements: moves that make room, then a VM starts

ROOMY: dict[str, Any] = {"h": {}, "g": {}}
CROWD = {
    "a": vm("h", 10, 50),
    "b": vm("h", 10, 20),
    "c": vm("g", 10, 70),
    "new": vm(None, 10, 40),
    "off": vm("h", 1, 1, power="off"),
}
B_AWAY = move("b", "h", "g", 20)


def placement(*moves: Move, vm_id: str = "new", target: str = "h", status: Status = Status.PLACED) -> Plan:
    """A placement."""
    return plan_of(*moves, status=status, vm=vm_id, target=target)


def test_a_placement_is_judged_after_the_moves_that_make_room() -> None:
    cluster = small_cluster(ROOMY, CROWD)
    assert judged(cluster, placement(B_AWAY)) == []
    assert judged(cluster, placement()) == ["R1 memory: new needs 40.00 GiB, h has 30.00 GiB free"]
    assert judged(cluster, placement(B_AWAY, target="g")) == ["R1 memory: new needs 40.00 GiB, g has 10.00 GiB free"]


def test_the_moves_of_a_placement_keep_the_rules_of_moves() -> None:
    apart = ({"kind": "vm-vm-anti-affinity", "vms": ["b", "c"]}, {"kind": "vm-vm-anti-affinity", "vms": ["a", "new"]})
    cluster = small_cluster(ROOMY, CROWD, policies=apart)
    assert judged(cluster, placement(B_AWAY)) == ["move 1: R4 vm-vm-anti-affinity: b must not join c on g (rule p0)"]
    together = ({"kind": "vm-vm-affinity", "vms": ["a", "b", "new"]},)
    assert judged(small_cluster(ROOMY, CROWD, policies=together), placement(B_AWAY)) == [
        "R5 vm-vm-affinity: a, b no longer share a host (rule p0)"
    ]


def test_the_vm_itself_is_not_moved() -> None:
    itself = move("new", "h", "i", 40)
    assert judged(small_cluster(ROOMY | {"i": {}}, CROWD), placement(itself)) == [
        "move 1: R2 host state: new is not placed, not on h",
        "move 1: R2 host state: new is not placed on any host",
    ]


def test_a_placement_leaves_old_contentions_and_makes_no_new_one() -> None:
    crowd = CROWD | {"hot": vm("i", 95, 10), "warm": vm("j", 80, 10)}
    cluster = small_cluster(ROOMY | {"i": {}, "j": {}}, crowd)
    assert judged(cluster, placement(B_AWAY)) == []
    assert judged(cluster, placement(target="j")) == [
        "R8 no new contention: new would bring the CPU of j to 90.0%, threshold 85.0%"
    ]
    assert judged(cluster, placement(target="i")) == [
        "R8 no new contention: new cannot go to i, whose CPU is above its threshold of 85.0%"
    ]


def test_a_placement_keeps_the_reservation_that_held_before() -> None:
    crowd = {"a": vm("h", 10, 50), "b": vm("g", 10, 45), "new": vm(None, 10, 10)}
    assert judged(small_cluster(ROOMY, crowd, ha=1), placement()) == [
        "R7 ha reservation: with new on h, the VMs of h could not all restart"
    ]
    assert judged(small_cluster(ROOMY, crowd | {"c": vm("g", 10, 10)}, ha=1), placement()) == []


@pytest.mark.parametrize(
    ("plan", "broken"),
    [
        (placement(vm_id=""), ["plan: status is placed, but the plan names no vm"]),
        (placement(target=""), ["plan: status is placed, but the plan names no target"]),
        (placement(vm_id="zz"), ["plan: there is no VM zz in the cluster"]),
        (placement(target="zz"), ["plan: there is no host zz in the cluster"]),
        (placement(vm_id="a"), ["plan: status is placed, but a is on h already"]),
        (placement(vm_id="off"), ["plan: status is placed, but off is off"]),
        (placement(target="", status=Status.REJECTED), []),
        (placement(vm_id="a", target="", status=Status.REJECTED), ["plan: status is rejected, but a is on h already"]),
        (placement(status=Status.REJECTED), ["plan: status is rejected, but the plan names the target h"]),
        (
            placement(status=Status.REFUSED),
            ["plan: status refused goes with no vm and no target, the plan names new"],
        ),
    ],
)
def test_placements_that_contradict_themselves_or_the_snapshot(plan: Plan, broken: list[str]) -> None:
    assert judged(small_cluster(ROOMY, CROWD), plan) == broken


# Figures: cost and score


def test_cost_and_score_by_hand() -> None:
    state = state_of(THREE_NODES)
    cost_gib, score = plan_score(state, [(5, 1), (0, 2)])
    assert cost_gib == 80
    # node-2 after c2: CPU 80 %, memory 80 of 512; node-3 after a1: CPU 80 %, memory 96 of 512
    assert score == pytest.approx((0.8 + 80 / 512) / 2 + (0.8 + 96 / 512) / 2)
    assert plan_score(state, []) == (0, 0)


def test_moves_of_fills_in_what_a_document_shows() -> None:
    cluster = small_cluster({"h": {}, "g": {}, "i": {}}, {"a": vm("h", 1, 10)}, {"s": {"controller": "g"}})
    moves = moves_of(state_of(cluster), [(0, 1), (1, 2), (0, 2)], ["first", "", "third"])
    assert moves == (
        Move(MoveKind.VM, "a", "h", "g", 10.0, "first"),
        Move(MoveKind.SESSION, "s", "g", "i", 1.0, ""),
        Move(MoveKind.VM, "a", "g", "i", 10.0, "third"),
    )


def test_a_plan_without_its_moves() -> None:
    refused = replace(KNOWN_PLAN, solve_seconds=2.0, proven=True).without_moves(Status.REFUSED, "no room")
    assert (refused.status, refused.reason, refused.moves, refused.cost_gib) == (Status.REFUSED, "no room", (), 0.0)
    assert (refused.cluster, refused.solve_seconds) == ("small", 2.0)
    assert refused.proven is None, "what was proven of the moves does not hold of their being taken back"


# Properties on clusters of every kind


@st.composite
def walks(draw: st.DrawFn) -> tuple[State, list[tuple[int, int]]]:
    """A state and up to five moves, each allowed by R1-R8 when its turn comes."""
    state = start = state_of(draw(random_clusters()))
    is_ha_enforced = is_ha_binding(start)
    walk: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(1, 5))):
        allowed = [
            (int(m), int(h))
            for m, h in np.argwhere(allowed_moves_MH(state))
            if not check_move(state, int(m), int(h), is_ha_enforced=is_ha_enforced)
        ]
        if not allowed:
            break
        walk.append(draw(st.sampled_from(allowed)))
        state = state.moved(*walk[-1])
    return start, walk


@given(walks())
def test_a_walk_of_allowed_moves_is_valid_but_for_r5_and_r9(
    start_and_walk: tuple[State, list[tuple[int, int]]],
) -> None:
    start, walk = start_and_walk
    plan = plan_of(*moves_of(start, walk))
    after = replay(start, plan)
    assert list(validate(start, plan, must_resolve=False)) == vm_vm_affinity(start, after)
    broken = [v for v in validate(start, plan) if not v.detail.endswith("the plan does not resize it")]
    assert broken == vm_vm_affinity(start, after) + resolved(after)


@given(walks())
def test_moving_conserves_demand_and_moving_back_restores_the_state(
    start_and_walk: tuple[State, list[tuple[int, int]]],
) -> None:
    start, walk = start_and_walk
    state = start
    for m, h in walk:
        state = state.moved(m, h)
        np.testing.assert_allclose(state.used_HR.sum(axis=0), start.used_HR.sum(axis=0), atol=1e-9)
    for m, _ in walk:
        state = state.moved(m, int(start.host_of_M[m]))
    np.testing.assert_array_equal(state.host_of_M, start.host_of_M)
    np.testing.assert_allclose(state.used_HR, start.used_HR, atol=1e-9)
    np.testing.assert_array_equal(state.members_HA, start.members_HA)
    assert [(c.kind, c.host) for c in contentions(state)] == [(c.kind, c.host) for c in contentions(start)]


@given(walks(), st.data())
def test_a_forbidden_move_ends_the_replay_at_its_place(
    start_and_walk: tuple[State, list[tuple[int, int]]], data: st.DataObject
) -> None:
    start, walk = start_and_walk
    state = replay(start, plan_of(*moves_of(start, walk)))
    forbidden = [(int(m), int(h)) for m, h in np.argwhere(~allowed_moves_MH(state)) if state.host_of_M[m] != NOWHERE]
    assume(forbidden)
    m, h = data.draw(st.sampled_from(forbidden))
    plan = plan_of(*moves_of(start, [*walk, (m, h), *walk]))
    broken = validate(start, plan)
    assert {violation.move for violation in broken} == {len(walk)}
    assert Reason.PLAN not in {violation.reason for violation in broken}
