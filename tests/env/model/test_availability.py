"""HA reservation (R7): every failure that has to be survived, held against trying every restart."""

from __future__ import annotations

import time
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.model import availability
from quell.env.model.availability import (
    SEARCH_LIMIT,
    _restart,
    failure_scenarios,
    first_unsurvivable,
    has_reservation,
    restart_hosts,
    victims,
)
from quell.env.model.cluster import MEMORY, Cluster, HostState
from quell.env.model.gpu import profiles_by_host, profiles_on, vgpus_fit
from quell.env.model.rules import Reason, check_move, is_ha_binding
from quell.env.model.state import State, state_of
from tests.env.model.clusters import random_clusters, small_cluster


def cluster_of(
    vms: dict[str, Any], hosts: int | dict[str, Any] = 3, failures: int = 1, policies: tuple[dict[str, Any], ...] = ()
) -> Cluster:
    """Hosts h0, h1, ... with 100 GiB each, in guaranteed mode."""
    named = {f"h{i}": {} for i in range(hosts)} if isinstance(hosts, int) else hosts
    return small_cluster(named, vms, policies=policies, ha=failures)


def vm(host: str | None, memory: float, **more: Any) -> dict[str, Any]:
    """A VM by its host and memory."""
    return {"host": host, "memory_gib": memory} | more


GPU = {"gpus": [{"id": "g", "model": "A", "memory_gib": 24}]}
VGPU = {"gpu": {"model": "A", "memory_gib": 12}}
LICENCE = {"kind": "vm-host-affinity", "vms": ["a"], "hosts": ["h0", "h1"]}
APART = {"kind": "vm-vm-anti-affinity", "vms": ["a", "b"]}


UP, DOWN, MAINTENANCE = {"state": "up"}, {"state": "down"}, {"state": "maintenance"}
A60, B60 = {"a": vm("h0", 60)}, {"b": vm("h1", 60)}
A50_30_20 = {"a": vm("h0", 50), "b": vm("h0", 30), "c": vm("h0", 20)}
HALF_FULL = {"d": vm("h1", 50, ha=False), "e": vm("h2", 50, ha=False)}
A_VGPU, B_VGPU, C_VGPU = {"a": vm("h0", 9, **VGPU)}, {"b": vm("h1", 9, **VGPU)}, {"c": vm("h1", 9, **VGPU)}
GPUS_AB = {"gpus": [*GPU["gpus"], {"id": "g2", "model": "B", "memory_gib": 24}]}
SEARCHED = {
    "a": vm("h0", 10, gpu={"model": "A", "memory_gib": 24}),
    "b": vm("h0", 35, gpu={"model": "B", "memory_gib": 12}),
    "d": vm("h0", 1, **VGPU),
    "e": vm("h1", 60, ha=False),
    "f": vm("h2", 50, ha=False),
}


