"""The compiled clock against its twin in numpy: whole days of every scenario, with random valid plans."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from quell.env.gym.generator import TraceGenerator
from quell.env.model.cluster import CPU
from quell.env.model.plan import Plan, Status, moves_of
from quell.env.model.rules import allowed_moves_MH, bound_M, check_move, is_ha_binding
from quell.env.model.state import State, state_of
from quell.env.world.arrays import pace_of
from quell.env.world.clock_kernels import copy_seconds
from quell.env.world.migration import WorldSettings, migration_seconds
from quell.env.world.scenario import SCENARIO_NAMES, Scenario
from quell.env.world.simulator import Simulator
from quell.env.world.workload import DAY_MINUTES, Episode
from tests.env.world.episodes import build_episode

EVERYTHING = Scenario(1, 0.6, 0.4, 0.3, 2, 2, 1)
SLOW = WorldSettings(bandwidth_gbps=1.5, concurrent_migrations=3)  # moves are still under way rounds later


def random_plan(state: State, rng: np.random.Generator, moves: int = 3) -> Plan:
    """Up to so many random moves that keep R1-R8 one after another."""
    start, is_ha_enforced, chosen = state, is_ha_binding(state), []
    is_free_M = ~bound_M(state)
    for _ in range(moves):
        m_N, h_N = np.nonzero(allowed_moves_MH(state) & is_free_M[:, None])
        for n in rng.permutation(m_N.size)[:5].tolist():
            m, h = int(m_N[n]), int(h_N[n])
            if not check_move(state, m, h, is_ha_enforced=is_ha_enforced):
                chosen.append((m, h))
                state, is_free_M[m] = state.moved(m, h), False
                break
    made = moves_of(start, chosen)
    status = Status.PLANNED if made else Status.REFUSED
    return Plan("random", "random", status, "", moves=made, cost_gib=sum(move.cost_gib for move in made))


def play_both(episode: Episode, seed: int, world: WorldSettings | None = None) -> tuple[Simulator, Simulator]:
    """A day on both clocks; the plans are drawn on one and given to both."""
    rng = np.random.default_rng(seed)
    compiled, reference = Simulator(episode, world), Simulator(episode, world, is_reference=True)
    while not compiled.is_done:
        assert compiled.is_busy == reference.is_busy
        np.testing.assert_array_equal(compiled.host_of_M, reference.host_of_M)
        if not compiled.is_busy and rng.random() < 0.5:
            plan = random_plan(state_of(compiled.cluster()), rng)
            assert compiled.execute(plan) == reference.execute(plan) == ()
        minutes = int(rng.choice([15, 15, 15, 30, 7]))
        compiled.advance(minutes)
        reference.advance(minutes)
    return compiled, reference


def assert_same(compiled: Simulator, reference: Simulator) -> None:
    """Costs, load, moves and everything that was written down."""
    assert astuple(compiled.costs) == pytest.approx(astuple(reference.costs), rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(compiled.used_THR, reference.used_THR, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(compiled.host_of_M, reference.host_of_M)
    np.testing.assert_allclose(compiled.physical_V, reference.physical_V, rtol=1e-9)
    assert compiled.contended_host_minutes == reference.contended_host_minutes
    assert compiled.waiting_vm_minutes == reference.waiting_vm_minutes
    assert compiled.evacuation_host_minutes == reference.evacuation_host_minutes
    assert compiled.tasks == reference.tasks
    assert compiled.last_plan_end_seconds == pytest.approx(reference.last_plan_end_seconds)
    for one, other in zip(compiled.log, reference.log, strict=True):
        assert (one.move, one.outcome, one.detail, one.plan) == (other.move, other.outcome, other.detail, other.plan)
        assert (one.start_seconds, one.end_seconds) == pytest.approx((other.start_seconds, other.end_seconds))


@pytest.mark.parametrize("scenario", [*SCENARIO_NAMES, EVERYTHING], ids=lambda s: s if isinstance(s, str) else "all")
@pytest.mark.parametrize("world", [None, SLOW], ids=["quick", "slow"])
def test_days_are_the_same_on_both_clocks(scenario: str | Scenario, world: WorldSettings | None) -> None:
    generator = TraceGenerator(hosts=(4, 6), vms_per_host=(7, 9), load=(0.65, 0.75), scenario=scenario)
    seed = 7 if world else 3
    assert_same(*play_both(generator(np.random.default_rng(seed)), seed, world))


def test_a_day_with_moves_has_costs_of_every_kind_that_its_scenario_can_have() -> None:
    """Else the test above would show less than it says."""
    generator = TraceGenerator(hosts=(5, 5), vms_per_host=(8, 8), load=(0.75, 0.75), scenario=EVERYTHING)
    compiled, reference = play_both(generator(np.random.default_rng(0)), 0, SLOW)
    assert_same(compiled, reference)
    assert min(astuple(compiled.costs)) > 0
    assert len(compiled.log) > 10
    assert {record.outcome.value for record in compiled.log} >= {"done", "dropped"}


def test_minutes_of_demand_and_needs_that_change_every_minute() -> None:
    rng = np.random.default_rng(5)
    episode = build_episode(
        cpu=[rng.uniform(5, 20, DAY_MINUTES) for _ in range(4)],
        homes=(0, 0, 1, 1),
        memory_gib=(48, 48, 40, 8),
        host_memory_gib=80.0,
        need_gib={v: rng.uniform(10, 45, DAY_MINUTES) for v in range(3)},
        sessions=2,
    )
    compiled, reference = play_both(episode, 5)
    assert_same(compiled, reference)
    assert compiled.costs.swap_gib_minutes > 0


@pytest.mark.parametrize("gib", [0.0, 1.0, 37.5])
@pytest.mark.parametrize("cores", [0.0, 0.3, 12.0, 1e6])
def test_both_clocks_agree_how_long_a_migration_takes(gib: float, cores: float) -> None:
    for world in (WorldSettings(), SLOW):
        seconds = copy_seconds.py_func(pace_of(world), gib, cores)
        assert seconds == pytest.approx(migration_seconds(gib, cores, world), rel=1e-12)


def test_the_estimate_at_the_start_of_a_move_is_that_of_the_planners() -> None:
    """A busy VM takes longer to move by the median of its trend window, as `state_of` has it."""
    rng = np.random.default_rng(1)
    episode = build_episode(cpu=[rng.uniform(5, 15, DAY_MINUTES) for _ in range(3)])
    simulator = Simulator(episode)
    simulator.advance(33)
    state = state_of(simulator.cluster())
    plan = random_plan(state, rng, moves=1)
    simulator.execute(plan)
    simulator.advance(1)
    m = simulator.inventory.vm_index[plan.moves[0].id]
    expected = migration_seconds(plan.moves[0].cost_gib, float(state.demand_MR[m, CPU]), WorldSettings())
    assert simulator.log[0].end_seconds - simulator.log[0].start_seconds == pytest.approx(expected, rel=1e-12)
