"""Placements that make room: the moves, their cost against exhaustive search, and what is rejected."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quell.baseline.make_room import blocking_fact, make_room, possible_hosts
from quell.baseline.placement import LIMITS, place_with_room
from quell.baseline.search import SearchLimits
from quell.env.model.cluster import Cluster, GpuProfile, HighAvailability
from quell.env.model.contention import contentions
from quell.env.model.cost import migration_cost_M
from quell.env.model.placement import place
from quell.env.model.plan import Plan, Status, replay, validate
from quell.env.model.rules import allowed_moves_MH, check_move, check_placement, is_ha_binding, vm_vm_affinity
from quell.env.model.state import State, state_of
from tests.builders import clusters, random_cluster
from tests.env.model.clusters import random_clusters, small_cluster

QUICK = SearchLimits(nodes=2_000)
TWO: dict[str, Any] = {"h": {}, "g": {}}
THREE: dict[str, Any] = {"h": {}, "g": {}, "i": {}}


def on(host: str | None, cores: float = 10, memory_gib: float = 10, **more: Any) -> dict[str, Any]:
    """A VM on a host, or on none."""
    return {"host": host, "cpu_demand_cores": cores, "memory_gib": memory_gib} | more


def gpu_host(*sizes_gib: float) -> dict[str, Any]:
    """A host with GPUs of these sizes."""
    return {"gpus": [{"id": str(g), "model": "A", "memory_gib": gib} for g, gib in enumerate(sizes_gib)]}


def vgpu(memory_gib: float) -> dict[str, Any]:
    """A vGPU profile."""
    return {"gpu": {"model": "A", "memory_gib": memory_gib}}


def placed(cluster: Cluster, vm: str = "new") -> Plan:
    """The placement of a VM that no host can take as things are; the judge agrees with it, and no contention is new."""
    state, m = state_of(cluster), cluster.inventory.vm_index[vm]
    assert place(cluster, m).status is Status.REJECTED
    plan = place_with_room(cluster, m)
    assert validate(state, plan, cluster_name=cluster.name) == ()
    if plan.status is Status.PLACED:
        after = replay(state, plan).moved(m, cluster.inventory.host_index[plan.target])
        assert {(c.kind, c.host) for c in contentions(after)} <= {(c.kind, c.host) for c in contentions(state)}
    return plan


def moves_in(plan: Plan) -> list[tuple[str, str, str]]:
    """The moves of a plan as (id, source, target)."""
    return [(move.id, move.source, move.target) for move in plan.moves]


# Making room


def test_no_move_where_a_host_can_take_it_as_things_are() -> None:
    cluster = small_cluster(TWO, {"a": on("h", 80), "new": on(None)})
    plan = place_with_room(cluster, 1)
    assert (plan.status, plan.target, plan.moves) == (Status.PLACED, "g", ())


def test_a_host_that_breaks_only_anti_affinity_comes_before_any_move() -> None:
    apart = [{"kind": "vm-vm-anti-affinity", "vms": ["a", "new"]}]
    cluster = small_cluster(TWO, {"a": on("h"), "b": on("g", 80), "new": on(None)}, policies=apart)
    plan = place_with_room(cluster, 2)
    assert (plan.target, plan.moves) == ("h", ())


def test_one_move_makes_room_in_memory() -> None:
    vms = {"a": on("h", 10, 50), "b": on("h", 10, 20), "c": on("g", 10, 70), "new": on(None, 10, 40)}
    plan = placed(small_cluster(TWO, vms))
    assert (plan.target, moves_in(plan), plan.cost_gib) == ("h", [("b", "h", "g")], 20)
    assert plan.moves[0].reason == "makes room on h for new"
    assert plan.reason == (
        "new starts on h at a node score of 0.550, once 1 move (20.0 GiB) made room; "
        "no other way to make room is cheaper"
    )


@pytest.mark.parametrize(
    ("key", "big", "small", "there", "new"),
    [
        ("cpu_demand_cores", 50, 15, 65, 30),
        ("storage_cpu_demand_cores", 5, 1.5, 6.5, 3),
    ],
)
def test_one_move_makes_room_below_a_threshold(key: str, big: float, small: float, there: float, new: float) -> None:
    vms: dict[str, dict[str, Any]] = {
        "a": {"host": "h", key: big},
        "b": {"host": "h", key: small},
        "c": {"host": "g", key: there},
        "new": {"host": None, key: new},
    }
    plan = placed(small_cluster(TWO, vms))
    assert (plan.target, moves_in(plan)) == ("h", [("b", "h", "g")])


def test_a_session_makes_room_on_a_storage_controller() -> None:
    vms = {
        "a": on("h", storage_cpu_demand_cores=5),
        "b": on("g", storage_cpu_demand_cores=6),
        "new": on(None, storage_cpu_demand_cores=3),
    }
    sessions = {"s": {"controller": "h", "storage_cpu_demand_cores": 2}}
    plan = placed(small_cluster(TWO, vms, sessions))
    assert (moves_in(plan), plan.cost_gib) == ([("s", "h", "g")], 1)


def test_a_chain_of_two_moves_makes_room() -> None:
    """a must leave h, and only g has room for it once b has gone on to i."""
    only = [
        {"kind": "vm-host-affinity", "vms": ["a"], "hosts": ["h", "g"]},
        {"kind": "vm-host-affinity", "vms": ["new"], "hosts": ["h"]},
    ]
    vms = {
        "a": on("h", 10, 60),
        "b": on("g", 10, 20),
        "c": on("g", 10, 30),
        "d": on("i", 10, 75),
        "new": on(None, 10, 90),
    }
    plan = placed(small_cluster(THREE, vms, policies=only))
    assert (plan.target, moves_in(plan)) == ("h", [("b", "g", "i"), ("a", "h", "g")])
    assert [move.reason for move in plan.moves] == ["makes room on g for a", "makes room on h for new"]


def test_a_contended_host_elsewhere_is_left_as_it_is() -> None:
    vms = {
        "hot": on("i", 95, 10),
        "a": on("h", 10, 50),
        "b": on("h", 10, 20),
        "c": on("g", 10, 70),
        "new": on(None, 10, 40),
    }
    plan = placed(small_cluster(THREE, vms))
    assert moves_in(plan) == [("b", "h", "g")]


def test_a_host_that_swaps_elsewhere_is_left_as_it_is() -> None:
    swapping = {"overcommit": True, "memory_usage_gib": 90, "memory_swap_gib": 20, "memory_minimum_gib": 0}
    vms = {
        "s": on("i", 10, 200, **swapping),
        "t": on("i", 10, 5),
        "a": on("h", 10, 50),
        "b": on("h", 10, 20),
        "c": on("g", 10, 70),
        "new": on(None, 10, 40),
    }
    assert moves_in(placed(small_cluster(THREE, vms))) == [("b", "h", "g")]


def test_a_contended_host_takes_the_vm_once_it_is_relieved() -> None:
    """Without b, the cheap one, h would still be at 87 % with new: less than before, but above its threshold."""
    only = [{"kind": "vm-host-affinity", "vms": ["new"], "hosts": ["h"]}]
    vms = {"a": on("h", 60, 40), "b": on("h", 30, 10), "new": on(None, 27)}
    plan = placed(small_cluster(TWO, vms, policies=only))
    assert moves_in(plan) == [("a", "h", "g")]


def test_sums_that_drift_do_not_make_a_contended_host_worse() -> None:
    """While the search tries b on p and takes it back, the 86.9 cores in use there become a trifle more."""
    half: dict[str, Any] = {"cpu_cores": 64, "memory_gib": 64}
    vms = {
        "a": on("p", 45.5, 16),
        "b": on("r", 41.7, 8),
        "c": on("p", 23.9, 7.8),
        "d": on("p", 17.5, 8),
        "new": on(None, 56.8, 32),
        "f": on("r", 14.3, 16),
    }
    apart = [{"kind": "vm-vm-anti-affinity", "vms": ["f", "d", "b"]}]
    plan = placed(small_cluster({"p": half, "q": half, "r": {"memory_gib": 64}}, vms, policies=apart))
    assert (plan.target, moves_in(plan)) == ("r", [("b", "r", "q")])


def test_of_moves_of_the_same_cost_those_to_lower_node_scores_are_taken() -> None:
    """Both b and d would do; g is less utilized with d. A host in maintenance is in nobody's way."""
    vms = {
        "a": on("h", 10, 40),
        "b": on("h", 30, 20),
        "d": on("h", 10, 20),
        "c": on("g", 10, 70),
        "old": on("m", 10, 70),
        "new": on(None, 10, 35),
    }
    plan = placed(small_cluster(TWO | {"m": {"state": "maintenance"}}, vms))
    assert (moves_in(plan), plan.cost_gib) == ([("d", "h", "g")], 20)