@pytest.mark.parametrize(
    ("cluster", "lost"),
    [
        (cluster_of({}), None),
        (cluster_of(A60 | B60 | {"c": vm("h2", 40)}), None),
        (cluster_of(A60 | B60 | {"c": vm("h2", 41)}), ("h0",)),
        (cluster_of(A60 | B60 | {"c": vm("h2", 41)}, failures=2), ("h0", "h1")),
        (cluster_of({"a": vm("h0", 30), "b": vm("h1", 30), "c": vm("h2", 40)}, failures=2), None),
        (cluster_of({"a": vm("h0", 60, ha=False), "b": vm("h1", 41), "c": vm("h2", 60)}), ("h1",)),
        (cluster_of({"a": vm("h0", 60, power="off"), "c": vm("h2", 60)} | B60), None),
        (cluster_of({"a": vm(None, 99)} | B60), None),
        # a host that is down or in maintenance takes no VM
        (cluster_of(A60 | B60, {"h0": UP, "h1": UP, "h2": UP}), None),
        (cluster_of(A60 | B60, {"h0": UP, "h1": UP, "h2": DOWN}), ("h0",)),
        (cluster_of(A60 | B60, {"h0": UP, "h1": UP, "h2": MAINTENANCE}), ("h0",)),
        # VMs on a host in maintenance have to be restarted, too; those on a host that is down are lost already
        (cluster_of(A60 | {"c": vm("h1", 50)}, {"h0": MAINTENANCE, "h1": UP}), ("h0",)),
        (cluster_of(A60 | {"c": vm("h1", 50)}, {"h0": DOWN, "h1": UP, "h2": UP}), None),
        # more failures to survive than hosts
        (cluster_of({"a": vm("h0", 1)}, 1), ("h0",)),
        (cluster_of({"a": vm("h0", 1)}, 1, failures=2), ("h0",)),
        (cluster_of({"a": vm("h0", 1)}, 2, failures=2), ("h0", "h1")),
        (cluster_of({"a": vm("h0", 1, ha=False)}, 2, failures=2), None),
        # 60 GiB are free, but not in one place
        (cluster_of({"a": vm("h0", 50), "b": vm("h1", 70), "c": vm("h2", 70)}), ("h0",)),
        # 50 into one half, 30 and 20 into the other
        (cluster_of(A50_30_20 | HALF_FULL), None),
        (cluster_of(A50_30_20 | HALF_FULL | {"f": vm("h2", 1, ha=False)}), ("h0",)),
        # R3 binds a restart, R4 does not
        (cluster_of({"a": vm("h0", 50)} | B60, policies=(LICENCE,)), ("h0",)),
        (cluster_of({"a": vm("h0", 50), "b": vm("h1", 50)}, 2, policies=(APART,)), None),
        # R6 binds it
        (cluster_of(A_VGPU, {"h0": GPU, "h1": {}}), ("h0",)),
        (cluster_of(A_VGPU | B_VGPU, {"h0": GPU, "h1": GPU}), None),
        (cluster_of(A_VGPU | B_VGPU | C_VGPU, {"h0": GPU, "h1": GPU}), ("h0",)),
        # a goes to h1 first, where memory is tightest; b, which finds its model on h1 only, then finds no memory.
        # So a goes to h2, b to h1, and d to the GPU on h1 that a has left.
        (cluster_of(SEARCHED, {"h0": {}, "h1": GPUS_AB, "h2": GPU}), None),
        (cluster_of(SEARCHED | {"g": vm("h0", 1, **VGPU)}, {"h0": {}, "h1": GPUS_AB, "h2": {}}), ("h0",)),
    ],
)
def test_the_first_failure_that_is_not_survived(cluster: Cluster, lost: tuple[str, ...] | None) -> None:
    failed = first_unsurvivable(state_of(cluster))
    assert (None if failed is None else tuple(cluster.inventory.hosts[h].id for h in failed)) == lost
    assert has_reservation(state_of(cluster)) == (lost is None)
    assert is_ha_binding(state_of(cluster)) == (lost is None)


def test_nothing_is_reserved_in_best_effort_mode() -> None:
    cluster = small_cluster({"h0": {}}, {"a": vm("h0", 90)})
    assert has_reservation(state_of(cluster))
    assert not is_ha_binding(state_of(cluster))


def test_victims_are_restarted_where_they_fit() -> None:
    vms = {"a": vm("h0", 50), "b": vm("h0", 30), "c": vm("h0", 20, ha=False), "d": vm("h1", 60), "e": vm("h2", 45)}
    state = state_of(cluster_of(vms))
    assert victims(state, (0,)).tolist() == [0, 1]
    assert restart_hosts(state, (0,)) == {0: 2, 1: 1}


# Against trying every restart


def survives_by_trying_all(state: State) -> bool:
    """The contract's words: whichever hosts fail, some restart of their `ha` VMs keeps R1, R3 and R6."""
    inventory = state.inventory
    alive = [h for h, host in enumerate(inventory.hosts) if host.state is not HostState.DOWN]
    count = min(inventory.high_availability.host_failures, len(alive))
    return all(some_restart(state, failed) for failed in combinations(alive, count))


