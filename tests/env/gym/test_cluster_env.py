"""The environment: a toy day worked out by hand, and what must hold on every day."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

import quell.env  # noqa: F401  (registers the ids)
from quell.env.gym.cluster_env import ClusterEnv
from quell.env.gym.features import SCHEMA
from quell.env.gym.generator import ToyGenerator, TraceGenerator
from quell.env.gym.reward import REWARD_TERMS, reward_scale
from quell.env.gym.shortlist import is_quiet
from quell.env.gym.view import look_at
from quell.env.model.cluster import Cluster
from quell.env.model.plan import Plan
from quell.env.world.migration import WorldSettings
from quell.env.world.simulator import Simulator
from quell.env.world.workload import Episode

TOY_SCALE = 3.0  # 1 % of 20 cores x 15 minutes
SMALL = TraceGenerator(hosts=(4, 5), vms_per_host=(10, 12), load=(0.7, 0.75))
MOVE_VM_1, MOVE_VM_2 = 0, 1  # movables of the toy


def toy(**arguments: Any) -> ClusterEnv:
    """The toy, just reset."""
    env = ClusterEnv(ToyGenerator(), **arguments)
    env.reset(seed=0)
    return env


def calm_toy(rng: np.random.Generator) -> Episode:
    """The toy with half the demand."""
    episode = ToyGenerator()(rng)
    return replace(episode, cpu_VN=episode.cpu_VN / np.float32(2))


def slot_of(env: ClusterEnv, movable: int) -> int:
    """The slot that offers a movable."""
    return next(s for s in range(1, 65) if (move := env._listed.move(s)) is not None and move[0] == movable)


def play(env: ClusterEnv, seed: int) -> tuple[list[Any], list[float], dict[str, Any]]:
    """One episode of random allowed actions: observations, rewards and the last info."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    observations, rewards, truncated = [observation], [], False
    while not truncated:
        mask = env.action_masks()
        action = int(rng.choice(np.flatnonzero(mask))) if rng.random() < 0.5 else 0
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        assert not terminated
        assert not info["is_masked_action"]
        assert info["violations"] == ()
        assert reward == pytest.approx(sum(info["rewards"].values()))
    return observations, rewards, info


