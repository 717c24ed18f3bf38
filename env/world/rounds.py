"""A planner through a day: the loop that asks it every scheduler period, judges its plans, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from ..model.contention import short_of_memory
from ..model.effectiveness import PlanOutcome, Prediction, outcome_of
from ..model.placement import place
from ..model.plan import Plan, dense_move
from ..model.planner import Learner, Planner
from ..model.state import State, state_of
from .alerts import Alert, Alerts
from .costs import CostTerms
from .migration import MoveRecord, Outcome, WorldSettings
from .simulator import Simulator
from .tasks import TICK_SECONDS, TaskRecord
from .waiting import Placer
from .workload import DAY_MINUTES, Episode


@dataclass(frozen=True, eq=False)
class EpisodeResult:
    """One episode under one planner.

    Attributes:
        planner: its name.
        seed: the episode's seed; results with equal seeds are pairs.
        costs: the four cost terms of the day.
        moves: how many moves were carried out.
        contended_host_minutes: host-minutes with true demand above a threshold.
        violations: rules broken by plans the planner handed in (those plans were refused).
        plan_seconds: CPU time the planner took, all rounds together.
        utilization_THK: utilization of CPU and storage controllers by the minute; shape (T, H, 2).
        log: the moves, in order, those that were dropped included.
        tasks: everything else that was done, in order.
        outcomes: verdicts on the planner's plans, in order; plans late in the day have none.
        alerts: contentions the planner left alone, in order.
        waiting_vm_minutes: minutes that VMs waited for a host.
        evacuation_host_minutes: minutes that hosts in maintenance waited to be emptied.
        cluster: the cluster's name.
        midnight: when the day began.
        day_name: the day of the trace that the episode is of.
    """

    planner: str
    seed: int
    costs: CostTerms
    moves: int
    contended_host_minutes: int
    violations: int
    plan_seconds: float
    utilization_THK: npt.NDArray[np.float32]
    log: tuple[MoveRecord, ...]
    tasks: tuple[TaskRecord, ...] = ()
    outcomes: tuple[PlanOutcome, ...] = ()
    alerts: tuple[Alert, ...] = ()
    waiting_vm_minutes: int = 0
    evacuation_host_minutes: int = 0
    cluster: str = ""
    midnight: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    day_name: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the episode by the names that tables, logs and documents give them."""
        return {
            "cost_core_minutes": self.costs.total,
            "overload_core_minutes": self.costs.overload_core_minutes,
            "unserved_core_minutes": self.costs.unserved_core_minutes,
            "swap_gib_minutes": self.costs.swap_gib_minutes,
            "moved_gib": self.costs.migration_gib,
            "moves": self.moves,
            "contended_host_minutes": self.contended_host_minutes,
            "violations": self.violations,
        }


@dataclass(frozen=True, eq=False)
class _Pending:
    """A plan that waits for its verdict: its running number, and the state it was made on."""

    plan: int
    before: State


