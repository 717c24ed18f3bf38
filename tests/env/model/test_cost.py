"""Migration cost and node score, by hand."""

from __future__ import annotations

import pytest

from quell.env.model.cost import migration_cost_M, node_score_H
from quell.env.model.state import state_of
from tests.env.model.clusters import small_cluster

GPUS = {"gpus": [{"id": "g0", "model": "A", "memory_gib": 24}, {"id": "g1", "model": "A", "memory_gib": 24}]}
VGPU = {"gpu": {"model": "A", "memory_gib": 12}}
SWAPPING = {"overcommit": True, "memory_usage_gib": 6, "memory_swap_gib": 3, "memory_minimum_gib": 2}


def test_a_move_costs_the_memory_needed_and_the_vgpu() -> None:
    vms = {
        "plain": {"host": "h", "memory_gib": 16},
        "vgpu": {"host": "h", "memory_gib": 16} | VGPU,
        "overcommit": {"host": "h", "memory_gib": 16} | SWAPPING,
        "both": {"host": "h", "memory_gib": 8} | SWAPPING | VGPU,
    }
    state = state_of(small_cluster({"h": GPUS}, vms, {"s": {"controller": "h"}}))
    assert migration_cost_M(state).tolist() == [16, 28, 9, 20, 1]


def test_what_a_session_costs_is_a_setting() -> None:
    settings = {"session_move_cost_gib": 2.5}
    cluster = small_cluster({"h": {}}, {}, {"s": {"controller": "h"}}, settings=settings)
    assert migration_cost_M(state_of(cluster)).tolist() == [2.5]


@pytest.mark.parametrize(
    ("host", "vms", "score"),
    [
        ({}, {}, 0.0),
        ({}, {"a": {"host": "h", "cpu_demand_cores": 40, "memory_gib": 20}}, 0.3),
        ({}, {"a": {"host": "h", "cpu_demand_cores": 40, "memory_gib": 20, "power": "off"}}, 0.0),
        (GPUS, {"a": {"host": "h", "cpu_demand_cores": 40, "memory_gib": 20}}, 0.2),
        (GPUS, {"a": {"host": "h", "cpu_demand_cores": 40, "memory_gib": 20} | VGPU}, (0.4 + 0.2 + 0.25) / 3),
        ({}, {"a": {"host": "h", "cpu_demand_cores": 120, "memory_gib": 140}}, 1.3),
    ],
)
def test_the_node_score_is_the_mean_of_the_utilizations(host: dict, vms: dict, score: float) -> None:
    state = state_of(small_cluster({"h": host, "with-gpus": GPUS}, vms))
    assert node_score_H(state).tolist() == pytest.approx([score, 0.0])


def test_storage_is_no_part_of_the_node_score() -> None:
    cluster = small_cluster({"h": {}}, {}, {"s": {"controller": "h", "storage_cpu_demand_cores": 9}})
    assert node_score_H(state_of(cluster)).tolist() == [0.0]
