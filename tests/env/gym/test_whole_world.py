"""Days with everything in them: whatever happens, masks tell the truth, observations are sound and plans are kept."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import quell.env  # noqa: F401  (registers the ids)
from quell.env.gym.cluster_env import ClusterEnv
from quell.env.gym.features import LIMIT, features
from quell.env.gym.generator import Generator, TraceGenerator
from quell.env.gym.shortlist import all_pairs
from quell.env.gym.view import PlanView
from quell.env.model.cluster import Cluster, Gpu, GpuProfile, HighAvailability, Host, HostState, PlacementRule, RuleKind
from quell.env.model.placement import place
from quell.env.model.plan import Plan
from quell.env.model.rules import check_move
from quell.env.world.events import Event, EventKind
from quell.env.world.scenario import Scenario
from quell.env.world.simulator import Simulator
from quell.env.world.workload import Episode
from tests.env.world.episodes import DAY, build_episode

EVERYTHING = Scenario(
    ha_failures=1,
    overcommit_share=0.6,
    gpu_host_share=0.5,
    churn_share=0.3,
    failures=2,
    maintenances=2,
    volume_group_events=1,
)
PAIRS_EVERY = 40  # steps; asking `check_move` for every pair takes long where restarts are searched


def full_day(rng: np.random.Generator) -> Episode:
    """Three hosts, two with GPUs, HA, overcommit, rules; a day on which everything happens, and waves of demand."""
    gpus = (Gpu("gpu-0", "A", 16),)
    hosts = (Host("host-0", 40, 96, 8, gpus), Host("host-1", 40, 96, 8, gpus), Host("host-2", 40, 96, 8))
    wave_T = 4.0 * (1 + np.sin(np.arange(DAY) / 70 + rng.uniform(0, 6)))
    return build_episode(
        cpu=(12, 8 + wave_T, 9, 4, 10, 3, 5, 6),
        homes=(0, 0, 1, 1, 2, 2, 0, -1),
        memory_gib=(64, 40, 32, 8, 24, 8, 8, 16),
        storage=0.6,
        hosts=hosts,
        rules=(
            PlacementRule("apart", RuleKind.VM_VM_ANTI_AFFINITY, ("vm-0", "vm-2")),
            PlacementRule("together", RuleKind.VM_VM_AFFINITY, ("vm-4", "vm-5")),
            PlacementRule("there", RuleKind.VM_HOST_AFFINITY, ("vm-3",), ("host-0", "host-1")),
        ),
        sessions=2,
        closed_sessions=2,
        vms={3: {"gpu": GpuProfile("A", 8)}, 5: {"is_ha": False}, 6: {"gpu": GpuProfile("A", 8)}},
        need_gib={0: 16 + 6 * wave_T, 1: 8 + 4 * wave_T, 4: 20.0},
        arriving=[7],
        events=[
            Event(95, EventKind.ARRIVAL, 7),
            Event(200, EventKind.FAILURE, 1, 90),
            Event(330, EventKind.SESSION_OPENED, 10),
            Event(330, EventKind.SESSION_OPENED, 11),
            Event(420, EventKind.MAINTENANCE, 0, 60),
            Event(800, EventKind.DEPARTURE, 2),
            Event(900, EventKind.FAILURE, 2, 60),
            Event(1100, EventKind.MAINTENANCE, 2, 45),
        ],
        high_availability=HighAvailability(is_guaranteed=True),
    )


GENERATORS: dict[str, Generator] = {
    "by hand": full_day,
    "mixed": TraceGenerator(hosts=(3, 4), vms_per_host=(8, 10), load=(0.6, 0.75), scenario="mixed"),
    "everything": TraceGenerator(hosts=(5, 5), vms_per_host=(7, 7), load=(0.6, 0.6), scenario=EVERYTHING),
}


def assert_sound(env: ClusterEnv, observation: dict[str, Any]) -> None:
    """The observation is in its space, and every move on the list keeps the rules."""
    assert env.observation_space.contains(observation)
    view = env._view
    for slot in np.flatnonzero(env.action_masks())[1:]:
        m, target = env._listed.move(int(slot)) or (-1, -1)
        assert check_move(view.state, m, target, is_ha_enforced=view.round.is_ha_enforced) == ()


def assert_pairs_are_the_validator(view: PlanView) -> None:
    """The mask of all pairs is `check_move`, but for what R5 ties to another one; their features are sound."""
    M, H = view.round.inventory.movable_count, view.round.inventory.host_count
    listed = all_pairs(view, slots=M * H)
    for m in range(M):
        for h in range(H):
            broken = view.round.clumps.check_moves(view.by_vm, m, h, is_ha_enforced=view.round.is_ha_enforced)
            assert listed.mask_S[1 + m * H + h] == (not broken and view.round.is_free_M[m])
    for values in features(view, listed):
        assert np.isfinite(values).all() and np.abs(values).max() <= LIMIT


def play(env: ClusterEnv, seed: int, *, is_checked: bool) -> list[Any]:
    """A day of random allowed actions; every observation, reward and count of VMs that wait."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    course: list[Any] = [observation]
    steps, truncated = 0, False
    while not truncated:
        if is_checked:
            assert_sound(env, observation)
            if steps % PAIRS_EVERY == 0:
                assert_pairs_are_the_validator(env._view)
        action = int(rng.choice(np.flatnonzero(env.action_masks()))) if rng.random() < 0.7 else 0
        observation, reward, _, truncated, info = env.step(action)
        assert np.isfinite(reward) and info["violations"] == () and not info["is_masked_action"]
        course += [observation, reward, info["waiting_vms"]]
        steps += 1
    assert env._simulator.violations == 0
    return course


