"""The world on clusters small enough to compute by hand: load, cost terms, migrations, queueing, twins."""

from __future__ import annotations

import numpy as np
import pytest

from quell.env.model.cluster import HighAvailability, PlacementRule, RuleKind
from quell.env.model.errors import QuellError
from quell.env.model.plan import Plan, Status, moves_of
from quell.env.model.rules import Reason
from quell.env.model.state import state_of
from quell.env.world.migration import Outcome, WorldSettings, migration_seconds
from quell.env.world.rounds import run_episode
from quell.env.world.simulator import Simulator
from tests.env.world.episodes import DAY, QUICK, build_episode, plan_for


class _Once:
    """A planner that wants the same moves in one round and nothing else."""

    name, observes_after_plan = "once", False

    def __init__(self, *dense: tuple[int, int]) -> None:
        self.dense, self.asked = dense, 0

    def plan(self, cluster: object) -> Plan:
        self.asked += 1
        dense = self.dense if self.asked == 1 else ()
        moves = moves_of(state_of(cluster), dense)  # type: ignore[arg-type]
        return Plan("by hand", self.name, Status.PLANNED, "", moves=moves, cost_gib=sum(m.cost_gib for m in moves))


def test_overload_counts_what_is_above_the_threshold_and_unserved_what_is_above_capacity() -> None:
    """Host 0 has 44 of 40 cores: 10 above its threshold of 34, 4 above capacity, every minute."""
    simulator = Simulator(build_episode(cpu=(30.0, 14.0, 5.0)))
    cost = simulator.advance(10)
    assert cost.overload_core_minutes == pytest.approx(10 * 10)
    assert cost.unserved_core_minutes == pytest.approx(10 * 4)
    assert cost.total == pytest.approx(140)
    assert simulator.contended_host_minutes == 10


def test_storage_controllers_are_metered_like_cpu() -> None:
    """Two VMs of 3.6 on a controller of 8: 7.2 is 0.4 above the threshold of 6.8; the session adds 3.6 more."""
    assert Simulator(build_episode(cpu=(5, 5, 5), storage=3.6)).advance(1).overload_core_minutes == pytest.approx(
        0.4, abs=1e-5
    )
    with_session = Simulator(build_episode(cpu=(5, 5, 5), storage=3.6, sessions=1)).advance(1)
    assert with_session.overload_core_minutes == pytest.approx(4.0, abs=1e-5)
    assert with_session.unserved_core_minutes == pytest.approx(2.8, abs=1e-5)


def test_demand_of_a_vm_that_runs_nowhere_is_unserved() -> None:
    """5 cores of CPU and half a core of storage; its 300 GiB fit on no host, so it goes on waiting."""
    simulator = Simulator(build_episode(homes=(0, 0, -1), memory_gib=(8, 8, 300)))
    assert simulator.advance(4).unserved_core_minutes == pytest.approx(4 * 5.5)
    assert simulator.waiting_vm_minutes == 4


def test_a_day_does_not_depend_on_how_it_is_cut_into_steps() -> None:
    rng = np.random.default_rng(3)
    episode = build_episode(cpu=[rng.uniform(5, 25, DAY) for _ in range(3)])
    whole, pieces = Simulator(episode), Simulator(episode)
    whole.advance(DAY)
    while not pieces.is_done:
        pieces.advance(7)
    assert pieces.costs.total == pytest.approx(whole.costs.total)
    np.testing.assert_array_equal(pieces.used_THR, whole.used_THR)


def test_migration_time_is_as_measured() -> None:
    """4, 8 and 16 GiB took 16, 26 and 44 s on 10 GbE: 7 s + 2.3 s/GiB."""
    for gib, seconds in ((4, 16.2), (8, 25.4), (16, 43.8)):
        assert migration_seconds(gib, 0.0, QUICK) == pytest.approx(seconds)
    assert migration_seconds(8, 0.0, WorldSettings(bandwidth_gbps=20)) == pytest.approx(7 + 9.2)


def test_a_busy_vm_takes_longer_to_migrate_and_never_forever() -> None:
    idle, busy, absurd = (migration_seconds(16, cores, WorldSettings()) for cores in (0.0, 20.0, 1e6))
    assert idle < busy < absurd < 7 + 16 * 2.3 * 11


def test_a_move_copies_memory_keeps_a_core_busy_on_both_sides_and_then_shifts_the_load() -> None:
    """8 GiB take 25.4 s: in that minute 25.4/60 core on each side, and the VM counts on its target for the rest."""
    simulator = Simulator(build_episode(), QUICK)
    assert simulator.execute(plan_for(simulator, (0, 1))) == ()
    assert simulator.is_busy
    cost = simulator.advance(1)
    assert cost.migration_gib == pytest.approx(8)
    busy, rest = 25.4 / 60, 34.6 / 60
    np.testing.assert_allclose(simulator.used_THR[0, :, 0], [40 + busy - 20 * rest, 5 + busy + 20 * rest], rtol=1e-5)
    assert not simulator.is_busy
    assert list(simulator.host_of_M) == [1, 0, 1]
    simulator.advance(1)
    np.testing.assert_allclose(simulator.used_THR[1, :, 0], [20, 25])


def test_storage_demand_is_higher_for_a_quarter_of_an_hour_after_the_move() -> None:
    simulator = Simulator(build_episode(), QUICK)
    simulator.execute(plan_for(simulator, (0, 1)))
    simulator.advance(30)
    np.testing.assert_allclose(simulator.used_THR[1:16, 1, 1], 0.5 + 0.6)
    np.testing.assert_allclose(simulator.used_THR[16:30, 1, 1], 1.0)


