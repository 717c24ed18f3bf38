"""Memory that is short, GPUs, restarts and who waits: what the agent sees of them, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.gym.features import SCHEMA, features
from quell.env.gym.shortlist import all_pairs, is_quiet, shortlist
from quell.env.gym.view import PlanView, look_at
from quell.env.model.cluster import (
    Cluster,
    Gpu,
    GpuProfile,
    HighAvailability,
    Host,
    HostState,
    Inventory,
    Session,
    Vm,
    make_cluster,
)


def cluster_of(
    vms: list[tuple[Vm, int]],
    hosts: tuple[Host, ...] | int = 2,
    sessions: tuple[Session, ...] = (),
    high_availability: HighAvailability | None = None,
) -> Cluster:
    """Hosts of 10 cores and 64 GiB, VMs of 1 core where they are; what overcommit VMs need is their minimum."""
    listed = hosts if isinstance(hosts, tuple) else tuple(Host(f"h{h}", 10, 64, 4) for h in range(hosts))
    reserve = high_availability or HighAvailability()
    inventory = Inventory(listed, tuple(vm for vm, _ in vms), sessions, high_availability=reserve)
    at = [h for _, h in vms] + [0 if session.is_on else -1 for session in sessions]
    need_V = [vm.memory_minimum_gib for vm, _ in vms]
    return make_cluster(inventory, at, np.ones(len(vms)), np.zeros(len(at)), memory_usage_V=need_V)


def shared(name: str, need_gib: float, memory_gib: float = 64.0) -> Vm:
    """An overcommit VM that needs so much."""
    return Vm(name, 4, memory_gib, is_overcommit=True, memory_minimum_gib=need_gib)


def row(view: PlanView, m: int, target: int) -> dict[str, float]:
    """Features of a move by name."""
    listed = all_pairs(view, slots=60)
    slot = 1 + m * view.round.inventory.host_count + target
    assert listed.mask_S[slot]
    return dict(zip(SCHEMA.candidate, features(view, listed)[0][slot].tolist(), strict=True))


def context(view: PlanView) -> dict[str, float]:
    """Features of the cluster by name."""
    return dict(zip(SCHEMA.context, features(view, shortlist(view))[1].tolist(), strict=True))


class TestSwap:
    """80 GiB are needed on h0, which has 64: 16 stay swapped out whoever holds them."""

    def view(self) -> PlanView:
        return look_at(cluster_of([(shared("v0", 30), 0), (shared("v1", 30), 0), (Vm("v2", 4, 20), 0)]))

    def test_a_move_is_seen_to_end_it(self) -> None:
        small, large = row(self.view(), 2, 1), row(self.view(), 0, 1)
        assert (small["is_overcommit"], large["is_overcommit"]) == (0, 1)
        assert small["swap_source_before"] == large["swap_source_before"] == pytest.approx(16 / 64)
        assert small["swap_source_after"] == large["swap_source_after"] == 0

    def test_a_move_that_is_too_small_leaves_some(self) -> None:
        view = look_at(cluster_of([(shared("v0", 60), 0), (Vm("v1", 4, 16), 0), (Vm("v2", 4, 4), 0)]))
        assert row(view, 2, 1)["swap_source_after"] == pytest.approx(12 / 64)

    def test_the_cluster_and_stop_show_what_the_plan_leaves(self) -> None:
        view = self.view()
        assert context(view)["swap_share"] == pytest.approx(16 / 128)
        assert context(view.after(2, 1))["swap_share"] == 0
        stop = dict(zip(SCHEMA.candidate, features(view, shortlist(view))[0][0].tolist(), strict=True))
        assert stop["swap_source_before"] == pytest.approx(16 / 128)

    def test_only_overcommit_vms_swap(self) -> None:
        view = look_at(cluster_of([(Vm("v0", 4, 40), 0), (Vm("v1", 4, 40), 0), (shared("v2", 4), 0)]))
        assert row(view, 0, 1)["swap_source_before"] == pytest.approx(4 / 64)
        assert row(view, 2, 1)["swap_source_after"] == 0

    def test_a_host_that_lacks_memory_is_not_quiet(self) -> None:
        assert not is_quiet(self.view())
        assert is_quiet(self.view().after(2, 1))

    def test_a_host_that_swaps_though_the_needs_fit_is_quiet(self) -> None:
        """Sharing anew ends it, within two minutes."""
        vms = (Vm("v0", 4, 48, is_overcommit=True),)
        inventory = Inventory((Host("h0", 10, 64, 4), Host("h1", 10, 64, 4)), vms)
        swapping = make_cluster(inventory, [0], [1.0], [0.0], memory_usage_V=[20.0], memory_swap_V=[5.0])
        assert is_quiet(look_at(swapping))


class TestGpus:
    def test_what_is_in_use_of_the_gpus_of_both_sides(self) -> None:
        """24 of 48 GiB on h0, 8 of 24 on h1, none on h2."""
        gpu = (Gpu("g0", "A", 24), Gpu("g1", "A", 24))
        hosts = (Host("h0", 10, 64, 4, gpus=gpu), Host("h1", 10, 64, 4, gpus=gpu[:1]), Host("h2", 10, 64, 4))
        vms = [(Vm("v0", 4, 8, gpu=GpuProfile("A", 24)), 0), (Vm("v1", 4, 8, gpu=GpuProfile("A", 8)), 1)]
        view = look_at(cluster_of([*vms, (Vm("v2", 4, 8), 0)], hosts))
        vgpu, plain = row(view, 1, 0), row(view, 2, 2)
        assert (vgpu["has_vgpu"], plain["has_vgpu"]) == (1, 0)
        assert (vgpu["gpu_memory_source"], vgpu["gpu_memory_target"]) == (pytest.approx(8 / 24), 0.5)
        assert (plain["gpu_memory_source"], plain["gpu_memory_target"]) == (0.5, 0)


class TestReserve:
    """Three hosts of 64 GiB, 30 + 20 + 10 GiB: where h0 fails, its 30 GiB restart on h2, which has 24 GiB left then."""

    def cluster(self, is_guaranteed: bool = True, **states: HostState) -> Cluster:
        hosts = tuple(Host(f"h{h}", 10, 64, 4, state=states.get(f"h{h}", HostState.UP)) for h in range(3))
        vms = [(Vm("v0", 4, 30), 0), (Vm("v1", 4, 20), 1), (Vm("v2", 4, 10), 2)]
        return cluster_of(vms, hosts, high_availability=HighAvailability(is_guaranteed))

    def test_headroom_of_the_target_after_the_move(self) -> None:
        """h1 has 44 GiB if h0 fails and 34 if h2 fails (its 10 GiB go to h1); 30 of them are v0's."""
        assert row(look_at(self.cluster()), 0, 1)["ha_headroom_target"] == pytest.approx((34 - 30) / 64, abs=1e-4)

    def test_the_tightest_host_is_seen(self) -> None:
        seen = context(look_at(self.cluster()))
        assert seen["is_ha_guaranteed"] == 1
        assert seen["ha_headroom_least"] == pytest.approx(24 / 64, abs=1e-4)

    def test_a_plan_changes_it(self) -> None:
        """With v0 on h1: if h1 fails, 30 GiB go to h0 and 20 to h2; then h2 has 64 - 10 - 20 = 34 GiB."""
        assert context(look_at(self.cluster()).after(0, 1))["ha_headroom_least"] < 24 / 64

    def test_hosts_that_are_not_up_have_none_to_give(self) -> None:
        seen = context(look_at(self.cluster(h2=HostState.DOWN)))
        assert -1 <= seen["ha_headroom_least"] <= 1

    def test_where_nothing_is_guaranteed_there_is_nothing_to_see(self) -> None:
        seen = context(look_at(self.cluster(is_guaranteed=False)))
        assert (seen["is_ha_guaranteed"], seen["ha_headroom_least"]) == (0, 0)
        assert row(look_at(self.cluster(is_guaranteed=False)), 0, 1)["ha_headroom_target"] == 0