class Supervisor:
    """Asks a planner every round, has its plans carried out, judges what came of them and tells it.

    A planner is not asked while moves are under way, nor, if it observes, in the observation period. A plan is judged
    after that period, or, if the planner does not observe, at the first round a trend window after its end.

    Args:
        simulator: the cluster.
        planner: one that learns starts the day with nothing learned; None: nobody is asked.
        on_plan: called with the minute and each of its answers.

    Attributes:
        outcomes: verdicts on its plans so far.
        plan_seconds: CPU time it took so far.
    """

    def __init__(
        self, simulator: Simulator, planner: Planner | None, on_plan: Callable[[int, Plan], None] | None = None
    ) -> None:
        self.outcomes: list[PlanOutcome] = []
        self.plan_seconds = 0.0
        self._simulator, self._on_plan = simulator, on_plan
        self._planner = planner.unlearned() if isinstance(planner, Learner) else planner
        self._alerts = Alerts()
        self._pending: list[_Pending] = []

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Contentions that the planner left alone so far."""
        return tuple(self._alerts.raised)

    def step(self, minutes: int) -> CostTerms:
        """One round: judges, asks and executes, then lets time go on; returns the cost of these minutes."""
        planner, simulator = self._planner, self._simulator
        if planner is not None and not simulator.is_busy and not simulator.is_done:
            self._judge(planner)
            if not (planner.observes_after_plan and simulator.is_observing):
                self._ask(planner)
        return simulator.advance(minutes) if planner is None else self._advance(minutes)

    def _advance(self, minutes: int) -> CostTerms:
        """Lets time go on; where memory is overcommitted it is looked at every memory period."""
        simulator = self._simulator
        inventory, before = simulator.episode.inventory, simulator.costs
        if not inventory.is_overcommit_V.any():
            return simulator.advance(minutes)
        period, end = inventory.settings.memory_minutes, simulator.minute + minutes
        while simulator.minute < end and not simulator.is_done:
            simulator.advance(min(period - simulator.minute % period, end - simulator.minute))
            self._alerts.see_memory(simulator.minute * TICK_SECONDS, short_of_memory(state_of(simulator.cluster())))
        return simulator.costs - before

    def _ask(self, planner: Planner) -> None:
        """Asks for a plan and has it carried out."""
        simulator, cluster = self._simulator, self._simulator.cluster()
        started = time.process_time()
        plan = planner.plan(cluster)
        self.plan_seconds += time.process_time() - started
        if self._on_plan is not None:
            self._on_plan(simulator.minute, plan)
        self._alerts.see(simulator.minute * TICK_SECONDS, plan)
        violations = simulator.execute(plan)
        if plan.moves and not violations:
            self._pending.append(_Pending(simulator.plans_executed, state_of(cluster)))

    def _judge(self, planner: Planner) -> None:
        """Judges the plans that are due, and tells the planner if it learns."""
        settings = self._simulator.episode.inventory.settings
        wait_seconds = settings.observation_seconds if planner.observes_after_plan else settings.trend_window_seconds
        now_seconds = self._simulator.minute * TICK_SECONDS
        waiting, self._pending = self._pending, []
        for pending in waiting:
            done = [r for r in self._simulator.log if r.plan == pending.plan and r.outcome is Outcome.DONE]
            ended_seconds = max((r.end_seconds for r in done), default=now_seconds)
            if done and now_seconds - ended_seconds < wait_seconds:
                self._pending.append(pending)
            elif done:
                self._keep(planner, self._outcome(pending, done, ended_seconds))

    def _outcome(self, pending: _Pending, done: list[MoveRecord], ended_seconds: float) -> PlanOutcome:
        """The verdict on a plan, by the telemetry since its end."""
        midnight = self._simulator.episode.cluster.time
        prediction = Prediction(
            plan=pending.plan,
            before=pending.before,
            moves=tuple(dense_move(pending.before, record.move) for record in done),
            ended=midnight + timedelta(seconds=ended_seconds),
        )
        whole_minutes = int(self._simulator.minute - ended_seconds / TICK_SECONDS)
        return outcome_of(prediction, self._simulator.cluster(), max(1, whole_minutes))

    def _keep(self, planner: Planner, outcome: PlanOutcome) -> None:
        """Keeps a verdict, and tells the planner if it learns."""
        self.outcomes.append(outcome)
        if isinstance(planner, Learner):
            planner.learn(outcome)


def run_episode(
    episode: Episode,
    planner: Planner,
    world: WorldSettings | None = None,
    on_plan: Callable[[int, Plan], None] | None = None,
    placer: Placer = place,
) -> EpisodeResult:
    """One day under one planner; `placer` finds hosts for VMs that arrive."""
    simulator = Simulator(episode, world, placer)
    supervisor = Supervisor(simulator, planner, on_plan)
    while not simulator.is_done:
        supervisor.step(episode.inventory.settings.round_minutes)
    return _result(simulator, planner.name, supervisor)


def _result(simulator: Simulator, planner_name: str, supervisor: Supervisor) -> EpisodeResult:
    """What a simulator has metered in a day, as a result."""
    inventory = simulator.episode.inventory
    capacity_HK = inventory.capacity_HR[:, [0, 2]].astype(np.float32)
    return EpisodeResult(
        planner=planner_name,
        seed=simulator.episode.seed,
        costs=simulator.costs,
        moves=len(simulator.moves_done),
        contended_host_minutes=simulator.contended_host_minutes,
        violations=simulator.violations,
        plan_seconds=supervisor.plan_seconds,
        utilization_THK=simulator.used_THR[: min(simulator.minute, DAY_MINUTES)] / capacity_HK,
        log=tuple(simulator.log),
        tasks=tuple(simulator.tasks),
        outcomes=tuple(supervisor.outcomes),
        alerts=supervisor.alerts,
        waiting_vm_minutes=simulator.waiting_vm_minutes,
        evacuation_host_minutes=simulator.evacuation_host_minutes,
        cluster=simulator.episode.cluster.name,
        midnight=simulator.episode.cluster.time,
        day_name=simulator.episode.day_name,
    )
