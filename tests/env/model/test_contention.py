"""What counts as a contention, and what still asks for moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from quell.env.model.cluster import CPU, MEMORY, STORAGE, Cluster, HostState
from quell.env.model.contention import Contention, ContentionKind, contentions, swap_gib_H, unresolved_H
from quell.env.model.state import state_of
from tests.env.model.clusters import random_clusters, small_cluster

ONE_HOST: dict[str, Any] = {"h": {}}


def found_in(cluster: Cluster) -> list[tuple[str, str]]:
    """(host, kind) of every contention."""
    return [(c.host, c.kind.value) for c in contentions(state_of(cluster))]


def asks_for_moves(cluster: Cluster) -> list[str]:
    """The hosts that moves must relieve."""
    return [cluster.inventory.hosts[h].id for h in np.flatnonzero(unresolved_H(state_of(cluster)))]


def overcommit(usage: float, swap: float, memory: float = 50, minimum: float = 0) -> dict[str, Any]:
    """An overcommit VM on host h."""
    return {
        "host": "h",
        "memory_gib": memory,
        "overcommit": True,
        "memory_usage_gib": usage,
        "memory_swap_gib": swap,
        "memory_minimum_gib": minimum,
    }


# Thresholds: 0.85 of 100 cores and of 10 controller cores, with a tolerance of 1e-6


@pytest.mark.parametrize(
    ("cores", "is_contended"),
    [(84.0, False), (85.0, False), (85.00005, False), (85.0002, True), (90.0, True), (150.0, True)],
)
def test_cpu_over_its_threshold(cores: float, is_contended: bool) -> None:
    cluster = small_cluster(ONE_HOST, {"a": {"host": "h", "cpu_demand_cores": cores}})
    assert found_in(cluster) == ([("h", "cpu")] if is_contended else [])
    assert asks_for_moves(cluster) == (["h"] if is_contended else [])


@pytest.mark.parametrize(("cores", "is_contended"), [(6.5, False), (6.500005, False), (6.50002, True), (20.0, True)])
def test_storage_counts_vms_and_sessions(cores: float, is_contended: bool) -> None:
    cluster = small_cluster(
        {"h": {}, "g": {}},
        {"a": {"host": "h", "storage_cpu_demand_cores": cores}, "b": {"host": "g", "storage_cpu_demand_cores": 8}},
        {
            "s": {"controller": "h", "storage_cpu_demand_cores": 1.5},
            "t": {"controller": "h", "storage_cpu_demand_cores": 0.5},
        },
    )
    assert found_in(cluster) == ([("h", "storage-cpu")] if is_contended else [])
    assert asks_for_moves(cluster) == (["h"] if is_contended else [])


def test_sessions_alone_can_make_a_contention() -> None:
    cluster = small_cluster(ONE_HOST, {}, {"s": {"controller": "h", "storage_cpu_demand_cores": 9}})
    assert found_in(cluster) == [("h", "storage-cpu")]


def test_thresholds_are_settings() -> None:
    vms = {"a": {"host": "h", "cpu_demand_cores": 60, "storage_cpu_demand_cores": 9.5}}
    settings = {"cpu_threshold": 0.5, "storage_cpu_threshold": 1.0}
    assert found_in(small_cluster(ONE_HOST, vms, settings=settings)) == [("h", "cpu")]


def test_full_memory_is_no_contention_while_nobody_swaps() -> None:
    cluster = small_cluster(ONE_HOST, {"a": {"host": "h", "memory_gib": 120}})
    assert found_in(cluster) == []
    assert asks_for_moves(cluster) == []


# What does not count


@pytest.mark.parametrize("state", ["maintenance", "down"])
def test_only_hosts_that_are_up_have_contention(state: str) -> None:
    vm = overcommit(20, 10) | {"power": "off", "cpu_demand_cores": 99, "storage_cpu_demand_cores": 99}
    cluster = small_cluster({"h": {"state": state}, "g": {}}, {"a": vm})
    assert found_in(cluster) == []
    assert asks_for_moves(cluster) == []


def test_a_hot_host_that_is_down_asks_for_nothing() -> None:
    vm = overcommit(90, 30, memory=200) | {"cpu_demand_cores": 99, "storage_cpu_demand_cores": 9}
    cluster = small_cluster({"h": {"state": "down"}}, {"a": vm})
    assert found_in(cluster) == []
    assert asks_for_moves(cluster) == []


def test_vms_that_are_off_or_nowhere_use_nothing() -> None:
    hot = {"cpu_demand_cores": 99, "storage_cpu_demand_cores": 9, "memory_gib": 200}
    cluster = small_cluster(ONE_HOST, {"off": {"host": "h", "power": "off"} | hot, "new": {"host": None} | hot})
    state = state_of(cluster)
    assert state.used_HR.tolist() == [[0, 0, 0]]
    assert contentions(state) == ()


# Swapping


@pytest.mark.parametrize(
    ("vms", "is_contended", "asks"),
    [
        ({"a": overcommit(20, 0)}, False, False),
        ({"a": overcommit(20, 5e-7)}, False, False),
        ({"a": overcommit(20, 2e-6)}, True, False),
        ({f"a{i}": overcommit(20, 9e-7) for i in range(4)}, False, False),  # each within the tolerance
        ({"a": overcommit(20, 10), "b": {"host": "h", "memory_gib": 70}}, True, False),  # memory utilization 1
        ({"a": overcommit(20, 10.01), "b": {"host": "h", "memory_gib": 70}}, True, True),  # above 1
        ({"a": overcommit(45, 20), "b": {"host": "h", "memory_gib": 50}}, True, False),  # never above configured
        ({"a": overcommit(20, 90, memory=120) | {"power": "off"}}, False, False),
        ({"a": overcommit(20, 90, memory=120) | {"host": None}}, False, False),
    ],
)
def test_swapping_asks_for_moves_only_where_memory_is_short(
    vms: dict[str, Any], is_contended: bool, asks: bool
) -> None:
    cluster = small_cluster(ONE_HOST, vms)
    assert found_in(cluster) == ([("h", "memory-swap")] if is_contended else [])
    assert asks_for_moves(cluster) == (["h"] if asks else [])


def test_swapped_memory_is_summed_by_host() -> None:
    vms = {"a": overcommit(1, 2), "b": overcommit(1, 3), "c": overcommit(1, 4) | {"host": "g"}}
    assert swap_gib_H(state_of(small_cluster({"h": {}, "g": {}, "i": {}}, vms))).tolist() == [5, 4, 0]


# Maintenance


@pytest.mark.parametrize(
    ("vm", "sessions", "is_empty"),
    [
        ({"host": "h"}, {}, False),
        ({"host": "g"}, {"s": {"controller": "h"}}, False),
        ({"host": "h", "power": "off"}, {}, True),
        ({"host": "g"}, {"s": {"controller": "g"}}, True),
    ],
)
def test_a_host_in_maintenance_asks_for_moves_until_nothing_runs_on_it(
    vm: dict[str, Any], sessions: dict[str, Any], is_empty: bool
) -> None:
    cluster = small_cluster({"h": {"state": "maintenance"}, "g": {}}, {"a": vm}, sessions)
    assert found_in(cluster) == ([] if is_empty else [("h", "maintenance")])
    assert asks_for_moves(cluster) == ([] if is_empty else ["h"])


# What is told


def test_each_kind_is_told_with_its_figures_in_the_order_of_the_hosts() -> None:
    cluster = small_cluster(
        {"m": {"state": "maintenance"}, "h": {}, "g": {}},
        {
            "a": overcommit(20, 3.2) | {"cpu_demand_cores": 90, "storage_cpu_demand_cores": 9.5},
            "b": {"host": "m", "memory_gib": 25},
            "c": {"host": "g"},
        },
    )
    found = contentions(state_of(cluster))
    assert found == (
        Contention(ContentionKind.MAINTENANCE, "m", 0.25, 0.0),
        Contention(ContentionKind.CPU, "h", 0.9, 0.85),
        Contention(ContentionKind.STORAGE_CPU, "h", 0.95, 0.85),
        Contention(ContentionKind.MEMORY_SWAP, "h", swap_gib=3.2),
    )
    assert [c.figures for c in found] == [
        "memory 25.0% in use",
        "90.0%, threshold 85.0%",
        "95.0%, threshold 85.0%",
        "3.20 GiB swapped out",
    ]


# The contract's words against the arrays, on clusters of every kind


@given(random_clusters())
def test_contentions_are_those_of_the_contract(cluster: Cluster) -> None:
    inventory, state = cluster.inventory, state_of(cluster)
    settings, V = inventory.settings, inventory.vm_count
    expected, asking = [], []
    for h, host in enumerate(inventory.hosts):
        running = [m for m in range(inventory.movable_count) if cluster.host_of_M[m] == h and inventory.is_on_M[m]]
        cpu, memory, storage = (sum(state.demand_MR[m, r] for m in running) for r in (CPU, MEMORY, STORAGE))
        is_up = host.state is HostState.UP
        is_swapping = any(inventory.vms[v].is_overcommit and cluster.memory_swap_V[v] > 1e-6 for v in running if v < V)
        kinds = {
            "cpu": is_up and cpu / host.cpu_cores > settings.cpu_threshold + 1e-6,
            "storage-cpu": is_up and storage / host.storage_cpu_cores > settings.storage_cpu_threshold + 1e-6,
            "memory-swap": is_up and is_swapping,
            "maintenance": host.state is HostState.MAINTENANCE and bool(running),
        }
        expected += [(host.id, kind) for kind, holds in kinds.items() if holds]
        needs_moves = kinds | {"memory-swap": kinds["memory-swap"] and memory / host.memory_gib > 1 + 1e-6}
        asking += [host.id] if any(needs_moves.values()) else []
    assert found_in(cluster) == expected
    assert asks_for_moves(cluster) == asking
