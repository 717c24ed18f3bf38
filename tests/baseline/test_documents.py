"""Sentences of the two documents that no other test tells, one a test (`baseline/README.md` has them all)."""

from __future__ import annotations

import pytest

from quell.baseline.ads import Ads
from quell.baseline.search import SearchLimits
from quell.baseline.spread import Spread
from quell.env.model.cluster import Settings
from quell.env.model.plan import Status, replay, validate
from quell.env.model.state import state_of
from quell.env.world.rounds import run_episode
from quell.env.world.simulator import Simulator
from tests.baseline.asked import Asked
from tests.builders import random_cluster
from tests.env.model.clusters import small_cluster
from tests.env.world.episodes import QUICK, build_episode, squeezed_episode

NODES: dict[str, dict] = {"node-1": {}, "node-2": {}, "node-3": {}}


def on(node: int, cores: float, **special: object) -> dict:
    """A VM on a node of 100 cores, so that cores are per cent."""
    return {"host": f"node-{node}", "cpu_demand_cores": cores, **special}


def test_the_example_of_three_nodes_makes_room_first() -> None:
    """Node 1 is at 90 %; 15 % leave node 3 for node 2, then 45 % leave node 1 for node 3: no single move helps."""
    vms = {
        "a1": on(1, 45, memory_gib=48),
        "a2": on(1, 45, memory_gib=48),
        "b1": on(2, 35, memory_gib=32),
        "b2": on(2, 30, memory_gib=32),
        "c1": on(3, 35, memory_gib=32),
        "c2": on(3, 15, memory_gib=16),
    }
    cluster = small_cluster({node: {"memory_gib": 200} for node in NODES}, vms)
    plan = Ads().plan(cluster)
    moves = [(m.id, m.source, m.target) for m in plan.moves]
    assert moves[0] == ("c2", "node-3", "node-2")
    assert moves[1] in [("a1", "node-1", "node-3"), ("a2", "node-1", "node-3")]
    assert len(moves) == 2 and plan.cost_gib == 64
    state = state_of(cluster)
    for move in plan.moves:
        state = state.moved(state.inventory.vm_index[move.id], state.inventory.host_index[move.target])
    assert (state.utilization_HR[:, 0] <= 0.85).all()


def test_three_hosts_at_50_5_and_5_are_left_alone_and_a_balancer_would_not() -> None:
    vms = {f"vm-{v}": on(1, 10) for v in range(5)} | {"two": on(2, 5), "three": on(3, 5)}
    cluster = small_cluster(NODES, vms)
    assert (Ads().plan(cluster).status, Ads().plan(cluster).moves) == (Status.NO_CONTENTION, ())
    assert len(Spread().plan(cluster).moves) >= 2


def test_a_balancer_evens_the_three_hosts_out_to_20_percent() -> None:
    """That is what the first document argues against: nothing was short before, and 96 GiB were copied."""
    vms = {f"vm-{v}": on(1, 5, memory_gib=8) for v in range(10)} | {"two": on(2, 5), "three": on(3, 5)}
    cluster = small_cluster({node: {"memory_gib": 200} for node in NODES}, vms)
    state = state_of(cluster)
    for move in Spread().plan(cluster).moves:
        state = state.moved(state.inventory.vm_index[move.id], state.inventory.host_index[move.target])
    assert state.utilization_HR[:, 0] == pytest.approx([0.2, 0.2, 0.2], abs=0.051)


def test_three_hosts_at_10_percent_and_one_at_50_are_left_alone() -> None:
    nodes: dict[str, dict] = {f"node-{n}": {} for n in range(1, 5)}
    vms = {f"vm-{v}": on(1, 10) for v in range(5)} | {f"idle-{n}": on(n, 10) for n in (2, 3, 4)}
    plan = Ads().plan(small_cluster(nodes, vms))
    assert (plan.status, plan.moves) == (Status.NO_CONTENTION, ())


@pytest.mark.parametrize(
    ("demand", "moves"),
    [
        ({"cpu_demand_cores": 42.5}, 0),
        ({"cpu_demand_cores": 42.55}, 1),
        ({"storage_cpu_demand_cores": 4.25}, 0),
        ({"storage_cpu_demand_cores": 4.255}, 1),
    ],
)
def test_above_85_percent_of_cpu_or_storage_controller_a_vm_is_migrated_off(demand: dict, moves: int) -> None:
    """Two VMs: 85.0 % together on 100 cores (or 10 of the controller), then 85.1 %."""
    vms = {name: {"host": "node-1", "cpu_demand_cores": 1, "storage_cpu_demand_cores": 0.1} | demand for name in "ab"}
    assert len(Ads().plan(small_cluster(NODES, vms)).moves) == moves


def test_the_plan_with_the_least_migration_cost_is_taken() -> None:
    """15 cores must leave node-1: two VMs of 4 GiB cost less than one of 9, and a third of 12 would do alone."""
    vms = {
        "first": on(1, 8, memory_gib=4),
        "second": on(1, 8, memory_gib=4),
        "nine": on(1, 16, memory_gib=9),
        "twelve": on(1, 20, memory_gib=12),
        "rest": on(1, 48, memory_gib=30),
    }
    plan = Ads().plan(small_cluster(NODES, vms))
    assert sorted(m.id for m in plan.moves) == ["first", "second"] and plan.cost_gib == 8