@pytest.mark.parametrize(("name", "seed"), [("by hand", 0), ("by hand", 1), ("mixed", 4), ("everything", 1)])
def test_masks_and_observations_are_sound_whatever_happens(name: str, seed: int) -> None:
    env = ClusterEnv(GENERATORS[name], skip_quiet_rounds=name != "by hand")
    play(env, seed, is_checked=True)


@pytest.mark.parametrize("name", list(GENERATORS))
@pytest.mark.parametrize("seed", range(2))
def test_no_plan_of_a_random_policy_breaks_a_rule(name: str, seed: int) -> None:
    play(ClusterEnv(GENERATORS[name]), 10 + seed, is_checked=False)


@pytest.mark.parametrize("name", ["by hand", "everything"])
def test_the_same_seed_gives_the_same_episode(name: str) -> None:
    first, second = (play(ClusterEnv(GENERATORS[name]), 5, is_checked=False) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        if isinstance(one, dict):
            assert all(one[key].tobytes() == other[key].tobytes() for key in one)
        else:
            assert one == other


@pytest.mark.parametrize("name", ["by hand", "mixed"])
def test_the_checker_of_gymnasium_passes(name: str) -> None:
    env = gymnasium.make("quell/Cluster-v0", generator=GENERATORS[name]).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)


def test_the_day_by_hand_has_everything_in_it() -> None:
    """Else the tests above would show less than they say."""
    simulator = Simulator(full_day(np.random.default_rng(0)))
    seen: set[str] = set()
    while not simulator.is_done:
        inventory = simulator.inventory
        seen |= {host.state for host in inventory.hosts}
        seen |= {"waits"} if (inventory.is_on_M & (simulator.host_of_M < 0)).any() else set()
        simulator.advance(15)
    assert seen == {*HostState, "waits"}
    assert simulator.costs.swap_gib_minutes > 0
    assert simulator.costs.unserved_core_minutes > 0 and simulator.costs.overload_core_minutes > 0


def without_room(rng: np.random.Generator) -> Episode:
    """One VM arrives at minute 30; no host has the memory for it."""
    arrival = Event(30, EventKind.ARRIVAL, 2)
    return build_episode(
        cpu=(36, 5, 5), homes=(0, 1, -1), memory_gib=(200, 200, 100), arriving=[2], events=[arrival], rules=()
    )


def test_vms_that_wait_are_told() -> None:
    env = ClusterEnv(without_room, skip_quiet_rounds=False)
    _, info = env.reset(seed=0)
    waiting = [info["waiting_vms"]] + [env.step(0)[4]["waiting_vms"] for _ in range(4)]
    assert waiting == [0, 0, 1, 1, 1]


def test_the_placer_is_asked_on_the_days_of_agent_and_twin() -> None:
    asked: list[int] = []

    def placer(cluster: Cluster, m: int) -> Plan:
        asked.append(m)
        return place(cluster, m)

    def day(rng: np.random.Generator) -> Episode:
        episode = without_room(rng)
        return replace(episode, events=(*episode.events, Event(31, EventKind.DEPARTURE, 2)))

    generator: Generator = day
    env = ClusterEnv(generator, placer=placer, skip_quiet_rounds=False)
    env.reset(seed=0)
    for _ in range(4):
        env.step(0)
    assert asked == [2, 2]
