"""The kernels of the look against their numpy twins: the same list slot by slot, the same features within 1e-5."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.gym.begin_kernels import add_move, begin_into
from quell.env.gym.cluster_env import ClusterEnv
from quell.env.gym.features import CANDIDATE, CONTEXT, features, reference_features
from quell.env.gym.generator import TraceGenerator
from quell.env.gym.look_arrays import BLOCKS, HA_ASK, MOVES, look_arrays, new_round
from quell.env.gym.look_kernels import ASK, is_quiet, list_moves_into
from quell.env.gym.outlook_kernels import blocks_of, forecast_into, outlook_into
from quell.env.gym.shortlist import Shortlist, all_pairs, reference_shortlist, shortlist
from quell.env.gym.shortlist import is_quiet as reference_is_quiet
from quell.env.gym.view import PlanView, last_hour, look_at, recent_blocks
from quell.env.model.cluster import Cluster, Host, Inventory, Vm, make_cluster
from quell.env.model.state import state_of
from quell.env.world.migration import WorldSettings
from quell.env.world.price import move_price, move_price_M, price_of, pricing_of
from quell.env.world.scenario import SCENARIO_NAMES
from quell.env.world.simulator import Simulator

RandomCluster = Callable[[int], Cluster]
pytestmark = pytest.mark.filterwarnings("ignore:All-NaN slice", "ignore:invalid value")

seeds = st.integers(min_value=0, max_value=10**6)
ATOL = 1e-5


def assert_same_list(own: Shortlist, other: Shortlist) -> None:
    """Slot by slot."""
    np.testing.assert_array_equal(own.movable_K, other.movable_K)
    np.testing.assert_array_equal(own.target_K, other.target_K)
    np.testing.assert_array_equal(own.kind_K, other.kind_K)
    np.testing.assert_array_equal(own.mask_S, other.mask_S)


def assert_same_features(view: PlanView, listed: Shortlist) -> None:
    """Within 1e-5; a feature that differs is named."""
    for own, other, names in zip(
        features(view, listed), reference_features(view, listed), (CANDIDATE, CONTEXT), strict=True
    ):
        apart = np.abs(own - other).reshape(-1, len(names)).max(axis=0) > ATOL
        assert not apart.any(), [name for name, is_apart in zip(names, apart, strict=True) if is_apart]


def follow(view: PlanView, seed: int, moves: int = 4) -> int:
    """Compares twins before a plan and after each of its moves, drawn from the list; how many the kernels listed."""
    rng, total = np.random.default_rng(seed), 0
    for _ in range(moves):
        listed = reference_shortlist(view)
        assert_same_list(shortlist(view), listed)
        assert_same_list(shortlist(view, 7), reference_shortlist(view, 7))
        assert_same_features(view, listed)
        total += asked_kernels(view)
        if listed.is_empty:
            break
        move = listed.move(1 + int(rng.choice(np.flatnonzero(listed.mask_S[1:]))))
        assert move is not None
        view = view.after(*move)
    return total


def asked_kernels(view: PlanView, slots: int = 64) -> int:
    """Slots that the kernels fill by themselves; 0 where they ask."""
    look = view.round.look
    view.arrays.is_stale_H[:] = True
    kept = [np.zeros(slots, dtype=np.int64) for _ in range(3)]
    count = list_moves_into(look.fixed, look.now, view.arrays, look.scratch, *kept, np.zeros(slots + 1, dtype=np.bool_))
    return 0 if count == ASK else int(count)


class TestTwins:
    @settings(max_examples=80)
    @given(seed=seeds)
    def test_same_list_and_features_on_odd_clusters(self, random_cluster: RandomCluster, seed: int) -> None:
        follow(look_at(random_cluster(seed)), seed)

    @settings(max_examples=40)
    @given(seed=seeds)
    def test_same_lists_where_a_move_changes_two_hosts(self, random_cluster: RandomCluster, seed: int) -> None:
        view, rng = look_at(random_cluster(seed)), np.random.default_rng(seed)
        look, plan = view.round.look, view.arrays
        for _ in range(5):
            listed = reference_shortlist(view)
            none_K = np.zeros(64, dtype=np.int64)
            kept = Shortlist(none_K, none_K.copy(), none_K.copy(), np.zeros(65, dtype=np.bool_))
            slots = (kept.movable_K, kept.target_K, kept.kind_K, kept.mask_S)
            if list_moves_into(look.fixed, look.now, plan, look.scratch, *slots) == ASK:
                return
            assert_same_list(kept, listed)
            move = listed.move(int(rng.choice(np.flatnonzero(listed.mask_S))))
            if move is None:
                return
            view = view.after(*move)
            add_move(look.fixed, look.now, plan, *move)

    @settings(max_examples=25)
    @given(seed=seeds)
    def test_same_features_of_all_pairs(self, random_cluster: RandomCluster, seed: int) -> None:
        view = look_at(random_cluster(seed))
        assert_same_features(view, all_pairs(view, slots=500))

    @settings(max_examples=40)
    @given(seed=seeds)
    def test_same_quiet_rounds(self, random_cluster: RandomCluster, seed: int) -> None:
        view = look_at(random_cluster(seed))
        look = view.round.look
        view.arrays.is_stale_H[:] = True
        assert is_quiet(look.fixed, look.now, view.arrays, look.scratch) == reference_is_quiet(view)

    @pytest.mark.parametrize("scenario", SCENARIO_NAMES)
    def test_same_along_a_day_of_every_scenario(self, scenario: str) -> None:
        generator = TraceGenerator(hosts=(5, 7), vms_per_host=(8, 10), load=(0.7, 0.75), scenario=scenario)
        simulator = Simulator(generator(np.random.default_rng(3)))
        listed = 0
        while not simulator.is_done:
            listed += follow(look_at(simulator.cluster()), simulator.minute)
            simulator.advance(120)
        assert listed > 0  # the kernels were at work

    @pytest.mark.parametrize("hosts", [9, 16])
    def test_same_where_more_is_hot_than_there_are_rows(self, hosts: int) -> None:
        rng = np.random.default_rng(hosts)
        inventory = Inventory(
            tuple(Host(f"h{h}", 32, 256, 8) for h in range(hosts)), tuple(Vm(f"v{v}", 8, 8) for v in range(20 * hosts))
        )
        cpu_VT = rng.choice([0.5, 1.0, 2.0], size=(20 * hosts, 1)) * np.ones(60)  # many equals
        host_of_M = rng.integers(0, hosts, size=20 * hosts)
        assert follow(look_at(make_cluster(inventory, host_of_M, cpu_VT, cpu_VT / 10)), hosts) == 4 * 64


class TestRound:
    @settings(max_examples=60)
    @given(seed=seeds)
    def test_a_round_is_begun_as_in_numpy(self, random_cluster: RandomCluster, seed: int) -> None:
        cluster = random_cluster(seed)
        view = look_at(cluster)
        fixed, now, _ = view.round.look
        state = view.round.start
        np.testing.assert_array_equal(now.cost_M, view.round.cost_M)
        np.testing.assert_array_equal(now.demand_MR, state.demand_MR)
        np.testing.assert_array_equal(now.is_free_M, view.round.is_free_M)
        np.testing.assert_array_equal(view.arrays.used_HR, state.used_HR)
        np.testing.assert_array_equal(view.arrays.members_HA, state.members_HA)
        np.testing.assert_allclose(fixed.profile_gib_C @ view.arrays.profiles_HC.T, state.gpu_used_H())
        np.testing.assert_allclose(now.price_M, view.round.price_M, rtol=1e-12)

    @settings(max_examples=60)
    @given(seed=seeds, is_single=st.booleans())
    def test_telemetry_is_read_as_in_numpy(self, random_cluster: RandomCluster, seed: int, is_single: bool) -> None:
        cluster = random_cluster(seed)
        kind: Any = np.float32 if is_single else np.float64
        cpu_VT, storage_MT = (np.array(x, dtype=kind) for x in (cluster.cpu_samples_VT, cluster.storage_samples_MT))
        cluster = replace(cluster, cpu_samples_VT=cpu_VT, storage_samples_MT=storage_MT)
        fixed = look_arrays(cluster.inventory)
        now, _, _ = new_round(fixed)
        outlook_into(fixed, now, cpu_VT, storage_MT, 0, cpu_VT.shape[1], cluster.memory_need_V.copy())
        np.testing.assert_allclose(now.demand_MR, state_of(cluster).demand_MR, rtol=1e-6, atol=1e-12)
        if not np.isnan(cpu_VT).any():
            np.testing.assert_array_equal(now.demand_MR, state_of(cluster).demand_MR)
        view = look_at(cluster)
        gathered_MJB = view.round.clumps.gathered(now.demand_MJB)
        np.testing.assert_array_equal(gathered_MJB[:, :, 1:], view.round.demand_MJB[:, :, 1:])

    @settings(max_examples=40)
    @given(seed=seeds, minutes=st.integers(min_value=1, max_value=130))
    def test_blocks_of_the_last_hour(self, seed: int, minutes: int) -> None:
        rng = np.random.default_rng(seed)
        samples_NT = np.where(rng.random((5, minutes)) < 0.2, np.nan, rng.exponential(3.0, (5, minutes)))
        np.testing.assert_array_equal(blocks_of(last_hour(samples_NT)), recent_blocks(samples_NT))

    @settings(max_examples=25)
    @given(seed=seeds)
    def test_a_move_changes_the_plan_as_it_changes_the_view(self, random_cluster: RandomCluster, seed: int) -> None:
        view = look_at(random_cluster(seed))
        listed = shortlist(view)
        if listed.is_empty:
            return
        move = listed.move(1)
        assert move is not None
        after = view.after(*move)
        look = view.round.look
        assert view.arrays.number_X[MOVES] == 0 and after.arrays.number_X[MOVES] == len(after.moves) >= 1
        add_move(look.fixed, look.now, view.arrays, *move)
        np.testing.assert_array_equal(view.arrays.host_of_M, after.state.host_of_M)
        np.testing.assert_array_equal(view.arrays.used_HR, after.state.used_HR)
        np.testing.assert_array_equal(view.arrays.used_HJB, after.used_HJB)
        assert view.arrays.moved_gib[0] == pytest.approx(after.moved_gib)

    def test_vms_with_a_vgpu_that_must_restart_are_left_to_the_search(self, random_cluster: RandomCluster) -> None:
        for seed in range(300):
            view = look_at(random_cluster(seed))
            if look_arrays(view.round.inventory).must_pack_gpus:
                break
        look, state = view.round.look, view.round.start
        where = state.host_of_M.copy(), state.swap_V.copy()
        assert begin_into(look.fixed, look.now, view.arrays, look.scratch, *where, 0, True) == HA_ASK


class TestForecast:
    def test_a_forecast_takes_the_place_of_the_blocks(self, random_cluster: RandomCluster) -> None:
        cluster = random_cluster(11)
        M = cluster.inventory.movable_count
        forecast_MJB = np.random.default_rng(0).random((M, 2, BLOCKS))
        plain, told = look_at(cluster), look_at(cluster, forecast_MJB=forecast_MJB)
        is_on_M = cluster.inventory.is_on_M
        np.testing.assert_array_equal(told.round.demand_MJB[is_on_M, :, 1:], forecast_MJB[is_on_M])
        assert not told.round.demand_MJB[~is_on_M].any()
        np.testing.assert_array_equal(told.round.demand_MJB[..., 0], plain.round.demand_MJB[..., 0])  # the estimate
        fixed, now, _ = plain.round.look
        forecast_into(fixed, now, forecast_MJB)
        np.testing.assert_array_equal(now.demand_MJB, told.round.demand_MJB)

    def test_the_env_asks_its_outlook(self) -> None:
        generator = TraceGenerator(hosts=(4, 4), vms_per_host=(8, 8), load=(0.7, 0.7), scenario="plain")
        asked: list[Cluster] = []

        def nothing_more(cluster: Cluster) -> np.ndarray:
            asked.append(cluster)
            return np.zeros((cluster.inventory.movable_count, 2, BLOCKS))

        env = ClusterEnv(generator, outlook=nothing_more)
        observation, _ = env.reset(seed=1)
        assert asked and not env._view.round.demand_MJB[..., 1:].any()
        worth = observation["candidates"][:, CANDIDATE.index("outlook_relief")]
        assert not worth.any()  # nothing to relieve where nothing is asked for


class TestWorth:
    """One host of 10 cores holds VMs of 6.5 and 4.5: 2.5 above the threshold of 8.5, of which 1 is above capacity."""

    def named(self) -> tuple[dict[str, float], dict[str, float]]:
        """Features of the move of the smaller one, and of the cluster."""
        inventory = Inventory((Host("h0", 10, 64, 4), Host("h1", 10, 64, 4)), (Vm("v0", 8, 32), Vm("v1", 8, 8)))
        cluster = make_cluster(inventory, [0, 0], np.repeat([[6.5], [4.5]], 60, axis=1), np.zeros((2, 60)))
        view = look_at(cluster)
        listed = shortlist(view)
        slot = next(s for s in range(1, 65) if listed.move(s) == (1, 1))
        candidates_SF, context_C = features(view, listed)
        row = dict(zip(CANDIDATE, candidates_SF[slot].tolist(), strict=True))
        return row, dict(zip(CONTEXT, context_C.tolist(), strict=True))

    def test_relief_price_and_worth_in_host_minutes(self) -> None:
        # 2.5 + 1 cores for 60 minutes of hosts of 10 cores; 8 GiB, and one core busy while 8 GiB are copied.
        relief = 60 * 3.5 / 10
        ratio = 0.1 * 4.5 / 10
        price = (8 + (7 + 8 * 2.3 * (1 - ratio**11) / (1 - ratio)) / 60) / 10
        row, context = self.named()
        assert row["outlook_relief"] == pytest.approx(np.log1p(relief), abs=1e-5)
        assert row["price"] == pytest.approx(np.log1p(price), abs=1e-5)
        assert row["outlook_worth"] == pytest.approx(np.log1p(relief - price), abs=1e-5)
        assert context["worth_best"] == pytest.approx(np.log1p(relief - price), abs=1e-5)

    @given(cost_gib=st.floats(0, 1024), cores=st.floats(0, 128))
    def test_one_price_in_both_tongues(self, cost_gib: float, cores: float) -> None:
        world = WorldSettings()
        own = move_price.py_func(cost_gib, cores, pricing_of(world))
        assert own == pytest.approx(price_of(np.array([cost_gib]), np.array([cores]), world)[0])

    def test_the_price_of_a_state_is_that_of_its_movables(self, random_cluster: RandomCluster) -> None:
        view = look_at(random_cluster(5))
        known = ~np.isnan(view.state.demand_MR).any(axis=1)
        price_M = view.round.clumps.gathered(move_price_M(view.round.before, WorldSettings()))
        np.testing.assert_allclose(price_M[known], view.round.look.now.price_M[known])
