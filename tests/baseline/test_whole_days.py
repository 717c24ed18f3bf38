"""Whole days with everything in them, under every planner: the world stays possible, and no plan breaks a rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quell.agents.planner import LearnedPlanner
from quell.baseline.ads import Ads
from quell.baseline.catalogue import NAMES, make_planner
from quell.baseline.placement import place_with_room
from quell.env.model.cluster import MEMORY, NOWHERE, HostState
from quell.env.model.gpu import profiles_by_host, vgpus_fit
from quell.env.model.planner import Planner
from quell.env.model.state import state_of
from quell.env.world.events import EventKind
from quell.env.world.rounds import Supervisor
from quell.env.world.scenario import Scenario
from quell.env.world.simulator import Simulator
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.tasks import Operation, TaskOutcome
from quell.env.world.workload import ClusterSpec, Episode, build_episode
from tests.agents.policies import make_learned
from tests.baseline.test_no_rule_is_broken import dice

TRAIN = part(synthetic_trace(0, vms=200, days=6), "train")
EVERYTHING = Scenario(
    ha_failures=1,
    overcommit_share=0.7,
    gpu_host_share=0.5,
    churn_share=0.4,
    failures=2,
    maintenances=2,
    volume_group_events=2,
)
PLANNERS = [*NAMES, "learned"]
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


def day(seed: int, hosts: int = 6, load: float = 0.6) -> Episode:
    """A day with everything in it."""
    return build_episode(TRAIN, ClusterSpec(hosts, 12, load, scenario=EVERYTHING), seed)


def calmer_dice(candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Wants anything on offer too, but one or two moves at a time: plans of eight take most of a minute a day."""
    return np.where(np.arange(len(mask)) == 0, 0.985, dice(candidates, mask))


def planner_of(name: str, episode: Episode, rule: Rule = dice) -> Planner | LearnedPlanner:
    """A planner of the catalogue, or a learned one that wants anything on offer."""
    return make_learned(rule) if name == "learned" else make_planner(name, episode)


def assert_possible(simulator: Simulator) -> None:
    """What holds in every minute, whatever happened: nobody is where nobody can be."""
    cluster = simulator.cluster()
    state, inventory = state_of(cluster), cluster.inventory
    V, host_of_M = inventory.vm_count, cluster.host_of_M
    assert (host_of_M[~inventory.is_on_M] == NOWHERE).all(), "what is off is nowhere"
    is_down_H = np.array([host.state is HostState.DOWN for host in inventory.hosts])
    assert not is_down_H[host_of_M[host_of_M != NOWHERE]].any(), "nobody is on a host that is down"
    placed = np.flatnonzero(host_of_M != NOWHERE)
    assert inventory.is_allowed_MH[placed, host_of_M[placed]].all(), "R3"
    for h, profiles in enumerate(profiles_by_host(state)):
        assert vgpus_fit(inventory.gpu_stock_H[h], profiles), "R6"
    held_H = np.zeros(inventory.host_count)
    there = np.flatnonzero(host_of_M[:V] != NOWHERE)
    np.add.at(held_H, host_of_M[there], simulator.physical_V[there] if inventory.is_overcommit_V.any() else 0.0)
    assert (held_H <= inventory.capacity_HR[:, MEMORY] + 1e-6).all(), "no host gives out more memory than it has"
    assert (cluster.memory_swap_V >= 0).all() and np.isfinite(state.demand_MR).all()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", PLANNERS)
def test_no_plan_breaks_a_rule_and_the_world_stays_possible(name: str, seed: int) -> None:
    episode = day(seed, hosts=4 if name == "spread" else 6)  # it moves all day long, which takes a while
    simulator = Simulator(episode, placer=place_with_room)
    supervisor = Supervisor(simulator, planner_of(name, episode, calmer_dice))
    while not simulator.is_done:
        supervisor.step(5)
        assert_possible(simulator)
    assert simulator.violations == 0
    operations = {task.operation for task in simulator.tasks}
    assert operations >= {Operation.PLACE, Operation.POWER_OFF, Operation.FAIL, Operation.RECOVER, Operation.SESSION}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNERS)
def test_many_days(name: str) -> None:
    for seed in range(2, 10):
        episode = day(seed, hosts=4 + seed % 6, load=0.5 + 0.02 * (seed % 10))
        simulator = Simulator(episode, placer=place_with_room)
        supervisor = Supervisor(simulator, planner_of(name, episode))
        while not simulator.is_done:
            supervisor.step(15)
            assert_possible(simulator)
        assert simulator.violations == 0


def test_ads_serves_what_happens() -> None:
    """VMs of failed hosts run again, hosts to be serviced are emptied, and who comes finds a host, on these days."""
    for seed in (0, 1):
        episode = day(seed, load=0.5)
        simulator = Simulator(episode, placer=place_with_room)
        supervisor = Supervisor(simulator, Ads())
        while not simulator.is_done:
            supervisor.step(15)
        asked = [event for event in episode.events if event.kind is EventKind.MAINTENANCE]
        stopped = [t for t in simulator.tasks if t.operation is Operation.RESTART and t.source == t.target]
        assert len(stopped) <= 3, (len(asked), stopped)
        rejected = [task for task in simulator.tasks if task.outcome is TaskOutcome.REJECTED]
        placed = [task for task in simulator.tasks if task.operation is Operation.PLACE]
        assert len(rejected) <= len(placed) // 4
