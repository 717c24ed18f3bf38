"""What happens by itself: VMs that come and go, hosts that fail or are serviced, sessions, memory that is shared."""

from __future__ import annotations

import numpy as np
import pytest

from quell.baseline.ads import Ads
from quell.env.model.cluster import Cluster, Gpu, GpuProfile, HighAvailability, Host, HostState, PlacementRule, RuleKind
from quell.env.model.memory import Resize
from quell.env.model.plan import Move, MoveKind, Plan, Status, moves_of
from quell.env.model.state import state_of
from quell.env.world.events import Event, EventKind
from quell.env.world.migration import Outcome, WorldSettings
from quell.env.world.rounds import run_episode
from quell.env.world.simulator import Simulator
from quell.env.world.tasks import Operation, TaskOutcome
from tests.env.world.episodes import DAY, QUICK, build_episode, plan_for, squeezed_episode

BOOT, RESTART = WorldSettings().boot_minutes, WorldSettings().restart_minutes


def arrival(minute: int, v: int) -> Event:
    return Event(minute, EventKind.ARRIVAL, v)


def departure(minute: int, v: int) -> Event:
    return Event(minute, EventKind.DEPARTURE, v)


def failure(minute: int, h: int, minutes: int = 60) -> Event:
    return Event(minute, EventKind.FAILURE, h, minutes)


def maintenance(minute: int, h: int, minutes: int = 30) -> Event:
    return Event(minute, EventKind.MAINTENANCE, h, minutes)


def done(simulator: Simulator, operation: Operation) -> list[tuple[str, str, str]]:
    """(id, source, target) of the tasks of a kind."""
    return [(t.id, t.source, t.target) for t in simulator.tasks if t.operation is operation]


def test_an_arrival_starts_on_the_host_with_the_lowest_score_and_a_departure_frees_it() -> None:
    """host-0 has 40 cores in use, host-1 5; the VM of 5 + 0.5 cores is unserved while it boots and gone at 20."""
    simulator = Simulator(
        build_episode(cpu=(20, 20, 5, 5), homes=(0, 0, 1, -1), arriving=[3], events=[arrival(10, 3), departure(20, 3)])
    )
    assert not simulator.cluster().inventory.vms[3].is_on
    simulator.advance(10)
    assert simulator.cluster().inventory.vms[3].is_on
    assert done(simulator, Operation.PLACE) == [("vm-3", "", "host-1")]
    assert simulator.advance(BOOT).unserved_core_minutes - 0.0 == pytest.approx(BOOT * 5.5)
    assert simulator.advance(1).unserved_core_minutes == 0
    assert simulator.used_THR[9, 1, 0] == 5 and simulator.used_THR[10 + BOOT, 1, 0] == 10
    simulator.advance(20)
    assert simulator.used_THR[19, 1, 0] == 10 and simulator.used_THR[20, 1, 0] == 5
    assert simulator.host_of_M[3] == -1 and done(simulator, Operation.POWER_OFF) == [("vm-3", "host-1", "")]


def test_a_day_with_events_does_not_depend_on_how_it_is_cut_into_steps() -> None:
    events = [arrival(10, 3), failure(25, 0, 40), maintenance(100, 1), departure(200, 2)]
    episode = build_episode(
        cpu=(9, 8, 5, 5), homes=(0, 0, 1, -1), arriving=[3], events=events, sessions=2, need_gib={1: 4.0}
    )
    whole, pieces = Simulator(episode), Simulator(episode)
    whole.advance(DAY)
    while not pieces.is_done:
        pieces.advance(7)
    assert pieces.costs.total == pytest.approx(whole.costs.total)
    np.testing.assert_array_equal(pieces.used_THR, whole.used_THR)
    assert pieces.tasks == whole.tasks


def test_an_arrival_that_finds_no_host_waits_unserved_until_one_has_room() -> None:
    """Both hosts hold 200 of 256 GiB; at 40 one of them loses its VM."""
    episode = build_episode(
        cpu=(5, 5, 5),
        homes=(0, 1, -1),
        memory_gib=(200, 200, 100),
        arriving=[2],
        events=[arrival(7, 2), departure(40, 1)],
    )
    simulator = Simulator(episode)
    simulator.advance(40)
    assert simulator.costs.unserved_core_minutes == pytest.approx(33 * 5.5)
    assert simulator.waiting_vm_minutes == 33
    (rejected,) = [t for t in simulator.tasks if t.outcome is TaskOutcome.REJECTED]
    assert rejected.id == "vm-2" and rejected.detail
    assert done(simulator, Operation.PLACE)[-1] == ("vm-2", "", "host-1")
    simulator.advance(20)
    assert simulator.waiting_vm_minutes == 33


