"""The vector env under Stable-Baselines3: masks, ends of days, and learning."""

from __future__ import annotations

import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

from quell.agents.vec_env import ClusterVecEnv
from quell.env.gym.generator import ToyGenerator
from quell.env.gym.vector_env import ClusterVectorEnv


def toys(count: int = 3) -> ClusterVecEnv:
    """Toys as SB3 sees them, just reset."""
    env = ClusterVecEnv(ClusterVectorEnv(ToyGenerator(), count))
    env.seed(0)
    env.reset()
    return env


def test_masks_are_found_and_are_those_of_the_clusters() -> None:
    env = toys()
    assert is_masking_supported(env)
    np.testing.assert_array_equal(get_action_masks(env), env.clusters.action_masks())
    assert len(env.env_method("action_masks", indices=[1])) == 1


def test_the_end_of_a_day_is_a_time_limit_and_shows_what_came_last() -> None:
    env = toys()
    move_E = np.array([np.flatnonzero(get_action_masks(env)[0])[1], 0, 0])  # its day then passes quietly
    observation, _, dones, infos = env.step(move_E)
    for _ in range(97):
        if dones.any():
            break
        observation, _, dones, infos = env.step(np.zeros(3))
    e = int(np.flatnonzero(dones)[0])
    assert infos[e]["TimeLimit.truncated"]
    assert isinstance(observation, dict)
    assert infos[e]["terminal_observation"]["candidates"].shape == observation["candidates"][e].shape
    assert all((infos[other] == {}) == (not dones[other]) for other in range(3))


def test_observations_stay_as_they_are_in_the_next_step() -> None:
    env = toys()
    observation, *_ = env.step(np.zeros(3))
    assert isinstance(observation, dict)
    kept = {key: values.copy() for key, values in observation.items()}
    env.step(np.array([1, 1, 1]))
    assert all(np.array_equal(observation[key], kept[key]) for key in kept)


def test_nothing_else_is_asked_of_single_clusters() -> None:
    env = toys()
    with pytest.raises(AttributeError, match="no method 'render'"):
        env.env_method("render")
    with pytest.raises(AttributeError, match="no attribute 'spec'"):
        env.get_attr("spec")
    with pytest.raises(AttributeError, match="cannot be set"):
        env.set_attr("spec", 1)
    assert env.env_is_wrapped(object) == [False] * 3


def test_maskable_ppo_learns_on_it() -> None:
    model = MaskablePPO("MultiInputPolicy", toys(4), n_steps=8, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(64)
    assert model.num_timesteps == 64
