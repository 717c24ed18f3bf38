"""The clairvoyant planner: a yardstick that knows the trace's future, and that everybody can be measured by.

Every round it takes the move with the greatest net worth over its horizon (core-minutes of overload and unserved demand
avoided on the true demand, less the GiB to copy and the cores the copy keeps busy), again and again, until no move is
worth its cost. It keeps R1-R8 like everyone, on the estimate by which all plans are judged. Greedy, so no lower bound.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..env.model.cluster import CPU, Array, Cluster
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
        moves, worth = self._choose(state, minute)
        found = contentions(state)
        seconds = time.perf_counter() - started
        if not moves:
            status = Status.REFUSED if found else Status.NO_CONTENTION
            reason = "no move is worth its cost" if found else "no host is contended and none is worth relieving early"
            return Plan(cluster.name, self.name, status, reason, found, solve_seconds=seconds)
        reasons = [f"avoids {core_minutes:.0f} core-minutes net of its cost" for core_minutes in worth]
        made = moves_of(state, moves, reasons)
        total_gib = sum(move.cost_gib for move in made)
        reason = f"worth {sum(worth):.0f} core-minutes in the next {self.horizon_minutes} minutes"
        return Plan(
            cluster.name, self.name, Status.PLANNED, reason, found, made, cost_gib=total_gib, solve_seconds=seconds
        )

    def _choose(self, state: State, minute: int) -> tuple[list[tuple[int, int]], list[float]]:
        """Moves (m, target) and what each is worth, core-minutes."""
        foresight = foresee(self.episode, minute, state.host_of_M, self.horizon_minutes)
        price_M = move_price_M(state, self.world)
        is_free_M = ~bound_M(state)
        is_ha_enforced = is_ha_binding(state)
        moves: list[tuple[int, int]] = []
        worth: list[float] = []
        while len(moves) < self.plan_limit:
            best = self._best(state, foresight, price_M, is_free_M, is_ha_enforced)
            if best is None:
                break
            m, target, net = best
            moves.append((m, target))
            worth.append(net)
            state, foresight = state.moved(m, target), foresight.moved(m, target)
            is_free_M[m] = False  # once a plan
        return moves, worth

    def _best(
        self, state: State, foresight: Foresight, price_M: Array, is_free_M: np.ndarray, is_ha_enforced: bool
    ) -> tuple[int, int, float] | None:
        """The most valuable allowed move, or None where none is worth its cost."""
        costs_something_H = foresight.host_cost_H() > 0
        is_source_M = is_free_M & (state.host_of_M >= 0)
        is_source_M[is_source_M] &= costs_something_H[state.host_of_M[is_source_M]]
        movables, targets = np.nonzero(allowed_moves_MH(state) & is_source_M[:, None])
        if movables.size == 0:
            return None
        net_N = foresight.relief(movables, targets) - price_M[movables]
        for n in np.argsort(-net_N, kind="stable"):
            if net_N[n] < MINIMUM_WORTH:
                return None
            m, target = int(movables[n]), int(targets[n])
            if not is_ha_enforced or not check_move(state, m, target, is_ha_enforced=True):
                return m, target, float(net_N[n])
        return None


def move_price_M(state: State, world: WorldSettings) -> Array:
    """What moving each movable costs by itself: GiB copied, and the cores busy on both sides meanwhile; shape (M,)."""
    cost_M = migration_cost_M(state)
    minutes_M = np.array(
        [migration_seconds(c, d, world) / 60 for c, d in zip(cost_M, state.demand_MR[:, CPU], strict=True)]
    )
    # A busy core costs only where the host is over its threshold; the source of a worthwhile move mostly is.
    return np.asarray(cost_M + world.busy_cores * minutes_M)