def test_a_placer_may_make_room_first() -> None:
    """vm-1 leaves host-1 for host-0, then vm-2 starts on host-1."""

    def placer(cluster: Cluster, m: int) -> Plan:
        moves = moves_of(state_of(cluster), [(1, 0)])
        return Plan(cluster.name, "test", Status.PLACED, "", moves=moves, cost_gib=40.0, vm="vm-2", target="host-1")

    episode = build_episode(
        cpu=(5, 5, 5),
        homes=(0, 1, -1),
        memory_gib=(200, 40, 250),
        arriving=[2],
        events=[arrival(5, 2)],
        host_memory_gib=256,
    )
    simulator = Simulator(episode, QUICK, placer)
    simulator.advance(6)
    assert simulator.is_busy and simulator.host_of_M[2] == -1
    simulator.advance(10)
    assert simulator.host_of_M.tolist() == [0, 0, 1]
    assert simulator.plans_executed == 1 and simulator.log[0].plan == 1
    assert simulator.tasks[-1].plan == 1


def test_vms_of_a_failed_host_restart_elsewhere_and_cost_what_they_miss() -> None:
    simulator = Simulator(build_episode(cpu=(20, 5), homes=(0, 1), events=[failure(30, 0, 60)]))
    simulator.advance(31)
    assert simulator.inventory.hosts[0].state is HostState.DOWN
    assert simulator.host_of_M.tolist() == [1, 1]
    assert done(simulator, Operation.RESTART) == [("vm-0", "host-0", "host-1")]
    simulator.advance(30)
    assert simulator.costs.unserved_core_minutes == pytest.approx(RESTART * 20.5)
    assert simulator.used_THR[30, 0, 0] == 0 and simulator.used_THR[30 + RESTART, 1, 0] == 25
    simulator.advance(60)
    assert simulator.inventory.hosts[0].state is HostState.UP
    assert simulator.host_of_M.tolist() == [1, 1], "nobody moves back by itself"


def test_what_finds_no_room_after_a_failure_waits_until_room_comes_back() -> None:
    """Of 2 x 100 GiB on the failed host one VM fits beside the 120 GiB of the other; the rest wait for the recovery."""
    episode = build_episode(cpu=(5, 4, 3), homes=(0, 0, 1), memory_gib=(100, 110, 120), events=[failure(30, 0, 50)])
    simulator = Simulator(episode)
    simulator.advance(80)
    assert done(simulator, Operation.RESTART) == [("vm-1", "host-0", "host-1"), ("vm-0", "host-0", "host-0")]
    assert simulator.waiting_vm_minutes == 50


def test_a_vm_without_ha_waits_for_its_host() -> None:
    simulator = Simulator(
        build_episode(cpu=(5, 3), homes=(0, 1), vms={0: {"is_ha": False}}, events=[failure(30, 0, 50)])
    )
    simulator.advance(79)
    assert simulator.host_of_M.tolist() == [-1, 1]
    simulator.advance(2)
    assert simulator.host_of_M[0] >= 0


def test_restarts_use_the_reserved_memory() -> None:
    """Guaranteed HA for one failure: 120 + 120 of 2 x 256 GiB; the restart fills host-1 and is not held back by R7."""
    episode = build_episode(
        cpu=(5, 3),
        homes=(0, 1),
        memory_gib=(120, 120),
        events=[failure(30, 0)],
        high_availability=HighAvailability(True),
    )
    simulator = Simulator(episode)
    simulator.advance(31)
    assert simulator.host_of_M.tolist() == [1, 1]