def test_two_migrations_at_a_time_and_the_third_waits_for_a_slot() -> None:
    simulator = Simulator(build_episode(cpu=(9, 9, 9, 1), homes=(0, 0, 0, 1), memory_gib=(40, 8, 8, 8)), QUICK)
    simulator.execute(plan_for(simulator, (0, 1), (1, 1), (2, 1)))
    simulator.advance(5)
    starts = [record.start_seconds for record in simulator.log]
    assert starts == pytest.approx([0, 0, 25.4])
    assert [record.outcome for record in simulator.log] == [Outcome.DONE] * 3


def test_a_move_that_needs_the_room_of_the_one_before_waits_for_it() -> None:
    """Memory is held on both sides: vm-0 fits on host 1 only once vm-2 has left it."""
    episode = build_episode(cpu=(9, 9, 9), homes=(0, 0, 1), memory_gib=(200, 8, 100), host_memory_gib=256, hosts=3)
    simulator = Simulator(episode, QUICK)
    simulator.execute(plan_for(simulator, (2, 2), (0, 1)))
    simulator.advance(20)
    first, second = simulator.log
    assert second.start_seconds == pytest.approx(first.end_seconds)
    assert list(simulator.host_of_M) == [1, 0, 2]


def test_the_rest_of_a_plan_is_dropped_when_a_move_is_no_longer_allowed() -> None:
    """The target fills up while the first, long migration runs; the second move would now break R8."""
    rising = np.concatenate([np.full(2, 5.0), np.full(DAY - 2, 33.0)])
    episode = build_episode(
        cpu=(9, 9, 4, rising), homes=(0, 0, 0, 1), memory_gib=(250, 120, 8, 8), hosts=2, host_memory_gib=400
    )
    one_at_a_time = WorldSettings(dirty_gbps_per_core=0.0, concurrent_migrations=1)
    simulator = Simulator(episode, one_at_a_time)
    assert simulator.execute(plan_for(simulator, (0, 1), (1, 1))) == ()
    simulator.advance(30)
    assert [record.outcome for record in simulator.log] == [Outcome.DONE, Outcome.DROPPED]
    assert "R8" in simulator.log[1].detail
    assert len(simulator.moves_done) == 1
    assert simulator.costs.migration_gib == pytest.approx(250)


def test_a_plan_that_breaks_a_rule_is_refused_whole_and_counted() -> None:
    apart = PlacementRule("apart", RuleKind.VM_VM_ANTI_AFFINITY, ("vm-0", "vm-2"))
    simulator = Simulator(build_episode(cpu=(5, 5, 5), rules=[apart]))
    violations = simulator.execute(plan_for(simulator, (1, 1), (0, 1)))
    assert [v.reason for v in violations] == [Reason.R4_VM_VM_ANTI_AFFINITY]
    assert simulator.violations == 1
    simulator.advance(15)
    assert list(simulator.host_of_M) == [0, 0, 1]
    assert simulator.costs.migration_gib == 0


def test_a_second_plan_while_moves_are_under_way_is_an_error() -> None:
    simulator = Simulator(build_episode(memory_gib=(200, 8, 8)), QUICK)
    simulator.execute(plan_for(simulator, (0, 1)))
    simulator.advance(1)
    with pytest.raises(QuellError, match="minute 1: a plan came while moves"):
        simulator.execute(plan_for(simulator, (1, 1)))


def test_a_twin_shares_the_past_and_goes_its_own_way() -> None:
    simulator = Simulator(build_episode(cpu=(20, 20, 5)), QUICK)
    simulator.advance(15)
    twin = simulator.twin()
    twin.execute(plan_for(twin, (0, 1)))
    twin.advance(30)
    simulator.advance(30)
    assert list(simulator.host_of_M) == [0, 0, 1] and list(twin.host_of_M) == [1, 0, 1]
    assert simulator.log == [] and len(twin.log) == 1
    assert twin.costs.overload_core_minutes < simulator.costs.overload_core_minutes
    np.testing.assert_array_equal(twin.used_THR[:15], simulator.used_THR[:15])
    assert simulator.used_THR[20, 0, 0] == 40


def test_rounds_ask_the_planner_every_quarter_of_an_hour() -> None:
    planner = _Once((0, 1))
    result = run_episode(build_episode(), planner, QUICK)
    assert planner.asked == 96
    assert (result.moves, result.costs.migration_gib, result.violations) == (1, 8.0, 0)
    assert result.utilization_THK.shape == (DAY, 2, 2)


def test_an_observing_planner_sits_out_the_round_after_its_plan() -> None:
    """The plan ends within its round: the 15 minutes of observation cover the next round, not the one after."""
    planner = _Once((0, 1))
    planner.observes_after_plan = True
    run_episode(build_episode(), planner, QUICK)
    assert planner.asked == 95


def test_ha_reservation_binds_moves_in_the_world() -> None:
    """vm-0 (50 GiB) may run on host-0 and host-1 only; with vm-1 (60 of 100 GiB) on host-1 it could not restart."""
    episode = build_episode(
        cpu=(9, 9),
        homes=(0, 2),
        memory_gib=(50, 60),
        host_memory_gib=100,
        hosts=3,
        rules=[PlacementRule("pin", RuleKind.VM_HOST_AFFINITY, ("vm-0",), ("host-0", "host-1"))],
        high_availability=HighAvailability(is_guaranteed=True),
    )
    simulator = Simulator(episode)
    violations = simulator.execute(plan_for(simulator, (1, 1)))
    assert [v.reason for v in violations] == [Reason.R7_HA_RESERVATION]
