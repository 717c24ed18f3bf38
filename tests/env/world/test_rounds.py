"""The loop of rounds: who is asked when, what plans are found to achieve and who is told, which alerts there are.

By default host-0 has vm-0 and vm-1 with 20 cores each, 6 cores above its threshold of 34, and host-1 has vm-2 with 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from quell.env.gym.reward import Twin
from quell.env.model.cluster import Cluster, Settings
from quell.env.model.contention import ContentionKind, contentions
from quell.env.model.effectiveness import PlanOutcome
from quell.env.model.plan import Plan, Status, moves_of
from quell.env.model.state import state_of
from quell.env.world.events import Event, EventKind
from quell.env.world.rounds import EpisodeResult, Supervisor, run_episode
from quell.env.world.simulator import Simulator
from tests.env.world.episodes import DAY, QUICK, build_episode


@dataclass
class Scripted:
    """A planner that does by the minute what it was told, refuses where it is to, and keeps what it hears."""

    moves: dict[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    refuses: bool = False
    observes_after_plan: bool = False
    name: str = "scripted"
    heard: list[PlanOutcome] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def plan(self, cluster: Cluster) -> Plan:
        """The moves of this minute."""
        minute = cluster.time.hour * 60 + cluster.time.minute
        self.asked.append(minute)
        state = state_of(cluster)
        found = contentions(state)
        if minute in self.moves:
            moves = moves_of(state, self.moves[minute])
            return Plan(
                "", self.name, Status.PLANNED, "", found, moves=moves, cost_gib=sum(move.cost_gib for move in moves)
            )
        if not found:
            return Plan("", self.name, Status.NO_CONTENTION, "")
        return Plan("", self.name, Status.REFUSED, "there is no room", found)


@dataclass
class Listening(Scripted):
    """One that is told what came of its plans."""

    def learn(self, outcome: PlanOutcome) -> None:
        """Keeps it."""
        self.heard.append(outcome)

    def unlearned(self) -> Listening:
        """Itself, to be looked at afterwards, with nothing kept."""
        self.heard.clear()
        return self


def shown(result: EpisodeResult) -> list[tuple[int, list[tuple[str, float | None]]]]:
    """Verdicts: plan, and of each VM that moved the effectiveness."""
    rounded = [(o.plan, [(m.id, m.effectiveness) for m in o.moves]) for o in result.outcomes]
    return [(plan, [(name, None if e is None else round(e, 2)) for name, e in moves]) for plan, moves in rounded]


class TestVerdicts:
    def test_a_plan_is_judged_on_what_is_seen_after_it(self) -> None:
        planner = Listening({0: [(0, 1)]})
        result = run_episode(build_episode(), planner, QUICK)
        assert shown(result) == [(1, [("vm-0", 1.0)])]
        assert tuple(planner.heard) == result.outcomes
        assert (result.outcomes[0].ended - result.midnight).total_seconds() == pytest.approx(7 + 2.3 * 8)

    def test_a_spike_that_ends_with_the_move_makes_it_useless(self) -> None:
        demand_T = np.full(1440, 20.0)
        demand_T[31:] = 1
        result = run_episode(build_episode(cpu=(demand_T, 20, 5)), Scripted({30: [(0, 1)]}), QUICK)
        assert shown(result) == [(1, [("vm-0", 0.0)])]

    @pytest.mark.parametrize(("observes", "heard_at"), [(False, 15), (True, 30)])
    def test_a_planner_that_observes_hears_of_it_after_the_observation_period(
        self, observes: bool, heard_at: int
    ) -> None:
        planner = Listening({0: [(0, 1)]}, observes_after_plan=observes)
        simulator = Simulator(build_episode(), QUICK)
        supervisor = Supervisor(simulator, planner)
        while not planner.heard:
            minute = simulator.minute
            supervisor.step(15)
        assert minute == heard_at
        assert planner.asked == [0, *range(15 if not observes else 30, heard_at + 1, 15)]

    def test_no_verdict_before_a_trend_window_has_passed(self) -> None:
        """Rounds of 5 minutes: the plan of minute 0 ends within the first, and is judged at minute 15."""
        settings = Settings(contention_period_seconds=300)
        simulator = Simulator(build_episode(settings=settings), QUICK)
        supervisor = Supervisor(simulator, Scripted({0: [(0, 1)]}))
        for _ in range(3):
            supervisor.step(5)
        assert (simulator.minute, supervisor.outcomes) == (15, [])
        supervisor.step(5)
        assert len(supervisor.outcomes) == 1

    def test_a_vm_that_moves_again_before_its_verdict_gets_none(self) -> None:
        settings = Settings(contention_period_seconds=300)
        planner = Scripted({0: [(0, 1)], 5: [(0, 0)]})
        result = run_episode(build_episode(cpu=(20, 5, 5), settings=settings), planner, QUICK)
        assert shown(result) == [(1, [("vm-0", None)]), (2, [("vm-0", None)])]

    def test_a_vm_that_is_powered_off_before_its_verdict_gets_none(self) -> None:
        leaves = Event(3, EventKind.DEPARTURE, 0)
        result = run_episode(build_episode(events=[leaves]), Scripted({0: [(0, 1)]}), QUICK)
        assert shown(result) == [(1, [("vm-0", None)])]

    def test_only_moves_that_were_carried_out_count(self) -> None:
        """host-2 fails while vm-2 is on its way there: the plan is judged by vm-0 alone."""
        fails = Event(1, EventKind.FAILURE, 2, duration_minutes=1000)
        episode = build_episode(memory_gib=(8, 8, 60), hosts=3, events=[fails])
        result = run_episode(episode, Scripted({0: [(0, 1), (2, 2)]}), QUICK)
        assert [record.outcome for record in result.log] == ["done", "dropped"]
        assert shown(result) == [(1, [("vm-0", 1.0)])]

    def test_a_refused_plan_and_a_plan_of_nothing_get_no_verdict(self) -> None:
        """vm-1 (20) cannot join 20 and 5 on host-1."""
        result = run_episode(build_episode(cpu=(20, 20, 20)), Scripted({0: [(1, 1)], 15: []}), QUICK)
        assert (result.violations > 0, result.outcomes) == (True, ())

    def test_every_day_starts_with_nothing_learned(self) -> None:
        planner = Listening({0: [(0, 1)]})
        for _ in range(2):
            run_episode(build_episode(), planner, QUICK)
            assert len(planner.heard) == 1


class TestAlerts:
    def test_memory_that_is_short_between_two_rounds_is_noticed_within_two_minutes(self) -> None:
        """68 of 64 GiB are needed from minute 32 to 38; the planner is asked at 30 and 45 and sees none of it."""
        growing = np.full(DAY, 20.0)
        growing[32:38] = 48.0
        episode = build_episode(
            cpu=(5, 5), homes=(0, 0), memory_gib=(48, 48), host_memory_gib=64.0, need_gib={0: 20.0, 1: growing}
        )
        alerts = run_episode(episode, Scripted(), QUICK).alerts
        assert [(a.kind.value, a.host, a.start_seconds, a.end_seconds) for a in alerts] == [
            ("memory-swap", "host-0", 34 * 60, 40 * 60)
        ]

    def test_one_alert_for_each_contention_while_it_lasts(self) -> None:
        """host-0 is hot from minute 60 to 120, and again from 300 on; half of the samples must show it."""
        demand_T = np.full(1440, 5.0)
        demand_T[60:120] = demand_T[300:] = 20
        result = run_episode(build_episode(cpu=(demand_T, 20, 5)), Scripted(), QUICK)
        assert [
            (a.kind, a.host, a.start_seconds / 60, a.end_seconds and a.end_seconds / 60) for a in result.alerts
        ] == [
            (ContentionKind.CPU, "host-0", 75, 135),
            (ContentionKind.CPU, "host-0", 315, None),
        ]
        assert result.alerts[0].figures == "100.0%, threshold 85.0%"
        assert result.alerts[0].reason == "there is no room"

    def test_a_plan_ends_the_alert(self) -> None:
        result = run_episode(build_episode(), Scripted({30: [(0, 1)]}), QUICK)
        assert [(a.start_seconds, a.end_seconds) for a in result.alerts] == [(0, 1800)]

    def test_a_planner_that_acts_raises_none(self) -> None:
        assert run_episode(build_episode(), Scripted({0: [(0, 1)]}), QUICK).alerts == ()


def test_the_twin_of_the_env_lives_by_the_same_loop() -> None:
    planner = Listening({0: [(0, 1)]}, observes_after_plan=True)
    twin = Twin(build_episode(), QUICK, planner)
    for _ in range(3):
        twin.advance(15)
    assert planner.asked == [0, 30]
    assert len(planner.heard) == 1
    alone = run_episode(build_episode(), Listening({0: [(0, 1)]}, observes_after_plan=True), QUICK)
    assert twin.costs == alone.costs


def test_the_result_knows_cluster_tasks_and_day() -> None:
    leaves = Event(3, EventKind.DEPARTURE, 2)
    result = run_episode(build_episode(events=[leaves]), Scripted(), QUICK)
    assert (result.cluster, [t.id for t in result.tasks]) == ("cluster", ["vm-2"])
    assert (result.midnight.hour, result.midnight.minute) == (0, 0)
