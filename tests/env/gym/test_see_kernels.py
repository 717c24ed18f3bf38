"""Looks that go on from the last one show what a look from the beginning shows, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.gym.generator import TraceGenerator
from quell.env.gym.look_arrays import HA
from quell.env.gym.see_kernels import NOTHING_SEEN
from quell.env.gym.vector_env import ClusterVectorEnv
from quell.env.gym.view import look_at
from quell.env.world.scenario import Scenario
from tests.env.gym.test_whole_world import EVERYTHING


def a_move_now_and_then(env: ClusterVectorEnv, rng: np.random.Generator) -> np.ndarray:
    """Actions of all clusters: mostly stop."""
    return np.array([rng.choice(np.flatnonzero(mask)) if rng.random() < 0.2 else 0 for mask in env.action_masks()])


def assert_looks_are_fresh(env: ClusterVectorEnv, rng: np.random.Generator, steps: int) -> int:
    """Plays on, and compares every look with one from the beginning; how many looks went on from the last one."""
    went_on = 0
    for _ in range(steps):
        env.step(a_move_now_and_then(env, rng))
        for e in range(env.num_envs):
            cluster = env.cluster(e)
            seat = cluster.seat
            if seat.control["is_python"] or seat.plan.number_X[0] > 0:
                continue
            view = look_at(cluster.simulator.cluster())
            fresh = view.round.look.now
            for name in ("demand_MR", "before_HJB", "price_M", "cost_M", "root_M", "is_free_M", "swap_M", "next_M"):
                np.testing.assert_array_equal(getattr(seat.look, name), getattr(fresh, name), err_msg=name)
            np.testing.assert_array_equal(seat.look.demand_MJB, fresh.demand_MJB)
            np.testing.assert_array_equal(seat.look.restart_order_M, fresh.restart_order_M)
            assert seat.plan.number_X[HA] == view.arrays.number_X[HA]
            for name in ("used_HR", "used_HJB", "members_HA", "running_H"):
                np.testing.assert_array_equal(getattr(seat.plan, name), getattr(view.arrays, name), err_msg=name)
            went_on += int(seat.control["seen_minute"][0] != NOTHING_SEEN)
    return went_on


@pytest.mark.parametrize(
    "scenario", ["plain", "ha", "overcommit", EVERYTHING], ids=["plain", "ha", "overcommit", "all"]
)
def test_a_look_is_the_same_whatever_was_seen_before(scenario: str | Scenario) -> None:
    generator = TraceGenerator(hosts=(4, 4), vms_per_host=(8, 8), load=(0.7, 0.7), scenario=scenario)
    env = ClusterVectorEnv(generator, 2)
    env.reset(seed=3)
    assert assert_looks_are_fresh(env, np.random.default_rng(3), steps=40) > 10


def test_a_day_that_is_played_again_in_the_same_arrays_is_the_same_day() -> None:
    generator = TraceGenerator(hosts=(4, 4), vms_per_host=(8, 8), load=(0.7, 0.7), scenario="ha")
    env = ClusterVectorEnv(generator, 1, episodes_per_pool=1, skip_quiet_rounds=False)
    days: list[list[np.ndarray]] = [[], []]
    observation, _ = env.reset(seed=2)
    first = env.cluster(0).seat.scratch
    for day in days:
        is_over = False
        while not is_over:
            day.append(np.concatenate([observation["candidates"].ravel(), observation["context"].ravel()]))
            observation, _, _, truncated_E, _ = env.step(np.array([int(env.action_masks()[0, 1])]))
            is_over = bool(truncated_E[0])
    assert env.cluster(0).seat.scratch.lane_X is first.lane_X
    np.testing.assert_array_equal(days[0], days[1])
