"""The host a VM starts on: which one is best, which rules bind, and what is told where none can take it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from quell.env.model.cluster import Cluster
from quell.env.model.cost import node_score_H
from quell.env.model.placement import place, ranked_hosts
from quell.env.model.plan import Plan, Status, validate
from quell.env.model.rules import check_placement, is_ha_binding, vm_vm_anti_affinity
from quell.env.model.state import state_of
from tests.builders import clusters
from tests.env.model.clusters import random_clusters, small_cluster

NEW: dict[str, Any] = {"host": None}
THREE: dict[str, Any] = {"h": {}, "g": {}, "i": {}}


def on(host: str | None, cores: float = 10, memory_gib: float = 10, **more: Any) -> dict[str, Any]:
    """A VM on a host, or on none."""
    return {"host": host, "cpu_demand_cores": cores, "memory_gib": memory_gib} | more


def placed(cluster: Cluster, vm: str = "new") -> Plan:
    """The placement of a VM; the judge agrees with it."""
    plan = place(cluster, cluster.inventory.vm_index[vm])
    assert validate(state_of(cluster), plan, cluster_name=cluster.name) == ()
    assert (plan.vm, plan.moves, plan.planner) == (vm, (), "ads")
    return plan


# Which host


def test_the_lowest_node_score_after_the_placement_wins() -> None:
    """g has the least CPU in use, but h, being larger, has the lower score once the VM is there."""
    vms = {"a": on("h", 40, 20), "b": on("g", 20, 40), "c": on("i", 60, 60), "new": NEW}
    plan = placed(small_cluster({"h": {"memory_gib": 400}, "g": {}, "i": {}}, vms))
    assert (plan.status, plan.target) == (Status.PLACED, "h")
    # CPU 50 of 100, memory 30 of 400
    assert plan.reason == "new starts on h at a node score of 0.287, the best of 3 with room for it"


def test_of_equal_hosts_the_first_one_is_taken() -> None:
    assert placed(small_cluster(THREE, {"new": NEW})).target == "h"


def test_anti_affinity_is_kept_where_it_can_be() -> None:
    apart = [{"kind": "vm-vm-anti-affinity", "vms": ["new", "a"]}]
    vms = {"a": on("h"), "b": on("g", 60, 60), "c": on("i", 70, 60), "new": NEW}
    assert placed(small_cluster(THREE, vms, policies=apart)).target == "g"


def test_anti_affinity_gives_way_where_no_other_host_has_room() -> None:
    apart = [{"kind": "vm-vm-anti-affinity", "vms": ["new", "a"]}]
    vms = {"a": on("h"), "b": on("g", 80), "c": on("i", 80), "new": NEW}
    plan = placed(small_cluster(THREE, vms, policies=apart))
    assert (plan.status, plan.target) == (Status.PLACED, "h")
    assert "though new must not join a on h (rule p0)" in plan.reason


def test_host_affinity_is_strict() -> None:
    """The two hosts it may not run on are empty; the only one it may run on is full."""
    pinned = [{"kind": "vm-host-affinity", "vms": ["new"], "hosts": ["i"]}]
    cluster = small_cluster(THREE, {"c": on("i", 50, 95), "new": NEW}, policies=pinned)
    plan = placed(cluster)
    assert plan.status is Status.REJECTED
    assert plan.reason == (
        "no host can take new: 2 of 3 are ruled out by its host affinity (p0), "
        "1 lacks memory (most free: i, 5.0 of the 10.0 GiB it needs)"
    )


def test_who_belongs_together_starts_together_where_there_is_room() -> None:
    together = [{"kind": "vm-vm-affinity", "vms": ["a", "b", "new"]}]
    vms = {"a": on("i", 30, 30), "b": on("i", 30, 30), "new": NEW}
    plan = placed(small_cluster(THREE, vms, policies=together))
    assert plan.target == "i" and "beside 2 of its affinity rules" in plan.reason
    vms["c"] = on("i", 10, 35)  # no room left there: R5 binds migrations only
    assert placed(small_cluster(THREE, vms, policies=together)).target == "h"


def test_the_ha_reservation_refuses_a_host() -> None:
    """With new on g, the emptiest host, nobody could take c should i fail."""
    vms = {"x": on("h", 40, 60, ha=False), "b": on("g", 10, 30), "c": on("i", 70, 60), "new": on(None, 10, 30)}
    assert placed(small_cluster(THREE, vms)).target == "g"
    guaranteed = small_cluster(THREE, vms, ha=1)
    assert is_ha_binding(state_of(guaranteed))
    assert placed(guaranteed).target == "h"


def test_a_reservation_lost_before_refuses_nobody() -> None:
    vms = {"a": on("h", 10, 60), "b": on("g", 10, 60), "new": NEW}
    cluster = small_cluster({"h": {}, "g": {}}, vms, ha=1)
    assert not is_ha_binding(state_of(cluster))
    assert placed(cluster).status is Status.PLACED


# What is told where none can


@pytest.mark.parametrize(
    ("hosts", "vms", "told"),
    [
        (
            {"h": {}, "g": {}, "i": {}, "j": {"state": "down"}},
            {"a": on("h", 10, 95), "b": on("g", 10, 94.8), "c": on("i", 10, 99)},
            "3 of 4 lack memory (most free: g, 5.2 of the 10.0 GiB it needs), 1 is down",
        ),
        (
            {"h": {}, "g": {}, "m": {"state": "maintenance"}},
            {"a": on("h", 80), "b": on("g", 77.5)},
            "2 of 3 would exceed the CPU threshold of 85.0% (lowest: g, 87.5%), 1 is in maintenance",
        ),
        (
            {"h": {}},
            {"a": on("h", storage_cpu_demand_cores=8)},
            "1 of 1 would exceed the storage controller threshold of 85.0% (lowest: h, 90.0%)",
        ),
        ({"h": {}}, {"a": on("h", 10, 120)}, "1 of 1 lacks memory (most free: h, 0.0 of the 10.0 GiB it needs)"),
    ],
)
def test_a_rejection_counts_reasons_and_names_the_nearest_miss(
    hosts: dict[str, Any], vms: dict[str, Any], told: str
) -> None:
    plan = placed(small_cluster(hosts, vms | {"new": NEW}))
    assert (plan.status, plan.target) == (Status.REJECTED, "")
    assert plan.reason == f"no host can take new: {told}"


def test_a_rejection_for_want_of_a_gpu() -> None:
    hosts = {"h": {"gpus": [{"id": "0", "model": "A", "memory_gib": 48}]}, "g": {}}
    vms = {
        "a": on("h", gpu={"model": "A", "memory_gib": 24}),
        "new": {"host": None, "gpu": {"model": "A", "memory_gib": 12}},
    }
    plan = placed(small_cluster(hosts, vms))
    assert plan.reason == "no host can take new: 2 of 2 lack a free GPU for 12 GiB of model A"


def test_a_rejection_for_the_ha_reservation() -> None:
    vms = {"a": on("h", 10, 50), "b": on("g", 10, 45), "new": NEW}
    plan = placed(small_cluster({"h": {}, "g": {}}, vms, ha=1))
    assert plan.reason == (
        "no host can take new: 2 of 2 would lose the HA reservation (with new on h, the VMs of h could not all restart)"
    )


def test_a_contended_host_takes_nothing() -> None:
    vms = {"a": on("h", 90, 1), "new": {"host": None, "cpu_demand_cores": 0, "memory_gib": 1}}
    assert placed(small_cluster({"h": {}}, vms)).status is Status.REJECTED


def test_a_demand_that_nobody_knows_is_not_placed_blindly() -> None:
    cluster = small_cluster(THREE, {"a": on("h"), "new": NEW})
    samples_VT = np.array([[10.0], [math.nan]])
    plan = place(replace(cluster, cpu_samples_VT=samples_VT), 1)
    assert (plan.status, plan.reason) == (Status.REJECTED, "no host can take new: its CPU demand is not known")


def test_a_vm_that_is_off_is_not_placed() -> None:
    plan = place(small_cluster(THREE, {"new": {"host": None, "power": "off"}}), 0)
    assert (plan.status, plan.reason) == (Status.REJECTED, "new is off")


# Properties


def waiting(cluster: Cluster) -> list[int]:
    """VMs that are on and on no host."""
    V = cluster.inventory.vm_count
    return [int(m) for m in np.flatnonzero((cluster.host_of_M[:V] < 0) & cluster.inventory.is_on_M[:V])]


def judge(cluster: Cluster) -> None:
    """Every waiting VM goes to a host that brute force finds best, or is rejected where it finds none."""
    state = state_of(cluster)
    score_H = node_score_H
    is_ha_enforced = is_ha_binding(state)
    for m in waiting(cluster):
        plan = place(cluster, m)
        assert validate(state, plan, cluster_name=cluster.name) == ()
        hosts = range(cluster.inventory.host_count)
        can = [h for h in hosts if not check_placement(state, m, h, is_ha_enforced=is_ha_enforced)]
        assert (plan.status is Status.PLACED) == bool(can)
        if not can:
            continue
        target = cluster.inventory.host_index[plan.target]
        keeps = [h for h in can if vm_vm_anti_affinity(state, m, h) is None] or can
        assert target in keeps
        if not any(m in members for _, members in cluster.inventory.affinity_members):
            best = min(float(score_H(state.moved(m, h))[h]) for h in keeps)
            assert score_H(state.moved(m, target))[target] == pytest.approx(best)


@settings(max_examples=100)
@given(random_clusters())
def test_every_waiting_vm_of_an_odd_cluster_gets_the_best_host(cluster: Cluster) -> None:
    judge(cluster)


@settings(max_examples=50)
@given(clusters())
def test_whatever_is_taken_off_its_host_gets_the_best_host(cluster: Cluster) -> None:
    host_of_M = cluster.host_of_M.copy()
    host_of_M[: cluster.inventory.vm_count : 3] = -1
    judge(cluster.moved_to(host_of_M))


@given(random_clusters())
def test_ranked_hosts_are_those_that_all_rules_but_r7_allow(cluster: Cluster) -> None:
    state = state_of(cluster)
    for m in waiting(cluster):
        hosts = range(cluster.inventory.host_count)
        can = {h for h in hosts if not check_placement(state, m, h, is_ha_enforced=False)}
        assert set(ranked_hosts(state, m)) == can
