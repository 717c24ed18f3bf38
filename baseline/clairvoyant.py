"""The clairvoyant planner: a yardstick that knows the trace's future, and that everybody can be measured by.

Every round it takes the move with the greatest net worth over its horizon (core-minutes of overload, unserved demand
and swap avoided on the true demand, less the GiB to copy and the cores the copy keeps busy), again and again, until no
move is worth its cost. It keeps R1-R8 like everyone, on the estimate by which all plans are judged. Greedy, so no lower
bound.

A host in maintenance is emptied first, whatever that is worth. VMs that R5 ties to one another on their host stay, as
they cannot be moved one at a time; with such VMs on it a host is not emptied by this planner.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..env.model.cluster import CPU, NOWHERE, Array, BoolArray, Cluster, HostState
from ..env.model.contention import contentions
from ..env.model.cost import migration_cost_M
from ..env.model.plan import Plan, Status, moves_of
from ..env.model.rules import allowed_moves_MH, bound_M, check_move, is_ha_binding
from ..env.model.state import State, state_of
from ..env.world.migration import WorldSettings, migration_seconds
from ..env.world.workload import Episode
from .foresight import Foresight, foresee

HORIZON_MINUTES = (
    60  # of 30 to 1440 the best on the validation part of Bitbrains: what lies further can still be met later
)
PLAN_LIMIT = 8  # moves of one plan: about four minutes of the fifteen of a round
MINIMUM_WORTH = 1.0  # core-minutes a move must win


class _Choice(NamedTuple):
    """A move and its net worth, core-minutes."""

    m: int
    target: int
    worth: float


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
        made = moves_of(state, [(c.m, c.target) for c in chosen], [_reason(state, c) for c in chosen])
        total_gib = sum(move.cost_gib for move in made)
        worth = sum(c.worth for c in chosen)
        reason = f"worth {worth:.0f} core-minutes in the next {self.horizon_minutes} minutes"
        return Plan(
            cluster.name, self.name, Status.PLANNED, reason, found, made, cost_gib=total_gib, solve_seconds=seconds
        )

    def _choose(self, state: State, minute: int) -> list[_Choice]:
        """The moves, in order."""
        foresight = foresee(self.episode, minute, state, self.horizon_minutes)
        price_M = move_price_M(state, self.world)
        is_free_M = ~bound_M(state)
        is_ha_enforced = is_ha_binding(state)
        chosen: list[_Choice] = []
        while len(chosen) < self.plan_limit:
            is_leaving_M, is_costly_M = sources(state, is_free_M, foresight.host_cost_H() > 0)
            best = self._best(state, foresight, price_M, is_leaving_M, is_ha_enforced, -np.inf)
            best = best or self._best(state, foresight, price_M, is_costly_M, is_ha_enforced, MINIMUM_WORTH)
            if best is None:
                break
            chosen.append(best)
            state, foresight = state.moved(best.m, best.target), foresight.moved(best.m, best.target)
            is_free_M[best.m] = False  # once a plan
        return chosen

    def _best(
        self,
        state: State,
        foresight: Foresight,
        price_M: Array,
        is_source_M: BoolArray,
        is_ha_enforced: bool,
        least_worth: float,
    ) -> _Choice | None:
        """The most valuable allowed move of some movables, or None where none is worth enough."""
        if not is_source_M.any():
            return None
        movables, targets = np.nonzero(allowed_moves_MH(state) & is_source_M[:, None])
        if movables.size == 0:
            return None
        net_N = foresight.relief(movables, targets) - price_M[movables]
        for n in np.argsort(-net_N, kind="stable"):
            if net_N[n] < least_worth:
                return None
            m, target = int(movables[n]), int(targets[n])
            if not is_ha_enforced or not check_move(state, m, target, is_ha_enforced=True):
                return _Choice(m, target, float(net_N[n]))
        return None


def sources(state: State, is_free_M: BoolArray, is_costly_H: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Free movables on hosts in maintenance, and those on hosts that cost something; each of shape (M,)."""
    is_there_M = is_free_M & state.inventory.is_on_M & (state.host_of_M != NOWHERE)
    is_leaving_M = is_there_M & state.inventory.is_maintenance_H[state.host_of_M]
    return is_leaving_M, is_there_M & is_costly_H[state.host_of_M]


def _reason(state: State, choice: _Choice) -> str:
    """Why a move is part of the plan."""
    host = state.inventory.hosts[state.host_of_M[choice.m]]
    if host.state is HostState.MAINTENANCE:
        return f"empties {host.id}, which is in maintenance"
    return f"avoids {choice.worth:.0f} core-minutes net of its cost"


def move_price_M(state: State, world: WorldSettings) -> Array:
    """What moving each movable costs by itself: GiB copied, and the cores busy on both sides meanwhile; shape (M,)."""
    cost_M = migration_cost_M(state)
    minutes_M = np.array(
        [migration_seconds(c, d, world) / 60 for c, d in zip(cost_M, state.demand_MR[:, CPU], strict=True)]
    )
    # A busy core costs only where the host is over its threshold; the source of a worthwhile move mostly is.
    return np.asarray(cost_M + world.busy_cores * minutes_M)
