"""Episodes: as full as asked, within the rules from the start, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.model.cluster import CPU, MEMORY, STORAGE, Host, Inventory, PlacementRule, RuleKind, Session, Vm
from quell.env.model.contention import unresolved_H
from quell.env.model.errors import QuellError
from quell.env.model.state import state_of
from quell.env.world.layout import place_initially
from quell.env.world.sizing import scale_to_total
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.traces import Trace, TracePart, load_trace, part
from quell.env.world.workload import DAY_MINUTES, ClusterSpec, Episode, build_episode

DAY = 288
TRACE = synthetic_trace(0, vms=200, days=6)
TRAIN = part(TRACE, "train")


def flat_part(
    cpu_cores: float | None = None, *, vms: int = 40, days: int = 3, is_consecutive: bool = True
) -> TracePart:
    """A part in which VM v demands `cpu_cores` (default: rising with v) and day d adds d / 10 of it; no disk I/O."""
    level_V = np.linspace(0.2, 1.0, vms) if cpu_cores is None else np.full(vms, cpu_cores)
    day_D = 1 + np.arange(days) / 10
    cpu_VDS = np.broadcast_to((level_V[:, None] * day_D)[:, :, None], (vms, days, DAY))
    trace = Trace(
        name="flat",
        vm_ids=tuple(f"flat-{v}" for v in range(vms)),
        vcpus_V=np.full(vms, 2, dtype=np.float32),
        memory_gib_V=np.full(vms, 4, dtype=np.float32),
        cpu_cores_VT=cpu_VDS.reshape(vms, -1).astype(np.float32),
        io_kbs_VT=None,
        day_names=tuple(f"day-{d}" for d in range(days)),
        is_consecutive=is_consecutive,
    )
    return TracePart(trace, "all", np.arange(vms), tuple(range(days)))


def utilization_HTR(episode: Episode) -> np.ndarray:
    """Utilization of CPU and of the controllers over the day with nobody moving; shape (H, T, 2)."""
    host_of_M, V = episode.cluster.host_of_M, episode.inventory.vm_count
    on_HM = host_of_M[None, :] == np.arange(episode.inventory.host_count)[:, None]
    capacity_HR = episode.inventory.capacity_HR
    cpu_HT = on_HM[:, :V] @ episode.cpu_VN[:, DAY_MINUTES:] / capacity_HR[:, CPU, None]
    storage_HT = on_HM @ episode.storage_MN[:, DAY_MINUTES:] / capacity_HR[:, STORAGE, None]
    return np.stack([cpu_HT, storage_HT], axis=2)


class TestSpec:
    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"hosts": 0}, "hosts: 0 is not a whole number of at least 1"),
            ({"hosts": 2.5}, "hosts: 2.5 is not"),
            ({"hosts": True}, "hosts: True is not"),
            ({"vms_per_host": -1}, "vms_per_host: -1 is not"),
            ({"load": 0.0}, "load: 0.0 is not a mean CPU utilization above 0 and at most 1"),
            ({"load": 1.2}, "load: 1.2 is not"),
            ({"load": float("nan")}, "load: nan is not"),
        ],
    )
    def test_values_out_of_range_are_refused(self, values: dict, sentence: str) -> None:
        with pytest.raises(QuellError, match=sentence):
            ClusterSpec(**values)


class TestScale:
    def test_the_factor_gives_the_total(self) -> None:
        shape_XN = np.random.default_rng(0).pareto(1.5, size=(30, 50))
        scaled = scale_to_total(shape_XN, 4.0, 60.0)
        assert np.minimum(shape_XN * scaled.factor, 4.0).mean(axis=1).sum() == pytest.approx(60.0)
        assert scaled.reached_share == 1

    def test_caps_that_do_not_reach_the_total_say_how_far_they_go(self) -> None:
        scaled = scale_to_total(np.array([[1.0], [2.0], [0.0]]), 3.0, 12.0)
        assert scaled.reached_share == pytest.approx(0.5)
        assert np.minimum(np.array([1.0, 2.0]) * scaled.factor, 3.0).tolist() == [3.0, 3.0]

    def test_nothing_stays_nothing(self) -> None:
        assert scale_to_total(np.zeros((2, 3)), 1.0, 1.0).reached_share == 0

    @given(st.integers(0, 10_000), st.floats(0.01, 0.95))
    def test_any_total_below_the_caps_is_reached(self, seed: int, share: float) -> None:
        generator = np.random.default_rng(seed)
        shape_XN = np.exp(4 * generator.standard_normal((5, 7)))
        total = share * 5 * 2.0
        factor = scale_to_total(shape_XN, 2.0, total).factor
        assert np.minimum(shape_XN * factor, 2.0).mean(axis=1).sum() == pytest.approx(total, rel=1e-6)


class TestEpisode:
    @settings(max_examples=15)
    @given(st.integers(0, 2**31), st.integers(1, 10), st.sampled_from([8, 15]), st.sampled_from([0.3, 0.65, 0.8]))
    def test_a_cluster_is_as_full_as_asked_and_within_its_rules(
        self, seed: int, hosts: int, vms: int, load: float
    ) -> None:
        episode = build_episode(TRAIN, ClusterSpec(hosts, vms, load), seed)
        inventory, day = episode.inventory, slice(DAY_MINUTES, 2 * DAY_MINUTES)
        capacity_R = inventory.capacity_HR.sum(axis=0)
        assert inventory.vm_count == hosts * vms == len(episode.vm_names)
        assert episode.cpu_VN[:, day].mean(axis=1).sum() / capacity_R[CPU] == pytest.approx(load, abs=0.01)
        assert episode.storage_MN[:, day].mean(axis=1).sum() / capacity_R[STORAGE] == pytest.approx(0.4, abs=0.01)
        vcpus_V = np.array([vm.vcpus for vm in inventory.vms])
        assert (episode.cpu_VN <= vcpus_V[:, None]).all()
        assert vcpus_V.max() <= inventory.capacity_HR[:, CPU].min() / 2

        state = state_of(episode.cluster)
        assert (state.host_of_M >= 0).all()
        assert (state.utilization_HR[:, MEMORY] <= 1).all()  # R1
        assert inventory.is_allowed_MH[np.arange(inventory.movable_count), state.host_of_M].all()  # R3
        assert state.members_HA.max(initial=0) <= 1  # R4
        assert all(len(set(state.host_of_M[vms].tolist())) == 1 for _, vms in inventory.affinity_members)

    def test_configured_memory_fills_70_percent(self) -> None:
        for seed in range(5):
            inventory = build_episode(TRAIN, ClusterSpec(), seed).inventory
            fill = sum(vm.memory_gib for vm in inventory.vms) / inventory.capacity_HR[:, MEMORY].sum()
            assert fill == pytest.approx(0.7, abs=0.02)

    def test_hosts_are_of_the_sizes_of_the_design(self) -> None:
        hosts = [host for seed in range(20) for host in build_episode(TRAIN, ClusterSpec(4, 8), seed).inventory.hosts]
        assert {host.cpu_cores for host in hosts} == {32, 48, 64}
        assert all(256 <= host.memory_gib <= 768 and 4 <= host.storage_cpu_cores <= 8 for host in hosts)

    def test_every_kind_of_rule_and_sessions_are_there_and_can_be_left_out(self) -> None:
        inventory = build_episode(TRAIN, ClusterSpec(), 0).inventory
        assert {rule.kind for rule in inventory.rules} == set(RuleKind)
        assert len({rule.id for rule in inventory.rules}) == len(inventory.rules)
        in_rules = [vm for rule in inventory.rules for vm in rule.vms]
        assert len(in_rules) == len(set(in_rules))  # so that no two rules can contradict each other
        assert len(inventory.sessions) == 6
        plain = build_episode(TRAIN, ClusterSpec(has_rules=False), 0).inventory
        assert (plain.rules, plain.sessions) == ((), ())

    @pytest.mark.parametrize("has_rules", [True, False])
    def test_the_same_seed_gives_the_same_episode_bit_for_bit(self, has_rules: bool) -> None:
        spec = ClusterSpec(4, 8, 0.6, has_rules)
        first, again, other = (build_episode(TRAIN, spec, seed) for seed in (7, 7, 8))
        assert first.cpu_VN.tobytes() == again.cpu_VN.tobytes()
        assert first.storage_MN.tobytes() == again.storage_MN.tobytes()
        assert first.cluster.host_of_M.tolist() == again.cluster.host_of_M.tolist()
        assert (first.inventory.vms, first.inventory.rules) == (again.inventory.vms, again.inventory.rules)
        assert first.cpu_VN.tobytes() != other.cpu_VN.tobytes()

    def test_samples_are_held_for_five_minutes(self) -> None:
        cpu_VN = build_episode(TRAIN, ClusterSpec(2, 8), 0).cpu_VN
        assert cpu_VN.shape[1] == 2 * DAY_MINUTES
        assert cpu_VN.dtype == np.float32
        by_sample = cpu_VN.reshape(len(cpu_VN), -1, 5)
        assert (by_sample == by_sample[:, :, :1]).all()

    def test_yesterday_is_the_history_where_the_trace_has_it(self) -> None:
        flat = flat_part(days=2)
        spec = ClusterSpec(2, 8, 0.5, has_rules=False)
        episodes = {e.day_name: e for e in (build_episode(flat, spec, seed) for seed in range(20))}
        on_first, on_second = episodes["day-0"].cpu_VN, episodes["day-1"].cpu_VN
        assert on_first[:, :DAY_MINUTES] == pytest.approx(on_first[:, DAY_MINUTES:])  # held backwards
        assert on_second[:, DAY_MINUTES:] / on_second[:, :DAY_MINUTES] == pytest.approx(1.1)

    def test_days_that_do_not_follow_each_other_are_no_history(self) -> None:
        apart = flat_part(days=2, is_consecutive=False)
        for seed in range(10):
            cpu_VN = build_episode(apart, ClusterSpec(2, 8, 0.5), seed).cpu_VN
            assert cpu_VN[:, :DAY_MINUTES] == pytest.approx(cpu_VN[:, DAY_MINUTES:])

    def test_gaps_inside_a_day_are_held_over(self) -> None:
        flat = flat_part(days=3)
        cpu_VT = flat.trace.cpu_cores_VT.copy()
        cpu_VT[:, 100:120] = np.nan
        cpu_VT[:, DAY : DAY + 10] = np.nan
        object.__setattr__(flat.trace, "cpu_cores_VT", cpu_VT)
        for seed in range(6):
            assert np.isfinite(build_episode(flat, ClusterSpec(2, 8, 0.5), seed).cpu_VN).all()

    def test_without_disk_io_storage_demand_comes_from_cpu_with_a_factor_for_each_vm(self) -> None:
        episode = build_episode(flat_part(), ClusterSpec(2, 15, 0.5, has_rules=False), 0)
        ratio_VN = episode.storage_MN / episode.cpu_VN
        assert ratio_VN.std(axis=1) == pytest.approx(0, abs=1e-3)  # one factor over time for a VM
        assert ratio_VN[:, 0].std() > 0.01  # another for each

    def test_too_few_vms_come_again_on_other_days_and_the_notes_say_so(self) -> None:
        episode = build_episode(flat_part(vms=10), ClusterSpec(2, 15, 0.5), 0)
        assert sorted(episode.vm_names.count(name) for name in set(episode.vm_names)) == [3] * 10
        assert "30 VMs were wanted, 10 are active in the part all of flat" in episode.notes[0]
        same = [v for v, name in enumerate(episode.vm_names) if name == episode.vm_names[0]]
        levels = {round(float(episode.cpu_VN[v, -1]), 3) for v in same}
        assert len(levels) == 3  # the three days differ

    def test_enough_vms_are_never_drawn_twice(self) -> None:
        episode = build_episode(TRAIN, ClusterSpec(4, 8), 0)
        assert len(set(episode.vm_names)) == 32
        assert episode.notes == ()

    def test_a_load_beyond_the_caps_is_refused_with_the_most_that_is_possible(self) -> None:
        sentence = r"load: 0\.65 cannot be reached with 4 VMs of at most \d+ cores on 4 hosts; the most is 0\.\d+"
        with pytest.raises(QuellError, match=sentence):
            build_episode(TRAIN, ClusterSpec(4, 1), 0)

    def test_demand_that_is_too_little_is_told_in_the_notes(self) -> None:
        notes = build_episode(flat_part(), ClusterSpec(4, 2, 0.3, has_rules=False), 0).notes
        assert any("configured memory is" in note for note in notes)

    def test_the_first_round_is_calm_where_it_can_be(self) -> None:
        """On synthetic days the hour around midnight is no busier than the load, so that no host need be hot."""
        hot = [unresolved_H(state_of(build_episode(TRAIN, ClusterSpec(), seed).cluster)).sum() for seed in range(12)]
        assert np.mean(hot) < 0.3

    def test_contention_appears_in_the_course_of_the_day(self) -> None:
        episodes = [build_episode(TRAIN, ClusterSpec(), seed) for seed in range(8)]
        hot_share = [(utilization_HTR(episode) > 0.85).mean(axis=(0, 1)) for episode in episodes]
        assert all(cpu > 0.01 for cpu, _ in hot_share)
        assert 0.02 < np.mean([cpu for cpu, _ in hot_share]) < 0.3


class TestClusterAt:
    EPISODE = build_episode(TRAIN, ClusterSpec(3, 8), 3)

    @pytest.mark.parametrize("minute", [0, 1, 15, 720, 1440])
    def test_it_shows_the_samples_before_the_minute(self, minute: int) -> None:
        episode = self.EPISODE
        cluster = episode.cluster_at(minute, episode.cluster.host_of_M)
        end = DAY_MINUTES + minute
        assert np.array_equal(cluster.cpu_samples_VT, episode.cpu_VN[:, end - DAY_MINUTES : end])
        assert np.array_equal(cluster.storage_samples_MT, episode.storage_MN[:, end - DAY_MINUTES : end])
        assert cluster.time - episode.cluster.time == timedelta(minutes=minute)

    @pytest.mark.parametrize(("history", "minute", "shown"), [(120, 0, 120), (120, 15, 135), (1440, 15, 1440)])
    def test_it_shows_a_day_or_as_far_as_there_is_anything(self, history: int, minute: int, shown: int) -> None:
        cut = DAY_MINUTES - history
        full = self.EPISODE
        episode = replace(
            full, cpu_VN=full.cpu_VN[:, cut:], storage_MN=full.storage_MN[:, cut:], history_minutes=history
        )
        assert episode.cluster_at(minute, full.cluster.host_of_M).cpu_samples_VT.shape[1] == shown

    def test_samples_are_views_that_nobody_can_write_to(self) -> None:
        cluster = self.EPISODE.cluster_at(15, self.EPISODE.cluster.host_of_M)
        assert np.shares_memory(cluster.cpu_samples_VT, self.EPISODE.cpu_VN)
        for array in (cluster.cpu_samples_VT, cluster.storage_samples_MT, cluster.host_of_M, self.EPISODE.cpu_VN):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0

    def test_it_takes_the_placement_it_is_given(self) -> None:
        host_of_M = np.zeros_like(self.EPISODE.cluster.host_of_M)
        assert self.EPISODE.cluster_at(5, host_of_M).host_of_M.tolist() == host_of_M.tolist()

    @pytest.mark.parametrize(("minute", "telemetry"), [(-1, 120), (1441, 120), (0, 1441), (5, 0)])
    def test_minutes_outside_the_episode_are_refused(self, minute: int, telemetry: int) -> None:
        with pytest.raises(ValueError, match="are not there"):
            self.EPISODE.cluster_at(minute, self.EPISODE.cluster.host_of_M, telemetry)

    def test_the_cluster_of_an_episode_has_its_history_as_samples(self) -> None:
        assert np.array_equal(self.EPISODE.cluster.cpu_samples_VT, self.EPISODE.cpu_VN[:, :DAY_MINUTES])


class TestFirstPlacement:
    @staticmethod
    def place(demand_MR: list[tuple[float, float, float]], *rules: PlacementRule, sessions: int = 0) -> list[int]:
        """Placement of VMs v0, v1 ... on hosts h0, h1 of 10 cores, 100 GiB and 4 controller cores."""
        hosts = tuple(Host(f"h{h}", 10, 100, 4) for h in range(2))
        vms = tuple(Vm(f"v{v}", 4, demand[MEMORY]) for v, demand in enumerate(demand_MR[: len(demand_MR) - sessions]))
        inventory = Inventory(hosts, vms, tuple(Session(f"s{s}", "vg") for s in range(sessions)), rules)
        return place_initially(inventory, np.array(demand_MR, dtype=np.float64)).tolist()

    def test_the_largest_go_first_and_the_emptier_host_takes_the_next(self) -> None:
        first, second, third = self.place([(4, 10, 0), (3, 10, 0), (2, 10, 0)])
        assert first != second == third

    def test_a_host_that_would_be_hot_is_avoided(self) -> None:
        assert len(set(self.place([(5, 50, 0), (5, 10, 0)]))) == 2
        assert len(set(self.place([(1, 90, 2.0), (1, 5, 2.0)]))) == 2  # the controller would be

    def test_memory_binds_even_where_the_host_becomes_hot(self) -> None:
        assert self.place([(1, 95, 0), (9, 50, 0), (9, 40, 0)]) == [0, 1, 1]

    def test_rules_bind(self) -> None:
        pin = PlacementRule("pin", RuleKind.VM_HOST_AFFINITY, ("v2",), ("h1",))
        apart = PlacementRule("apart", RuleKind.VM_VM_ANTI_AFFINITY, ("v0", "v1"))
        together = PlacementRule("together", RuleKind.VM_VM_AFFINITY, ("v3", "v4"))
        hosts = self.place([(1, 10, 0), (1, 10, 0), (3, 10, 0), (2, 10, 0), (2, 10, 0)], pin, apart, together)
        assert hosts[2] == 1
        assert hosts[0] != hosts[1]
        assert hosts[3] == hosts[4]

    def test_sessions_go_where_the_controller_is_emptiest(self) -> None:
        vm, session = self.place([(1, 10, 2.0), (0, 0, 1.0)], sessions=1)
        assert vm != session

    def test_a_vm_that_fits_nowhere_is_named(self) -> None:
        with pytest.raises(QuellError, match="v0 needs 101 GiB, the allowed hosts have at most 100 GiB free"):
            self.place([(1, 101, 0)])


class TestRealData:
    def test_bitbrains_days_bring_contention_that_lasts(self, shared_dir: Path) -> None:
        trace = load_trace(f"bitbrains:{shared_dir / 'data/bitbrains_rnd_201308.parquet'}")
        for name in ("train", "validation", "test"):
            episodes = [build_episode(part(trace, name), ClusterSpec(), seed) for seed in range(6)]
            hot_share = np.array([(utilization_HTR(episode) > 0.85).mean(axis=(0, 1)) for episode in episodes])
            assert (hot_share[:, 0] > 0.01).all()
            assert 0.05 < hot_share[:, 0].mean() < 0.4

    def test_planetlab_gives_episodes_without_history(self, shared_dir: Path) -> None:
        trace = load_trace(f"planetlab:{shared_dir / 'data/planetlab_cpu.npz'}")
        episode = build_episode(part(trace, "test"), ClusterSpec(4, 15), 0)
        assert (episode.cpu_VN[:, :DAY_MINUTES] == episode.cpu_VN[:, DAY_MINUTES : DAY_MINUTES + 1]).all()
        assert episode.day_name in ("2011-04-09", "2011-04-11")