class TestToyDay:
    """9.5 cores on host-1, 1 above its threshold; moving vm-2 (8 GiB) ends it within the first minute."""

    def test_doing_nothing_gives_nothing(self) -> None:
        env = toy()
        rewards, truncated = [], False
        while not truncated:
            _, reward, _, truncated, info = env.step(0)
            rewards.append(reward)
        assert rewards == [0.0] * 96
        assert info["costs"] == info["twin_costs"]
        assert info["costs"].total == pytest.approx(1440)

    def test_the_obvious_move_ends_the_day_where_quiet_rounds_pass(self) -> None:
        env = toy()
        _, reward, terminated, truncated, info = env.step(slot_of(env, MOVE_VM_2))
        assert (terminated, truncated, info["minute"], info["moves"]) == (False, True, 1440, 1)
        assert reward == pytest.approx((1440 - 8) / TOY_SCALE)
        assert info["rewards"]["overload"] == pytest.approx(1440 / TOY_SCALE)
        assert info["rewards"]["migration"] == pytest.approx(-8 / TOY_SCALE)
        assert info["rewards"]["unserved"] == info["rewards"]["swap"] == 0

    def test_round_by_round(self) -> None:
        env = toy(skip_quiet_rounds=False)
        _, reward, _, _, info = env.step(slot_of(env, MOVE_VM_2))
        assert (reward, info["minute"], info["moves"]) == (0.0, 0, 0)  # a step that adds a move takes no time
        _, reward, _, _, info = env.step(0)
        assert (info["minute"], info["moves"]) == (15, 1)
        assert reward == pytest.approx((15 - 8) / TOY_SCALE)
        _, reward, _, _, info = env.step(0)
        assert info["minute"] == 30
        assert reward == pytest.approx(15 / TOY_SCALE)

    def test_the_large_vm_costs_more(self) -> None:
        env = toy()
        _, reward, _, _, info = env.step(slot_of(env, MOVE_VM_1))
        assert reward == 0  # host-2 is then near its threshold: there is more to choose
        _, reward, _, _, info = env.step(0)
        assert info["rewards"]["migration"] == pytest.approx(-32 / TOY_SCALE)

    def test_the_last_move_of_a_full_plan_has_it_carried_out(self) -> None:
        env = toy(plan_limit=1, skip_quiet_rounds=False)
        _, _, _, _, info = env.step(slot_of(env, MOVE_VM_2))
        assert (info["minute"], info["moves"]) == (15, 1)

    def test_rounds_pass_while_moves_are_under_way(self) -> None:
        # At 0.3 Gbit/s the dirty ratio is at its limit of 0.9, and 8 GiB take 7 + 613 x 6.86 s: 70 minutes.
        env = toy(skip_quiet_rounds=False, world=WorldSettings(bandwidth_gbps=0.3))
        env.step(slot_of(env, MOVE_VM_2))
        _, _, _, _, info = env.step(0)
        assert info["minute"] == 75

    def test_masked_action_is_stop_and_said_so(self) -> None:
        env = toy()
        assert not env.action_masks()[64]
        _, _, _, _, info = env.step(64)
        assert (info["is_masked_action"], info["minute"], info["moves"]) == (True, 15, 0)

    def test_pairs_are_always_the_same_slots(self) -> None:
        env = toy(action="pairs", slots=6, skip_quiet_rounds=False)
        # (vm-1, host-1), (vm-1, host-2), (vm-2, host-1), (vm-2, host-2), (vm-3, host-1), (vm-3, host-2)
        assert env.action_masks().tolist() == [True, False, True, False, True, False, False]
        env.step(4)
        _, _, _, _, info = env.step(0)
        assert info["costs"].migration_gib == 8

    def test_quiet_rounds_pass_in_pairs_too(self) -> None:
        env = toy(action="pairs", slots=6)
        env.step(4)
        _, reward, _, truncated, _ = env.step(0)
        assert truncated
        assert reward == pytest.approx((1440 - 8) / TOY_SCALE)


@dataclass(frozen=True)
class MovesVm2:
    """A planner that moves vm-2 to host-2 and then rests."""

    name: str = "moves vm-2"
    observes_after_plan: bool = True
    asked: list[int] = field(default_factory=list)

    def plan(self, cluster: Cluster) -> Plan:
        view = look_at(cluster)
        self.asked.append(1)
        return (view.after(1, 1) if view.state.host_of_M[1] == 0 else view).plan(self.name)


class TestTwin:
    def test_planner_twin_is_hard_to_beat(self) -> None:
        env = ClusterEnv(ToyGenerator(), twin=MovesVm2())
        env.reset(seed=0)
        _, reward, _, _, info = env.step(0)
        assert reward == pytest.approx((8 - 15) / TOY_SCALE)
        assert info["twin_costs"].migration_gib == 8

    def test_twin_observes_after_its_plan(self) -> None:
        planner = MovesVm2()
        env = ClusterEnv(ToyGenerator(), twin=planner)
        env.reset(seed=0)
        for _ in range(4):
            env.step(0)
        assert len(planner.asked) == 3  # at 0, then not at 15 (26 s of copying + 15 minutes), at 30 and at 45


