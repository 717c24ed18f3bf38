"""The clairvoyant planner: a yardstick that knows the trace's future, and that everybody can be measured by.

Every round it takes the deed (a move, a swap, or making room and moving in) with the greatest net worth over its
horizon: core-minutes of overload, unserved demand and swap avoided on the true demand, less the GiB to copy and the
cores the copy keeps busy; again and again, until nothing is worth its cost. It keeps R1-R8 like everyone, on the
estimate by which all plans are judged. Greedy, so no lower bound.

A host in maintenance is emptied first, whatever that is worth. VMs that R5 ties to one another on their host move as
one where that can be told (`clumps.py`), else they stay.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..env.model.cluster import Cluster
from ..env.model.contention import contentions
from ..env.model.plan import Plan, Status, moves_of
from ..env.model.state import State, state_of
from ..env.world.migration import WorldSettings
from ..env.world.price import move_price_M
from ..env.world.workload import Episode
from .foresight import foresee
from .worth_search import PLAN_LIMIT, Choice, WorthLimits, choice_reason, choose_deeds

HORIZON_MINUTES = (
    60  # of 30 to 1440 the best on the validation part of Bitbrains: what lies further can still be met later
)


@dataclass(frozen=True, eq=False)
class Clairvoyant:
    """Plans on the true demand of the coming hour of one episode.

    Attributes:
        episode: the day it knows.
        horizon_minutes: how far it looks.
        plan_limit: moves of one plan at most.
        world: what a migration costs.
    """

    episode: Episode
    horizon_minutes: int = HORIZON_MINUTES
    plan_limit: int = PLAN_LIMIT
    world: WorldSettings = WorldSettings()
    name: str = "clairvoyant"
    observes_after_plan: bool = False

    def plan(self, cluster: Cluster) -> Plan:
        """The moves that are worth their cost, the most valuable first."""
        started = time.perf_counter()
        state = state_of(cluster)
        minute = round((cluster.time - self.episode.cluster.time).total_seconds() / 60)
        chosen = self._choose(state, minute)
        found = contentions(state)
        seconds = time.perf_counter() - started
        if not chosen:
            status = Status.REFUSED if found else Status.NO_CONTENTION
            reason = "no move is worth its cost" if found else "no host is contended and none is worth relieving early"
            return Plan(cluster.name, self.name, status, reason, found, solve_seconds=seconds)
        made = moves_of(state, [(c.m, c.target) for c in chosen], [choice_reason(state, c) for c in chosen])
        total_gib = sum(move.cost_gib for move in made)
        worth = sum(c.worth for c in chosen)
        reason = f"worth {worth:.0f} core-minutes in the next {self.horizon_minutes} minutes"
        return Plan(
            cluster.name, self.name, Status.PLANNED, reason, found, made, cost_gib=total_gib, solve_seconds=seconds
        )

    def _choose(self, state: State, minute: int) -> list[Choice]:
        """The moves, in order."""
        foresight = foresee(self.episode, minute, state, self.horizon_minutes)
        return choose_deeds(state, foresight, move_price_M(state, self.world), WorthLimits(moves=self.plan_limit))
