"""`ads` by examples: what it detects, what it moves, when it refrains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quell.baseline.ads import Ads
from quell.baseline.mode import Mode
from quell.baseline.search import SearchLimits
from quell.env.model.plan import Status
from quell.env.model.snapshot import parse_snapshot, plan_document, read_snapshot
from tests.env.model.clusters import small_cluster

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE = Path(__file__).parents[2] / "examples" / "three-hosts.json"
HOSTS: dict[str, dict] = {"host-0": {}, "host-1": {}, "host-2": {}}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.cluster.json")), ids=lambda p: p.stem)
def test_golden_clusters(path: Path) -> None:
    """Cluster files with the plan they must give, but for its time."""
    plan = plan_document(Ads().plan(read_snapshot(path)))
    del plan["solve_seconds"]
    assert plan == json.loads(path.with_name(path.name.replace(".cluster.", ".plan.")).read_text())


def test_the_three_node_example(shared_dir: Path) -> None:
    """The documents' example: 15 % leave node 3, then 45 % go there from node 1; no single move helps."""
    plan = Ads().plan(read_snapshot(shared_dir / "spec/examples/three-nodes.json"))
    assert [(m.id, m.source, m.target) for m in plan.moves] == [("c2", "node-3", "node-2"), ("a1", "node-1", "node-3")]
    assert plan.cost_gib == 80


def test_a_plan_says_whether_its_cost_is_proven() -> None:
    """44 VMs of odd sizes on twelve hosts: a few nodes find no proof, and the plan or refusal does not claim one."""
    vms = {
        f"v{i}": {"host": f"host-{i % 12}", "cpu_demand_cores": 17 + 7 * i % 13, "memory_gib": 8 + i % 10}
        for i in range(44)
    }
    crowded = small_cluster({f"host-{h}": {} for h in range(12)}, vms)
    assert Ads(limits=SearchLimits(nodes=10)).plan(crowded).proven is False
    simple = small_cluster(HOSTS, {f"v{i}": {"host": "host-0", "cpu_demand_cores": 30} for i in range(3)})
    assert Ads().plan(simple).proven is True
    assert Ads(mode=Mode.DISABLED).plan(simple).proven is None


def test_skew_without_contention_causes_no_move() -> None:
    """Three hosts at 10 %, one at 50 %: the documents' own example of what is to be left alone."""
    vms = {f"vm-{v}": {"host": "host-0", "cpu_demand_cores": 10} for v in range(5)}
    vms |= {f"idle-{h}": {"host": f"host-{h}", "cpu_demand_cores": 10} for h in (1, 2)}
    plan = Ads().plan(small_cluster(HOSTS, vms))
    assert (plan.status, plan.moves) == (Status.NO_CONTENTION, ())


@pytest.mark.parametrize(("minutes", "status"), [(4, Status.NO_CONTENTION), (10, Status.PLANNED)])
def test_a_boot_storm_is_no_contention_and_a_held_demand_is(minutes: int, status: Status) -> None:
    samples = [10.0] * (10 - minutes) + [60.0] * minutes
    vms = {f"vm-{v}": {"host": "host-0", "cpu_demand_cores": samples} for v in range(2)}
    assert Ads().plan(small_cluster(HOSTS, vms)).status is status


def test_storage_contention_may_be_relieved_by_a_session() -> None:
    """A session costs 1 GiB to move, the VM 10."""
    cluster = small_cluster(
        HOSTS,
        {"vm": {"host": "host-0", "storage_cpu_demand_cores": 6}},
        {"session": {"controller": "host-0", "storage_cpu_demand_cores": 4}},
    )
    plan = Ads().plan(cluster)
    assert [(m.kind, m.id, m.cost_gib, m.reason) for m in plan.moves] == [
        ("session", "session", 1.0, "relieves storage controller of host-0")
    ]


def test_all_contentions_or_none() -> None:
    """host-0 could be relieved, host-1 cannot: its only VM fits nowhere. So nothing moves, and the reason is told."""
    vms = {
        "a": {"host": "host-0", "cpu_demand_cores": 45},
        "b": {"host": "host-0", "cpu_demand_cores": 45},
        "giant": {"host": "host-1", "cpu_demand_cores": 95},
    }
    plan = Ads().plan(small_cluster(HOSTS, vms))
    assert (plan.status, plan.moves, plan.cost_gib) == (Status.REFUSED, (), 0)
    assert len(plan.contentions) == 2 and "cannot all be resolved" in plan.reason


