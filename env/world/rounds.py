"""A planner through a day: the loop that asks it every scheduler period, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model.plan import Plan
from ..model.planner import Planner
from .costs import CostTerms
from .migration import MoveRecord, WorldSettings
from .simulator import Simulator
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


def run_rounds(simulator: Simulator, planner: Planner, on_plan: Callable[[int, Plan], None] | None = None) -> float:
    """Asks the planner every contention period until the day is over; returns its CPU seconds.

    A planner is not asked while moves of its last plan are under way, nor, if it observes, in the observation period.
    """
    round_minutes = simulator.episode.cluster.inventory.settings.round_minutes
    spent_seconds = 0.0
    while not simulator.is_done:
        if not simulator.is_busy and not (planner.observes_after_plan and simulator.is_observing):
            started = time.process_time()
            plan = planner.plan(simulator.cluster())
            spent_seconds += time.process_time() - started
            if on_plan is not None:
                on_plan(simulator.minute, plan)
            simulator.execute(plan)
        simulator.advance(round_minutes)
    return spent_seconds


def run_episode(
    episode: Episode,
    planner: Planner,
    world: WorldSettings | None = None,
    on_plan: Callable[[int, Plan], None] | None = None,
) -> EpisodeResult:
    """One day under one planner."""
    simulator = Simulator(episode, world)
    spent_seconds = run_rounds(simulator, planner, on_plan)
    return result_of(simulator, planner.name, spent_seconds)


def result_of(simulator: Simulator, planner_name: str, plan_seconds: float = 0.0) -> EpisodeResult:
    """What a simulator has metered so far, as a result."""
    inventory = simulator.episode.cluster.inventory
    capacity_HK = inventory.capacity_HR[:, [0, 2]].astype(np.float32)
    return EpisodeResult(
        planner=planner_name,
        seed=simulator.episode.seed,
        costs=simulator.costs,
        moves=len(simulator.moves_done),
        contended_host_minutes=simulator.contended_host_minutes,
        violations=simulator.violations,
        plan_seconds=plan_seconds,
        utilization_THK=simulator.used_THR[: min(simulator.minute, DAY_MINUTES)] / capacity_HK,
        log=tuple(simulator.log),
    )