def test_who_moves_keeps_anti_affinity_and_who_starts_need_not() -> None:
    """b would be the cheap one to move, but must not join c; new may start beside a though the rule parts them."""
    policies = [
        {"kind": "vm-vm-anti-affinity", "vms": ["b", "c"]},
        {"kind": "vm-vm-anti-affinity", "vms": ["a", "new"]},
        {"kind": "vm-host-affinity", "vms": ["new"], "hosts": ["h"]},
    ]
    vms = {
        "a": on("h", 10, 50),
        "b": on("h", 10, 10),
        "d": on("h", 10, 25),
        "c": on("g", 10, 20),
        "new": on(None, 10, 25),
    }
    plan = placed(small_cluster(TWO, vms, policies=policies))
    assert (plan.target, moves_in(plan)) == ("h", [("d", "h", "g")])
    assert "though new must not join a on h" in plan.reason


def test_vms_that_belong_together_move_together() -> None:
    policies = [
        {"kind": "vm-vm-affinity", "vms": ["a", "b", "new"]},
        {"kind": "vm-host-affinity", "vms": ["c"], "hosts": ["h"]},
    ]
    vms = {
        "a": on("h", 10, 20),
        "b": on("h", 10, 30),
        "c": on("h", 10, 20),
        "d": on("g", 10, 45),
        "new": on(None, 10, 60),
    }
    plan = placed(small_cluster(TWO, vms, policies=policies))
    assert plan.target == "h"
    assert sorted(moves_in(plan)) == [("a", "h", "g"), ("b", "h", "g")]