def some_restart(state: State, failed: tuple[int, ...]) -> bool:
    """Whether the `ha` VMs of the failed hosts can be restarted."""
    inventory = state.inventory
    hit = [v for v, one in enumerate(inventory.vms) if one.is_on and one.is_ha and state.host_of_M[v] in failed]
    survivors = [h for h, host in enumerate(inventory.hosts) if host.state is HostState.UP and h not in failed]
    for targets in product(survivors, repeat=len(hit)):
        moved = state
        for v, h in zip(hit, targets, strict=True):
            moved = moved.moved(v, h)
        is_allowed = all(inventory.is_allowed_MH[v, h] for v, h in zip(hit, targets, strict=True))
        fits = all(moved.used_HR[h, MEMORY] <= inventory.hosts[h].memory_gib + 1e-9 for h in set(targets))
        with_vgpu = {h for v, h in zip(hit, targets, strict=True) if inventory.vms[v].gpu is not None}
        if is_allowed and fits and all(vgpus_fit(inventory.gpu_stock_H[h], profiles_on(moved, h)) for h in with_vgpu):
            return True
    return False


@st.composite
def tight_clusters(draw: st.DrawFn) -> Cluster:
    """Small clusters in guaranteed mode, with little memory to spare."""
    states = draw(st.lists(st.sampled_from(["up", "up", "up", "maintenance", "down"]), min_size=1, max_size=4))
    gpus: st.SearchStrategy[Any] = st.sampled_from([{}, {}, GPU]) if draw(st.booleans()) else st.just({})
    hosts: dict[str, Any] = {
        f"h{i}": {"state": state, "memory_gib": draw(st.sampled_from([60, 100]))} | draw(gpus)
        for i, state in enumerate(states)
    }
    homes = st.sampled_from([*hosts, None])
    sizes = st.sampled_from([5, 10, 20, 30, 40, 50])
    is_ha, power = st.sampled_from([True, True, False]), st.sampled_from(["on", "on", "off"])
    vgpus: st.SearchStrategy[Any] = st.sampled_from([{}, VGPU, VGPU | {"gpu": {"model": "A", "memory_gib": 24}}])
    vms = {
        f"v{i}": vm(draw(homes), draw(sizes), ha=draw(is_ha), power=draw(power)) | draw(vgpus)
        for i in range(draw(st.integers(0, 6)))
    }
    policies: tuple[dict[str, Any], ...] = ()
    is_bound = draw(st.booleans())
    if vms and is_bound:
        chosen = st.lists(st.sampled_from(list(vms)), min_size=1, unique=True)
        allowed = st.lists(st.sampled_from(list(hosts)), min_size=1, unique=True)
        policies = ({"kind": "vm-host-affinity", "vms": draw(chosen), "hosts": draw(allowed)},)
    return cluster_of(vms, hosts, draw(st.integers(1, 2)), policies)


@given(tight_clusters())
def test_a_reservation_holds_where_some_restart_exists(cluster: Cluster) -> None:
    state = state_of(cluster)
    assert has_reservation(state) == survives_by_trying_all(state)


@given(tight_clusters())
def test_r7_forbids_the_moves_after_which_it_no_longer_holds(cluster: Cluster) -> None:
    state = state_of(cluster)
    held_before = survives_by_trying_all(state)
    assert is_ha_binding(state) == held_before
    for m, h in product(range(cluster.inventory.movable_count), range(cluster.inventory.host_count)):
        broken = {violation.reason for violation in check_move(state, m, h, is_ha_enforced=held_before)}
        without = check_move(state, m, h, is_ha_enforced=False)
        if not without:
            assert broken == (
                {Reason.R7_HA_RESERVATION} if held_before and not survives_by_trying_all(state.moved(m, h)) else set()
            )


@given(random_clusters())
def test_a_restart_keeps_memory_host_affinity_and_gpus(cluster: Cluster) -> None:
    state = state_of(cluster)
    for failed in failure_scenarios(state):
        restart = restart_hosts(state, failed)
        if restart is None:
            continue
        assert sorted(restart) == sorted(victims(state, failed))
        after = state
        for v, h in restart.items():
            assert cluster.inventory.is_up_H[h]
            assert h not in failed
            assert cluster.inventory.is_allowed_MH[v, h]
            after = after.moved(v, h)
        reached = list(set(restart.values()))
        assert (after.used_HR[reached, MEMORY] <= cluster.inventory.limit_HR[reached, MEMORY] + 1e-9).all()


# Many failures at once, against one after another


