"""Many clusters at once: each does exactly what `ClusterEnv` does with the same seed and actions."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from quell.env.gym.cluster_env import ClusterEnv
from quell.env.gym.features import SCHEMA
from quell.env.gym.generator import Generator, ToyGenerator, TraceGenerator
from quell.env.gym.reward import REWARD_TERMS
from quell.env.gym.vector_env import ClusterVectorEnv
from quell.env.model.cluster import Cluster
from quell.env.model.placement import place
from quell.env.model.plan import Plan
from quell.env.world.migration import WorldSettings
from quell.env.world.scenario import SCENARIO_NAMES, Scenario
from tests.env.gym.test_cluster_env import MovesVm2, calm_toy
from tests.env.gym.test_whole_world import EVERYTHING, full_day

SLOW = WorldSettings(bandwidth_gbps=1.5, concurrent_migrations=3)


def assert_same_view(vector: tuple[dict[str, np.ndarray], int], single: dict[str, np.ndarray]) -> None:
    """The row of a cluster is what the env alone shows."""
    observation, e = vector
    for key, values in single.items():
        np.testing.assert_array_equal(observation[key][e], values, err_msg=key)


def assert_same_told(told: dict[str, Any], e: int, info: dict[str, Any]) -> None:
    """What is told of a cluster."""
    for key in ("minute", "moves", "is_masked_action", "waiting_vms"):
        assert told[key][e] == info[key], key
    assert tuple(told["costs"][e]) == astuple(info["costs"])
    assert tuple(told["twin_costs"][e]) == astuple(info["twin_costs"])
    assert tuple(told["rewards"][e]) == tuple(info["rewards"].values())


def play_beside(generator: Generator, seed: int, count: int, steps: int, stop: float, **arguments: Any) -> int:
    """Plays E envs alone and the same in one; returns how many days have ended."""
    many = ClusterVectorEnv(generator, count, **arguments)
    alone = [ClusterEnv(generator, **arguments) for _ in range(count)]
    observation, told = many.reset(seed=seed)
    for e, env in enumerate(alone):
        single, info = env.reset(seed=seed + e)
        assert_same_view((observation, e), single)
        assert_same_told(told, e, info)
    rng, ended = np.random.default_rng(seed), 0
    for _ in range(steps):
        masks_ES = many.action_masks()
        actions = np.array([rng.choice(np.flatnonzero(mask)) if rng.random() > stop else 0 for mask in masks_ES])
        observation, rewards_E, terminated_E, truncated_E, told = many.step(actions)
        assert not terminated_E.any()
        for e, env in enumerate(alone):
            np.testing.assert_array_equal(masks_ES[e], env.action_masks())
            single, reward, _, truncated, info = env.step(int(actions[e]))
            assert (rewards_E[e], truncated_E[e]) == (reward, truncated)
            assert_same_told(told, e, info)
            if truncated:
                ended += 1
                final = told["final_obs"][e]
                assert all(np.array_equal(final[key], single[key]) for key in single)
                assert tuple(told["final_info"]["costs"][e]) == astuple(info["costs"])
                single, _ = env.reset()
            assert_same_view((observation, e), single)
    return ended


@pytest.mark.parametrize("scenario", [*SCENARIO_NAMES, EVERYTHING], ids=lambda s: s if isinstance(s, str) else "all")
def test_every_cluster_does_what_it_does_alone(scenario: str | Scenario) -> None:
    generator = TraceGenerator(hosts=(3, 6), vms_per_host=(7, 9), load=(0.65, 0.75), scenario=scenario)
    play_beside(generator, seed=4, count=2, steps=60, stop=0.3)


def test_days_end_and_others_begin() -> None:
    generator = TraceGenerator(hosts=(3, 5), vms_per_host=(8, 10), load=(0.6, 0.75), scenario="mixed")
    assert play_beside(generator, seed=11, count=3, steps=150, stop=0.8) > 2


def busier(cluster: Cluster) -> np.ndarray:
    """An outlook: the last minute, rising to twice of it over the hour."""
    V, M = cluster.inventory.vm_count, cluster.inventory.movable_count
    now_MJ = np.zeros((M, 2))
    now_MJ[:V, 0], now_MJ[:, 1] = cluster.cpu_samples_VT[:, -1], cluster.storage_samples_MT[:, -1]
    return np.asarray(now_MJ[:, :, None] * np.linspace(1, 2, 12))


@pytest.mark.parametrize("scenario", ["plain", EVERYTHING], ids=["plain", "all"])
def test_a_forecast_takes_the_place_of_the_last_hour(scenario: str | Scenario) -> None:
    generator = TraceGenerator(hosts=(3, 5), vms_per_host=(7, 9), load=(0.5, 0.6), scenario=scenario)
    play_beside(generator, seed=2, count=2, steps=60, stop=0.4, outlook=busier)


@pytest.mark.parametrize(
    ("generator", "arguments"),
    [
        (full_day, {"skip_quiet_rounds": False}),
        (full_day, {"world": SLOW}),
        (ToyGenerator(), {"slots": 5, "plan_limit": 2}),
        (ToyGenerator(), {"twin": MovesVm2(), "skip_quiet_rounds": False}),
        (calm_toy, {}),
    ],
)
def test_by_hand_too(generator: Generator, arguments: dict[str, Any]) -> None:
    play_beside(generator, seed=0, count=2, steps=120, stop=0.5, **arguments)


def test_a_masked_action_is_stop_and_said_so() -> None:
    many = ClusterVectorEnv(ToyGenerator(), 2)
    many.reset(seed=0)
    *_, told = many.step(np.array([64, 0]))
    assert told["is_masked_action"].tolist() == [True, False]
    assert told["minute"].tolist() == [15, 15]


def test_results_go_into_the_arrays_of_the_caller() -> None:
    buffers = {
        "candidates": np.empty((2, 65, len(SCHEMA.candidate)), dtype=np.float32),
        "context": np.empty((2, len(SCHEMA.context)), dtype=np.float32),
        "mask": np.empty((2, 65), dtype=np.bool_),
        "rewards": np.empty(2),
        "truncated": np.empty(2, dtype=np.bool_),
    }
    many = ClusterVectorEnv(ToyGenerator(), 2, buffers=buffers)
    observation, _ = many.reset(seed=0)
    assert observation["candidates"] is buffers["candidates"]
    alone = ClusterEnv(ToyGenerator())
    single, _ = alone.reset(seed=0)
    np.testing.assert_array_equal(buffers["candidates"][1], single["candidates"])
    slot = int(np.flatnonzero(buffers["mask"][0])[-1])
    _, rewards_E, _, truncated_E, _ = many.step(np.array([slot, 0]))
    assert rewards_E is buffers["rewards"] and truncated_E is buffers["truncated"]
    assert rewards_E[0] == alone.step(slot)[1]


@pytest.mark.parametrize(
    ("buffers", "message"),
    [
        ({"candidate": np.empty(1)}, "buffer 'candidate' is unknown"),
        ({"rewards": np.empty(3)}, "must be float64 of shape \\(2,\\)"),
        ({"mask": np.empty((2, 65))}, "must be bool"),
    ],
)
def test_wrong_buffers_are_refused(buffers: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterVectorEnv(ToyGenerator(), 2, buffers=buffers)


def test_observations_are_copies_where_the_caller_gives_no_buffer() -> None:
    many = ClusterVectorEnv(ToyGenerator(), 1, skip_quiet_rounds=False)
    first, _ = many.reset(seed=0)
    kept = {key: values.copy() for key, values in first.items()}
    many.step(np.array([1]))
    assert all(np.array_equal(first[key], kept[key]) for key in kept)


def test_a_pool_is_played_again_and_again() -> None:
    drawn: list[int] = []

    def generator(rng: np.random.Generator) -> Any:
        drawn.append(int(rng.integers(2**31)))
        return ToyGenerator()(rng)

    many = ClusterVectorEnv(generator, 3, episodes_per_pool=2)
    many.reset(seed=5)
    for _ in range(200):
        many.step(np.array([0, 0, 0]))
    many.reset()
    assert len(drawn) == 2
    many.reset(seed=5)
    assert drawn[2:] == drawn[:2]


def test_observations_are_in_the_space_and_terms_add_up() -> None:
    generator = TraceGenerator(hosts=(4, 4), vms_per_host=(9, 9), load=(0.75, 0.75))
    many = ClusterVectorEnv(generator, 2)
    observation, _ = many.reset(seed=[3, 9])
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert many.observation_space.contains(observation)
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in many.action_masks()])
        observation, rewards_E, *_, told = many.step(actions)
        assert told["rewards"].shape == (2, len(REWARD_TERMS))
        np.testing.assert_allclose(told["rewards"].sum(axis=1), rewards_E)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"slots": 0}, "slots is 0"),
        ({"episodes_per_pool": -1}, "episodes_per_pool is -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterVectorEnv(ToyGenerator(), **arguments)


def test_wrong_seeds_and_options_are_refused() -> None:
    many = ClusterVectorEnv(ToyGenerator(), 2)
    with pytest.raises(ValueError, match="1 seeds for 2 clusters"):
        many.reset(seed=[1])
    with pytest.raises(ValueError, match="'generator' is unknown"):
        many.reset(options={"generator": ToyGenerator()})


def test_the_placer_is_asked_for_those_that_arrive() -> None:
    asked: list[int] = []

    def placer(cluster: Cluster, m: int) -> Plan:
        asked.append(m)
        return place(cluster, m)

    many = ClusterVectorEnv(full_day, 1, placer=placer, skip_quiet_rounds=False)
    many.reset(seed=0)
    for _ in range(8):
        many.step(np.array([0]))
    assert 7 in asked


def test_gymnasium_makes_it() -> None:
    many = gym.make_vec("quell/Cluster-v0", num_envs=3, vectorization_mode="vector_entry_point", slots=8)
    assert isinstance(many.unwrapped, ClusterVectorEnv)
    observation, _ = many.reset(seed=1)
    assert observation["mask"].shape == (3, 9)
    *_, truncated_E, told = many.step(np.zeros(3, dtype=np.int64))
    assert truncated_E.shape == told["minute"].shape == (3,)
