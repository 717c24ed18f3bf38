"""The rules of a move, one table each; and the mask of allowed moves against the judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from quell.env.model.cluster import Cluster
from quell.env.model.rules import (
    Reason,
    Violation,
    allowed_moves_MH,
    bound_M,
    check_move,
    check_placement,
    is_ha_binding,
    resolved,
    vm_vm_affinity,
    vm_vm_anti_affinity,
)
from quell.env.model.state import State, state_of
from tests.env.model.clusters import random_clusters, small_cluster


def on(host: str | None, **more: Any) -> dict[str, Any]:
    """A VM on a host."""
    return {"host": host} | more


def broken_by(cluster: Cluster, movable: str, target: str, *, is_ha_enforced: bool = False) -> list[str]:
    """What moving a VM or session to a host breaks, as a person reads it."""
    state = state_of(cluster)
    m = (cluster.inventory.vm_index | cluster.inventory.session_index)[movable]
    h = cluster.inventory.host_index[target]
    broken = check_move(state, m, h, is_ha_enforced=is_ha_enforced)
    assert allowed_moves_MH(state)[m, h] == (not [v for v in broken if v.reason is not Reason.R7_HA_RESERVATION])
    return [str(violation) for violation in broken]


TWO: dict[str, Any] = {"h": {}, "g": {}}
GPU_48 = {"gpus": [{"id": "0", "model": "A", "memory_gib": 48}]}
VGPU_24 = {"gpu": {"model": "A", "memory_gib": 24}}
VGPU_12 = {"gpu": {"model": "A", "memory_gib": 12}}


def overcommit(usage: float, swap: float = 0) -> dict[str, Any]:
    """An overcommit VM on host h."""
    more = {"memory_usage_gib": usage, "memory_swap_gib": swap, "memory_minimum_gib": 0}
    return on("h", memory_gib=200, overcommit=True, **more)


@pytest.mark.parametrize(
    ("vm", "there", "broken"),
    [
        (on("h", memory_gib=60), 40, []),
        (on("h", memory_gib=60), 40.00005, []),  # within the tolerance
        (on("h", memory_gib=60), 40.01, ["R1 memory: a needs 60.00 GiB, g has 59.99 GiB free"]),
        (on("h", memory_gib=101), 0.5, ["R1 memory: a needs 101.00 GiB, g has 99.50 GiB free"]),
        (on("h", memory_gib=1), 110, ["R1 memory: a cannot go to g, which lacks 10.00 GiB itself"]),
        (overcommit(50, 9), 40, []),  # what it needs counts, not what is configured
        (overcommit(50, 11), 40, ["R1 memory: a needs 61.00 GiB, g has 60.00 GiB free"]),
        (overcommit(0), 110, ["R1 memory: a cannot go to g, which lacks 10.00 GiB itself"]),
    ],
)
def test_r1_memory(vm: dict[str, Any], there: float, broken: list[str]) -> None:
    assert broken_by(small_cluster(TWO, {"a": vm, "b": on("g", memory_gib=there)}), "a", "g") == broken


def test_r1_binds_sessions_by_its_letter() -> None:
    cluster = small_cluster(TWO, {"b": on("g", memory_gib=110)}, {"s": {"controller": "h"}})
    assert broken_by(cluster, "s", "g") == ["R1 memory: s cannot go to g, which lacks 10.00 GiB itself"]


def test_r1_leaves_out_vms_that_are_off() -> None:
    cluster = small_cluster(TWO, {"a": on("h"), "b": on("g", memory_gib=100, power="off")})
    assert broken_by(cluster, "a", "g") == []


@pytest.mark.parametrize(
    ("vm", "target", "broken"),
    [
        (on("h"), "g", []),
        (on("h"), "m", ["R2 host state: the state of m is maintenance, not up"]),
        (on("h"), "d", ["R2 host state: the state of d is down, not up"]),
        (on("m"), "g", []),
        (on("h", power="off"), "g", ["R2 host state: a is off"]),
        (on(None), "g", ["R2 host state: a is not placed on any host"]),
        (on("g"), "g", ["R2 host state: a is on g already"]),
    ],
)
def test_r2_host_state(vm: dict[str, Any], target: str, broken: list[str]) -> None:
    hosts = {"h": {}, "g": {}, "m": {"state": "maintenance"}, "d": {"state": "down"}}
    assert broken_by(small_cluster(hosts, {"a": vm}), "a", target) == broken


def test_r2_binds_sessions() -> None:
    cluster = small_cluster({"h": {}, "m": {"state": "maintenance"}}, {}, {"s": {"controller": "h"}})
    assert broken_by(cluster, "s", "m") == ["R2 host state: the state of m is maintenance, not up"]
    assert broken_by(cluster, "s", "h") == ["R2 host state: s is on h already"]


@pytest.mark.parametrize(
    ("vms", "hosts", "movable", "broken"),
    [
        (["a"], ["h", "g"], "a", []),
        (["b"], ["h"], "a", []),
        (["a"], ["h"], "a", ["R3 vm-host-affinity: a may run on h only (rule p1), not on g"]),
        (["b", "a"], ["h", "i"], "a", ["R3 vm-host-affinity: a may run on h, i only (rule p1), not on g"]),
        (["a"], ["i"], "a", ["R3 vm-host-affinity: a may run on i only (rule p1), not on g"]),
        (["a"], ["h"], "s", []),
    ],
)
def test_r3_vm_host_affinity(vms: list[str], hosts: list[str], movable: str, broken: list[str]) -> None:
    policies = (
        {"kind": "vm-host-affinity", "vms": ["a", "b"], "hosts": ["h", "g", "i"]},
        {"kind": "vm-host-affinity", "vms": vms, "hosts": hosts},
    )
    cluster = small_cluster(TWO | {"i": {}}, {"a": on("h"), "b": on("i")}, {"s": {"controller": "h"}}, policies)
    assert broken_by(cluster, movable, "g") == broken


@pytest.mark.parametrize(
    ("vms", "broken"),
    [
        ({"a": on("h"), "b": on("h"), "c": on("g")}, []),  # they may part
        ({"a": on("h"), "b": on("g"), "c": on("g")}, ["R4 vm-vm-anti-affinity: a must not join b on g (rule p0)"]),
        (
            {"a": on("h"), "b": on("g", power="off"), "c": on("g")},
            ["R4 vm-vm-anti-affinity: a must not join b on g (rule p0)"],
        ),
        ({"a": on("h"), "b": on(None), "c": on("g")}, []),
    ],
)
def test_r4_vm_vm_anti_affinity(vms: dict[str, Any], broken: list[str]) -> None:
    policies = ({"kind": "vm-vm-anti-affinity", "vms": ["a", "b"]}, {"kind": "vm-vm-anti-affinity", "vms": ["b", "c"]})
    assert broken_by(small_cluster(TWO, vms, policies=policies), "a", "g") == broken


def test_r4_counts_who_is_on_its_way_to_the_target() -> None:
    """While a VM migrates, the world counts it on both sides; on the target nobody of the rule stands yet."""
    policies = ({"kind": "vm-vm-anti-affinity", "vms": ["a", "b"]},)
    state = state_of(small_cluster(TWO, {"a": on("h"), "b": on("h")}, policies=policies))
    members_HA = state.members_HA.copy()
    members_HA[1] += state.inventory.is_anti_MA[1]
    told = vm_vm_anti_affinity(replace(state, members_HA=members_HA), 0, 1)
    assert told == "a must not join a VM that is on its way to g (rule p0)"


@pytest.mark.parametrize(
    ("host", "vms", "broken"),
    [
        (GPU_48, {"a": on("h", **VGPU_24)}, []),
        (GPU_48, {"a": on("h", **VGPU_24), "b": on("g", **VGPU_24)}, []),
        (
            GPU_48,
            {"a": on("h", **VGPU_24), "b": on("g", **VGPU_24), "c": on("g", **VGPU_24)},
            ["R6 gpu: a needs 24 GiB of a GPU of model A, g has none free for it"],
        ),
        (GPU_48, {"a": on("h", **VGPU_24), "b": on("g", **VGPU_24), "c": on("g", power="off", **VGPU_24)}, []),
        (
            GPU_48,
            {"a": on("h", **VGPU_24), "b": on("g", **VGPU_12)},  # one profile size on a GPU
            ["R6 gpu: a needs 24 GiB of a GPU of model A, g has none free for it"],
        ),
        ({}, {"a": on("h", **VGPU_24)}, ["R6 gpu: a needs 24 GiB of a GPU of model A, g has none free for it"]),
        ({}, {"a": on("h")}, []),
    ],
)
def test_r6_gpu(host: dict[str, Any], vms: dict[str, Any], broken: list[str]) -> None:
    assert broken_by(small_cluster({"h": GPU_48, "g": host}, vms), "a", "g") == broken


@pytest.mark.parametrize(
    ("movable", "there", "broken"),
    [
        ("a", {"cpu_demand_cores": 75}, []),
        ("a", {"cpu_demand_cores": 75.00005}, []),
        (
            "a",
            {"cpu_demand_cores": 75.1},
            ["R8 no new contention: a would bring the CPU of g to 85.1%, threshold 85.0%"],
        ),
        ("a", {"storage_cpu_demand_cores": 7.5}, []),
        (
            "a",
            {"storage_cpu_demand_cores": 7.6},
            ["R8 no new contention: a would bring the storage of g to 86.0%, threshold 85.0%"],
        ),
        ("s", {"cpu_demand_cores": 85, "storage_cpu_demand_cores": 7.5}, []),
        (
            "s",
            {"storage_cpu_demand_cores": 7.6},
            ["R8 no new contention: s would bring the storage of g to 86.0%, threshold 85.0%"],
        ),
        (
            "s",
            {"cpu_demand_cores": 86},
            ["R8 no new contention: s cannot go to g, whose CPU is above its threshold of 85.0%"],
        ),
        ("a", {"cpu_demand_cores": 99, "storage_cpu_demand_cores": 9, "power": "off"}, []),
    ],
)
def test_r8_no_new_contention(movable: str, there: dict[str, Any], broken: list[str]) -> None:
    cluster = small_cluster(TWO, {"a": on("h"), "b": on("g", **there)}, {"s": {"controller": "h"}})
    assert broken_by(cluster, movable, "g") == broken


def test_r7_ha_reservation_where_it_is_enforced() -> None:
    vms = {"a": on("h", memory_gib=60), "b": on("h", memory_gib=30, ha=False), "c": on("g", memory_gib=40)}
    cluster = small_cluster(TWO | {"i": {"memory_gib": 40}}, vms, ha=1)
    assert is_ha_binding(state_of(cluster))
    assert broken_by(cluster, "b", "i", is_ha_enforced=True) == []
    assert broken_by(cluster, "b", "g", is_ha_enforced=False) == []
    assert broken_by(cluster, "b", "g", is_ha_enforced=True) == [
        "R7 ha reservation: with b on g, the VMs of h could not all restart"
    ]


def test_a_move_may_break_several_rules() -> None:
    hosts = {"h": {}, "g": {"state": "maintenance"}}
    vms = {"a": on("h", memory_gib=90, cpu_demand_cores=80), "b": on("g", memory_gib=20)}
    policies = (
        {"kind": "vm-host-affinity", "vms": ["a"], "hosts": ["h"]},
        {"kind": "vm-vm-anti-affinity", "vms": ["a", "b"]},
    )
    broken = broken_by(small_cluster(hosts, vms, policies=policies), "a", "g")
    assert [text.split()[0] for text in broken] == ["R2", "R1", "R3", "R4", "R8"]


def test_a_violation_says_which_move_it_is() -> None:
    assert str(Violation(Reason.R1_MEMORY, "a needs 2 GiB", 0)) == "move 1: R1 memory: a needs 2 GiB"
    assert str(Violation(Reason.R5_VM_VM_AFFINITY, "a, b")) == "R5 vm-vm-affinity: a, b"


@given(random_clusters())
def test_the_mask_of_allowed_moves_is_what_the_judge_says(cluster: Cluster) -> None:
    state = state_of(cluster)
    movables, hosts = range(cluster.inventory.movable_count), range(cluster.inventory.host_count)
    judged_MH = [[not check_move(state, m, h, is_ha_enforced=False) for h in hosts] for m in movables]
    np.testing.assert_array_equal(allowed_moves_MH(state), np.array(judged_MH).reshape(len(movables), len(hosts)))


# Placement: the same rules for a VM that is on no host yet


def placing(cluster: Cluster, vm: str, host: str, *, is_ha_enforced: bool = False) -> list[str]:
    """What starting a VM on a host breaks, as a person reads it."""
    index = cluster.inventory.vm_index, cluster.inventory.host_index
    broken = check_placement(state_of(cluster), index[0][vm], index[1][host], is_ha_enforced=is_ha_enforced)
    return [str(violation) for violation in broken]


@pytest.mark.parametrize(
    ("host", "new", "there", "broken"),
    [
        ({}, {}, {}, []),
        ({"state": "maintenance"}, {}, {}, ["R2 host state: the state of g is maintenance, not up"]),
        ({"state": "down"}, {}, {}, ["R2 host state: the state of g is down, not up"]),
        ({}, {"power": "off"}, {}, ["R2 host state: new is off"]),
        ({}, {"host": "h"}, {}, ["R2 host state: new is on h already"]),
        ({}, {"host": "g", "memory_gib": 80}, {}, ["R2 host state: new is on g already"]),
        ({}, {"memory_gib": 95}, {}, ["R1 memory: new needs 95.00 GiB, g has 90.00 GiB free"]),
        (
            {},
            {"gpu": {"model": "A", "memory_gib": 12}},
            {},
            ["R6 gpu: new needs 12 GiB of a GPU of model A, g has none free for it"],
        ),
        (GPU_48, {"gpu": {"model": "A", "memory_gib": 12}}, {}, []),
        (
            {},
            {},
            {"cpu_demand_cores": 80},
            ["R8 no new contention: new would bring the CPU of g to 90.0%, threshold 85.0%"],
        ),
        (
            {},
            {"cpu_demand_cores": 0},
            {"cpu_demand_cores": 90},
            ["R8 no new contention: new cannot go to g, whose CPU is above its threshold of 85.0%"],
        ),
    ],
)
def test_what_forbids_a_placement(
    host: dict[str, Any], new: dict[str, Any], there: dict[str, Any], broken: list[str]
) -> None:
    cluster = small_cluster({"h": {}, "g": host}, {"new": on(None) | new, "b": on("g", **there)})
    assert placing(cluster, "new", "g") == broken


def test_host_affinity_binds_a_placement_and_anti_affinity_does_not() -> None:
    policies = (
        {"kind": "vm-host-affinity", "vms": ["new"], "hosts": ["g"]},
        {"kind": "vm-vm-anti-affinity", "vms": ["new", "b"]},
        {"kind": "vm-vm-affinity", "vms": ["new", "c"]},
    )
    cluster = small_cluster(TWO, {"new": on(None), "b": on("g"), "c": on("h")}, policies=policies)
    assert placing(cluster, "new", "h") == ["R3 vm-host-affinity: new may run on g only (rule p0), not on h"]
    assert placing(cluster, "new", "g") == []


def test_the_ha_reservation_binds_a_placement_where_it_is_enforced() -> None:
    cluster = small_cluster(TWO, {"new": on(None), "a": on("h", memory_gib=50), "b": on("g", memory_gib=45)}, ha=1)
    assert is_ha_binding(state_of(cluster))
    assert placing(cluster, "new", "g") == []
    assert placing(cluster, "new", "g", is_ha_enforced=True) == [
        "R7 ha reservation: with new on g, the VMs of h could not all restart"
    ]


@given(random_clusters())
def test_a_placement_is_a_move_from_nowhere_but_for_r4(cluster: Cluster) -> None:
    """Taken off its host, a VM may start wherever it might have moved, and where only R4 stopped it."""
    state = state_of(cluster)
    for m in np.flatnonzero(
        cluster.inventory.is_on_M[: cluster.inventory.vm_count] & (cluster.host_of_M >= 0)[: cluster.inventory.vm_count]
    ):
        host_of_M = cluster.host_of_M.copy()
        host_of_M[m] = -1
        without = state_of(cluster.moved_to(host_of_M))
        for h in set(range(cluster.inventory.host_count)) - {int(state.host_of_M[m])}:
            moving = check_move(state, int(m), h, is_ha_enforced=False)
            expected = [v for v in moving if v.reason is not Reason.R4_VM_VM_ANTI_AFFINITY]
            assert list(check_placement(without, int(m), h, is_ha_enforced=False)) == expected


# R5 and R9: rules of a whole plan

TOGETHER = ({"kind": "vm-vm-affinity", "vms": ["a", "b", "c"]},)


def walked(cluster: Cluster, *moves: tuple[str, str]) -> tuple[State, State]:
    """The states before and after some moves of VMs."""
    before = after = state_of(cluster)
    for vm, host in moves:
        after = after.moved(cluster.inventory.vm_index[vm], cluster.inventory.host_index[host])
    return before, after


@pytest.mark.parametrize(
    ("vms", "moves", "broken"),
    [
        ({"a": on("h"), "b": on("h"), "c": on("g")}, [], []),
        ({"a": on("h"), "b": on("h"), "c": on("g")}, [("a", "g")], ["a, b no longer share a host (rule p0)"]),
        ({"a": on("h"), "b": on("h"), "c": on("g")}, [("a", "g"), ("b", "g")], []),
        ({"a": on("h"), "b": on("h"), "c": on("g")}, [("a", "g"), ("a", "h")], []),
        ({"a": on("h"), "b": on("h"), "c": on("g")}, [("c", "i")], []),
        ({"a": on("h"), "b": on("g"), "c": on("i")}, [("a", "g"), ("b", "i")], []),
        ({"a": on(None), "b": on(None), "c": on("i")}, [("a", "g")], []),
        (
            {"a": on("h"), "b": on("h", power="off"), "c": on("g")},
            [("a", "g")],
            ["a, b no longer share a host (rule p0)"],
        ),
    ],
)
def test_r5_vm_vm_affinity(vms: dict[str, Any], moves: list[tuple[str, str]], broken: list[str]) -> None:
    states = walked(small_cluster(TWO | {"i": {}}, vms, policies=TOGETHER), *moves)
    assert [(v.reason, v.detail) for v in vm_vm_affinity(*states)] == [(Reason.R5_VM_VM_AFFINITY, d) for d in broken]


@given(random_clusters())
def test_a_vm_is_bound_where_moving_it_alone_breaks_r5(cluster: Cluster) -> None:
    state = state_of(cluster)
    for m in np.flatnonzero(state.host_of_M >= 0):
        for h in set(range(cluster.inventory.host_count)) - {int(state.host_of_M[m])}:
            assert bound_M(state)[m] == bool(vm_vm_affinity(state, state.moved(int(m), h)))


def test_r9_names_what_is_left() -> None:
    swapping = on("i", overcommit=True, memory_usage_gib=90, memory_swap_gib=20, memory_minimum_gib=0, memory_gib=200)
    resting = swapping | {"host": "j", "memory_usage_gib": 30}
    hosts = {"h": {}, "m": {"state": "maintenance"}, "i": {}, "j": {}}
    vms = {"hot": on("h", cpu_demand_cores=90), "left": on("m"), "swapping": swapping, "resting": resting}
    assert [(v.reason, v.detail) for v in resolved(state_of(small_cluster(hosts, vms)))] == [
        (Reason.R9_UNRESOLVED, "h still has cpu contention (90.0%, threshold 85.0%)"),
        (Reason.R9_UNRESOLVED, "m still has maintenance contention (memory 10.0% in use)"),
        (Reason.R9_UNRESOLVED, "i still has memory-swap contention (20.00 GiB swapped out)"),
    ]
