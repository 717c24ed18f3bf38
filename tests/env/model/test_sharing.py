"""What happens without a plan: memory shared on a host, sessions spread over controllers, VMs restarted elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from quell.env.model.availability import restart_hosts, victims
from quell.env.model.cluster import MEMORY, NOWHERE, STORAGE, TOLERANCE, Cluster, HostState
from quell.env.model.memory import share_memory
from quell.env.model.restart import restart_host, restart_in_order, restarts
from quell.env.model.rules import gpu
from quell.env.model.sessions import balanced_sessions, regrouped_sessions
from quell.env.model.state import State, state_of
from tests.builders import Item, apart, build_cluster, clusters, host, pinned, session, vm


def squeezed(name: str, usage_gib: float, swap_gib: float = 0.0, minimum_gib: float = 0.0) -> Item:
    """An overcommit VM of 32 GiB."""
    return vm(name, memory_gib=32, usage_gib=usage_gib, swap_gib=swap_gib, minimum_gib=minimum_gib)


def physical(cluster: Cluster, **options: object) -> list[float]:
    """Physical memory of its VMs after sharing, GiB."""
    return share_memory(state_of(cluster), **options).round(6).tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "vms", "memory_gib", "expected"),
    [
        (
            "an idle VM is ballooned down, so that a needy one does not swap",
            [squeezed("idle", 8), squeezed("needy", 20, 10)],
            38.0,
            [8.0, 30.0],
        ),
        (
            "never below the minimum: the needy one goes on swapping",
            [squeezed("idle", 8, minimum_gib=16), squeezed("needy", 20, 10)],
            40.0,
            [16.0, 24.0],
        ),
        (
            "what is left over goes to both, by what each could still take",
            [squeezed("idle", 8), squeezed("needy", 20)],
            46.0,
            [8 + 18 * 24 / 36, 20 + 18 * 12 / 36],
        ),
        (
            "no VM gets more than it is configured with",
            [squeezed("idle", 8), squeezed("needy", 20)],
            100.0,
            [32.0, 32.0],
        ),
        (
            "where needs do not fit, all get the same share of theirs",
            [squeezed("one", 20), squeezed("two", 10)],
            15.0,
            [10.0, 5.0],
        ),
        (
            "other VMs keep all they are configured with",
            [vm("fixed", memory_gib=16), squeezed("one", 20)],
            30.0,
            [16.0, 14.0],
        ),
    ],
)
def test_physical_memory_follows_need(what: str, vms: list[Item], memory_gib: float, expected: list[float]) -> None:
    assert physical(build_cluster(1, vms=vms, memory_gib=memory_gib)) == pytest.approx(expected), what


def test_memory_on_its_way_is_not_given_out_and_a_plans_word_counts() -> None:
    cluster = build_cluster(1, vms=[squeezed("one", 10), squeezed("two", 10)], memory_gib=40.0)
    assert physical(cluster) == [20.0, 20.0]
    assert physical(cluster, reserved_gib_H=np.array([10.0])) == [15.0, 15.0]
    assert physical(cluster, given_gib={0: 12.0}) == [12.0, 28.0]


@given(clusters())
def test_sharing_keeps_within_the_host_and_between_minimum_and_configured(cluster: Cluster) -> None:
    state, inventory = state_of(cluster), cluster.inventory
    V = inventory.vm_count
    physical_V = share_memory(state)
    runs_V = (state.host_of_M[:V] != NOWHERE) & inventory.is_on_M[:V]
    assert (physical_V[~runs_V] == 0).all()
    assert (physical_V <= inventory.memory_configured_V + 1e-9).all()
    for h, each in enumerate(inventory.hosts):
        there_V = runs_V & (state.host_of_M[:V] == h)
        fixed_gib = inventory.memory_configured_V[there_V & ~inventory.is_overcommit_V].sum()
        shared_V = there_V & inventory.is_overcommit_V
        floor_gib = inventory.memory_minimum_V[shared_V].sum()
        assert physical_V[shared_V].sum() <= max(each.memory_gib - fixed_gib, 0.0) + 1e-6
        if fixed_gib + floor_gib <= each.memory_gib:
            assert (physical_V[shared_V] >= np.minimum(inventory.memory_minimum_V, 32)[shared_V] - 1e-6).all()
        needs_gib = np.maximum(state.demand_MR[:V, MEMORY], inventory.memory_minimum_V)[shared_V]
        if fixed_gib + needs_gib.sum() <= each.memory_gib:
            assert (physical_V[shared_V] >= needs_gib - 1e-6).all(), "nobody swaps where the needs fit"


def test_sessions_of_a_group_are_spread_and_a_hot_controller_is_spared() -> None:
    """host-1's controller is at 6 of 8 cores: another 2 would bring it above 85 %."""
    cluster = build_cluster(3, vms=[vm("busy", 1, storage=6.0)], sessions=[session(f"s{i}", 0, 2.0) for i in range(3)])
    found = balanced_sessions(state_of(cluster), [1, 2, 3])
    assert sorted(found.values()) == [0, 0, 2]
    cluster = build_cluster(3, sessions=[session(f"s{i}", 0, 1.0) for i in range(3)])
    assert sorted(balanced_sessions(state_of(cluster), [0, 1, 2]).values()) == [0, 1, 2]


