"""Episodes of every scenario: within the rules at the start, as full as asked, and sensible in what happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.model.availability import has_reservation
from quell.env.model.cluster import CPU, MEMORY, NOWHERE, STORAGE, RuleKind
from quell.env.model.gpu import profiles_by_host, vgpus_fit
from quell.env.model.state import state_of
from quell.env.world.events import EventKind
from quell.env.world.scenario import SCENARIO_NAMES, Scenario
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.trace import Trace
from quell.env.world.traces import TracePart, part
from quell.env.world.workload import DAY_MINUTES, ClusterSpec, Episode, build_episode

TRAIN = part(synthetic_trace(0, vms=200, days=6), "train")
ALL_OF_IT = Scenario(1, 0.7, 0.5, 0.3, 2, 2, 2)
TODAY = slice(DAY_MINUTES, 2 * DAY_MINUTES)


def episode_of(
    scenario: str | Scenario, seed: int = 0, *, hosts: int = 8, vms: int = 15, rules: bool = True
) -> Episode:
    """An episode of the synthetic training part."""
    return build_episode(TRAIN, ClusterSpec(hosts, vms, 0.65, rules, scenario), seed)


def there_MT(episode: Episode) -> np.ndarray:
    """Whether each movable is there in each minute of the day, by the events; shape (M, T)."""
    is_there_MT = np.ones((episode.inventory.movable_count, DAY_MINUTES), dtype=np.bool_)
    for event in episode.events:
        if event.kind in (EventKind.ARRIVAL, EventKind.SESSION_OPENED):
            is_there_MT[event.subject, : event.minute] = False
        elif event.kind is EventKind.DEPARTURE:
            is_there_MT[event.subject, event.minute :] = False
    return is_there_MT


def weighted(values: np.ndarray) -> float:
    """A checksum that no rounding of the last bit can change: values summed with the row numbers as weights."""
    means = np.asarray(values, dtype=np.float64).reshape(len(values), -1).mean(axis=1)
    return float(means @ np.arange(1, len(values) + 1))


class TestPlain:
    @pytest.mark.parametrize(
        ("spec", "seed", "checksums"),
        [
            (ClusterSpec(), 0, (15122.6207, 876.8498, 178142.0, 28194)),
            (ClusterSpec(4, 8, 0.6), 7, (2222.6409, 278.2252, 31711.0, 972)),
            (ClusterSpec(12, 10, 0.75, has_rules=False), 3, (16222.1719, 1601.8501, 201270.5, 40992)),
        ],
    )
    def test_seeds_give_the_episodes_they_gave_before_there_were_scenarios(
        self, spec: ClusterSpec, seed: int, checksums: tuple[float, ...]
    ) -> None:
        episode = build_episode(TRAIN, spec, seed)
        memory_V = np.array([vm.memory_gib for vm in episode.inventory.vms])
        arrays = episode.cpu_VN, episode.storage_MN, memory_V, episode.cluster.host_of_M
        assert [weighted(array) for array in arrays] == pytest.approx(checksums, rel=1e-6)

    def test_nothing_happens_in_it(self) -> None:
        episode = episode_of("plain")
        assert (episode.events, episode.memory_VN) == ((), None)
        assert all(vm.is_on and vm.is_ha and not vm.is_overcommit and vm.gpu is None for vm in episode.inventory.vms)
        assert not episode.inventory.high_availability.is_guaranteed

    def test_another_scenario_keeps_its_demand_where_nobody_comes_or_goes(self) -> None:
        plain, other = episode_of("plain"), episode_of(Scenario(1, 0.7, 0.5, 0.0, 2, 2, 0))
        assert plain.cpu_VN.tobytes() == other.cpu_VN.tobytes()
        assert plain.inventory.rules == other.inventory.rules


class TestEveryScenario:
    @settings(max_examples=25)
    @given(
        st.sampled_from([*SCENARIO_NAMES, ALL_OF_IT]),
        st.integers(0, 2**31),
        st.integers(2, 10),
        st.sampled_from([10, 15]),
    )
    def test_it_begins_within_the_rules_and_is_as_busy_as_asked(
        self, scenario: str | Scenario, seed: int, hosts: int, vms: int
    ) -> None:
        episode = episode_of(scenario, seed, hosts=hosts, vms=vms)
        inventory, state = episode.inventory, state_of(episode.cluster)
        V, is_on_M, host_of_M = inventory.vm_count, inventory.is_on_M, episode.cluster.host_of_M
        assert ((host_of_M != NOWHERE) == is_on_M).all()
        assert is_on_M[:V].sum() == hosts * vms
        assert (state.used_HR[:, MEMORY] <= inventory.limit_HR[:, MEMORY]).all()  # R1
        placed = np.flatnonzero(is_on_M)
        assert inventory.is_allowed_MH[placed, host_of_M[placed]].all()  # R3
        assert state.members_HA.max(initial=0) <= 1  # R4
        assert all(len(set(host_of_M[members].tolist())) == 1 for _, members in inventory.affinity_members)  # R5
        fits = [vgpus_fit(inventory.gpu_stock_H[h], p) for h, p in enumerate(profiles_by_host(state))]
        assert all(fits)  # R6
        assert has_reservation(state) or any("does not keep the HA reservation" in note for note in episode.notes)

        is_there_MT, capacity_R = there_MT(episode), inventory.capacity_HR.sum(axis=0)
        cpu = (episode.cpu_VN[:, TODAY] * is_there_MT[:V]).mean(axis=1).sum() / capacity_R[CPU]
        storage = (episode.storage_MN[:, TODAY] * is_there_MT).mean(axis=1).sum() / capacity_R[STORAGE]
        assert (cpu, storage) == pytest.approx((0.65, 0.4), abs=0.01)
        assert list(episode.events) == sorted(episode.events)
        assert all(0 <= event.minute < DAY_MINUTES for event in episode.events)
        assert len(episode.vm_names) == V == len({vm.id for vm in inventory.vms})

    @pytest.mark.parametrize("scenario", [*SCENARIO_NAMES, ALL_OF_IT])
    def test_the_same_seed_gives_the_same_episode(self, scenario: str | Scenario) -> None:
        first, again, other = (episode_of(scenario, seed, hosts=4, vms=10) for seed in (3, 3, 4))
        for name in ("cpu_VN", "storage_MN", "memory_VN"):
            one, two = getattr(first, name), getattr(again, name)
            assert one is two is None or one.tobytes() == two.tobytes()
        assert first.cluster.host_of_M.tolist() == again.cluster.host_of_M.tolist()
        assert (first.events, first.inventory.vms) == (again.events, again.inventory.vms)
        assert first.cpu_VN.tobytes() != other.cpu_VN.tobytes()

    def test_everything_at_once_is_all_there(self) -> None:
        episode = episode_of(ALL_OF_IT)
        inventory = episode.inventory
        assert {event.kind for event in episode.events} == set(EventKind)
        assert inventory.is_overcommit_V.any()
        assert inventory.gpu_movables.size
        assert inventory.high_availability.is_guaranteed
        assert {rule.kind for rule in inventory.rules} == set(RuleKind)

    def test_without_rules_there_are_neither_volume_groups_nor_rules_for_batches(self) -> None:
        inventory = episode_of(ALL_OF_IT, rules=False).inventory
        assert (inventory.rules, inventory.sessions) == ((), ())


class TestHighAvailability:
    def test_one_failure_is_reserved_for_and_some_vms_do_not_count(self) -> None:
        for seed in range(6):
            episode = episode_of("ha", seed)
            inventory = episode.inventory
            assert inventory.high_availability.is_guaranteed
            assert inventory.high_availability.host_failures == 1
            assert has_reservation(state_of(episode.cluster))
            assert 0 < np.mean(~inventory.is_ha_V) < 0.25

    def test_two_are_reserved_for_where_memory_allows(self) -> None:
        two = Scenario(ha_failures=2)
        large, small = episode_of(two, 0, hosts=10).inventory, episode_of(two, 0, hosts=3)
        assert large.high_availability.host_failures == 2
        assert small.inventory.high_availability.host_failures < 2
        assert any("instead of 2" in note for note in small.notes)

    def test_memory_is_less_full_where_hosts_are_few(self) -> None:
        filled = []
        for hosts in (2, 8):
            inventory = episode_of("ha", 1, hosts=hosts).inventory
            filled.append(inventory.memory_configured_V.sum() / inventory.capacity_HR[:, MEMORY].sum())
        assert filled[0] < 0.5 < filled[1]


class TestMaintenance:
    def test_hosts_are_serviced_where_they_can_be_emptied(self) -> None:
        many, few = episode_of("maintenance", 0, hosts=8), episode_of("maintenance", 0, hosts=3)
        assert [event.kind for event in many.events] == [EventKind.MAINTENANCE] * 2
        assert few.events == ()
        assert any("no host is serviced" in note for note in few.notes)

    def test_memory_leaves_room_for_the_reservation_while_a_host_is_out(self) -> None:
        inventory = episode_of(Scenario(ha_failures=1, maintenances=1), 0).inventory
        memory_gib_H = np.sort(inventory.capacity_HR[:, MEMORY])
        assert inventory.memory_configured_V.sum() <= 0.93 * memory_gib_H[:-2].sum()


class TestOvercommit:
    def test_hosts_are_overbooked_and_needs_are_not(self) -> None:
        for seed in range(4):
            episode = episode_of("overcommit", seed)
            inventory = episode.inventory
            assert episode.memory_VN is not None
            assert inventory.is_overcommit_V.mean() == pytest.approx(0.7, abs=0.01)
            memory_gib, configured_V = inventory.capacity_HR[:, MEMORY].sum(), inventory.memory_configured_V
            assert 1.08 < configured_V.sum() / memory_gib < 1.32
            over = inventory.is_overcommit_V
            need_V = np.where(over, episode.memory_VN[:, TODAY].mean(axis=1), configured_V)
            assert 0.65 < need_V.sum() / memory_gib < 0.8
            assert (episode.memory_VN[over] >= inventory.memory_minimum_V[over, None] * (1 - 1e-6)).all()
            assert (episode.memory_VN <= configured_V[:, None] * (1 + 1e-6)).all()

    def test_telemetry_of_minute_0_shows_the_needs_and_nobody_swaps(self) -> None:
        episode = episode_of("overcommit")
        assert episode.memory_VN is not None
        over = episode.inventory.is_overcommit_V
        assert np.array_equal(episode.cluster.memory_usage_V[over], episode.memory_VN[over, DAY_MINUTES - 1])
        assert not episode.cluster.memory_usage_V[~over].any()
        assert not episode.cluster.memory_swap_V.any()

    def test_on_some_days_a_host_needs_more_than_it_has_for_half_an_hour(self) -> None:
        longest = []
        for seed in range(10):
            episode = episode_of("overcommit", seed)
            inventory, home_V = episode.inventory, episode.cluster.host_of_M[: episode.inventory.vm_count]
            assert episode.memory_VN is not None
            over_V1 = inventory.is_overcommit_V[:, None]
            need_VT = np.where(over_V1, episode.memory_VN[:, TODAY], inventory.memory_configured_V[:, None])
            for h, host in enumerate(inventory.hosts):
                is_short_T = need_VT[home_V == h].sum(axis=0) > host.memory_gib
                halves = is_short_T.reshape(-1, 30).all(axis=1)
                longest.append(halves.any())
        assert 0.01 < np.mean(longest) < 0.3  # of the host-days

    def test_the_memory_of_the_trace_is_used_where_there_is_some(self) -> None:
        known = TRAIN.trace
        used_VT = np.where(np.arange(known.vm_count)[:, None] % 2, 0.5, 0.01) * known.memory_gib_V[:, None]
        used_VT = np.broadcast_to(used_VT, known.cpu_cores_VT.shape).astype(np.float32)
        trace = Trace(**{**vars_of(known), "memory_used_gib_VT": used_VT})
        spec = ClusterSpec(4, 10, 0.65, scenario="overcommit")
        episode = build_episode(TracePart(trace, "train", TRAIN.vms, TRAIN.days), spec, 0)
        assert episode.memory_VN is not None
        over = np.flatnonzero(episode.inventory.is_overcommit_V)
        share_V = episode.memory_VN[over, -1] / episode.inventory.memory_configured_V[over]
        is_active_V = np.array([int(episode.vm_names[v].rpartition("-")[2]) % 2 for v in over]).astype(np.bool_)
        assert share_V[is_active_V].min() > share_V[~is_active_V].max()


def vars_of(trace: Trace) -> dict:
    """The fields of a trace, without what it has cached."""
    return {name: getattr(trace, name) for name in Trace.__dataclass_fields__}


class TestChurn:
    EPISODE = episode_of("churn", 2)

    def test_vms_that_arrive_are_off_and_expected_to_be_like_the_others(self) -> None:
        episode, V = self.EPISODE, self.EPISODE.inventory.vm_count
        first_V = episode.inventory.is_on_M[:V]
        assert (~first_V).sum() == round(0.3 * first_V.sum())
        vcpus_V = np.array([vm.vcpus for vm in episode.inventory.vms])
        utilization = episode.cpu_VN[first_V, :DAY_MINUTES].mean(axis=1).sum() / vcpus_V[first_V].sum()
        for event in episode.events:
            at = DAY_MINUTES + event.minute
            if event.kind is EventKind.ARRIVAL:
                expected = vcpus_V[event.subject] * utilization
                assert episode.cpu_VN[event.subject, :at] == pytest.approx(expected, rel=1e-3)
                assert episode.cpu_VN[event.subject, at] != pytest.approx(expected, rel=1e-3)
            elif event.kind is EventKind.DEPARTURE:
                assert not episode.cpu_VN[event.subject, at:].any()
                assert not episode.storage_MN[event.subject, at:].any()

    def test_vms_that_arrive_are_as_large_as_the_others(self) -> None:
        first_V = self.EPISODE.inventory.is_on_M[: self.EPISODE.inventory.vm_count]
        memory_V = self.EPISODE.inventory.memory_configured_V
        assert memory_V[~first_V].mean() == pytest.approx(memory_V[first_V].mean(), rel=0.5)
        capacity_gib = self.EPISODE.inventory.capacity_HR[:, MEMORY].sum()
        assert memory_V[first_V].sum() / capacity_gib == pytest.approx(0.7, abs=0.02)

    def test_some_batches_are_kept_apart(self) -> None:
        later = {vm.id for vm in self.EPISODE.inventory.vms if not vm.is_on}
        batches = [rule for rule in self.EPISODE.inventory.rules if set(rule.vms) & later]
        assert batches
        assert all(set(rule.vms) <= later and rule.kind is RuleKind.VM_VM_ANTI_AFFINITY for rule in batches)

    def test_a_volume_group_is_created_during_the_day(self) -> None:
        episode, V = self.EPISODE, self.EPISODE.inventory.vm_count
        opened = [event for event in episode.events if event.kind is EventKind.SESSION_OPENED]
        closed = [V + s for s, session in enumerate(episode.inventory.sessions) if not session.is_on]
        assert sorted(event.subject for event in opened) == closed
        assert len({event.minute for event in opened}) == 1
        assert len({episode.inventory.sessions[m - V].volume_group for m in closed}) == 1
        before = episode.storage_MN[closed, : DAY_MINUTES + opened[0].minute]
        assert (before == before[0, 0]).all()  # what sessions are expected to demand
        assert before[0, 0] > 0

    def test_needs_of_overcommit_vms_that_arrive_are_expected_too(self) -> None:
        episode = episode_of(Scenario(overcommit_share=0.7, churn_share=0.3), 1)
        assert episode.memory_VN is not None
        for event in episode.events:
            configured_gib, at = episode.inventory.memory_configured_V[event.subject], DAY_MINUTES + event.minute
            is_over = episode.inventory.is_overcommit_V[event.subject]
            if event.kind is EventKind.ARRIVAL:
                expected = configured_gib * (0.45 if is_over else 1.0)
                assert episode.memory_VN[event.subject, :at] == pytest.approx(expected)
            elif event.kind is EventKind.DEPARTURE:
                assert not episode.memory_VN[event.subject, at:].any()


class TestGpus:
    def test_vgpus_are_at_home_on_half_of_the_hosts(self) -> None:
        inventory = episode_of("gpu").inventory
        assert (inventory.gpu_memory_H > 0).sum() == 4
        assert 2 <= inventory.gpu_movables.size <= 30
        bound = {vm for rule in inventory.rules for vm in rule.vms}
        assert not bound & {inventory.vms[v].id for v in inventory.gpu_movables}

    def test_a_vgpu_and_overcommitted_memory_do_not_go_together(self) -> None:
        inventory = episode_of(ALL_OF_IT).inventory
        assert not inventory.is_overcommit_V[inventory.gpu_movables].any()

    def test_some_that_arrive_ask_for_a_vgpu(self) -> None:
        inventory = episode_of(ALL_OF_IT).inventory
        assert any(vm.gpu is not None and not vm.is_on for vm in inventory.vms)
