"""What one look at a cluster says about the minutes to come: made once a round, carried along as a plan grows.

The *outlook* is demand in B scenarios: first the trend estimate, by which the rules judge, then the means of the twelve
5-minute blocks of the last hour, or as many blocks of a forecast. It keeps the hour resolved in time, so that VMs that
peak together count together.

Shapes besides those of `cluster.py`: J the resources whose demand moves (CPU, STORAGE), B scenarios.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..model.clumps import Clumps, clumps_of
from ..model.cluster import CPU, NOWHERE, Array, BoolArray, Cluster, IntArray, Inventory, read_only
from ..model.cost import migration_cost_M
from ..model.plan import Plan, Status, moves_of
from ..model.rules import is_ha_binding
from ..model.state import State, state_of
from ..world.migration import WorldSettings
from ..world.price import price_of
from .begin_kernels import add_move, begin_into
from .headroom import Slack, restart_slack
from .look_arrays import (
    BLOCK_MINUTES,
    BLOCKS,
    DEMAND_RESOURCES,
    HA_ASK,
    TREND,
    LookArrays,
    PlanArrays,
    RoundArrays,
    Scratch,
    look_arrays,
    new_round,
)
from .outlook_kernels import blocks_of

WORLD = WorldSettings()  # its measured constants; dirty pages lengthen a migration by a few per cent only

Outlook = Callable[[Cluster], Array]
"""What demand may be in the hour to come: a cluster -> cores in BLOCKS scenarios; shape (M, J, BLOCKS)."""


class Look(NamedTuple):
    """The same as a `RoundView`, for the kernels (see `look_arrays.py`)."""

    fixed: LookArrays
    now: RoundArrays
    scratch: Scratch


@dataclass(frozen=True, eq=False)
class RoundView:
    """The part of the view that moves do not change.

    Attributes:
        name: of the cluster.
        time: end of the telemetry.
        before: the state before the plan, by which plans are judged; demand is the trend estimate.
        clumps: VMs that move as one (see `clumps.py`).
        start: the same state with the demand of each clump on its lead: here, and in everything below, a lead is a
            movable like any other, of the size of its clump.
        demand_MJB: demand of each movable in each scenario, cores, finite, 0 for VMs that are off; shape (M, J, B).
        used_HJB: demand on each host before the plan, cores; shape (H, J, B).
        threshold_HJ: CPU and storage cores that may be used of each host before it is contended; shape (H, J).
        look: the same for the kernels.
    """

    name: str
    time: datetime
    before: State
    clumps: Clumps
    start: State
    demand_MJB: Array
    used_HJB: Array
    threshold_HJ: Array
    look: Look

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
    def price_M(self) -> Array:
        """What moves cost by themselves, core-minutes, those of a clump together; shape (M,)."""
        cost_M, cores_M = np.nan_to_num(migration_cost_M(self.before)), np.nan_to_num(self.before.demand_MR[:, CPU])
        return read_only(self.clumps.gathered(price_of(cost_M, cores_M, WORLD)))

    @cached_property
    def is_free_M(self) -> BoolArray:
        """Movables that run, stand somewhere and are tied to none there by R5, or are the lead of all of them; (M,).

        R5 binds at the end of a plan, and a policy may stop after any move: so no move may split a clump.
        """
        return read_only(self.clumps.is_free_M(self.before), dtype=np.bool_)

    @cached_property
    def is_ha_enforced(self) -> bool:
        """Whether R7 binds the plan: `is_ha_binding(before)`, decided by the quick restart plan where that succeeds."""
        if not self.inventory.high_availability.is_guaranteed:
            return False
        return self.slack is not None or is_ha_binding(self.before)

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
        total_gib = float(np.cumsum(running)[-1]) if running.size else 0.0  # one after another, as the kernels add up
        return total_gib / running.size if total_gib > 0 else 1.0


@dataclass(frozen=True, eq=False)
class PlanView:
    """The cluster after the moves chosen so far.

    Attributes:
        round: what the moves do not change.
        state: the state after them.
        used_HJB: demand on each host in each scenario, cores; shape (H, J, B).
        arrays: the same for the kernels.
        moves: the moves, as (m, target index), in order; those of all VMs of a clump, one after another.
    """

    round: RoundView
    state: State
    used_HJB: Array
    arrays: PlanArrays
    moves: tuple[tuple[int, int], ...] = ()

    @cached_property
    def by_vm(self) -> State:
        """The state VM by VM."""
        return reduce(lambda state, move: state.moved(*move), self.moves, self.round.before)

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
        """The view after one more move, of a lead with all of its clump."""
        look, arrays = self.round.look, PlanArrays._make(array.copy() for array in self.arrays)
        add_move(look.fixed, look.now, arrays, m, target)
        clumps = self.round.clumps
        state, moves = clumps.after(self.state, m, target), (*self.moves, *clumps.moves(m, target))
        return replace(self, state=state, used_HJB=read_only(arrays.used_HJB), arrays=arrays, moves=moves)

    def plan(self, planner: str, reason: str = "chosen by the policy") -> Plan:
        """The moves so far as a plan; without any, a plan that refuses."""
        moves = moves_of(self.round.before, self.moves)
        status = Status.PLANNED if moves else Status.REFUSED
        return Plan(
            cluster=self.round.name,
            planner=planner,
            status=status,
            reason=reason if moves else "no move is worth its cost",
            moves=moves,
            cost_gib=sum(move.cost_gib for move in moves),
        )


def look_at(cluster: Cluster, state: State | None = None, forecast_MJB: Array | None = None) -> PlanView:
    """The view of a cluster before any move.

    Args:
        cluster: what telemetry shows.
        state: `state_of(cluster)`, where the caller has it already.
        forecast_MJB: demand in the hour to come, cores, which takes the place of the blocks of the last hour in the
            outlook; the rules judge by the estimate all the same; shape (M, J, BLOCKS).
    """
    before = state if state is not None else state_of(cluster)
    inventory, settings = cluster.inventory, cluster.inventory.settings
    fixed, demand_MJB = look_arrays(inventory), outlook(cluster, before, forecast_MJB)
    now, arrays, scratch = new_round(fixed)
    minute = cluster.time.hour * 60 + cluster.time.minute
    clumps = clumps_of(before)
    start = clumps.as_one(before)
    for has_clumps in (True, False):
        now.demand_MR[:], now.demand_MJB[:] = before.demand_MR, demand_MJB
        where = _plain(before.host_of_M), _plain(before.swap_V)
        told = begin_into(fixed, now, arrays, scratch, *where, minute, has_clumps)
        if told != HA_ASK or not clumps.vms_of or restart_slack(start) is not None or not is_ha_binding(before):
            break
        clumps, start = Clumps(), before  # some failure leaves no place for a clump as a whole: nobody can tell for it
    thresholds_J = np.array([settings.cpu_threshold, settings.storage_cpu_threshold])
    view = RoundView(
        name=cluster.name,
        time=cluster.time,
        before=before,
        clumps=clumps,
        start=start,
        demand_MJB=read_only(now.demand_MJB),
        used_HJB=read_only(now.before_HJB),
        threshold_HJ=read_only(inventory.capacity_HR[:, DEMAND_RESOURCES] * thresholds_J),
        look=Look(fixed, now, scratch),
    )
    return PlanView(view, start, view.used_HJB, arrays)


def outlook(cluster: Cluster, state: State, forecast_MJB: Array | None = None) -> Array:
    """Demand of each movable in each scenario, cores, finite; shape (M, J, B)."""
    V, M = cluster.inventory.vm_count, cluster.inventory.movable_count
    demand_MJB = np.zeros((M, len(DEMAND_RESOURCES), 1 + BLOCKS))
    demand_MJB[:, :, TREND] = np.nan_to_num(state.demand_MR[:, DEMAND_RESOURCES])
    if forecast_MJB is not None:
        demand_MJB[:, :, 1:] = forecast_MJB
    else:
        demand_MJB[:V, 0, 1:] = blocks_of(last_hour(cluster.cpu_samples_VT))
        demand_MJB[:, 1, 1:] = blocks_of(last_hour(cluster.storage_samples_MT))
    demand_MJB[~cluster.inventory.is_on_M] = 0.0
    return demand_MJB


def last_hour(samples_NT: Array) -> Array:
    """The samples of the last hour, in a form that the kernels take; shape (N, at most 60)."""
    return np.array(samples_NT[:, -BLOCKS * BLOCK_MINUTES :], dtype=np.float64, order="C")


def recent_blocks(samples_NT: Array) -> Array:
    """Means of the 5-minute blocks of the last hour, oldest first; the numpy twin of `blocks_of`; shape (N, BLOCKS).

    A missing sample counts as the mean of the others of its row (0 where there are none); where telemetry is shorter
    than an hour, its oldest sample stands for the time before.
    """
    recent_NT = last_hour(samples_NT)
    is_missing_NT = np.isnan(recent_NT)
    if is_missing_NT.any():
        count_N = np.maximum((~is_missing_NT).sum(axis=1), 1)
        mean_N = np.cumsum(np.where(is_missing_NT, 0.0, recent_NT), axis=1)[:, -1] / count_N
        recent_NT = np.where(is_missing_NT, mean_N[:, None], recent_NT)
    missing_minutes = BLOCKS * BLOCK_MINUTES - recent_NT.shape[1]
    recent_NT = np.pad(recent_NT, ((0, 0), (missing_minutes, 0)), mode="edge")
    # Cumulative sums add one after another, as the kernel does.
    return np.asarray(np.cumsum(recent_NT.reshape(-1, BLOCKS, BLOCK_MINUTES), axis=2)[:, :, -1] / BLOCK_MINUTES)


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that may be written to: numba compiles anew for arrays that may not."""
    return values.copy()