class TestEveryDay:
    @pytest.mark.parametrize("seed", range(3))
    def test_rewards_add_up_to_the_cost_avoided(self, seed: int) -> None:
        env = ClusterEnv(SMALL)
        _, rewards, info = play(env, seed)
        alone = Simulator(env._simulator.episode)
        alone.advance(1440)
        scale = reward_scale(env._simulator.episode.cluster.inventory, 15)
        assert info["costs"].migration_gib > 0
        assert sum(rewards) * scale == pytest.approx(alone.costs.total - info["costs"].total, abs=1e-6)
        assert info["minute"] == 1440

    def test_skipping_changes_no_cost(self) -> None:
        totals = []
        for skip in (True, False):
            env = ClusterEnv(SMALL, skip_quiet_rounds=skip)
            env.reset(seed=7)
            total, steps, truncated = 0.0, 0, False
            while not truncated:
                action = 1 if env.action_masks()[1] and not env._view.moves else 0
                _, reward, _, truncated, _ = env.step(action)
                total, steps = total + reward, steps + 1
            totals.append((total, steps))
        assert totals[0][0] == pytest.approx(totals[1][0])
        assert totals[0][1] < totals[1][1]

    def test_same_seed_same_episode_bit_for_bit(self) -> None:
        first, second = play(ClusterEnv(SMALL), seed=11), play(ClusterEnv(SMALL), seed=11)
        assert first[1] == second[1]
        assert first[2]["costs"] == second[2]["costs"]
        for one, other in zip(first[0], second[0], strict=True):
            for key in ("candidates", "context", "mask"):
                assert one[key].tobytes() == other[key].tobytes()

    def test_resets_go_on_to_other_episodes(self) -> None:
        env = ClusterEnv(SMALL)
        env.reset(seed=3)
        first = env._simulator.episode
        env.reset()
        assert env._simulator.episode.seed != first.seed

    def test_observation_is_what_the_mask_says(self) -> None:
        env = ClusterEnv(SMALL)
        observation, info = env.reset(seed=5)
        assert env.observation_space.contains(observation)
        np.testing.assert_array_equal(observation["mask"], env.action_masks())
        np.testing.assert_array_equal(observation["candidates"][:, SCHEMA.candidate.index("is_stop")], np.eye(1, 65)[0])
        assert tuple(info["rewards"]) == REWARD_TERMS
        assert not is_quiet(env._view)

    def test_a_day_without_a_choice_is_over_at_once(self) -> None:
        env = ClusterEnv(calm_toy)
        _, info = env.reset(seed=0)
        assert info["minute"] == 1440
        _, reward, _, truncated, _ = env.step(0)
        assert (reward, truncated) == (0.0, True)


class TestFace:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"generator": SMALL},
            {"generator": ToyGenerator(), "skip_quiet_rounds": False, "render_mode": "ansi"},
            {"generator": ToyGenerator(), "skip_quiet_rounds": False, "action": "pairs", "slots": 6},
        ],
    )
    def test_both_checkers_pass_without_a_warning(self, arguments: dict[str, Any]) -> None:
        env = gymnasium.make("quell/Cluster-v0", **arguments).unwrapped
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env)
            # Advice for policies that cannot read a matrix; ours is made for it.
            warnings.filterwarnings("ignore", message="Your observation candidates has an unconventional shape")
            check_env_for_sb3(env)

    def test_default_is_the_synthetic_trace(self) -> None:
        env = gymnasium.make("quell/Cluster-v0")
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)

    def test_maskable_algorithms_find_the_masks(self) -> None:
        env = toy()
        np.testing.assert_array_equal(get_action_masks(env), env.action_masks())

    def test_masks_are_a_copy(self) -> None:
        env = toy()
        env.action_masks()[:] = True
        assert not env.action_masks()[64]

    def test_generator_can_be_changed_at_reset(self) -> None:
        env = ClusterEnv(SMALL)
        env.reset(seed=0, options={"generator": ToyGenerator()})
        assert env._view.round.name == "toy"
        env.reset()
        assert env._view.round.name == "toy"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"action": "all"}, "action is 'all'"),
            ({"slots": 0}, "slots is 0"),
            ({"plan_limit": 0}, "plan_limit is 0"),
            ({"render_mode": "human"}, "render_mode is 'human'"),
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ClusterEnv(ToyGenerator(), **arguments)

    def test_unknown_option_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'seeds' is unknown"):
            ClusterEnv(ToyGenerator()).reset(options={"seeds": 1})

    def test_too_many_pairs_are_refused(self) -> None:
        with pytest.raises(ValueError, match="pairs of 3 movables and 2 hosts need 6 slots, there are 5"):
            ClusterEnv(ToyGenerator(), action="pairs", slots=5).reset(seed=0)
