"""`none`, `spread` and `clairvoyant`: the yardsticks do what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from quell.baseline.ads import Ads
from quell.baseline.clairvoyant import Clairvoyant
from quell.baseline.foresight import foresee
from quell.baseline.nothing import Nothing
from quell.baseline.spread import Spread, gains, imbalance
from quell.baseline.tuned import Tuned
from quell.env.gym.generator import ToyGenerator
from quell.env.model.cluster import HostState, PlacementRule, RuleKind
from quell.env.model.plan import Status
from quell.env.model.planner import Planner
from quell.env.model.state import state_of
from quell.env.world.events import Event, EventKind
from quell.env.world.rounds import run_episode
from quell.env.world.scenario import Scenario
from quell.env.world.simulator import Simulator
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.env.world.workload import ClusterSpec, Episode, build_episode
from tests.env.model.clusters import small_cluster
from tests.env.world.episodes import build_episode as day_by_hand
from tests.env.world.episodes import squeezed_episode

EVERYTHING = Scenario(1, 0.6, 0.5, churn_share=0.3, failures=1, maintenances=1, volume_group_events=1)
HOSTS: dict[str, dict] = {"host-0": {}, "host-1": {}, "host-2": {}}


@pytest.fixture(scope="module")
def day() -> Episode:
    """A synthetic day with contention."""
    return build_episode(part(synthetic_trace(0), "all"), ClusterSpec(6, 12, 0.7), seed=1)


@pytest.fixture
def toy() -> Episode:
    """Two hosts, and a contention of 1 core that moving vm-2 (8 GiB) ends for good."""
    return ToyGenerator()(np.random.default_rng(0))


def test_spread_moves_for_skew_alone() -> None:
    """50 % / 5 % / 5 %: the balancer moves, `ads` does not: the documents' argument."""
    vms = {f"vm-{v}": {"host": "host-0", "cpu_demand_cores": 10} for v in range(5)}
    vms |= {f"idle-{h}": {"host": f"host-{h}", "cpu_demand_cores": 5} for h in (1, 2)}
    cluster = small_cluster(HOSTS, vms)
    plan = Spread().plan(cluster)
    assert plan.status is Status.PLANNED and len(plan.moves) >= 2
    assert Ads().plan(cluster).moves == ()


def test_gains_are_what_the_imbalance_really_falls_by() -> None:
    vms = {f"vm-{v}": {"host": f"host-{v % 2}", "cpu_demand_cores": 5 + v} for v in range(6)}
    state = state_of(small_cluster(HOSTS | {"host-1": {"cpu_cores": 60}}, vms))
    movables, targets = np.arange(6), np.full(6, 2)
    expected = [imbalance(state) - imbalance(state.moved(m, 2)) for m in range(6)]
    np.testing.assert_allclose(gains(state, movables, targets), expected, atol=1e-12)


def test_relief_is_what_the_cost_of_the_hour_really_falls_by(toy: Episode) -> None:
    foresight = foresee(toy, 0, state_of(toy.cluster), 60)
    assert foresight.host_cost_H() == pytest.approx([60.0, 0.0])
    relief = foresight.relief(np.array([0, 1, 2]), np.array([1, 1, 0]))
    moved = [
        foresight.host_cost_H().sum() - foresight.moved(m, h).host_cost_H().sum() for m, h in ((0, 1), (1, 1), (2, 0))
    ]
    assert relief == pytest.approx(moved)
    assert relief[1] == pytest.approx(60.0)


def test_relief_on_a_real_day(day: Episode) -> None:
    foresight = foresee(day, 600, state_of(day.cluster), 60)
    rng = np.random.default_rng(0)
    movables = rng.integers(len(day.cluster.host_of_M), size=20)
    targets = (day.cluster.host_of_M[movables] + 1) % day.inventory.host_count
    before = foresight.host_cost_H().sum()
    moved = [
        before - foresight.moved(int(m), int(h)).host_cost_H().sum() for m, h in zip(movables, targets, strict=True)
    ]
    np.testing.assert_allclose(foresight.relief(movables, targets), moved, atol=1e-6)


