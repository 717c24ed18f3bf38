"""Clumps before the agent: offered as one, moved as one, and the same in the kernels as in their numpy twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.env.gym.cluster_env import ClusterEnv
from quell.env.gym.shortlist import all_pairs, reference_shortlist, shortlist
from quell.env.gym.vector_env import ClusterVectorEnv
from quell.env.gym.view import PlanView, look_at
from quell.env.model.cluster import Cluster, HighAvailability, PlacementRule, RuleKind
from quell.env.model.plan import validate
from quell.env.world.workload import Episode
from tests.builders import build_cluster, clumped_cluster, together, vm
from tests.env.gym.test_look_kernels import follow
from tests.env.gym.test_see_kernels import assert_looks_are_fresh
from tests.env.gym.test_vector_env import play_beside
from tests.env.world.episodes import DAY, build_episode

seeds = st.integers(0, 10_000)


def is_led(view: PlanView, m: int) -> bool:
    """Whether m is the lead of a clump."""
    return m in view.round.clumps.vms_of


def hot_pair(**more: object) -> Cluster:
    """host-0 at 100 % with a pair of 30 and 10 cores and a VM of 60; host-1 has room for the pair only as a whole."""
    vms = [vm("a", 0, 30, 32), vm("b", 0, 10, 8), vm("c", 0, 60, 8), vm("d", 1, 40)]
    return build_cluster(2, vms, rules=[together("a", "b")], **more)  # type: ignore[arg-type]


class TestOffers:
    def test_a_pair_is_one_move_of_its_summed_size(self) -> None:
        view = look_at(hot_pair())
        listed = shortlist(view)
        assert [listed.move(slot) for slot in (1, 2)] == [(0, 1), None]
        after = view.after(0, 1)
        assert after.moves == ((0, 1), (1, 1))
        assert after.moved_gib == 40
        assert [(move.id, move.cost_gib) for move in after.plan("test").moves] == [("a", 32), ("b", 8)]
        assert validate(view.round.before, after.plan("test")) == ()

    def test_a_pair_that_has_moved_stays(self) -> None:
        assert shortlist(look_at(hot_pair()).after(0, 1)).is_empty

    def test_a_clump_that_could_not_restart_as_a_whole_is_tied_as_before(self) -> None:
        """Every host has 24 GiB left, so that VMs of 20 GiB restart somewhere, but no 40 GiB at once."""
        vms = [vm("a", 0, 50, 20), vm("b", 0, 50, 20), *(vm(f"x{h}", h, 5, 40, is_ha=False) for h in (1, 2, 3))]
        split = look_at(build_cluster(4, vms, rules=[together("a", "b")], ha_failures=1, memory_gib=64))
        assert split.round.is_ha_enforced and not split.round.clumps.vms_of
        assert not split.round.is_free_M[:2].any()
        assert look_at(build_cluster(4, vms, rules=[together("a", "b")], memory_gib=64)).round.is_free_M[0]

    def test_where_the_reservation_is_lost_already_clumps_move_all_the_same(self) -> None:
        vms = [vm("a", 0, 45, 20), vm("b", 0, 30, 20), vm("c", 0, 20, 4), vm("x", 1, 5, 20), vm("y", 2, 5, 64)]
        view = look_at(build_cluster(3, vms, rules=[together("a", "b")], ha_failures=1, memory_gib=64))
        assert not view.round.is_ha_enforced
        assert {0, 2} <= set(shortlist(view).movable_K.tolist())

    def test_restart_plans_that_differ_before_and_after_say_nothing_of_what_is_between(self) -> None:
        """x of 8 GiB finds a host before the pair of 4 and 4 GiB moves and after it, and none half-way."""
        vms = [vm("a", 0, 10, 4), vm("b", 0, 10, 4), vm("x", 2, 10, 8)]
        view = look_at(build_cluster(3, vms, rules=[together("a", "b")], ha_failures=1, memory_gib=8))
        assert is_led(view, 0) and view.round.is_ha_enforced
        assert not all_pairs(view, slots=9).mask_S[1 : 1 + 3].any()  # those of a

    @settings(max_examples=80)
    @given(seed=seeds)
    def test_the_kernels_say_what_numpy_says(self, seed: int) -> None:
        follow(look_at(clumped_cluster(seed)), seed)

    @settings(max_examples=60)
    @given(seed=seeds)
    def test_every_plan_that_is_put_together_is_valid(self, seed: int) -> None:
        view, rng = look_at(clumped_cluster(seed)), np.random.default_rng(seed)
        for _ in range(5):
            listed = shortlist(view)
            for slot in np.flatnonzero(listed.mask_S[1:]) + 1:
                after = view.after(*(listed.move(int(slot)) or (-1, -1)))
                assert validate(view.round.before, after.plan("test"), must_resolve=False) == ()
            if listed.is_empty:
                return
            led = [slot for slot in np.flatnonzero(listed.mask_S[1:]) + 1 if is_led(view, listed.movable_K[slot - 1])]
            slot = rng.choice(led or np.flatnonzero(listed.mask_S[1:]) + 1)
            view = view.after(*(listed.move(int(slot)) or (-1, -1)))

    @settings(max_examples=40)
    @given(seed=seeds)
    def test_pairs_of_a_lead_are_those_of_its_clump(self, seed: int) -> None:
        view = look_at(clumped_cluster(seed))
        listed, H = all_pairs(view, slots=500), view.round.inventory.host_count
        for lead, vms in view.round.clumps.vms_of.items():
            assert not listed.mask_S[1:].reshape(-1)[[v * H + h for v in vms[1:] for h in range(H)]].any()
            for h in range(H):
                plan = view.after(lead, h).plan("test") if h != view.state.host_of_M[lead] else None
                is_valid = plan is not None and not validate(view.round.before, plan, must_resolve=False)
                assert listed.mask_S[1 + lead * H + h] == is_valid

    def test_clumps_are_on_the_lists_of_random_clusters(self) -> None:
        """So that the properties above are about something."""
        led = 0
        for seed in range(40):
            view = look_at(clumped_cluster(seed))
            led += sum(is_led(view, m) for m in set(reference_shortlist(view).movable_K.tolist()) - {-1})
        assert led > 20


def clumped_day(rng: np.random.Generator) -> Episode:
    """Four hosts; a clump of three and a pair whose demand comes in waves, and what else there is room for."""
    tied = [("vm-0", "vm-1", "vm-2"), ("vm-5", "vm-6")]
    rules = [PlacementRule("-".join(names), RuleKind.VM_VM_AFFINITY, names) for names in tied]
    wave_T = 4.0 * (1 + np.sin(np.arange(DAY) / 60 + rng.uniform(0, 6)))
    return build_episode(
        cpu=(4 + wave_T, 3 + wave_T, 5, 12, 8, 3 + wave_T, 4 + wave_T, 9, 14, 6, 10, 7),
        homes=(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3),
        storage=0.5,
        hosts=4,
        rules=rules,
        high_availability=HighAvailability(bool(rng.random() < 0.5), 1),
    )


def joined_day(rng: np.random.Generator) -> Episode:
    """Three VMs of a rule, the last of them on another host and unlike the others: when it joins them, nobody moves."""
    wave_T = 2.0 * (1 + np.sin(np.arange(DAY) / 17 + rng.uniform(0, 6)))
    rule = PlacementRule("three", RuleKind.VM_VM_AFFINITY, ("vm-0", "vm-1", "vm-2"))
    return build_episode(
        cpu=(8 + wave_T, 7 + wave_T, 4, 2, 33), homes=(0, 0, 1, 0, 1), rules=[rule], vms={2: {"is_ha": False}}
    )


class TestDays:
    @pytest.mark.parametrize("plan_limit", [2, 8])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_many_clusters_do_what_one_does_alone(self, plan_limit: int, seed: int) -> None:
        play_beside(clumped_day, seed=seed, count=2, steps=120, stop=0.3, plan_limit=plan_limit)

    def test_looks_go_on_where_clumps_have_moved(self) -> None:
        env = ClusterVectorEnv(clumped_day, 2)
        env.reset(seed=3)
        assert assert_looks_are_fresh(env, np.random.default_rng(3), steps=60) > 10

    def test_looks_do_not_go_on_where_a_clump_has_been_joined(self) -> None:
        env = ClusterVectorEnv(joined_day, 1, skip_quiet_rounds=False)
        env.reset(seed=0)
        joins = [s for s in range(65) if env.action_masks()[0, s] and s and env.board.movable_EK[0, s - 1] == 2]
        env.step(np.array([joins[0]]))
        assert assert_looks_are_fresh(env, np.random.default_rng(0), steps=20) > 10
        assert env.cluster(0).simulator.cluster().host_of_M[2] == 0

    def test_a_clump_moves_within_a_plan_and_breaks_no_rule(self) -> None:
        env, together_moves = ClusterEnv(clumped_day), 0
        env.reset(seed=0)
        truncated = False
        while not truncated:
            view, mask_S = env._view, env.action_masks()
            led = [s for s in np.flatnonzero(mask_S[1:]) + 1 if is_led(view, env._listed.movable_K[s - 1])]
            together_moves += bool(led)
            _, _, _, truncated, info = env.step(int(led[0]) if led else 0)
            assert info["violations"] == ()
        assert together_moves > 3
        assert env._simulator.violations == 0
        log = [(entry.move.id, entry.move.target) for entry in env._simulator.log]
        assert {v for v, _ in log} <= {"vm-0", "vm-1", "vm-2", "vm-5", "vm-6"}