def test_vgpus_are_gathered_so_that_a_gpu_is_free_for_another_profile() -> None:
    """Two GPUs are half used by 12 GiB vGPUs; together they fill one, and the other is partitioned anew."""
    hosts = {"h": gpu_host(24), "g": gpu_host(24), "i": {}}
    vms = {"a": on("h", 10, 16, **vgpu(12)), "b": on("g", 10, 8, **vgpu(12)), "new": on(None, **vgpu(24))}
    plan = placed(small_cluster(hosts, vms))
    assert (plan.target, moves_in(plan), plan.cost_gib) == ("g", [("b", "g", "h")], 20)


def test_no_gpu_is_freed_where_its_vgpus_have_nowhere_to_go() -> None:
    hosts = {"h": gpu_host(24), "g": gpu_host(24), "i": {}}
    vms = {name: on(h, **vgpu(12)) for name, h in (("a", "h"), ("b", "h"), ("c", "g"))}
    plan = placed(small_cluster(hosts, vms | {"new": on(None, **vgpu(24))}))
    assert plan.status is Status.REJECTED
    assert plan.reason == (
        "no host can take new: 3 of 3 lack a free GPU for 24 GiB of model A; "
        "every way to make room would end in contention or break a rule (proven by exhaustive search)"
    )


def test_room_is_made_for_the_ha_reservation() -> None:
    """With new on g, the only host it fits on by then, c would have no host to restart on; with b gone it has g."""
    vms = {
        "x": on("h", 10, 60, ha=False),
        "b": on("g", 10, 30),
        "c": on("i", 10, 50),
        "new": on(None, 10, 45),
    }
    cluster = small_cluster(THREE, vms, ha=1)
    assert is_ha_binding(state_of(cluster))
    plan = placed(cluster)
    assert (plan.target, moves_in(plan)) == ("g", [("b", "g", "h")])


# Rejections