def test_policies_are_kept_even_if_contention_stays() -> None:
    pinned = [{"kind": "vm-host-affinity", "vms": ["a", "b"], "hosts": ["host-0"]}]
    vms = {name: {"host": "host-0", "cpu_demand_cores": 45} for name in ("a", "b")}
    assert Ads().plan(small_cluster(HOSTS, vms, policies=pinned)).status is Status.REFUSED


def test_vms_of_an_affinity_rule_move_together() -> None:
    together = [{"kind": "vm-vm-affinity", "vms": ["a", "b"]}]
    vms = {
        "a": {"host": "host-0", "cpu_demand_cores": 20, "memory_gib": 1},
        "b": {"host": "host-0", "cpu_demand_cores": 20, "memory_gib": 1},
        "c": {"host": "host-0", "cpu_demand_cores": 50, "memory_gib": 40},
    }
    plan = Ads().plan(small_cluster(HOSTS, vms, policies=together))
    assert {m.id for m in plan.moves} == {"a", "b"}
    assert len({m.target for m in plan.moves}) == 1


def test_a_host_in_maintenance_is_emptied() -> None:
    hosts = HOSTS | {"host-0": {"state": "maintenance"}}
    vms = {name: {"host": "host-0"} for name in ("a", "b")}
    plan = Ads().plan(small_cluster(hosts, vms, {"s": {"controller": "host-0"}}))
    assert {m.id for m in plan.moves} == {"a", "b", "s"}
    assert all("maintenance" in m.reason for m in plan.moves)


def test_swap_is_resolved_by_resizes_where_memory_suffices() -> None:
    overcommit = {"overcommit": True, "memory_gib": 60, "memory_minimum_gib": 5}
    vms = {
        "needy": {"host": "host-0", **overcommit, "memory_usage_gib": 30, "memory_swap_gib": 10},
        "idle": {"host": "host-0", **overcommit, "memory_usage_gib": 10, "memory_swap_gib": 0},
    }
    plan = Ads().plan(small_cluster(HOSTS, vms))
    assert (plan.status, plan.moves, plan.cost_gib) == (Status.PLANNED, (), 0)
    assert {r.vm: r.memory_gib for r in plan.resizes}["needy"] >= 40


def test_disabled_it_finds_and_tells_and_moves_nothing() -> None:
    """Two hosts are hot, and there would be room; that is the alert."""
    vms = {name: {"host": f"host-{i // 2}", "cpu_demand_cores": 45} for i, name in enumerate("abcd")}
    cluster = small_cluster(HOSTS | {"host-3": {}}, vms)
    plan = Ads(mode=Mode.DISABLED).plan(cluster)
    assert (plan.status, plan.moves, plan.resizes) == (Status.REFUSED, (), ())
    assert plan.reason == "disabled: 2 contentions found, nothing is moved"
    assert plan.contentions == Ads().plan(cluster).contentions
    assert Ads().plan(cluster).moves != ()


def test_disabled_it_still_says_that_there_is_no_contention() -> None:
    assert Ads(mode=Mode.DISABLED).plan(small_cluster(HOSTS, {})).status is Status.NO_CONTENTION


def test_the_lower_node_score_decides_among_equal_costs() -> None:
    vms = {
        "a": {"host": "host-0", "cpu_demand_cores": 45},
        "b": {"host": "host-0", "cpu_demand_cores": 45, "memory_gib": 11},
        "busy": {"host": "host-1", "cpu_demand_cores": 30},
        "calm": {"host": "host-2", "cpu_demand_cores": 20},
    }
    plan = Ads().plan(small_cluster(HOSTS, vms))
    assert [(m.id, m.target) for m in plan.moves] == [("a", "host-2")]


def test_an_empty_inventory_of_vms_is_no_contention() -> None:
    document = {
        "format": "quell.cluster/1",
        "name": "empty",
        "time": "2026-01-01T00:00:00Z",
        "hosts": [{"id": "h", "cpu_cores": 1, "memory_gib": 1, "storage_cpu_cores": 1}],
    }
    assert Ads().plan(parse_snapshot(document)).status is Status.NO_CONTENTION
