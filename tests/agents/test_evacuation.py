"""Emptying a host in maintenance: an order, which the rules carry out before any policy is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from quell.agents.days import Behaviour, play_day
from quell.agents.evacuation import evacuation_plan
from quell.agents.planner import LearnedPlanner
from quell.agents.validation import Trainee
from quell.baseline.ads import Ads
from quell.baseline.nothing import Nothing
from quell.env.gym.features import SCHEMA
from quell.env.model.cluster import Cluster, HostState, PlacementRule, RuleKind
from quell.env.model.plan import Status, validate
from quell.env.model.planner import Planner
from quell.env.model.state import state_of
from quell.env.world.events import Event, EventKind
from quell.env.world.simulator import Simulator
from quell.env.world.workload import Episode
from tests.env.world.episodes import build_episode

PAIR = PlacementRule("pair", RuleKind.VM_VM_AFFINITY, ("vm-0", "vm-1"))


class NeverMoves:
    """A policy that always stops, in the place of an exported one; it counts how often it is asked."""

    slots = 64
    forecaster = None

    def __init__(self) -> None:
        self.asked = 0

    def logits(self, candidates: np.ndarray, context: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.asked += 1
        return (np.arange(len(mask)) == 0).astype(np.float32)


def service_day(cpu: tuple[float, ...] = (2, 2, 20), homes: tuple[int, ...] = (0, 0, 1), **more: Any) -> Episode:
    """host-0 runs two calm VMs that R5 keeps together, and is to be serviced at minute 20."""
    events = [Event(20, EventKind.MAINTENANCE, 0, 30)]
    return build_episode(cpu=cpu, homes=homes, rules=[PAIR], events=events, **more)


def at_half_past(episode: Episode) -> tuple[Simulator, Cluster]:
    """The day at minute 30."""
    simulator = Simulator(episode)
    simulator.advance(30)
    return simulator, simulator.cluster()


def learned(policy: NeverMoves, **arguments: Any) -> LearnedPlanner:
    return LearnedPlanner(policy, **arguments)


@dataclass(frozen=True)
class Refuses:
    """Rules that find no plan."""

    name: str = "refuses"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Any:
        return Nothing().plan(cluster)


class TestOrder:
    def test_the_rules_empty_it_and_take_along_what_r5_ties_together(self) -> None:
        _, cluster = at_half_past(service_day())
        plan = evacuation_plan(cluster, state_of(cluster), Ads())
        assert plan is not None and {(move.id, move.target) for move in plan.moves} == {
            ("vm-0", "host-1"),
            ("vm-1", "host-1"),
        }
        assert plan.reason.startswith("host-0 is to be emptied, so ads answers: ")

    def test_where_no_host_is_to_be_emptied_there_is_no_order(self) -> None:
        cluster = service_day().cluster
        assert evacuation_plan(cluster, state_of(cluster), Ads()) is None

    def test_an_empty_host_in_maintenance_is_no_order(self) -> None:
        _, cluster = at_half_past(service_day(homes=(1, 1, 1)))
        assert cluster.inventory.hosts[0].state is not HostState.UP
        assert evacuation_plan(cluster, state_of(cluster), Ads()) is None

    def test_where_the_rules_find_nothing_the_policy_is_left_to_answer(self) -> None:
        _, cluster = at_half_past(service_day())
        assert evacuation_plan(cluster, state_of(cluster), Refuses()) is None


class TestServed:
    @pytest.mark.parametrize("is_strict", [False, True])
    def test_a_policy_that_never_moves_has_the_host_emptied(self, is_strict: bool) -> None:
        policy, (simulator, cluster) = NeverMoves(), at_half_past(service_day())
        plan = learned(policy, is_strict=is_strict).plan(cluster)
        assert (plan.planner, plan.status, policy.asked) == ("learned", Status.PLANNED, 0)
        assert validate(state_of(cluster), plan, must_resolve=True) == ()
        assert [c.kind for c in plan.contentions] == ["maintenance"]
        assert simulator.execute(plan) == ()
        simulator.advance(15)
        assert simulator.inventory.hosts[0].state is HostState.DOWN

    def test_where_the_fallback_finds_no_plan_the_policy_is_asked(self) -> None:
        policy, (_, cluster) = NeverMoves(), at_half_past(service_day(cpu=(2, 2, 2, 20), homes=(0, 0, 0, 1)))
        plan = learned(policy, fallback=cast(Planner, Refuses())).plan(cluster)
        assert (policy.asked, plan.moves) == (1, ())
        assert "holds no move to be worth" in plan.reason

    def test_the_policy_in_training_is_validated_the_same_way(self) -> None:
        _, cluster = at_half_past(service_day())
        planner = LearnedPlanner(Trainee(lambda candidates, context, mask: np.zeros(len(mask)), 64))
        assert {move.id for move in planner.plan(cluster).moves} == {"vm-0", "vm-1"}


class TestPlayedDays:
    def test_the_rules_empty_hosts_on_days_that_are_learned_from(self) -> None:
        """On a calm day the policy decides nothing; a host that stayed would be one more to decide about."""
        day = service_day(cpu=(2, 2, 2), vms={1: {"is_ha": False}})
        played = play_day(day, Behaviour(idle_share=0.0), None, np.random.default_rng(0))
        idle = play_day(day, Behaviour(idle_share=1.0), None, np.random.default_rng(0))
        assert len(played) == 0
        assert len(idle) == 0, "of what R5 ties together and the rules tell apart a policy can decide nothing"

    def test_on_an_idle_day_the_policy_sees_what_could_leave(self) -> None:
        day = service_day(cpu=(2, 2, 2, 2), homes=(0, 0, 0, 1))
        played = play_day(day, Behaviour(idle_share=0.0), None, np.random.default_rng(0))
        idle = play_day(day, Behaviour(idle_share=1.0), None, np.random.default_rng(0))
        evacuation = SCHEMA.candidate.index("is_evacuation")
        assert len(played) == 0 < len(idle)
        assert (idle.candidates[:, 1, evacuation] == 1).all()