def test_a_failure_cuts_migrations_off() -> None:
    """The target fails while 200 GiB are on their way: the VM stays; the source fails: it restarts."""
    for h, home in ((1, 0), (0, 2)):
        episode = build_episode(cpu=(5, 5), homes=(0, 1), memory_gib=(200, 8), hosts=3, events=[failure(2, h)])
        simulator = Simulator(episode, QUICK)
        simulator.execute(plan_for(simulator, (0, 1)))
        simulator.advance(3)
        assert not simulator.is_busy
        assert simulator.log[0].outcome is Outcome.DROPPED and f"host-{h} failed" in simulator.log[0].detail
        assert simulator.host_of_M[0] == home


def test_queued_moves_of_a_vm_that_restarted_elsewhere_are_dropped() -> None:
    episode = build_episode(cpu=(5, 5, 5), homes=(0, 1, 2), memory_gib=(200, 8, 8), hosts=4, events=[failure(2, 1)])
    simulator = Simulator(episode, WorldSettings(dirty_gbps_per_core=0.0, concurrent_migrations=1))
    simulator.execute(plan_for(simulator, (0, 3), (1, 2)))
    simulator.advance(20)
    assert [r.outcome for r in simulator.log] == [Outcome.DONE, Outcome.DROPPED]
    assert "not on host-1" in simulator.log[1].detail


def test_a_host_in_maintenance_is_serviced_once_it_is_empty_and_comes_back() -> None:
    """Asked for at minute 20, emptied by the plan of minute 30, serviced for 30 minutes from then on."""
    episode = build_episode(cpu=(5, 5), homes=(0, 1), events=[maintenance(20, 0, 30)], sessions=1)
    simulator = Simulator(episode, QUICK)
    simulator.advance(30)
    assert simulator.inventory.hosts[0].state is HostState.MAINTENANCE
    assert simulator.evacuation_host_minutes == 10
    assert simulator.execute(Ads().plan(simulator.cluster())) == ()
    simulator.advance(5)
    assert simulator.inventory.hosts[0].state is HostState.DOWN
    assert simulator.host_of_M.tolist() == [1, 1, 1]
    simulator.advance(30)
    assert simulator.inventory.hosts[0].state is HostState.UP
    assert simulator.evacuation_host_minutes == 11


def test_a_host_that_nobody_empties_is_serviced_all_the_same_and_its_vms_are_stopped() -> None:
    """Two hours of notice from minute 20, then half an hour of service; sessions are directed elsewhere at once."""
    episode = build_episode(cpu=(5, 5), homes=(0, 1), events=[maintenance(20, 0, 30)], sessions=1)
    simulator = Simulator(episode)
    simulator.advance(20 + WorldSettings().maintenance_notice_minutes + 29)
    assert simulator.evacuation_host_minutes == WorldSettings().maintenance_notice_minutes
    assert simulator.inventory.hosts[0].state is HostState.DOWN
    assert simulator.host_of_M.tolist() == [-1, 1, 1]
    assert simulator.costs.unserved_core_minutes == pytest.approx(29 * 5.5)
    simulator.advance(2)
    assert simulator.host_of_M[0] >= 0 and simulator.inventory.hosts[0].state is HostState.UP


def test_nothing_arrives_on_a_host_in_maintenance() -> None:
    episode = build_episode(cpu=(5, 30, 3), homes=(0, 1, -1), arriving=[2], events=[maintenance(5, 0), arrival(6, 2)])
    simulator = Simulator(episode)
    simulator.advance(10)
    assert simulator.host_of_M[2] == 1


def test_sessions_are_spread_when_their_group_grows_and_when_a_host_goes() -> None:
    events = [Event(5, EventKind.SESSION_OPENED, 2 + s) for s in range(3)] + [failure(50, 2)]
    simulator = Simulator(build_episode(cpu=(5, 5), homes=(0, 1), hosts=3, closed_sessions=3, events=events))
    assert simulator.cluster().host_of_M.tolist()[2:] == [-1, -1, -1]
    simulator.advance(6)
    assert sorted(simulator.host_of_M[2:].tolist()) == [0, 1, 2]
    assert simulator.used_THR[5, :, 1].tolist() == [1.0, 1.0, 0.5]
    simulator.advance(60)
    assert 2 not in simulator.host_of_M[2:] and simulator.used_THR[50, :, 1].sum() == pytest.approx(2.5)


