"""What one look at a cluster says about the minutes to come: made once a round, carried along as a plan grows.

The *outlook* is demand in B scenarios: first the trend estimate, by which the rules judge, then the means of the twelve
5-minute blocks of the last hour. It keeps the hour resolved in time, so that VMs that peak together count together.

Shapes besides those of `cluster.py`: J the resources whose demand moves (CPU, STORAGE), B scenarios.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np

from ..model.cluster import CPU, NOWHERE, STORAGE, Array, BoolArray, Cluster, IntArray, Inventory, read_only
from ..model.cost import migration_cost_M
from ..model.plan import Plan, Status, moves_of
from ..model.rules import bound_M, is_ha_binding
from ..model.state import State, state_of
from .headroom import Slack, restart_slack

DEMAND_RESOURCES = [CPU, STORAGE]  # axis J
BLOCKS = 12  # of the last hour
BLOCK_MINUTES = 5  # traces have 5-minute samples, so shorter blocks would say nothing more
TREND = 0  # scenario of the trend estimate; the blocks follow, newest last
TREND_WEIGHT = 0.5  # of the trend against the whole hour; assumed, the demand of the next hour lies between the two
WEIGHT_B = read_only([TREND_WEIGHT] + [(1 - TREND_WEIGHT) / BLOCKS] * BLOCKS)


@dataclass(frozen=True, eq=False)
class RoundView:
    """The part of the view that moves do not change.

    Attributes:
        name: of the cluster.
        time: end of the telemetry.
        start: the state before the plan; demand is the trend estimate, by which the rules judge.
        demand_MJB: demand of each movable in each scenario, cores, finite, 0 for VMs that are off; shape (M, J, B).
        used_HJB: demand on each host before the plan, cores; shape (H, J, B).
        threshold_HJ: CPU and storage cores that may be used of each host before it is contended; shape (H, J).
    """

    name: str
    time: datetime
    start: State
    demand_MJB: Array
    used_HJB: Array
    threshold_HJ: Array

    @property
    def inventory(self) -> Inventory:
        """What there is."""
        return self.start.inventory

    # Worked out when first asked for: in a quiet round nobody asks.

    @cached_property
    def cost_M(self) -> Array:
        """Migration cost, GiB; shape (M,)."""
        return read_only(np.nan_to_num(migration_cost_M(self.start)))

    @cached_property
    def is_free_M(self) -> BoolArray:
        """Movables that run, stand somewhere and are not tied to another one on their host by R5; shape (M,).

        R5 binds at the end of a plan, and a policy may stop after any move: so no plan may start to split a clump.
        """
        is_placed_M = self.start.host_of_M != NOWHERE
        return read_only(self.inventory.is_on_M & is_placed_M & ~bound_M(self.start), dtype=np.bool_)

    @cached_property
    def is_ha_enforced(self) -> bool:
        """Whether R7 binds the plan: `is_ha_binding(start)`, decided by the quick restart plan where that succeeds."""
        if not self.inventory.high_availability.is_guaranteed:
            return False
        return self.slack is not None or is_ha_binding(self.start)

    @cached_property
    def slack(self) -> Slack | None:
        """What the HA reservation leaves free before any move; None where it is not guaranteed or not known."""
        return restart_slack(self.start) if self.inventory.high_availability.is_guaranteed else None

    @cached_property
    def waiting_count(self) -> int:
        """VMs that are on and on no host."""
        V = self.inventory.vm_count
        return int(np.count_nonzero(self.inventory.is_on_M[:V] & (self.start.host_of_M[:V] == NOWHERE)))

    @cached_property
    def is_overcommit_M(self) -> BoolArray:
        """VMs whose memory is overcommitted; shape (M,)."""
        is_overcommit_M = np.zeros(self.inventory.movable_count, dtype=np.bool_)
        is_overcommit_M[: self.inventory.vm_count] = self.inventory.is_overcommit_V
        return read_only(is_overcommit_M, dtype=np.bool_)

    @cached_property
    def up(self) -> IntArray | slice:
        """Hosts that are up; all of them where none is, so that there is something to take a mean of."""
        is_up_H = self.inventory.is_up_H
        return slice(None) if is_up_H.all() or not is_up_H.any() else np.flatnonzero(is_up_H)

    @cached_property
    def mean_host_gib(self) -> float:
        """Mean memory of a host, GiB, > 0."""
        return float(self.inventory.capacity_HR[:, 1].mean())

    @cached_property
    def mean_cost_gib(self) -> float:
        """Mean migration cost of what runs, GiB; 1 where nothing runs or costs anything."""
        running = self.cost_M[self.inventory.is_on_M]
        return float(running.mean()) if running.size and running.mean() > 0 else 1.0


@dataclass(frozen=True, eq=False)
class PlanView:
    """The cluster after the moves chosen so far.

    Attributes:
        round: what the moves do not change.
        state: the state after them.
        used_HJB: demand on each host in each scenario, cores; shape (H, J, B).
        moves: the moves, as (m, target index), in order.
    """

    round: RoundView
    state: State
    used_HJB: Array
    moves: tuple[tuple[int, int], ...] = ()

    @cached_property
    def slack(self) -> Slack | None:
        """What the HA reservation leaves free after the moves; None where R7 does not bind or it is not known."""
        if not self.round.is_ha_enforced:
            return None
        return restart_slack(self.state) if self.moves else self.round.slack

    @cached_property
    def moved_gib(self) -> float:
        """Memory the moves copy, GiB."""
        return float(sum(self.round.cost_M[m] for m, _ in self.moves))

    def after(self, m: int, target: int) -> PlanView:
        """The view after one more move."""
        used_HJB = self.used_HJB.copy()
        used_HJB[self.state.host_of_M[m]] -= self.round.demand_MJB[m]
        used_HJB[target] += self.round.demand_MJB[m]
        moves = (*self.moves, (m, target))
        return replace(self, state=self.state.moved(m, target), used_HJB=used_HJB, moves=moves)

    def plan(self, planner: str, reason: str = "chosen by the policy") -> Plan:
        """The moves so far as a plan; without any, a plan that refuses."""
        moves = moves_of(self.round.start, self.moves)
        status = Status.PLANNED if moves else Status.REFUSED
        return Plan(
            cluster=self.round.name,
            planner=planner,
            status=status,
            reason=reason if moves else "no move is worth its cost",
            moves=moves,
            cost_gib=sum(move.cost_gib for move in moves),
        )


def look_at(cluster: Cluster, state: State | None = None) -> PlanView:
    """The view of a cluster before any move.

    Args:
        cluster: what telemetry shows.
        state: `state_of(cluster)`, where the caller has it already.
    """
    start = state if state is not None else state_of(cluster)
    inventory, settings = cluster.inventory, cluster.inventory.settings
    demand_MJB = outlook(cluster, start)
    on_HM = (start.host_of_M[None, :] == np.arange(inventory.host_count)[:, None]).astype(np.float64)
    thresholds_J = np.array([settings.cpu_threshold, settings.storage_cpu_threshold])
    view = RoundView(
        name=cluster.name,
        time=cluster.time,
        start=start,
        demand_MJB=read_only(demand_MJB),
        used_HJB=read_only(np.tensordot(on_HM, demand_MJB, axes=1)),
        threshold_HJ=read_only(inventory.capacity_HR[:, DEMAND_RESOURCES] * thresholds_J),
    )
    return PlanView(view, start, view.used_HJB)


def outlook(cluster: Cluster, state: State) -> Array:
    """Demand of each movable in each scenario, cores, finite; shape (M, J, B)."""
    V, M = cluster.inventory.vm_count, cluster.inventory.movable_count
    demand_MJB = np.zeros((M, len(DEMAND_RESOURCES), 1 + BLOCKS))
    demand_MJB[:, :, TREND] = np.nan_to_num(state.demand_MR[:, DEMAND_RESOURCES])
    demand_MJB[:V, 0, 1:] = recent_blocks(cluster.cpu_samples_VT)
    demand_MJB[:, 1, 1:] = recent_blocks(cluster.storage_samples_MT)
    demand_MJB[~cluster.inventory.is_on_M] = 0.0
    return demand_MJB


def recent_blocks(samples_NT: Array) -> Array:
    """Means of the 5-minute blocks of the last hour, oldest first; shape (N, BLOCKS).

    A missing sample counts as the mean of the others of its row (0 where there are none); where telemetry is shorter
    than an hour, its oldest sample stands for the time before.
    """
    minutes = BLOCKS * BLOCK_MINUTES
    recent_NT = samples_NT[:, -minutes:]
    is_missing_NT = np.isnan(recent_NT)
    if is_missing_NT.any():
        count_N = np.maximum((~is_missing_NT).sum(axis=1), 1)
        mean_N = np.where(is_missing_NT, 0.0, recent_NT).sum(axis=1) / count_N
        recent_NT = np.where(is_missing_NT, mean_N[:, None], recent_NT)
    if recent_NT.shape[1] < minutes:
        recent_NT = np.pad(recent_NT, ((0, 0), (minutes - recent_NT.shape[1], 0)), mode="edge")
    return np.asarray(recent_NT.reshape(-1, BLOCKS, BLOCK_MINUTES).mean(axis=2))