def test_clairvoyant_takes_the_one_obvious_move(toy: Episode) -> None:
    result = run_episode(toy, Clairvoyant(toy))
    assert [(r.move.id, r.move.target) for r in result.log] == [("vm-2", "host-2")]
    assert result.costs.total == pytest.approx(8.0, abs=2.0)


def test_at_the_last_minute_there_is_still_a_future(toy: Episode) -> None:
    assert foresee(toy, 1438, state_of(toy.cluster), 60).demand_MJB.shape[2] == 1


def test_who_costs_what(day: Episode) -> None:
    """The order on a contended day: clairvoyant below ads below none; the balancer moves several times as much."""
    cost = {p.name: run_episode(day, p).costs for p in (Nothing(), Spread(), Ads(), Clairvoyant(day))}
    assert cost["clairvoyant"].total < cost["ads"].total < cost["none"].total
    assert cost["spread"].migration_gib > 3 * cost["ads"].migration_gib


class TestTheWholeWorld:
    """What the yardsticks know of arrivals, departures, overcommit and maintenance."""

    def test_who_is_on_is_what_the_cluster_says_not_the_episode(self) -> None:
        """vm-2 is off at midnight and arrives at 10; vm-1 leaves at 30. A VM that is nowhere loads nobody."""
        events = [Event(10, EventKind.ARRIVAL, 2), Event(30, EventKind.DEPARTURE, 1)]
        episode = day_by_hand(cpu=(20, 20, 5), homes=(0, 1, -1), arriving=[2], events=events)
        simulator = Simulator(episode)
        used_H = [foresee(episode, 0, state_of(simulator.cluster()), 5).used_HJB[:, 0, 0].sum()]
        for minute in (15, 45):
            simulator.advance(minute - simulator.minute)
            used_H.append(foresee(episode, minute, state_of(simulator.cluster()), 5).used_HJB[:, 0, 0].sum())
        assert used_H == [40, 45, 25]
        waiting = state_of(episode.cluster_at(15, episode.cluster.host_of_M, inventory=simulator.inventory))
        assert waiting.inventory.is_on_M[2] and foresee(episode, 15, waiting, 5).used_HJB[:, 0].sum() == 20

    def test_swap_to_come_is_part_of_the_cost(self) -> None:
        """From minute 30 two VMs need 68 of 64 GiB on host-0: 30 minutes of 4 GiB in the first hour."""
        episode = squeezed_episode(growth_gib=28.0)
        foresight = foresee(episode, 0, state_of(episode.cluster), 60)
        assert foresight.host_cost_H() == pytest.approx([30 * 4.0, 0.0])
        assert foresight.relief(np.array([0, 1]), np.array([1, 1])) == pytest.approx([120.0, 120.0])
        assert foresight.moved(0, 1).host_cost_H() == pytest.approx([0.0, 0.0])
        simulator = Simulator(episode)
        simulator.advance(60)
        assert simulator.costs.swap_gib_minutes == pytest.approx(120.0, abs=30.0)  # sharing follows needs by minutes

    def test_a_minimum_is_held_whatever_is_needed(self) -> None:
        """48 + 20 GiB: the first VM keeps its minimum though it needs less, so the second swaps 4 GiB."""
        episode = day_by_hand(
            cpu=(5, 5, 5),
            memory_gib=(48, 48, 8),
            host_memory_gib=64.0,
            need_gib={0: 10.0, 1: 20.0},
            vms={0: {"memory_minimum_gib": 48.0}},
        )
        foresight = foresee(episode, 0, state_of(episode.cluster), 5)
        assert foresight.host_cost_H() == pytest.approx([5 * 4.0, 0.0])

    def test_memory_of_a_vm_that_leaves_is_free_from_then_on(self) -> None:
        events = [Event(30, EventKind.DEPARTURE, 2)]
        episode = day_by_hand(
            cpu=(5, 5, 5),
            homes=(0, 0, 0),
            memory_gib=(48, 48, 20),
            host_memory_gib=64.0,
            need_gib={0: 20.0, 1: 30.0},
            events=events,
        )
        assert foresee(episode, 0, state_of(episode.cluster), 60).host_cost_H()[0] == pytest.approx(30 * 6.0)

    def test_without_overcommit_memory_is_no_part_of_it(self, day: Episode) -> None:
        foresight = foresee(day, 600, state_of(day.cluster), 60)
        assert foresight.demand_MJB.shape[1] == 2

    def test_the_clairvoyant_moves_before_a_host_swaps(self) -> None:
        episode = squeezed_episode(growth_gib=27.0)
        swap = {p.name: run_episode(episode, p).costs.swap_gib_minutes for p in (Nothing(), Clairvoyant(episode))}
        assert swap["none"] > 1000 and swap["clairvoyant"] < 0.1 * swap["none"]

    def test_spread_relieves_a_host_whose_memory_is_overfull(self) -> None:
        vms = {f"vm-{v}": {"host": "host-0", "memory_gib": 40, "cpu_demand_cores": 1} for v in range(2)}
        overcommit = {"overcommit": True, "memory_minimum_gib": 10, "memory_usage_gib": 40, "memory_swap_gib": 0}
        vms |= {"vm-2": {"host": "host-0", "memory_gib": 40, "cpu_demand_cores": 1, **overcommit}}
        plan = Spread(minimum_gain=10.0).plan(small_cluster(HOSTS, vms))
        assert (
            len(plan.moves) == 1 and plan.moves[0].reason == "relieves the memory of host-0, of which 120.0% is needed"
        )

    @pytest.mark.parametrize("name", ["spread", "clairvoyant"])
    def test_a_host_in_maintenance_is_emptied_first_whatever_that_is_worth(self, name: str) -> None:
        """host-0 is calm: nothing speaks for its moves but the order. host-1, overloaded, is relieved after it."""
        events = [Event(20, EventKind.MAINTENANCE, 0, 30)]
        episode = day_by_hand(cpu=(2, 2, 20, 16), homes=(0, 0, 1, 1), hosts=3, sessions=1, events=events)
        planner = Spread() if name == "spread" else Clairvoyant(episode)
        simulator = Simulator(episode)
        simulator.advance(30)
        plan = planner.plan(simulator.cluster())
        leaving = [move for move in plan.moves if move.source == "host-0"]
        assert list(plan.moves[:3]) == leaving and len(leaving) == 3
        assert {move.reason for move in leaving} == {"empties host-0, which is in maintenance"}
        assert simulator.execute(plan) == ()
        simulator.advance(15)
        assert simulator.inventory.hosts[0].state is HostState.DOWN

    @pytest.mark.parametrize("name", ["spread", "tuned", "clairvoyant"])
    @pytest.mark.parametrize("is_alike", [True, False])
    def test_what_r5_ties_together_moves_as_one_or_stays(self, name: str, is_alike: bool) -> None:
        pair = PlacementRule("pair", RuleKind.VM_VM_AFFINITY, ("vm-0", "vm-1"))
        events = [Event(20, EventKind.MAINTENANCE, 0, 30)]
        unlike = {} if is_alike else {1: {"is_ha": False}}
        episode = day_by_hand(cpu=(2, 2, 2), homes=(0, 0, 0), hosts=3, rules=[pair], events=events, vms=unlike)
        planners: dict[str, Planner] = {"spread": Spread(), "tuned": Tuned(), "clairvoyant": Clairvoyant(episode)}
        simulator = Simulator(episode)
        simulator.advance(30)
        target_of = {move.id: move.target for move in planners[name].plan(simulator.cluster()).moves}
        assert target_of.keys() == ({"vm-0", "vm-1", "vm-2"} if is_alike else {"vm-2"})
        assert not is_alike or target_of["vm-0"] == target_of["vm-1"]

    @pytest.mark.parametrize("seed", range(2))
    def test_no_rule_is_broken_on_days_with_everything(self, seed: int) -> None:
        spec = ClusterSpec(4, 8, 0.65, scenario=EVERYTHING)
        episode = build_episode(part(synthetic_trace(0), "all"), spec, seed)
        for planner in (Spread(), Clairvoyant(episode)):
            result = run_episode(episode, planner)
            assert result.violations == 0 and result.moves > 0