class TestOvercommit:
    """Two hosts of 64 GiB, and VMs of 48 GiB that may be squeezed: 20 GiB are needed by each, then more."""

    def test_physical_memory_follows_the_need_every_two_minutes(self) -> None:
        """40 + 20 fit into 64 GiB: for the minute or two until memory is shared anew the host swaps."""
        simulator = Simulator(squeezed_episode())
        assert simulator.physical_V[:2].tolist() == [32.0, 32.0]
        simulator.advance(30)
        assert simulator.costs.swap_gib_minutes == 0
        simulator.advance(2)
        assert simulator.costs.swap_gib_minutes == pytest.approx(2 * 8.0)
        simulator.advance(28)
        assert simulator.costs.swap_gib_minutes == pytest.approx(2 * 8.0)
        assert simulator.physical_V[1] >= 40 and simulator.physical_V[:2].sum() == pytest.approx(64)
        assert simulator.contended_host_minutes == 2

    def test_telemetry_shows_usage_and_swap(self) -> None:
        simulator = Simulator(squeezed_episode(growth_gib=28.0))
        simulator.advance(40)
        cluster = simulator.cluster()
        assert (cluster.memory_usage_V + cluster.memory_swap_V)[:2].tolist() == [20.0, 48.0]
        assert cluster.memory_swap_V[:2].sum() == pytest.approx(4.0)

    def test_only_where_a_host_has_too_little_do_vms_move(self) -> None:
        enough = run_episode(squeezed_episode(), Ads(), QUICK)
        assert enough.moves == 0
        short = run_episode(squeezed_episode(growth_gib=28.0), Ads(), QUICK)
        assert short.moves == 1
        assert short.costs.migration_gib == pytest.approx(20.0), "the need is copied, not what is configured"
        assert short.costs.swap_gib_minutes < 4.0 * 40

    def test_shared_memory_makes_room_for_a_vm_that_starts(self) -> None:
        """Two VMs that need 20 GiB hold all 64; one of 20 GiB starts beside them and they are ballooned down."""
        episode = build_episode(
            cpu=(5, 5, 5, 1),
            homes=(0, 0, 1, -1),
            memory_gib=(48, 48, 60, 20),
            host_memory_gib=64.0,
            need_gib={0: 20.0, 1: 20.0},
            arriving=[3],
            events=[arrival(10, 3)],
        )
        simulator = Simulator(episode)
        assert simulator.physical_V[:2].sum() == pytest.approx(64)
        simulator.advance(11)
        assert simulator.host_of_M[3] == 0
        assert simulator.physical_V[:2].tolist() == [22.0, 22.0]

    def test_a_plans_resizes_are_carried_out(self) -> None:
        simulator = Simulator(squeezed_episode())
        plan = Plan("by hand", "test", Status.PLANNED, "", resizes=(Resize("vm-0", "host-0", 21.0),))
        assert simulator.execute(plan) == ()
        assert simulator.physical_V[:2].tolist() == [21.0, 43.0]
        assert done(simulator, Operation.RESIZE) == [("vm-0", "host-0", "host-0")]


def test_two_vgpus_are_never_on_their_way_to_the_same_gpu() -> None:
    """Each fits on host-1's GPU by itself, but not beside the other: the second move waits, and is dropped then."""
    gpu = (Gpu("g", "A40", 24.0),)
    hosts = [Host("host-0", 40, 256, 8, (*gpu, Gpu("g2", "A40", 24.0))), Host("host-1", 40, 256, 8, gpu)]
    profile = {"gpu": GpuProfile("A40", 24.0)}
    simulator = Simulator(build_episode(cpu=(5, 5), homes=(0, 0), hosts=hosts, vms={0: profile, 1: profile}), QUICK)
    move = [Move(MoveKind.VM, f"vm-{v}", "host-0", "host-1", 32.0) for v in range(2)]
    simulator._migrations.start(move, 1, False)
    simulator.advance(10)
    assert [r.outcome for r in simulator.log] == [Outcome.DONE, Outcome.DROPPED]


def test_anti_affinity_does_not_keep_an_arrival_from_starting() -> None:
    apart = PlacementRule("apart", RuleKind.VM_VM_ANTI_AFFINITY, ("vm-0", "vm-1", "vm-2"))
    simulator = Simulator(
        build_episode(cpu=(5, 5, 3), homes=(0, 1, -1), arriving=[2], rules=[apart], events=[arrival(3, 2)])
    )
    simulator.advance(4)
    assert simulator.host_of_M[2] >= 0