def test_rejected_where_every_way_ends_in_contention() -> None:
    """Memory has room everywhere; wherever something goes, a host would be above 85 % CPU."""
    vms = {name: on(h, 40) for name, h in (("a", "h"), ("b", "h"), ("c", "g"), ("d", "g"))}
    plan = placed(small_cluster(TWO | {"i": {"cpu_cores": 20}}, vms | {"new": on(None, 20)}))
    assert (plan.status, plan.moves, plan.cost_gib) == (Status.REJECTED, (), 0)
    assert "3 of 3 would exceed the CPU threshold of 85.0%" in plan.reason
    assert "would end in contention or break a rule (proven by exhaustive search)" in plan.reason


def test_rejected_where_all_hosts_together_lack_room() -> None:
    vms = {"a": on("h", 10, 80), "b": on("g", 10, 80), "new": on(None, 10, 50)}
    plan = placed(small_cluster(TWO, vms))
    assert plan.reason.endswith("it needs 50.00 GiB of memory, and all hosts together have 40.00 GiB left")


def test_rejected_where_no_empty_host_would_hold_it() -> None:
    plan = placed(small_cluster(TWO, {"new": on(None, 10, 101)}))
    assert plan.reason.endswith("no host that may run it would hold it even if it were empty")


def test_rejected_where_what_must_restart_exceeds_what_is_left() -> None:
    vms = {"a": on("h", 10, 50), "b": on("g", 10, 45), "new": on(None)}
    plan = placed(small_cluster(TWO, vms, ha=1))
    assert plan.reason.endswith(
        "the VMs to restart need 105.0 GiB with it, and 100.0 GiB are left when the largest host fails"
    )


def test_a_vm_that_is_off_or_unknown_is_not_searched_for() -> None:
    cluster = small_cluster(TWO, {"a": on("h"), "new": on(None, power="off")})
    assert place_with_room(cluster, 1).reason == "new is off"
    assert place_with_room(cluster, 0).status is Status.REJECTED  # on a host already
    unknown = replace(small_cluster(TWO, {"a": on("h"), "new": on(None)}), cpu_samples_VT=np.array([[10.0], [np.nan]]))
    assert place_with_room(unknown, 1).reason == "no host can take new: its CPU demand is not known"


def test_a_search_cut_short_says_so() -> None:
    vms = {"a": on("h", 10, 50), "b": on("h", 10, 20), "c": on("g", 10, 70), "new": on(None, 10, 40)}
    plan = place_with_room(small_cluster(TWO, vms), 3, SearchLimits(nodes=0))
    assert plan.status is Status.REJECTED
    assert plan.reason.endswith("no moves that make room were found within 0 nodes; there may be some")


# Against the truth


def cheapest(state: State, m: int) -> float | None:
    """Cost of the cheapest moves after which a host can take m, by Dijkstra's algorithm; None where there are none."""
    cost_M, is_ha_enforced = migration_cost_M(state), is_ha_binding(state)
    hosts, tickets = range(state.inventory.host_count), itertools.count()
    queue = [(0.0, next(tickets), state)]
    done: set[bytes] = set()
    while queue:
        cost_gib, _, here = heapq.heappop(queue)
        if here.host_of_M.tobytes() in done:
            continue
        done.add(here.host_of_M.tobytes())
        takes = any(not check_placement(here, m, h, is_ha_enforced=is_ha_enforced) for h in hosts)
        if takes and not vm_vm_affinity(state, here):
            return cost_gib
        for other, h in np.argwhere(allowed_moves_MH(here)).tolist():
            if not check_move(here, other, h, is_ha_enforced=is_ha_enforced):
                heapq.heappush(queue, (cost_gib + float(cost_M[other]), next(tickets), here.moved(other, h)))
    return None


def judge(cluster: Cluster, m: int) -> None:
    """Compares a placement with the truth; what the nodes of a simulated day leave open, ten times as many decide."""
    state, plan = state_of(cluster), place_with_room(cluster, m)
    if plan.status is Status.REJECTED and "within" in plan.reason:
        plan = place_with_room(cluster, m, SearchLimits(nodes=10 * LIMITS.nodes))
    truth = cheapest(state, m)
    assert validate(state, plan, cluster_name=cluster.name) == ()
    assert (plan.status is Status.PLACED) == (truth is not None), plan.reason
    assert plan.cost_gib == pytest.approx(truth or 0.0)
    assert plan.status is Status.PLACED or "within" not in plan.reason


