"""The arrays that rules and planners read, made from the objects of a cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.cluster import MEMORY, NOWHERE, TOLERANCE, Cluster, Host, Inventory, Session, Vm, make_cluster
from quell.env.model.state import state_of
from tests.env.model.clusters import random_clusters, small_cluster

CLUSTER = small_cluster(
    {
        "h": {"gpus": [{"id": "g0", "model": "B", "memory_gib": 48}, {"id": "g1", "model": "A", "memory_gib": 24}]},
        "i": {"state": "maintenance"},
        "j": {"state": "down"},
    },
    {
        "a": {"host": "h", "gpu": {"model": "A", "memory_gib": 12}},
        "b": {"host": "i", "power": "off"},
        "c": {"host": None, "overcommit": True, "memory_usage_gib": 3, "memory_swap_gib": 1, "memory_minimum_gib": 2},
    },
    {"s": {"controller": "j"}},
    [
        {"kind": "vm-vm-anti-affinity", "vms": ["a", "b"]},
        {"kind": "vm-host-affinity", "vms": ["a", "c"], "hosts": ["h", "i"]},
        {"kind": "vm-host-affinity", "vms": ["a"], "hosts": ["i", "j"]},
        {"kind": "vm-vm-anti-affinity", "vms": ["c", "b"]},
        {"kind": "vm-vm-affinity", "vms": ["c", "a"]},
    ],
)
INVENTORY = CLUSTER.inventory


def test_movables_are_vms_and_then_sessions() -> None:
    assert [INVENTORY.movable_id(m) for m in range(INVENTORY.movable_count)] == ["a", "b", "c", "s"]
    assert INVENTORY.vm_index == {"a": 0, "b": 1, "c": 2}
    assert INVENTORY.session_index == {"s": 3}
    assert INVENTORY.host_index == {"h": 0, "i": 1, "j": 2}
    assert CLUSTER.host_of_M.tolist() == [0, 1, NOWHERE, 2]


def test_arrays_say_what_the_objects_say() -> None:
    assert INVENTORY.capacity_HR.tolist() == [[100, 100, 10]] * 3
    assert INVENTORY.is_up_H.tolist() == [True, False, False]
    assert INVENTORY.is_maintenance_H.tolist() == [False, True, False]
    assert INVENTORY.is_on_M.tolist() == [True, False, True, True]
    assert INVENTORY.is_overcommit_V.tolist() == [False, False, True]
    assert INVENTORY.memory_configured_V.tolist() == [10, 10, 10]
    assert INVENTORY.gpu_memory_H.tolist() == [72, 0, 0]
    assert INVENTORY.gpu_memory_M.tolist() == [12, 0, 0, 0]
    assert INVENTORY.gpu_movables.tolist() == [0]
    assert INVENTORY.gpu_stock_H == ((("A", 24.0), ("B", 48.0)), (), ())


def test_limits_are_thresholds_and_a_little_more() -> None:
    np.testing.assert_allclose(INVENTORY.limit_HR[0], [85, 100, 8.5], rtol=2 * TOLERANCE)
    assert (INVENTORY.limit_HR[0] > [85, 100, 8.5]).all()


def test_several_host_affinities_leave_what_all_of_them_allow() -> None:
    assert INVENTORY.is_allowed_MH.tolist() == [
        [False, True, False],
        [True, True, True],
        [True, True, False],
        [True, True, True],
    ]


def test_anti_affinity_rules_are_columns_in_their_order() -> None:
    assert [rule.id for rule in INVENTORY.anti_affinity_rules] == ["p0", "p3"]
    assert INVENTORY.is_anti_MA.tolist() == [[True, False], [True, True], [False, True], [False, False]]
    assert [(rule.id, members.tolist()) for rule, members in INVENTORY.affinity_members] == [("p4", [2, 0])]


@pytest.mark.parametrize(
    ("memory", "usage", "swap", "need"),
    [(16, 4, 0, 4), (16, 4, 2, 6), (16, 12, 8, 16), (16, 0, 0, 0), (16, 16, 0, 16)],
)
def test_memory_need_of_an_overcommit_vm(memory: float, usage: float, swap: float, need: float) -> None:
    vm = {
        "host": "h",
        "memory_gib": memory,
        "overcommit": True,
        "memory_usage_gib": usage,
        "memory_swap_gib": swap,
        "memory_minimum_gib": 8,
    }
    assert small_cluster({"h": {}}, {"a": vm}).memory_need_V.tolist() == [need]


def test_a_cluster_moved_is_another_cluster() -> None:
    moved = CLUSTER.moved_to(np.array([1, 1, 0, 0]))
    assert moved.host_of_M.tolist() == [1, 1, 0, 0]
    assert CLUSTER.host_of_M.tolist() == [0, 1, NOWHERE, 2]
    assert moved.inventory is INVENTORY


def test_arrays_cannot_be_changed_by_accident() -> None:
    state = state_of(CLUSTER)
    for array in (INVENTORY.capacity_HR, INVENTORY.is_up_H, CLUSTER.host_of_M, CLUSTER.cpu_samples_VT, state.used_HR):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_cluster_from_plain_arrays() -> None:
    inventory = Inventory((Host("h", 8, 16, 2),), (Vm("a", 2, 4), Vm("b", 2, 4)), (Session("s", "vg"),))
    cluster = make_cluster(inventory, [0, NOWHERE, 0], [1.5, 2.5], [0.1, 0.2, 0.3])
    assert cluster.cpu_samples_VT.tolist() == [[1.5], [2.5]]
    assert cluster.storage_samples_MT.shape == (3, 1)
    assert cluster.memory_need_V.tolist() == [4, 4]


def test_an_empty_list_of_vms_is_fine() -> None:
    state = state_of(small_cluster({"h": {}}, {}))
    assert state.demand_MR.shape == (0, 3)
    assert state.used_HR.tolist() == [[0, 0, 0]]


# The state: demand and placement


def test_vms_that_are_off_demand_nothing_and_count_in_anti_affinity() -> None:
    state = state_of(CLUSTER)
    assert state.demand_MR.tolist() == [[10, 10, 1], [0, 0, 0], [10, 4, 1], [0, 0, 1]]
    assert state.swap_V.tolist() == [0, 0, 1]
    assert state.used_HR.tolist() == [[10, 10, 1], [0, 0, 0], [0, 0, 1]]
    assert state.members_HA.tolist() == [[1, 0], [1, 1], [0, 0]]


def test_placing_a_vm_adds_it_and_leaves_the_old_state_as_it_was() -> None:
    before = state_of(CLUSTER)
    after = before.moved(2, 0)
    assert after.used_HR.tolist() == [[20, 14, 2], [0, 0, 0], [0, 0, 1]]
    assert after.members_HA.tolist() == [[1, 1], [1, 1], [0, 0]]
    assert before.used_HR.tolist() == [[10, 10, 1], [0, 0, 0], [0, 0, 1]]
    assert before.host_of_M[2] == NOWHERE


def test_vgpu_memory_in_use_counts_running_vms() -> None:
    gpu = {"gpu": {"model": "A", "memory_gib": 12}}
    vms: dict[str, Any] = {
        "a": {"host": "h"} | gpu,
        "b": {"host": "h"} | gpu,
        "c": {"host": "h", "power": "off"} | gpu,
        "d": {"host": None} | gpu,
        "e": {"host": "i"},
    }
    assert state_of(small_cluster({"h": {}, "i": {}}, vms)).gpu_used_H().tolist() == [24, 0]


@given(random_clusters(), st.data())
def test_a_walk_of_moves_ends_in_the_state_made_afresh(cluster: Cluster, data: st.DataObject) -> None:
    inventory = cluster.inventory
    if inventory.movable_count == 0:
        return
    movables, hosts = st.integers(0, inventory.movable_count - 1), st.integers(0, inventory.host_count - 1)
    state, host_of_M = state_of(cluster), cluster.host_of_M.copy()
    for m, h in data.draw(st.lists(st.tuples(movables, hosts), max_size=8)):
        state = state.moved(m, h)
        host_of_M[m] = h
    afresh = state_of(cluster.moved_to(host_of_M))
    np.testing.assert_array_equal(state.host_of_M, afresh.host_of_M)
    np.testing.assert_allclose(state.used_HR, afresh.used_HR, atol=1e-9)
    np.testing.assert_array_equal(state.members_HA, afresh.members_HA)
    np.testing.assert_allclose(state.gpu_used_H(), afresh.gpu_used_H())
    placed = afresh.host_of_M != NOWHERE
    np.testing.assert_allclose(state.used_HR.sum(axis=0), state.demand_MR[placed].sum(axis=0), atol=1e-9)
    assert (state.utilization_HR[:, MEMORY] >= -1e-12).all()