def test_anti_affinity_keeps_a_plan_off_the_cheapest_host() -> None:
    """node-3 is idle, but `partner` is there."""
    vms = {"a": on(1, 45), "b": on(1, 45, memory_gib=60), "partner": on(3, 1), "busy": on(2, 30)}
    apart = [{"kind": "vm-vm-anti-affinity", "vms": ["a", "partner"]}]
    assert [(m.id, m.target) for m in Ads().plan(small_cluster(NODES, vms, policies=apart)).moves] == [("a", "node-2")]


@pytest.mark.parametrize("seed", range(40))
def test_every_plan_leaves_all_hosts_within_their_thresholds(seed: int) -> None:
    cluster = random_cluster(seed)
    plan = Ads(limits=SearchLimits(nodes=2_000)).plan(cluster)
    if plan.status is Status.PLANNED:
        state = replay(state_of(cluster), plan)
        up_H = state.inventory.is_up_H
        assert (state.used_HR[:, [0, 2]] <= state.inventory.limit_HR[:, [0, 2]])[up_H].all()


def test_one_plan_resolves_contentions_of_all_kinds_together() -> None:
    """node-1 is short of CPU, node-2 of storage and memory (62 of 60 GiB needed), node-3 is to be emptied."""
    hosts = {f"node-{n}": {"memory_gib": 60} for n in range(1, 7)} | {"node-3": {"state": "maintenance"}}
    swapping = {
        "overcommit": True,
        "memory_gib": 40,
        "memory_usage_gib": 27,
        "memory_swap_gib": 4,
        "memory_minimum_gib": 5,
    }
    vms = {
        "a": on(1, 45),
        "b": on(1, 45),
        "c": on(2, 10, storage_cpu_demand_cores=5),
        "d": on(2, 10, storage_cpu_demand_cores=4, **swapping),
        "e": on(2, 10, storage_cpu_demand_cores=0, **swapping),
        "f": on(3, 10),
    }
    vms["c"]["memory_gib"] = 1
    cluster = small_cluster(hosts, vms, {"s": {"controller": "node-3"}})
    plan = Ads().plan(cluster)
    assert {c.kind.value for c in plan.contentions} == {"cpu", "storage-cpu", "memory-swap", "maintenance"}
    assert plan.status is Status.PLANNED
    assert {"f", "s"} < {m.id for m in plan.moves}
    assert validate(state_of(cluster), plan) == ()


def test_sessions_and_vms_both_move_to_cool_a_storage_controller() -> None:
    """8.5 of 10 cores may be used on node-1: without the session 9 are left, without the VM 10, without both 7."""
    vms = {
        "pinned": on(1, 5, storage_cpu_demand_cores=7),
        "free": on(1, 5, storage_cpu_demand_cores=2),
        "other": on(2, 5, storage_cpu_demand_cores=1),
    }
    pinned = [{"kind": "vm-host-affinity", "vms": ["pinned"], "hosts": ["node-1"]}]
    cluster = small_cluster(NODES, vms, {"s": {"controller": "node-1", "storage_cpu_demand_cores": 3}}, pinned)
    moves = Ads().plan(cluster).moves
    assert sorted((m.kind.value, m.id) for m in moves) == [("session", "s"), ("vm", "free")]


def test_a_lower_migration_cost_comes_before_a_lower_node_score() -> None:
    """`small` fits only on node-2, the busier one; `large` would leave node-3 as the idlest: 4 GiB are still better."""
    vms = {
        "small": on(1, 20, memory_gib=4),
        "large": on(1, 70, memory_gib=30),
        "busy": on(2, 60),
        "idle": on(3, 1),
    }
    apart = [{"kind": "vm-vm-anti-affinity", "vms": ["small", "idle"]}]
    moves = Ads().plan(small_cluster(NODES, vms, policies=apart)).moves
    assert [(m.id, m.target) for m in moves] == [("small", "node-2")]


def test_a_vgpu_moves_to_a_host_with_a_compatible_gpu_even_if_that_is_the_busier_one() -> None:
    gpu = {"gpus": [{"id": "g", "model": "A40", "memory_gib": 48}]}
    other = {"gpus": [{"id": "g", "model": "T4", "memory_gib": 16}]}
    vms = {
        "render": on(1, 45, gpu={"model": "A40", "memory_gib": 12}, memory_gib=1),
        "bound": on(1, 45),
        "busy": on(2, 30),
    }
    pinned = [{"kind": "vm-host-affinity", "vms": ["bound"], "hosts": ["node-1"]}]
    moves = Ads().plan(small_cluster({"node-1": gpu, "node-2": gpu, "node-3": other}, vms, policies=pinned)).moves
    assert [(m.id, m.target, m.cost_gib) for m in moves] == [("render", "node-2", 13)]


@pytest.mark.parametrize(("period_seconds", "asked"), [(900.0, 96), (300.0, 288)])
def test_contention_is_looked_for_every_15_minutes_or_as_set(period_seconds: float, asked: int) -> None:
    planner = Asked()
    run_episode(build_episode(settings=Settings(contention_period_seconds=period_seconds)), planner, QUICK)
    assert planner.times == asked


@pytest.mark.parametrize(("period_seconds", "swap_gib_minutes"), [(120.0, 2 * 8.0), (600.0, 10 * 8.0)])
def test_memory_is_looked_at_every_2_minutes_or_as_set(period_seconds: float, swap_gib_minutes: float) -> None:
    """The need of one VM jumps at minute 30; until memory is shared anew 8 GiB are swapped out."""
    episode = squeezed_episode(settings=Settings(memory_period_seconds=period_seconds))
    assert Simulator(episode).advance(60).swap_gib_minutes == pytest.approx(swap_gib_minutes)