def test_a_group_that_grows_is_evened_out_with_as_few_redirections_as_needed() -> None:
    """Three sessions of the group on host-0, one new one: two of the old make way, the third stays."""
    cluster = build_cluster(3, sessions=[session(f"s{i}", h, 1.0) for i, h in enumerate((0, 0, 0, -1))])
    found = regrouped_sessions(state_of(cluster), [3])
    assert found[3] == 1 and len(found) == 2 and sorted(found.values()) == [1, 2]


def test_sessions_only_go_to_hosts_that_are_up() -> None:
    hosts = [host("a", state=HostState.DOWN), host("b", state=HostState.MAINTENANCE), host("c")]
    cluster = build_cluster(hosts, sessions=[session("s", 0, 1.0)])
    assert balanced_sessions(state_of(cluster), [0]) == {0: 2}
    nowhere = build_cluster(hosts[:2], sessions=[session("s", 0, 1.0)])
    assert balanced_sessions(state_of(nowhere), [0]) == {}


@given(clusters())
def test_no_controller_is_brought_above_its_threshold_while_another_has_room(cluster: Cluster) -> None:
    state, V = state_of(cluster), cluster.inventory.vm_count
    nowhere_M = np.where(np.arange(cluster.inventory.movable_count) < V, cluster.host_of_M, NOWHERE)
    after = state_of(replace(cluster, host_of_M=nowhere_M))  # where the sessions are now does not count
    limit_H = cluster.inventory.limit_HR[:, STORAGE]
    for m, h in balanced_sessions(state, range(V, cluster.inventory.movable_count)).items():
        others_H = after.used_HR[:, STORAGE] + state.demand_MR[m, STORAGE] > limit_H - TOLERANCE
        after = after.moved(m, h)
        if after.used_HR[h, STORAGE] > limit_H[h] + TOLERANCE:
            assert others_H[cluster.inventory.is_up_H & (np.arange(len(limit_H)) != h)].all()


def failed(cluster: Cluster, h: int) -> tuple[State, State]:
    """The state before host h fails, and just after."""
    before = state_of(cluster)
    inventory = cluster.inventory
    hosts = tuple(replace(x, state=HostState.DOWN) if i == h else x for i, x in enumerate(inventory.hosts))
    host_of_M = np.where((cluster.host_of_M == h) & inventory.is_on_M, NOWHERE, cluster.host_of_M)
    return before, state_of(replace(cluster, inventory=replace(inventory, hosts=hosts), host_of_M=host_of_M))


def test_the_most_constrained_vm_restarts_first_and_gets_the_only_host_it_may_use() -> None:
    """Both fit on host-1 alone, where `free` would go first by score; `bound` may go nowhere else."""
    vms = [vm("free", 0, memory_gib=60), vm("bound", 0, memory_gib=60), vm("resident", 2, memory_gib=10)]
    cluster = build_cluster(3, vms=vms, memory_gib=100.0, rules=[pinned("bound", hosts=[0, 1])])
    before, after = failed(cluster, 0)
    assert restarts(before, (0,), after) == {1: 1, 0: 2}


def test_as_many_as_possible_restart_where_not_all_can() -> None:
    vms = [vm("large", 0, memory_gib=60), vm("small", 0, memory_gib=30), vm("other", 1, memory_gib=30)]
    before, after = failed(build_cluster(2, vms=vms, memory_gib=100.0), 0)
    assert restarts(before, (0,), after) == {0: 1}


def test_a_restart_prefers_a_calm_host_without_a_clash_and_takes_a_contended_one_before_none() -> None:
    rules = [apart("lost", "partner")]
    hot, partner = vm("hot", 1, cpu=84, memory_gib=10), vm("partner", 2, memory_gib=10)
    before, after = failed(build_cluster(4, vms=[vm("lost", 0), hot, partner], rules=rules), 0)
    assert restart_host(after, 0) == 3
    before, after = failed(build_cluster(3, vms=[vm("lost", 0), hot, partner], rules=rules), 0)
    assert restart_host(after, 0) == 2
    before, after = failed(build_cluster(2, vms=[vm("lost", 0), hot]), 0)
    assert restart_host(after, 0) == 1


@given(clusters())
def test_restarts_keep_memory_affinity_and_gpus_and_use_the_reservation(cluster: Cluster) -> None:
    before, after = failed(cluster, 0)
    found = restarts(before, (0,), after)
    state = after
    for v, h in found.items():
        assert state.inventory.is_up_H[h] and state.inventory.is_allowed_MH[v, h]
        assert gpu(state, v, h) is None
        state = state.moved(v, h)
        assert state.used_HR[h, MEMORY] <= state.inventory.limit_HR[h, MEMORY]
    if restart_hosts(before, (0,)) is not None:
        assert set(found) == set(victims(before, (0,)).tolist())
    assert set(restart_in_order(after, list(found))) <= set(found)
