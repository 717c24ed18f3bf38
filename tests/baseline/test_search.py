"""The search against the truth: an exhaustive one on tiny clusters, proven optima on larger ones."""

from __future__ import annotations

import heapq
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from quell.baseline.search import SearchLimits, search
from quell.env.model.cluster import Cluster
from quell.env.model.contention import unresolved_H
from quell.env.model.cost import migration_cost_M
from quell.env.model.plan import Plan, Status, moves_of, plan_score, validate
from quell.env.model.rules import check_move, is_ha_binding, vm_vm_affinity
from quell.env.model.snapshot import read_snapshot
from quell.env.model.state import State, state_of
from tests.env.model.clusters import random_clusters, small_cluster

WITHIN = 1.05  # of the optimum: the most a plan may cost where the search is cut off


def cheapest(state: State) -> float | None:
    """Cost of the cheapest valid plan by Dijkstra's algorithm over all placements, None where there is none."""
    cost_M, is_ha_enforced = migration_cost_M(state), is_ha_binding(state)
    tickets = itertools.count()
    queue = [(0.0, next(tickets), state)]
    done: set[bytes] = set()
    while queue:
        cost_gib, _, here = heapq.heappop(queue)
        key = here.host_of_M.tobytes()
        if key in done:
            continue
        done.add(key)
        if not unresolved_H(here).any() and not vm_vm_affinity(state, here):
            return cost_gib
        for m, target in itertools.product(range(len(cost_M)), range(state.inventory.host_count)):
            if not check_move(here, m, target, is_ha_enforced=is_ha_enforced):
                heapq.heappush(queue, (cost_gib + float(cost_M[m]), next(tickets), here.moved(m, target)))
    return None


@settings(max_examples=60)
@given(cluster=random_clusters(max_hosts=3, max_vms=4))
def test_tiny_clusters_against_exhaustive_search(cluster: Cluster) -> None:
    state = state_of(cluster)
    truth, found = cheapest(state), search(state, SearchLimits(nodes=20_000))
    if found.moves is not None:
        assert truth is not None and found.cost_gib >= truth - 1e-6
        assert found.floor_gib <= truth + 1e-6
    if found.is_proven_optimal:
        assert found.cost_gib == pytest.approx(truth)
    if found.is_proven_refusal:
        assert truth is None
    if truth is not None:
        assert found.moves is not None, "a plan exists, and on so few placements it must be found"


def test_make_room_chain_is_found_and_proven() -> None:
    """No single move helps; c leaves host-2 first, then b takes its place."""
    cluster = small_cluster(
        {"host-0": {}, "host-1": {}, "host-2": {}},
        {
            "a": {"host": "host-0", "cpu_demand_cores": 45, "memory_gib": 30},
            "b": {"host": "host-0", "cpu_demand_cores": 45, "memory_gib": 20},
            "c": {"host": "host-2", "cpu_demand_cores": 15, "memory_gib": 5},
            "d": {"host": "host-2", "cpu_demand_cores": 35},
            "e": {"host": "host-1", "cpu_demand_cores": 65},
        },
    )
    found = search(state_of(cluster))
    assert found.moves == ((2, 1), (1, 2))
    assert found.cost_gib == 25 and found.is_proven_optimal


def test_a_parking_move_is_found_where_only_that_helps() -> None:
    """x and y must swap hosts, and no third host may keep either: memory lets one of them step aside for a while."""
    pins = [
        {"kind": "vm-host-affinity", "vms": ["x"], "hosts": ["host-0", "host-1"]},
        {"kind": "vm-host-affinity", "vms": ["y"], "hosts": ["host-0", "host-1", "host-2"]},
        {"kind": "vm-vm-anti-affinity", "vms": ["x", "y"]},
        {"kind": "vm-vm-anti-affinity", "vms": ["y", "z"]},
    ]
    cluster = small_cluster(
        {"host-0": {"cpu_cores": 50}, "host-1": {}, "host-2": {"cpu_cores": 30}},
        {
            "x": {"host": "host-0", "cpu_demand_cores": 45, "memory_gib": 40},
            "y": {"host": "host-1", "cpu_demand_cores": 20, "memory_gib": 40},
        },
        policies=pins[:3],
    )
    state = state_of(cluster)
    found = search(state, SearchLimits(nodes=100_000))
    assert found.moves is not None
    assert found.cost_gib == pytest.approx(cheapest(state))


@pytest.mark.parametrize(
    ("vms", "reason"),
    [
        ({"a": {"host": "host-0", "cpu_demand_cores": 95}}, "proven"),
        ({f"v{i}": {"host": f"host-{i % 2}", "cpu_demand_cores": 44} for i in range(4)}, ""),
    ],
)
def test_refusals_are_proven(vms: dict, reason: str) -> None:
    found = search(state_of(small_cluster({"host-0": {}, "host-1": {}}, vms)))
    assert found.moves is None and found.is_proven_refusal
    assert found.reason


def test_the_node_limit_gives_the_same_plan_again() -> None:
    cluster = small_cluster(
        {f"host-{h}": {} for h in range(4)},
        {f"vm-{v}": {"host": f"host-{v % 3}", "cpu_demand_cores": 11 + v % 5} for v in range(24)},
    )
    first, second = (search(state_of(cluster), SearchLimits(nodes=300)) for _ in range(2))
    assert (first.moves, first.nodes, first.reason) == (second.moves, second.nodes, second.reason)


def test_proven_optima(shared_dir: Path) -> None:
    """Clusters with proven optimum: every plan valid, nearly all optimal, refused exactly where that is proven."""
    optima = json.loads((shared_dir / "spec/instances/optimum.json").read_text())
    optimal = planned = 0
    for name, truth in optima.items():
        state = state_of(read_snapshot(shared_dir / f"spec/instances/{name}.json"))
        found = search(state)
        assert (found.moves is None) == (truth["status"] == "refused"), name
        if found.moves is None:
            continue
        moves = moves_of(state, found.moves)
        assert sum(m.cost_gib for m in moves) == pytest.approx(plan_score(state, found.moves)[0])
        plan = Plan(name, "search", Status.PLANNED, "", moves=moves, cost_gib=sum(m.cost_gib for m in moves))
        assert [v for v in validate(state, plan) if "resize" not in v.detail] == [], name
        planned += 1
        optimal += found.cost_gib <= truth["cost_gib"] + 0.01
    assert optimal >= 0.95 * planned
