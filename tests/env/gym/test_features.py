"""The features: hand-computed on a toy, free of scale, and finite whatever the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.gym.features import LIMIT, SCHEMA, features
from quell.env.gym.shortlist import all_pairs, shortlist
from quell.env.gym.view import BLOCKS, PlanView, look_at, recent_blocks
from quell.env.model.cluster import Cluster, Host, Inventory, PlacementRule, RuleKind, Vm, make_cluster, read_only

pytestmark = pytest.mark.filterwarnings("ignore:All-NaN slice")

seeds = st.integers(min_value=0, max_value=10**6)


def two_hosts() -> Cluster:
    """h0: v0 6.5 cores 32 GiB and v1 3 cores 8 GiB; h1: v2 1.5 cores 8 GiB; hosts of 10, 64 GiB, 4 for storage."""
    hosts = (Host("h0", 10, 64, 4), Host("h1", 10, 64, 4))
    vms = (Vm("v0", 8, 32), Vm("v1", 4, 8), Vm("v2", 4, 8))
    cpu_VT = np.repeat([[6.5], [3.0], [1.5]], 60, axis=1)
    storage_VT = np.repeat([[0.5], [0.25], [0.25]], 60, axis=1)
    return make_cluster(Inventory(hosts, vms), [0, 0, 1], cpu_VT, storage_VT)


def rows_by_move(view: PlanView) -> tuple[dict[tuple[int, int], dict[str, float]], dict[str, float]]:
    """Features of every move on offer by (m, target), and of the cluster, by name."""
    listed = shortlist(view)
    candidates, context = features(view, listed)
    by_move = {
        move: dict(zip(SCHEMA.candidate, candidates[slot].tolist(), strict=True))
        for slot in range(len(candidates))
        if (move := listed.move(slot)) is not None
    }
    return by_move, dict(zip(SCHEMA.context, context.tolist(), strict=True))


class TestToy:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("is_stop", 0),
            ("is_relief", 1),
            ("is_room", 0),
            ("cpu_trend_source_before", 9.5 / 8.5),
            ("cpu_trend_source_after", 6.5 / 8.5),
            ("cpu_trend_target_before", 1.5 / 8.5),
            ("cpu_trend_target_after", 4.5 / 8.5),
            ("cpu_high_source_before", 9.5 / 8.5),
            ("cpu_excess_source_before", 1 / 8.5),
            ("cpu_excess_source_after", 0),
            ("storage_trend_source_before", 0.75 / 3.4),
            ("memory_source_before", 40 / 64),
            ("memory_target_after", 16 / 64),
            ("cpu_peak_target_after", 4.5 / 8.5),
            ("cpu_slope_source", 0),
            ("cpu_std_own", 0),
            ("cpu_share", 3 / 8.5),
            ("memory_share", 8 / 64),
            ("net_relief", 1 / 8.5),
            ("relief_per_cost", np.sqrt(1 / 8.5 / 0.5)),  # its 8 GiB are half of the mean of 16
            ("cost_to_host", 8 / 64),
            ("cost_to_mean", np.log(0.5)),
            ("migration_rounds", (7 + 2.3 * 8) / 900),
        ],
    )
    def test_small_vm_to_the_cool_host(self, name: str, expected: float) -> None:
        by_move, _ = rows_by_move(look_at(two_hosts()))
        assert by_move[1, 1][name] == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("contended_share", 0.5),
            ("contended_count", 1 / 3),
            ("cpu_mean", 11 / 17),
            ("cpu_max", 9.5 / 8.5),
            ("memory_max", 40 / 64),
            ("cpu_excess_trend", 1 / 17),
            ("cpu_excess_outlook", 1 / 17),
            ("storage_excess_trend", 0),
            ("cpu_excess_removed", 0),
            ("moves", 0),
            ("time_cos", 1),  # midnight
        ],
    )
    def test_cluster_before_any_move(self, name: str, expected: float) -> None:
        assert rows_by_move(look_at(two_hosts()))[1][name] == pytest.approx(expected, abs=1e-6)

    def test_cluster_after_the_move(self) -> None:
        _, context = rows_by_move(look_at(two_hosts()).after(1, 1))
        assert context["contended_share"] == 0
        assert context["cpu_excess_removed"] == pytest.approx(1 / 17)
        assert context["moves"] == pytest.approx(1 / 5)
        assert context["moved_to_host"] == pytest.approx(8 / 64)

    def test_stop_shows_what_remains(self) -> None:
        view = look_at(two_hosts())
        candidates, _ = features(view, shortlist(view))
        stop = dict(zip(SCHEMA.candidate, candidates[0].tolist(), strict=True))
        assert stop["is_stop"] == 1
        assert stop["cpu_trend_source_before"] == pytest.approx(9.5 / 8.5)
        assert stop["cpu_excess_source_after"] == pytest.approx(1 / 17)

    def test_rows_of_empty_slots_are_zero(self) -> None:
        view = look_at(two_hosts())
        listed = shortlist(view)
        candidates, _ = features(view, listed)
        assert not candidates[~listed.mask_S].any()
        assert candidates[listed.mask_S].any(axis=1).all()

    def test_a_rising_host_has_a_slope(self) -> None:
        cluster = two_hosts()
        rising = cluster.cpu_samples_VT * np.linspace(0.9, 1.0, 60)
        by_move, context = rows_by_move(look_at(replace(cluster, cpu_samples_VT=read_only(rising))))
        assert by_move[1, 1]["cpu_slope_source"] > 0.02
        assert by_move[1, 1]["cpu_std_source"] > 0.02
        assert context["cpu_slope"] > 0.01


class TestSchema:
    def test_names_are_unique_and_match_the_arrays(self) -> None:
        assert len(set(SCHEMA.candidate)) == len(SCHEMA.candidate)
        assert len(set(SCHEMA.context)) == len(SCHEMA.context)
        view = look_at(two_hosts())
        candidates, context = features(view, shortlist(view, slots=7))
        assert candidates.shape == (8, len(SCHEMA.candidate))
        assert context.shape == (len(SCHEMA.context),)
        assert candidates.dtype == context.dtype == np.float32


class TestProperties:
    @settings(max_examples=60)
    @given(seed=seeds)
    def test_finite_and_bounded_for_odd_clusters(self, random_cluster: Callable[[int], Cluster], seed: int) -> None:
        view = look_at(random_cluster(seed))
        for listed in (shortlist(view), all_pairs(view, slots=500)):
            for values in features(view, listed):
                assert np.isfinite(values).all()
                assert np.abs(values).max() <= LIMIT

    @settings(max_examples=60)
    @given(seed=seeds, factor=st.sampled_from([0.5, 2.0, 4.0]))
    def test_larger_machines_with_larger_vms_look_the_same(
        self, random_cluster: Callable[[int], Cluster], seed: int, factor: float
    ) -> None:
        cluster = random_cluster(seed)
        if np.isnan(cluster.cpu_samples_VT).any() or cluster.inventory.sessions:  # a session's cost is a setting
            return
        small, large = look_at(cluster), look_at(scaled(cluster, factor))
        own, other = features(small, shortlist(small)), features(large, shortlist(large))
        # A migration takes its time and its core whatever the size of machines.
        has_scale = [SCHEMA.candidate.index(name) for name in ("migration_rounds", "price", "outlook_worth")]
        np.testing.assert_allclose(np.delete(own[0], has_scale, 1), np.delete(other[0], has_scale, 1), atol=1e-5)
        best = SCHEMA.context.index("worth_best")
        np.testing.assert_allclose(np.delete(own[1], best), np.delete(other[1], best), atol=1e-5)

    @settings(max_examples=25)
    @given(seed=seeds)
    def test_carrying_the_view_along_is_looking_again(
        self, random_cluster: Callable[[int], Cluster], seed: int
    ) -> None:
        cluster = random_cluster(seed)
        view = look_at(cluster)
        listed = shortlist(view)
        if listed.is_empty:
            return
        m, target = next(move for slot in range(1, listed.mask_S.size) if (move := listed.move(slot)) is not None)
        carried = view.after(m, target)
        again = look_at(cluster.moved_to(carried.state.host_of_M))
        np.testing.assert_allclose(carried.used_HJB, again.used_HJB, atol=1e-9)
        assert carried.moved_gib == pytest.approx(view.round.cost_M[m])


class TestRecentBlocks:
    @pytest.mark.parametrize(
        ("samples", "oldest", "newest"),
        [
            ([3.0], 3, 3),  # a lone number holds
            (list(range(60)), 2, 57),  # means of 0..4 and of 55..59
            (list(range(120)), 62, 117),  # the last hour only
            ([1.0] * 5 + [2.0] * 5, 1, 2),  # shorter than an hour: the oldest sample stands for the time before
            ([np.nan] * 30 + [4.0] * 30, 4, 4),  # missing: the mean of the others
            ([np.nan] * 60, 0, 0),  # nothing at all
        ],
    )
    def test_blocks(self, samples: list[float], oldest: float, newest: float) -> None:
        blocks = recent_blocks(np.array([samples]))
        assert blocks.shape == (1, BLOCKS)
        assert blocks[0, [0, -1]].tolist() == [oldest, newest]


def test_free_is_what_shares_no_host_with_its_kin_and_who_leads_those_that_do() -> None:
    hosts = (Host("h0", 10, 64, 4), Host("h1", 10, 64, 4))
    vms = tuple(Vm(f"v{v}", 4, 8, is_on=v != 4) for v in range(6))
    rules = (
        PlacementRule("three", RuleKind.VM_VM_AFFINITY, ("v0", "v1", "v2")),
        PlacementRule("off", RuleKind.VM_VM_AFFINITY, ("v3", "v4")),
    )
    cluster = make_cluster(Inventory(hosts, vms, rules=rules), [0, 0, 1, 1, 1, 0], np.ones(6), np.zeros(6))
    # v0 and v1 share h0, v3 and v4 share h1 (and v4 is off); v2 is alone on its host, v5 in no rule.
    assert look_at(cluster).round.is_free_M.tolist() == [True, False, True, False, False, True]


def scaled(cluster: Cluster, factor: float) -> Cluster:
    """The cluster with machines and VMs larger by a factor."""
    inventory = cluster.inventory
    hosts = tuple(
        replace(
            host,
            cpu_cores=host.cpu_cores * factor,
            memory_gib=host.memory_gib * factor,
            storage_cpu_cores=host.storage_cpu_cores * factor,
            gpus=tuple(replace(gpu, memory_gib=gpu.memory_gib * factor) for gpu in host.gpus),
        )
        for host in inventory.hosts
    )
    vms = tuple(
        replace(
            vm,
            memory_gib=vm.memory_gib * factor,
            gpu=vm.gpu and replace(vm.gpu, memory_gib=vm.gpu.memory_gib * factor),
        )
        for vm in inventory.vms
    )
    return replace(
        cluster,
        inventory=replace(inventory, hosts=hosts, vms=vms),
        cpu_samples_VT=times(cluster.cpu_samples_VT, factor),
        storage_samples_MT=times(cluster.storage_samples_MT, factor),
        memory_usage_V=times(cluster.memory_usage_V, factor),
        memory_swap_V=times(cluster.memory_swap_V, factor),
    )


def times(samples: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    """Samples larger by a factor."""
    return read_only(samples * factor)