def first_by_searching(state: State, *, is_undecided_lost: bool) -> tuple[int, ...] | None:
    """`first_unsurvivable` without the pass over many failures at once."""
    profiles_H = profiles_by_host(state)
    for failed in failure_scenarios(state):
        restart, is_certain = _restart(state, victims(state, failed), failed, profiles_H)
        if restart is None and (is_certain or is_undecided_lost):
            return failed
    return None


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    hosts=st.integers(2, 9),
    failures=st.integers(1, 2),
    fill=st.floats(0.3, 1.0),
    at_once=st.sampled_from([1, 7, 2**16]),
)
def test_many_failures_at_once_give_the_verdicts_of_one_after_another(
    seed: int, hosts: int, failures: int, fill: float, at_once: int
) -> None:
    """Pins, vGPUs, VMs that are off or not `ha`, hosts that are down: the same first failure, whatever the batch."""
    rng = np.random.default_rng(seed)
    states = rng.choice(["up", "up", "up", "maintenance", "down"], hosts)
    named: dict[str, Any] = {
        f"h{i}": {"state": str(state)} | (GPU if i % 3 == 0 else {}) for i, state in enumerate(states)
    }
    sizes = rng.choice([5, 10, 17.3, 30, 44.1], 4 * hosts) * fill
    vms = {
        f"v{i}": vm(
            f"h{rng.integers(hosts)}",
            float(size),
            ha=bool(rng.random() < 0.8),
            power=str(rng.choice(["on", "on", "on", "off"])),
            **(VGPU if rng.random() < 0.1 else {}),
        )
        for i, size in enumerate(sizes)
    }
    pin = {"kind": "vm-host-affinity", "vms": ["v0", "v1"], "hosts": ["h0", "h1"]}
    state = state_of(cluster_of(vms, named, failures, (pin,)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(availability, "CELLS_AT_ONCE", at_once)
        for is_undecided_lost in (True, False):
            expected = first_by_searching(state, is_undecided_lost=is_undecided_lost)
            assert first_unsurvivable(state, is_undecided_lost=is_undecided_lost) == expected


def test_a_large_cluster_is_judged_in_no_time() -> None:
    """256 hosts, 4,000 VMs: one after another, the failures took a fifth of a second after every move."""
    hosts: dict[str, Any] = {f"h{i}": {} for i in range(256)}
    state = state_of(cluster_of({f"v{i}": vm(f"h{i % 256}", 4.5) for i in range(4000)}, hosts))
    assert has_reservation(state)
    started = time.process_time()
    assert has_reservation(state)
    assert time.process_time() - started < 0.1


# Hopeless and undecided cases


def test_counting_decides_what_a_search_would_not() -> None:
    """40 VMs of 11 GiB into 30 hosts with room for one each: the sum fits, and no search ends in time."""
    hosts: dict[str, Any] = {f"h{i}": {} for i in range(31)}
    fillers = {f"f{i}": vm(f"h{i}", 80, ha=False) for i in range(1, 31)}
    state = state_of(cluster_of({f"v{i}": vm("h0", 11) for i in range(40)} | fillers, hosts))
    assert first_unsurvivable(state, is_undecided_lost=False) == (0,)


def test_a_case_undecided_counts_as_reserved_before_a_plan_and_as_lost_after_a_move() -> None:
    """Sizes that are no sums of each other: whether they fill the hosts exactly is hard to tell."""
    rng = np.random.default_rng(5)
    sizes = rng.uniform(9, 26, size=24)
    hosts = {"h0": {"memory_gib": 1000}} | {f"h{i}": {"memory_gib": sizes.sum() / 6 * 1.0005} for i in range(1, 7)}
    state = state_of(cluster_of({f"v{i}": vm("h0", float(size)) for i, size in enumerate(sizes)}, hosts))
    assert SEARCH_LIMIT < 10_000
    assert restart_hosts(state, (0,)) is None
    assert first_unsurvivable(state, is_undecided_lost=False) is None
    assert not has_reservation(state)
    assert is_ha_binding(state)
    assert {v.reason for v in check_move(state, 0, 1, is_ha_enforced=True)} == {Reason.R7_HA_RESERVATION}