class TestWhoIsThere:
    def test_vms_that_wait_and_hosts_that_are_not_up_are_counted(self) -> None:
        hosts = (Host("h0", 10, 64, 4), Host("h1", 10, 64, 4, state=HostState.DOWN), Host("h2", 10, 64, 4), HOST_3)
        vms = [(Vm("v0", 4, 8), 0), (Vm("v1", 4, 8), -1), (Vm("v2", 4, 8, is_on=False), -1), (Vm("v3", 4, 8), 2)]
        view = look_at(cluster_of(vms, hosts))
        seen = context(view)
        assert seen["not_up_share"] == 0.5
        assert seen["waiting_share"] == pytest.approx(1 / 3)
        assert view.round.waiting_count == 1

    def test_means_are_those_of_the_hosts_that_are_up(self) -> None:
        """Two VMs of 1 core on h0, threshold 8.5; the host that is down carries nothing and offers nothing."""
        hosts = (Host("h0", 10, 64, 4), Host("h1", 10, 64, 4, state=HostState.DOWN))
        seen = context(look_at(cluster_of([(Vm("v0", 4, 8), 0), (Vm("v1", 4, 8), 0)], hosts)))
        assert seen["cpu_mean"] == pytest.approx(2 / 8.5)
        assert seen["memory_mean"] == pytest.approx(16 / 64)

    def test_no_host_is_up(self) -> None:
        hosts = (Host("h0", 10, 64, 4, state=HostState.DOWN), HOST_3)
        view = look_at(cluster_of([(Vm("v0", 4, 8), -1)], hosts, high_availability=HighAvailability(True)))
        assert all(np.isfinite(value) for value in context(view).values())

    def test_what_is_off_or_nowhere_neither_loads_nor_moves(self) -> None:
        """The last host would be meant by index -1; it is in maintenance, so a slip would have it emptied."""
        vms = [(Vm("v0", 4, 8), 0), (Vm("v1", 4, 8), -1), (Vm("v2", 4, 8, is_on=False), -1)]
        sessions = (Session("s0", "group", is_on=False),)
        view = look_at(cluster_of(vms, (Host("h0", 10, 64, 4), Host("h1", 10, 64, 4), HOST_3), sessions=sessions))
        assert view.used_HJB[2].sum() == 0
        assert is_quiet(view) and shortlist(view).is_empty
        listed = all_pairs(view, slots=12)
        assert [int(m) for m in np.unique(np.flatnonzero(listed.mask_S[1:]) // 3)] == [0]

    def test_a_vm_that_is_off_need_not_leave_a_host_in_maintenance(self) -> None:
        view = look_at(
            cluster_of([(Vm("v0", 4, 8), 0), (Vm("v1", 4, 8, is_on=False), 1)], (Host("h0", 10, 64, 4), HOST_3))
        )
        assert is_quiet(view)


HOST_3 = Host("h3", 10, 64, 4, state=HostState.MAINTENANCE)