def tight(seed: int, hosts: int) -> tuple[Cluster, int] | None:
    """A tiny cluster with little memory and a VM taken off its host, now and then with a vGPU; None if too large."""
    rng = np.random.default_rng(seed)
    cluster = random_cluster(seed, hosts=hosts, vms_per_host=2)
    inventory = cluster.inventory
    m = int(rng.integers(inventory.vm_count))
    if inventory.movable_count > 7 or not inventory.vms[m].is_on:
        return None
    memory_gib = float(rng.choice([40, 64, 96]))
    gpu = GpuProfile("A40", float(rng.choice([8, 12, 24]))) if rng.random() < 0.4 else None
    new = replace(inventory.vms[m], memory_gib=float(rng.choice([8, 16, 32])), is_overcommit=False, gpu=gpu)
    inventory = replace(
        inventory,
        hosts=tuple(replace(host, memory_gib=memory_gib) for host in inventory.hosts),
        vms=(*inventory.vms[:m], new, *inventory.vms[m + 1 :]),
        high_availability=HighAvailability(bool(rng.random() < 0.4)),
    )
    host_of_M = cluster.host_of_M.copy()
    host_of_M[m] = -1
    return replace(cluster, inventory=inventory, host_of_M=host_of_M), m


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), hosts=st.integers(2, 3))
@example(seed=3855256, hosts=3)  # refused, and 2,000 nodes do not tell so
def test_tight_tiny_clusters_against_exhaustive_search(seed: int, hosts: int) -> None:
    made = tight(seed, hosts)
    if made is not None:
        judge(*made)


def waiting(cluster: Cluster) -> list[int]:
    """VMs that are on and on no host."""
    V = cluster.inventory.vm_count
    return [int(m) for m in np.flatnonzero((cluster.host_of_M[:V] < 0) & cluster.inventory.is_on_M[:V])]


@settings(max_examples=60)
@given(cluster=random_clusters(max_hosts=3, max_vms=5))
def test_odd_tiny_clusters_against_exhaustive_search(cluster: Cluster) -> None:
    for m in waiting(cluster):
        judge(cluster, m)


def judge_both(cluster: Cluster) -> None:
    """Both placements of every waiting VM are valid; the one with moves rejects nobody the plain one places."""
    state = state_of(cluster)
    for m in waiting(cluster):
        plain, roomy = place(cluster, m), place_with_room(cluster, m, QUICK)
        assert validate(state, plain, cluster_name=cluster.name) == ()
        assert validate(state, roomy, cluster_name=cluster.name) == ()
        if plain.status is Status.PLACED:
            assert (roomy.status, roomy.target, roomy.moves) == (Status.PLACED, plain.target, ())
        again = place_with_room(cluster, m, QUICK)
        assert replace(again, solve_seconds=0) == replace(roomy, solve_seconds=0)


def with_holes(cluster: Cluster) -> Cluster:
    """The cluster with every fourth VM taken off its host."""
    host_of_M = cluster.host_of_M.copy()
    host_of_M[: cluster.inventory.vm_count : 4] = -1
    return cluster.moved_to(host_of_M)


@settings(max_examples=60)
@given(cluster=random_clusters())
def test_every_placement_in_an_odd_cluster_is_valid(cluster: Cluster) -> None:
    judge_both(cluster)


@settings(max_examples=60)
@given(cluster=clusters())
def test_every_placement_in_a_full_cluster_is_valid(cluster: Cluster) -> None:
    judge_both(with_holes(cluster))


@pytest.mark.slow
@settings(max_examples=2000)
@given(cluster=clusters(max_hosts=6, max_vms_per_host=6))
def test_every_placement_is_valid_on_many_clusters(cluster: Cluster) -> None:
    judge_both(with_holes(cluster))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_facts_that_block_are_true_and_an_early_end_is_honest(seed: int) -> None:
    """Where a fact rules all moves out, exhaustive search finds none; few nodes give a valid plan or none."""
    made = tight(seed, 2)
    if made is None:
        return
    cluster, m = made
    state = state_of(cluster)
    hosts = possible_hosts(state, m)
    if blocking_fact(state, m, hosts) is not None:
        assert cheapest(state, m) is None
    else:
        assert make_room(state, m, hosts, SearchLimits(nodes=5)).nodes < 200
